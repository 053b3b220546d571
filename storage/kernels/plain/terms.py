"""Terms: which rows meet several conditions at once, each on packed integers of its own, and where they are.

A term looks at a column in packed blocks (plain.packing): at whether its values lie between two bounds, and
at what a table says of those that do. All columns have the same rows; those from `start` on are asked for,
as many as `out` takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from storage.kernels.plain import packing
from storage.kernels.plain.packing import Integers, Mask, Widths, Words


@dataclass(slots=True, eq=False)
class Term:
    """low <= value <= high and, with a table, table[value - low]; or not so, where `inside` is false.

    `low` and `high` are int64; nothing is between them where low is above high. A table is as long as there
    are numbers from low to high. No value is beyond int64, as it may be where a sum is meant modulo 2**64.
    `addresses` are where words, offsets, widths and bases lie, if that is known; `described` is what the
    compiled twin has made of all this.
    """

    words: Words
    offsets: Integers
    widths: Widths
    bases: Integers
    low: int = 0
    high: int = 0
    inside: bool = True
    table: Mask | None = None
    addresses: tuple[int, ...] | None = None
    described: Any = field(default=None, repr=False)


def select_terms(terms: Sequence[Term], masks: Sequence[Mask], start: int, out: Mask) -> None:
    """Where every term and each of the masks (of as many rows as `out`) is true, into `out`."""
    out[:] = True
    values = np.empty(len(out), np.int64)
    for term in terms:
        packing.unpack_blocks(term.words, term.offsets, term.widths, term.bases, start, values)
        found = (values >= term.low) & (values <= term.high)
        if term.table is not None:
            found[found] = term.table[values[found] - term.low]
        out &= found == term.inside
    for mask in masks:
        out &= mask


def count_terms(terms: Sequence[Term], masks: Sequence[Mask], start: int, stop: int) -> int:
    """In how many rows of start to stop every term and each of the masks (of as many rows) is true."""
    out = np.empty(stop - start, np.bool_)
    select_terms(terms, masks, start, out)
    return int(np.count_nonzero(out))


def true_rows(mask: Mask, first: int) -> Integers:
    """(n,) int64 the numbers of the true rows, ascending, the mask's first row being number `first`."""
    return np.flatnonzero(mask) + first
