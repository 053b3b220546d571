"""Bound expressions: frozen nodes that evaluate to a column, once a batch and node.

`evaluate(batch, run)` gives a column of `batch.rows` rows, or a constant one. Nodes hold ids of
functions, never callables, so plans can be pickled and shipped. A null condition is not true: filters
use `true_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.run import Run
from storage.batch import Batch
from storage.column import Column
from storage.types import Type


class Expression(Protocol):
    """A bound expression of type `type` over the columns of a batch."""

    @property
    def type(self) -> Type: ...

    @property
    def children(self) -> tuple[Expression, ...]: ...

    def evaluate(self, batch: Batch, run: Run) -> Column: ...


@dataclass(frozen=True, slots=True)
class Reference:
    """Column `index` of the input batch."""

    index: int
    type: Type
    name: str = ""  # for EXPLAIN

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return batch.columns[self.index]


@dataclass(frozen=True)
class Constant:
    """A value known when the statement was bound. `value` is a constant column."""

    value: Column

    @property
    def type(self) -> Type:
        return self.value.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return self.value


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value given at execution: $1 has index 0. Lifted literals are parameters too."""

    index: int
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return run.parameters[self.index]


@dataclass(frozen=True, slots=True)
class Outer:
    """A column of the outer row, inside a correlated subquery."""

    index: int
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Batch, run: Run) -> Column:
        return run.outer[self.index]
