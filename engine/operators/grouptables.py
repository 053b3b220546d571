"""Group tables: the totals of an aggregation's groups, in tables that workers keep over the whole run.

Each worker adds its batches to a table of its own, in place; only in the end are the tables added up, and
nothing is made, merged or looked up a batch. That takes keys whose values can be numbered before it is known
which there are: whole numbers by their distance from the least one, texts by the codes of their dictionaries,
which a Numbering brings together. A group's number is made of its keys' ones as digits.

What the words of a table mean is its layout: the range of each key, the kind and base of each slot. A batch
that does not fit the layout (a key beyond the range, a sum too large for its word) makes for a wider one; the
tables until then stay as they are, and their groups are merged with the others in the end. Where the groups
would be too many for the rows, or for memory, or a batch is such that the program has no answer, rows are
left to who asked. Which rows those are may depend on how threads run; what becomes of them does not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from engine.fused import given
from engine.groups import Numbering, number
from engine.joined import JoinedColumn, Partners, source_among
from engine.operators.base import Selected
from engine.operators.fusedtotals import FusedTotals
from engine.operators.groups import Part
from engine.run import Run
from engine.scales import Lowered, lowered
from engine.wholekeys import is_whole
from storage import kernels
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.encodings.packedcolumn import PackedColumn
from storage.errors import DatabaseError, QueryCanceled
from storage.indexes.comparable import keys_of
from storage.kernels.plain.totals import (
    SPAN,
    Added,
    Digit,
    Gathered,
    Kind,
    Source,
    Totals,
    Why,
    gathered,
    table_bytes,
)
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import BOOL, BPCHAR, BYTEA, NAME, NUMERIC, TEXT, VARCHAR, Type

MANY = 8192
"""So many groups of a batch, more than one for each _SHARE rows, are better not aggregated on their own."""
_SHARE = 16
_FEW = 1 << 12  # groups that any rows may have
_MOST = 1 << 20  # groups that a table has places for at most
_ROWS = 4  # groups for each row
_MUCH = 8  # a dictionary of more values for each row is not looked at for its rows
_FAR = 1 << 62  # a range of values beyond might leave int64
_FINE = 4  # bits of a range's width that its ends are as fine as
_HEADROOM = 4  # powers of two that floats may be above the first ones
_TASK = 32  # bits of a row's number that say which of its task's it is
_LAYOUTS = 24  # when a run has had so many, batches are unlike each other
_EQUAL = frozenset(type.oid for type in (TEXT, VARCHAR, NAME, BYTEA))  # equal values are the same bytes


def is_many(groups: int, rows: int) -> bool:
    """Whether a batch has too many groups to be aggregated on its own."""
    return groups >= MANY and groups * _SHARE >= rows


@dataclass(frozen=True, slots=True)
class _Range:
    """A key's numbers: `limit` of them, from `base` on; the last one stands for null if `nulls`."""

    base: int
    limit: int
    nulls: bool

    @classmethod
    def of(cls, least: int, most: int, nulls: bool) -> _Range:
        """The range of values like these: somewhat wider, for others come soon."""
        step = 1 << max((most - least).bit_length() - _FINE, 0)
        base = least - least % step
        return cls(base, most - most % step + step - base + nulls, nulls)

    def covers(self, other: _Range) -> bool:
        """Whether it has all numbers of another."""
        return (self.nulls or not other.nulls) and self.base <= other.base and other.end <= self.end

    @property
    def end(self) -> int:
        """The first number behind it."""
        return self.base + self.limit - self.nulls

    def shared(self, other: _Range) -> int:
        """How many numbers it has in common with another."""
        return min(self.end, other.end) - max(self.base, other.base) + 1

    def widened(self, other: _Range) -> _Range:
        """A range of both; one that grows grows to twice its size at least, where it grows."""
        base, end = min(self.base, other.base), max(self.end, other.end)
        if end > self.end:
            end = max(end, self.end + self.limit)
        elif base < self.base:
            base = min(base, self.base - self.limit)
        nulls = self.nulls or other.nulls
        return _Range(base, end - base + nulls, nulls)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a table's words mean. `spans`: of each slot the exponents that its floats had, if any is known."""

    ranges: tuple[_Range, ...]
    scales: tuple[int, ...]
    nulls: bool
    slots: tuple[tuple[Kind, int, int, int], ...]
    spans: tuple[tuple[int, int] | None, ...]

    @property
    def groups(self) -> int:
        """How many groups it has places for."""
        return prod(each.limit for each in self.ranges)

    def fits(self, asked: _Asked) -> bool:
        """Whether a batch may be added to such a table."""
        return (
            self.scales == asked.scales
            and (self.nulls or not asked.nulls)
            and all(mine.covers(theirs) for mine, theirs in zip(self.ranges, asked.ranges, strict=True))
        )

    def strays(self, asked: _Asked) -> bool:
        """Whether a batch has keys of its own: rows that are sorted by them have few groups in common."""
        return self.groups > _FEW and any(
            2 * mine.shared(theirs) < theirs.limit
            for mine, theirs in zip(self.ranges, asked.ranges, strict=True)
        )

    def changed(self, found: Added) -> _Layout | None:
        """A layout for what did not fit a slot; None: there is none."""
        slots, spans, at = list(self.slots), list(self.spans), found.slot
        kind, register, known, _ = slots[at]
        if found.why is Why.FULL:
            slots[at] = Kind.WIDE, register, known, 0
        else:
            before = spans[at] or (found.least, found.most)
            least, most = min(before[0], found.least), max(before[1], found.most)
            if most - least > SPAN:
                return None
            spans[at] = least, most
            slots[at] = kind, register, known, max(min(least, most + _HEADROOM - SPAN), 0)
        return replace(self, slots=tuple(slots), spans=tuple(spans))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch as tables take it: its keys' sources and ranges, and the program's columns."""

    rows: int
    mask: Mask | None
    sources: list[tuple[Source, Positions | None, Mask | None]]
    ranges: tuple[_Range, ...]
    columns: list[Column]
    program: Lowered
    scales: tuple[int, ...]
    partners: tuple[Partners, ...] = ()

    @property
    def nulls(self) -> bool:
        """Whether a value may be null."""
        return any(column.valid is not None for column in self.columns)

    def add(self, table: Totals, layout: _Layout, start: int, number: int) -> Added:
        """Add rows from `start` on; row 0 has this number."""
        keys = [
            Digit(source, mine.limit, mine.base, found, valid)
            for (source, found, valid), mine in zip(self.sources, layout.ranges, strict=True)
        ]
        powers = self.program.powers
        return kernels.add_totals(
            table,
            self.program.code,
            [*(source_among(column, self.partners) for column in self.columns), *powers],
            [*(column.valid for column in self.columns), *(None for _ in powers)],
            self.rows,
            start,
            number,
            keys,
            self.mask,
            [each.meeting(self.partners) for each in self.partners],
        )


_Key = tuple[Column, Positions | None, Mask | None, _Range]
"""What numbers a key's values: those, of codes what they are, which are there, and the range."""


class GroupTables:
    """The tables of one run of an aggregation. `left` is called by workers, `parts` when they are done."""

    def __init__(self, plan: FusedTotals, run: Run) -> None:
        self._plan = plan
        self._run = run
        self._grant = run.memory.grant()
        self._lock = threading.Lock()
        self._layout: _Layout | None = None
        self._layouts = 0
        self._mine: dict[int, tuple[_Layout, Totals]] = {}
        self._tables: list[tuple[_Layout, Totals]] = []
        self._numberings: list[Numbering | None] = [None for _ in plan.keys]
        self._rows = 0
        self._closed = False

    @property
    def empty(self) -> bool:
        """Whether nothing has been added."""
        return not self._tables

    def left(self, selected: Selected, at: int) -> Selected | None:
        """Add rows of task number `at`: what is left of them, or None. A worker's tasks have rising ones."""
        if self._closed:
            return selected
        batch = selected.batch
        done = self._add(selected, at << _TASK)
        if done == batch.rows:
            return None
        if not done:
            return selected
        mask = selected.settled().mask
        return Selected(batch.slice(done, batch.rows), None if mask is None else mask[done:])

    def _add(self, selected: Selected, number: int) -> int:
        """Add rows of a batch, of which the first has this number: how many were taken."""
        rows = selected.batch.rows
        self._rows += rows
        asked = self._asked(selected)
        done = 0
        while asked is not None and done < rows and not self._closed:
            found = self._table(asked)
            if found is None:
                break
            layout, table = found
            added = asked.add(table, layout, done, number)
            done = added.rows
            if added.why is Why.DONE or added.why not in (Why.FULL, Why.BEYOND):
                break
            self._change(layout, added)
        return done

    def _asked(self, selected: Selected) -> _Asked | None:
        """A batch as tables take it; None: they do not."""
        batch = selected.batch
        try:
            keys = [key.evaluate(batch, self._run).spread(batch.rows) for key in self._plan.keys]
            ready = self._keys(keys)
            if ready is None:
                return None
            columns = [given(node, batch, self._run) for node in self._plan.inputs]
        except QueryCanceled:
            raise
        except DatabaseError:  # of a row that is left in, or of a constant's cast that no row needs
            return None
        selected = selected.found()  # an expression may have had partners looked for
        partners = selected.partners
        sources = [(source_among(key, partners), table, valid) for key, table, valid, _ in ready]
        ranges = tuple(each for *_, each in ready)
        return asked_of(self._plan, batch.rows, selected.mask, sources, ranges, columns, partners)

    def _keys(self, columns: list[Column]) -> list[_Key] | None:
        """What numbers the keys; None: nothing does, or they make too many groups.

        To number the values of a large dictionary may take longer than all else: it comes last.
        """
        found: dict[int, _Key] = {}
        groups = 1
        sizes = [len(column.dictionary) if isinstance(column, CodedColumn) else 0 for column in columns]
        for at in sorted(range(len(columns)), key=sizes.__getitem__):
            key = self._key(at, columns[at])
            if key is None:
                return None
            groups *= key[3].limit
            if groups > self._most:
                return None
            found[at] = key
        return [found[at] for at in range(len(columns))]

    @property
    def _most(self) -> int:
        """How many groups a table may have places for, by the rows until now."""
        return min(max(_FEW, _ROWS * self._rows), _MOST)

    def _key(self, at: int, column: Column) -> _Key | None:
        """What numbers a key's values, and their range; None: nothing does."""
        valid = column.valid
        nulls = valid is not None
        if isinstance(column, CodedColumn) and _has_codes(self._plan.keys[at].type):
            if len(column.dictionary) > _MUCH * self._rows:
                return None
            table, count = self._numbering(at, column.dictionary).table(column.dictionary)
            return column, table, valid, _Range(0, count + nulls, nulls)
        if not _is_direct(column.type) or not len(column):
            return None
        least, most = _bounds(column)
        if most - least >= _MOST or max(-least, most) > _FAR:
            return None
        return column, None, valid, _Range.of(least, most, nulls)

    def _numbering(self, at: int, dictionary: Dictionary) -> Numbering:
        """What numbers a key's values: of all dictionaries alike."""
        with self._lock:
            found = self._numberings[at]
            if found is None:
                found = self._numberings[at] = Numbering.of(dictionary)
            return found

    def _table(self, asked: _Asked) -> tuple[_Layout, Totals] | None:
        """This thread's table, of a layout that the batch fits; None: there is none."""
        me = threading.get_ident()
        mine = self._mine.get(me)
        if mine is not None and mine[0].fits(asked):
            return mine
        with self._lock:
            layout = self._layout
            if layout is not None and layout.strays(asked):
                self._closed = True
                return None
            if layout is None or not layout.fits(asked):
                layout = _grown(layout, asked, self._plan)
                if layout.groups > self._most:
                    return None
                self._layout = layout
                self._layouts += 1
            if self._layouts > _LAYOUTS or not self._grant.room(table_bytes(layout.groups, layout.slots)):
                self._closed = True
                return None
            table = Totals.empty(layout.groups, layout.slots)
            self._tables.append((layout, table))
        self._mine[me] = layout, table
        return layout, table

    def _change(self, layout: _Layout, found: Added) -> None:
        """Have a layout for what did not fit this one."""
        self._mine.pop(threading.get_ident(), None)
        with self._lock:
            if self._layout is not layout:
                return  # there is a newer one: perhaps it fits
            changed = layout.changed(found)
            if changed is None:
                self._closed = True
            else:
                self._layout = changed
                self._layouts += 1

    def parts(self) -> Iterator[Part]:
        """The groups of all tables; of those of one layout together."""
        tables: dict[int, tuple[_Layout, list[Totals]]] = {}
        for layout, table in self._tables:
            tables.setdefault(id(layout), (layout, []))[1].append(table)
        for layout, several in tables.values():
            found = gathered(several)
            if len(found.numbers):
                yield self._part(layout, found)

    def _part(self, layout: _Layout, found: Gathered) -> Part:
        """The groups of a layout, in order of their first rows."""
        order = np.argsort(found.firsts)
        numbers = found.numbers[order]
        columns: list[Column] = []
        keys = list(zip(self._plan.keys, layout.ranges, self._numberings, strict=True))
        for key, mine, numbering in reversed(keys):
            numbers, digits = np.divmod(numbers, mine.limit)
            columns.append(_column(key.type, mine, digits, numbering))
        columns.reverse()
        states = self._plan.states(found, layout.scales, order, self._run)
        return Part(columns, len(found.numbers), states)

    def close(self) -> None:
        """Forget all tables."""
        self._tables.clear()
        self._mine.clear()
        self._grant.release()


def _grown(layout: _Layout | None, asked: _Asked, plan: FusedTotals) -> _Layout:
    """A layout that a batch fits, as the one before was where it did."""
    if layout is None or layout.scales != asked.scales:
        return _layout(plan, asked, asked.ranges, nulls=asked.nulls)
    ranges = tuple(
        mine if mine.covers(theirs) else mine.widened(theirs)
        for mine, theirs in zip(layout.ranges, asked.ranges, strict=True)
    )
    nulls = layout.nulls or asked.nulls
    fresh = _layout(plan, asked, ranges, nulls=nulls)
    kept = len(plan.slots)
    return replace(
        fresh,
        slots=(*layout.slots[:kept], *fresh.slots[kept:]),
        spans=(*layout.spans[:kept], *fresh.spans[kept:]),
    )


def _layout(plan: FusedTotals, asked: _Asked, ranges: tuple[_Range, ...], *, nulls: bool) -> _Layout:
    place = [register for register, _ in asked.program.places]
    slots = [(slot.kind, place[slot.register], place[slot.known], slot.base) for slot in plan.slots]
    if nulls:
        slots += [(Kind.KNOWN, place[register], place[register], 0) for register in plan.registers]
    return _Layout(ranges, asked.scales, nulls, tuple(slots), (None,) * len(slots))


def asked_of(
    plan: FusedTotals,
    rows: int,
    mask: Mask | None,
    sources: list[tuple[Source, Positions | None, Mask | None]],
    ranges: tuple[_Range, ...],
    columns: list[Column],
    partners: tuple[Partners, ...] = (),
) -> _Asked | None:
    """A batch with these keys and inputs as tables take it; None: the program is none for such columns."""
    columns = [_loadable(column, rows) for column in columns]
    program = lowered(plan.code, tuple(column.scale for column in columns))
    if program is None or not all(map(_is_loaded, columns)):
        return None
    scales = tuple(scale for _, scale in program.places)
    return _Asked(rows, mask, sources, ranges, columns, program, scales, partners)


def _loadable(column: Column, rows: int) -> Column:
    """A constant in units, or as so many nulls: a kernel takes one value for all rows, but no mask for it."""
    if not column.constant:
        return column
    return column.in_units() if column.valid is None else column.spread(rows)


def batch_part(plan: FusedTotals, batch: Batch, run: Run) -> Part | None:
    """The groups of a batch whose keys are numbered for it alone; None: no answer."""
    try:
        keys = [key.evaluate(batch, run).spread(batch.rows) for key in plan.keys]
        groups, firsts = number(keys, batch.rows)
        if is_many(len(firsts), batch.rows):
            return None
        columns = [given(node, batch, run) for node in plan.inputs]
    except QueryCanceled:
        raise
    except DatabaseError:  # of a constant's cast that no row needs
        return None
    ranges = (_Range(0, len(firsts), False),)
    asked = asked_of(plan, batch.rows, None, [(groups, None, None)], ranges, columns)
    if asked is None:
        return None
    layout: _Layout | None = _layout(plan, asked, ranges, nulls=asked.nulls)
    while layout is not None:
        table = Totals.empty(layout.groups, layout.slots)
        added = asked.add(table, layout, 0, 0)
        if added.why is Why.DONE:
            found = gathered([table])
            states = plan.states(found, layout.scales, found.numbers, run)
            columns = [key.take(firsts) for key in keys]
            return Part(columns, len(firsts), states, keys_of(columns, len(firsts)))
        layout = layout.changed(added) if added.why in (Why.FULL, Why.BEYOND) else None
    return None


def _has_codes(type: Type) -> bool:
    """Whether values of a type that are equal are the same bytes, so that dictionaries' codes number them."""
    return type.oid in _EQUAL or (type.oid == BPCHAR.oid and type.modifier != -1)


def _is_direct(type: Type) -> bool:
    return is_whole(type) or type.oid == BOOL.oid


def _bounds(column: Column) -> tuple[int, int]:
    """What no value is below, and above."""
    if column.type.oid == BOOL.oid:
        return 0, 1
    if isinstance(column, PackedColumn):
        found = column.bounds
        if found is not None:
            return found
    if isinstance(column, JoinedColumn):
        return column.held.bounds
    values = column.values if column.valid is None else column.values[column.valid]
    return (int(values.min()), int(values.max())) if len(values) else (0, 0)


def _column(type: Type, mine: _Range, digits: Positions, numbering: Numbering | None) -> Column:
    """The values of a key that digits stand for."""
    there = digits < mine.limit - 1 if mine.nulls else None
    if there is not None and there.all():
        there = None
    if numbering is not None:
        column = numbering.column
        if there is None:
            return column.take(digits)
        return Column.concat([column, Column.nulls(type, 1)]).take(np.where(there, digits, len(column)))
    assert type.dtype is not None
    found = digits + mine.base if there is None else np.where(there, digits, 0) + mine.base
    return Column(type, found.astype(type.dtype), there)


def _is_loaded(column: Column) -> bool:
    """Whether a kernel can load a column: numerics in units only."""
    return (
        isinstance(column, PackedColumn | JoinedColumn)
        or column.type.oid != NUMERIC.oid
        or column.units is not None
    )
