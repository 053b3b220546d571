"""Groups: rows with equal keys get one number, dense and in order of first appearance.

As in GROUP BY, nulls are equal to each other, so are NaNs, and -0 is 0. `number` does it for one batch;
a `KeyIndex` does it for any number of batches and is the hash table behind GROUP BY, joins, DISTINCT
and set operations: a 64-bit hash finds the candidate, the keys themselves decide.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from engine.wholekeys import is_whole
from storage import kernels
from storage.column import Column, Mask, Positions
from storage.encodings.runcolumn import RunColumn
from storage.indexes.comparable import Key, Words, column_keys, hash_keys, key_count, keys_of, same_rows
from storage.rowbytes import same_strings
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import Form, Type

_WORD = 1 << 62
_TABLE = 1 << 12  # a table of so many numbers is made for any batch
_MUCH = 8  # a dictionary of more values for each row is not looked at for its rows
_TRIED = 64  # rows that are compared first


def number(columns: Sequence[Column], rows: int) -> tuple[Positions, Positions]:
    """(group of each row, first row of each group). Without columns all rows are one group.

    Texts come last: where the other columns' groups have each one text, as those of a customer's number have
    his name, it is enough to see that they do.
    """
    if not columns:
        return np.zeros(rows, np.int64), np.zeros(min(rows, 1), np.int64)
    columns = [column.spread(rows) for column in columns]
    texts = [column for column in columns if _is_text(column)]
    if not texts or len(texts) == len(columns):
        return _combined([_numbers(column) for column in columns], rows)
    groups, firsts = _combined([_numbers(column) for column in columns if not _is_text(column)], rows)
    texts = [column for column in texts if not _is_one(column, groups, firsts)]
    if not texts:
        return groups, firsts
    return _combined([_Numbers(groups, len(firsts), firsts), *map(_numbers, texts)], rows)


def number_keys(keys: Sequence[Key], rows: int) -> tuple[Positions, Positions]:
    """`number` of keys."""
    if not keys:
        return np.zeros(rows, np.int64), np.zeros(min(rows, 1), np.int64)
    return _combined([_key_numbers(key) for key in keys], rows)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """(rows,) a number for each value, equal where values are, and a limit that they are below.

    `firsts` is there where they are groups already: dense, in order of first appearance.
    """

    numbers: Positions
    limit: int
    firsts: Positions | None = None


def _combined(parts: Sequence[_Numbers], rows: int) -> tuple[Positions, Positions]:
    """Numbers of several columns as groups."""
    numbers, limit = parts[0].numbers, parts[0].limit
    if len(parts) == 1 and parts[0].firsts is not None:
        return numbers, parts[0].firsts
    for part in parts[1:]:
        more, most = part.numbers, part.limit
        if limit * most > _WORD:
            numbers, firsts = kernels.group_words(numbers.view(np.uint64))
            limit = len(firsts)
        numbers, limit = numbers * most + more, limit * most
    if limit <= max(rows, _TABLE):
        return kernels.group_codes(numbers, max(limit, 1))
    return kernels.group_words(numbers.view(np.uint64))


def _numbers(column: Column) -> _Numbers:
    """The numbers of a column's values: of a coded one its codes, without a look at its rows' values."""
    if isinstance(column, CodedColumn) and len(column.dictionary) <= len(column) * _MUCH:
        return _marked(_code_numbers(column), column.valid)
    if isinstance(column, RunColumn) and is_whole(column.type):
        groups, firsts = kernels.group_words(column.runs.astype(np.int64, copy=False).view(np.uint64))
        return _Numbers(column.repeated(groups), len(firsts), column.begins[firsts])
    if column.units is not None:
        groups, firsts = kernels.group_words(column.units.view(np.uint64))
        return _marked(_Numbers(groups, len(firsts), firsts), column.valid)
    parts = [_key_numbers(key) for key in column_keys(column)]
    if len(parts) == 1:
        return parts[0]
    groups, firsts = _combined(parts, len(column))
    return _Numbers(groups, len(firsts), firsts)


def _is_text(column: Column) -> bool:
    """Whether a column's values are texts or bytes, and not codes of a few of them."""
    if isinstance(column, CodedColumn) and len(column.dictionary) <= len(column):
        return False
    return column.type.form in (Form.TEXT, Form.BYTES)


def _is_one(column: Column, groups: Positions, firsts: Positions) -> bool:
    """Whether all rows of a group have one value, byte by byte, or are null."""
    if len(firsts) == len(groups):
        return True
    heads = firsts[groups]
    rows = np.flatnonzero(heads != np.arange(len(heads)))
    heads = heads[rows]
    if column.valid is not None:
        there = column.valid[rows]
        if (there != column.valid[heads]).any():
            return False
        rows, heads = rows[there], heads[there]
    values = column.values if not isinstance(column, CodedColumn) else column.dictionary.column.values
    if isinstance(column, CodedColumn):
        rows, heads = column.codes[rows], column.codes[heads]
        unlike = np.flatnonzero(rows != heads)
        rows, heads = rows[unlike], heads[unlike]
    for part in (slice(_TRIED), slice(_TRIED, None)):  # where they differ, a few tell
        if not same_strings(values, rows[part], values, heads[part]).all():
            return False
    return True


def _code_numbers(column: CodedColumn) -> _Numbers:
    """The codes, or where the dictionary has equal values, the numbers of those."""
    own, count = _equal_codes(column.dictionary)
    return _Numbers(column.codes if own is None else own[column.codes], count)


def _equal_codes(dictionary: Dictionary) -> tuple[Positions | None, int]:
    """(of each code what it has in common with those of equal values; None: no two are equal; how many)."""
    groups: tuple[Positions | None, int] | None = dictionary.memo.get("groups")
    if groups is None:
        # not byte by byte the same values may be equal
        numbers, firsts = number_keys(column_keys(dictionary.column), len(dictionary))
        alike = dictionary.distinct and len(firsts) == len(dictionary)
        groups = dictionary.memo["groups"] = (None if alike else numbers, len(firsts))
    return groups


def _key_numbers(key: Key) -> _Numbers:
    """The numbers of a key's values."""
    if key.words is not None:
        codes, firsts = kernels.group_words(key.words)
        return _marked(_Numbers(codes, len(firsts), firsts), key.valid)
    encoded = key.strings.dictionary_encode()
    numbers = np.asarray(encoded.indices).astype(np.int64)
    return _marked(_Numbers(numbers, len(encoded.dictionary)), key.valid)


def _marked(found: _Numbers, valid: Mask | None) -> _Numbers:
    """The numbers, with one of their own for nulls, which are equal to each other."""
    if valid is None:
        return found
    return _Numbers(np.where(valid, found.numbers, found.limit), found.limit + 1)


def keys_at(columns: Sequence[Column], rows: Positions) -> list[Key]:
    """The keys of these columns at these rows."""
    return keys_of([column if column.constant else column.take(rows) for column in columns], len(rows))


class Numbering:
    """The values that dictionaries have, numbered from 0 as they come; any thread may ask.

    Each dictionary is looked at once, and remembers which numbering it is in (memo "numbering"): whoever
    begins with it goes on with that one. Dictionaries that nobody else keeps are forgotten.
    """

    def __init__(self, type: Type) -> None:
        self._index = KeyIndex([type])
        self._parts = [Column.of(type, [])]
        self._tables: WeakKeyDictionary[Dictionary, Positions] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, dictionary: Dictionary) -> Numbering:
        """One that has the values of a dictionary, or will."""
        known: Numbering | None = dictionary.memo.get("numbering")
        return cls(dictionary.column.type) if known is None or known.stale else known

    @property
    def stale(self) -> bool:
        """Whether it has values of dictionaries that are gone."""
        with self._lock:
            return self._index.count > sum(map(len, self._tables.keys()))

    def table(self, dictionary: Dictionary) -> tuple[Positions, int]:
        """(the number of each code's value, how many values there are until now)."""
        with self._lock:
            table = self._tables.get(dictionary)
            if table is None:
                column = dictionary.column
                table, new = self._index.assign([column], len(column))
                self._parts.append(column if len(new) == len(column) else column.take(new))
                self._tables[dictionary] = table
                dictionary.memo["numbering"] = self
            return table, self._index.count

    @property
    def column(self) -> Column:
        """The values, by their numbers."""
        with self._lock:
            if len(self._parts) > 1:
                self._parts = [Column.concat(self._parts if len(self._parts[0]) else self._parts[1:])]
            return self._parts[0]


class KeyIndex:
    """Distinct keys of columns of `types`, numbered from 0 in the order in which they came."""

    def __init__(self, types: Sequence[Type]) -> None:
        self.count = 0
        self._levels: list[_Level] = []
        self._width = key_count(types)

    @property
    def nbytes(self) -> int:
        """About how many bytes the tables and the keys take."""
        return sum(level.nbytes for level in self._levels)

    def assign(self, columns: Sequence[Column], rows: int) -> tuple[Positions, Positions]:
        """(number of each row's key, rows whose keys are new, in the order of their numbers)."""
        groups, firsts = number(columns, rows)
        codes, new = self.assign_distinct(keys_at(columns, firsts), len(firsts))
        return codes[groups], firsts[new]

    def assign_distinct(self, keys: Sequence[Key], rows: int) -> tuple[Positions, Positions]:
        """`assign` of keys that are distinct among themselves."""
        before = self.count
        codes = self._resolve(keys, rows, add=True)
        new = np.flatnonzero(codes >= before)
        return codes, new[np.argsort(codes[new])]

    def add(self, columns: Sequence[Column], rows: int) -> Positions:
        """The rows whose keys are new, in row order."""
        return np.sort(self.assign(columns, rows)[1])

    def find(self, columns: Sequence[Column], rows: int) -> Positions:
        """The number of each row's key, -1 where it is not here."""
        if any(isinstance(column, CodedColumn) for column in columns):
            groups, firsts = number(columns, rows)
            return self._resolve(keys_at(columns, firsts), len(firsts), add=False)[groups]
        return self._resolve(keys_of(columns, rows), rows, add=False)

    def _resolve(self, keys: Sequence[Key], rows: int, *, add: bool) -> Positions:
        """Numbers of these keys; with `add` they are distinct, and the absent ones are entered.

        Two keys with one hash cannot stand in one level: the second goes on to the next, whose hash
        has another salt.
        """
        result = np.full(rows, -1, np.int64)
        if not self._width:
            return self._resolve_one(result, add=add)
        open_rows = np.arange(rows)
        for salt in range(len(self._levels) + rows):
            if not len(open_rows) or (salt == len(self._levels) and not add):
                break
            if salt == len(self._levels):
                self._levels.append(_Level())
            level = self._levels[salt]
            mine = keys if len(open_rows) == rows else [key.take(open_rows) for key in keys]
            words = hash_keys(mine, len(open_rows), salt)
            found = level.find(words)
            hit = np.flatnonzero(found >= 0)
            same = level.same(found[hit], mine, hit)
            result[open_rows[hit[same]]] = level.codes[found[hit[same]]]
            later = hit[~same]
            if add and len(hit) < len(open_rows):
                missing = np.flatnonzero(found < 0)
                new = missing[kernels.group_words(words[missing])[1]]
                codes = np.arange(self.count, self.count + len(new))
                level.append(words[new], [key.take(new) for key in mine], codes)
                result[open_rows[new]] = codes
                self.count += len(new)
                if len(new) < len(missing):
                    later = np.sort(np.concatenate([later, np.setdiff1d(missing, new)]))
            open_rows = open_rows[later]
        return result

    def _resolve_one(self, result: Positions, *, add: bool) -> Positions:
        """Keys of no columns: there is one."""
        if add and len(result):
            self.count = 1
        result[:] = self.count - 1
        return result


class _Level:
    """Keys with distinct hashes: the hashes' table, the keys, and their numbers."""

    def __init__(self) -> None:
        self._size = 0
        self._words: Words = np.zeros(0, np.uint64)
        self._codes: Positions = np.zeros(0, np.int64)
        self._slots: Positions = np.full(16, -1, np.int64)
        self._parts: list[list[Key]] = []

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes."""
        keys = sum(
            (0 if key.words is None else key.words.nbytes)
            + (0 if key.strings is None else key.strings.nbytes)
            for part in self._parts
            for key in part
        )
        return self._words.nbytes + self._codes.nbytes + self._slots.nbytes + keys

    @property
    def codes(self) -> Positions:
        """The number of each key."""
        return self._codes[: self._size]

    def same(self, places: Positions, keys: Sequence[Key], rows: Positions) -> Mask:
        """Whether the keys at these places here are those at `rows` of others."""
        if len(self._parts) == 1:
            return same_rows(self._parts[0], places, keys, rows)
        same = np.zeros(len(places), np.bool_)
        start = 0
        for part in self._parts:
            stop = start + len(part[0])
            mine = np.flatnonzero((places >= start) & (places < stop))
            if len(mine):
                same[mine] = same_rows(part, places[mine] - start, keys, rows[mine])
            start = stop
        return same

    def find(self, words: Words) -> Positions:
        """Where each word stands here, or -1."""
        return kernels.find_words(self._slots, self._words[: self._size], words)

    def append(self, words: Words, keys: list[Key], codes: Positions) -> None:
        """Enter keys whose words are not here."""
        start, self._size = self._size, self._size + len(words)
        if self._size > len(self._words):
            room = max(2 * len(self._words), self._size)
            self._words = np.resize(self._words, room) if start else np.zeros(room, np.uint64)
            self._codes = np.resize(self._codes, room) if start else np.zeros(room, np.int64)
        self._words[start : self._size] = words
        self._codes[start : self._size] = codes
        self._parts.append(keys)
        # each part has twice the keys of the next: few parts, and a key is moved to another few times
        while len(self._parts) > 1 and len(self._parts[-2][0]) < 2 * len(self._parts[-1][0]):
            last = self._parts.pop()
            self._parts[-1] = [Key.concat(pair) for pair in zip(self._parts[-1], last, strict=True)]
        if 2 * self._size > len(self._slots):
            self._slots = np.full(1 << (4 * self._size - 1).bit_length(), -1, np.int64)
            start = 0
        kernels.place_words(self._slots, self._words[: self._size], start)
