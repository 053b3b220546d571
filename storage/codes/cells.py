"""The codes of one vector column of one segment: cells of rows that share a centroid.

A cell is a number of whole groups of 16 rows, of which the last may be filled up. Buffers, flat bytes:

    0  centroids  (centroids, m) float32, rotated
    1  signs      (groups, W, 16) uint64, W = ceil(n / 64), m = 64 W
    2  factors    (groups, 3, 16) float32: norm, cosine, centre: see kernels.encode_signs
    3  cells      (cells, 4) int64: first group, rows, centroid, position of the first row or -1
    4  places     (groups, 16) int32: positions in the segment, looked up for cells whose rows do not follow
                  one another; empty where there are none
    5  unsure     (any,) int32: positions of rows that the proof does not cover, which are checked in full

8 W + 12 bytes a row: 140 for 1024 dimensions, 3.4 % of F32. NULLs are in no cell. A row's slot is its group
times 16 and its lane. The head has the number of dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.metric import LEAST_NORM, MOST_NORM
from storage.column import Mask, Positions
from storage.encodings.base import Bytes, flat
from storage.kernels.plain.signs import GROUP

Singles = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]

LAYOUT = 1
"""Of the head and the buffers: codes of another layout are made anew. Raise it when their bytes change."""
LEAST_DIMENSIONS = 32
"""Vectors of fewer elements have no codes: a plain scan reads about as few bytes."""
CELL_ROWS = 1 << 15
"""A cell has no more rows."""
_TASK_ROWS = 1 << 17
_SMALL = 1 << 11
_SAMPLE = 1 << 11
_LONG = 8.0
"""Rows so many times longer than the median stay out of the centroid."""


@dataclass(frozen=True, eq=False)
class Cells:
    """See the module's text. Cells are numbered from 0; positions count in the segment."""

    dimensions: int
    centroids: Singles
    signs: Words
    factors: Singles
    table: Positions
    places: Places
    unsure: Places

    @classmethod
    def build(cls, values: npt.NDArray[Any], valid: Mask | None = None) -> Self | None:
        """The codes of (rows, n) numbers; None where the vectors are too short or there are none."""
        rows, dimensions = values.shape
        if dimensions < LEAST_DIMENSIONS or not rows:
            return None
        centroid = _centroid(values, valid)
        pieces = []
        for start in range(0, rows, CELL_ROWS):
            part = values[start : start + CELL_ROWS]
            there = None if valid is None else valid[start : start + CELL_ROWS]
            pieces.append(_cell(part, there, start, centroid))
        return cls._joined(dimensions, centroid[np.newaxis], pieces)

    @classmethod
    def _joined(cls, dimensions: int, centroids: Singles, pieces: Sequence[_Piece]) -> Self:
        words = -(-dimensions // 64)
        full = [piece for piece in pieces if len(piece.places)]
        looked_up = any(_first(piece.places) < 0 for piece in full)
        starts = np.cumsum([0] + [len(piece.signs) for piece in full])
        table = [
            (start, len(piece.places), piece.frame, _first(piece.places))
            for start, piece in zip(starts.tolist(), full, strict=False)
        ]
        places = [_filled(piece.places) for piece in full] if looked_up else []
        return cls(
            dimensions,
            centroids,
            np.concatenate([np.empty((0, words, GROUP), np.uint64), *(piece.signs for piece in full)]),
            np.concatenate([np.empty((0, 3, GROUP), np.float32), *(piece.factors for piece in full)]),
            np.array(table, np.int64).reshape(-1, 4),
            np.concatenate([np.empty((0, GROUP), np.int32), *places]),
            np.sort(np.concatenate([np.empty(0, np.int32), *(piece.unsure for piece in pieces)])),
        )

    @property
    def rows(self) -> int:
        """How many rows have codes."""
        return int(self.table[:, 1].sum())

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.table)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @property
    def row_bytes(self) -> int:
        """Bytes of a row that a scan reads."""
        words = -(-self.dimensions // 64)
        return 8 * words + 12

    @property
    def worn(self) -> bool:
        """Whether cells have become so small that encoding the vectors anew pays."""
        return bool(self.cells > 1 and self.rows < self.cells * _SMALL)

    def positions(self, slots: Positions) -> Positions:
        """(any,) int64 slots -> positions."""
        if not len(slots):
            return slots
        groups, firsts = self.table[:, 0], self.table[:, 3]
        cells = np.searchsorted(groups, slots >> 4, side="right") - 1
        found = firsts[cells] + slots - groups[cells] * GROUP
        if len(self.places):
            found = np.where(firsts[cells] < 0, self.places.reshape(-1)[slots], found)
        return found

    def rows_at(self, slots: Positions) -> tuple[Words, Singles]:
        """(any,) slots -> (any, W) signs and (3, any) factors."""
        groups, lanes = slots >> 4, slots & (GROUP - 1)
        return self.signs[groups, :, lanes], self.factors[groups, :, lanes].T

    def slots(self, cells: range) -> Positions:
        """The slots of all rows of some cells."""
        spans = self.table[cells.start : cells.stop, :2].tolist()
        pieces = [np.arange(group * GROUP, group * GROUP + rows) for group, rows in spans]
        return np.concatenate([np.empty(0, np.int64), *pieces])

    @cached_property
    def by_position(self) -> tuple[Positions, Positions]:
        """(rows,) positions ascending, and the slot of each."""
        slots = self.slots(range(self.cells))
        positions = self.positions(slots)
        order = np.argsort(positions, kind="stable")
        return positions[order], slots[order]

    def tasks(self) -> list[range]:
        """All cells in ranges of a few milliseconds' work at most; at least one, for what is unsure."""
        ranges, start, rows = [], 0, 0
        for cell, more in enumerate(self.table[:, 1].tolist()):
            if rows and rows + more > _TASK_ROWS:
                ranges.append(range(start, cell))
                start, rows = cell, 0
            rows += more
        return [*ranges, range(start, self.cells)]

    def unsure_of(self, cells: range) -> Positions:
        """The unsure rows that belong to a task: all of them to the first."""
        return self.unsure.astype(np.int64) if cells.start == 0 else np.empty(0, np.int64)

    def head(self) -> dict[str, Any]:
        """What `read` needs besides the buffers, as JSON's values."""
        return {"dimensions": self.dimensions}

    def buffers(self) -> Sequence[Bytes]:
        """See the module's text."""
        arrays = (self.centroids, self.signs, self.factors, self.table, self.places, self.unsure)
        return [flat(array) for array in arrays]

    @classmethod
    def read(cls, head: Mapping[str, Any], buffers: Sequence[Bytes]) -> Self:
        """The inverse of `head` and `buffers`, which are aligned to 8 bytes."""
        dimensions = int(head["dimensions"])
        words = -(-dimensions // 64)
        centroids, signs, factors, table, places, unsure = buffers
        return cls(
            dimensions,
            centroids.view(np.float32).reshape(-1, 64 * words),
            signs.view(np.uint64).reshape(-1, words, GROUP),
            factors.view(np.float32).reshape(-1, 3, GROUP),
            table.view(np.int64).reshape(-1, 4),
            places.view(np.int32).reshape(-1, GROUP),
            unsure.view(np.int32),
        )

    @classmethod
    def merged(cls, parts: Sequence[tuple[Self, Positions]]) -> Self:
        """The codes of a segment made of rows of others: no vector is read.

        Each part comes with the (rows of its segment,) int64 positions in the new segment, -1 for a row that
        is not taken over. At least one part; all of the same dimensions.
        """
        pieces: list[_Piece] = []
        frames = 0
        for codes, target in parts:
            moved = target[codes.unsure]
            pieces.extend(_moved(codes, cell, target, frames) for cell in range(codes.cells))
            pieces.append(_unsure_piece(codes, moved[moved >= 0].astype(np.int32)))
            frames += len(codes.centroids)
        centroids = np.concatenate([codes.centroids for codes, _ in parts])
        return cls._joined(parts[0][0].dimensions, centroids, pieces)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One cell in groups, the number of its centroid, and unsure rows."""

    signs: Words
    factors: Singles
    places: Places
    """(rows,) positions."""
    frame: int
    unsure: Places

    @classmethod
    def of(cls, signs: Words, factors: Singles, places: Places, frame: int, unsure: Places) -> _Piece:
        """(rows, W) signs and (3, rows) factors."""
        count, words = signs.shape
        groups = -(-count // GROUP)
        padded = np.zeros((groups * GROUP, words), np.uint64)
        padded[:count] = signs
        wide = np.zeros((3, groups * GROUP), np.float32)
        wide[:, :count] = factors
        return cls(
            np.ascontiguousarray(padded.reshape(groups, GROUP, words).transpose(0, 2, 1)),
            np.ascontiguousarray(wide.reshape(3, groups, GROUP).transpose(1, 0, 2)),
            places,
            frame,
            unsure,
        )


def _filled(places: Places) -> Places:
    """Positions in whole groups."""
    filled = np.zeros((-(-len(places) // GROUP), GROUP), np.int32)
    filled.reshape(-1)[: len(places)] = places
    return filled


def _first(places: Places) -> int:
    """The first of consecutive positions, else -1."""
    if len(places) and (np.diff(places) == 1).all():
        return int(places[0])
    return -1


def _cell(values: npt.NDArray[Any], valid: Mask | None, start: int, centroid: Singles) -> _Piece:
    """Encode rows that follow one another from position `start` on."""
    there = np.arange(len(values)) if valid is None else np.flatnonzero(valid)
    signs, factors = kernels.encode_signs(values if valid is None else values[there], centroid)
    with np.errstate(invalid="ignore"):
        norms = factors[0]
        usual = (norms == 0) | ((norms >= LEAST_NORM) & (norms <= MOST_NORM))
        covered = np.isfinite(factors).all(axis=0) & usual
    places = (there + start).astype(np.int32)
    unsure = places[~covered]
    if len(unsure):
        signs, factors, places = signs[covered], factors[:, covered], places[covered]
    return _Piece.of(signs, factors, places, 0, unsure)


def _centroid(values: npt.NDArray[Any], valid: Mask | None) -> Singles:
    """(m,) float32: about the mean of the rows, rotated; any vector would be right, a near one is sharper."""
    rows = np.arange(len(values)) if valid is None else np.flatnonzero(valid)
    sample = kernels.rotate_rows(values[rows[:: max(len(rows) // _SAMPLE, 1)]])
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", sample, sample))
        usual = norms <= MOST_NORM
        if usual.any():
            usual &= norms <= _LONG * np.median(norms[usual])
    if not usual.any():
        return np.zeros(sample.shape[1], np.float32)
    mean: Singles = sample[usual].mean(axis=0).astype(np.float32)
    return mean


def _moved(codes: Cells, cell: int, target: Positions, frames: int) -> _Piece:
    """A cell's rows that are taken over, at their new positions."""
    slots = codes.slots(range(cell, cell + 1))
    moved = target[codes.positions(slots)]
    kept = np.flatnonzero(moved >= 0)
    signs, factors = codes.rows_at(slots[kept])
    frame = int(codes.table[cell, 2]) + frames
    return _Piece.of(signs, factors, moved[kept].astype(np.int32), frame, np.empty(0, np.int32))


def _unsure_piece(codes: Cells, unsure: Places) -> _Piece:
    words = codes.signs.shape[1]
    none = np.empty(0, np.int32)
    return _Piece.of(np.empty((0, words), np.uint64), np.empty((3, 0), np.float32), none, 0, unsure)
