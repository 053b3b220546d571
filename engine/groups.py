"""Groups: rows with equal keys get one number, dense and in order of first appearance.

As in GROUP BY, nulls are equal to each other, so are NaNs, and -0 is 0. `number` does it for one batch;
a `KeyIndex` does it for any number of batches and is the hash table behind GROUP BY, joins, DISTINCT
and set operations: a 64-bit hash finds the candidate, the keys themselves decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storage import kernels
from storage.column import Column, Positions
from storage.comparable import Key, Words, hash_keys, key_count, keys_of, same_rows
from storage.types import Type


def number(columns: Sequence[Column], rows: int) -> tuple[Positions, Positions]:
    """(group of each row, first row of each group). Without columns all rows are one group."""
    return number_keys(keys_of(columns, rows), rows)


def number_keys(keys: Sequence[Key], rows: int) -> tuple[Positions, Positions]:
    """`number` of keys."""
    if not keys:
        return np.zeros(rows, np.int64), np.zeros(min(rows, 1), np.int64)
    codes, firsts = _number_key(keys[0])
    for key in keys[1:]:
        if len(firsts) == rows:
            break
        more, others = _number_key(key)
        words = codes.view(np.uint64) * np.uint64(max(len(others), 1)) + more.view(np.uint64)
        codes, firsts = kernels.group_words(words)
    return codes, firsts


def _number_key(key: Key) -> tuple[Positions, Positions]:
    """`number` of one key."""
    if key.words is not None:
        words = key.words
    else:
        encoded = key.strings.dictionary_encode()
        words = np.asarray(encoded.indices).astype(np.uint64)
    if key.valid is None:
        return kernels.group_words(words)
    # Words alone first, then nulls apart from the zeros they look like.
    codes, _ = kernels.group_words(words)
    return kernels.group_words(codes.view(np.uint64) * np.uint64(2) + key.valid)


class KeyIndex:
    """Distinct keys of columns of `types`, numbered from 0 in the order in which they came."""

    def __init__(self, types: Sequence[Type]) -> None:
        self.count = 0
        self._levels: list[_Level] = []
        self._width = key_count(types)

    def assign(self, columns: Sequence[Column], rows: int) -> tuple[Positions, Positions]:
        """(number of each row's key, rows whose keys are new, in the order of their numbers)."""
        keys = keys_of(columns, rows)
        groups, firsts = number_keys(keys, rows)
        codes, new = self.assign_distinct([key.take(firsts) for key in keys], len(firsts))
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
            same = same_rows(level.keys, found[hit], mine, hit) if len(hit) else np.zeros(0, np.bool_)
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
    def codes(self) -> Positions:
        """The number of each key."""
        return self._codes[: self._size]

    @property
    def keys(self) -> list[Key]:
        """The keys, each as one array."""
        if len(self._parts) > 1:
            self._parts = [[Key.concat(parts) for parts in zip(*self._parts, strict=True)]]
        return self._parts[0]

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
        if 2 * self._size > len(self._slots):
            self._slots = np.full(1 << (4 * self._size - 1).bit_length(), -1, np.int64)
            start = 0
        kernels.place_words(self._slots, self._words[: self._size], start)
