"""Totals: what a program's registers come to by group, added to tables that outlive a batch.

A program (plain.programs) is run over columns, and instead of one register being written out, *slots*
gather some: how many values there are, their sum, the least or greatest. A table has a line of words for
each group, so that a row touches one stretch of memory however many slots there are: first how many rows the
group has, then the words of the slots, see Kind. What is gathered does not depend on the order of the rows.

The group of a row is made of its numbers in several keys, as digits of one number are: of two keys of limits
3 and 2 it is `2 * first + second`, below the 6 groups that there may be. Rows outside the mask belong to no
group, but the program is run over them, too, and has no answer if one of them has none.

Columns of keys and values are arrays, or packed blocks (plain.packing) that nobody has unpacked yet, or
those of a join's held rows, which each row has yet to meet (plain.partners): one that meets none is outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.packing import Blocks as Blocks
from storage.kernels.plain.partners import Lookup, find_partners
from storage.kernels.plain.programs import Array, Code, Unproven, run_registers
from storage.kernels.plain.sums import LOW

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

COPIES = 4
_FEW = 512  # groups
ROOM = 1 << 62
"""What the magnitudes of a SUM may come to."""
SPAN = 42
"""How many powers of two the floats of a FLOAT may span: of 53 bits each, 2^31 of them fit into 127 bits."""
INFINITE = 0x7FF
"""The exponent of what is no finite float."""


class Held(NamedTuple):
    """Of each row what `values` has at the held row that it meets in meeting number `meeting`; else any.

    `address` is that of the values, which are contiguous.
    """

    values: Array
    meeting: int
    address: int


Source = Array | Blocks | Held


class Meeting(NamedTuple):
    """What a row has to meet to belong to a group: a held row of a join, by its key.

    Keys that are held, too, are those of an earlier meeting.
    """

    source: Source
    lookup: Lookup


class Digit(NamedTuple):
    """A key as a digit of groups' numbers: from 0 to below `limit`.

    It is a value of `source` less `base`, or where there is a `table`, what this has for the value. Where
    `valid` is false it is the last one, limit - 1.
    """

    source: Source
    limit: int
    base: int = 0
    table: Integers | None = None
    valid: Array | None = None


class Kind(IntEnum):
    """What a slot gathers, in one word or two: nothing is 0 in each. `base` is a number of the slot's own."""

    KNOWN = 0  # how many values there are
    SUM = 1  # the sum of integers, as long as their magnitudes are below ROOM together
    WIDE = 2  # the sum of integers: its lower 64 bits, its upper ones
    FLOAT = 3  # the sum of floats in units of 2^(base - 1075), where exponents are from base to base + SPAN
    TOP = 4  # the greatest of all integers ^ base, as unsigned: base is GREATEST or LEAST
    TOP_FLOAT = 5  # of floats, so that unsigned words have their order: see `ordered_bits`


WORDS = {Kind.KNOWN: 1, Kind.SUM: 1, Kind.WIDE: 2, Kind.FLOAT: 2, Kind.TOP: 1, Kind.TOP_FLOAT: 1}
GREATEST, LEAST = -(1 << 63), (1 << 63) - 1


class Why(IntEnum):
    """Why rows were not taken."""

    DONE = 0  # all were
    NO_ANSWER = 1  # the program has none
    SPECIAL = 2  # a float that the slot does not take: NaN, infinity, -0 of a TOP_FLOAT, below 2^-1022
    FULL = 3  # a SUM would be too large
    BEYOND = 4  # floats that are not from base to base + SPAN


class Added(NamedTuple):
    """How many rows have been taken, from the first on, and why no more: which slot, exponents of what."""

    rows: int
    why: Why = Why.DONE
    slot: int = 0
    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """A table of so many groups.

    `slots` (slots, 5) int64: kind, register, the register that says where there is a value, the place of
    its first word, base. `words` (places, words) int64: a line each of COPIES times the groups, if they are
    few, and of what is outside the mask; a group's rows go to its copies in turn, so that the next row seldom
    waits for the one before. `firsts` (places,) int64: the number of the first row, -1 without rows. `bounds`
    (slots,) int64: what the magnitudes of each SUM come to at most.
    """

    groups: int
    copies: int
    slots: Integers
    firsts: Integers
    words: Integers
    bounds: Integers

    @classmethod
    def empty(cls, groups: int, slots: Sequence[tuple[Kind, int, int, int]]) -> Totals:
        """A table for slots: (kind, register, register that says where there is a value, base) of each."""
        described, width = [], 1
        for kind, register, known, base in slots:
            described.append((int(kind), register, known, width, base))
            width += WORDS[kind]
        copies = COPIES if groups <= _FEW else 1
        places = copies * (groups + 1)
        return cls(
            groups,
            copies,
            np.array(described, np.int64).reshape(-1, 5),
            np.full(places, -1),
            np.zeros((places, width), np.int64),
            np.zeros(len(slots), np.int64),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return int(self.words.nbytes + self.firsts.nbytes)


def table_bytes(groups: int, slots: Sequence[tuple[Kind, int, int, int]]) -> int:
    """Bytes of an empty table."""
    return 8 * (COPIES if groups <= _FEW else 1) * (groups + 1) * (2 + sum(WORDS[kind] for kind, *_ in slots))


def add_totals(
    totals: Totals,
    code: Code,
    columns: Sequence[Source],
    valids: Sequence[Array | None],
    rows: int,
    start: int,
    number: int,
    keys: Sequence[Digit],
    mask: Mask | None,
    meetings: Sequence[Meeting] = (),
) -> Added:
    """Add rows start to `rows`, of which row 0 has this number, until there are some that cannot be.

    `columns` and `valids` are as in run_program, or packed, or held; `mask` (rows,) says which rows count, of
    those that meet somebody in each of the meetings. What is taken is all of one stretch of rows or nothing.
    """
    met: list[Integers] = []
    for source, lookup in meetings:
        found, there = np.empty(rows, np.int64), np.empty(rows, np.bool_)
        asked = _array(source, rows, met) if isinstance(source, Held) else source
        find_partners(asked, lookup, found, there)
        met.append(found)
        mask = there if mask is None else mask & there
    groups = np.zeros(rows - start, np.int64)
    for key in keys:
        groups = groups * key.limit + _digits(key, rows, met)[start:]
    arrays = [_array(each, rows, met) for each in columns]
    arrays = [each if len(each) == 1 != rows else each[start:] for each in arrays]
    guards = [None if valid is None else valid[start:] for valid in valids]
    try:
        registers, known = run_registers(code, arrays, guards)
    except Unproven:
        return Added(start, Why.NO_ANSWER)
    taken: list[tuple[Array, Mask]] = []
    for at, (kind, register, guard, _, base) in enumerate(totals.slots.tolist()):
        seen = np.broadcast_to(known[guard], rows - start)
        values = np.where(seen, np.broadcast_to(registers[register], rows - start), 0)
        refused = _refused(Kind(kind), values, base, int(totals.bounds[at]))
        if refused is not None:
            return Added(start, refused[0], at, *refused[1:])
        taken.append((values, seen))
    counted = np.arange(rows - start) if mask is None else np.flatnonzero(mask[start:])
    groups = groups[counted]
    early = totals.firsts[: totals.groups + 1].view(np.uint64)
    np.minimum.at(early, groups, (number + start + counted).astype(np.uint64))
    np.add.at(totals.words[:, 0], groups, 1)
    for at, (values, seen) in enumerate(taken):
        kind, _, _, place, base = totals.slots[at].tolist()
        if kind == Kind.SUM:
            totals.bounds[at] += _bound(values)
        _gather(Kind(kind), totals.words, place, base, groups, values[counted], seen[counted])
    return Added(rows)


def _array(source: Source, rows: int, met: Sequence[Integers]) -> Array:
    """A source's values; `met` are the held rows of each meeting."""
    if isinstance(source, Blocks):
        return source.unpacked(rows)
    return source.values[met[source.meeting]] if isinstance(source, Held) else source


def _digits(key: Digit, rows: int, met: Sequence[Integers]) -> Integers:
    values = _array(key.source, rows, met)
    if key.valid is not None:
        values = np.where(key.valid, values, 0 if key.table is not None else key.base)
    found = values.astype(np.int64) - key.base if key.table is None else key.table[values]
    return found if key.valid is None else np.where(key.valid, found, key.limit - 1)


def _bound(values: Integers) -> int:
    """What their magnitudes come to at most."""
    return max(abs(int(values.min(initial=0))), abs(int(values.max(initial=0)))) * len(values)


def _refused(kind: Kind, values: Array, base: int, bound: int) -> tuple[Why, int, int] | None:
    """Why a slot does not take values, and their exponents; None: it does."""
    if kind is Kind.SUM:
        return (Why.FULL, 0, 0) if bound + _bound(values) > ROOM else None
    if kind not in (Kind.FLOAT, Kind.TOP_FLOAT):
        return None
    exponents = values.view(np.int64) >> 52 & INFINITE
    some = exponents[values != 0]
    if (some == 0).any() or (some == INFINITE).any():
        return Why.SPECIAL, 0, 0
    if kind is Kind.TOP_FLOAT:
        return (Why.SPECIAL, 0, 0) if (np.signbit(values) & (values == 0)).any() else None
    if len(some) and (some.min() < base or some.max() > base + SPAN):
        return Why.BEYOND, int(some.min()), int(some.max())
    return None


def _gather(
    kind: Kind, words: Integers, place: int, base: int, groups: Integers, values: Array, seen: Mask
) -> None:
    """Add values, 0 where none is seen, to the words of a slot."""
    match kind:
        case Kind.KNOWN:
            np.add.at(words[:, place], groups, seen)
        case Kind.SUM:
            np.add.at(words[:, place], groups, values)
        case Kind.WIDE:
            _add_limbs(words, place, groups, [values & LOW, values >> 32])
        case Kind.FLOAT:
            _add_limbs(words, place, groups, _limbs(values, base))
        case Kind.TOP | Kind.TOP_FLOAT:
            ordered = values if kind is Kind.TOP else ordered_bits(values.view(np.int64))
            keys = np.where(seen, ordered ^ np.int64(base), 0)
            np.maximum.at(words.view(np.uint64)[:, place], groups, keys.view(np.uint64))


def _limbs(values: Array, base: int) -> list[Integers]:
    """Floats in units of 2^(base - 1075): four signed digits of 32 bits each."""
    bits = values.view(np.int64)
    exponents = bits >> 52 & INFINITE
    whole = np.where(exponents > 0, bits & ((1 << 52) - 1) | (1 << 52), 0)
    sign, shift = np.where(bits < 0, -1, 1), np.maximum(exponents - base, 0)
    near, far = shift & 31, shift >> 5
    limbs = [np.zeros(len(bits), np.int64) for _ in range(4)]
    for at, half in enumerate((whole & LOW, whole >> 32)):
        for more, part in enumerate((half << near & LOW, half << near >> 32)):
            for step in (0, 1):
                limbs[at + more + step] += np.where(far == step, sign * part, 0)
    return limbs


def _add_limbs(words: Integers, place: int, groups: Integers, limbs: Sequence[Integers]) -> None:
    """Add values of several digits of 32 bits to the two words of a slot."""
    sums = np.zeros((4, len(words)), np.int64)
    for total, limb in zip(sums, limbs, strict=False):
        np.add.at(total, groups, limb)
    second = sums[1] + (sums[0] >> 32)
    third = sums[2] + (second >> 32)
    low, high = sums[0] & LOW | second << 32, third + (sums[3] << 32)
    words[:, place], words[:, place + 1] = _added(words[:, place], words[:, place + 1], low, high)


def _added(low: Integers, high: Integers, more: Integers, upper: Integers) -> tuple[Integers, Integers]:
    """Sums of numbers of two words."""
    total = low + more
    return total, high + upper + (total.view(np.uint64) < more.view(np.uint64))


def ordered_bits(bits: Integers) -> Integers:
    """The bits of floats as integers of the same order, and back."""
    return bits ^ (bits >> 63 & LEAST)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The groups of a table that have rows: their numbers, ascending, their first rows' numbers, how many
    they have, and the words of the slots, a row of them a group."""

    slots: Integers
    numbers: Integers
    firsts: Integers
    counts: Integers
    words: Integers

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.numbers.nbytes + self.firsts.nbytes + self.words.nbytes

    def take(self, groups: Mask) -> Gathered:
        """Those groups."""
        words = self.words[groups]
        return Gathered(self.slots, self.numbers[groups], self.firsts[groups], words[:, 0], words)

    def word(self, slot: int, at: int = 0) -> Integers:
        """(groups,) a word of a slot."""
        return self.words[:, int(self.slots[slot, 3]) + at]

    def tops(self, slot: int) -> Integers:
        """(groups,) the values of a TOP, as int64, or of a TOP_FLOAT, as float64."""
        kind, base = int(self.slots[slot, 0]), np.int64(self.slots[slot, 4])
        found = self.word(slot) ^ base
        return found if kind == Kind.TOP else ordered_bits(found).view(np.float64)


def gathered(tables: Sequence[Totals]) -> Gathered:
    """What tables of the same slots and groups, at least one, have together."""
    parts = [
        (table.firsts[start:end], table.words[start:end])
        for table in tables
        for start in range(0, len(table.firsts), table.groups + 1)
        for end in (start + table.groups,)
    ]
    counts = parts[0][1][:, 0]
    if len(parts) > 1:
        counts = np.sum([words[:, 0] for _, words in parts], axis=0)
    numbers = np.flatnonzero(counts)
    everywhere = len(numbers) == len(counts)
    firsts, words = None, None
    for first, more in parts:
        first, more = (first, more) if everywhere else (first[numbers], more[numbers])
        if firsts is None or words is None:
            firsts, words = first.view(np.uint64), more.copy() if everywhere else more
            continue
        firsts = np.minimum(firsts, first.view(np.uint64))
        _add_words(tables[0].slots, words, more)
    assert firsts is not None
    assert words is not None
    return Gathered(tables[0].slots, numbers, firsts.view(np.int64), words[:, 0], words)


def _add_words(slots: Integers, words: Integers, more: Integers) -> None:
    """Add lines of words to others."""
    words[:, 0] += more[:, 0]
    for kind, _, _, place, _ in slots.tolist():
        one, other = words[:, place], more[:, place]
        if kind in (Kind.KNOWN, Kind.SUM):
            one += other
        elif kind in (Kind.WIDE, Kind.FLOAT):
            upper = place + 1
            words[:, place], words[:, upper] = _added(one.copy(), words[:, upper], other, more[:, upper])
        else:
            words[:, place] = np.maximum(one.view(np.uint64), other.view(np.uint64)).view(np.int64)
