"""INSERT, UPDATE, DELETE and MERGE as plans, of statements and of the parts of a WITH."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

from engine.operators import Operator
from sql import commontables
from sql.changes.delete import bind_delete
from sql.changes.insert import bind_insert
from sql.changes.merge import bind_merge
from sql.changes.update import bind_update
from sql.commontables import CommonTable
from sql.context import BindContext, Plan
from sql.outcome import Field

Bind = Callable[[Any, BindContext, Mapping[str, CommonTable]], tuple[Operator, tuple[Field, ...]]]
CHANGES: dict[type[exp.Expression], Bind] = {
    exp.Insert: bind_insert,
    exp.Update: bind_update,
    exp.Delete: bind_delete,
    exp.Merge: bind_merge,
}


def plan_change(tree: exp.Expression, context: BindContext) -> Plan:
    """The plan of a statement that writes; its fields are those of RETURNING."""
    context.top = tree
    operator, fields = _bind(tree, context, {})
    return context.plan(operator, fields)


def _bind(
    tree: exp.Expression, context: BindContext, tables: Mapping[str, CommonTable]
) -> tuple[Operator, tuple[Field, ...]]:
    return CHANGES[type(tree)](tree, context, tables)


commontables.use(_bind)
