"""Lateral: the right side is run for each left row; rows with equal arguments share one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.counters import timed
from engine.groups import number
from engine.nodes import walk
from engine.operators.base import Operator
from engine.operators.pairs import Pairs
from engine.operators.rows import Rows
from engine.parallel import ROOT, expressions_of, is_volatile_node, prepare, root_memo
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column
from storage.types import Type


@dataclass(frozen=True)
class Lateral:
    """`left` joined with what `right` gives for it. `arguments` over the left row are right's outer row."""

    kind: Literal["inner", "left"]
    left: Operator
    right: Operator
    arguments: tuple[Expression, ...]
    condition: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.left.types, *self.right.types)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    def explain(self) -> str:
        return "Nested Loop" if self.kind == "inner" else "Nested Loop Left Join"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._joined(run))

    def _joined(self, run: Run) -> Iterator[Batch]:
        prepare(run, *self.arguments, self.condition)
        once = not is_volatile(self.right)
        for batch in self.left.batches(run):
            run.check()
            if not batch.rows:
                continue
            arguments = [argument.evaluate(batch, run).spread(batch.rows) for argument in self.arguments]
            if once:
                groups, firsts = number(arguments, batch.rows)
            else:
                groups = firsts = np.arange(batch.rows)
            found: list[Batch] = []
            sizes = np.zeros(len(firsts), np.int64)
            for group, row in enumerate(firsts.tolist()):
                for part in self.right.batches(within(run, row_of(arguments, row))):
                    if part.rows:
                        found.append(part)
                        sizes[group] += part.rows
            starts = np.cumsum(sizes) - sizes
            pairs = Pairs(self.kind, Rows(found, self.right.types), self.condition, self.left.types)
            yield from pairs.of(batch, starts[groups], sizes[groups], None, run)


def row_of(columns: list[Column], row: int) -> list[Column]:
    """One row as constant columns."""
    result = []
    for column in columns:
        cell = column.slice(row, row + 1)
        result.append(cell.with_valid(cell.valid, constant=True))
    return result


def within(run: Run, outer: list[Column]) -> Run:
    """The run inside a correlated plan, for one outer row; what is shared stays with the statement."""
    return replace(run, outer=outer, memo={ROOT: root_memo(run)})


def is_volatile(plan: Operator) -> bool:
    """Whether two runs of a plan may differ."""
    for expression in expressions_of(plan):
        for node in walk(expression):
            if is_volatile_node(node):
                return True
    return bool(getattr(plan, "volatile", False)) or any(is_volatile(child) for child in plan.children)
