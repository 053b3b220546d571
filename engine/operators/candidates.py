"""Candidates of an order by a metric: the works that find them, and what is known of them.

A candidate is open, with the best score that it can have, until it has been looked at in full; then it is
kept, with its sort keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from storage.batch import Batch
from storage.codes import Codes, Promise
from storage.column import Array, Column, Mask, Positions
from storage.seams import Morsel


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of the table by its place among them, and its codes."""

    number: int
    morsel: Morsel
    codes: Codes | None


@dataclass(slots=True, eq=False)
class Work:
    """Some cells of a part, the rows of them that count (None: all), and what was found of them before.

    `known`: whether `rows` are known yet; those that a condition leaves are found by a worker. `looked`: the
    ascending positions of those that have been looked at.
    """

    part: Part
    codes: Codes
    cells: range
    rows: Positions | Mask | None
    known: bool
    promised: Promise | None = None
    looked: Positions = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Rows that were looked at: their columns, sort keys, parts and places in these."""

    batch: Batch
    keys: list[Column]
    parts: Positions
    places: Positions

    def take(self, rows: Positions | Mask) -> Kept:
        """Those of the rows."""
        keys = [key.take(rows) for key in self.keys]
        return Kept(self.batch.take(rows), keys, self.parts[rows], self.places[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """Rows that may be among the first, their parts, and the best score that each can have."""

    parts: Positions
    positions: Positions
    best: Array

    def take(self, rows: Positions | Mask) -> Open:
        """Those of the rows."""
        return Open(self.parts[rows], self.positions[rows], self.best[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a task gives: rows looked at, rows left open, and how many had codes."""

    kept: list[Kept]
    opened: list[Open]
    rows: int
