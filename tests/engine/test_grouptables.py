"""Group tables against plain Python: keys whose ranges move, dictionaries that differ, sums that outgrow
their words, floats of other magnitudes, and rows that no table takes; in the pool, in morsels of any size."""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import engine.aggregates  # noqa: F401  # fills the registry
from engine.aggregates.registry import AggregateCall
from engine.groups import Numbering
from engine.nodes import Reference
from engine.operators import Aggregate, Scan
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
