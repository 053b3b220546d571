"""The families moments, slides and spreads: both twins have one answer, which is that of Decimals."""

from __future__ import annotations

from decimal import Context, Decimal
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aggregates.exact import ExactSums
from engine.values import decimals
from engine.wordnumerics import objects_of
from storage.kernels.compiled import moments as compiled
from storage.kernels.compiled import slides as compiled_slides
from storage.kernels.compiled import spreads as compiled_spreads
from storage.kernels.plain import moments as plain
from storage.kernels.plain import slides as plain_slides
from storage.kernels.plain import spreads as plain_spreads
from storage.kernels.plain.doubles import products
from storage.kernels.plain.moments import DIGITS, LEFT, NULL

TWINS = [plain, compiled]
_ROOTS = Context(prec=200)
quick = settings(max_examples=150)
values = st.integers(0, 63).flatmap(lambda bits: st.integers(-(1 << bits), (1 << bits) - 1))
few = st.lists(values, max_size=6) | values.flatmap(lambda value: st.lists(st.just(value), max_size=40))
scales = st.sampled_from([0, 0, 2, 5, 18])


def gathered(twin: ModuleType, items: list[int], form: type = np.int64) -> list[np.ndarray]:
    """Rows, halves and squares of one group."""
    rows, high, low = (np.zeros(1, np.int64) for _ in range(3))
    squares = np.zeros((1, DIGITS), np.int64)
    twin.sum_squares(np.zeros(len(items), np.int64), np.array(items, form), rows, high, low, squares)
    return [rows, high, low, squares]


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("form", [np.int16, np.int32, np.int64])
@quick
@given(data=st.data())
def test_squares_are_summed_exactly(twin: ModuleType, form: type, data: st.DataObject) -> None:
    least, most = np.iinfo(form).min, np.iinfo(form).max
    items = data.draw(st.lists(st.integers(least, most) | st.sampled_from([least, most, -1]), max_size=20))
    rows, high, low, squares = gathered(twin, items, form)
    assert rows.tolist() == [len(items)]
    assert (int(high[0]) << 32) + int(low[0]) == sum(items)
    assert sum(digit << 32 * place for place, digit in enumerate(squares[0].tolist())) == sum(
        item * item for item in items
    )


@quick
@given(items=few, scale=scales)
def test_means(items: list[int], scale: int) -> None:
    rows, high, low, _ = gathered(plain, items)
    words, found = plain.mean_words(rows, high, low, scale)
    others = compiled.mean_words(rows, high, low, scale)
    assert (words.tolist(), found.tolist()) == (others[0].tolist(), others[1].tolist())
    if not items:
        assert found.tolist() == [NULL]
    elif found[0] != LEFT:
        wanted = decimals.divide(Decimal(sum(items)).scaleb(-scale), Decimal(len(items)))
        assert str(objects_of(words, found)[0]) == str(wanted)


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("root", [False, True])
@quick
@given(items=few, scale=scales)
def test_variances(items: list[int], scale: int, sample: bool, root: bool) -> None:
    sums = gathered(plain, items)
    words, found = plain.variance_words(*sums, scale, sample, root)
    others = compiled.variance_words(*sums, scale, sample, root)
    assert (words.tolist(), found.tolist()) == (others[0].tolist(), others[1].tolist())
    count = len(items)
    if count <= sample:
        assert found.tolist() == [NULL]
        return
    over = count * sum(item * item for item in items) - sum(items) ** 2
    assert found[0] != LEFT or max(map(abs, items)) > 1 << 24 or scale > 2
    if over and found[0] != LEFT:
        square = Decimal(over).scaleb(-2 * scale, decimals.EXACT)
        wanted = decimals.divide(square, Decimal(count * (count - sample)))
        if root:
            places = decimals.scale_of(wanted)
            wanted = decimals.rounded(_ROOTS.sqrt(wanted), places)
        assert str(objects_of(words, found)[0]) == str(wanted)


@pytest.mark.parametrize("form", [np.int16, np.int32, np.int64])
@quick
@given(data=st.data())
def test_frames_have_the_sums_of_their_rows(form: type, data: st.DataObject) -> None:
    bits = 15 if form is np.int16 else 31 if form is np.int32 else 58
    items = data.draw(st.lists(st.integers(-(1 << bits), (1 << bits) - 1), max_size=16))
    place = st.integers(0, len(items))
    frames = data.draw(st.lists(st.tuples(place, place).map(sorted), max_size=8))
    first, stop = (np.array([frame[at] for frame in frames], np.int64) for at in range(2))
    answers = []
    for twin in (plain_slides, compiled_slides):
        high, low, alone, lower = (np.zeros(len(frames), np.int64) for _ in range(4))
        squares = np.zeros((len(frames), DIGITS), np.int64)
        twin.slide_sums(np.array(items, form), first, stop, alone, lower)
        for _ in range(2):
            twin.slide_squares(np.array(items, form), first, stop, high, low, squares)
        answers.append([high.tolist(), low.tolist(), squares.tolist(), alone.tolist(), lower.tolist()])
        for at, (begin, end) in enumerate(frames):
            mine = items[begin:end]
            assert (int(alone[at]) << 32) + int(lower[at]) == sum(mine)
            assert (int(high[at]) << 32) + int(low[at]) == 2 * sum(mine)
            digits = squares[at].tolist()
            assert sum(digit << 32 * place for place, digit in enumerate(digits)) == 2 * sum(
                item * item for item in mine
            )
    assert answers[0] == answers[1]


@quick
@given(data=st.data(), width=st.integers(0, 4))
def test_digits_are_summed_one_by_one(data: st.DataObject, width: int) -> None:
    rows = data.draw(st.integers(0, 9))
    digits = np.random.default_rng(rows).integers(-(2**63), 2**63 - 1, (rows, width))
    place = st.integers(0, rows)
    frames = data.draw(st.lists(st.tuples(place, place).map(sorted), max_size=6))
    first, stop = (np.array([frame[at] for frame in frames], np.int64) for at in range(2))
    for twin in (plain_slides, compiled_slides):
        out = np.ones((len(frames), width), np.int64)
        twin.slide_digits(digits, first, stop, out)
        for at, (begin, end) in enumerate(frames):
            assert (out[at] == digits[begin:end].sum(axis=0) + 1).all()


@quick
@given(
    st.lists(
        st.lists(st.floats(-1e3, 1e3) | st.sampled_from([0.1, 1e150, -1e9, 5e-324, 1e-200]), max_size=9)
    ),
    st.booleans(),
    st.booleans(),
)
def test_variances_of_floats_are_sure_of_the_same(
    groups: list[list[float]], sample: bool, root: bool
) -> None:
    rows = np.array([len(group) for group in groups], np.int64)
    numbers = np.repeat(np.arange(len(groups)), rows)
    values = np.array([value for group in groups for value in group])
    sums, squares = ExactSums(), ExactSums()
    for each in (sums, squares):
        each.grow(len(groups))
    sums.add(numbers, values)
    for part in products(values, values):
        if part is not None:
            squares.add(numbers, part)
    given = (rows, sums.digits(), sums.low, squares.digits(), squares.low, sample, root)
    found, sure = plain_spreads.near_variances(*given)
    others, other_sure = compiled_spreads.near_variances(*given)
    assert sure.tolist() == other_sure.tolist()
    there = sure & (rows > sample)
    assert found[there].tolist() == others[there].tolist()
