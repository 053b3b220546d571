"""array_agg, string_agg and the JSON aggregates: all values of a group, in the order they come."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from engine import forms
from engine.aggregates.registry import State, aggregate
from engine.functions.json import json_texts, stored
from engine.lists import bounds, list_column, lists, stacked_bounds
from engine.values.jsonvalue import quoted
from storage.column import Array, Column, Positions
from storage.errors import ArraySubscriptError, InvalidParameterValue, NullValueNotAllowed
from storage.lists import Bounds
from storage.types import ANY, ANYARRAY, ANYELEMENT, ANYNONARRAY, BYTEA, JSON, JSONB, TEXT, Type

_PIECE = 8192  # values that become text between two looks at whether somebody still wants them


class Collected(State):
    """The rows themselves, as pieces of columns with their groups."""

    strict: ClassVar[bool] = False
    keeps_rows: ClassVar[bool] = True

    def prepare(self) -> None:
        self.pieces: list[tuple[Positions, Sequence[Column]]] = []

    def grow(self, count: int) -> None:
        pass

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        self.pieces.append((groups, columns))

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        self.reserve(count)
        self.pieces += [(groups[own], columns) for own, columns in other.pieces]

    def ordered(self, count: int) -> tuple[Array, list[Column]]:
        """(offsets, columns): group g's rows are offsets[g] to offsets[g + 1] of the columns.

        Rows of groups behind `count` are left out.
        """
        self.reserve(count)
        offsets = np.zeros(count + 1, np.int64)
        groups, columns = self.rows_kept()
        np.cumsum(np.bincount(groups, minlength=count)[:count], out=offsets[1:])
        order = np.argsort(groups, kind="stable")[: offsets[-1]]
        return offsets, [column.take(order) for column in columns]

    def rows_kept(self) -> tuple[Positions, Sequence[Column]]:
        if not self.pieces:
            return np.zeros(0, np.int64), [Column.of(type, []) for type in self.arguments]
        parts = zip(*(columns for _, columns in self.pieces), strict=True)
        columns = [Column.concat(list(each)) for each in parts]
        return np.concatenate([groups for groups, _ in self.pieces]), columns


@aggregate("array_agg", [ANYNONARRAY], ANYARRAY, ordered=True)
class ArrayAgg(Collected):
    """An array of all values, nulls too; null without rows."""

    def finish(self, count: int) -> Column:
        offsets, (items,) = self.ordered(count)
        return list_column(self.result, offsets, items, np.diff(offsets) > 0)


_UNEVEN = "cannot accumulate arrays of different dimensionality"


@aggregate("array_agg", [ANYARRAY], ANYARRAY, ordered=True)
class StackedAgg(Collected):
    """An array of all arrays, of one dimension more; null without rows."""

    def finish(self, count: int) -> Column:
        offsets, (items,) = self.ordered(count)
        return accumulated(self.result, offsets, items)


def _must_accumulate(there: Sequence[bool], shapes: Sequence[Bounds], offsets: Positions) -> None:
    """Raise what is wrong with the first array that cannot be a part of its row's."""
    for start, stop in pairwise(offsets.tolist()):
        for at in range(start, stop):
            if not there[at]:
                raise NullValueNotAllowed("cannot accumulate null arrays")
            if not shapes[start]:
                raise ArraySubscriptError("cannot accumulate empty arrays")
            if shapes[at][1::2] != shapes[start][1::2]:
                raise ArraySubscriptError(_UNEVEN)


def accumulated(type: Type, offsets: Positions, items: Column) -> Column:
    """Arrays of the arrays offsets[r] to offsets[r + 1], null where there is none.

    Raises NullValueNotAllowed, ArraySubscriptError.
    """
    shapes = bounds(items)
    _must_accumulate(items.is_valid().tolist(), shapes, offsets)
    ends, elements = lists(items)
    said = [stacked_bounds(shapes[a:b], _UNEVEN) for a, b in pairwise(offsets.tolist())]
    return list_column(type, ends[offsets], elements, np.diff(offsets) > 0, bounds=said)


@aggregate("string_agg", [TEXT, TEXT], TEXT, ordered=True)
@aggregate("string_agg", [BYTEA, BYTEA], BYTEA, ordered=True)
class StringAgg(Collected):
    """The values one behind the other, each but the first behind its delimiter; nulls are left out."""

    def finish(self, count: int) -> Column:
        offsets, (items, delimiters) = self.ordered(count)
        empty: Any = "" if self.result is TEXT else b""
        texts, betweens = items.tolist(), delimiters.tolist()
        out = []
        for start, stop in pairwise(offsets.tolist()):
            pieces: list[Any] = []
            for at in range(start, stop):
                if texts[at] is not None:
                    if pieces:
                        pieces.append(betweens[at] or empty)
                    pieces.append(texts[at])
            out.append(empty.join(pieces) if pieces else None)
        return Column.of(self.result, out)


class _JsonAgg(Collected):
    """A JSON array of all values; null without rows."""

    def finish(self, count: int) -> Column:
        offsets, (items,) = self.ordered(count)
        texts = self._texts(items)
        if self.result is JSON and (items.type.is_array or items.type.is_row):
            # PostgreSQL begins a line for each of them but the first
            firsts = set(offsets.tolist())
            texts = [
                text if at in firsts or text == "null" else f"\n {text}" for at, text in enumerate(texts)
            ]
        rows = [f"[{', '.join(texts[a:b])}]" if b > a else None for a, b in pairwise(offsets.tolist())]
        return Column.of(self.result, rows)

    def _texts(self, items: Column) -> list[str]:
        """Each value as it stands in the array: of jsonb in its form, which that of the array is made of."""
        texts: list[str] = []
        for start in range(0, len(items), _PIECE):
            self.run.check()
            some = json_texts(items.slice(start, start + _PIECE), self.run)
            texts += stored(self.result, some).tolist()
        return texts


aggregate("json_agg", [ANYELEMENT], JSON, ordered=True)(_JsonAgg)
aggregate("jsonb_agg", [ANYELEMENT], JSONB, ordered=True)(_JsonAgg)


class _JsonObjectAgg(Collected):
    """A JSON object of keys and values; null without rows."""

    def finish(self, count: int) -> Column:
        offsets, (keys, values) = self.ordered(count)
        names, texts = forms.text_of(keys, self.run).tolist(), json_texts(values, self.run)
        if None in names:
            raise InvalidParameterValue("field name must not be null")
        pairs = [f"{quoted(name)} : {text}" for name, text in zip(names, texts, strict=True)]
        ends = pairwise(offsets.tolist())
        return stored(self.result, ["{ " + ", ".join(pairs[a:b]) + " }" if b > a else None for a, b in ends])


aggregate("json_object_agg", [ANY, ANY], JSON, ordered=True)(_JsonObjectAgg)
aggregate("jsonb_object_agg", [ANY, ANY], JSONB, ordered=True)(_JsonObjectAgg)
