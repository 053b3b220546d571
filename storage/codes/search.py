"""Questions asked of codes: which rows meet a threshold, which may be nearest, what a score may be."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.bounds import Frame, intervals
from storage.codes.cells import Cells
from storage.codes.limit import Limit
from storage.codes.metric import Question
from storage.column import Mask, Positions
from storage.kernels.plain.signs import CONSTANTS, GROUP, LIMIT, LOWER, UPPER, bound_signs
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

Rows = Positions | Mask | None
"""Which rows of the segment count: ascending int64 positions, a mask over the segment, or all."""
_SPARSE = 32
"""Positions are looked up one by one where fewer than one row in so many counts."""
_FIRST = 1 << 11
"""Rows that a top-k looks at before it has any limit."""


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
class Asked:
    """A question prepared for the codes of a segment: a frame for each centroid."""

    question: Question
    frames: tuple[Frame, ...]
    coarse: Any
    fine: Any

    @classmethod
    def of(cls, codes: Cells, question: Question) -> Asked:
        """A usable question."""
        frames = tuple(Frame.of(question, centroid) for centroid in codes.centroids)
        coarse = np.stack([frame.coarse.planes for frame in frames])
        fine = np.stack([frame.fine.planes for frame in frames])
        return cls(question, frames, coarse, fine)

    def constants(self, op: Comparison, threshold: float) -> npt.NDArray[np.float32]:
        """(frames, CONSTANTS) float32."""
        return np.stack([frame.constants(op, threshold) for frame in self.frames])

    def scan(self, codes: Cells, spans: Positions, constants: Any) -> tuple[Positions, Mask, Counts, int]:
        """(slots, taken, counts of the fine planes) of rows that are not dropped; rows decided at once."""
        _, slots, taken, counts, decided = kernels.scan_signs(
            codes.signs,
            codes.factors,
            spans,
            self.coarse[np.newaxis],
            self.fine[np.newaxis],
            constants[np.newaxis],
        )
        return slots, taken, counts, decided


def _asked(codes: Cells, question: Question) -> Asked:
    """The question for these codes: kept with them, as the next task asks the same."""
    kept: Asked | None = codes.__dict__.get("_asked")
    if kept is None or kept.question is not question:
        kept = Asked.of(codes, question)
        codes.__dict__["_asked"] = kept
    return kept


def _spans(codes: Cells, cells: range) -> Positions:
    """(cells, 3) for kernels.scan_signs."""
    return np.ascontiguousarray(codes.table[cells.start : cells.stop, :3])


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


def _counting(positions: Positions, rows: Rows) -> Mask | slice:
    """Which of these positions count."""
    if rows is None:
        return slice(None)
    mask: Mask
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


def _each(codes: Cells, slots: Positions, asked: Asked, constants: Any) -> tuple[Positions, Mask, Counts]:
    """As Asked.scan, of these slots only: tested by the fine planes at once."""
    signs, factors = codes.rows_at(slots)
    frames = _frames(codes, slots)
    counts = np.zeros(len(slots), np.int32)
    stays, taken = np.zeros(len(slots), np.bool_), np.zeros(len(slots), np.bool_)
    for frame in np.unique(frames).tolist():
        mine = np.flatnonzero(frames == frame)
        counts[mine] = kernels.count_signs(signs[mine], asked.fine[frame])
        upper, lower = bound_signs(counts[mine], factors[:, mine], constants[frame], True)
        stays[mine] = ~(upper < constants[frame, UPPER + LIMIT])
        taken[mine] = lower > constants[frame, LOWER + LIMIT]
    return slots[stays], taken[stays], counts[stays]


def _frames(codes: Cells, slots: Positions) -> Positions:
    """(any,) the number of each slot's centroid."""
    cells = np.searchsorted(codes.table[:, 0], slots >> 4, side="right") - 1
    frames: Positions = codes.table[cells, 2]
    return frames


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
    unsure = codes.unsure_of(cells)
    unsure = unsure[_counting(unsure, rows)]
    if not question.usable or not isfinite(threshold):
        positions = codes.positions(codes.slots(cells))
        maybe = _ascending(unsure, positions[_counting(positions, rows)])
        return Verdict(np.empty(0, np.int64), maybe, (0, 0), 0)
    asked = _asked(codes, question)
    constants = asked.constants(op, threshold)
    sparse = _sparse(rows, cells, codes)
    if sparse is not None:
        slots, taken, _ = _each(codes, sparse, asked, constants)
        looked, first = len(sparse), 0
    else:
        spans = _spans(codes, cells)
        slots, taken, _, first = asked.scan(codes, spans, constants)
        looked = int(spans[:, 1].sum())
    positions = codes.positions(slots)
    second = looked - first - int((~taken).sum())
    if sparse is None and rows is not None:
        counting = _counting(positions, rows)
        positions, taken = positions[counting], taken[counting]
    sure, maybe = _ascending(positions[taken]), _ascending(unsure, positions[~taken])
    return Verdict(sure, maybe, (first, second), looked * codes.row_bytes)


def bounds(codes: Cells, question: Question, cells: range) -> tuple[Positions, Floats, Floats]:
    """(positions, lower, upper) of all rows of these cells, float64; not finite where nothing is known."""
    unsure = codes.unsure_of(cells)
    slots = codes.slots(cells)
    low, high = np.full(len(slots), -inf), np.full(len(slots), inf)
    if question.usable and len(slots):
        asked = _asked(codes, question)
        frames = _frames(codes, slots)
        counts = np.zeros(len(slots), np.int32)
        signs, _ = codes.rows_at(slots)
        for frame in np.unique(frames).tolist():
            mine = np.flatnonzero(frames == frame)
            counts[mine] = kernels.count_signs(signs[mine], asked.fine[frame])
        low, high = _intervals(codes, asked, slots, counts)
    blank = np.full(len(unsure), inf)
    return (
        np.concatenate((unsure, codes.positions(slots))),
        np.concatenate((-blank, low)),
        np.concatenate((blank, high)),
    )


def _intervals(codes: Cells, asked: Asked, slots: Positions, counts: Counts) -> tuple[Floats, Floats]:
    """(any,) float64 lower and upper bounds of the scores of these slots."""
    if len(asked.frames) == 1:
        return intervals(asked.frames[0], counts, codes.factors[slots >> 4, :, slots & (GROUP - 1)].T)
    low, high = np.empty(len(slots)), np.empty(len(slots))
    frames = _frames(codes, slots)
    factors = codes.factors[slots >> 4, :, slots & (GROUP - 1)].T
    for frame in np.unique(frames).tolist():
        mine = frames == frame
        low[mine], high[mine] = intervals(asked.frames[frame], counts[mine], factors[:, mine])
    return low, high


def nearest(codes: Cells, question: Question, limit: Limit, cells: range, rows: Rows = None) -> Nearest:
    """The rows of these cells that may be among the best `limit.count`, best possible score first.

    The limit is sharpened by what the codes prove of the rows that count: rows that nobody may see must not
    be among them. A row that no bound is known of comes first. Raises nothing.
    """
    sign = -1.0 if limit.descending else 1.0
    unsure = codes.unsure_of(cells)
    unsure = unsure[_counting(unsure, rows)]
    found = [(unsure, np.full(len(unsure), sign * -inf))]
    first = looked = kept = 0
    if not question.usable:
        positions = codes.positions(codes.slots(cells))
        positions = positions[_counting(positions, rows)]
        found.append((positions, np.full(len(positions), sign * -inf)))
    else:
        asked = _asked(codes, question)
        sparse = _sparse(rows, cells, codes)
        for work in _steps(_spans(codes, cells)) if sparse is None else (sparse,):
            constants = _toward(asked, limit)
            if sparse is None:
                slots, _, counts, decided = asked.scan(codes, work, constants)
                looked, first = looked + int(work[:, 1].sum()), first + decided
            else:
                slots, _, counts = _each(codes, work, asked, constants)
                looked += len(work)
            positions = codes.positions(slots)
            if sparse is None and rows is not None:
                counting = _counting(positions, rows)
                slots, counts, positions = slots[counting], counts[counting], positions[counting]
            low, high = _intervals(codes, asked, slots, counts)
            best, worst = (high, low) if limit.descending else (low, high)
            limit.offer_bounds(worst)
            stays = ~(sign * best > sign * limit.value)
            kept += int(stays.sum())
            found.append((positions[stays], best[stays]))
    places, best = (np.concatenate(pieces) for pieces in zip(*found, strict=True))
    stays = ~(sign * best > sign * limit.value)
    order = np.argsort(sign * best[stays], kind="stable")
    decided_rows = (first, looked - first - kept)
    return Nearest(places[stays][order], best[stays][order], decided_rows, looked * codes.row_bytes)


def _toward(asked: Asked, limit: Limit) -> npt.NDArray[np.float32]:
    """(frames, CONSTANTS): rows that may be as good as the limit, none of them taken."""
    value = limit.value
    constants = np.zeros((len(asked.frames), CONSTANTS), np.float32)
    if isfinite(value):
        constants = asked.constants(Comparison.GE if limit.descending else Comparison.LE, value)
    else:
        constants[:, UPPER + LIMIT] = -inf
    constants[:, LOWER + LIMIT] = inf
    return constants


def _steps(spans: Positions) -> list[Positions]:
    """A few rows first, for a limit, then the rest."""
    if not len(spans) or spans[0, 1] <= 2 * _FIRST:
        return [spans]
    begin, rest = spans[:1].copy(), spans.copy()
    begin[0, 1] = _FIRST
    rest[0, 0] += _FIRST // GROUP
    rest[0, 1] -= _FIRST
    return [begin, rest]


__all__ = ["Asked", "Nearest", "Rows", "Verdict", "bounds", "decide", "nearest"]
