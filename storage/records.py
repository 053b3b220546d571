"""What stands in a log record: one transaction, or one sequence's advance.

    4 bytes   length of the head, little-endian as all of it
    n bytes   head: JSON
    buffers   one after another, each padded to 8 bytes; the head says how long each is

    head of a commit: {"commit": n, "put": [definitions], "drop": [oids], "next_oid": n, "tables": [
        {"oid": n, "first": row id, "truncated": bool, "batches": [bytes, ...], "deleted": count,
         "succeeded": count}]}
    head of a sequence: {"sequence": oid, "value": n, "called": bool}

A table's buffers are its batches (Arrow streams), the deleted row ids, then pairs (old, new) of updated
rows (int64 each). A small commit without definitions has no JSON and its batches as storage.compact has
them:

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
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from storage import codec, compact
from storage.batch import Batch
from storage.blocks import BLOCK_BYTES, BLOCK_ROWS
from storage.catalog import Relation, Role, Schema, Table
from storage.changes import TableChanges
from storage.column import Positions
from storage.files import Buffer
from storage.missing import conform

_HEAD = struct.Struct("<I")
_SMALL = struct.Struct("<IIQQ")
_TABLE = struct.Struct("<QQIIII")
_SEQUENCE = struct.Struct("<IIQqQ")
_NO_TABLES = (1 << 32) - 1
_SMALL_BATCHES = 16


@dataclass
class TableRecord:
    """What a commit did to one table. Row ids of `batches` count up from `first`."""

    table: Table
    first: int
    truncated: bool
    batches: list[Batch]
    deleted: Positions
    succeeded: Positions  # (n, 2): old row id, new row id


def gather(changes: TableChanges, table: Table, first: int) -> TableRecord:
    """What a transaction leaves of a table when it commits, its rows numbered from `first` on."""
    batches: list[Batch] = []
    final: dict[int, int] = {}  # own row ids that successors name
    successors = dict(changes.successors())
    named = set(successors.values())
    next_id = first
    for rows, start, living in changes.live():
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
    return TableRecord(table, first, changes.truncated > 0, batches, deleted, succeeded)


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
    put: list[Relation | Schema | Role] = field(default_factory=list)
    drop: list[int] = field(default_factory=list)
    tables: list[TableRecord] = field(default_factory=list)

    @property
    def small(self) -> bool:
        """Whether it is written without JSON."""
        return not (self.put or self.drop) and all(
            len(record.batches) <= _SMALL_BATCHES and all(map(compact.suits, record.batches))
            for record in self.tables
        )

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
            tables.append(
                {
                    "oid": record.table.oid,
                    "first": record.first,
                    "truncated": record.truncated,
                    "batches": lengths,
                    "deleted": len(record.deleted),
                    "succeeded": len(record.succeeded),
                }
            )
        head = {
            "commit": self.commit,
            "next_oid": self.next_oid,
            "put": [codec.encode_definition(item) for item in self.put],
            "drop": self.drop,
            "tables": tables,
        }
        return [*_headed(head), *buffers]


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

    def definitions(self) -> list[Relation | Schema | Role]:
        """What the commit defined."""
        return [codec.decode_definition(item) for item in self.head["put"]]

    def table(self, value: dict[str, Any], table: Table) -> TableRecord:
        """What the commit did to a table, of which `value` is the head's part."""
        types = tuple(column.type for column in table.columns)
        batches = [self._decode(types, self.take(length)) for length in value["batches"]]
        deleted = self.integers(value["deleted"])
        succeeded = self.integers(2 * value["succeeded"]).reshape(-1, 2)
        return TableRecord(table, value["first"], value["truncated"], batches, deleted, succeeded)


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
