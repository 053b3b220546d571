"""Codes against the scores themselves in float64: bounds hold, and no answer is lost or invented."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import kernels
from storage.codes import Codes, Limit, Metric, Question, Request
from storage.predicate import Comparison

OPS: dict[Comparison, Callable[[np.ndarray, float], np.ndarray]] = {
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
}


def scores(metric: Metric, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(rows,) float64, NaN where there is none."""
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    with np.errstate(all="ignore"):
        match metric:
            case Metric.DOT:
                return (rows * query).sum(axis=1)
            case Metric.L2:
                return np.sqrt(((rows - query) ** 2).sum(axis=1))
            case Metric.L1:
                return np.abs(rows - query).sum(axis=1)
            case Metric.COSINE:
                norms = np.sqrt((rows**2).sum(axis=1)) * sqrt((query**2).sum())
                return 1 - np.clip((rows * query).sum(axis=1) / norms, -1, 1)


def check_threshold(
    codes: Codes, metric: Metric, rows: np.ndarray, query: np.ndarray, op: Comparison, threshold: float
) -> None:
    """What is sure is true, what is neither sure nor in question is false."""
    question = Question.of(metric, query)
    true = scores(metric, rows, query)
    with np.errstate(invalid="ignore"):
        meets = OPS[op](true, threshold)
    for task in codes.tasks():
        verdict = codes.decide(question, op, threshold, task)
        assert (np.diff(verdict.sure) > 0).all()
        assert (np.diff(verdict.maybe) > 0).all()
        assert not np.isin(verdict.sure, verdict.maybe).any()
        assert meets[verdict.sure].all()
        meets[verdict.sure] = False
        meets[verdict.maybe] = False
    assert not meets.any()


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("dimensions", [64, 100, 768, 1000])
def test_a_query_equal_to_a_row(metric: Metric, dimensions: int) -> None:
    random = np.random.default_rng(dimensions)
    rows = random.normal(size=(200, dimensions)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    codes = Codes.build(rows)
    assert codes is not None
    for row in range(0, 200, 10):
        own = scores(metric, rows, rows[row])[row]
        positions, low, high = codes.bounds(Question.of(metric, rows[row]), range(codes.cells))
        at = int(np.flatnonzero(positions == row)[0])
        assert low[at] <= own <= high[at]
        for op in OPS:
            for threshold in (np.nextafter(own, -inf), own, np.nextafter(own, inf)):
                check_threshold(codes, metric, rows, rows[row], op, float(threshold))


SHAPES = (
    "normal",
    "constant",
    "one-hot",
    "clustered",
    "positive",
    "duplicates",
    "scaled",
    "wild",
    "integers",
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one element type and a query, from the usual to the worst."""
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    n = draw(st.sampled_from([32, 33, 63, 64, 65, 100, 128, 200, 320, 513]))
    count = draw(st.integers(1, 60))
    shape = draw(st.sampled_from(SHAPES))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.float16]))
    rows = random.normal(size=(count, n))
    match shape:
        case "constant":
            rows[:] = rows[0]
        case "one-hot":
            rows = np.eye(n)[random.integers(0, n, count)]
        case "clustered":
            rows = random.normal(size=(3, n))[random.integers(0, 3, count)] + 0.01 * rows
        case "positive":
            rows = np.maximum(rows, 0) + 1
        case "duplicates":
            rows = rows[random.integers(0, min(count, 4), count)]
        case "scaled":
            rows *= 10.0 ** random.integers(-4, 4, (count, 1))
        case "wild":
            rows *= 10.0 ** random.integers(-40, 30, (count, 1)).clip(-200, 36)
        case "integers":
            rows = random.integers(-128, 128, (count, n)).astype(np.float64)
    scale = draw(st.sampled_from([1.0, 1.0, 1e-3, 1e3, 1e-30, 1e15]))
    with np.errstate(over="ignore"):
        rows = (rows * scale).astype(dtype)
    holes = draw(st.integers(0, 4))
    for value in (nan, inf, -inf, 0.0)[:holes]:
        rows[random.integers(0, count), random.integers(0, n) if value else slice(None)] = value
    kind = draw(st.sampled_from(["row", "near", "far", "negated", "zero", "basis"]))
    base = rows[random.integers(0, count)].astype(np.float64)
    spread = float(np.abs(base[np.isfinite(base)]).mean()) if np.isfinite(base).any() else 1.0
    query = {
        "row": base,
        "near": base + 0.1 * spread * random.normal(size=n),
        "far": spread * random.normal(size=n),
        "negated": -base,
        "zero": np.zeros(n),
        "basis": np.eye(n)[0],
    }[kind]
    with np.errstate(over="ignore"):
        return rows, query.astype(dtype)


@settings(max_examples=100)
@given(tables(), st.sampled_from(list(Metric)))
def test_bounds_hold(table: tuple[np.ndarray, np.ndarray], metric: Metric) -> None:
    rows, query = table
    codes = Codes.build(rows)
    assert codes is not None
    positions, low, high = codes.bounds(Question.of(metric, query), range(codes.cells))
    assert sorted(positions) == list(range(len(rows)))
    true = scores(metric, rows, query)[positions]
    ordinary = np.isfinite(true)
    assert (low[ordinary] <= true[ordinary]).all()
    assert (high[ordinary] >= true[ordinary]).all()


@settings(max_examples=100)
@given(tables(), st.sampled_from(list(Metric)), st.sampled_from(list(OPS)), st.data())
def test_thresholds(
    table: tuple[np.ndarray, np.ndarray], metric: Metric, op: Comparison, data: st.DataObject
) -> None:
    rows, query = table
    codes = Codes.build(rows)
    assert codes is not None
    true = scores(metric, rows, query)
    known = true[~np.isnan(true)]
    thresholds = [0.0, -1.0, 0.9, 1e30, inf, -inf, nan]
    if len(known):
        score = known[data.draw(st.integers(0, len(known) - 1))]
        thresholds += [score, np.nextafter(score, -inf), np.nextafter(score, inf), -score, score * 1.01]
    for threshold in thresholds:
        check_threshold(codes, metric, rows, query, op, float(threshold))


@settings(max_examples=50)
@given(tables(), st.sampled_from(list(Metric)), st.sampled_from(list(OPS)), st.integers(0, 2**32))
def test_shares_are_those_of_the_verdict(
    table: tuple[np.ndarray, np.ndarray], metric: Metric, op: Comparison, seed: int
) -> None:
    """Of rows that are so few that the sample has all of them."""
    rows, query = table
    codes = Codes.build(rows)
    assert codes is not None
    true = scores(metric, rows, query)
    known = true[np.isfinite(true)]
    threshold = float(np.random.default_rng(seed).choice(known)) if len(known) else 0.0
    question = Question.of(metric, query)
    verdict = codes.decide(question, op, threshold, range(codes.cells))
    sure, left = codes.shares(question, op, threshold)
    if not question.usable or not len(codes.centroids):
        assert (sure, left) == (0, 1)
        return
    total = codes.rows + len(codes.unsure)
    assert sure <= len(verdict.sure) / total + 1e-9
    assert left >= len(verdict.maybe) / total - 1e-9
    if len(verdict.sure) + len(verdict.maybe) - len(codes.unsure) > codes.rows / 32:
        assert sure == pytest.approx(len(verdict.sure) / total)
        assert left == pytest.approx(len(verdict.maybe) / total)


@settings(max_examples=100)
@given(
    tables(),
    st.sampled_from(list(Metric)),
    st.booleans(),
    st.integers(1, 20),
    st.sampled_from(["", "told", "promised", "foreseen"]),
    st.booleans(),
)
def test_the_best_are_among_the_nearest(
    table: tuple[np.ndarray, np.ndarray],
    metric: Metric,
    descending: bool,
    count: int,
    before: str,
    some: bool,
) -> None:
    rows, query = table
    codes = Codes.build(rows)
    assert codes is not None
    true = scores(metric, rows, query)
    limit, question = Limit(count, descending), Question.of(metric, query)
    counting = np.random.default_rng(len(rows)).random(len(rows)) < 0.7 if some else None
    found = []
    if before == "told" and not some:
        # as many scores of rows as anybody may know
        limit.offer(true[: len(true) // 2])
    for task in codes.tasks():
        promised = None
        if before in ("promised", "foreseen"):
            promised = codes.promise(question, descending, count, task, counting)
        if promised is not None and before == "foreseen":
            limit.offer(true[promised.positions])
        best = codes.nearest(question, limit, task, counting, promised)
        known = ~np.isnan(true[best.positions])
        with np.errstate(invalid="ignore"):
            better = best.best >= true[best.positions] if descending else best.best <= true[best.positions]
        assert better[known].all()
        assert (np.sort(best.best) == (best.best[::-1] if descending else best.best)).all()
        found.append(best.positions)
    numbers = np.flatnonzero(~np.isnan(true) & (True if counting is None else counting))
    order = numbers[np.argsort(-true[numbers] if descending else true[numbers], kind="stable")]
    assert np.isin(order[:count], np.concatenate(found)).all()
    assert counting is None or counting[np.concatenate(found)].all()


class Sharpened(Limit):
    """A limit that another thread sharpens to `known` as soon as it has been looked at."""

    known: float

    @property
    def value(self) -> float:
        before, self._value = self._value, self.known
        return before


def test_a_limit_may_be_sharpened_while_the_first_one_is_sought() -> None:
    random = np.random.default_rng(5)
    rows, query = random.normal(size=(300, 70)).astype(np.float32), random.normal(size=70).astype(np.float32)
    codes, question = Codes.build(rows), Question.of(Metric.DOT, query)
    assert codes is not None
    limit = Sharpened(4, True)
    limit.known = 1e6  # better than any of these rows
    assert not len(codes.nearest(question, limit, range(codes.cells)).positions)


def test_what_promises_most_is_nearest() -> None:
    random = np.random.default_rng(9)
    rows = random.normal(size=(3000, 256)).astype(np.float32)
    rows[17::500] = rows[17] + 0.3 * random.normal(size=(6, 256))
    codes = Codes.build(rows)
    assert codes is not None
    for metric in (Metric.DOT, Metric.L2, Metric.COSINE):
        question = Question.of(metric, rows[17])
        promised = codes.promise(question, metric is Metric.DOT, 6, codes.tasks()[0])
        assert promised is not None
        assert sorted(promised.positions[:6]) == list(range(17, 3000, 500))
        seen = np.arange(3000) % 500 != 17
        others = codes.promise(question, metric is Metric.DOT, 6, codes.tasks()[0], seen)
        assert others is not None
        assert seen[others.positions].all()


@settings(max_examples=30)
@given(tables(), st.integers(0, 2**32))
def test_merged_codes_are_those_of_the_rows(table: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Rows of two segments, some dead, shuffled into one: decided as where they came from."""
    rows, query = table
    random = np.random.default_rng(seed)
    valid = random.random(len(rows)) < 0.9
    codes = Codes.build(rows, valid)
    assert codes is not None
    order = random.permutation(2 * len(rows))
    target = order.copy()
    target[random.random(len(order)) < 0.2] = -1
    merged = Codes.merged([(codes, target[: len(rows)]), (codes, target[len(rows) :])])
    buffers = merged.buffers()
    here = bool(random.integers(2))
    lazily = [buffer if i < 6 else lambda b=buffer: b if here else None for i, buffer in enumerate(buffers)]
    again = Codes.read(merged.head(), lazily)
    there = np.concatenate([np.flatnonzero(valid), np.flatnonzero(valid) + len(rows)])
    expected = np.sort(target[there][target[there] >= 0])
    question = Question.of(Metric.DOT, query)
    positions, low, high = again.bounds(question, range(again.cells))
    assert (np.sort(positions) == expected).all()
    source = np.full(2 * len(rows), -1)
    source[target[target >= 0]] = np.flatnonzero(target >= 0) % len(rows)
    true = scores(Metric.DOT, rows, query)[source[positions]]
    ordinary = np.isfinite(true)
    assert (low[ordinary] <= true[ordinary]).all()
    assert (high[ordinary] >= true[ordinary]).all()


@settings(max_examples=30)
@given(tables(), st.integers(0, 2**32))
def test_only_rows_that_count(table: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Positions or a mask: what is decided of them is what is decided of all, without the others."""
    rows, query = table
    random = np.random.default_rng(seed)
    codes = Codes.build(rows, random.random(len(rows)) < 0.9)
    assert codes is not None
    mask = random.random(len(rows)) < 0.5
    question = Question.of(Metric.L2, query)
    for task in codes.tasks():
        everything = codes.decide(question, Comparison.LT, 1.0, task)
        for some in (mask, np.flatnonzero(mask)):
            verdict = codes.decide(question, Comparison.LT, 1.0, task, some)
            assert (verdict.sure == everything.sure[mask[everything.sure]]).all()
            assert (verdict.maybe == everything.maybe[mask[everything.maybe]]).all()


@settings(max_examples=30)
@given(tables(), st.sampled_from(list(Metric)), st.sampled_from(list(OPS)), st.integers(0, 2**32))
def test_pairs_are_what_each_question_finds(
    table: tuple[np.ndarray, np.ndarray], metric: Metric, op: Comparison, seed: int
) -> None:
    rows, query = table
    random = np.random.default_rng(seed)
    one = Codes.build(rows, random.random(len(rows)) < 0.9)
    assert one is not None
    codes = Codes.merged([(one, np.arange(len(rows))), (one, np.arange(len(rows)) + len(rows))])
    questions = [
        Question.of(metric, row)
        for row in (query, rows[0], rows[-1], np.zeros_like(query), np.full_like(query, nan))
    ]
    mask = random.random(2 * len(rows)) < 0.8
    for task in codes.tasks():
        for some in (None, mask, np.flatnonzero(mask)):
            found = codes.pairs(questions, op, 0.5, task, some)
            for number, question in enumerate(questions):
                mine = found.questions == number
                verdict = codes.decide(question, op, 0.5, task, some)
                assert (found.positions[mine & found.sure] == verdict.sure).all()
                assert (found.positions[mine & ~found.sure] == verdict.maybe).all()


@settings(max_examples=30)
@given(tables(), st.sampled_from(list(Metric)), st.integers(0, 2**32))
def test_requests_of_a_pass_get_the_verdicts_that_each_gets_alone(
    table: tuple[np.ndarray, np.ndarray], metric: Metric, seed: int
) -> None:
    rows, query = table
    random = np.random.default_rng(seed)
    one = Codes.build(rows, random.random(len(rows)) < 0.9)
    assert one is not None
    codes = Codes.merged([(one, np.arange(len(rows))), (one, np.arange(len(rows)) + len(rows))])
    asked = [
        (Question.of(metric, row), list(OPS)[random.integers(4)], float(threshold))
        for row in (query, rows[0], rows[-1], np.zeros_like(query), np.full_like(query, nan))
        for threshold in (0.5, scores(metric, rows, row)[0], inf)
    ]
    for cells in codes.tasks():
        requests = [Request(codes, *one, cells) for one in asked]
        requests[1].withdraw()
        requests[0].work()  # of all
        for number, (request, (question, op, threshold)) in enumerate(zip(requests, asked, strict=True)):
            assert request.ended == (number != 1)
            if number == 1:
                continue
            request.work()
            found, alone = request.answer(lambda: None), codes.decide(question, op, threshold, cells)
            assert (found.sure.tolist(), found.maybe.tolist()) == (alone.sure.tolist(), alone.maybe.tolist())
            assert sum(found.decided) == sum(alone.decided)
            assert found.decided[2:] == alone.decided[2:]
        assert not any(codes.__dict__["_requests"].values())


def test_who_waits_for_another_gets_his_error(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = Codes.build(np.random.default_rng(1).normal(size=(100, 64)).astype(np.float32))
    assert codes is not None
    question = Question.of(Metric.DOT, np.ones(64, np.float32))
    requests = [Request(codes, question, Comparison.GT, 0.5, range(codes.cells)) for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr("storage.codes.together.decide_together", lambda *_: 1 / 0)
        requests[0].work()
    for request in requests:
        request.work()
        with pytest.raises(ZeroDivisionError):
            request.answer(lambda: None)


def test_who_waits_can_be_cancelled() -> None:
    codes = Codes.build(np.random.default_rng(1).normal(size=(100, 64)).astype(np.float32))
    assert codes is not None
    question = Question.of(Metric.DOT, np.ones(64, np.float32))
    request = Request(codes, question, Comparison.GT, 0.5, range(codes.cells))
    with pytest.raises(ZeroDivisionError):
        request.answer(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    request.withdraw()


def test_usual_vectors_are_decided_by_their_codes() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(4000, 1024)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    codes = Codes.build(rows)
    assert codes is not None
    assert codes.rows == 4000
    question = Question.of(Metric.DOT, rows[7])
    verdict = codes.decide(question, Comparison.GT, 0.9, codes.tasks()[0])
    assert [*verdict.maybe, *verdict.sure] == [7]
    # signs leave most rows open at this one, finer codes few
    low = codes.decide(question, Comparison.GT, 0.3, codes.tasks()[0])
    assert sum(low.decided[:2]) < 3000
    assert sum(low.decided) > 3900
    signs = Codes.build(rows, planes=1)
    assert signs is not None
    assert signs.nbytes == codes.nbytes
    assert signs.nbytes / 4000 < 142
    assert signs.decide(question, Comparison.GT, 0.9, signs.tasks()[0]).maybe.tolist() == [7]


def test_rows_of_one_kind_share_a_centroid() -> None:
    random = np.random.default_rng(8)
    rows = (random.standard_normal((600, 64)) + 3).astype(np.float32)
    others = (random.standard_normal((200, 64)) - 3).astype(np.float32)
    first = Codes.build(rows[:300])
    assert first is not None
    parts = [Codes.build(part, near=first.centroids[0]) for part in (rows[300:], others)]
    placed = zip((first, *parts), np.split(np.arange(800), (300, 600)), strict=True)
    merged = Codes.merged([(codes, places) for codes, places in placed if codes is not None])
    assert len(merged.centroids) == 2
    query = Question.of(Metric.DOT, rows[0])
    positions, low, high = merged.bounds(query, range(merged.cells))
    scores = kernels.dot(np.concatenate([rows, others]), rows[0])[positions]
    assert len(positions) == 800
    assert (low <= scores).all()
    assert (scores <= high).all()


def test_one_long_row_blinds_nobody() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(4000, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[17] *= 1e12
    codes = Codes.build(rows)
    assert codes is not None
    verdict = codes.decide(Question.of(Metric.DOT, rows[7]), Comparison.GT, 0.9, codes.tasks()[0])
    assert len(verdict.maybe) + len(verdict.sure) < 10


def test_short_vectors_have_no_codes() -> None:
    assert Codes.build(np.zeros((10, 3), np.float32)) is None
    assert Codes.build(np.zeros((0, 512), np.float32)) is None


def test_a_row_far_shorter_than_the_centroid_has_no_bound_of_its_cosine() -> None:
    random = np.random.default_rng(3)
    rows = 1e-26 * random.normal(size=(20, 64))
    query = random.normal(size=64)
    for way in (query, -query):
        rows[5] = 1e-46 * way
        codes = Codes.build(rows)
        assert codes is not None
        true = scores(Metric.COSINE, rows, query)
        positions, low, high = codes.bounds(Question.of(Metric.COSINE, query), range(codes.cells))
        assert (low <= true[positions]).all()
        assert (true[positions] <= high).all()
