"""Questions asked of codes: which rows meet a threshold, which may be nearest, what a score may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.bounds import DISTANCES, Frame, intervals
from storage.codes.cells import Cells
from storage.codes.limit import Limit
from storage.codes.metric import Metric, Question, near
from storage.column import Mask, Positions
from storage.kernels.plain.signs import GROUP, LIMIT, LOWER, UPPER, bound_signs
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]

Rows = Positions | Mask | None
"""Which rows of the segment count: ascending int64 positions, a mask over the segment, or all."""
_SPARSE = 32
"""Positions are looked up one by one where fewer than one row in so many counts."""


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
class Nearest:
    """Rows that may be among the best, best first."""

    positions: Positions
    best: Floats
    """float64: no score is better than this."""
    decided: Decided
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question prepared for the codes of a segment: a frame for each centroid."""

    question: Question
    frames: tuple[Frame, ...]
    coarse: Any
    """(frames, W, COARSE) uint64."""
    fine: Any
    """(frames, W, FINE) uint64."""
    deep: Any
    """(frames, PLANES + 1, 3) float64: see Digits."""
    known: dict[tuple[Comparison, float], npt.NDArray[np.float32]] = field(default_factory=dict)
    """Constants that were asked for last: the tasks of a threshold all ask for the same."""

    @classmethod
    def of(cls, codes: Cells, question: Question) -> Asked:
        """A usable question."""
        frames = tuple(Frame.of(question, centroid) for centroid in codes.centroids)
        coarse = np.stack([frame.coarse.planes for frame in frames])
        fine = np.stack([frame.fine.planes for frame in frames])
        return cls(question, frames, coarse, fine, np.stack([frame.fine.deep for frame in frames]))

    def constants(self, op: Comparison, threshold: float) -> npt.NDArray[np.float32]:
        """(frames, CONSTANTS) float32, not to be written to."""
        known = self.known.get((op, threshold))
        if known is None:
            known = np.stack([frame.constants(op, threshold) for frame in self.frames])
            self.known.clear()
            self.known[op, threshold] = known
        return known

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


@dataclass(slots=True, eq=False)
class _Open:
    """Rows that are not dropped, and what was read to know it."""

    slots: Positions
    taken: Mask
    counts: Counts
    """(rows,) int64: of the planes so far."""
    planes: int
    """How many those are."""
    decided: list[int]
    nbytes: int

    def keep(self, which: Mask) -> None:
        """Only these rows."""
        self.slots, self.taken, self.counts = self.slots[which], self.taken[which], self.counts[which]


def _signs(codes: Cells, asked: Asked, constants: Any, spans: Positions) -> _Open:
    """What signs leave of these spans."""
    slots, taken, counts, first = asked.scan(codes, spans, constants)
    looked = int(spans[:, 1].sum())
    second = looked - first - len(taken) + int(taken.sum())
    return _Open(slots, taken, counts.astype(np.int64), 1, [first, second], looked * codes.row_bytes)


def _signs_of(codes: Cells, asked: Asked, constants: Any, slots: Positions) -> _Open:
    """The same of these slots: tested by the fine planes at once."""
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
    taken &= stays
    second = len(slots) - int((stays & ~taken).sum())
    nbytes = len(slots) * codes.row_bytes
    return _Open(slots[stays], taken[stays], counts[stays].astype(np.int64), 1, [0, second], nbytes)


def _deepen(codes: Cells, asked: Asked, op: Comparison, constants: Any, left: _Open) -> None:
    """Ask finer codes of what is open; they are passed over where they are not to be had."""
    sign = 1.0 if near(asked.question.metric, op) else -1.0
    for finer in codes.finer:
        rows = np.flatnonzero(~left.taken)
        loaded = finer.load() if len(rows) else None
        if loaded is None:
            break
        slots = left.slots[rows]
        counts, state = kernels.deepen_signs(
            *loaded,
            codes.factors,
            slots,
            _frames(codes, slots),
            left.counts[rows],
            np.ascontiguousarray(asked.fine.transpose(0, 2, 1)),
            asked.deep[:, finer.planes] * (sign, sign, 1.0),
            constants,
        )
        left.counts[rows], left.taken[rows], left.planes = counts, state == 2, finer.planes
        left.decided.append(len(rows) - int((state == 1).sum()))
        left.nbytes += len(rows) * finer.row_bytes
        stays = np.ones(len(left.slots), np.bool_)
        stays[rows] = state != 0
        left.keep(stays)


def _decided(depths: Sequence[int]) -> Decided:
    first, second, third, fourth = (*depths, *(0,) * (4 - len(depths)))
    return first, second, third, fourth


def _frames(codes: Cells, slots: Positions) -> Positions:
    """(any,) the number of each slot's centroid."""
    if len(codes.centroids) == 1:
        return np.zeros(len(slots), np.int64)
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
        return Verdict(np.empty(0, np.int64), maybe, (0, 0, 0, 0), 0)
    asked = _asked(codes, question)
    constants = asked.constants(op, threshold)
    sparse = _sparse(rows, cells, codes)
    if sparse is None:
        left = _signs(codes, asked, constants, _spans(codes, cells))
    else:
        left = _signs_of(codes, asked, constants, sparse)
    if sparse is None and rows is not None:
        left.keep(_counting(codes.positions(left.slots), rows))
    _deepen(codes, asked, op, constants, left)
    positions = codes.positions(left.slots)
    sure, maybe = _ascending(positions[left.taken]), _ascending(unsure, positions[~left.taken])
    return Verdict(sure, maybe, _decided(left.decided), left.nbytes)


def bounds(codes: Cells, question: Question, cells: range) -> tuple[Positions, Floats, Floats]:
    """(positions, lower, upper) of all rows of these cells, float64; not finite where nothing is known."""
    unsure = codes.unsure_of(cells)
    slots = codes.slots(cells)
    low, high = np.full(len(slots), -inf), np.full(len(slots), inf)
    if question.usable and len(slots):
        asked = _asked(codes, question)
        constants = _toward(asked, Comparison.GE, inf)
        left = _signs_of(codes, asked, constants, slots)
        low, high = _intervals(codes, asked, left)
        _deepen(codes, asked, Comparison.GE, constants, left)
        finer = _intervals(codes, asked, left)
        low, high = np.maximum(low, finer[0]), np.minimum(high, finer[1])
    blank = np.full(len(unsure), inf)
    return (
        np.concatenate((unsure, codes.positions(slots))),
        np.concatenate((-blank, low)),
        np.concatenate((blank, high)),
    )


def _intervals(codes: Cells, asked: Asked, left: _Open) -> tuple[Floats, Floats]:
    """(rows,) float64 lower and upper bounds of the scores, by the planes so far."""
    low, high = np.empty(len(left.slots)), np.empty(len(left.slots))
    frames = _frames(codes, left.slots)
    factors = codes.factors[left.slots >> 4, :, left.slots & (GROUP - 1)].T
    inverse = np.full(len(left.slots), 1 / sqrt(64 * codes.signs.shape[1]))
    for finer in codes.finer:
        if finer.planes == left.planes:
            loaded = finer.load()
            assert loaded is not None
            factors[1], inverse = loaded[1][left.slots].T
    for number, frame in enumerate(asked.frames):
        mine = slice(None) if len(asked.frames) == 1 else frames == number
        start, slope, delta = asked.deep[number, left.planes].tolist()
        beta = (start - slope * left.counts[mine]) * inverse[mine]
        low[mine], high[mine] = intervals(frame, beta, delta, factors[:, mine])
    return low, high


def nearest(codes: Cells, question: Question, limit: Limit, cells: range, rows: Rows = None) -> Nearest:
    """The rows of these cells that may be among the best `limit.count`, best possible score first.

    The limit is sharpened by what the codes prove of the rows that count: rows that nobody may see must not
    be among them. A row that no bound is known of comes first. Raises nothing.
    """
    sign = -1.0 if limit.descending else 1.0
    op = Comparison.GE if limit.descending else Comparison.LE
    unsure = codes.unsure_of(cells)
    unsure = unsure[_counting(unsure, rows)]
    found = [(unsure, np.full(len(unsure), sign * -inf))]
    decided, nbytes = _decided(()), 0
    if not question.usable:
        positions = codes.positions(codes.slots(cells))
        positions = positions[_counting(positions, rows)]
        found.append((positions, np.full(len(positions), sign * -inf)))
    else:
        asked = _asked(codes, question)
        sparse = _sparse(rows, cells, codes)
        value, spans = limit.value, _spans(codes, cells)
        if sparse is None:
            value = value if isfinite(value) else _probe(codes, asked, limit, op, spans, rows)
            left = _signs(codes, asked, _toward(asked, op, value), spans)
            if rows is not None:
                left.keep(_counting(codes.positions(left.slots), rows))
        else:
            left = _signs_of(codes, asked, _toward(asked, op, value), sparse)
        _deepen(codes, asked, op, _toward(asked, op, value), left)
        low, high = _intervals(codes, asked, left)
        best, worst = (high, low) if limit.descending else (low, high)
        limit.offer_bounds(worst)
        stays = ~(sign * best > sign * limit.value)
        left.decided[-1] += len(stays) - int(stays.sum())
        found.append((codes.positions(left.slots[stays]), best[stays]))
        decided, nbytes = _decided(left.decided), left.nbytes
    places, best = (np.concatenate(pieces) for pieces in zip(*found, strict=True))
    order = np.argsort(sign * best, kind="stable")
    return Nearest(places[order], best[order], decided, nbytes)


def _toward(asked: Asked, op: Comparison, value: float) -> npt.NDArray[np.float32]:
    """(frames, CONSTANTS): rows that may be as good as a limit, all if that is not finite; none is taken."""
    constants = asked.constants(op, value if isfinite(value) else 0.0).copy()
    if not isfinite(value):
        constants[:, UPPER + LIMIT] = -inf
    constants[:, LOWER + LIMIT] = inf
    return constants


def _probe(codes: Cells, asked: Asked, limit: Limit, op: Comparison, spans: Positions, rows: Rows) -> float:
    """A limit for the first task of a top-k: the k-th best bound of the rows that promise most."""
    constants = _toward(asked, op, limit.value)
    left = _signs(codes, asked, constants, spans)
    if rows is not None:
        left.keep(_counting(codes.positions(left.slots), rows))
    wanted = 4 * limit.count
    if len(left.slots) < 2 * wanted:
        return limit.value
    promise = _promise(codes, asked, left)
    promise = promise if near(asked.question.metric, op) else -promise
    mask = np.zeros(len(promise), np.bool_)
    mask[np.argpartition(promise, len(promise) - wanted)[-wanted:]] = True
    left.keep(mask)
    _deepen(codes, asked, op, constants, left)
    low, high = _intervals(codes, asked, left)
    sign = -1.0 if limit.descending else 1.0
    worst = sign * (low if limit.descending else high)
    return sign * float(np.partition(worst, limit.count - 1)[limit.count - 1])


def _promise(codes: Cells, asked: Asked, left: _Open) -> Any:
    """(rows,) float32, how near rows are likely to be by their signs: a guess, p.z is about N P beta / k."""
    norms, cosines, centres = (codes.factors[:, i].reshape(-1)[left.slots] for i in range(3))
    frames_of = [
        (f.norm * f.fine.start, f.norm * f.fine.slope, f.offset, f.centroid**2) for f in asked.frames
    ]
    start, slope, offset, square = np.array(frames_of, np.float32)[_frames(codes, left.slots)].T
    with np.errstate(all="ignore"):
        product = norms * (start - slope * left.counts.astype(np.float32))
        product /= np.maximum(cosines, np.float32(0.1))
        if asked.question.metric in DISTANCES:
            return np.nan_to_num(product - norms * norms / np.float32(2))
        nearness = product + centres + offset
        if asked.question.metric is Metric.COSINE:
            nearness /= np.sqrt(np.maximum(square + 2 * centres + norms * norms, np.float32(1e-30)))
        return np.nan_to_num(nearness)


__all__ = ["Asked", "Nearest", "Rows", "Verdict", "bounds", "decide", "nearest"]
