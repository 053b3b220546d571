"""What of an expression may run on the worker pool, and what is computed before its batches are.

A worker must not wait and a transaction belongs to one thread at a time, so volatile functions
(nextval, pg_sleep) and correlated subqueries stay on the statement's thread. A subquery without
arguments is computed once a run, by `prepare`, before the first batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, cast

from engine.functions.registry import BY_ID
from engine.nodes import Call, walk
from engine.run import Run
from engine.seams import Expression

ROOT = "root memo"


class Subquery(Protocol):
    """A plan inside an expression: see engine.subqueries."""

    @property
    def arguments(self) -> tuple[Expression, ...]: ...

    def prepare(self, run: Run) -> None:
        """Compute what does not depend on the row."""


def is_volatile_node(node: Expression) -> bool:
    """Whether a node itself may give something else the next time, or does something."""
    if isinstance(node, Call):
        return BY_ID[node.function].volatility == "v"
    return bool(getattr(node, "volatile", False))


def subqueries(expression: Expression) -> Iterator[Subquery]:
    """The subqueries in an expression."""
    for node in walk(expression):
        # A look at the attribute: isinstance of a protocol takes longer than a small statement.
        if hasattr(node, "prepare"):
            yield cast(Subquery, node)


def pool_safe(*expressions: Expression | None) -> bool:
    """Whether these may be evaluated on worker threads."""
    for expression in expressions:
        if expression is None:
            continue
        if any(is_volatile_node(node) for node in walk(expression)):
            return False
        if any(subquery.arguments for subquery in subqueries(expression)):
            return False
    return True


def prepare(run: Run, *expressions: Expression | None) -> None:
    """Compute the uncorrelated subqueries of these: on the statement's thread, before any batch."""
    for expression in expressions:
        for subquery in () if expression is None else subqueries(expression):
            subquery.prepare(run)


def root_memo(run: Run) -> dict[Any, Any]:
    """The memo of the whole statement, whatever subquery `run` is in."""
    memo: dict[Any, Any] = run.memo.get(ROOT, run.memo)
    return memo


def expressions_of(node: Any) -> Iterable[Expression]:
    """The expressions that stand in a plan node's own fields, not in its children's."""
    for field in fields(node):
        yield from _expressions(getattr(node, field.name))


def _expressions(value: Any) -> Iterable[Expression]:
    if isinstance(value, tuple):
        for item in value:
            yield from _expressions(item)
    elif hasattr(value, "evaluate"):
        yield value
    elif is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "batches"):
        yield from expressions_of(value)
