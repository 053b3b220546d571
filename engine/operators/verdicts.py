"""What codes of a table's parts are asked, and what they leave: the values that a certified scan works with.

A part is a segment, or other rows that have no codes. Its codes are asked in works, cells by cells; what they
leave is put together for the part again, and few rows of several parts are gathered until a look at them
pays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from engine.late import together
from engine.operators.base import Task
from engine.similarity import Asked
from storage.batch import Batch
from storage.codes import Codes, Request
from storage.column import Positions
from storage.definitions import ColumnDefinition
from storage.seams import Morsel


@dataclass(frozen=True, slots=True)
class ColumnTerm:
    """A term that codes of a column can be asked."""

    definition: ColumnDefinition
    asked: Asked


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of the table, and the codes of it that fit the questions.

    `bounded`: the predicate has been tried on its encoded form, and `selected` are the few rows that it left.
    """

    morsel: Morsel
    codes: tuple[tuple[ColumnTerm, Codes], ...]
    bounded: bool = False
    selected: Positions | None = None

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.morsel.rows


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """What the codes of some cells of a part leave: rows that meet the terms, rows that may.

    Both are ascending positions, of `rows` rows that were asked. `plainly`: codes do not pay for this part.
    """

    part: Part
    sure: Positions
    maybe: Positions
    rows: int = 0
    plainly: bool = False

    @property
    def count(self) -> int:
        """How many rows are left."""
        return len(self.sure) + len(self.maybe)

    @classmethod
    def joined(cls, pieces: Sequence[Left]) -> Left:
        """What is left of a part, of the pieces of its cells."""
        if len(pieces) == 1:
            return pieces[0]
        sure = np.sort(np.concatenate([piece.sure for piece in pieces]))
        maybe = np.sort(np.concatenate([piece.maybe for piece in pieces]))
        rows = sum(piece.rows for piece in pieces)
        return cls(pieces[0].part, sure, maybe, rows, any(piece.plainly for piece in pieces))

    def stretches(self, rows: int) -> Iterator[Left]:
        """The same in stretches of so many rows of the part, without those that nothing is left of."""
        for start in range(0, self.part.rows, rows):
            stop = min(start + rows, self.part.rows)
            pieces = [p[slice(*np.searchsorted(p, (start, stop)))] for p in (self.sure, self.maybe)]
            if len(pieces[0]) + len(pieces[1]):
                part = replace(self.part, morsel=self.part.morsel.slice(start, stop))
                yield Left(part, pieces[0] - start, pieces[1] - start)


@dataclass(slots=True, eq=False)
class Gathered:
    """Few rows that are left of parts which follow one another, and what came of those before them.

    `since`: how many rows of the table had been asked when some were last looked at.
    """

    lefts: list[Left] = field(default_factory=list)
    rows: int = 0
    since: int = 0
    met: list[Batch] = field(default_factory=list)

    def look(self, survivors: Survivors, asked: int) -> None:
        """Look at them now: by the statement's thread, which would wait for codes."""
        met = survivors(self.lefts)
        if met is not None:
            self.met.append(met)
        self.lefts, self.rows, self.since = [], 0, asked

    def tasks(self, survivors: Survivors) -> Iterator[Task]:
        """The rows of all that meet the condition, as one task, if there are any."""
        if self.met or self.lefts:
            yield partial(self._all, survivors)

    def _all(self, survivors: Survivors) -> Batch | None:
        last = survivors(self.lefts) if self.lefts else None
        met = self.met if last is None else [*self.met, last]
        if len(met) > 1:
            return together(met)
        return met[0] if met else None


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Some cells of a part, or all of it; whether its codes are to be asked, and whether that is to be tried
    again although codes have not paid.

    `request`: the question, of all rows of the cells, where other statements may answer it with theirs.
    """

    part: Part
    cells: range | None
    pays: bool
    again: bool
    request: Request | None = None


Survivors = Callable[[Sequence[Left]], Batch | None]
"""What gives the rows that meet the whole condition, of what is left of some parts."""


def part_of(left: Left) -> Part:
    """The part that something is left of."""
    return left.part
