"""UPDATE ... SET ... FROM ... WHERE ... RETURNING.

The row of the plan: the items of FROM, then the table's columns and the row's id, so that FROM stands as
in any query. A projection brings them into the order that the Update operator reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.operators import Operator, Update
from sql.binding import Binding, subqueries
from sql.coerce import assign
from sql.commontables import CommonTable
from sql.context import BindContext, Plan
from sql.expressions import remap
from sql.logical import Filter, Get, Join, Node, Project
from sql.marks import FunctionMark, mark_of, position_of
from sql.query import bind_query, finish
from sql.scope import Frame, Relation, Scope
from sql.sources import Sources
from sql.statements import writing
from sql.statements.writing import Target
from storage.catalog import ColumnDefinition
from storage.errors import FeatureNotSupported, SqlSyntaxError
from storage.types import INT8

_KNOWN = frozenset(("this", "expressions", "from_", "where", "returning", "with_"))


def plan_update(tree: exp.Update, context: BindContext) -> Plan:
    """The plan of an UPDATE; its fields are those of RETURNING."""
    refuse_others(tree, _KNOWN, "UPDATE")
    target = writing.target_of(tree.this, "update", context)
    table = target.table
    clause = tree.args.get("from_")
    first = [] if clause is None else [clause.this]
    rows = TargetRows(target, first, context, writing.common_tables(tree, context))
    values = {c.number: rows.scope.column(rows.relation, i) for i, c in enumerate(table.columns)}
    assigned: set[str] = set()
    for column, bound, position in _assignments(tree, rows.scope, target, context):
        if column.name in assigned:
            raise SqlSyntaxError(f'multiple assignments to same column "{column.name}"')
        assigned.add(column.name)
        values[column.number] = assign(bound, column, position, context)  # type: ignore[assignment]
    child = rows.child(tree.args.get("where"), tuple(values[c.number] for c in table.columns))
    returned = writing.returning(tree.args.get("returning"), rows.scope, rows.shown, context)
    expressions = None if returned is None else tuple(rows.moved(e) for e in returned.expressions)
    key_columns = {table.columns[table.position(n)].name for key in table.keys for n in key.columns}
    operator = Update(
        table.oid,
        child,
        expressions,
        writing.not_null(table),
        writing.checks(table, context),
        keeps_keys=not assigned & key_columns,
    )
    fields = () if returned is None else returned.fields
    return context.plan(operator, fields)


def refuse_others(tree: exp.Expression, known: frozenset[str], verb: str) -> None:
    """Raise for a clause of the statement that nobody reads."""
    for name, value in tree.args.items():
        if value and name not in known:
            words = {"order": "ORDER BY"}.get(name, name.upper())
            raise FeatureNotSupported(f"{words} of {verb} is not supported", position=position_of(tree))


class TargetRows:
    """The rows that an UPDATE or DELETE means, joined with what else it names."""

    def __init__(
        self,
        target: Target,
        others: list[exp.Expression],
        context: BindContext,
        tables: Mapping[str, CommonTable],
    ) -> None:
        self.context = context
        self.scope = Scope(Frame(), tables)
        table = target.table
        get: Node = Get(table, tuple(range(len(table.columns))), row_ids=True)
        self.node = get
        if others:
            joins = [exp.Join(this=other) for other in others[1:]]
            node, _ = Sources(self.scope, context, bind_query).bind(others[0], joins)
            self.node = Join("inner", node, get, None)
        self.others = self.scope.width
        before = list(self.scope.relations)
        self.relation: Relation = self.scope.add(target.relation())
        self.shown = [self.relation, *before]
        self.width = len(table.columns)

    def child(self, where: exp.Expression | None, row: tuple[Expression, ...]) -> Operator:
        """The row's columns, its id, and the columns of the other items."""
        node = self.node
        if where is not None:
            binding = Binding(self.context, self.scope, "WHERE")
            node = Filter(node, binding.condition(where.this, "WHERE"))
        row_id = Reference(self.others + self.width, INT8, "")
        others = tuple(Reference(i, t, "") for i, t in enumerate(node.types[: self.others]))
        return finish(Project(node, (*row, row_id, *others)))

    def moved(self, expression: Expression) -> Expression:
        """An expression over the scope, as one over the child's row."""
        places = {self.others + i: i for i in range(self.width)}
        places |= {i: self.width + 1 + i for i in range(self.others)}
        return remap(expression, places)


def _assignments(
    tree: exp.Update, scope: Scope, target: Target, context: BindContext
) -> Iterator[tuple[ColumnDefinition, Expression, int]]:
    """Each column of SET with its value and the value's place."""
    binding = Binding(context, scope, "UPDATE")
    for item in tree.expressions:
        if not isinstance(item, exp.EQ):
            raise SqlSyntaxError("syntax error", position=position_of(item))
        left, right = item.this, item.expression
        if isinstance(left, exp.Tuple | exp.Paren):
            lefts = left.expressions if isinstance(left, exp.Tuple) else [left.this]
            columns = [_column(name, target) for name in lefts]
            yield from zip(columns, *_row(right, columns, binding, position_of(left)), strict=True)
            continue
        column = _column(left, target)
        yield column, _value(right, column, binding), position_of(right)


def _column(tree: exp.Expression, target: Target) -> ColumnDefinition:
    if isinstance(tree, exp.Bracket | exp.Dot):
        raise FeatureNotSupported(
            "assigning to an element or a field is not supported", position=position_of(tree)
        )
    qualifier = tree.args.get("table")
    name = writing.name_of(tree if qualifier is None else qualifier)
    return writing.column_of(target.table, name, position_of(tree))


def _value(tree: exp.Expression, column: ColumnDefinition, binding: Binding) -> Expression:
    if writing.is_default(tree):
        return writing.default_of(column, binding.context)
    writing.refuse_generated(column, update=True)
    return binding.bind(tree)


def _row(
    tree: exp.Expression, columns: list[ColumnDefinition], binding: Binding, position: int
) -> tuple[list[Expression], list[int]]:
    """(a, b) = (1, 2), ROW(1, 2)."""
    if subqueries.as_query(tree) is not None:
        raise FeatureNotSupported(
            "a multiple-column UPDATE item from a sub-SELECT is not supported",
            hint="Write one sub-SELECT a column, or join with FROM.",
            position=position,
        )
    mark = mark_of(tree.this, FunctionMark) if isinstance(tree, exp.Anonymous) else None
    if isinstance(tree, exp.Tuple) or (mark is not None and mark.name == "row"):
        items = list(tree.expressions)
    elif isinstance(tree, exp.Paren) and len(columns) == 1:
        items = [tree.this]
    else:
        raise FeatureNotSupported(
            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            position=position_of(tree),
        )
    if len(items) != len(columns):
        raise SqlSyntaxError("number of columns does not match number of values", position=position)
    values = [_value(item, column, binding) for item, column in zip(items, columns, strict=True)]
    return values, [position_of(item) for item in items]
