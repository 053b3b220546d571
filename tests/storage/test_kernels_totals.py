"""The totals family: the compiled twin against plain, and plain against the sums of a program's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from storage.encodings.packed import Packed
from storage.kernels.compiled import totals as compiled
from storage.kernels.plain import totals as plain
from storage.kernels.plain.programs import Op
from storage.kernels.plain.totals import Source, Totals
from tests.storage.test_kernels_programs import FRACTION, programs

EMPTY = np.zeros((0, 4), np.int32)


@dataclass(frozen=True)
class Asked:
    """The arguments of total_program."""

    code: np.ndarray
    columns: list[Source]
    valids: list[np.ndarray | None]
    rows: int
    numbers: list[Source]
    limits: list[int]
    mask: np.ndarray | None
    sums: list[int]

    def of(self, twin: Any) -> Totals | None:
        """What a twin answers."""
        found: Totals | None = twin.total_program(*vars(self).values())
        return found


def packed(values: np.ndarray, before: int) -> Source:
    """Integers in packed blocks behind `before` others."""
    return Packed.of(np.concatenate([np.full(before, values[0]), values])).blocks(before)


@st.composite
def asked(draw: DrawFn) -> Asked:
    """A program, groups and a mask, some columns packed."""
    code, columns, valids, rows, _ = draw(programs())
    floats = [column.dtype.kind == "f" for column in columns]
    floats += [op in FRACTION or op == Op.TO_FLOAT for op in code[:, 0].tolist()]
    before = draw(st.sampled_from([0, 1, 1024, 1030]))
    sources: list[Source] = []
    for column, valid in zip(columns, valids, strict=True):
        whole = column.dtype.str == "<i8" and valid is None and len(column) == rows
        sources.append(packed(column, before) if whole and draw(st.booleans()) else column)
    limits = draw(st.lists(st.integers(1, 40), max_size=2))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    numbers: list[Source] = []
    for limit in limits:
        given_numbers = random.integers(0, limit, rows)
        numbers.append(packed(given_numbers, before) if draw(st.booleans()) else given_numbers)
    mask = random.random(rows) < 0.7 if draw(st.booleans()) else None
    whole = [register for register, is_float in enumerate(floats) if not is_float]
    sums = draw(st.lists(st.sampled_from(whole), max_size=4)) if whole else []
    return Asked(code, sources, valids, rows, numbers, limits, mask, sums)


def exact(totals: Totals) -> list[list[int]]:
    """The sums as Python's integers."""
    halves = zip(totals.high.tolist(), totals.low.tolist(), strict=True)
    return [[(h << 32) + w for h, w in zip(high, low, strict=True)] for high, low in halves]


def assert_same(one: Totals | None, other: Totals | None) -> None:
    """Two twins' answers are one."""
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert one.firsts.tolist() == other.firsts.tolist()
    assert one.counts.tolist() == other.counts.tolist()
    assert one.known.tolist() == other.known.tolist()
    assert exact(one) == exact(other)


@settings(max_examples=150, deadline=None)
@given(asked())
def test_twins_agree(question: Asked) -> None:
    assert_same(question.of(plain), question.of(compiled))


@pytest.mark.parametrize("twin", [plain, compiled])
def test_sums_of_products_by_two_keys(twin: Any) -> None:
    rows = 5000
    random = np.random.default_rng(7)
    a, b, first, second = (
        random.integers(low, high, rows) for low, high in ((-9, 99), (0, 50), (0, 3), (0, 2))
    )
    mask = random.random(rows) < 0.9
    code = np.array([(Op.MULTIPLY, 0, 1, 8)], np.int32)
    question = Asked(
        code, [packed(a, 0), b], [None, None], rows, [packed(first, 0), second], [3, 2], mask, [0, 2]
    )
    found = question.of(twin)
    assert found is not None
    for group in range(6):
        mine = np.flatnonzero(mask & (first * 2 + second == group))
        assert found.firsts[group] == mine[0]
        assert found.counts[group] == len(mine)
        assert [sums[group] for sums in exact(found)] == [int(a[mine].sum()), int((a * b)[mine].sum())]


@pytest.mark.parametrize("twin", [plain, compiled])
def test_sums_beyond_a_word_are_exact(twin: Any) -> None:
    rows = 3000
    values = np.resize(np.array([2**63 - 1, 2**63 - 1, -(2**63), 5]), rows)
    found = Asked(EMPTY, [values], [None], rows, [], [], None, [0]).of(twin)
    assert found is not None
    assert exact(found) == [[sum(values.tolist())]]


@pytest.mark.parametrize("twin", [plain, compiled])
def test_a_row_outside_the_mask_may_leave_no_answer(twin: Any) -> None:
    code = np.array([(Op.DIVIDE, 0, 1, 8)], np.int32)
    columns: list[Source] = [np.array([6, 1]), np.array([2, 0])]
    question = Asked(code, columns, [None, None], 2, [], [], np.array([True, False]), [2])
    assert question.of(twin) is None
