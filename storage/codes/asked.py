"""Questions prepared for the codes of a segment, and what signs and finer planes leave of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.bounds import Frame, intervals
from storage.codes.cells import Cells
from storage.codes.metric import Question, near
from storage.column import Mask, Positions
from storage.kernels.plain.signs import (
    CONSTANTS,
    DROPPED,
    GROUP,
    LIMIT,
    LOWER,
    OPEN,
    TAKEN,
    UPPER,
    Counts,
    bound_signs,
)
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]
Constants = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Usable questions of one metric: of each, a frame for each centroid."""

    questions: tuple[Question, ...]
    frames: tuple[Frame, ...]
    """Question by question."""
    coarse: Any
    """(questions, centroids, W, COARSE) uint64."""
    fine: Any
    """(questions, centroids, W, FINE) uint64."""
    by_plane: Any
    """(frames, FINE, W) uint64: the fine planes, each in one piece."""
    deep: Any
    """(frames, PLANES + 1, 3) float64: see Digits."""
    known: dict[tuple[Comparison, float], Constants] = field(default_factory=dict)
    """Constants that were asked for last: the tasks of a threshold all ask for the same."""

    @classmethod
    def of(cls, codes: Cells, questions: Sequence[Question]) -> Asked:
        """At least one question; the codes have at least one centroid."""
        frames = [Frame.of(question, centroid) for question in questions for centroid in codes.centroids]
        form = (len(questions), len(codes.centroids), codes.signs.shape[1], -1)
        coarse = np.stack([frame.coarse.planes for frame in frames]).reshape(form)
        planes = np.stack([frame.fine.planes for frame in frames])
        by_plane = np.ascontiguousarray(planes.transpose(0, 2, 1))
        deep = np.stack([frame.fine.deep for frame in frames])
        return cls(tuple(questions), tuple(frames), coarse, planes.reshape(form), by_plane, deep)

    def constants(self, op: Comparison, threshold: float) -> Constants:
        """(frames, CONSTANTS) float32, not to be written to."""
        known = self.known.get((op, threshold))
        if known is None:
            known = np.stack([frame.constants(op, threshold) for frame in self.frames])
            self.known.clear()
            self.known[op, threshold] = known
        return known

    def sign(self, op: Comparison) -> float:
        """-1 where rows far from the query are asked for."""
        return 1.0 if near(self.questions[0].metric, op) else -1.0


def asked_of(codes: Cells, questions: tuple[Question, ...]) -> Asked:
    """The questions for these codes: kept with the first of them, for all codes of the same centroids."""
    prepared = questions[0].prepared
    kept: Asked | None = prepared.get(codes.seen_from)
    if kept is None or kept.questions != questions:
        kept = Asked.of(codes, questions)
        prepared[codes.seen_from] = kept
    return kept


@dataclass(slots=True, eq=False)
class Left:
    """Rows that are not dropped, question by question, and what was read to know it."""

    numbers: Any
    """(rows,) the number of the question."""
    slots: Positions
    state: Any
    """(rows,) uint8, OPEN or TAKEN."""
    counts: Positions
    """(rows,) int64: of the planes so far, where the row is open."""
    planes: int
    """How many those are."""
    digits: Any
    """(all slots, 2) of the code of so many planes: the cosine and 1 / |v|; None for signs."""
    decided: list[int]
    nbytes: int

    @property
    def taken(self) -> Mask:
        """(rows,) whether a row certainly meets the condition."""
        found: Mask = self.state == TAKEN
        return found

    def keep(self, which: Mask) -> None:
        """Only these rows."""
        self.numbers, self.slots = self.numbers[which], self.slots[which]
        self.state, self.counts = self.state[which], self.counts[which]

    def frames(self, codes: Cells) -> Positions:
        """(rows,) the number of each row's frame."""
        found: Positions = self.numbers.astype(np.int64) * len(codes.centroids)
        return found + codes.frames(self.slots) if len(codes.centroids) > 1 else found


def left_by_signs(
    codes: Cells, asked: Asked, constants: Constants, spans: Positions, known: Counts | None = None
) -> Left:
    """What signs leave of these spans; `known`: what the coarse planes of the only question counted there."""
    questions, centroids = asked.coarse.shape[:2]
    numbers, slots, taken, counts, first = kernels.scan_signs(
        codes.signs,
        codes.factors,
        spans,
        asked.coarse,
        asked.fine,
        constants.reshape(questions, centroids, CONSTANTS),
        known,
    )
    looked = int(spans[:, 1].sum()) * questions
    second = looked - first - len(taken) + int(taken.sum())
    nbytes = looked * codes.row_bytes // questions if known is None else 0
    state = np.where(taken, np.uint8(TAKEN), np.uint8(OPEN))
    return Left(numbers, slots, state, counts.astype(np.int64), 1, None, [first, second], nbytes)


def left_together(
    codes: Cells, alone: Sequence[Asked], constants: Sequence[Constants], cells: range
) -> list[Left]:
    """`left_by_signs` of several questions of one metric, which were prepared apart, in one pass."""
    spans = codes.spans[cells.start : cells.stop]
    numbers, slots, taken, counts, _ = kernels.scan_signs(
        codes.signs,
        codes.factors,
        spans,
        np.concatenate([asked.coarse for asked in alone]),
        np.concatenate([asked.fine for asked in alone]),
        np.stack(constants),
    )
    rows = int(spans[:, 1].sum())
    ends = np.searchsorted(numbers, np.arange(len(alone) + 1))
    lefts = []
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        state = np.where(taken[first:last], np.uint8(TAKEN), np.uint8(OPEN))
        decided = rows - int(np.count_nonzero(state == OPEN))
        zeros, counted = np.zeros(last - first, np.int32), counts[first:last].astype(np.int64)
        nbytes = rows * codes.row_bytes // len(alone)
        lefts.append(Left(zeros, slots[first:last], state, counted, 1, None, [0, decided], nbytes))
    return lefts


def left_of(codes: Cells, asked: Asked, constants: Constants, slots: Positions) -> Left:
    """The same of these slots: tested by the fine planes at once."""
    signs, factors = codes.rows_at(slots)
    centroids = codes.frames(slots)
    fine = asked.fine.reshape(len(asked.frames), *asked.fine.shape[2:])
    questions = len(asked.questions)
    counts = np.zeros((questions, len(slots)), np.int64)
    stays, taken = np.zeros(counts.shape, np.bool_), np.zeros(counts.shape, np.bool_)
    for number in range(questions):
        for centroid in np.unique(centroids).tolist():
            mine, frame = np.flatnonzero(centroids == centroid), number * len(codes.centroids) + centroid
            found = kernels.count_signs(signs[mine], fine[frame])
            upper, lower = bound_signs(found, factors[:, mine], constants[frame], True)
            counts[number, mine] = found
            stays[number, mine] = ~(upper < constants[frame, UPPER + LIMIT])
            taken[number, mine] = lower > constants[frame, LOWER + LIMIT]
    taken &= stays
    numbers, rows = np.nonzero(stays)
    second = counts.size - int((stays & ~taken).sum())
    nbytes = len(slots) * codes.row_bytes
    state = np.where(taken[stays], np.uint8(TAKEN), np.uint8(OPEN))
    return Left(numbers, slots[rows], state, counts[stays], 1, None, [0, second], nbytes)


def deepen(codes: Cells, asked: Asked, op: Comparison, constants: Constants, left: Left) -> None:
    """Ask finer codes of what is open; they are passed over where they are not to be had."""
    sign, open_ = asked.sign(op), int(np.count_nonzero(left.state == OPEN))
    frames = left.frames(codes) if open_ else left.slots
    for finer in codes.finer:
        loaded = finer.load() if open_ else None
        if loaded is None:
            break
        kernels.deepen_signs(
            *loaded,
            codes.factors,
            left.slots,
            frames,
            asked.by_plane,
            asked.deep[:, finer.planes] * (sign, sign, 1.0),
            constants,
            left.counts,
            left.state,
        )
        left.nbytes += open_ * finer.row_bytes
        before, open_ = open_, int(np.count_nonzero(left.state == OPEN))
        left.decided.append(before - open_)
        left.planes, left.digits = finer.planes, loaded[1]
    left.keep(left.state != DROPPED)


def intervals_of(codes: Cells, asked: Asked, left: Left) -> tuple[Floats, Floats]:
    """(rows,) float64 lower and upper bounds of the scores, by the planes so far: of rows none of which is
    taken."""
    low, high = np.empty(len(left.slots)), np.empty(len(left.slots))
    factors = codes.factors[left.slots >> 4, :, left.slots & (GROUP - 1)].T
    inverse: Any = np.full(len(left.slots), 1 / sqrt(64 * codes.signs.shape[1]))
    if left.digits is not None:
        factors[1], inverse = left.digits[left.slots].T
    frames = left.frames(codes)
    for number, frame in enumerate(asked.frames):
        mine: Any = slice(None) if len(asked.frames) == 1 else frames == number
        start, slope, delta = asked.deep[number, left.planes].tolist()
        beta = (start - slope * left.counts[mine]) * inverse[mine]
        low[mine], high[mine] = intervals(frame, beta, delta, factors[:, mine])
    return low, high
