"""The totals family: the compiled twin against plain, and plain against what Python makes of the values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from storage.encodings.packed import Packed
from storage.kernels.compiled import totals as compiled
from storage.kernels.plain import members
from storage.kernels.plain import totals as plain
from storage.kernels.plain.partners import Lookup
from storage.kernels.plain.programs import Op
from storage.kernels.plain.totals import (
    GREATEST,
    LEAST,
    Added,
    Digit,
    Held,
    Kind,
    Meeting,
    Source,
    Totals,
    Why,
    gathered,
)
from tests.storage.test_kernels_programs import FRACTION, programs

EMPTY = np.zeros((0, 4), np.int32)
Slot = tuple[Kind, int, int, int]


@dataclass(frozen=True)
class Asked:
    """The arguments of add_totals, of rows 0 to `rows`, and the slots of the table."""

    slots: Sequence[Slot]
    code: np.ndarray
    columns: list[Source]
    valids: list[np.ndarray | None]
    rows: int
    keys: list[Digit]
    mask: np.ndarray | None
    meetings: Sequence[Meeting] = ()

    def table(self) -> Totals:
        """An empty table."""
        return Totals.empty(math.prod(key.limit for key in self.keys), self.slots)

    def add(self, twin: Any, table: Totals, *, start: int = 0, rows: int | None = None) -> Added:
        """Have a twin add rows."""
        found: Added = twin.add_totals(
            table,
            self.code,
            self.columns,
            self.valids,
            self.rows if rows is None else rows,
            start,
            100,
            self.keys,
            self.mask,
            self.meetings,
        )
        return found


def packed(values: np.ndarray, before: int) -> Source:
    """Integers in packed blocks behind `before` others."""
    return Packed.of(np.concatenate([np.full(before, values[0]), values])).blocks(before)


def meeting(random: np.random.Generator, rows: int, before: int, *, bits: bool) -> tuple[Meeting, int]:
    """Keys most of which are held, and how many held rows there are."""
    low, held = int(random.integers(-(2**40), 2**40)), int(random.integers(1, 200))
    numbers = random.permutation(300)[:held]
    words = np.zeros(5, np.uint64)
    members.set_bits(low + numbers, low, words)
    table = np.full(301, -1)
    table[numbers] = np.arange(held)
    order = table[np.sort(numbers)]
    lookup = Lookup.of(low, words, members.count_bits(words), order, None if bits else table)
    keys = low + random.integers(-5, 310, rows)
    return Meeting(packed(keys, before) if random.random() < 0.5 else keys, lookup), held


def held_of(values: np.ndarray, at: int, held: int, random: np.random.Generator) -> Held:
    """A column of the held rows, of values that a column has."""
    column = np.ascontiguousarray(values[random.integers(0, len(values), held)])
    return Held(column, at, column.__array_interface__["data"][0])


@st.composite
def digits(
    draw: DrawFn, rows: int, before: int, random: np.random.Generator, held: Sequence[int] = ()
) -> Digit:
    """A key of few values; `held` are how many rows are held for each meeting."""
    limit, base = draw(st.integers(2, 40)), draw(st.sampled_from([0, -3, 2**40]))
    valid = random.random(rows) < 0.8 if draw(st.booleans()) else None
    numbers = random.integers(0, limit - (valid is not None), rows)
    if held and draw(st.booleans()):
        at = draw(st.integers(0, len(held) - 1))
        return Digit(held_of(numbers + base, at, held[at], random), limit, base, None, valid)
    if draw(st.booleans()):
        table = random.permutation(limit)
        return Digit(draw(st.sampled_from([packed(numbers, before), numbers])), limit, 0, table, valid)
    dtype = draw(st.sampled_from([np.int32, np.int64])) if abs(base) < 99 else np.int64
    arrays = [packed(numbers + base, before), (numbers + base).astype(dtype)]
    return Digit(draw(st.sampled_from(arrays)), limit, base, None, valid)


@st.composite
def asked(draw: DrawFn) -> Asked:
    """A program, keys and a mask, some columns packed, and slots that fit the registers."""
    code, columns, valids, rows, _ = draw(programs())
    floats = [column.dtype.kind == "f" for column in columns]
    floats += [op in FRACTION or op == Op.TO_FLOAT for op in code[:, 0].tolist()]
    before = draw(st.sampled_from([0, 1, 1024, 1030]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    met = [meeting(random, rows, before, bits=draw(st.booleans())) for _ in range(draw(st.integers(0, 2)))]
    if len(met) > 1 and draw(st.booleans(), "one by the other"):
        (_, count), (second, more) = met
        keys = held_of(np.asarray(second.lookup.low + random.integers(-5, 310, 200)), 0, count, random)
        met[1] = Meeting(keys, second.lookup), more
    held = [count for _, count in met]
    sources: list[Source] = []
    for column, valid in zip(columns, valids, strict=True):
        whole = column.dtype.str == "<i8" and valid is None and len(column) == rows
        if held and valid is None and len(column) == rows > 1 and draw(st.booleans()):
            at = draw(st.integers(0, len(held) - 1))
            sources.append(held_of(column, at, held[at], random))
            continue
        sources.append(packed(column, before) if whole and draw(st.booleans()) else column)
    keys = [draw(digits(rows, before, random, held)) for _ in range(draw(st.integers(0, 2)))]
    mask = random.random(rows) < 0.7 if draw(st.booleans()) else None
    slots: list[Slot] = []
    for register in draw(st.lists(st.sampled_from(range(len(floats))), max_size=4)):
        kinds = [Kind.FLOAT, Kind.TOP_FLOAT] if floats[register] else [Kind.SUM, Kind.WIDE, Kind.TOP]
        kind = draw(st.sampled_from([Kind.KNOWN, *kinds]))
        bases = {
            Kind.FLOAT: [1000, 1023, 980],
            Kind.TOP: [GREATEST, LEAST],
            Kind.TOP_FLOAT: [GREATEST, LEAST],
        }
        slots.append((kind, register, register, draw(st.sampled_from(bases.get(kind, [0])))))
    return Asked(slots, code, sources, valids, rows, keys, mask, [each for each, _ in met])


def assert_same(one: Totals, other: Totals) -> None:
    """Two tables tell the same."""
    a, b = gathered([one]), gathered([other])
    assert a.numbers.tolist() == b.numbers.tolist()
    assert a.firsts.tolist() == b.firsts.tolist()
    assert a.words.tolist() == b.words.tolist()


@settings(max_examples=200, deadline=None)
@given(asked())
def test_twins_agree(question: Asked) -> None:
    tables = question.table(), question.table()
    done = question.add(compiled, tables[1])
    # of what stands in a table already the next rows may be refused, the first ones not
    taken = question.add(plain, tables[0], rows=done.rows) if done.rows else Added(0)
    assert taken.rows == done.rows
    assert_same(*tables)
    if done.rows < question.rows:
        assert done.why is not Why.DONE
        assert question.add(plain, question.table()).why is not Why.DONE


@settings(max_examples=60, deadline=None)
@given(asked(), st.integers(0, 3000))
def test_tables_together_are_one_table(question: Asked, cut: int) -> None:
    cut = min(cut, question.rows)
    whole, one, other = question.table(), question.table(), question.table()
    done = [question.add(compiled, table, start=s) for table, s in ((whole, 0), (other, cut))]
    question.add(compiled, one, rows=cut)
    if any(each.why is not Why.DONE for each in done):
        return
    a, b = gathered([whole]), gathered([other, one])
    assert (a.numbers.tolist(), a.firsts.tolist()) == (b.numbers.tolist(), b.firsts.tolist())
    assert a.words.tolist() == b.words.tolist()


def wide(table: Totals, slot: int) -> list[int]:
    """The two words of a slot as Python's integers."""
    found = gathered([table])
    low, high = found.word(slot).view(np.uint64).tolist(), found.word(slot, 1).tolist()
    return [(upper << 64) + lower for lower, upper in zip(low, high, strict=True)]


@pytest.mark.parametrize("twin", [plain, compiled])
def test_sums_of_products_by_two_keys(twin: Any) -> None:
    rows = 5000
    random = np.random.default_rng(7)
    a, b, first, second = (
        random.integers(low, high, rows) for low, high in ((-9, 99), (0, 50), (5, 8), (0, 2))
    )
    mask = random.random(rows) < 0.9
    code = np.array([(Op.MULTIPLY, 0, 1, 8)], np.int32)
    keys = [Digit(packed(first, 0), 3, 5), Digit(second, 2, 0, np.array([1, 0]))]
    slots = [(Kind.SUM, 0, 0, 0), (Kind.WIDE, 2, 2, 0), (Kind.TOP, 1, 1, LEAST)]
    question = Asked(slots, code, [packed(a, 0), b], [None, None], rows, keys, mask)
    table = question.table()
    assert question.add(twin, table) == Added(rows)
    found = gathered([table])
    for group in range(6):
        mine = np.flatnonzero(mask & ((first - 5) * 2 + 1 - second == group))
        assert found.firsts[group] == mine[0] + 100
        assert found.counts[group] == len(mine)
        assert found.word(0)[group] == a[mine].sum()
        assert wide(table, 1)[group] == (a * b)[mine].sum()
        assert found.tops(2)[group] == b[mine].min()


@pytest.mark.parametrize("twin", [plain, compiled])
def test_sums_beyond_a_word_are_exact(twin: Any) -> None:
    rows = 3000
    values = np.resize(np.array([2**63 - 1, 2**63 - 1, -(2**63), 5]), rows)
    question = Asked([(Kind.SUM, 0, 0, 0)], EMPTY, [values], [None], rows, [], None)
    assert question.add(twin, question.table()) == Added(0, Why.FULL)
    question = Asked([(Kind.WIDE, 0, 0, 0)], EMPTY, [values], [None], rows, [], None)
    table = question.table()
    assert question.add(twin, table).why is Why.DONE
    assert wide(table, 0) == [sum(values.tolist())]


@pytest.mark.parametrize("value", [2**62 - 1, 2**63 - 1, -(2**62), -(2**62) - 1, -(2**63)])
@pytest.mark.parametrize("twin", [plain, compiled])
def test_one_row_may_be_too_large_for_a_sum(twin: Any, value: int) -> None:
    table = Totals.empty(1, [(Kind.SUM, 0, 0, 0)])
    added = twin.add_totals(table, EMPTY, [np.array([value])], [None], 1, 0, 0, [], None)
    assert added.why is (Why.FULL if abs(value) > 2**62 else Why.DONE)


@pytest.mark.parametrize("twin", [plain, compiled])
def test_sums_of_floats_are_exact(twin: Any) -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.uniform(-100, 100, 4000), [0.0, -0.0, 2.0**-20, -(2.0**-20)]])
    question = Asked([(Kind.FLOAT, 0, 0, 1000)], EMPTY, [values], [None], len(values), [], None)
    table = question.table()
    assert question.add(twin, table).why is Why.DONE
    unit = Fraction(2) ** (1000 - 1075)
    assert [Fraction(total) * unit for total in wide(table, 0)] == [sum(map(Fraction, values.tolist()))]


@pytest.mark.parametrize("twin", [plain, compiled])
def test_floats_that_are_refused(twin: Any) -> None:
    def answer(kind: Kind, base: int, *values: float) -> Added:
        given = Asked([(kind, 0, 0, base)], EMPTY, [np.array(values)], [None], len(values), [], None)
        return given.add(twin, given.table())

    assert answer(Kind.FLOAT, 1023, 1.0, 0.25, 8.0) == Added(0, Why.BEYOND, 0, 1021, 1026)
    for special in (math.nan, math.inf, -math.inf, 5e-324):
        assert answer(Kind.FLOAT, 1023, 1.0, special).why is Why.SPECIAL
        assert answer(Kind.TOP_FLOAT, LEAST, 1.0, special).why is Why.SPECIAL
    assert answer(Kind.FLOAT, 1023, 1.0, -0.0).why is Why.DONE
    assert answer(Kind.TOP_FLOAT, LEAST, 1.0, -0.0).why is Why.SPECIAL


@pytest.mark.parametrize("twin", [plain, compiled])
def test_a_row_outside_the_mask_may_leave_no_answer(twin: Any) -> None:
    code = np.array([(Op.DIVIDE, 0, 1, 8)], np.int32)
    columns: list[Source] = [np.array([6, 1]), np.array([2, 0])]
    question = Asked([(Kind.SUM, 2, 2, 0)], code, columns, [None, None], 2, [], np.array([True, False]))
    assert question.add(twin, question.table()).why is Why.NO_ANSWER
