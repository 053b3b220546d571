"""The terms family: both twins against Python, over blocks of every width: inside, outside and looked up."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.encodings.packed import Packed
from storage.kernels.compiled import terms as compiled
from storage.kernels.plain import terms as plain
from storage.kernels.plain.packing import BLOCK
from storage.kernels.plain.terms import Term

TWINS = [plain, compiled]
LEAST, MOST = -(2**63), 2**63 - 1

quick = settings(max_examples=50)


def _values(data: st.DataObject, rows: int) -> np.ndarray:
    """Integers whose blocks have different widths, 0, 1 and 64 among them."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    blocks = -(-rows // BLOCK)
    widths = data.draw(st.lists(st.sampled_from([0, 1, 2, 7, 20, 63, 64]), min_size=blocks, max_size=blocks))
    base = data.draw(st.sampled_from([0, -5, 1000]))
    shifts = np.repeat(np.array([64 - max(width, 1) for width in widths], np.uint64), BLOCK)[:rows]
    words = random.integers(0, 2**64, rows, np.uint64, endpoint=False) >> shifts
    words[np.repeat(np.array(widths) == 0, BLOCK)[:rows]] = 0
    values = words.view(np.int64)
    return np.where(np.repeat(np.array(widths) < 63, BLOCK)[:rows], values + base, values)


def _term(data: st.DataObject, values: np.ndarray) -> tuple[Term, list[bool]]:
    """A term, and where it is true."""
    some, items = Packed.of(values), values.tolist()
    bound = st.one_of(st.sampled_from(items), st.integers(LEAST, MOST), st.sampled_from([LEAST, MOST, 0, 1]))
    low, high = data.draw(bound), data.draw(bound)
    inside = data.draw(st.booleans())
    if not data.draw(st.booleans(), "looked up"):
        true = [(low <= value <= high) is inside for value in items]
        return some.within(low, high, inside=inside), true
    high = min(low + data.draw(st.integers(0, 3000)), MOST)
    table = np.random.default_rng(data.draw(st.integers(0, 9))).random(high - low + 1) < 0.5
    true = [(low <= value <= high and bool(table[value - low])) is inside for value in items]
    return some.within(low, high, inside=inside, table=table), true


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(st.data())
def test_rows_meet_all_terms(twin: ModuleType, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 3 * BLOCK))
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    count = data.draw(st.integers(0, 3))
    found = [_term(data, _values(data, rows)) for _ in range(count)]
    randoms = map(np.random.default_rng, range(data.draw(st.integers(0, 2))))
    masks = [random.random(stop - start) < 0.7 for random in randoms]
    out = np.empty(stop - start, np.bool_)
    twin.select_terms([term for term, _ in found], masks, start, out)
    wanted = np.ones(stop - start, np.bool_)
    for mask in (*(np.array(true, np.bool_)[start:stop] for _, true in found), *masks):
        wanted &= mask
    assert out.tolist() == wanted.tolist()
    assert twin.count_terms([term for term, _ in found], masks, start, stop) == wanted.sum()


@pytest.mark.parametrize("twin", TWINS)
def test_a_term_is_asked_again(twin: ModuleType) -> None:
    """What is kept of it is of the column, not of the rows that were asked first."""
    values = np.arange(2 * BLOCK) % 100
    term = Packed.of(values).within(10, 19)
    for start in (0, 7, BLOCK, BLOCK + 50):
        out = np.empty(80, np.bool_)
        twin.select_terms([term], [], start, out)
        assert (out == (values[start : start + 80] // 10 == 1)).all()


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(st.integers(0, 300), st.sampled_from([0, 0.01, 0.5, 1]), st.integers(0, 9), st.integers(-3, 2**40))
def test_true_rows(twin: ModuleType, rows: int, share: float, skipped: int, first: int) -> None:
    mask = (np.random.default_rng(rows).random(rows + skipped) < share)[skipped:]
    found = twin.true_rows(mask, first)
    assert found.dtype == np.int64
    assert found.tolist() == [first + i for i, true in enumerate(mask.tolist()) if true]
