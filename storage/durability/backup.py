"""Backups: the files of one checkpoint, copied into a folder of their own, and back.

A backup is a data folder without a log: segment files, files of deleted rows, and the manifest that names
them, which comes last and makes it whole; until then the backup before it is. Segment files never change and
no name is used twice, so a file that is there already is not copied again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from storage.durability import files, log
from storage.durability import manifest as manifests
from storage.durability.files import FolderLock
from storage.durability.manifest import Manifest
from storage.errors import DuplicateFile, ObjectNotInPrerequisiteState, UndefinedFile
from storage.segments.segmentfolder import NAME as SEGMENTS

_STEP = 4 << 20
_TAIL = 64  # bytes at the end of a file: with its length they tell it from others, for they hold checksums


@dataclass(frozen=True)
class Report:
    """What a backup is made of: files and their bytes, and those that had to be copied."""

    files: int
    bytes: int
    copied: int
    copied_bytes: int


def save(folder: Path, manifest: Manifest, to: Path, check: Callable[[], None]) -> Report:
    """Make `to` a backup of the data folder as `manifest` has it; nobody may remove its files meanwhile.

    Raises DuplicateFile where `to` holds something else, ObjectNotInPrerequisiteState where it is a backup
    of another database, DiskFull, FileError; what was a backup before still is one then.
    """
    _make(to)
    lock = FolderLock(to)
    try:
        _must_fit(manifest, to)
        report = _copy(folder, manifest, to, check)
        manifest.write(to)
        _tidy(manifest, to)
    finally:
        lock.release()
    return report


def restore(backup: Path, to: Path, check: Callable[[], None]) -> Report:
    """Make the folder `to` a data folder with what the backup holds, and with an id of its own.

    Raises UndefinedFile where there is no backup, DataCorrupted where it cannot be read, DuplicateFile where
    `to` is not empty, DiskFull, FileError.
    """
    if not (backup / manifests.NAME).exists():
        raise UndefinedFile(f'"{backup}" holds no backup: it has no manifest')
    manifest = Manifest.read(backup)
    if to.exists() and any(to.iterdir()):
        raise DuplicateFile(f'folder "{to}" is not empty', hint="Restore into a new folder.")
    _make(to)
    lock = FolderLock(to)
    try:
        report = _copy(backup, manifest, to, check)
        replace(manifest, id=uuid4().hex).write(to)
    finally:
        lock.release()
    return report


def _make(folder: Path) -> None:
    files.make_folder(folder)
    if not any(folder.iterdir()):
        files.make_folder(folder / SEGMENTS)


def _must_fit(manifest: Manifest, to: Path) -> None:
    """Whether a backup of this database may be put there."""
    if not (to / manifests.NAME).exists():
        strange = sorted(path.name for path in to.iterdir() if path.name not in (SEGMENTS, "lock"))
        if strange:
            raise DuplicateFile(
                f'folder "{to}" is not empty and holds no backup: there is "{strange[0]}"',
                hint="Back up into a new folder, or into one with an earlier backup of this database.",
            )
    elif Manifest.read(to).id != manifest.id:
        raise ObjectNotInPrerequisiteState(
            f'folder "{to}" holds a backup of another database', hint="Back up into a new folder."
        )
    elif log.numbers(to):
        raise ObjectNotInPrerequisiteState(
            f'folder "{to}" is a data folder that a server has written to',
            hint="Back up into a new folder.",
        )


def _copy(folder: Path, manifest: Manifest, to: Path, check: Callable[[], None]) -> Report:
    """Copy what the manifest names and is not there yet."""
    named = sorted(manifest.files())
    total = copied = copied_bytes = 0
    files.make_folder(to / SEGMENTS)
    for name in named:
        source, target = folder / SEGMENTS / name, to / SEGMENTS / name
        try:
            size = source.stat().st_size
            if not _same(source, target, size):
                files.replace(target, _content(source, check))
                copied, copied_bytes = copied + 1, copied_bytes + size
        except OSError as error:
            raise files.failure(error) from error
        total += size
    return Report(len(named), total, copied, copied_bytes)


def _same(source: Path, target: Path, size: int) -> bool:
    if not target.exists() or target.stat().st_size != size:
        return False
    return _tail(source, size) == _tail(target, size)


def _tail(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(size - _TAIL, 0))
        return file.read()


def _content(path: Path, check: Callable[[], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_STEP):
            check()
            yield data


def _tidy(manifest: Manifest, to: Path) -> None:
    """Remove what an earlier backup needed, and this one does not."""
    named = manifest.files()
    for path in (to / SEGMENTS).iterdir():
        if path.name not in named:
            files.remove(path)
