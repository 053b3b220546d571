"""Totals: a program's registers summed up by group, in one pass over the rows.

A program (plain.programs) is run over columns, and instead of one register being written out, some are added
up. The group of a row is made of its numbers in several columns, as digits of one number are: of two columns
with `limits` 3 and 2 it is `2 * first + second`, below the 6 groups that there may be. Rows outside the mask
belong to no group, but the program is run over them, too, and has no answer if one of them has none.

Columns of numbers and values are arrays, or packed blocks (plain.packing) that nobody has unpacked yet. Sums
are exact: of integers, in two halves as in plain.sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storage.kernels.plain import packing
from storage.kernels.plain.programs import Array, Code, Unproven, run_registers
from storage.kernels.plain.sums import LOW

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Blocks(NamedTuple):
    """Integers in packed blocks, from number `start` on: see plain.packing. Of numerics their units."""

    words: packing.Words
    offsets: Integers
    widths: packing.Widths
    bases: Integers
    start: int

    def unpacked(self, rows: int) -> Integers:
        """So many of them."""
        out = np.empty(rows, np.int64)
        packing.unpack_blocks(self.words, self.offsets, self.widths, self.bases, self.start, out)
        return out


Source = Array | Blocks


@dataclass(frozen=True, slots=True)
class Totals:
    """Of each group, rows or not: (groups,) int64 its first row, -1 without rows, and how many it has; and
    (sums, groups) int64 how many of them have a value, and the two halves of its sum: (high << 32) + low."""

    firsts: Integers
    counts: Integers
    known: Integers
    high: Integers
    low: Integers


def total_program(
    code: Code,
    columns: Sequence[Source],
    valids: Sequence[Array | None],
    rows: int,
    numbers: Sequence[Source],
    limits: Sequence[int],
    mask: Mask | None,
    sums: Sequence[int],
) -> Totals | None:
    """The sums of these registers by group; None: the program has no answer.

    `columns` and `valids` are as in run_program, or packed; registers that are summed up hold integers.
    `numbers` are int64, each from 0 to its limit, of `rows` rows; `mask` (rows,) says which rows count.
    """
    size = int(np.prod(limits, dtype=np.int64))
    groups = np.zeros(rows, np.int64)
    for column, limit in zip(numbers, limits, strict=True):
        groups = groups * limit + (column.unpacked(rows) if isinstance(column, Blocks) else column)
    arrays = [each.unpacked(rows) if isinstance(each, Blocks) else each for each in columns]
    try:
        registers, valid = run_registers(code, arrays, valids)
    except Unproven:
        return None
    counted = np.arange(rows) if mask is None else np.flatnonzero(mask)
    groups = groups[counted]
    firsts, high, low = np.full(size, -1), np.zeros((len(sums), size), int), np.zeros((len(sums), size), int)
    firsts[groups[::-1]] = counted[::-1]
    known = np.zeros((len(sums), size), np.int64)
    for at, register in enumerate(sums):
        there = np.broadcast_to(valid[register], rows)[counted]
        values = np.broadcast_to(registers[register], rows)[counted][there].astype(np.int64)
        known[at] = np.bincount(groups[there], minlength=size)
        np.add.at(high[at], groups[there], values >> 32)
        np.add.at(low[at], groups[there], values & LOW)
    return Totals(firsts, np.bincount(groups, minlength=size), known, high, low)
