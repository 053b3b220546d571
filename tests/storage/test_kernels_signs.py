"""The families rotation, signs, planes and promises: compiled against plain, and what they have to keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.codes import Codes, Metric, Question
from storage.codes.asked import Asked
from storage.kernels.compiled import planes as compiled_planes
from storage.kernels.compiled import promises as compiled_promises
from storage.kernels.compiled import rotation as compiled_rotation
from storage.kernels.compiled import signs as compiled
from storage.kernels.plain import planes as plain_planes
from storage.kernels.plain import promises as plain_promises
from storage.kernels.plain import rotation as plain_rotation
from storage.kernels.plain import signs as plain
from storage.predicate import Comparison

DIMENSIONS = [1, 2, 63, 64, 65, 100, 128, 200, 320, 768, 1000, 1024, 1088]
DTYPES = [np.float32, np.float64, np.float16, np.int8, np.int64]
quick = settings(max_examples=40)


def _random(seed: int, rows: int, dimensions: int, dtype: type) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, dimensions)) * 20).astype(dtype)


@pytest.mark.parametrize("twin", [plain_rotation, compiled_rotation])
@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_the_rotation_keeps_products_and_mixes(twin: object, dimensions: int) -> None:
    rows = _random(dimensions, 20, dimensions, np.float64)
    rotated = twin.rotate_rows(rows)  # type: ignore[attr-defined]
    assert rotated.shape == (20, -(-dimensions // 64) * 64)
    norms = np.linalg.norm(rows, axis=1)
    assert (np.abs(rotated @ rotated.T - rows @ rows.T) <= 1e-13 * np.outer(norms, norms)).all()
    if dimensions >= 64:
        # one element of the row is in many of the rotated one
        one = twin.rotate_rows(np.eye(dimensions))  # type: ignore[attr-defined]
        assert np.abs(one).max() < 0.5


@quick
@given(st.integers(0, 2**32), st.integers(0, 40), st.sampled_from(DIMENSIONS), st.sampled_from(DTYPES))
def test_twins_rotate_and_encode_alike(seed: int, rows: int, dimensions: int, dtype: type) -> None:
    values = _random(seed, rows, dimensions, dtype)
    views = [
        values,
        np.ascontiguousarray(np.hstack([values, values]))[:, :dimensions],
        values[:, ::-1][:, ::-1],
    ]
    rotated = plain_rotation.rotate_rows(values)
    for view in views:
        np.testing.assert_allclose(compiled_rotation.rotate_rows(view), rotated, atol=1e-11)
    centroid = _random(seed + 1, 1, rotated.shape[1], np.float32)[0]
    for planes in (1, 4):
        signs, factors = plain_rotation.encode_signs(values, centroid, planes)
        other_signs, other_factors = compiled_rotation.encode_signs(values, centroid, planes)
        np.testing.assert_allclose(other_factors, factors, rtol=1e-5, atol=1e-4)
        assert (np.bitwise_count(signs ^ other_signs).sum(axis=(1, 2)) <= 2).all()
    signs, other_signs = signs[:, 0], other_signs[:, 0]
    bits, other_bits = (
        np.unpackbits(s.view(np.uint8), axis=1, bitorder="little") for s in (signs, other_signs)
    )
    assert (np.abs(rotated - centroid)[bits != other_bits] < 1e-11).all()


@pytest.mark.parametrize("twin", [plain_rotation, compiled_rotation])
def test_planes_are_levels_of_a_grid(twin: object) -> None:
    rows = _random(7, 30, 200, np.float64)
    rows[3] = 0
    centroid = np.zeros(256, np.float32)
    words, factors = twin.encode_signs(rows, centroid, 4)  # type: ignore[attr-defined]
    bits = np.unpackbits(words.view(np.uint8), axis=2, bitorder="little").astype(np.int64)
    levels = bits[:, 0] * 8 + bits[:, 1] * 4 + bits[:, 2] * 2 + bits[:, 3]
    z = plain_rotation.rotate_rows(rows)
    norms = np.linalg.norm(z, axis=1)
    steps = np.where(norms > 0, plain_rotation.GRID * norms / 16, 1)
    wanted = np.clip(np.floor(z / steps[:, np.newaxis]) + 8, 0, 15)
    assert (np.abs(wanted - levels).sum(axis=1) <= 1).all()
    for place, digits in ((3, 2 * (levels >> 2) - 3), (5, 2 * levels - 15)):
        lengths = np.linalg.norm(digits, axis=1)
        np.testing.assert_allclose(factors[:, place + 1], 1 / lengths, rtol=1e-6)
        cosines = np.divide((z * digits).sum(axis=1), norms * lengths, out=np.ones(30), where=norms > 0)
        np.testing.assert_allclose(factors[:, place], cosines, rtol=1e-6)
    assert factors[0, 1] < factors[0, 3] < factors[0, 5]


@pytest.mark.parametrize("twin", [plain_rotation, compiled_rotation])
def test_what_is_not_finite_shows_in_the_factors(twin: object) -> None:
    rows = np.ones((5, 100), np.float64)
    rows[0, 3], rows[1, 99], rows[2, 0], rows[3, 1] = np.nan, np.inf, -np.inf, 1e200
    _, factors = twin.encode_signs(rows, np.ones(128, np.float32), 4)  # type: ignore[attr-defined]
    assert np.isfinite(factors[:, :3]).all(axis=1).tolist() == [False, False, False, False, True]


@quick
@given(st.integers(0, 2**32), st.sampled_from([64, 320, 1024]), st.sampled_from([1, 3, 4, 8]))
def test_twins_quantise_alike(seed: int, dimensions: int, bits: int) -> None:
    turned = _random(seed, 1, dimensions, np.float64)[0]
    planes, step, error, distance = plain_planes.quantise(turned, bits)
    again, same_step, same_error, same_distance = compiled_planes.quantise(turned, bits)
    assert step == same_step
    assert error == pytest.approx(same_error, rel=1e-12)
    assert distance == pytest.approx(same_distance, rel=1e-12)
    assert (planes == again).all()
    digits = sum(
        (np.unpackbits(planes[:, j].copy().view(np.uint8), bitorder="little").astype(np.int64) << j)
        for j in range(bits)
    )
    assert np.abs(turned - step * (2 * digits - (1 << bits) + 1)).sum() == pytest.approx(error)


def test_a_question_of_nothing_has_no_step() -> None:
    for twin in (plain_planes, compiled_planes):
        planes, step, error, distance = twin.quantise(np.zeros(128), 4)
        assert (step, error, distance) == (0.0, 0.0, 0.0)
        assert not planes.any()


@quick
@given(
    st.integers(0, 2**32),
    st.sampled_from([64, 100, 1024]),
    st.sampled_from(list(Metric)),
    st.sampled_from([Comparison.GT, Comparison.LE]),
    st.data(),
)
def test_twins_decide_alike(
    seed: int, dimensions: int, metric: Metric, op: Comparison, data: st.DataObject
) -> None:
    """Several questions, several spans, every lane: bit for bit."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(data.draw(st.integers(1, 100)), dimensions))
    rows *= 10.0 ** random.integers(-2, 2, (len(rows), 1))
    codes = Codes.build(rows)
    assert codes is not None
    questions = [Question.of(metric, rows[row]) for row in random.integers(0, len(rows), 3)]
    asked = Asked.of(codes, questions)
    threshold = data.draw(st.sampled_from([-1.0, 0.1, 0.9, 5.0, 100.0]))
    spans = np.array([[0, len(rows), 0], [len(codes.signs) - 1, 1, 0]])
    arguments = (
        codes.signs,
        codes.factors,
        spans,
        asked.coarse,
        asked.fine,
        asked.constants(op, threshold).reshape(3, 1, -1),
    )
    found, again = plain.scan_signs(*arguments), compiled.scan_signs(*arguments)
    for array, other in zip(found[:4], again[:4], strict=True):
        assert (array == other).all()
    assert found[4] == again[4]
    words, _ = codes.rows_at(codes.slots(range(codes.cells)))
    for planes in (asked.coarse[0, 0], asked.fine[0, 0]):
        assert (plain.count_signs(words, planes) == compiled.count_signs(words, planes)).all()


@quick
@given(
    st.integers(0, 2**32),
    st.sampled_from([64, 100, 1024]),
    st.sampled_from(list(Metric)),
    st.sampled_from([1.0, -1.0]),
    st.integers(1, 40),
    st.booleans(),
)
def test_twins_promise_alike(
    seed: int, dimensions: int, metric: Metric, sign: float, wanted: int, some: bool
) -> None:
    """Two centroids, equal rows, lanes that do not count; and a scan goes on from what was counted."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(random.integers(2, 60), dimensions))
    rows *= 10.0 ** random.integers(-2, 2, (len(rows), 1))
    rows[random.random(len(rows)) < 0.3] = rows[0]
    parts = [Codes.build(part) for part in (rows, rows + 3)]
    placed = zip(parts, np.split(random.permutation(2 * len(rows)), 2), strict=True)
    codes = Codes.merged([(part, places) for part, places in placed if part is not None])
    asked = Asked.of(codes, [Question.of(metric, rows[0])])
    spans = codes.table[:, :3].copy()
    mask = random.random(2 * len(rows)) < 0.4 if some else None
    lanes = codes.lanes(range(codes.cells), mask)
    guesses = np.stack([frame.guesses(sign) for frame in asked.frames])
    arguments = (codes.signs, codes.factors, spans, asked.coarse[0], guesses, lanes, wanted)
    counts, again = codes.room(range(codes.cells)), codes.room(range(codes.cells))
    slots, found = plain_promises.promise_signs(*arguments, counts)
    other_slots, other_found = compiled_promises.promise_signs(*arguments, again)
    every = codes.slots(range(codes.cells))
    assert (counts.reshape(-1)[every] == again.reshape(-1)[every]).all()
    assert slots.tolist() == other_slots.tolist()
    assert found.tolist() == other_found.tolist()
    counting = every if mask is None else every[mask[codes.positions(every)]]
    assert len(slots) == min(wanted, len(counting))
    assert np.isin(slots, counting).all()
    constants = asked.constants(Comparison.GT, 0.5).reshape(1, len(asked.frames), -1)
    scanned = (codes.signs, codes.factors, spans, asked.coarse, asked.fine, constants)
    for scan in (plain.scan_signs, compiled.scan_signs):
        for array, other in zip(scan(*scanned), scan(*scanned, again), strict=True):
            assert np.array_equal(array, other)


@quick
@given(
    st.integers(0, 2**32),
    st.sampled_from([64, 100, 1024]),
    st.sampled_from(list(Metric)),
    st.sampled_from([Comparison.GT, Comparison.LE]),
    st.sampled_from([-1.0, 0.1, 0.9, 5.0, 100.0]),
)
def test_twins_look_deeper_alike(
    seed: int, dimensions: int, metric: Metric, op: Comparison, threshold: float
) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(50, dimensions)) * 10.0 ** random.integers(-2, 2, (50, 1))
    codes = Codes.build(rows)
    assert codes is not None
    asked = Asked.of(codes, [Question.of(metric, rows[0])])
    slots = np.sort(random.choice(50, 30, replace=False))
    counts = plain.count_signs(codes.rows_at(slots)[0], asked.fine[0, 0]).astype(np.int64)
    state = random.choice([plain.OPEN, plain.OPEN, plain.TAKEN], 30).astype(np.uint8)
    for finer in codes.finer:
        loaded = finer.load()
        assert loaded is not None
        arguments = (
            *loaded,
            codes.factors,
            slots,
            np.zeros(30, np.int64),
            asked.by_plane,
            np.ascontiguousarray(asked.deep[:, finer.planes]),
            asked.constants(op, threshold),
        )
        before, again, other = state.copy(), counts.copy(), state.copy()
        plain_planes.deepen_signs(*arguments, counts, state)
        compiled_planes.deepen_signs(*arguments, again, other)
        assert (counts == again).all()
        assert (state == other).all()
        assert (state[before == plain.TAKEN] == plain.TAKEN).all()


def test_what_is_found_may_be_more_than_a_call_holds() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(3000, 64)).astype(np.float32)
    codes = Codes.build(rows)
    assert codes is not None
    asked = Asked.of(codes, [Question.of(Metric.DOT, row) for row in rows[:60]])
    arguments = (
        codes.signs,
        codes.factors,
        codes.table[:, :3].copy(),
        asked.coarse,
        asked.fine,
        asked.constants(Comparison.GT, -1e9).reshape(60, 1, -1),
    )
    number, slots, taken, _, decided = compiled.scan_signs(*arguments)
    assert taken.all()
    assert decided == 180_000
    assert (slots.reshape(60, 3000) == np.arange(3000)).all()
    assert (number.reshape(60, 3000) == np.arange(60)[:, np.newaxis]).all()
