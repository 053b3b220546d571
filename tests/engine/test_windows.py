"""Frames and aggregates over them, against frames found row by row and the plain aggregate of each."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aggregates.registry import BY_ID, start
from engine.expressions import Constant, Reference
from engine.operators import FrameBound, SortKey, Window, WindowCall, WindowFrame
from engine.operators.windowaggregates import aggregated
from storage.column import Column
from storage.types import BOOL, FLOAT8, INT4, INT8, INTERVAL, NUMERIC, TEXT, Type, array_of
from tests.engine.calls import run_with
from tests.engine.tables import Source, rows_of

P, K, V = Reference(0, INT4), Reference(1, INT4), Reference(2, FLOAT8)
KINDS = ("unbounded preceding", "preceding", "current row", "following", "unbounded following")
EXCLUSIONS = ("", "current row", "group", "ties")

floats = st.one_of(
    st.none(), st.sampled_from([0.1, 1e20, -1e20, 3.0, -0.5, 1e-9]), st.sampled_from([math.inf, math.nan])
)
tables = st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(-4, 4)), floats), max_size=24)
bounds = st.tuples(st.sampled_from(KINDS), st.integers(0, 3))


def _reach(row: int, rows: list[Any], mode: str, bound: tuple[str, int], end: bool) -> list[int]:
    """The rows of the partition that a bound lets in, by the definition of frames."""
    kind, offset = bound
    if kind in ("unbounded preceding", "unbounded following"):
        everything = end == (kind == "unbounded following")
        return list(range(len(rows))) if everything else []
    distance = {"preceding": -offset, "current row": 0, "following": offset}[kind]
    keys = [key for _, key, _ in rows]
    if mode == "rows" or kind == "current row" or mode == "groups":
        places = list(range(len(rows)))
        if mode != "rows":
            distinct = list(dict.fromkeys(keys))
            places = [distinct.index(key) for key in keys]
        wanted = places[row] + distance
        return [i for i, place in enumerate(places) if (place <= wanted if end else place >= wanted)]
    here = keys[row]
    found = []
    for i, key in enumerate(keys):  # nulls come last
        if here is None or key is None:
            inside = key == here or (key is not None) is end
        else:
            inside = key <= here + distance if end else key >= here + distance
        if inside:
            found.append(i)
    return found


def _frame(row: int, rows: list[Any], mode: str, start: Any, end: Any, exclude: str) -> list[int]:
    inside = set(_reach(row, rows, mode, start, False)) & set(_reach(row, rows, mode, end, True))
    peers = {i for i, (_, key, _) in enumerate(rows) if key == rows[row][1]}
    out = {"": set(), "current row": {row}, "group": peers, "ties": peers - {row}}[exclude]
    return sorted(inside - out)


def _bound(bound: tuple[str, int]) -> FrameBound:
    kind, offset = bound
    value = Constant(Column.scalar(INT8, offset)) if kind in ("preceding", "following") else None
    return FrameBound(kind, value)  # type: ignore[arg-type]  # one of KINDS


def _plain(id: str, type: Type, items: list[Any]) -> Any:
    state = start(id, [type], BY_ID[id].result, run_with())
    state.update(np.zeros(len(items), np.int64), [Column.of(type, items)], 1)
    state.reserve(1)
    return state.finish(1).tolist()[0]


@settings(max_examples=150)
@given(tables, st.sampled_from(["rows", "range", "groups"]), bounds, bounds, st.sampled_from(EXCLUSIONS))
def test_aggregates_over_frames_are_those_of_the_frames_rows(
    table: list[Any], mode: Any, start: Any, end: Any, exclude: Any
) -> None:
    frame = WindowFrame(mode, _bound(start), _bound(end), exclude, K if mode == "range" else None)
    ids = ("sum(float8)", "count(any)", "min(float8)", "max(float8)", "stddev_pop(float8)")
    calls = tuple(WindowCall(id, BY_ID[id].result, (V,), None, (P,), (SortKey(K),), frame) for id in ids)
    found = rows_of(Window(Source((INT4, INT4, FLOAT8), tuple(table), 5), calls))
    answers: dict[int, list[Any]] = {}
    for partition, *rest in found:
        answers.setdefault(partition, []).append((partition, *rest))
    for rows in answers.values():
        plain = [row[:3] for row in rows]
        for i, row in enumerate(rows):
            inside = [plain[j][2] for j in _frame(i, plain, mode, start, end, exclude)]
            expected = [_plain(id, FLOAT8, inside) for id in ids]
            assert repr(list(row[3:])) == repr(expected), (i, plain)


NUMBERS = st.one_of(st.none(), st.integers(-99, 99))


@settings(max_examples=60)
@given(st.lists(NUMBERS, max_size=20), st.data())
@pytest.mark.parametrize(
    "id",
    [
        "sum(int4)", "sum(int8)", "avg(int4)", "sum(numeric)", "avg(numeric)", "var_pop(numeric)",
        "min(text)", "max(text)", "min(numeric)", "bool_and(bool)", "bit_xor(int8)", "bit_or(int8)",
        "bit_and(int8)", "sum(interval)", "any_value(anyelement)", "array_agg(anynonarray)",
    ],
)  # fmt: skip
def test_every_way_to_slide_is_that_of_adding_anew(id: str, items: list[Any], data: st.DataObject) -> None:
    name = id.partition("(")[2].rstrip(")")
    types = {"int4": INT4, "int8": INT8, "numeric": NUMERIC, "text": TEXT, "bool": BOOL, "interval": INTERVAL}
    type = types.get(name, INT8)
    column = Column.of(type, [None if item is None else _item(type, item) for item in items])
    places = st.integers(0, len(items))
    starts = [data.draw(places) for _ in items]
    ends = [data.draw(st.integers(s, len(items))) for s in starts]
    pieces = ((np.array(starts, np.int64), np.array(ends, np.int64)),)
    result = BY_ID[id].result if name in types else INT8
    if id.startswith("array_agg"):
        result = array_of(INT8)
    found = aggregated(id, [column], result, len(column), None, pieces, run_with()).tolist()
    for start_, end, answer in zip(starts, ends, found, strict=True):
        state = start(id, [type], result, run_with())
        state.update(np.zeros(end - start_, np.int64), [column.slice(start_, end)], 1)
        state.reserve(1)
        assert repr(answer) == repr(state.finish(1).tolist()[0])


def _item(type: Type, number: int) -> Any:
    match type.name:
        case "numeric":
            return Decimal(number).scaleb(-(number % 3))
        case "text":
            return chr(97 + abs(number) % 26)
        case "bool":
            return number > -90
        case "interval":
            return (number, -number, number * 1000)
    return number
