"""The manifest: the one truth about a data folder, as one atomic whole.

`manifest` is JSON, written aside, fsynced and renamed:

    {"format": 3, "crc32c": of the rest without this field, "id": text, "log": first log file to replay,
     "commit": n, "catalog": {...}, "next_oid": n, "next_segment": n, "sequences": {oid: [value, called]},
     "tables": {oid: {"next_row_id": n, "segments": [segment, ...]}}}

    segment: {"file": name, "rows": n, "deleted": file or null, "base": row id,
              "nbytes": length of the file, "run": sorted run, "vectors": [names of the vector files
              that it refers to]}

Everything up to `commit` is in what it names, everything later in the log from file `log` on. Files that
it does not name are left over from a checkpoint that did not finish, and are removed. The id is drawn when
a folder is made or restored from a backup: of two folders with one id, one is a backup of the other, and a
file name means the same file in both; `next_segment` sees to that (see storage.segments.segmentfolder).

Format 2 did not say a segment's `vectors`, of which it had none; format 1 neither `base`, `nbytes` and `run`:
its row ids are absolute, and its length is not known.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import crc32c

from storage import codec
from storage.catalog import Catalog
from storage.definitions import FIRST_USER_OID
from storage.durability import files
from storage.errors import DataCorrupted
from storage.segments import segmentfolder
from storage.segments.sealed import Sealed, SegmentEntry
from storage.segments.table import Store

NAME = "manifest"
_FORMAT = 3
_FORMATS = (1, 2, 3)


@dataclass(frozen=True)
class TableFiles:
    """What a table is made of on disk."""

    next_row_id: int
    segments: tuple[SegmentEntry, ...]

    def open(self, folder: Path) -> Store:
        """The table's store, its segments opened and not loaded."""
        store = Store()
        store.parts = tuple(Sealed.open(folder / segmentfolder.NAME, entry) for entry in self.segments)
        store.next_row_id = self.next_row_id
        return store


@dataclass
class Manifest:
    """See the module's text."""

    log: int = 1
    commit: int = 0
    catalog: Catalog = field(default_factory=Catalog)
    next_oid: int = FIRST_USER_OID
    sequences: dict[int, tuple[int, bool]] = field(default_factory=dict)
    tables: dict[int, TableFiles] = field(default_factory=dict)
    next_segment: int = 1
    id: str = field(default_factory=lambda: uuid4().hex)

    def files(self) -> set[str]:
        """The names of the files of segments, vectors and deleted rows that it stands on."""
        named = [segment for table in self.tables.values() for segment in table.segments]
        files = {name for segment in named for name in segment.files}
        return files | {segment.deleted for segment in named if segment.deleted is not None}

    def write(self, folder: Path) -> None:
        """Make this the truth."""
        body: dict[str, Any] = {
            "format": _FORMAT,
            "id": self.id,
            "log": self.log,
            "commit": self.commit,
            "catalog": codec.encode_catalog(self.catalog),
            "next_oid": self.next_oid,
            "next_segment": self.next_segment,
            "sequences": {str(oid): value for oid, value in self.sequences.items()},
            "tables": {
                str(oid): {
                    "next_row_id": table.next_row_id,
                    "segments": [asdict(entry) for entry in table.segments],
                }
                for oid, table in self.tables.items()
            },
        }
        body["crc32c"] = crc32c.crc32c(codec.json_bytes(body))
        files.replace(folder / NAME, [codec.json_bytes(body)])

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The folder's manifest; a fresh one where there is none. Raises DataCorrupted."""
        path = folder / NAME
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise files.failure(error) from error
        try:
            body = json.loads(text)
            stated = body.pop("crc32c")
        except (ValueError, KeyError) as error:
            raise _damage(path, str(error)) from error
        if crc32c.crc32c(codec.json_bytes(body)) != stated:
            raise _damage(path, "its checksum is wrong")
        if body["format"] not in _FORMATS:
            raise DataCorrupted(
                f'"{path}" has format {body["format"]}, this server reads {_FORMAT}',
                hint="Use the version of the server that wrote it.",
            )
        try:
            return cls._of(body)
        except (KeyError, TypeError, ValueError) as error:
            raise codec.newer("a manifest") from error

    @classmethod
    def _of(cls, body: dict[str, Any]) -> Manifest:
        return cls(
            body["log"],
            body["commit"],
            codec.decode_catalog(body["catalog"]),
            body["next_oid"],
            {int(oid): (value, called) for oid, (value, called) in body["sequences"].items()},
            {
                int(oid): TableFiles(
                    table["next_row_id"], tuple(SegmentEntry.of(segment) for segment in table["segments"])
                )
                for oid, table in body["tables"].items()
            },
            body.get("next_segment", 1),
            body.get("id", uuid4().hex),  # of a folder that an older server wrote
        )


def _damage(path: Path, why: str) -> DataCorrupted:
    return DataCorrupted(
        f'manifest "{path}" cannot be read: {why}', hint="Restore the data folder from a backup."
    )
