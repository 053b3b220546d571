"""Similarity terms: conditions and orders that are a monotone function of a vector metric with one query.

    DOT_PRODUCT(image, $1) > 0.9        1 - (v <=> '[1,2]') >= 0.5        ORDER BY v <-> $1

A term keeps the expression as it was written and the same with a hole where the metric stood. Certified
codes bound the metric; what the bounds leave open is decided by the written expression. So all that is to be
known of the arithmetic around the metric is that no step of it reverses the order of two of its arguments:
then the condition turns once, at one double, and that double is found by bisection over the doubles with the
expression itself. Nothing is inverted by algebra, nothing is rounded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.nodes import Call, Cast, Reference, true_rows, walk
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.codes import Limit, Metric, Question
from storage.column import Array, Column, Mask
from storage.errors import DatabaseError, QueryCanceled
from storage.predicate import Comparison
from storage.types import BINARY, ELEMENTS, FLOAT4, FLOAT8

_GRID = 1024  # values that are tried at once


@dataclass(frozen=True)
class Measure:
    """What a function measures: a metric, or its negative."""

    metric: Metric
    negative: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return _NAMES[self.metric]


_NAMES = {
    Metric.DOT: "inner product",
    Metric.L2: "Euclidean distance",
    Metric.COSINE: "cosine distance",
    Metric.L1: "taxicab distance",
}

MEASURES: dict[str, Measure] = {
    "dot_product": Measure(Metric.DOT),
    "dot_product_f32": Measure(Metric.DOT),
    "operator <*>": Measure(Metric.DOT),
    "inner_product": Measure(Metric.DOT),
    "operator <#>": Measure(Metric.DOT, negative=True),
    "vector_negative_inner_product": Measure(Metric.DOT, negative=True),
    "euclidean_distance": Measure(Metric.L2),
    "euclidean_distance_f32": Measure(Metric.L2),
    "l2_distance": Measure(Metric.L2),
    "operator <->": Measure(Metric.L2),
    "cosine_distance": Measure(Metric.COSINE),
    "operator <=>": Measure(Metric.COSINE),
    "l1_distance": Measure(Metric.L1),
    "operator <+>": Measure(Metric.L1),
}
"""What functions and operators of two vectors measure."""


@dataclass(frozen=True)
class Term:
    """A condition of a scan, or a sort key, that is monotone in a metric of a vector column and a query.

    `column` is one of the scan's output; `query` reads no column. `written` is the expression, over the
    scan's output; `hollow` is the same over the value of the `call` of the metric as its only column.
    """

    column: int
    call: Call
    query: Expression
    written: Expression
    hollow: Expression

    @property
    def measure(self) -> Measure:
        """What its function measures."""
        found = measure_of(self.call.function)
        assert found is not None
        return found


def measure_of(function: str) -> Measure | None:
    """What an overload measures, by its id; None where that is no metric of two vectors."""
    name, _, arguments = function.partition("(")
    measure = MEASURES.get(name)
    return measure if arguments.rstrip(")") in _SIDES else None


# codes of binary(n) are those of float32 elements: beside other vectors it holds others
_SIDES = frozenset(("binary,binary", "binary,vector", "vector,binary")) | {
    f"{type.name},{type.name}" for type in ELEMENTS.values()
}


@dataclass(frozen=True, eq=False)
class Asked:
    """A term in one run: its question, and for a condition where the metric has to lie."""

    question: Question
    op: Comparison
    threshold: float


def question_of(term: Term, run: Run) -> tuple[Question, Array] | bool:
    """The term's query; True where codes cannot answer it, False where its value is null.

    A query that codes cannot answer (of NaN, too long, of zeros with the cosine, whose expression fails) is
    left to the written expression, which gives each row its value or its error.
    """
    try:
        query = term.query.evaluate(_NO_ROW, run)
    except QueryCanceled:
        raise
    except DatabaseError:
        return True
    if not query.is_valid()[0]:
        return False
    elements = elements_of(query)
    if elements is None:
        return True
    question = usable(Question.of(term.measure.metric, elements[0]))
    return True if question is None else (question, elements[0])


def usable(question: Question) -> Question | None:
    """The question, if codes can answer it."""
    covered = question.usable and (question.metric is not Metric.COSINE or question.norm > 0)
    return question if covered else None


def elements_of(column: Column) -> Array | None:
    """(rows, n) numbers of a vector column, of binary as float32.

    None where its bytes are no float32, or its vectors have several lengths.
    """
    if column.type.is_ragged:
        return column.rows()
    values: Array = column.values
    if column.type.oid != BINARY.oid:
        return values
    if values.shape[1] % 4 or not values.shape[1]:
        return None
    return np.ascontiguousarray(values).view("<f4")


def asked(term: Term, run: Run) -> Asked | bool:
    """The condition in this run. True: any row may meet it, as far as codes know; False: none does."""
    found = question_of(term, run)
    if isinstance(found, bool):
        return found
    question, elements = found
    limit = limit_of(term, elements.dtype == np.float64, run)
    return limit if isinstance(limit, bool) else Asked(question, *limit)


def limit_of(term: Term, wide: bool, run: Run) -> tuple[Comparison, float] | bool:
    """Where the metric, of float64 elements (`wide`) or narrower ones, has to lie for the condition to hold.

    True: any row may meet it, as far as codes know; False: none does.
    """
    found: tuple[Comparison, float] | bool | None = _plain_threshold(term, run)
    if found is None:
        found = turning(term, term.measure, wide, run)
    if isinstance(found, bool):
        return found
    op, threshold = found
    if not math.isfinite(threshold):
        return True
    return (_NEGATED[op], -threshold) if term.measure.negative else (op, threshold)


_NO_ROW = Batch((), 1)
_NEGATED = {
    Comparison.GT: Comparison.LT,
    Comparison.GE: Comparison.LE,
    Comparison.LT: Comparison.GT,
    Comparison.LE: Comparison.GE,
}
_SYMBOLS = {symbol: Comparison(symbol) for symbol in ("<", "<=", ">", ">=")}


def symbol_of(function: str) -> str:
    """The symbol of an operator's id; empty for a function."""
    return function[len("operator ") :].partition("(")[0] if function.startswith("operator ") else ""


def _plain_threshold(term: Term, run: Run) -> tuple[Comparison, float] | None:
    """(op, threshold) of `function(...) op number`, either way round: the usual case."""
    match term.hollow:
        case Call(function, (Reference(), other)):
            op = _SYMBOLS.get(symbol_of(function))
        case Call(function, (other, Reference())):
            op = _SYMBOLS.get(symbol_of(function))
            op = None if op is None else _NEGATED[op]
        case _:
            return None
    if op is None or other.type.oid not in (FLOAT8.oid, FLOAT4.oid):
        return None
    value = other.evaluate(_NO_ROW, run)
    if not value.is_valid()[0]:
        return None
    return op, float(value.values[0])


def turning(term: Term, measure: Measure, wide: bool, run: Run) -> tuple[Comparison, float] | bool:
    """Where the term's condition turns: true from (>=) or up to (<=) a value of its function.

    True and False where it is so for every value; True also where the arithmetic around it may fail.
    """
    if not _is_tame(term.hollow, measure, wide, run):
        return True
    low, high, least = domain(measure, wide)
    try:
        found = _turning(partial(_holds, term.hollow, run), low, high, least)
        if found is False and _holds(term.hollow, run, np.array([np.nan])).any():
            return Comparison.GT, high  # rows without a score, which codes leave open, and no others
        return found
    except QueryCanceled:
        raise
    except DatabaseError:
        return True


def domain(measure: Measure, wide: bool) -> tuple[float, float, float]:
    """(the least value, the largest, the smallest that is not 0) of a measure.

    Over float64 elements (`wide`) or narrower ones; with room.
    """
    most, least = (1e300, 0.0) if wide else (1e90, 1e-100)
    match measure.metric:
        case Metric.DOT:
            return -most, most, least
        case Metric.COSINE:
            return 0.0, 2.0, 2.0**-60
    return 0.0, most, least


def _is_tame(hollow: Expression, measure: Measure, wide: bool, run: Run) -> bool:
    """Whether the arithmetic around a function cannot underflow, which PostgreSQL calls an error.

    Whatever else may fail fails at one end of the domain. Metrics of float32 and narrower elements, and what
    is left where a constant is taken from one, are 0 or above 1e-110; cosine distances 0 or above 1e-16.
    """
    shrunk = 1.0
    for node in walk(hollow):
        if not isinstance(node, Call) or symbol_of(node.function) not in ("*", "/"):
            continue
        factors = [a for a in node.arguments if not any(isinstance(n, Reference) for n in walk(a))]
        try:
            values = [float(factor.evaluate(_NO_ROW, run).tolist()[0]) for factor in factors]
        except QueryCanceled:
            raise
        except (DatabaseError, TypeError):
            return False
        for value in values:
            if not math.isfinite(value) or (not value and symbol_of(node.function) == "/"):
                return False
            size = abs(value) if symbol_of(node.function) == "*" else 1 / abs(value)
            shrunk *= min(size, 1.0) if size else 1.0
    if any(isinstance(node, Cast) and node.type.oid == FLOAT4.oid for node in walk(hollow)):
        return measure.metric is Metric.COSINE and not wide and shrunk > 1e-20
    return shrunk == 1.0 if wide else shrunk > 1e-150


def _turning(
    holds: Callable[[Array], Mask], low: float, high: float, least: float
) -> tuple[Comparison, float] | bool:
    """Where a monotone condition on doubles turns between two of them; `least`: see domain."""
    first, last = holds(np.array([low, high])).tolist()
    if first == last:
        return bool(first)
    below, above = _ordinals(np.array([low, high])).tolist()
    while above - below > 1:
        step = max((above - below) // _GRID, 1)
        tried = np.arange(below, above, step, dtype=np.uint64)
        turned = np.flatnonzero(holds(_apart(_doubles(tried), least)) == last)
        if len(turned):
            above = int(tried[turned[0]])
        below = int(tried[turned[0] - 1] if len(turned) else tried[-1])
    values = _doubles(np.array([below, above], np.uint64))
    return (Comparison.GE, float(values[1])) if last else (Comparison.LE, float(values[0]))


def _apart(values: Array, least: float) -> Array:
    """The values, those next to 0 moved away from it."""
    near = (np.abs(values) < least) & (values != 0)
    return np.where(near, np.copysign(least, values), values)


def _holds(hollow: Expression, run: Run, values: Array) -> Mask:
    """(values,) where a condition is true of a value of the function."""
    return true_rows(_over(hollow, values, run), len(values))


def _over(hollow: Expression, values: Array, run: Run) -> Column:
    """The expression over these values of the function."""
    return hollow.evaluate(Batch((Column(FLOAT8, values),), len(values)), run).spread(len(values))


_SIGN = np.uint64(1 << 63)


def _ordinals(values: Array) -> Array:
    """Doubles as unsigned numbers that count them in order."""
    bits = values.view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _doubles(ordinals: Array) -> Array:
    """The inverse of `_ordinals`."""
    bits = np.where(ordinals & _SIGN, ordinals & ~_SIGN, ~ordinals)
    return np.ascontiguousarray(bits).view(np.float64)


class _LooseLimit(Limit):
    """A limit of a key that is more than its metric: different scores may be equal as keys.

    Such rows may come in another order than that of their scores, so what is equal to the k-th best as a key
    has to pass. Finding it takes a bisection; an old limit is merely generous.
    """

    def __init__(self, count: int, descending: bool, loosen: Callable[[float], float]) -> None:
        super().__init__(count, descending)
        self._loosen = loosen
        self._loose = self._known = super().value
        self._next = 0.0

    @property
    def value(self) -> float:
        """See Limit."""
        sharp = super().value
        if sharp != self._known and time.monotonic() >= self._next:
            self._loose, self._known = self._loosen(sharp), sharp
            self._next = time.monotonic() + _PAUSE
        return self._loose


_PAUSE = 0.002  # seconds between two bisections


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """An order by a term in one run: its question, and the k-th best score so far."""

    term: Term
    question: Question
    limit: Limit

    def scores(self, batch: Batch, key: Column, run: Run) -> Array:
        """(rows,) float64 the metric of a scan's rows that have this sort key; NaN where it has none."""
        found = key
        if not isinstance(self.term.hollow, Reference):
            found = self.term.call.evaluate(batch, run).spread(batch.rows)
        values = np.where(found.is_valid(), found.values.astype(np.float64), np.nan)
        return -values if self.term.measure.negative else values

    def open(self, best: Array) -> Mask:
        """Where a row whose score is no better than `best` may still be among the first."""
        limit = self.limit.value
        worse: Mask = best < limit if self.limit.descending else best > limit
        return ~worse


def ranking(term: Term, descending: bool, count: int, run: Run) -> Ranking | None:
    """The order by a term, whose first `count` rows are wanted; None where codes cannot answer it."""
    found = question_of(term, run)
    if isinstance(found, bool):
        return None
    question, elements = found
    negative, hollow = term.measure.negative, term.hollow
    if isinstance(hollow, Reference):
        return Ranking(term, question, Limit(count, descending != negative))
    wide = elements.dtype == np.float64
    low, high, least = domain(term.measure, wide)
    if not _is_tame(hollow, term.measure, wide, run):
        return None
    try:
        first, last = _over(hollow, np.array([low, high]), run).tolist()
    except QueryCanceled:
        raise
    except DatabaseError:
        return None
    if first is None or last is None or (not first < last and not first > last):
        return None

    def loosen(score: float) -> float:
        """The worst score that is the same as a key."""
        if not math.isfinite(score):
            return score
        value = np.array([min(max(-score if negative else score, low), high)])
        key = _over(hollow, value, run).values[0]

        def as_good(values: Array) -> Mask:
            keys = _over(hollow, values, run).values
            good: Mask = keys >= key if descending else keys <= key
            return good

        turn = _turning(as_good, low, high, least)
        if isinstance(turn, bool):
            return -math.inf if largest else math.inf
        return -turn[1] if negative else turn[1]

    largest = (descending == (first < last)) != negative
    return Ranking(term, question, _LooseLimit(count, largest, loosen))
