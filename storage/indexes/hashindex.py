"""Hash indexes: which rows may have a key, by a 64-bit hash of its values.

    HashIndex     of a sealed part: immutable, made once, two buffers that stand in the segment's file
    RowIndex      of a table's blocks, entered as rows are committed; and of an open transaction's own rows
    PendingKeys   keys of all open transactions, so that another who wants one waits

An index knows hashes only: what it finds is a candidate, and the values decide (see storage.indexes.lookup).
The hash is of storage.indexes.comparable's words, so that values are equal in an index as they are in SQL:
1.0 and 1.00, -0 and 0, NaN and NaN, 'a' and 'a ' as char(2). Equal values of int2, int4 and int8 hash alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from storage import kernels
from storage.column import Column, Positions
from storage.definitions import KeyColumns, Table
from storage.indexes.comparable import Key, Words, hash_keys, keys_of
from storage.indexes.onekey import SALT
from storage.kernels.plain.buckets import position_bits
from storage.segments.segment import Section
from storage.types import CIDR, INET, JSONB, Type

VERSION = 1
_SPELT = 2
"""Of keys with an address or a jsonb: once hashed by their texts, now by what storage.indexes.spelt makes."""
_SPELT_OIDS = frozenset((INET.oid, CIDR.oid, JSONB.oid))


class Hashed(NamedTuple):
    """The keys of some rows: comparable, hashed, and which rows have one (None: all)."""

    keys: list[Key]
    hashes: Words
    rows: Positions | None

    @property
    def asked(self) -> tuple[Words, Positions | None]:
        """(hashes of the rows that have a key, those rows)."""
        return (self.hashes if self.rows is None else self.hashes[self.rows]), self.rows


def hashed(columns: Sequence[Column], rows: int, nulls: bool = False) -> Hashed:
    """The keys that these columns make, row by row; a row with a null has one only if `nulls`."""
    keys = keys_of(columns, rows)
    hashes = hash_keys(keys, rows, SALT)
    valid = None
    for key in () if nulls else keys:
        if key.valid is not None and not key.valid.all():
            valid = key.valid if valid is None else valid & key.valid
    return Hashed(keys, hashes, None if valid is None else np.flatnonzero(valid))


def version_of(table: Table, key: KeyColumns) -> int:
    """Of the hash and the buffers of a HashIndex of these columns: one of another version is made anew."""
    return _SPELT if any(_is_spelt(table.definition(number).type) for number in key.numbers) else VERSION


def _is_spelt(type: Type) -> bool:
    if type.element is not None:
        return _is_spelt(type.element)
    return type.oid in _SPELT_OIDS or any(_is_spelt(part.type) for part in type.attributes or ())


class HashIndex(NamedTuple):
    """Rows in buckets by hash: see storage.kernels.plain.buckets for the bytes."""

    heads: Words
    entries: Any  # (n,) uint32
    rows: int

    @classmethod
    def of(cls, key: Hashed) -> HashIndex:
        """The index of all rows of a part."""
        hashes, rows = key.asked
        positions = np.arange(len(hashes), dtype=np.int64) if rows is None else rows
        return cls(*kernels.bucket_rows(hashes, positions, len(key.hashes)), len(key.hashes))

    def section(self, version: int) -> Section:
        """What stands of it in a segment's file: the heads, then the entries, little-endian."""
        head = {"version": version, "rows": self.rows}
        return Section.of(head, [self.heads.view(np.uint8), self.entries.view(np.uint8)])

    @classmethod
    def read(cls, section: Section, version: int) -> HashIndex | None:
        """The inverse of `section`; None where it is of another version."""
        if section.head.get("version") != version:
            return None
        return section.made(cls._made, 2)

    @classmethod
    def _made(cls, head: Mapping[str, Any], buffers: Sequence[Any]) -> HashIndex:
        heads, entries = buffers
        return cls(heads.view(np.uint64), entries.view(np.uint32), head["rows"])

    def probe(self, hashes: Words) -> tuple[Positions, Positions]:
        """(which of `hashes`, position of a row that may have it)."""
        return kernels.probe_buckets(self.heads, self.entries, self.rows, hashes)

    def rows_of(self, hash: int) -> list[int]:
        """The positions of rows that may have a hash: `probe` of one, which a call of a kernel takes longer
        for. The meaning is storage.kernels.plain.buckets's.
        """
        bits = (len(self.heads) - 1).bit_length() - 1
        at = hash >> 64 - bits
        head = int(self.heads[at])
        if not head >> (hash & 31) & 1:
            return []
        low = position_bits(self.rows)
        width, mask = 32 - low, (1 << low) - 1
        tag = hash >> 64 - bits - width & (1 << width) - 1
        entries = self.entries[head >> 32 : int(self.heads[at + 1]) >> 32].tolist()
        return [entry & mask for entry in entries if entry >> low == tag]


def sections_of(table: Table, columns: Mapping[int, Column], rows: int) -> dict[str, Section]:
    """The indexes of a segment's rows, by name; `columns` are those of the table's keys, by attnum."""
    found: dict[str, Section] = {}
    for _, key in table.indexed:
        if key.name not in found:
            values = hashed([columns[number] for number in key.numbers], rows, key.nulls)
            found[key.name] = HashIndex.of(values).section(version_of(table, key))
    return found


class _Chains:
    """Hashes numbered in the order in which they were entered."""

    def __init__(self) -> None:
        self.count = 0
        self.hashes = np.empty(32, np.uint64)
        self._following = np.empty(32, np.int32)
        self._slots = np.full(32, -1, np.int32)

    def enter(self, hashes: Words) -> slice:
        """Add hashes; returns their numbers."""
        start, stop = self.count, self.count + len(hashes)
        if stop > len(self.hashes):
            self.hashes = grown(self.hashes, start, stop)
            self._following = grown(self._following, start, stop)
        self.hashes[start:stop] = hashes
        if stop > len(self._slots):
            self._slots = np.full(1 << (2 * stop - 1).bit_length(), -1, np.int32)
            start = 0
        kernels.chain_words(self._slots, self._following, self.hashes, start, stop)
        self.count = stop
        return slice(stop - len(hashes), stop)

    def enter_one(self, hash: int) -> int:
        """`enter` of one hash; returns its number."""
        at = self.count
        if at + 1 > min(len(self.hashes), len(self._slots)):
            start: int = self.enter(np.array((hash,), np.uint64)).start
            return start
        self.hashes[at] = hash
        home = hash >> 65 - len(self._slots).bit_length()
        self._following[at] = self._slots[home]
        self._slots[home] = at
        self.count = at + 1
        return at

    def entries(self, hash: int) -> Iterator[int]:
        """The numbers of the entries that have a hash, the newest first."""
        at = int(self._slots[hash >> 65 - len(self._slots).bit_length()])
        while at >= 0:
            if int(self.hashes[at]) == hash:
                yield at
            at = int(self._following[at])

    def unlink(self, hash: np.uint64, dropped: Callable[[int], bool]) -> None:
        """Have the entries of one hash that `dropped` tells by number found no more."""
        slots, following = self._slots, self._following
        home = int(hash) >> (64 - (len(slots).bit_length() - 1))
        before, at = -1, int(slots[home])
        while at >= 0:
            after = int(following[at])
            if not dropped(at):
                before = at
            elif before < 0:
                slots[home] = after
            else:
                following[before] = after
            at = after

    def probe(self, hashes: Words) -> tuple[Positions, Positions]:
        """(which of `hashes`, number of an entry that has it), the newest entry first."""
        return kernels.probe_chains(self._slots, self._following, self.hashes, hashes)


def grown(values: Any, count: int, needed: int) -> Any:
    """An array with room for more than `needed`, whose first `count` values are those of `values`."""
    result = np.empty(max(2 * needed, 32), values.dtype)
    result[:count] = values[:count]
    return result


class RowIndex:
    """Row ids by hash. Thread-safe."""

    def __init__(self) -> None:
        self._chains = _Chains()
        self._row_ids = np.empty(32, np.int64)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._chains.count

    def add(self, hashes: Words, row_ids: Positions) -> None:
        """Enter rows."""
        with self._lock:
            count = self._chains.count
            if count + len(hashes) > len(self._row_ids):
                self._row_ids = grown(self._row_ids, count, count + len(hashes))
            self._row_ids[self._chains.enter(hashes)] = row_ids

    def add_one(self, hash: int, row_id: int) -> None:
        """Enter a row."""
        with self._lock:
            count = self._chains.count
            if count == len(self._row_ids):
                self._row_ids = grown(self._row_ids, count, count + 1)
            self._row_ids[self._chains.enter_one(hash)] = row_id

    def has(self, hash: int) -> bool:
        """Whether a row may have it."""
        with self._lock:
            return any(True for _ in self._chains.entries(hash))

    def row_ids(self, hash: int) -> list[int]:
        """Those of rows that have a hash, the newest first."""
        if not self._chains.count:
            return []
        with self._lock:
            return [int(self._row_ids[entry]) for entry in self._chains.entries(hash)]

    def discard(self, hashes: Words, row_ids: Positions) -> None:
        """Forget these rows, which have one of `hashes`."""
        gone = set(row_ids.tolist())
        with self._lock:
            for hash in hashes:
                self._chains.unlink(hash, lambda entry: int(self._row_ids[entry]) in gone)

    @property
    def hashes(self) -> Words:
        """All that were entered."""
        return self._chains.hashes[: self._chains.count].copy()

    def probe(self, hashes: Words) -> tuple[Positions, Positions]:
        """(which of `hashes`, id of a row that has it), the newest first."""
        if not self._chains.count:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        with self._lock:
            asked, entries = self._chains.probe(hashes)
            return asked, self._row_ids[entries]


class PendingKeys:
    """Hashes that open transactions are about to hold. The table's lock guards it.

    They are entered into chains only once another transaction asks: a load that is alone has no need of it.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._chains = _Chains()
        self._owners = np.zeros(32, np.int64)
        self._new: list[tuple[int, Words]] = []
        self._open: dict[int, tuple[Any, int]] = {}  # number -> (transaction, how many entries it made)

    def enter(self, transaction: Any, hashes: Words) -> None:
        """`transaction` is about to hold these."""
        self._new.append((transaction.number, hashes))
        _, made = self._open.get(transaction.number, (None, 0))
        self._open[transaction.number] = transaction, made + len(hashes)

    @property
    def empty(self) -> bool:
        """Whether no transaction is about to hold anything."""
        return not self._open

    def others(self, transaction: Any, hashes: Words) -> tuple[Positions, list[Any]]:
        """(which of `hashes`, an open transaction other than this one that is about to hold it)."""
        if not self._open or self._open.keys() == {transaction.number}:
            return np.zeros(0, np.int64), []
        self._place()
        asked, entries = self._chains.probe(hashes)
        owners = self._owners[entries].tolist()
        found = [(i, self._open[o][0]) for i, o in enumerate(owners) if o in self._open]
        found = [(i, other) for i, other in found if other is not transaction]
        return asked[[i for i, _ in found]], [other for _, other in found]

    def _place(self) -> None:
        for number, hashes in self._new:
            span = self._chains.enter(hashes)
            if span.stop > len(self._owners):
                self._owners = grown(self._owners, span.start, span.stop)
            self._owners[span] = number
        self._new = []

    def leave(self, transaction: Any) -> bool:
        """`transaction` holds nothing any more; whether it held something."""
        if self._open.pop(transaction.number, None) is None:
            return False
        if not self._open:
            self._clear()
            return True
        self._new = [(number, hashes) for number, hashes in self._new if number != transaction.number]
        if self._chains.count > 64 and sum(made for _, made in self._open.values()) < self._chains.count // 2:
            self._shrink()
        return True

    def give_back(self, transaction: Any) -> bool:
        """`leave`, by one that goes on and will enter what it still holds."""
        owners = self._owners[: self._chains.count]
        owners[owners == transaction.number] = 0
        return self.leave(transaction)

    def _shrink(self) -> None:
        """Let go of the entries of those that left."""
        count, owners = self._chains.count, self._owners
        kept = np.flatnonzero(np.isin(owners[:count], list(self._open)))
        hashes = self._chains.hashes[kept]
        self._chains = _Chains()
        self._owners = np.zeros(max(len(kept), 32), np.int64)
        self._owners[self._chains.enter(hashes)] = owners[kept]
