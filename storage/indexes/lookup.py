"""Lookups: the rows of a table's parts that hold given keys, by the parts' hash indexes.

A sealed part has an index of its own; all blocks of a table share one, which a table's store keeps. An
index gives candidates, and what comes out of here was compared by value. Which of the rows live, and for
whom, is the caller's question.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from storage.column import Column, Positions
from storage.definitions import KeyColumns, Table
from storage.indexes.comparable import Words, keys_of, same_rows
from storage.indexes.hashindex import Hashed, HashIndex, RowIndex, hashed, version_of
from storage.segments.blocks import Block
from storage.segments.sealed import Sealed
from storage.segments.table import Part, Store
from storage.waiting import LONG, about_to_wait

_FEW = 8
_FIRST = attrgetter("first_row_id")


class Hits(NamedTuple):
    """Rows of one part that hold keys: which key, and the row's position in the part."""

    part: Part
    asked: Positions
    positions: Positions


def find(
    store: Store, table: Table, columns: KeyColumns, parts: Sequence[Part], key: Hashed
) -> Iterator[Hits]:
    """All versions in `parts`, which are the store's or once were, of rows that hold one of the keys."""
    hashes, rows = key.asked
    if not len(hashes):
        return
    for part, asked, positions in _candidates(store, table, columns, parts, hashes):
        asked = asked if rows is None else rows[asked]
        theirs = keys_of(columns_of(part, table, columns, positions), len(positions))
        same = same_rows(key.keys, asked, theirs, np.arange(len(positions)))
        if same.all():
            yield Hits(part, asked, positions)
        elif same.any():
            yield Hits(part, asked[same], positions[same])


def columns_of(part: Part, table: Table, columns: KeyColumns, rows: Positions | None) -> list[Column]:
    """The columns of a part that its keys are made of."""
    return [part.column(table.definition(number), 0, part.rows, rows) for number in columns.numbers]


class PartIndexes:
    """The indexes of a table's parts over one key: what finding them takes, worked out once."""

    __slots__ = ("_columns", "_name", "_table", "_version")

    def __init__(self, table: Table, columns: KeyColumns) -> None:
        self._table, self._columns = table, columns
        self._name, self._version = columns.name, version_of(table, columns)

    def of(self, part: Part) -> HashIndex:
        """The index of a part's rows: out of its file, or made when it is first asked for."""
        if isinstance(part, Sealed):
            # not kept here: the buffer cache holds it, and lets it go
            section = part.segment.sections.get(self._name)
            stored = None if section is None else HashIndex.read(section, self._version)
            if stored is not None:
                return stored
        index = part.indexes.get(self._columns)
        if index is None:
            if part.rows > LONG:
                about_to_wait()
            columns = columns_of(part, self._table, self._columns, None)
            key = hashed(columns, part.rows, self._columns.nulls)
            index = part.indexes[self._columns] = HashIndex.of(key)
        return index


def _candidates(
    store: Store, table: Table, columns: KeyColumns, parts: Sequence[Part], hashes: Words
) -> Iterator[Hits]:
    blocks: list[Block] = []
    indexes = PartIndexes(table, columns)
    for part in parts:
        if isinstance(part, Block):
            blocks.append(part)
            continue
        asked, positions = indexes.of(part).probe(hashes)
        if len(asked):
            yield Hits(part, asked, positions)
    if not blocks:
        return
    with store.lock:
        index = write_index(store, table, columns)
        # The index knows the blocks that are the store's now: those that a merge took are asked one by one.
        left = [block for block in blocks if block.left]
    for block in left:
        asked, positions = indexes.of(block).probe(hashes)
        if len(asked):
            yield Hits(block, asked, positions)
    yield from _located(blocks, *index.probe(hashes))


def _located(blocks: list[Block], asked: Positions, row_ids: Positions) -> Iterator[Hits]:
    """Where the rows with these ids stand; those that came later than the blocks stand nowhere."""
    if len(row_ids) <= _FEW:
        places = [bisect_right(blocks, row_id, key=_FIRST) - 1 for row_id in row_ids.tolist()]
        numbers = np.array(places, np.int64)
    else:
        firsts = np.array([block.first_row_id for block in blocks])
        numbers = np.searchsorted(firsts, row_ids, "right") - 1
        places = np.unique(numbers).tolist()
    for place in dict.fromkeys(places):
        if place < 0:
            continue
        here = numbers == place
        positions = blocks[place].positions(row_ids[here])
        there = positions >= 0
        if there.any():
            yield Hits(blocks[place], asked[here][there], positions[there])


def write_index(store: Store, table: Table, columns: KeyColumns) -> RowIndex:
    """The index of the store's blocks, made when it is first asked for. The caller holds the store's lock."""
    index = store.indexes.get(columns)
    if index is None:
        if store.unsealed_rows > LONG:
            about_to_wait()
        index = store.indexes[columns] = RowIndex()
        for part in store.parts:
            if isinstance(part, Block):
                key = hashed(columns_of(part, table, columns, None), part.rows, columns.nulls)
                hashes, rows = key.asked
                index.add(hashes, part.row_ids_of(0, part.rows, rows))
    return index
