"""Group tables against plain Python: keys whose ranges move, dictionaries that differ, sums that outgrow
their words, floats of other magnitudes, rows that are sorted, and rows that no table takes; in the pool, in
morsels of any size."""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import engine.aggregates  # noqa: F401  # fills the registry
from engine.aggregates.registry import AggregateCall
from engine.groups import Numbering
from engine.memory import Memory
from engine.nodes import Reference
from engine.operators import Aggregate, Scan, aggregate, stretches, tablelayout
from engine.operators.groups import Whole
from storage.column import Column
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import FLOAT8, INT4, INT8, NUMERIC, TEXT, Type
from tests.engine.tables import MemoryTable, RowsMorsel, rows_of, run_over

K, T, V, W, F = (Reference(i, type) for i, type in enumerate((INT4, TEXT, INT4, INT8, FLOAT8)))
TYPES = (INT4, TEXT, INT4, INT8, FLOAT8)


def call(function: str, type: Type, *arguments: Reference) -> AggregateCall:
    return AggregateCall(function, arguments, False, None, (), type)


CALLS = (
    call("count()", INT8),
    call("count(any)", INT8, V),
    call("sum(int4)", INT8, V),
    call("sum(int8)", NUMERIC, W),
    call("min(int8)", INT8, W),
    call("max(int4)", INT4, V),
    call("sum(float8)", FLOAT8, F),
    call("max(float8)", FLOAT8, F),
)


def coded(column: Column) -> Column:
    """Texts as codes into a dictionary of their own."""
    encoded = column.values.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(0)).astype(np.int64)
    dictionary = Dictionary(Column(TEXT, encoded.dictionary.cast(pa.large_string())), distinct=True)
    return CodedColumn(TEXT, dictionary, codes, column.valid)


@st.composite
def tables(draw: DrawFn) -> MemoryTable:
    """A few thousand rows that change their ways every now and then."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nulls = draw(st.booleans())
    stretches = []
    for _ in range(draw(st.integers(1, 4))):
        rows = draw(st.sampled_from([130, 700, 2500]))
        low, spread = draw(st.sampled_from([0, -5, 1000, 10**6, -(2**31)])), draw(st.sampled_from([3, 900]))
        size = draw(st.sampled_from([10, 2**40, 2**62]))
        scale = draw(st.sampled_from([1.0, 2.0**-30, 2.0**60, 1e300]))
        floats = random.normal(size=rows) * scale
        if draw(st.booleans()):
            floats[random.integers(0, rows, 3)] = [math.inf, 0.0, 5e-324]
        stretches.append(
            [
                random.integers(low, low + spread, rows).astype(np.int32),
                random.integers(0, draw(st.sampled_from([1, 40])), rows),
                random.integers(-100, 100, rows).astype(np.int32),
                random.integers(-size, size, rows),
                floats,
            ]
        )
    parts = [np.concatenate(each) for each in zip(*stretches, strict=True)]
    count = len(parts[0])
    valid = [random.random(count) < 0.9 if nulls and i < 3 else None for i in range(5)]
    texts = [f"t{n}" if valid[1] is None or valid[1][i] else None for i, n in enumerate(parts[1].tolist())]
    columns = [
        Column.of(TEXT, texts) if i == 1 else Column(type, part, valid[i])
        for i, (type, part) in enumerate(zip(TYPES, parts, strict=True))
    ]
    table = MemoryTable(columns, draw(st.sampled_from([200, 1500, 65_536])))
    if draw(st.booleans()):
        table.parts = [
            RowsMorsel((m.columns[0], coded(m.columns[1]), *m.columns[2:]), m.rows, m.first, m.seen)
            for m in table.parts
        ]
    return table


def told(rows: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """What the calls give of rows."""
    v = [row[2] for row in rows if row[2] is not None]
    w, f = [row[3] for row in rows], [row[4] for row in rows]
    finite = sum((Fraction(x) for x in f if math.isfinite(x)), Fraction(0))
    total = math.inf if math.inf in f else float(finite)
    return len(rows), len(v), sum(v) if v else None, sum(w), min(w), max(v, default=None), total, max(f)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from([(), (K,), (T,), (K, T)]))
def test_totals_are_those_of_the_rows(table: MemoryTable, keys: tuple[Reference, ...]) -> None:
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in zip(*(column.tolist() for column in table.columns), strict=True):
        groups[tuple(row[key.index] for key in keys)].append(row)
    plan = Aggregate(Scan(1, "t", (1, 2, 3, 4, 5), TYPES), keys, CALLS)
    found = rows_of(plan, run_over(table))
    assert len(found) == len(groups)
    for row in found:
        key, mine = row[: len(keys)], row[len(keys) :]
        wanted = told(groups[key])
        assert mine[:6] == wanted[:6]
        assert math.isclose(mine[6], wanted[6], rel_tol=2**-52)
        assert mine[7] == wanted[7]


@st.composite
def sorted_tables(draw: DrawFn) -> MemoryTable:
    """Rows that are sorted by the first column, or by stretches, or nearly."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step, morsel = draw(st.sampled_from([2, 5])), draw(st.sampled_from([16, 50, 128]))
    rows = draw(st.sampled_from([400, 1500]))
    keys = np.sort(random.integers(0, step * rows // 4, rows)) - draw(st.sampled_from([0, 100, 10**6]))
    match draw(st.sampled_from(["sorted", "down", "twice", "nearly", "late"])):
        case "down":
            keys = keys[::-1].copy()
        case "twice":
            keys = np.concatenate([keys[::2], keys[1::2]])
        case "nearly":
            keys = keys + random.integers(0, 9, rows)
        case "late":
            keys[rows // 2 :] = random.permutation(keys[rows // 2 :])
    valid = random.random(rows) < 0.98 if draw(st.booleans()) else None
    size = draw(st.sampled_from([10, 2**62]))
    floats = random.normal(size=rows) * draw(st.sampled_from([1.0, 2.0**60]))
    if draw(st.booleans()):
        floats[rows // 3] = draw(st.sampled_from([math.inf, 5e-324, 1e300]))
    columns = [
        Column(INT4, keys.astype(np.int32), valid),
        Column.of(TEXT, [f"t{n}" for n in random.integers(0, 2, rows)]),
        Column(INT4, random.integers(-100, 100, rows).astype(np.int32), draw(st.sampled_from([None, valid]))),
        Column(INT8, random.integers(-size, size, rows)),
        Column(FLOAT8, floats),
    ]
    table = MemoryTable(columns, morsel)
    table.parts = [
        RowsMorsel((m.columns[0], coded(m.columns[1]), *m.columns[2:]), m.rows, m.first, m.seen)
        for m in table.parts
    ]
    return table


@settings(max_examples=60, deadline=None)
@given(
    sorted_tables(), st.sampled_from([(K,), (K, T), (T, K)]), st.sampled_from([None, "1kB", "9kB", "40kB"])
)
def test_totals_of_sorted_rows(table: MemoryTable, keys: tuple[Reference, ...], budget: str | None) -> None:
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in zip(*(column.tolist() for column in table.columns), strict=True):
        groups[tuple(row[key.index] for key in keys)].append(row)
    plan = Aggregate(Scan(1, "t", (1, 2, 3, 4, 5), TYPES), keys, CALLS)
    run = run_over(table)
    if budget is not None:
        run = replace(run, memory=Memory({"work_mem": budget, "hash_mem_multiplier": "1"}))
    with (
        mock.patch.object(tablelayout, "FEW", 4),
        mock.patch.object(stretches, "FEW", 4),
        mock.patch.object(aggregate, "FEW_ROWS", 4),
    ):
        found = rows_of(plan, run)
    assert len(found) == len(groups)
    for row in found:
        wanted = told(groups[row[: len(keys)]])
        mine = row[len(keys) :]
        assert mine[:6] == wanted[:6]
        assert math.isclose(mine[6], wanted[6], rel_tol=2**-52)
        assert mine[7] == wanted[7]


def test_groups_of_sorted_rows_are_ready_where_no_other_batch_has_them() -> None:
    keys = np.repeat(np.arange(40_000, dtype=np.int32), 3)
    table = MemoryTable([Column(INT4, keys)], 8000)
    plan = Aggregate(Scan(1, "t", (1,), (INT4,)), (K,), CALLS[:1])
    merged: list[int] = []
    with mock.patch.object(Whole, "merge", lambda self, part: merged.append(part.count)):
        found = rows_of(plan, run_over(table))
    shared = {int(key) for key in keys[7999:-1:8000]} & {int(key) for key in keys[8000::8000]}
    assert sum(merged) == 2 * len(shared)
    assert found == [(key, 3) for key in range(40_000) if key not in shared]


def test_groups_of_tables_come_in_order_of_appearance() -> None:
    random = np.random.default_rng(4)
    keys = random.permutation(np.repeat(np.arange(20_000), 4)).astype(np.int32)
    table = MemoryTable([Column(INT4, keys)], 8000)
    found = [
        row[0] for row in rows_of(Aggregate(Scan(1, "t", (1,), (INT4,)), (K,), CALLS[:1]), run_over(table))
    ]
    assert found == list(dict.fromkeys(keys.tolist()))


def test_no_dictionary_is_numbered_where_the_other_keys_have_too_many_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(self: Numbering, dictionary: Dictionary) -> None:
        raise AssertionError("a dictionary is numbered for no table")

    monkeypatch.setattr(Numbering, "table", asked)
    random = np.random.default_rng(5)
    numbers = random.integers(0, 1 << 40, 3000)
    texts = coded(Column.of(TEXT, [f"t{n}" for n in numbers % 7]))
    table = MemoryTable([texts, Column(INT8, numbers)], 1000)
    key, other = Reference(0, TEXT), Reference(1, INT8)
    plan = Aggregate(Scan(1, "t", (1, 2), (TEXT, INT8)), (key, other), CALLS[:1])
    found = rows_of(plan, run_over(table))
    assert sorted(found) == sorted((f"t{n % 7}", n, 1) for n in numbers.tolist())


def test_a_numbering_goes_with_its_dictionaries() -> None:
    def dictionary(*values: str) -> Dictionary:
        return Dictionary(Column.of(TEXT, values), distinct=True)

    one, other = dictionary("a", "b"), dictionary("b", "c", "a")
    numbering = Numbering.of(one)
    assert numbering.table(one)[0].tolist() == [0, 1]
    table, count = numbering.table(other)
    assert (table.tolist(), count) == ([1, 2, 0], 3)
    assert numbering.column.tolist() == ["a", "b", "c"]
    assert Numbering.of(other) is Numbering.of(one) is numbering
    del other
    gc.collect()
    assert numbering.stale
    assert Numbering.of(one) is not numbering
