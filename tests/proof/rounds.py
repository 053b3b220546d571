"""Random tables, queries and thresholds, each decided by codes and by the scores themselves, row for row."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from storage import kernels
from storage.codes import Codes, Limit, Metric, Question
from storage.predicate import Comparison

Array = np.ndarray

SCORES: dict[Metric, Callable[[Any, Any], Array]] = {
    Metric.DOT: kernels.dot,
    Metric.L2: kernels.l2,
    Metric.COSINE: kernels.cosine,
    Metric.L1: kernels.l1,
}
OPS: dict[Comparison, Callable[[Any, Any], Array]] = {
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
}
DIMENSIONS = (32, 48, 64, 65, 100, 128, 192, 256, 384, 512, 768, 1000, 1024)
DTYPES = (np.float32, np.float32, np.float32, np.float64, np.float16, np.int8)
_EACH = 25  # thresholds a query


@dataclass
class Report:
    """What was tried, and what was wrong."""

    pairs: int = 0
    rows: int = 0
    found: Counter[str] = field(default_factory=Counter)
    """Decisions by how they were reached."""
    bugs: list[str] = field(default_factory=list)


def table(random: np.random.Generator) -> tuple[str, Array]:
    """(what it is like, rows of one element type): from the usual to the worst."""
    n, count = int(random.choice(DIMENSIONS)), int(random.integers(1, 200))
    dtype = DTYPES[random.integers(len(DTYPES))]
    rows = random.normal(size=(count, n))
    shapes = (
        "normal",
        "unit",
        "equal",
        "zeros",
        "one-hot",
        "clusters",
        "positive",
        "scaled",
        "low rank",
        "near",
    )
    shape = str(random.choice(shapes))
    match shape:
        case "unit":
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        case "equal":
            rows[:] = rows[0]
        case "zeros":
            rows[random.random(count) < 0.5] = 0
        case "one-hot":
            rows = np.eye(n)[random.integers(0, n, count)]
        case "clusters":
            rows = random.normal(size=(4, n))[random.integers(0, 4, count)] + random.random() * rows
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        case "positive":
            rows = np.maximum(rows, 0) + random.random()
        case "scaled":
            rows *= 10.0 ** random.uniform(-6, 6, (count, 1))
        case "low rank":
            rows = random.normal(size=(count, 5)) @ random.normal(size=(5, n))
        case "near":
            rows = rows[0] + 10.0 ** -random.integers(1, 16) * rows
    if dtype == np.int8:
        rows *= 100 / max(np.abs(rows).max(), 1e-30)
    elif dtype == np.float16:
        rows *= 10 / max(np.abs(rows).max(), 1e-30)
    else:
        rows *= 10.0 ** float(random.choice([0, 0, 0, -3, 3, -12, 12, -25]))
    return f"{shape} {dtype.__name__}({n})", rows.astype(dtype)


def query(random: np.random.Generator, rows: Array) -> Array:
    """A stored row, one near it, or anything."""
    row = rows[random.integers(len(rows))].astype(np.float64)
    size = float(np.abs(row).mean())
    kind = random.integers(5)
    found = (
        row,
        row,
        row + 10.0 ** -random.integers(0, 8) * size * random.normal(size=len(row)),
        size * random.normal(size=len(row)),
        -row,
    )[kind]
    if rows.dtype.kind == "i":
        found = np.clip(np.round(found), -128, 127)
    return found.astype(rows.dtype)


def thresholds(random: np.random.Generator, scores: Array) -> Iterator[float]:
    """Some scores themselves, their neighbours, and others: `_EACH` of them."""
    known = scores[np.isfinite(scores)]
    for _ in range(_EACH):
        kind = random.integers(9) if len(known) else 5
        score = float(known[random.integers(len(known))]) if len(known) else 0.0
        yield float(
            (
                score,
                np.nextafter(score, inf),
                np.nextafter(score, -inf),
                score * (1 + 10.0 ** -random.integers(1, 12) * random.choice([-1, 1])),
                score
                + random.normal() * 10.0 ** random.uniform(0, 3) * float(known.std() if len(known) else 1.0),
                random.choice([0.0, 0.9, -1.0, 1.0, 2.0, 1e30]),
            )[min(kind, 4) if kind > 5 else kind]
        )


def play(seed: int, pairs: int) -> Report:
    """At least so many pairs of a query and a threshold, and a top-k for each query."""
    report = Report()
    random = np.random.default_rng(seed)
    while report.pairs < pairs:
        name, rows = table(random)
        valid = random.random(len(rows)) < 0.95 if random.random() < 0.3 else None
        codes = Codes.build(rows, valid, planes=int(random.choice([1, 4])))
        assert codes is not None
        exists = np.ones(len(rows), np.bool_) if valid is None else valid
        for _ in range(8):
            asked = query(random, rows)
            for metric in Metric:
                _ask(report, random, codes, rows, exists, asked, metric, name)
    return report


def _ask(
    report: Report,
    random: np.random.Generator,
    codes: Codes,
    rows: Array,
    exists: Array,
    asked: Array,
    metric: Metric,
    name: str,
) -> None:
    scores = SCORES[metric](rows, asked)
    question = Question.of(metric, asked)
    what = f"{metric.value} over {name}"
    positions, low, high = codes.bounds(question, range(codes.cells))
    true = scores[positions]
    with np.errstate(invalid="ignore"):
        if (low > true).any() or (high < true).any():
            report.bugs.append(f"{what}: a bound does not hold")
    for threshold in thresholds(random, scores):
        op = list(OPS)[random.integers(4)]
        verdict = codes.decide(question, op, threshold, range(codes.cells))
        meets = OPS[op](scores, threshold) & exists
        if not meets[verdict.sure].all():
            report.bugs.append(f"{what}: {op.value} {threshold!r} takes what does not meet it")
        meets[verdict.sure] = meets[verdict.maybe] = False
        if meets.any():
            report.bugs.append(f"{what}: {op.value} {threshold!r} drops what meets it")
        report.pairs += 1
        report.rows += len(rows)
        report.found["taken"] += len(verdict.sure)
        report.found["in full"] += len(verdict.maybe)
    _best(report, random, codes, scores, exists, question, what)


def _best(
    report: Report,
    random: np.random.Generator,
    codes: Codes,
    scores: Array,
    exists: Array,
    question: Question,
    what: str,
) -> None:
    descending, count = bool(random.integers(2)), int(random.integers(1, 12))
    found = codes.nearest(question, Limit(count, descending), range(codes.cells))
    known = np.flatnonzero(~np.isnan(scores) & exists)
    order = known[np.argsort(-scores[known] if descending else scores[known], kind="stable")][:count]
    if (
        len(order)
        and not np.isin(np.flatnonzero(exists & (scores == scores[order[-1]])), found.positions).all()
    ):
        report.bugs.append(f"{what}: a tie for place {count} is missing")
    if not np.isin(order, found.positions).all():
        report.bugs.append(f"{what}: one of the best {count} is missing")
