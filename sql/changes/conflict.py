"""ON CONFLICT, ON DUPLICATE KEY UPDATE, REPLACE: which keys are arbiters, and what becomes of their rows.

DO UPDATE is bound over the row that has the key and then the row that was to be inserted, `excluded`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.expressions import Call, Expression, IsNull, Reference
from engine.functions.registry import BY_ID
from engine.operators import SetRow
from sql.binding import Binding
from sql.changes import writing
from sql.changes.assigning import new_row
from sql.changes.writing import Target
from sql.commontables import CommonTable
from sql.context import BindContext
from sql.expressions import conjuncts, references
from sql.marks import position_of
from sql.parse import parse_expression
from sql.scope import Frame, Scope
from storage.definitions import Index, Table, UniqueKey
from storage.errors import (
    InvalidColumnReference,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What Upsert is told: see there."""

    arbiters: tuple[UniqueKey, ...]
    update: SetRow | None = None
    replaces: bool = False


def resolution(
    tree: exp.Insert, target: Target, context: BindContext, tables: Mapping[str, CommonTable]
) -> Resolution | None:
    """What an INSERT says of conflicts; None: they are errors."""
    if tree.args.get("replace"):
        target.want("d")
        return Resolution(target.table.unique_keys, replaces=True)
    clause = tree.args.get("conflict")
    if clause is None:
        return None
    if clause.args.get("duplicate"):
        return Resolution(target.table.unique_keys, _update(clause, target, context, tables, hidden=True))
    arbiters = _arbiters(clause, target, context)
    if clause.args.get("expressions") is None:
        return Resolution(arbiters)
    if clause.args.get("conflict_keys") is None and clause.args.get("constraint") is None:
        raise SqlSyntaxError(
            "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            hint="For example, ON CONFLICT (column_name).",
            position=context.text.lower().find("on conflict") + 1,
        )
    return Resolution(arbiters, _update(clause, target, context, tables))


def _arbiters(clause: exp.OnConflict, target: Target, context: BindContext) -> tuple[UniqueKey, ...]:
    table = target.table
    named = clause.args.get("constraint")
    if named is not None:
        found = _constraint(table, writing.name_of(named))
        target.want("r", (number for key in found for number in key.columns.numbers))
        return found
    keys = clause.args.get("conflict_keys")
    if keys is None:
        return table.unique_keys
    scope = Scope(Frame())
    scope.add(target.relation())
    binding = Binding(context, scope, "ON CONFLICT")
    predicate = clause.args.get("index_predicate")
    chosen = () if predicate is None else conjuncts(binding.condition(predicate.this, "WHERE"))
    numbers: set[int] = set()
    expressions: list[Expression] = []
    for key in keys:
        item = key.this if isinstance(key, exp.Ordered) else key
        if isinstance(key, exp.Ordered) and (key.args.get("desc") or key.args.get("nulls_first")):
            raise InvalidColumnReference("ASC/DESC is not allowed in ON CONFLICT clause")
        while isinstance(item, exp.Paren):
            item = item.this
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier):
            numbers.add(_number(target, item))
        else:
            expressions.append(binding.value(item))
    read = {table.columns[place].number for place in references(*expressions, *chosen)}
    target.want("r", numbers | read)
    found = tuple(
        UniqueKey(index.name, index.key)
        for index in table.every_index
        if index.unique and _is_meant(table, index, numbers, expressions, chosen, context)
    )
    if not found:
        raise InvalidColumnReference(
            "there is no unique or exclusion constraint matching the ON CONFLICT specification"
        )
    for constraint in table.keys:
        if constraint.deferrable and any(key.name == constraint.name for key in found):
            raise _deferrable()
    return found


def _is_meant(
    table: Table,
    index: Index,
    numbers: Collection[int],
    expressions: Sequence[Expression],
    chosen: Sequence[Expression],
    context: BindContext,
) -> bool:
    """Whether an index is over just these columns (attnums) and expressions, of all rows that are chosen.

    An index over more rows has the chosen ones, too.
    """
    plain = {number for at, number in enumerate(index.columns) if not index.text(at)}
    if plain != set(numbers):
        return False
    binding = writing.over_columns(table, "index expressions", context)
    with context.kept():
        own = [binding.value(parse_expression(text)) for text in index.expressions if text]
    if any(one not in expressions for one in own) or any(one not in own for one in expressions):
        return False
    if not index.predicate:
        return True
    with context.kept():
        condition = binding.condition(parse_expression(index.predicate), "WHERE")
    return all(_follows(part, chosen) for part in conjuncts(condition))


def _follows(part: Expression, chosen: Sequence[Expression]) -> bool:
    """Whether a condition is one of these, or that a column is not null which one of them compares."""
    if part in chosen:
        return True
    if not (isinstance(part, IsNull) and part.negated and isinstance(part.argument, Reference)):
        return False
    compared = (one.arguments for one in chosen if isinstance(one, Call) and BY_ID[one.function].strict)
    return any(part.argument in arguments for arguments in compared)


def _number(target: Target, item: exp.Column) -> int:
    name = writing.name_of(item)
    try:
        return target.column(name, position_of(item)).number
    except UndefinedColumn:
        raise UndefinedColumn(f'column "{name}" does not exist', position=position_of(item)) from None


def _constraint(table: Table, name: str) -> tuple[UniqueKey, ...]:
    for constraint in table.constraints:
        if constraint.name == name:
            if constraint.deferrable:
                raise _deferrable()
            if constraint.kind in "pu":
                return tuple(key for key in table.unique_keys if key.name == name)
            raise ObjectNotInPrerequisiteState("constraint in ON CONFLICT clause has no associated index")
    raise UndefinedObject(f'constraint "{name}" for table "{table.name}" does not exist')


def _deferrable() -> ObjectNotInPrerequisiteState:
    return ObjectNotInPrerequisiteState(
        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters"
    )


def _update(
    clause: exp.OnConflict,
    target: Target,
    context: BindContext,
    tables: Mapping[str, CommonTable],
    hidden: bool = False,
) -> SetRow:
    """The new row and its condition. `hidden`: columns of `excluded` have to be qualified."""
    scope = Scope(context.frame, tables)
    old = scope.add(target.relation())
    excluded = scope.add(replace(target.relation(), name="excluded", schema="", need=None))
    if hidden:
        excluded.hidden = set(range(len(excluded.columns)))
    row = new_row(clause, scope, old, target, context)
    target.want("w", row.assigned)
    where = clause.args.get("where")
    condition = None
    if where is not None:
        condition = Binding(context, scope, "WHERE").condition(where.this, "WHERE")
    return SetRow(row.values, condition, row.keeps_keys)
