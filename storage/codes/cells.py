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
times 16 and its lane. The head has the number of dimensions and of planes.

Codes of 4 planes have finer codes besides, of which only rows are read that the signs leave open:

    6, 7  of 2 planes: the second plane (slots, 1, W) uint64; cosine and 1 / |v| (slots, 2) float32
    8, 9  of 4 planes: the third and fourth (slots, 2, W) uint64; the same (slots, 2) float32

24 W + 16 bytes a row more. They may be left on disk: what signs decide is right without them. On embeddings
of real pictures signs leave .3 % of the rows open at a product of .9, two planes .1 %; at .6, about where a
top 10 lies, signs leave 99 %, two planes 8 %, four .6 %, of which .4 % are answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.metric import LEAST_NORM, MOST_NORM
from storage.column import Mask, Positions
from storage.encodings.base import Bytes, flat
from storage.kernels.plain.rotation import PLANES
from storage.kernels.plain.signs import GROUP, Counts

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
_SAMPLE, _SAMPLE_BYTES = 1 << 11, 16 << 20  # rows, and their bytes in float64, that a centroid is made of
_AS_GOOD = 1.02
"""A centroid of other rows will do if their squared distances from it are larger by no more than this."""
_LONG = 8.0
"""Rows so many times longer than the median stay out of the centroid."""


Buffer = Bytes | Callable[[], Bytes | None]
"""A buffer, or what gives it when it is asked for; None: not now, as memory is short."""


@dataclass(frozen=True, slots=True, eq=False)
class Finer:
    """What makes the code of a row finer: `added` more planes, which makes `planes` of them."""

    planes: int
    added: int
    words: int
    buffers: tuple[Buffer, Buffer]

    def load(self) -> tuple[Words, Singles] | None:
        """(slots, added, W) planes and (slots, 2) factors of digits; None where they are not to be had."""
        loaded = [buffer if isinstance(buffer, np.ndarray) else buffer() for buffer in self.buffers]
        if loaded[0] is None or loaded[1] is None:
            return None
        planes = loaded[0].view(np.uint64).reshape(-1, self.added, self.words)
        return planes, loaded[1].view(np.float32).reshape(-1, 2)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return 8 * self.added * self.words + 8

    @classmethod
    def all(cls, words: int, buffers: Sequence[Buffer]) -> tuple[Finer, ...]:
        """Of the buffers after the first six."""
        forms = ((2, 1), (4, 2))
        pairs = zip(buffers[0::2], buffers[1::2], strict=True)
        return tuple(cls(*form, words, pair) for form, pair in zip(forms, pairs, strict=False))


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
    finer: tuple[Finer, ...] = ()

    @classmethod
    def build(
        cls,
        values: npt.NDArray[Any],
        valid: Mask | None = None,
        planes: int = PLANES,
        near: Singles | None = None,
    ) -> Self | None:
        """The codes of (rows, n) numbers, of 1 or 4 planes.

        `near`, a (m,) centroid of other rows, is taken if it is about as good as their own: a query is
        prepared once for each centroid. None where the vectors are too short or there are none.
        """
        rows, dimensions = values.shape
        if dimensions < LEAST_DIMENSIONS or not rows:
            return None
        centroid = _centroid(values, valid, near)
        pieces = []
        for start in range(0, rows, CELL_ROWS):
            part = values[start : start + CELL_ROWS]
            there = None if valid is None else valid[start : start + CELL_ROWS]
            pieces.append(_cell(part, there, start, centroid, planes))
        return cls._joined(dimensions, centroid[np.newaxis], pieces)

    @classmethod
    def _joined(cls, dimensions: int, centroids: Singles, pieces: Sequence[_Piece]) -> Self:
        words = -(-dimensions // 64)
        full = [piece for piece in pieces if len(piece.places)]
        # centroids that no row has any more are forgotten
        used, frames = np.unique([piece.frame for piece in full], return_inverse=True)
        looked_up = any(_first(piece.places) < 0 for piece in full)
        shared = min((len(piece.finer) for piece in full), default=0)
        finer = [flat(np.concatenate([piece.finer[i] for piece in full])) for i in range(shared)]
        starts = np.cumsum([0] + [len(piece.signs) for piece in full])
        table = [
            (start, len(piece.places), frame, _first(piece.places))
            for start, piece, frame in zip(starts.tolist(), full, frames.tolist(), strict=False)
        ]
        places = [_filled(piece.places) for piece in full] if looked_up else []
        return cls(
            dimensions,
            centroids[used.astype(np.int64)],
            np.concatenate([np.empty((0, words, GROUP), np.uint64), *(piece.signs for piece in full)]),
            np.concatenate([np.empty((0, 3, GROUP), np.float32), *(piece.factors for piece in full)]),
            np.array(table, np.int64).reshape(-1, 4),
            np.concatenate([np.empty((0, GROUP), np.int32), *places]),
            np.sort(np.concatenate([np.empty(0, np.int32), *(piece.unsure for piece in pieces)])),
            Finer.all(words, finer),
        )

    @cached_property
    def seen_from(self) -> bytes:
        """The centroids' bytes: codes of the same ones take a question in the same form."""
        return self.centroids.tobytes()

    @cached_property
    def spans(self) -> Positions:
        """(cells, 3) int64: first group, rows, centroid."""
        return np.ascontiguousarray(self.table[:, :3])

    def sample(self, groups: int) -> Positions:
        """(at most `groups`, 3) int64, as `spans`: some groups of all cells; at least one cell."""
        some = np.linspace(0, len(self.signs) - 1, min(groups, len(self.signs))).astype(np.int64)
        cells = np.searchsorted(self.table[:, 0], some, side="right") - 1
        rows = np.minimum(self.table[cells, 1] - GROUP * (some - self.table[cells, 0]), GROUP)
        return np.stack((some, rows, self.table[cells, 2]), axis=1)

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
        """Bytes of the buffers of the first plane."""
        return sum(buffer.nbytes for buffer in self._first_buffers())

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

    def frames(self, slots: Positions) -> Positions:
        """(any,) int64, the number of each slot's centroid."""
        if len(self.centroids) == 1:
            return np.zeros(len(slots), np.int64)
        cells = np.searchsorted(self.table[:, 0], slots >> 4, side="right") - 1
        found: Positions = self.table[cells, 2]
        return found

    def room(self, cells: range) -> Counts:
        """(groups of these cells, GROUP) int32, not filled: for what is counted of their rows."""
        return np.empty((int((-(-self.table[cells.start : cells.stop, 1] // GROUP)).sum()), GROUP), np.int32)

    def lanes(self, cells: range, rows: Positions | Mask | None) -> npt.NDArray[np.uint16]:
        """(groups of these cells in turn,) uint16, bit i: whether the row in lane i is among `rows`.

        `rows` are positions or a mask over the segment; empty where all are.
        """
        if rows is None:
            return np.empty(0, np.uint16)
        mask = rows
        if rows.dtype != np.bool_:
            mask = np.zeros(int(rows[-1]) + 1 if len(rows) else 0, np.bool_)
            mask[rows] = True
        pieces = [np.empty(0, np.uint16)]
        for group, count, _, first in self.table[cells.start : cells.stop].tolist():
            places = np.arange(first, first + count)
            if first < 0:
                places = self.places.reshape(-1)[group * GROUP : group * GROUP + count]
            among = np.zeros(-(-count // GROUP) * GROUP, np.bool_)
            inside = places < len(mask)
            among[:count][inside] = mask[places[inside]]
            pieces.append(np.packbits(among, bitorder="little").view(np.uint16))
        return np.concatenate(pieces)

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
        return {"dimensions": self.dimensions, "planes": self.finer[-1].planes if self.finer else 1}

    def buffers(self) -> Sequence[Bytes]:
        """See the module's text. Buffers of finer codes that are not to be had are left out."""
        found = self._first_buffers()
        for finer in self.finer:
            loaded = finer.load()
            if loaded is None:
                break
            found += [flat(array) for array in loaded]
        return found

    def _first_buffers(self) -> list[Bytes]:
        arrays = (self.centroids, self.signs, self.factors, self.table, self.places, self.unsure)
        return [flat(array) for array in arrays]

    @classmethod
    def read(cls, head: Mapping[str, Any], buffers: Sequence[Buffer]) -> Self:
        """The inverse of `head` and `buffers`, which are aligned to 8 bytes.

        Those from the seventh on may be functions, which are asked each time that they are needed.
        """
        dimensions = int(head["dimensions"])
        words = -(-dimensions // 64)
        first = [buffer if isinstance(buffer, np.ndarray) else buffer() for buffer in buffers[:6]]
        centroids, signs, factors, table, places, unsure = (_there(buffer) for buffer in first)
        return cls(
            dimensions,
            centroids.view(np.float32).reshape(-1, 64 * words),
            signs.view(np.uint64).reshape(-1, words, GROUP),
            factors.view(np.float32).reshape(-1, 3, GROUP),
            table.view(np.int64).reshape(-1, 4),
            places.view(np.int32).reshape(-1, GROUP),
            unsure.view(np.int32),
            Finer.all(words, buffers[6:]),
        )

    @classmethod
    def merged(cls, parts: Sequence[tuple[Self, Positions]]) -> Self:
        """The codes of a segment made of rows of others: no vector is read.

        Each part comes with the (rows of its segment,) int64 positions in the new segment, -1 for a row that
        is not taken over. At least one part; all of the same dimensions.
        """
        pieces: list[_Piece] = []
        known: dict[bytes, int] = {}
        for codes, target in parts:
            moved = target[codes.unsure]
            frames = [known.setdefault(centroid.tobytes(), len(known)) for centroid in codes.centroids]
            pieces.extend(_moved(codes, cell, target, frames) for cell in range(codes.cells))
            pieces.append(_unsure_piece(codes, moved[moved >= 0].astype(np.int32)))
        centroids = np.frombuffer(b"".join(known), np.float32).reshape(-1, parts[0][0].centroids.shape[1])
        return cls._joined(parts[0][0].dimensions, centroids, pieces)


def _there(buffer: Bytes | None) -> Bytes:
    assert buffer is not None
    return buffer


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One cell in groups, the number of its centroid, and unsure rows."""

    signs: Words
    factors: Singles
    places: Places
    """(rows,) positions."""
    frame: int
    unsure: Places
    finer: tuple[npt.NDArray[Any], ...]
    """Planes and factors of finer codes by slots, as Finer.load gives them."""

    @classmethod
    def of(
        cls,
        signs: Words,
        factors: Singles,
        places: Places,
        frame: int,
        unsure: Places,
        finer: Sequence[npt.NDArray[Any]],
    ) -> _Piece:
        """(rows, W) signs, (rows, 3) factors and (rows, ...) arrays of finer codes."""
        count, words = signs.shape
        groups = -(-count // GROUP)
        by_row = _padded(signs, groups).reshape(groups, GROUP, words)
        factors_by_row = _padded(factors, groups).reshape(groups, GROUP, 3)
        return cls(
            np.ascontiguousarray(by_row.transpose(0, 2, 1)),
            np.ascontiguousarray(factors_by_row.transpose(0, 2, 1)),
            places,
            frame,
            unsure,
            tuple(_padded(array, groups) for array in finer),
        )


def _padded(array: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """(rows, ...) filled up with zeros to whole groups."""
    padded = np.zeros((groups * GROUP, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded


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


def _cell(values: npt.NDArray[Any], valid: Mask | None, start: int, centroid: Singles, planes: int) -> _Piece:
    """Encode rows that follow one another from position `start` on."""
    there = np.arange(len(values)) if valid is None else np.flatnonzero(valid)
    words, factors = kernels.encode_signs(values if valid is None else values[there], centroid, planes)
    with np.errstate(invalid="ignore"):
        norms = factors[:, 0]
        usual = (norms == 0) | ((norms >= LEAST_NORM) & (norms <= MOST_NORM))
        covered = np.isfinite(factors).all(axis=1) & usual
    places = (there + start).astype(np.int32)
    unsure = places[~covered]
    if len(unsure):
        words, factors, places = words[covered], factors[covered], places[covered]
    finer: list[npt.NDArray[Any]] = []
    if planes > 1:
        finer = [words[:, 1:2], factors[:, 3:5], words[:, 2:], factors[:, 5:]]
    return _Piece.of(words[:, 0], factors[:, :3], places, 0, unsure, finer)


def _centroid(values: npt.NDArray[Any], valid: Mask | None, near: Singles | None) -> Singles:
    """(m,) float32: about the mean of the rows, rotated; any vector would be right, a near one is sharper."""
    rows = np.arange(len(values)) if valid is None else np.flatnonzero(valid)
    most = max(min(_SAMPLE, _SAMPLE_BYTES // (8 * values.shape[1])), 1)
    sample = kernels.rotate_rows(values[rows[:: -(-len(rows) // most) or 1]])
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", sample, sample))
        usual = norms <= MOST_NORM
        if usual.any():
            usual &= norms <= _LONG * np.median(norms[usual])
    if not usual.any():
        return np.zeros(sample.shape[1], np.float32)
    some = sample if usual.all() else sample[usual]
    total, squares = some.sum(axis=0), float(np.square(norms[usual]).sum())
    mean: Singles = (total / len(some)).astype(np.float32)
    if near is not None:
        own, other = (squares - 2 * float(total @ c) + len(some) * float(c @ c) for c in _doubles(mean, near))
        if other <= _AS_GOOD * own:
            return near
    return mean


def _doubles(*vectors: Singles) -> list[npt.NDArray[np.float64]]:
    return [vector.astype(np.float64) for vector in vectors]


def _moved(codes: Cells, cell: int, target: Positions, frames: Sequence[int]) -> _Piece:
    """A cell's rows that are taken over, at their new positions; `frames`: new numbers of centroids."""
    slots = codes.slots(range(cell, cell + 1))
    moved = target[codes.positions(slots)]
    kept = np.flatnonzero(moved >= 0)
    signs, factors = codes.rows_at(slots[kept])
    frame = frames[codes.table[cell, 2]]
    finer: list[npt.NDArray[Any]] = []
    for depth in codes.finer:
        loaded = depth.load()
        if loaded is None:
            break
        finer += [array[slots[kept]] for array in loaded]
    places = moved[kept].astype(np.int32)
    return _Piece.of(signs, factors.T, places, frame, np.empty(0, np.int32), finer)


def _unsure_piece(codes: Cells, unsure: Places) -> _Piece:
    words = codes.signs.shape[1]
    none = np.empty(0, np.int32)
    return _Piece.of(np.empty((0, words), np.uint64), np.empty((0, 3), np.float32), none, 0, unsure, ())
