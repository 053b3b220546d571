"""Shared: a common table expression, run once a statement however often it is read, and only as far.

The batches that are there stand in the memo of the run; a reader that wants more takes the next from
the one run of the child. So WITH RECURSIVE without an end works under a LIMIT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.nodes import Outer, walk
from engine.operators.base import Operator
from engine.operators.recursiveunion import RecursiveUnion
from engine.operators.worktable import WorkTable
from engine.parallel import expressions_of, root_memo
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass
class _Read:
    """How far the child has run: its batches, and what gives the next."""

    rest: Iterator[Batch]
    batches: list[Batch] = field(default_factory=list)


@dataclass(frozen=True)
class Shared:
    """CTE `name`. All its references hold the same `child` object, by which the memo knows it."""

    name: str
    child: Operator
    types: tuple[Type, ...]

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return f"CTE Scan on {self.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        read = self._read(run)
        position = 0
        while True:
            run.check()
            if position == len(read.batches):
                batch = next(read.rest, None)
                if batch is None:
                    return
                read.batches.append(batch)
            yield read.batches[position]
            position += 1

    def open(self, run: Run) -> None:
        """Have the child run in this run, whoever reads it first."""
        self._read(run)

    def _read(self, run: Run) -> _Read:
        """Where the rows stand: with the statement, or with the outer row if they depend on it."""
        memo = run.memo if self._depends(run) else root_memo(run)
        key = ("shared", id(self.child))
        if key not in memo:
            memo[key] = _Read(self.child.batches(run))
        read: _Read = memo[key]
        return read

    def _depends(self, run: Run) -> bool:
        root, key = root_memo(run), ("depends", id(self.child))
        if root is run.memo:
            return False
        if key not in root:
            root[key] = _depends(self.child, frozenset())
        answer: bool = root[key]
        return answer


def _depends(plan: Operator, recursions: frozenset[str]) -> bool:
    """Whether a plan reads the outer row, or the rows of a recursion that it stands in."""
    if isinstance(plan, WorkTable):
        return plan.name not in recursions
    if isinstance(plan, RecursiveUnion):
        recursions |= {plan.name}
    for expression in expressions_of(plan):
        if any(isinstance(node, Outer) for node in walk(expression)):
            return True
    return any(_depends(child, recursions) for child in plan.children)
