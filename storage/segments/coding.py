"""Certified codes (storage.codes) of segments' vector columns: made with the segment, carried over by merges.

The codes of column N are the section "codes N" of a segment: head and buffers of storage.codes.Codes, and in
the head "elements", the numpy name of the elements' dtype, and "layout". They are made when rows are sealed
or loaded, out of the values that are at hand then. A merge puts the codes of its sources together and reads
no vector, unless a source has none (it is older than codes, or its codes are of another layout), or so few
rows have been left of each cell that encoding them anew pays.

The bytes of binary(n) are read as float32, whatever they are, because nothing says which function will be
asked: DOT_PRODUCT alone reads float32, DOT_PRODUCT_I8 does not. What is no float32 gets no codes by itself.
Bytes of integers, of float64, of texts and of hashes are, read so, NaN, infinite, or of a length that no
proof covers, in every row that was tried; such rows cost 4 bytes each, are read in full, and a query sees at
its first look that codes do not pay. (float16 and strings of digits do look like float32, and get codes that
nobody asks.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from storage.codes import LAYOUT, LEAST_DIMENSIONS, Codes
from storage.column import Array, Column, Positions
from storage.definitions import ColumnDefinition
from storage.kernels.plain.rotation import PLANES, words_of
from storage.segments.sealed import Sealed
from storage.segments.segment import Section, Segment
from storage.segments.sources import Source, Target
from storage.segments.table import Part
from storage.segments.widerows import gathered_wide, lot_bytes, wide_bytes
from storage.types import BINARY, Form, Type

FIRST = 6
"""The buffers of codes that every scan reads. Those after them, of finer planes, may stay on disk."""


def section_of(column: int) -> str:
    """The name of the section with the codes of a column, by its attribute number."""
    return f"codes {column}"


def elements_of(type: Type) -> np.dtype[Any] | None:
    """The dtype of a vector's elements, of binary float32; None for types whose columns have no codes."""
    if type.form is not Form.ROWS or type.dtype is None:
        return None
    if type.oid == BINARY.oid:
        return np.dtype("<f4") if type.width >= 4 * LEAST_DIMENSIONS and type.width % 4 == 0 else None
    return type.dtype if type.dtype.kind in "fi" and type.width >= LEAST_DIMENSIONS else None


def _dimensions(type: Type) -> int:
    """The elements of a row; 0 where the type's columns have no codes."""
    elements = elements_of(type)
    if elements is None or type.dtype is None:
        return 0
    return type.width * type.dtype.itemsize // elements.itemsize


def code_bytes(type: Type) -> int:
    """About how many bytes a row takes in the codes of a column, 0 where it has none."""
    dimensions = _dimensions(type)
    return dimensions and PLANES * 8 * words_of(dimensions) + 28


def codes_of(part: Part, definition: ColumnDefinition) -> Codes | None:
    """The codes of a part's column; None where there are none. Raises DataCorrupted."""
    section = codes_section(part.segment, definition) if isinstance(part, Sealed) else None
    return None if section is None else section.made(Codes.read, FIRST)


def codes_section(segment: Segment, definition: ColumnDefinition) -> Section | None:
    """Where the codes of a segment's column stand, if it has any that can be used."""
    elements = elements_of(definition.type)
    section = segment.sections.get(section_of(definition.number))
    if section is None or elements is None or definition.type.dtype is None:
        return None
    head, dimensions = (
        section.head,
        definition.type.width * definition.type.dtype.itemsize // elements.itemsize,
    )
    usable = (head.get("layout"), head.get("elements"), head.get("dimensions"))
    return section if usable == (LAYOUT, elements.str, dimensions) else None


class Coding:
    """The codes of a column of a new segment, put together. One use."""

    def __init__(
        self,
        sources: Sequence[Source],
        definition: ColumnDefinition,
        target: Target,
        check: Callable[[], None] = lambda: None,
        near: Array | None = None,
    ) -> None:
        """`near` is the centroid of other rows of the column: a query over segments that share one is
        prepared once."""
        self.near = near
        self._sources, self._definition, self._target, self._check = sources, definition, target, check
        elements = elements_of(definition.type)
        assert elements is not None
        self._elements = elements
        self._coded = np.zeros(target.rows, np.bool_)
        self._parts: list[tuple[Codes, Positions]] = []
        self._carry_over()

    def _carry_over(self) -> None:
        """Take the codes that the sources have."""
        for piece, goes in self._target.places():
            source = self._sources[piece.source]
            if not isinstance(source.part, Sealed):
                continue
            section = codes_section(source.part.segment, self._definition)
            if section is not None:
                codes = Codes.read(section.head, section.read())  # with planes that nobody keeps in memory
                self.near = codes.centroids[-1] if len(codes.centroids) else self.near
                moved = np.full(source.part.rows, -1, np.int64)
                moved[piece.rows] = goes
                self._parts.append((codes, moved))
                self._coded[goes] = True

    def see(self, at: Positions, column: Column) -> None:
        """Values that are in memory, and which rows of the segment they are: what has no codes gets some."""
        new = np.flatnonzero(~self._coded[at])
        if not len(new):
            return
        whole = len(new) == len(at)
        self._encode(at if whole else at[new], column if whole else column.take(new))

    def _encode(self, at: Positions, column: Column) -> None:
        values: Array = np.ascontiguousarray(column.values).view(self._elements)
        codes = Codes.build(values, column.valid, near=self.near)
        self._coded[at] = True
        if codes is not None:
            self.near = codes.centroids[-1] if len(codes.centroids) else self.near
            self._parts.append((codes, at))

    def section(self) -> Section | None:
        """What stands in the segment; None where no row has codes. Raises DataCorrupted."""
        for lot, column in self._read(np.flatnonzero(~self._coded)):
            self._encode(lot, column)
        codes = self._joined()
        if codes is not None and codes.worn:
            self._parts = []
            for lot, column in self._read(np.arange(self._target.rows)):
                self._encode(lot, column)
            codes = self._joined()
        if codes is None:
            return None
        head = {"layout": LAYOUT, "elements": self._elements.str, **codes.head()}
        return Section.of(head, codes.buffers())

    def _read(self, rows: Positions) -> Iterator[tuple[Positions, Column]]:
        """The values of these rows of the segment, so many at a time."""
        step = max(lot_bytes() // wide_bytes(self._definition.type), 1)
        for start in range(0, len(rows), step):
            lot = rows[start : start + step]
            yield lot, gathered_wide(self._sources, self._definition, self._target, lot, self._check)

    def _joined(self) -> Codes | None:
        if not self._parts:
            return None
        codes, goes = self._parts[0]
        if len(self._parts) == 1 and np.array_equal(goes, np.arange(self._target.rows)):
            return codes
        return Codes.merged(self._parts)
