"""Where the rows of new segments come from: parts of a table, and rows of them in some order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from storage.column import Column, Positions
from storage.definitions import ColumnDefinition
from storage.segments.table import Part


@dataclass(frozen=True)
class Source:
    """The first `rows` rows of a part."""

    part: Part
    rows: int


@dataclass(frozen=True)
class Piece:
    """Rows of a source, by number, at these positions."""

    source: int
    rows: Positions


@dataclass(frozen=True)
class Target:
    """The rows of a segment to be: those of the pieces, put in `order` (None: one after another)."""

    pieces: Sequence[Piece]
    order: Positions | None

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        return sum(len(piece.rows) for piece in self.pieces)

    def gather(self, of: Callable[[int], Positions | None]) -> Positions:
        """What `of`, which gives (rows,) int64 of each source, says of the rows; 0 where it gives None."""
        found = []
        for piece in self.pieces:
            known = of(piece.source)
            found.append(np.zeros(len(piece.rows), np.int64) if known is None else known[piece.rows])
        joined = np.concatenate(found)
        return joined if self.order is None else joined[self.order]

    def places(self) -> Iterator[tuple[Piece, Positions]]:
        """The pieces, and which rows of the segment theirs become."""
        at = 0
        goes = None
        if self.order is not None:
            goes = np.empty(self.rows, np.int64)
            goes[self.order] = np.arange(self.rows)
        for piece in self.pieces:
            stop = at + len(piece.rows)
            yield piece, np.arange(at, stop) if goes is None else goes[at:stop]
            at = stop


def values_of(sources: Sequence[Source], definition: ColumnDefinition, piece: Piece) -> Column:
    """A column of a piece, as a slice where its rows are neighbours."""
    source, rows = sources[piece.source], piece.rows
    if (np.diff(rows) == 1).all():
        return source.part.column(definition, int(rows[0]), int(rows[-1]) + 1, None)
    return source.part.column(definition, 0, source.rows, rows)
