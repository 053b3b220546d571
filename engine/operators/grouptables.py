"""Group tables: the totals of an aggregation's groups, in tables that workers keep over the whole run.

Each worker adds its batches to a table of its own, in place; only in the end are the tables added up, and
nothing is made, merged or looked up a batch. That takes keys whose values can be numbered before it is known
which there are: whole numbers by their distance from the least one, texts by the codes of their dictionaries,
which a Numbering brings together. A group's number is made of its keys' ones as digits.

What the words of a table mean is its layout: the range of each key, the kind and base of each slot. A batch
that does not fit the layout (a key beyond the range, a sum too large for its word) makes for a wider one; the
tables until then stay as they are, and their groups are merged with the others in the end. Where the groups
would be too many for all, but rows come sorted by a key, batches have tables of stretches, see
engine.operators.stretches. Where they would be too many for the rows, or for memory, or a batch is such that
the program has no answer, rows are left to who asked. Which rows those are may depend on how threads run;
what becomes of them does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from engine.fused import given
from engine.groups import Numbering, number
from engine.joined import JoinedColumn, source_among
from engine.operators.base import Selected
from engine.operators.fusedtotals import FusedTotals
from engine.operators.groups import Part
from engine.operators.stretches import Groups, Some, Stretches
from engine.operators.tablelayout import FEW, Asked, Layout, Range, asked_of, column_of, grown, layout_of
from engine.run import Run
from engine.wholekeys import is_whole
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.encodings.packedcolumn import PackedColumn
from storage.errors import DatabaseError, QueryCanceled
from storage.indexes.comparable import keys_of
from storage.kernels.plain.totals import Added, Totals, Why, gathered, table_bytes
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import BOOL, BPCHAR, BYTEA, NAME, TEXT, VARCHAR, Type

MANY = 8192
"""So many groups of a batch, more than one for each _SHARE rows, are better not aggregated on their own."""
_SHARE = 16
_MOST = 1 << 20  # groups that a table has places for at most
_ROWS = 4  # groups for each row
_MUCH = 8  # a dictionary of more values for each row is not looked at for its rows
_FAR = 1 << 62  # a range of values beyond might leave int64
_TASK = 32  # bits of a row's number that say which of its task's it is
_LAYOUTS = 24  # when a run has had so many, batches are unlike each other
_EQUAL = frozenset(type.oid for type in (TEXT, VARCHAR, NAME, BYTEA))  # equal values are the same bytes


def is_many(groups: int, rows: int) -> bool:
    """Whether a batch has too many groups to be aggregated on its own."""
    return groups >= MANY and groups * _SHARE >= rows


_Key = tuple[Column, Positions | None, Mask | None, Range]
"""What numbers a key's values: those, of codes what they are, which are there, and the range."""


class GroupTables:
    """The tables of one run of an aggregation. `left` is called by workers, `parts` when they are done."""

    def __init__(self, plan: FusedTotals, run: Run) -> None:
        self._plan = plan
        self._run = run
        self._grant = run.memory.grant()
        self._lock = threading.Lock()
        self._layout: Layout | None = None
        self._layouts = 0
        self._mine: dict[int, tuple[Layout, Totals]] = {}
        self._tables: list[tuple[Layout, Totals]] = []
        self._numberings: list[Numbering | None] = [None for _ in plan.keys]
        self._stretches: Stretches | None = None
        self._ready: list[Some] = []
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
        self._rows += selected.batch.rows
        asked = self._asked(selected)
        if asked is None:
            return 0
        done = self._add_to_table(asked, number) if self._stretches is None else 0
        stretches = self._stretches
        if done or stretches is None or self._closed:
            return done
        if stretches.add(asked, number):
            return asked.rows
        self._closed = True
        return 0

    def _add_to_table(self, asked: Asked, number: int) -> int:
        """The same, to this thread's table: none where it strays, and there are stretches from now on."""
        done = 0
        while done < asked.rows and not self._closed:
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

    def _asked(self, selected: Selected) -> Asked | None:
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
        return min(max(FEW, _ROWS * self._rows), _MOST)

    def _key(self, at: int, column: Column) -> _Key | None:
        """What numbers a key's values, and their range; None: nothing does."""
        valid = column.valid
        nulls = valid is not None
        if isinstance(column, CodedColumn) and _has_codes(self._plan.keys[at].type):
            if len(column.dictionary) > _MUCH * self._rows:
                return None
            table, count = self._numbering(at, column.dictionary).table(column.dictionary)
            return column, table, valid, Range(0, count + nulls, nulls)
        if not _is_direct(column.type) or not len(column):
            return None
        least, most = _bounds(column)
        if most - least >= _MOST or max(-least, most) > _FAR:
            return None
        return column, None, valid, Range.of(least, most, nulls)

    def _numbering(self, at: int, dictionary: Dictionary) -> Numbering:
        """What numbers a key's values: of all dictionaries alike."""
        with self._lock:
            found = self._numberings[at]
            if found is None:
                found = self._numberings[at] = Numbering.of(dictionary)
            return found

    def _table(self, asked: Asked) -> tuple[Layout, Totals] | None:
        """This thread's table, of a layout that the batch fits; None: there is none."""
        me = threading.get_ident()
        mine = self._mine.get(me)
        if mine is not None and mine[0].fits(asked):
            return mine
        with self._lock:
            layout = self._layout
            straying = [] if layout is None else layout.straying(asked)
            if straying:
                if len(straying) > 1:
                    self._closed = True
                elif self._stretches is None:
                    self._stretches = Stretches(self._plan, straying[0], self._grant)
                return None
            if layout is None or not layout.fits(asked):
                layout = grown(layout, asked, self._plan)
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

    def _change(self, layout: Layout, found: Added) -> None:
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
        yield from map(self._part, self._gathered())
        if self._stretches is not None:
            yield from map(self._part, self._stretches.all())

    def shared(self) -> Iterator[Part]:
        """The same, where nobody else has groups, of those only that several tables may have: the others
        are `ready` then."""
        if self._stretches is None:
            yield from self.parts()
            return
        self._ready, shared = self._stretches.split(self._gathered())
        yield from map(self._part, shared)

    def ready(self) -> Iterator[Callable[[], Part]]:
        """The groups that are whole as they are: each once, on any thread."""
        for some in self._ready:
            yield partial(self._some, some)

    def _some(self, some: Some) -> Part:
        (layout, found), mask = some
        return self._part((layout, found if mask is None else found.take(mask)))

    def _gathered(self) -> Iterator[Groups]:
        tables: dict[int, tuple[Layout, list[Totals]]] = {}
        for layout, table in self._tables:
            tables.setdefault(id(layout), (layout, []))[1].append(table)
        for layout, several in tables.values():
            found = gathered(several)
            if len(found.numbers):
                yield layout, found

    def _part(self, groups: Groups) -> Part:
        """Groups in order of their first rows."""
        layout, found = groups
        order = np.argsort(found.firsts, kind="stable")
        numbers = found.numbers[order]
        columns: list[Column] = []
        keys = list(zip(self._plan.keys, layout.ranges, self._numberings, strict=True))
        for key, mine, numbering in reversed(keys):
            numbers, digits = np.divmod(numbers, mine.limit)
            columns.append(column_of(key.type, mine, digits, numbering))
        columns.reverse()
        states = self._plan.states(found, layout.scales, order, self._run)
        return Part(columns, len(found.numbers), states)

    def close(self) -> None:
        """Forget all tables."""
        self._tables.clear()
        self._mine.clear()
        self._ready.clear()
        self._grant.release()


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
    ranges = (Range(0, len(firsts), False),)
    asked = asked_of(plan, batch.rows, None, [(groups, None, None)], ranges, columns)
    if asked is None:
        return None
    layout: Layout | None = layout_of(plan, asked, ranges, nulls=asked.nulls)
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
