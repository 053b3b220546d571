"""MERGE: its source joined with its target, and what is done with the pairs and with rows that found none.

The row of the plan: the source's columns, the target's, and the target's row id.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.operators import Action, Merge, Operator
from sql.binding import Binding
from sql.changes import writing
from sql.changes.assigning import new_row
from sql.changes.insert import inserted_row, written_columns
from sql.changes.writing import Target
from sql.commontables import CommonTable
from sql.context import BindContext
from sql.logical import Get, Join, Project
from sql.outcome import Field
from sql.query import bind_query, finish
from sql.scope import Relation, Scope
from sql.sources import Sources
from sql.systemcolumns import named, of_written
from storage.errors import DuplicateAlias, SqlSyntaxError


def bind_merge(
    tree: exp.Merge, context: BindContext, tables: Mapping[str, CommonTable]
) -> tuple[Operator, tuple[Field, ...]]:
    """The operator of a MERGE. It has no result columns."""
    target = writing.target_of(tree.this, "merge into", context)
    tables = writing.common_tables(tree, context, tables)
    scope = Scope(context.frame, tables)
    sources = Sources(scope, context, bind_query, named(tree))
    source, _ = sources.bind(tree.args["using"], tree.args.get("joins") or ())
    alone = list(scope.relations)
    if any(relation.name == target.name for relation in alone):
        raise DuplicateAlias(
            f'name "{target.name}" specified more than once',
            detail="The name is used both as MERGE target table and data source.",
        )
    old = scope.add(target.relation())
    old.fixed = {"tableoid": of_written(target.table.oid, context)["tableoid"]}
    condition = Binding(context, scope, "JOIN conditions").condition(tree.args["on"], "JOIN/ON")
    whens = tree.args["whens"]
    get = Get(target.table, tuple(range(len(target.table.columns))), row_ids=True)
    kind = "inner" if all(when.args["matched"] for when in whens) else "left"
    node = Join("left" if kind == "left" else "inner", source, get, condition)
    unmatched = Scope(scope.frame, tables)
    unmatched.relations, unmatched.merged, unmatched.width = alone, scope.merged, old.offset
    unmatched.unreachable = frozenset((target.name,))
    target.want("r")
    actions = tuple(_action(when, scope, unmatched, old, target, context) for when in whens)
    _check_reachable(whens)
    columns = tuple(Reference(i, type, "") for i, type in enumerate(node.types))
    operator = Merge(
        target.table.oid,
        finish(Project(node, columns), context),
        condition,
        actions,
        writing.invariants(target.table, context),
        writing.rules_for_upsert(target.table, context),
    )
    return operator, ()


def _action(
    when: exp.When, both: Scope, unmatched: Scope, old: Relation, target: Target, context: BindContext
) -> Action:
    matched = bool(when.args["matched"])
    scope = both if matched else unmatched
    condition: Expression | None = None
    given = when.args.get("condition")
    if given is not None:
        condition = Binding(context, scope, "MERGE WHEN conditions").condition(given, "WHEN")
    then = when.args.get("then")
    match then:
        case exp.Insert():
            target.want("a", written_columns(then, target, context))
            return Action(matched, "insert", condition, inserted_row(then, target, scope, context))
        case exp.Update():
            row = new_row(then, scope, old, target, context)
            target.want("w", row.assigned)
            return Action(matched, "update", condition, row.values, row.keeps_keys)
        case exp.Delete():
            target.want("d")
            return Action(matched, "delete", condition)
    return Action(matched, "nothing", condition)


def _check_reachable(whens: list[exp.When]) -> None:
    """Raise for a clause behind one of its kind that takes everything."""
    closed: set[bool] = set()
    for when in whens:
        matched = bool(when.args["matched"])
        if matched in closed:
            raise SqlSyntaxError("unreachable WHEN clause specified after unconditional WHEN clause")
        if when.args.get("condition") is None:
            closed.add(matched)
