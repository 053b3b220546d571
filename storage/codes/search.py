"""Questions asked of codes: which rows meet a threshold, which may be nearest, what a score may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.bounds import Frame, Planes, Test, intervals
from storage.codes.cells import Cells
from storage.codes.limit import Limit
from storage.codes.metric import Question
from storage.column import Mask, Positions
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]

COARSE, FINE = 4, 8
"""Bits of the query in the first test and in that of its survivors."""

Rows = Positions | Mask | None
"""Which rows of the segment count: ascending int64 positions, a mask over the segment, or all."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What codes know of `score op threshold`."""

    sure: Positions
    """Ascending positions of rows that certainly meet it."""
    maybe: Positions
    """Ascending positions of rows whose full vectors have to be asked."""
    decided: tuple[int, int]
    """How many rows the first test decided, and the second."""
    nbytes: int
    """Bytes of codes that were looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Rows that may be among the best, best first."""

    positions: Positions
    best: Floats
    """float64: no score is better than this."""
    decided: tuple[int, int]
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Rows of one cell that count: `rows` from the cell's first, None for all of it."""

    cell: int
    start: int
    stop: int
    rows: Positions | None

    def of(self, codes: Cells) -> tuple[Any, Any]:
        """(rows, W) signs and (3, rows) factors."""
        signs, factors = codes.signs[self.start : self.stop], codes.factors[:, self.start : self.stop]
        return (signs, factors) if self.rows is None else (signs[self.rows], factors[:, self.rows])

    def positions(self, codes: Cells, places: Positions) -> Positions:
        return codes.positions(self.cell, places if self.rows is None else self.rows[places])


def _parts(codes: Cells, cells: range, rows: Rows) -> Iterator[_Part]:
    """The rows of these cells that count, cell by cell."""
    wanted: Positions | None = None
    if rows is not None and rows.dtype != np.bool_:
        known, order = codes.order
        places = np.searchsorted(known, rows)
        inside = places < len(known)
        places, rows = places[inside], rows[inside]
        wanted = np.sort(order[places[known[places] == rows]])
    for cell in cells:
        start, stop = codes.span(cell)
        some: Positions | None = None
        if wanted is not None:
            low, high = np.searchsorted(wanted, (start, stop))
            some = wanted[low:high] - start
        elif rows is not None:
            some = np.flatnonzero(rows[codes.positions(cell, np.arange(stop - start))])
        if some is None or len(some):
            yield _Part(cell, start, stop, some)


def _unsure(codes: Cells, cells: range, rows: Rows) -> Positions:
    """The task's rows outside the proof that count."""
    unsure = codes.unsure_of(cells)
    if rows is None or not len(unsure):
        return unsure
    if rows.dtype == np.bool_:
        return unsure[rows[unsure]]
    return unsure[np.isin(unsure, rows)]


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
    covered = question.usable and isfinite(threshold)
    sure, maybe = [], [_unsure(codes, cells, rows)]
    first = second = nbytes = 0
    for part in _parts(codes, cells, rows):
        signs, factors = part.of(codes)
        if not covered:
            maybe.append(part.positions(codes, np.arange(len(signs))))
            continue
        frame = Frame.of(question, codes.centroids[part.cell])
        test = Test.of(frame, op, threshold)
        nbytes += signs.nbytes + factors.nbytes
        left = np.arange(len(signs))
        for bits in (COARSE, FINE):
            planes = frame.planes(bits)
            beta = planes.beta(kernels.count_signs(signs[left], planes.words))
            stays = ~(test.upper(beta, planes.delta, factors[:, left]) < test.drop.limit)
            beta, left = beta[stays], left[stays]
            certain = test.lower(beta, planes.delta, factors[:, left]) > test.take.limit
            sure.append(part.positions(codes, left[certain]))
            left = left[~certain]
            if bits == COARSE:
                first += len(signs) - len(left)
                second += len(left)
        second -= len(left)
        maybe.append(part.positions(codes, left))
    return Verdict(_ascending(sure), _ascending(maybe), (first, second), nbytes)


def _ascending(pieces: list[Positions]) -> Positions:
    positions: Positions = np.concatenate([np.empty(0, np.int64), *pieces])
    positions.sort()
    return positions


def bounds(codes: Cells, question: Question, cells: range) -> tuple[Positions, Floats, Floats]:
    """(positions, lower, upper) of all rows of these cells, float64; not finite where nothing is known."""
    unsure = codes.unsure_of(cells)
    found = [(unsure, np.full(len(unsure), -inf), np.full(len(unsure), inf))]
    for part in _parts(codes, cells, None):
        signs, factors = part.of(codes)
        positions = part.positions(codes, np.arange(len(signs)))
        if question.usable:
            frame = Frame.of(question, codes.centroids[part.cell])
            planes = frame.planes(FINE)
            low, high = intervals(frame, planes, kernels.count_signs(signs, planes.words), factors)
        else:
            low, high = np.full(len(signs), -inf), np.full(len(signs), inf)
        found.append((positions, low, high))
    positions, low, high = (np.concatenate(pieces) for pieces in zip(*found, strict=True))
    return positions, low, high


def nearest(codes: Cells, question: Question, limit: Limit, cells: range, rows: Rows = None) -> Nearest:
    """The rows of these cells that may be among the best `limit.count`, best possible score first.

    The limit is sharpened by what the codes prove of the rows that count: rows that nobody may see must not
    be among them. A row that no bound is known of comes first. Raises nothing.
    """
    sign = -1.0 if limit.descending else 1.0
    unsure = _unsure(codes, cells, rows)
    found = [(unsure, np.full(len(unsure), sign * -inf))]
    first = second = nbytes = 0
    for part in _parts(codes, cells, rows):
        signs, factors = part.of(codes)
        positions = part.positions(codes, np.arange(len(signs)))
        if not question.usable:
            found.append((positions, np.full(len(signs), sign * -inf)))
            continue
        frame = Frame.of(question, codes.centroids[part.cell])
        nbytes += signs.nbytes + factors.nbytes
        left = _within(frame, frame.planes(COARSE), limit, signs, factors)
        first += len(signs) - len(left)
        planes = frame.planes(FINE)
        counts = kernels.count_signs(signs[left], planes.words)
        low, high = intervals(frame, planes, counts, factors[:, left])
        best, worst = (high, low) if limit.descending else (low, high)
        limit.offer_bounds(worst)
        stays = ~(sign * best > sign * limit.value)
        second += len(left) - int(stays.sum())
        found.append((positions[left[stays]], best[stays]))
    places, best = (np.concatenate(pieces) for pieces in zip(*found, strict=True))
    order = np.argsort(sign * best, kind="stable")
    return Nearest(places[order], best[order], (first, second), nbytes)


def _within(frame: Frame, planes: Planes, limit: Limit, signs: Any, factors: Any) -> Positions:
    """The rows that may be as good as the limit."""
    if not isfinite(limit.value):
        return np.arange(len(signs))
    test = Test.of(frame, Comparison.GE if limit.descending else Comparison.LE, limit.value)
    beta = planes.beta(kernels.count_signs(signs, planes.words))
    return np.flatnonzero(~(test.upper(beta, planes.delta, factors) < test.drop.limit))
