"""What stands in a log record: one transaction, or one sequence's advance.

    4 bytes   length of the head, little-endian as all of it
    n bytes   head: JSON
    buffers   one after another, each padded to 8 bytes; the head says how long each is

    head of a commit: {"commit": n, "put": [definitions], "drop": [oids], "next_oid": n, "tables": [
        {"oid": n, "first": row id, "truncated": bool, "batches": [bytes, ...], "deleted": count,
         "succeeded": count, "segments": [{"file": name, "rows": n, "nbytes": length of the file,
         "base": row id, "dead": count, "vectors": [names of the vector files it refers to]}]}]}
    head of a sequence: {"sequence": oid, "value": n, "called": bool}

A table's buffers are its batches (Arrow streams), the deleted row ids, pairs (old, new) of updated rows, then
for each segment file the positions of rows that are not to be seen (int64 each). Without segment files
"segments" is not there. A small commit without definitions has no JSON and its batches as
storage.durability.compact has them:

    4 bytes   0: no head is that long
    4 bytes   number of tables
    8 bytes   commit
    8 bytes   next_oid
    tables    each: 8 bytes oid, 8 first, 4 truncated, 4 deleted, 4 succeeded, 4 number of batches, then
              the length of each batch, 4 bytes; all together padded to 8
    buffers   as above

and a sequence's advance

    4 bytes   0
    4 bytes   2**32 - 1
    8 bytes   oid
    8 bytes   value
    8 bytes   called: 0 or 1
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from storage import codec
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Mask, Positions
from storage.definitions import Definition, Table
from storage.durability import compact
from storage.durability.files import Buffer
from storage.rows import Row
from storage.segments.blocks import BLOCK_BYTES, BLOCK_ROWS
from storage.segments.missing import conform
from storage.segments.sealed import Sealed, SegmentEntry
from storage.segments.segment import Segment
from storage.transactions.changes import TableChanges
from storage.transactions.ownrows import OwnRows

_HEAD = struct.Struct("<I")
_SMALL = struct.Struct("<IIQQ")
_TABLE = struct.Struct("<QQIIII")
_ROW = struct.Struct("<IIQQQQIIIII4xII")  # one table with one batch of one row
_SEQUENCE = struct.Struct("<IIQqQ")
_NO_TABLES = (1 << 32) - 1
_SMALL_BATCHES = 16


@dataclass(frozen=True)
class LoggedSegment:
    """A segment file that a commit adds to a table."""

    entry: SegmentEntry
    dead: Positions  # (n,) rows that the transaction itself deleted
    segment: Segment | None  # the file, if it is open

    def described(self) -> dict[str, Any]:
        """Its part of a record's head."""
        entry = self.entry
        described = {"file": entry.file, "rows": entry.rows, "nbytes": entry.nbytes, "base": entry.base}
        return described | {"dead": len(self.dead), "vectors": entry.vectors}

    def open(self, folder: Path, commit: int) -> Sealed:
        """The table's part, as of the commit."""
        if self.segment is None:
            part = Sealed.open(folder, self.entry)
        else:
            part = Sealed(self.segment, self.entry.base, None, None)
            part.file, part.nbytes = self.entry.file, self.entry.nbytes
        gone = None
        if len(self.dead):
            gone = np.zeros(part.rows, np.int64)
            gone[self.dead] = commit
        part.mark(gone, np.broadcast_to(np.int64(commit), part.rows))
        return part


@dataclass
class TableRecord:
    """What a commit did to one table. Row ids of `batches` count up from `first`; `segments` say theirs."""

    table: Table
    first: int
    truncated: bool
    batches: list[Batch]
    deleted: Positions
    succeeded: Positions  # (n, 2): old row id, new row id
    segments: list[LoggedSegment] = field(default_factory=list)


def gather(changes: TableChanges, table: Table, first: int) -> TableRecord:
    """What a transaction leaves of a table when it commits, its rows numbered from `first` on."""
    batches: list[Batch] = []
    final: dict[int, int] = {}  # own row ids that successors name
    successors = dict(changes.successors())
    named = set(successors.values())
    segments: list[LoggedSegment] = []
    next_id = first
    for rows, start, living in changes.live():
        if rows.sealed:
            segments += _logged(rows, start, living, next_id)
            alive = rows.row_ids[start:] if living is None else rows.row_ids[start:][living]
            final |= {r: next_id + rows.first - r for r in alive.tolist() if r in named} if named else {}
            next_id += sum(part.rows for part in rows.sealed)
    first = next_id
    for rows, start, living in changes.live():
        if rows.sealed:
            continue
        row_ids = rows.row_ids[start:]
        batch = conform(rows.batch(), rows.numbers, table)
        batch = batch.slice(start, rows.rows) if start else batch
        if living is not None:
            batch, row_ids = batch.take(living), row_ids[living]
        if named:
            final |= {r: next_id + at for at, r in enumerate(row_ids.tolist()) if r in named}
        next_id += batch.rows
        if batch.rows:
            batches.append(batch)
    batches = _joined(batches)
    deleted = np.array(sorted(changes.deleted), np.int64)
    pairs = [(old, final[new]) for old, new in successors.items() if new in final]
    succeeded = np.array(pairs, np.int64).reshape(-1, 2)
    return TableRecord(table, first, changes.truncated > 0, batches, deleted, succeeded, segments)


def _logged(rows: OwnRows, start: int, living: Mask | None, base: int) -> Iterator[LoggedSegment]:
    """The files of own rows, of which those from `start` on where `living` says so are kept."""
    kept = np.zeros(sum(part.rows for part in rows.sealed), np.bool_)
    kept[start : rows.rows] = True if living is None else living
    for part in rows.sealed:
        own = part.row_ids_of(0, part.rows, None)
        entry = replace(part.entry(), base=base + part.base, run=0)
        yield LoggedSegment(entry, np.flatnonzero(~kept[own]), part.segment)


def _joined(batches: list[Batch]) -> list[Batch]:
    """Small batches joined to a block's size."""
    groups: list[list[int]] = []
    rows = size = 0
    for number, batch in enumerate(batches):
        rows, size = rows + batch.rows, size + batch.nbytes
        if not groups or size > BLOCK_BYTES or rows > BLOCK_ROWS:
            groups.append([])
            rows, size = batch.rows, batch.nbytes
        groups[-1].append(number)
    return [Batch.concat([batches[number] for number in group]) for group in groups]


@dataclass
class CommitRecord:
    """A transaction as the log holds it."""

    commit: int
    next_oid: int
    put: list[Definition] = field(default_factory=list)
    drop: list[int] = field(default_factory=list)
    tables: list[TableRecord] = field(default_factory=list)

    @property
    def small(self) -> bool:
        """Whether it is written without JSON."""
        return not (self.put or self.drop) and all(
            not record.segments
            and len(record.batches) <= _SMALL_BATCHES
            and all(map(compact.suits, record.batches))
            for record in self.tables
        )

    @property
    def says_something(self) -> bool:
        """Whether there is anything that the log is to hold."""
        return bool(self.put or self.drop or self.tables)

    def encode(self) -> list[Buffer]:
        """The record's payload as buffers."""
        return self._encode_small() if self.small else self._encode()

    def _encode_small(self) -> list[Buffer]:
        head: list[Buffer] = [_SMALL.pack(0, len(self.tables), self.commit, self.next_oid)]
        buffers: list[Buffer] = []
        odd = 0
        for record in self.tables:
            batches = [compact.encode(batch) for batch in record.batches]
            counts = len(record.deleted), len(record.succeeded), len(batches)
            head.append(_TABLE.pack(record.table.oid, record.first, record.truncated, *counts))
            head.append(struct.pack(f"<{len(batches)}I", *map(len, batches)))
            odd += len(batches)
            buffers += [*batches, record.deleted.tobytes(), record.succeeded.tobytes()]
        return [b"".join([*head, bytes(4 * (odd % 2)), *buffers])]

    def _encode(self) -> list[Buffer]:
        """The record's payload as buffers."""
        tables: list[dict[str, Any]] = []
        buffers: list[Buffer] = []
        for record in self.tables:
            encoded = [codec.encode_parts(batch) for batch in record.batches]
            lengths = [sum(map(len, parts)) for parts in encoded]
            for parts, length in zip(encoded, lengths, strict=True):
                buffers += [*parts, bytes(-length % 8)]
            buffers += [record.deleted.data.cast("B"), record.succeeded.reshape(-1).data.cast("B")]
            buffers += [segment.dead.data.cast("B") for segment in record.segments]
            described = {
                "oid": record.table.oid,
                "first": record.first,
                "truncated": record.truncated,
                "batches": lengths,
                "deleted": len(record.deleted),
                "succeeded": len(record.succeeded),
            }
            if record.segments:
                described["segments"] = [segment.described() for segment in record.segments]
            tables.append(described)
        head = {
            "commit": self.commit,
            "next_oid": self.next_oid,
            "put": [codec.encode_definition(item) for item in self.put],
            "drop": self.drop,
            "tables": tables,
        }
        return [*_headed(head), *buffers]


class RowRecord:
    """The record of a commit that inserts one row of a table, out of plain values.

    The bytes are those of a CommitRecord; what is the same for every row is made once.
    """

    def __init__(self, table: Table) -> None:
        """`table` has columns of plain types only: see storage.rows."""
        cells = [compact.cell_encoder(column.type) for column in table.stored]
        assert None not in cells
        self._cells = [cell for cell in cells if cell is not None]
        self._oid = table.oid

    def encode(self, commit: int, next_oid: int, first: int, row: Row) -> bytes:
        """The payload, of a row that gets the row id `first`."""
        cells = b"".join([cell(value) for cell, value in zip(self._cells, row, strict=True)])
        head = (0, 1, commit, next_oid, self._oid, first, 0, 0, 0, 1)
        return _ROW.pack(*head, len(cells) + 8, 1, len(self._cells)) + cells


@dataclass
class SequenceRecord:
    """A sequence's value as the log promises it."""

    oid: int
    value: int
    called: bool

    def encode(self) -> list[Buffer]:
        """The record's payload as buffers."""
        return [_SEQUENCE.pack(0, _NO_TABLES, self.oid, self.value, self.called)]


def _headed(head: dict[str, Any]) -> list[Buffer]:
    text = codec.json_bytes(head)
    text += b" " * (-(len(text) + _HEAD.size) % 8)
    return [_HEAD.pack(len(text)), text]


class Reader:
    """A record read back: the head, then buffers in turn."""

    def __init__(self, payload: memoryview) -> None:
        self._payload = payload
        (length,) = _HEAD.unpack_from(payload)
        self._decode = codec.decode_batch if length else compact.decode
        if length:
            self.head: dict[str, Any] = json.loads(bytes(payload[_HEAD.size : _HEAD.size + length]))
            self._at = _HEAD.size + length
        else:
            self.head, self._at = _small_head(payload)

    def take(self, length: int) -> memoryview:
        """The next buffer."""
        view = self._payload[self._at : self._at + length]
        self._at += length + -length % 8
        return view

    def integers(self, count: int) -> Positions:
        """The next buffer as `count` int64."""
        return np.frombuffer(self.take(8 * count), np.int64)

    def sequence(self) -> SequenceRecord | None:
        """The record, if it is a sequence's."""
        if "sequence" not in self.head:
            return None
        return SequenceRecord(self.head["sequence"], self.head["value"], self.head["called"])

    def definitions(self) -> list[Definition]:
        """What the commit defined."""
        return [codec.decode_definition(item) for item in self.head["put"]]

    def catalog(self, before: Catalog) -> Catalog:
        """The catalog after the commit."""
        dropped: dict[int, Definition | None] = dict.fromkeys(self.head["drop"])
        put = {item.oid: item for item in self.definitions()}
        return before.changed(dropped | put) if dropped or put else before

    def table(self, value: dict[str, Any], table: Table) -> TableRecord:
        """What the commit did to a table, of which `value` is the head's part."""
        types = table.types
        batches = [self._decode(types, self.take(length)) for length in value["batches"]]
        deleted = self.integers(value["deleted"])
        succeeded = self.integers(2 * value["succeeded"]).reshape(-1, 2)
        segments = []
        for item in value.get("segments", ()):
            vectors = tuple(item.get("vectors", ()))
            entry = SegmentEntry(item["file"], item["rows"], None, item["base"], item["nbytes"], 0, vectors)
            segments.append(LoggedSegment(entry, self.integers(item["dead"]), None))
        return TableRecord(table, value["first"], value["truncated"], batches, deleted, succeeded, segments)


def _small_head(payload: memoryview) -> tuple[dict[str, Any], int]:
    """The head of a record without JSON as if it had one, and where the buffers begin."""
    if _SMALL.unpack_from(payload)[1] == _NO_TABLES:
        _, _, oid, value, called = _SEQUENCE.unpack_from(payload)
        return {"sequence": oid, "value": value, "called": bool(called)}, _SEQUENCE.size
    _, count, commit, next_oid = _SMALL.unpack_from(payload)
    at = _SMALL.size
    tables: list[dict[str, Any]] = []
    for _ in range(count):
        oid, first, truncated, deleted, succeeded, batches = _TABLE.unpack_from(payload, at)
        at += _TABLE.size
        tables.append(
            {
                "oid": oid,
                "first": first,
                "truncated": bool(truncated),
                "batches": list(struct.unpack_from(f"<{batches}I", payload, at)),
                "deleted": deleted,
                "succeeded": succeeded,
            }
        )
        at += 4 * batches
    head = {"commit": commit, "next_oid": next_oid, "put": [], "drop": [], "tables": tables}
    return head, at + -at % 8
