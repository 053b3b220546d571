"""COPY with files on the server: superusers only, in PostgreSQL's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from engine import formats
from engine.formats.parquet import ParquetReader, ParquetWriter
from engine.forms.style import Style
from sql.outcome import CopyIn, CopyOut
from storage.durability import files
from storage.errors import (
    DatabaseError,
    FileError,
    InsufficientPrivilege,
    InvalidName,
    UndefinedFile,
    WrongObjectType,
)

_BYTES = 1 << 20  # read at once
_CODES: dict[int, type[DatabaseError]] = {
    errno.ENOENT: UndefinedFile,
    errno.EACCES: InsufficientPrivilege,
    errno.EPERM: InsufficientPrivilege,
    errno.EROFS: InsufficientPrivilege,
    errno.EISDIR: WrongObjectType,
    errno.ENOTDIR: WrongObjectType,
}


def refuse(out: bool, superuser: bool) -> None:
    """Raise InsufficientPrivilege for who may not touch the server's files."""
    if superuser:
        return
    role, way = ("pg_write_server_files", "to") if out else ("pg_read_server_files", "from")
    raise InsufficientPrivilege(
        f"must be superuser or have privileges of the {role} role to COPY {way} a file",
        hint="Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
    )


def resolve(name: str, out: bool, folder: Path | None) -> Path:
    """The file that is named: read from the data folder where its path is relative, never written there."""
    path = Path(name)
    if out and not path.is_absolute():
        raise InvalidName("relative path not allowed for COPY to file")
    return path if folder is None else folder / path


def _open(path: Path, out: bool, shown: str) -> BinaryIO:
    try:
        return path.open("wb" if out else "rb")
    except OSError as error:
        if error.errno == errno.EISDIR and not out:
            raise WrongObjectType(f'"{shown}" is a directory') from None
        way, doing, verb = ("TO", "writing", "write") if out else ("FROM", "reading", "read")
        hint = (
            f"COPY {way} instructs the PostgreSQL server process to {verb} a file. "
            "You may want a client-side facility such as psql's \\copy."
        )
        code = error.errno or 0
        hinted = code in (errno.ENOENT, errno.EACCES)
        message = f'could not open file "{shown}" for {doing}: {os.strerror(code)}'
        raise _CODES.get(code, FileError)(message, hint=hint if hinted else "") from None


def read(outcome: CopyIn, path: Path, name: str, style: Style, *, listed: bool) -> None:
    """Feed the statement with the file, told as `name`. `listed`: the columns were named."""
    with _open(path, False, name) as file:
        if outcome.format.format == "parquet":
            rows = ParquetReader(outcome.format, style, file, name, listed)
            formats.deliver(rows, rows.batches(), outcome.sink)
            return
        reader = formats.reader(outcome.format, style)
        for block in _blocks(file):
            formats.deliver(reader, reader.feed(block), outcome.sink)
        formats.deliver(reader, reader.finish(), outcome.sink)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    try:
        while block := file.read(_BYTES):
            yield block
    except OSError as error:
        raise FileError(f"could not read from COPY file: {error.strerror}") from error


def write(outcome: CopyOut, path: Path, name: str, style: Style) -> None:
    """Write the statement's rows to the file; one that is not finished goes away."""
    file = _open(path, True, name)
    try:
        with file:
            _fill(outcome, file, style)
    except BaseException as error:
        if path.is_file():
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise files.failure(error) from error
        raise


def _fill(outcome: CopyOut, file: BinaryIO, style: Style) -> None:
    if outcome.format.format == "parquet":
        rows = ParquetWriter(outcome.format, style, file)
        with closing(rows):
            for batch in outcome.batches:
                rows.write(batch)
            rows.finish()
        return
    writer = formats.writer(outcome.format, style)
    file.write(writer.header())
    for batch in outcome.batches:
        file.write(writer.write(batch))
    file.write(writer.trailer())
