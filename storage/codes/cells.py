"""The codes of one vector column of one segment: cells of rows that share a centroid.

Buffers, each a flat array of bytes, rows in the order of their cells:

    0  centroids  (cells, m) float32, rotated
    1  signs      (rows, W) uint64, W = ceil(n / 64), m = 64 W
    2  factors    (3, rows) float32: norm, cosine, centre: see kernels.encode_signs
    3  positions  (rows,) int32, the rows' positions in the segment; empty where every cell's are consecutive
    4  unsure     (any,) int32: positions of rows that the proof does not cover, which are checked in full

8 W + 12 bytes a row: 140 for 1024 dimensions, 3.4 % of F32. NULLs are in no cell. The head has the number of
dimensions and each cell's end and first position (-1: looked up).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.metric import MOST_NORM
from storage.column import Mask, Positions
from storage.encodings.base import Bytes, flat

Singles = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

LEAST_DIMENSIONS = 32
"""Vectors of fewer elements have no codes: a plain scan reads about as few bytes."""
CELL_ROWS = 1 << 15
"""A cell has no more rows: about a quarter of a millisecond's work."""
_SMALL = 1 << 11
_SAMPLE = 1 << 11
_LONG = 8.0
"""Rows so many times longer than the median stay out of the centroid."""


@dataclass(frozen=True, eq=False)
class Cells:
    """See the module's text. `cells` are numbered from 0; positions count in the segment."""

    dimensions: int
    centroids: Singles
    signs: Words
    factors: Singles
    ends: Positions
    """(cells,) int64: where each cell's rows end, in the order of the cells."""
    firsts: Positions
    """(cells,) int64: the position of each cell's first row, where they are consecutive; else -1."""
    places: npt.NDArray[np.int32]
    """(rows,) positions; (0,) where no cell needs them."""
    unsure: npt.NDArray[np.int32]

    @classmethod
    def build(cls, values: npt.NDArray[Any], valid: Mask | None = None) -> Self | None:
        """The codes of (rows, n) numbers; None where the vectors are too short or there are none."""
        rows, dimensions = values.shape
        if dimensions < LEAST_DIMENSIONS or not rows:
            return None
        pieces = []
        for start in range(0, rows, CELL_ROWS):
            part = values[start : start + CELL_ROWS]
            there = None if valid is None else valid[start : start + CELL_ROWS]
            pieces.append(_cell(part, there, start))
        return cls._joined(dimensions, pieces)

    @classmethod
    def _joined(cls, dimensions: int, pieces: Sequence[_Piece]) -> Self:
        words = -(-dimensions // 64)
        full = [piece for piece in pieces if len(piece.places)]
        looked_up = any(piece.first < 0 for piece in full)
        places = [piece.places for piece in full] if looked_up else []
        unsure = [piece.unsure for piece in pieces]
        return cls(
            dimensions,
            np.stack([piece.centroid for piece in full]) if full else np.empty((0, 64 * words), np.float32),
            np.concatenate([np.empty((0, words), np.uint64), *(piece.signs for piece in full)]),
            np.concatenate([np.empty((3, 0), np.float32), *(piece.factors for piece in full)], axis=1),
            np.cumsum([len(piece.places) for piece in full], dtype=np.int64),
            np.array([piece.first for piece in full], np.int64),
            np.concatenate([np.empty(0, np.int32), *places]),
            np.sort(np.concatenate([np.empty(0, np.int32), *unsure])),
        )

    @property
    def rows(self) -> int:
        """How many rows have codes."""
        return len(self.signs)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.ends)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @property
    def worn(self) -> bool:
        """Whether cells have become so small that encoding the vectors anew pays."""
        return self.cells > 1 and self.rows < self.cells * _SMALL

    def span(self, cell: int) -> tuple[int, int]:
        """(start, stop) of a cell's rows."""
        return int(self.ends[cell - 1]) if cell else 0, int(self.ends[cell])

    def positions(self, cell: int, rows: Positions) -> Positions:
        """Positions of (any,) rows, which are counted from the cell's first."""
        first = int(self.firsts[cell])
        if first >= 0:
            return rows + first
        return self.places[rows + self.span(cell)[0]].astype(np.int64)

    def tasks(self) -> list[range]:
        """All cells in ranges of a few milliseconds' work at most; at least one, for what is unsure."""
        return [range(cell, cell + 1) for cell in range(self.cells)] or [range(0)]

    def unsure_of(self, cells: range) -> Positions:
        """The unsure rows that belong to a task: all of them to the first."""
        return self.unsure.astype(np.int64) if cells.start == 0 else np.empty(0, np.int64)

    def head(self) -> dict[str, Any]:
        """What `read` needs besides the buffers, as JSON's values."""
        return {
            "dimensions": self.dimensions,
            "ends": self.ends.tolist(),
            "firsts": self.firsts.tolist(),
        }

    def buffers(self) -> Sequence[Bytes]:
        """See the module's text."""
        return [flat(a) for a in (self.centroids, self.signs, self.factors, self.places, self.unsure)]

    @classmethod
    def read(cls, head: Mapping[str, Any], buffers: Sequence[Bytes]) -> Self:
        """The inverse of `head` and `buffers`, which are aligned to 8 bytes."""
        dimensions = int(head["dimensions"])
        words = -(-dimensions // 64)
        centroids, signs, factors, places, unsure = buffers
        return cls(
            dimensions,
            centroids.view(np.float32).reshape(-1, 64 * words),
            signs.view(np.uint64).reshape(-1, words),
            factors.view(np.float32).reshape(3, -1),
            np.array(head["ends"], np.int64),
            np.array(head["firsts"], np.int64),
            places.view(np.int32),
            unsure.view(np.int32),
        )

    @classmethod
    def merged(cls, parts: Sequence[tuple[Self, Positions]]) -> Self:
        """The codes of a segment made of rows of others: no vector is read.

        Each part comes with the (rows of its segment,) int64 positions in the new segment, -1 for a row that
        is not taken over. At least one part; all of the same dimensions.
        """
        pieces: list[_Piece] = []
        for codes, target in parts:
            moved = target[codes.unsure]
            unsure = moved[moved >= 0].astype(np.int32)
            pieces.extend(_moved(codes, cell, target) for cell in range(codes.cells))
            pieces.append(_unsure_piece(codes, unsure))
        return cls._joined(parts[0][0].dimensions, pieces)

    @cached_property
    def order(self) -> tuple[Positions, Positions]:
        """(rows,) positions ascending, and (rows,) which row of the codes stands there."""
        positions = np.concatenate(
            [np.empty(0, np.int64)]
            + [self.positions(cell, np.arange(np.diff(self.span(cell))[0])) for cell in range(self.cells)]
        )
        order = np.argsort(positions, kind="stable")
        return positions[order], order


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One cell, and unsure rows."""

    centroid: Singles
    signs: Words
    factors: Singles
    places: npt.NDArray[np.int32]
    first: int
    unsure: npt.NDArray[np.int32]


def _first(places: npt.NDArray[np.int32]) -> int:
    """The first of consecutive positions, else -1."""
    if len(places) and (np.diff(places) == 1).all():
        return int(places[0])
    return -1


def _cell(values: npt.NDArray[Any], valid: Mask | None, start: int) -> _Piece:
    """Encode rows that follow one another from position `start` on."""
    there = np.arange(len(values)) if valid is None else np.flatnonzero(valid)
    rows = values if valid is None else values[there]
    centroid = _centroid(rows)
    signs, factors = kernels.encode_signs(rows, centroid)
    with np.errstate(invalid="ignore"):
        covered = np.isfinite(factors).all(axis=0) & (factors[0] <= MOST_NORM)
    places = (there + start).astype(np.int32)
    unsure = places[~covered]
    if len(unsure):
        signs, factors, places = signs[covered], factors[:, covered], places[covered]
    return _Piece(centroid, signs, factors, places, _first(places), unsure)


def _centroid(rows: npt.NDArray[Any]) -> Singles:
    """(m,) float32: about the mean of the rows, rotated; any vector would be right, a near one is sharper."""
    sample = kernels.rotate_rows(rows[:: max(len(rows) // _SAMPLE, 1)])
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", sample, sample))
        usual = norms <= MOST_NORM
        if usual.any():
            usual &= norms <= _LONG * np.median(norms[usual])
    if not usual.any():
        return np.zeros(sample.shape[1], np.float32)
    mean: Singles = sample[usual].mean(axis=0).astype(np.float32)
    return mean


def _moved(codes: Cells, cell: int, target: Positions) -> _Piece:
    """A cell's rows that are taken over, at their new positions."""
    start, stop = codes.span(cell)
    moved = target[codes.positions(cell, np.arange(stop - start))]
    kept = np.flatnonzero(moved >= 0)
    places = moved[kept].astype(np.int32)
    return _Piece(
        codes.centroids[cell],
        codes.signs[start:stop][kept],
        codes.factors[:, start:stop][:, kept],
        places,
        _first(places),
        np.empty(0, np.int32),
    )


def _unsure_piece(codes: Cells, unsure: npt.NDArray[np.int32]) -> _Piece:
    words = codes.signs.shape[1]
    return _Piece(
        np.zeros(64 * words, np.float32),
        np.empty((0, words), np.uint64),
        np.empty((3, 0), np.float32),
        np.empty(0, np.int32),
        -1,
        unsure,
    )
