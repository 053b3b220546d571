"""The dot family: the twins give the same bits for every element type, and err no more than is said."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.kernels.compiled import dot as compiled
from storage.kernels.plain import dot as plain

ELEMENTS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8"]
METRICS = ["dot", "l2", "l1", "cosine"]
quick = settings(max_examples=60, deadline=None)


def _rows(dtype: str, rows: int, dimensions: int, seed: int, spread: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if dtype[0] == "i":
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, (rows, dimensions), dtype, endpoint=True)
    scales = 2.0 ** random.integers(-spread, spread + 1, (rows, dimensions))
    with np.errstate(over="ignore"):
        return (random.standard_normal((rows, dimensions)) * scales).astype(dtype)


cases = st.tuples(
    st.sampled_from(ELEMENTS),
    st.integers(1, 9),
    st.integers(0, 130),
    st.integers(0, 2**32),
    st.sampled_from([0, 10, 60]),
)


@pytest.mark.parametrize("metric", METRICS)
@quick
@given(cases)
def test_twins_agree_bit_for_bit(metric: str, case: tuple[str, int, int, int, int]) -> None:
    rows = _rows(*case)
    for query in (rows[-1], rows[::-1], np.zeros(rows.shape[1], rows.dtype)):
        found = [getattr(twin, metric)(rows, query) for twin in (plain, compiled)]
        assert np.array_equal(found[0], found[1], equal_nan=True)
        one_by_one = [
            getattr(plain, metric)(rows[i : i + 1], np.broadcast_to(query, rows.shape)[i])
            for i in range(len(rows))
        ]
        assert np.array_equal(found[0], np.concatenate(one_by_one), equal_nan=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_what_is_not_finite_goes_through(dtype: str) -> None:
    rows = np.array([[np.nan, 1], [np.inf, 1], [-np.inf, 1], [np.inf, -np.inf], [0, 0], [1, 2]], dtype)
    for metric in METRICS:
        found = [getattr(twin, metric)(rows, rows[5]) for twin in (plain, compiled)]
        assert np.array_equal(found[0], found[1], equal_nan=True)
    assert np.isnan(plain.cosine(rows, rows[4])).all()
    assert np.isinf(plain.dot(rows, rows[5])[1:3]).all()


def test_rows_that_lie_apart_and_unaligned() -> None:
    raw = np.arange(3 * 50, dtype=np.uint8).reshape(3, 50)
    rows = raw[:, 1:45].view(np.int16)
    assert np.array_equal(compiled.dot(rows, rows[1]), plain.dot(rows, rows[1]))
    apart = _rows("f4", 6, 64, 1, 0)[:, ::2]
    assert np.array_equal(compiled.l2(apart, apart[1]), plain.l2(apart, apart[1]))


@quick
@given(cases)
def test_the_error_is_within_the_bound(case: tuple[str, int, int, int, int]) -> None:
    rows = _rows(*case)
    query = rows[-1]
    bound = Fraction(plain.rounding(rows.dtype, rows.shape[1]))
    with np.errstate(over="ignore"):
        finite = (
            np.isfinite(rows.astype(np.float64)).all(axis=1) & np.isfinite(query.astype(np.float64)).all()
        )
    for row, found in zip(rows[finite], plain.dot(rows, query)[finite], strict=True):
        terms = [Fraction(x) * Fraction(y) for x, y in zip(row.tolist(), query.tolist(), strict=True)]
        assert abs(Fraction(float(found)) - sum(terms)) <= bound * sum(map(abs, terms))


@pytest.mark.parametrize("dtype", ["i1", "i2"])
def test_small_integers_are_exact(dtype: str) -> None:
    rows = _rows(dtype, 5, 1000, 7, 0)
    wide = rows.astype(np.int64)
    assert (compiled.dot(rows, rows[2]) == wide @ wide[2]).all()
    assert (compiled.l1(rows, rows[2]) == np.abs(wide - wide[2]).sum(axis=1)).all()
