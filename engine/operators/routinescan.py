"""Calls of functions that are made of statements: their plans are the session's, found when they run.

A call is evaluated row by row on the statement's thread; rows with equal arguments share one run, unless
the function is volatile. Where it is strict, a null argument gives null, or no rows, without a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.counters import timed
from engine.groups import number
from engine.nodes import concat
from engine.operators.base import Operator
from engine.operators.lateral import row_of
from engine.parallel import prepare, root_memo
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatatypeMismatch
from storage.types import INT8, VOID, Type


@dataclass(frozen=True)
class RoutineCall:
    """A call of the function with this OID; `result` are the columns of its rows, of which it has one.

    `type` is that of its value: of its one column, or void.
    """

    routine: int
    arguments: tuple[Expression, ...]
    type: Type
    volatile: bool
    strict: bool
    sets: bool = False

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def prepare(self, run: Run) -> None:
        """A call without arguments gives one value a statement, if the function is not volatile."""
        if self.arguments or self.volatile or self.sets:
            return
        memo, key = root_memo(run), ("routine", id(self))
        if key not in memo:
            memo[key] = self._value([], run)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        if not self.arguments and not self.volatile:
            self.prepare(run)
            once: Column = root_memo(run)["routine", id(self)]
            return once.with_valid(once.valid, constant=True)
        columns = [argument.evaluate(batch, run).spread(batch.rows) for argument in self.arguments]
        if not batch.rows:
            return Column.of(self.type, [])
        if self.volatile:
            groups = firsts = np.arange(batch.rows)
        else:
            groups, firsts = number(columns, batch.rows)
        values = [self._value(row_of(columns, row), run) for row in firsts.tolist()]
        return concat(self.type, values).take(groups)

    def _value(self, arguments: list[Column], run: Run) -> Column:
        """(1,) the first column of the first row, null for none."""
        run.check()
        found: Column | None = None
        for batch in self._batches(arguments, run):
            if batch.rows and batch.columns and found is None and self.type.oid != VOID.oid:
                found = batch.columns[0].slice(0, 1)
                if not self.volatile:
                    break
        return Column.nulls(self.type, 1) if found is None else found.spread(1).retype(self.type)

    def rows(self, arguments: list[Column], run: Run) -> Column:
        """The first column of all rows for one row of arguments."""
        parts = [batch.columns[0].spread(batch.rows) for batch in self._batches(arguments, run) if batch.rows]
        return concat(self.type, parts) if parts else Column.of(self.type, [])

    def _batches(self, arguments: list[Column], run: Run) -> Iterator[Batch]:
        yield from called(self.routine, arguments, self.strict, run)


def called(routine: int, arguments: Sequence[Column], strict: bool, run: Run) -> Iterator[Batch]:
    """The rows of a call with constant arguments."""
    if strict and any(not argument.is_valid()[0] for argument in arguments):
        return
    types = tuple(argument.type for argument in arguments)
    yield from run.session.routine(routine, types).rows(run, arguments)


@dataclass(frozen=True)
class RoutineScan:
    """A function in FROM: its rows, and with `ordinality` an int8 that counts them from 1."""

    routine: int
    name: str
    arguments: tuple[Expression, ...]
    columns: tuple[Type, ...]
    strict: bool
    volatile: bool
    sets: bool
    ordinality: bool = False

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.columns, INT8) if self.ordinality else self.columns

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"Function Scan on {self.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._rows(run))

    def _rows(self, run: Run) -> Iterator[Batch]:
        run.check()
        prepare(run, *self.arguments)
        one = Batch((), 1)
        arguments = row_of([argument.evaluate(one, run).spread(1) for argument in self.arguments], 0)
        total = 0
        for batch in called(self.routine, arguments, self.strict, run):
            if not batch.rows or (total and not self.sets):
                continue  # a function that is no set gives its first row
            batch = batch if self.sets else batch.slice(0, 1)
            yield self._shaped(batch, total)
            total += batch.rows
        if not total and not self.sets:
            yield self._shaped(Batch(tuple(Column.nulls(type, 1) for type in self.columns), 1), 0)

    def _shaped(self, batch: Batch, before: int) -> Batch:
        """Rows as FROM has them. Raises DatatypeMismatch where a definition list says something else."""
        void = len(self.columns) == 1 and self.columns[0].oid == VOID.oid
        if not void and [c.type.oid for c in batch.columns] != [type.oid for type in self.columns]:
            raise DatatypeMismatch("function return row and query-specified return row do not match")
        pairs = zip(batch.columns, self.columns, strict=False)
        found = () if void else tuple(column.spread(batch.rows).retype(type) for column, type in pairs)
        if not found and self.columns:
            found = tuple(Column.nulls(type, batch.rows) for type in self.columns)
        if self.ordinality:
            numbers = np.arange(before + 1, before + batch.rows + 1)
            found = (*found, Column(INT8, numbers))
        return Batch(found, batch.rows)
