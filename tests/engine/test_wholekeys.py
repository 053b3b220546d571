"""Whole keys are numbered as a dictionary of tuples would; bundles of tasks give the same rows in order."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.operators.base import Task, bundled
from engine.operators.base import given as there
from engine.pool import FAR_AHEAD, ordered
from engine.wholekeys import WholeKeys
from storage.batch import BATCH_ROWS, Batch
from storage.column import Column
from storage.types import INT2, INT8, NUMERIC, TEXT
from tests.engine.tables import run_over

FAR = st.one_of(st.integers(-3, 3), st.integers(-(1 << 63), (1 << 63) - 1), st.none())
PAIRS = st.lists(st.tuples(st.integers(-(1 << 15), (1 << 15) - 1) | st.none(), FAR), max_size=30)
SINGLES = st.lists(st.tuples(FAR), max_size=30)


def columns(rows: list[tuple[int | None, ...]], width: int) -> list[Column]:
    types = [INT2, INT8][-width:]
    return [Column.of(type, [row[i] for row in rows]) for i, type in enumerate(types)]


def check(rows: list[tuple[int | None, ...]], asked: list[tuple[int | None, ...]], width: int) -> None:
    cut = len(rows) // 2
    found = WholeKeys.of([columns(rows[:cut], width), columns(rows[cut:], width)])
    whole = [row for row in rows if None not in row]
    if found is None:  # the ranges are too wide together
        assert width == 2
        return
    keys, numbers = found
    assert keys.count == len(set(whole))
    known = {row: number for row, number in zip(rows, numbers.tolist(), strict=True) if None not in row}
    assert sorted(set(known.values())) == list(range(keys.count))
    both = asked + rows
    expected = [-1 if None in row else known.get(row, -1) for row in both]
    assert keys.find(columns(both, width)).tolist() == expected
    assert numbers.tolist() == expected[len(asked) :]


@given(SINGLES, SINGLES)
def test_single_keys(rows: list[tuple[int | None, ...]], asked: list[tuple[int | None, ...]]) -> None:
    check(rows, asked, 1)


@given(PAIRS, PAIRS)
def test_pairs_of_keys(rows: list[tuple[int | None, ...]], asked: list[tuple[int | None, ...]]) -> None:
    check(rows, asked, 2)


NUMBERS = st.lists(
    st.none()
    | st.decimals(-30, 30, places=1)
    | st.integers(-300, 300).map(lambda unit: Decimal(unit).scaleb(-2))
    | st.sampled_from([Decimal("NaN"), Decimal("1e30"), Decimal("1e-9"), Decimal(9 * 10**17)]),
    max_size=12,
)


HELD = st.tuples(st.integers(0, 3), st.lists(st.none() | st.integers(-300, 300), max_size=12))


@given(st.lists(HELD, min_size=1, max_size=3), st.lists(NUMBERS, max_size=3))
def test_numerics_of_any_scale(
    held: list[tuple[int, list[int | None]]], asked: list[list[Decimal | None]]
) -> None:
    """Equal numerics meet whatever the scales of their batches are."""
    parts = [[None if n is None else Decimal(n).scaleb(-scale) for n in items] for scale, items in held]
    rows = [row for part in parts for row in part]
    found = WholeKeys.of([[Column.of(NUMERIC, part)] for part in parts])
    assert found is not None
    keys, numbers = found
    known = {row: number for row, number in zip(rows, numbers.tolist(), strict=True) if row is not None}
    assert sorted(set(known.values())) == list(range(keys.count))
    for batch in [*asked, *parts, rows]:
        expected = [known.get(each, -1) if each is not None and each.is_finite() else -1 for each in batch]
        for column in (Column.of(NUMERIC, batch), Column.of(NUMERIC, batch).in_units()):
            assert keys.find([column]).tolist() == expected


@pytest.mark.parametrize("items", [["1.0", "1.00"], ["NaN"], ["1e30"]])
def test_numerics_without_units(items: list[str]) -> None:
    assert WholeKeys.of([[Column.of(NUMERIC, list(map(Decimal, items)))]]) is None


@pytest.mark.parametrize("step", [1, 1000, 1 << 40])
def test_many_keys_close_together_and_far_apart(step: int) -> None:
    values = np.random.default_rng(5).permutation(50_000) * step - 7
    found = WholeKeys.of([[Column(INT8, values[:20_000])], [Column(INT8, values[20_000:])]])
    assert found is not None
    keys, numbers = found
    assert sorted(numbers.tolist()) == list(range(50_000))
    assert keys.find([Column(INT8, values)]).tolist() == numbers.tolist()
    assert (keys.find([Column(INT8, values[::3] + 1)]) == -1).all() == (step > 1)


def tasks(sizes: list[int]) -> list[Task]:
    ends = np.cumsum([0, *sizes])
    batches = [Batch.of(Column(INT8, np.arange(first, end))) for first, end in pairwise(ends)]
    return [there(batch) for batch in batches]


@given(st.lists(st.sampled_from([0, 1, 500, BATCH_ROWS]), max_size=60))
def test_bundles_give_the_rows_in_order(sizes: list[int]) -> None:
    batches = list(ordered(bundled(tasks(sizes), [INT8]), run_over()))
    rows = [batch.columns[0].values for batch in batches if batch is not None]
    assert np.array_equal(np.concatenate([[], *rows]), np.arange(sum(sizes)))


def test_small_batches_become_fewer() -> None:
    batches = list(ordered(bundled(tasks([500] * 400), [INT8, TEXT]), run_over()))
    assert len(batches) <= FAR_AHEAD + 400 // 8 + 1
    # and large ones stay alone
    assert len(list(ordered(bundled(tasks([BATCH_ROWS] * 40), [INT8]), run_over()))) == 40
