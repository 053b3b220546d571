"""Questions asked of codes: which rows meet a threshold, which may be nearest, what a score may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.asked import (
    Asked,
    Left,
    asked_of,
    deepen,
    intervals_of,
    left_by_signs,
    left_of,
    left_together,
)
from storage.codes.cells import Cells
from storage.codes.limit import Limit
from storage.codes.metric import Question
from storage.column import Mask, Positions
from storage.kernels.plain.signs import GROUP, LIMIT, LOWER, UPPER, Counts, Singles
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]

Rows = Positions | Mask | None
"""Which rows of the segment count: ascending int64 positions, a mask over the segment, or all."""
_SPARSE = 32
"""Positions are looked up one by one where fewer than one row in so many counts."""
_SAMPLE = 16
"""Groups of rows whose codes tell which share of a segment is left open."""
_FEW_OPEN = 1 / 32
"""Finer planes are not asked of a sample of which signs leave no larger share open."""
_PROMISING = 4
"""Times the rows that are wanted: so many that promise most give the first limit of a top-k."""


Decided = tuple[int, int, int, int]
"""How many rows were decided by signs and a question of few bits, by one of more, by two planes, by four."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What codes know of `score op threshold`."""

    sure: Positions
    """Ascending positions of rows that certainly meet it."""
    maybe: Positions
    """Ascending positions of rows whose full vectors have to be asked."""
    decided: Decided
    nbytes: int
    """Bytes of codes that were looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Promise:
    """The rows of some cells that promise most, best first, and what was counted to find them."""

    slots: Positions
    positions: Positions
    guesses: Singles
    """float32, comparable among segments: larger is better."""
    counts: Counts
    """(groups, GROUP) int32: of the coarse planes, of the cells' groups in turn."""
    nbytes: int
    """Bytes of codes that were looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Rows that may be among the best, best first."""

    positions: Positions
    best: Floats
    """float64: no score is better than this."""
    decided: Decided
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What codes know of `score op threshold` for several questions: pairs that may meet it."""

    questions: Positions
    """The number of the question, ascending."""
    positions: Positions
    """Of each question ascending."""
    sure: Mask
    """Whether a pair certainly meets it."""
    decided: Decided
    nbytes: int


def _sparse(rows: Rows, cells: range, codes: Cells) -> Positions | None:
    """The slots of few rows that count; None where the codes of all are better read."""
    if rows is None or rows.dtype == np.bool_ or len(rows) * _SPARSE > codes.rows:
        return None
    known, slots = codes.by_position
    places = np.searchsorted(known, rows)
    inside = places < len(known)
    places, rows = places[inside], rows[inside]
    found = np.sort(slots[places[known[places] == rows]])
    spans = codes.table[cells.start : cells.stop]
    if not len(spans):
        return found[:0]
    low, high = int(spans[0, 0]), int(spans[-1, 0]) - (-int(spans[-1, 1]) // GROUP)
    return found[np.searchsorted(found, low * GROUP) : np.searchsorted(found, high * GROUP)]


def _counting(positions: Positions, rows: Rows) -> Mask:
    """Which of these positions count."""
    mask: Mask
    if rows is None:
        return np.ones(len(positions), np.bool_)
    if rows.dtype == np.bool_:
        mask = rows[positions].astype(np.bool_)
        return mask
    places = np.searchsorted(rows, positions)
    mask = np.zeros(len(positions), np.bool_)
    inside = places < len(rows)
    mask[inside] = rows[places[inside]] == positions[inside]
    return mask


def _ascending(*pieces: Positions) -> Positions:
    positions: Positions = np.concatenate(pieces)
    positions.sort()
    return positions


def _left(
    codes: Cells,
    asked: Asked,
    op: Comparison,
    constants: Any,
    cells: range,
    rows: Rows,
    known: Counts | None = None,
) -> Left:
    """The rows that count and that signs and finer planes do not drop."""
    sparse = _sparse(rows, cells, codes)
    if sparse is not None:
        left = left_of(codes, asked, constants, sparse)
    else:
        left = left_by_signs(codes, asked, constants, codes.spans[cells.start : cells.stop], known)
        if rows is not None:
            left.keep(_counting(codes.positions(left.slots), rows))
    deepen(codes, asked, op, constants, left)
    return left


def _decided(depths: Sequence[int]) -> Decided:
    first, second, third, fourth = (*depths, *(0,) * (4 - len(depths)))
    return first, second, third, fourth


def _all(codes: Cells, cells: range, rows: Rows) -> Positions:
    """The positions of all rows of some cells that count, of those that are not covered, too."""
    positions = np.concatenate((codes.unsure_of(cells), codes.positions(codes.slots(cells))))
    positions = positions[_counting(positions, rows)]
    positions.sort()
    return positions


def decide(
    codes: Cells,
    question: Question,
    op: Comparison,
    threshold: float,
    cells: range,
    rows: Rows = None,
) -> Verdict:
    """Which rows of these cells meet `score op threshold`, op one of > >= < <=. Raises nothing.

    With a query or a threshold that the proof does not cover every row may meet it.
    """
    if not question.usable or not isfinite(threshold) or not len(codes.centroids):
        return Verdict(np.empty(0, np.int64), _all(codes, cells, rows), (0, 0, 0, 0), 0)
    unsure = codes.unsure_of(cells)
    unsure = unsure[_counting(unsure, rows)]
    asked = asked_of(codes, (question,))
    left = _left(codes, asked, op, asked.constants(op, threshold), cells, rows)
    return _verdict(codes, left, unsure)


def decide_together(
    codes: Cells, asked_for: Sequence[tuple[Question, Comparison, float]], cells: range
) -> list[Verdict]:
    """`decide` of several (question, op, threshold) of one metric, whose signs are read once. Raises nothing.

    What the signs decide counts as decided by the finer of their two looks, and the bytes of the codes are
    shared alike.
    """
    if len(asked_for) == 1 or not len(codes.centroids):
        return [decide(codes, *one, cells) for one in asked_for]
    fit = [n for n, (q, _, threshold) in enumerate(asked_for) if q.usable and isfinite(threshold)]
    verdicts = {n: decide(codes, *one, cells) for n, one in enumerate(asked_for) if n not in fit}
    if fit:
        alone = [asked_of(codes, (asked_for[n][0],)) for n in fit]
        constants = [one.constants(*asked_for[n][1:]) for n, one in zip(fit, alone, strict=True)]
        unsure = codes.unsure_of(cells)
        for number, left in enumerate(left_together(codes, alone, constants, cells)):
            deepen(codes, alone[number], asked_for[fit[number]][1], constants[number], left)
            verdicts[fit[number]] = _verdict(codes, left, unsure)
    return [verdicts[number] for number in range(len(asked_for))]


def _verdict(codes: Cells, left: Left, unsure: Positions) -> Verdict:
    positions = codes.positions(left.slots)
    sure, maybe = _ascending(positions[left.taken]), _ascending(unsure, positions[~left.taken])
    return Verdict(sure, maybe, _decided(left.decided), left.nbytes)


def shares(codes: Cells, question: Question, op: Comparison, threshold: float) -> tuple[float, float]:
    """About which share of the rows certainly meets `score op threshold`, and which `decide` leaves open.

    By a few rows of all cells; (0, 1) where nothing is known of any. Raises nothing.
    """
    if not question.usable or not isfinite(threshold) or not len(codes.centroids):
        return 0.0, 1.0
    asked, spans = asked_of(codes, (question,)), codes.sample(_SAMPLE)
    constants = asked.constants(op, threshold)
    rows, left = int(spans[:, 1].sum()), left_by_signs(codes, asked, constants, spans)
    if len(left.slots) > _FEW_OPEN * rows:
        deepen(codes, asked, op, constants, left)
    taken = int(np.count_nonzero(left.taken))
    known = codes.rows / (codes.rows + len(codes.unsure))
    return known * taken / rows, 1 - known + known * (len(left.slots) - taken) / rows


def pairs(
    codes: Cells,
    questions: Sequence[Question],
    op: Comparison,
    threshold: float,
    cells: range,
    rows: Rows = None,
) -> Pairs:
    """`decide` for several questions of one metric in one pass over the codes. Raises nothing.

    A row's code is in the cache for all questions, so this is bound by computing: on one thread, 1024
    dimensions, 350 million pairs/s. Some tens of questions at a time are best.
    """
    usable = [number for number, question in enumerate(questions) if question.usable]
    if not isfinite(threshold) or not len(codes.centroids):
        usable = []
    others = sorted(set(range(len(questions))) - set(usable))
    everything = _all(codes, cells, rows) if others else np.empty(0, np.int64)
    unsure = codes.unsure_of(cells)
    unsure = unsure[_counting(unsure, rows)]
    numbers = [np.repeat(others, len(everything)), np.repeat(usable, len(unsure))]
    positions = [np.tile(everything, len(others)), np.tile(unsure, len(usable))]
    taken = [np.zeros(len(found), np.bool_) for found in positions]
    decided, nbytes = (0, 0, 0, 0), 0
    if usable:
        asked = asked_of(codes, tuple(questions[number] for number in usable))
        left = _left(codes, asked, op, asked.constants(op, threshold), cells, rows)
        numbers.append(np.array(usable)[left.numbers])
        positions.append(codes.positions(left.slots))
        taken.append(left.taken)
        decided, nbytes = _decided(left.decided), left.nbytes
    number, position = np.concatenate(numbers).astype(np.int64), np.concatenate(positions)
    order = np.lexsort((position, number))
    return Pairs(number[order], position[order], np.concatenate(taken)[order], decided, nbytes)


def bounds(codes: Cells, question: Question, cells: range) -> tuple[Positions, Floats, Floats]:
    """(positions, lower, upper) of all rows of these cells, float64; not finite where nothing is known."""
    unsure = codes.unsure_of(cells)
    slots = codes.slots(cells)
    low, high = np.full(len(slots), -inf), np.full(len(slots), inf)
    if question.usable and len(slots):
        asked = asked_of(codes, (question,))
        constants = _toward(asked, Comparison.GE, inf)
        left = left_of(codes, asked, constants, slots)
        low, high = intervals_of(codes, asked, left)
        deepen(codes, asked, Comparison.GE, constants, left)
        finer = intervals_of(codes, asked, left)
        low, high = np.maximum(low, finer[0]), np.minimum(high, finer[1])
    blank = np.full(len(unsure), inf)
    return (
        np.concatenate((unsure, codes.positions(slots))),
        np.concatenate((-blank, low)),
        np.concatenate((blank, high)),
    )


def promise(
    codes: Cells, question: Question, descending: bool, count: int, cells: range, rows: Rows = None
) -> Promise | None:
    """The rows of these cells that count and promise most: of some `count` >= 1 rows that are wanted.

    A guess, from which a search for the nearest takes its first limit, and work that it need not do again.
    None where nothing is known of the rows, or few of them count. Raises nothing.
    """
    if not question.usable or not len(codes.centroids) or _sparse(rows, cells, codes) is not None:
        return None
    asked = asked_of(codes, (question,))
    sign = asked.sign(Comparison.GE if descending else Comparison.LE)
    counts = codes.room(cells)
    slots, guesses = kernels.promise_signs(
        codes.signs,
        codes.factors,
        codes.spans[cells.start : cells.stop],
        asked.coarse[0],
        np.stack([frame.guesses(sign) for frame in asked.frames]),
        codes.lanes(cells, rows),
        _PROMISING * count,
        counts,
    )
    nbytes = int(codes.table[cells.start : cells.stop, 1].sum()) * codes.row_bytes
    return Promise(slots, codes.positions(slots), guesses, counts, nbytes)


def nearest(
    codes: Cells,
    question: Question,
    limit: Limit,
    cells: range,
    rows: Rows = None,
    promised: Promise | None = None,
) -> Nearest:
    """The rows of these cells that may be among the best `limit.count`, best possible score first.

    The limit is sharpened by what the codes prove of the rows that count: rows that nobody may see must not
    be among them. A row that no bound is known of comes first. `promised`: what `promise` gave for the same
    cells and rows. Raises nothing.
    """
    sign = -1.0 if limit.descending else 1.0
    if not question.usable or not len(codes.centroids):
        positions = _all(codes, cells, rows)
        return Nearest(positions, np.full(len(positions), sign * -inf), (0, 0, 0, 0), 0)
    op = Comparison.GE if limit.descending else Comparison.LE
    unsure = codes.unsure_of(cells)
    unsure = unsure[_counting(unsure, rows)]
    asked, value = asked_of(codes, (question,)), limit.value
    if not isfinite(value) and promised is None:
        promised = promise(codes, question, limit.descending, limit.count, cells, rows)
        if promised is not None:
            value = _foreseen(codes, asked, limit, op, promised)
    known = None if promised is None else promised.counts
    left = _left(codes, asked, op, _toward(asked, op, value), cells, rows, known)
    low, high = intervals_of(codes, asked, left)
    best, worst = (high, low) if limit.descending else (low, high)
    limit.offer_bounds(worst)
    stays = ~(sign * best > sign * limit.value)
    left.decided[-1] += len(stays) - int(stays.sum())
    places = np.concatenate((unsure, codes.positions(left.slots[stays])))
    best = np.concatenate((np.full(len(unsure), sign * -inf), best[stays]))
    order = np.argsort(sign * best, kind="stable")
    nbytes = left.nbytes + (0 if promised is None else promised.nbytes)
    return Nearest(places[order], best[order], _decided(left.decided), nbytes)


def _toward(asked: Asked, op: Comparison, value: float) -> npt.NDArray[np.float32]:
    """(frames, CONSTANTS): rows that may be as good as a limit, all if that is not finite; none is taken."""
    constants = asked.constants(op, value if isfinite(value) else 0.0).copy()
    if not isfinite(value):
        constants[:, UPPER + LIMIT] = -inf
    constants[:, LOWER + LIMIT] = inf
    return constants


def _foreseen(codes: Cells, asked: Asked, limit: Limit, op: Comparison, promised: Promise) -> float:
    """A limit for the first task of a top-k: the k-th best bound of the rows that promise most."""
    if len(promised.slots) < limit.count:
        return limit.value
    # other tasks may sharpen the limit meanwhile: the rows are to stay all, whatever it has come to
    constants = _toward(asked, op, inf)
    left = left_of(codes, asked, constants, promised.slots)
    deepen(codes, asked, op, constants, left)
    low, high = intervals_of(codes, asked, left)
    sign = -1.0 if limit.descending else 1.0
    worst = sign * (low if limit.descending else high)
    return sign * float(np.partition(worst, limit.count - 1)[limit.count - 1])


__all__ = [
    "Nearest",
    "Pairs",
    "Promise",
    "Rows",
    "Verdict",
    "bounds",
    "decide",
    "nearest",
    "pairs",
    "promise",
    "shares",
]
