"""INSERT: VALUES, a query or DEFAULT VALUES, with RETURNING."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from engine.expressions import Constant, Expression, Reference
from engine.operators import Insert, Operator, Project, Upsert, Values
from sql.binding import Binding
from sql.changes import writing
from sql.changes.conflict import resolution
from sql.changes.parts import PartOfColumn, assigned
from sql.changes.writing import Target
from sql.coerce import assign
from sql.commontables import CommonTable
from sql.context import BindContext
from sql.marks import PartMark, mark_of, position_of
from sql.outcome import Field
from sql.query import plan_source
from sql.scope import Frame, Scope
from storage.definitions import ColumnDefinition, Table
from storage.errors import DuplicateColumn, FeatureNotSupported, SqlSyntaxError
from storage.types import XID

_KNOWN = frozenset(
    ("this", "expression", "returning", "default", "with_", "conflict", "replace", "overriding")
)


def bind_insert(
    tree: exp.Insert, context: BindContext, tables: Mapping[str, CommonTable]
) -> tuple[Operator, tuple[Field, ...]]:
    """The operator of an INSERT, and the columns of its RETURNING; it may name `tables`."""
    overriding = tree.args.get("overriding") or ""
    for name, value in tree.args.items():
        if value and name not in _KNOWN:
            raise FeatureNotSupported(f"{name.upper()} is not supported", position=position_of(tree))
    schema = tree.this
    named = schema.expressions if isinstance(schema, exp.Schema) else None
    target = writing.target_of(schema.this if named is not None else schema, "insert into", context)
    table = target.table
    columns = _columns(target, named, context)
    target.want("a", written_columns(tree, target, context))
    source = tree.args.get("expression")
    tables = writing.common_tables(tree, context, tables)
    if source is None:
        child = _with_defaults(table, [], None, False, context)
    elif _is_plain_values(source):
        rows = _written_rows(table, columns, named, source, Scope(context.frame, tables), overriding, context)
        child = Values(tuple(rows), tuple(column.type for column in table.columns))
    else:
        query = plan_source(source, columns, context, tables)
        given = len(query.types)
        if named is not None and given < len(columns):
            raise _too_few(named[given])
        for column in columns[:given]:
            writing.refuse_generated(column, overriding)
        child = _with_defaults(table, columns[:given], query, overriding == "user", context)
    scope = Scope(context.frame, tables)
    relation = scope.add(target.written(context))
    conflict = resolution(tree, target, context, tables)
    if conflict is not None:
        xmax = Reference(len(relation.columns), XID, "xmax")  # see engine.operators.upsert
        relation.fixed = {**relation.fixed, "xmax": xmax}
    if tree.args.get("conflict") is not None:
        scope.unreachable = frozenset(("excluded",))
    returned = writing.returning(tree.args.get("returning"), scope, [relation], context)
    expressions = None if returned is None else returned.expressions
    invariants = target.invariants(context)
    if target.through is not None and (conflict is not None or tree.args.get("returning") is not None):
        target.through.read()
    rules = writing.rules_for_insert(table, context)
    operator: Operator
    if conflict is None:
        operator = Insert(table.oid, child, expressions, invariants, rules)
    else:
        arbiters, update, replaces = conflict.arbiters, conflict.update, conflict.replaces
        if update is not None or replaces:
            rules = writing.rules_for_upsert(table, context)
        operator = Upsert(table.oid, child, arbiters, update, replaces, expressions, invariants, rules)
    return operator, () if returned is None else returned.fields


def _columns(
    target: Target, named: Sequence[exp.Expression] | None, context: BindContext
) -> list[ColumnDefinition]:
    """The columns that are written, in the statement's order; of fields of columns, what stands for them."""
    if named is None:
        return target.written_columns
    found: list[ColumnDefinition] = []
    for item in named:
        mark = mark_of(item, PartMark)
        name = writing.name_of(item) if mark is None else mark.name
        column = target.column(name, writing.place(item))
        if mark is not None:
            found.append(PartOfColumn.of(column, mark, -1 - len(found), context.text))
            continue
        if column in found:
            raise DuplicateColumn(f'column "{name}" specified more than once', position=writing.place(item))
        found.append(column)
    return found


def _parts(columns: Sequence[ColumnDefinition]) -> dict[int, list[PartOfColumn]]:
    """The parts of columns that are written, by attnum. Raises DuplicateColumn."""
    found: dict[int, list[PartOfColumn]] = {}
    for column in columns:
        if isinstance(column, PartOfColumn):
            found.setdefault(column.whole.number, []).append(column)
    for column in columns:
        if column.number in found:
            raise DuplicateColumn(f'column "{column.name}" specified more than once')
    return found


def _assembled(
    column: ColumnDefinition, parts: Sequence[tuple[PartOfColumn, Expression]], context: BindContext
) -> Expression:
    """A column of which parts are written: all else in it is null."""
    binding = Binding(context, Scope(Frame()), "INSERT")
    value: Expression = Constant(context.constant(column.type, None))
    for part, written in parts:
        value = assigned(binding, value, column.name, part.steps, written, part.position)
    return assign(value, column, 0, context)


def _bound_part(binding: Binding, part: PartOfColumn, tree: exp.Expression) -> Expression:
    """What is written into a part of a column. Raises FeatureNotSupported for DEFAULT."""
    if writing.is_default(tree):
        what = "an array element" if isinstance(part.steps[-1], exp.Bracket) else "a subfield"
        raise FeatureNotSupported(f"cannot set {what} to DEFAULT", position=position_of(tree))
    return binding.bind(tree)


def _too_few(name: exp.Expression) -> SqlSyntaxError:
    return SqlSyntaxError("INSERT has more target columns than expressions", position=writing.place(name))


def _is_plain_values(source: exp.Expression) -> bool:
    return isinstance(source, exp.Values) and not any(
        value for name, value in source.args.items() if name != "expressions"
    )


def written_columns(tree: exp.Insert, target: Target, context: BindContext) -> list[int]:
    """The attnums of the columns that an INSERT gives values for."""
    named = tree.this.expressions if isinstance(tree.this, exp.Schema) else None
    source = tree.args.get("expression")
    if source is None:
        return []
    columns = _columns(target, named, context)
    given = len(columns)
    if _is_plain_values(source) and source.expressions:
        first = source.expressions[0]
        given = len(first.expressions) if isinstance(first, exp.Tuple) else 1
    return [
        column.whole.number if isinstance(column, PartOfColumn) else column.number
        for column in columns[:given]
    ]


def inserted_row(
    tree: exp.Insert, target: Target, scope: Scope, context: BindContext
) -> tuple[Expression, ...]:
    """All columns of the table as MERGE's INSERT gives them."""
    table = target.table
    named = tree.this.expressions if isinstance(tree.this, exp.Schema) else None
    columns = _columns(target, named, context)
    source = tree.args.get("expression")
    if source is None:
        return tuple(writing.default_of(column, context) for column in table.columns)
    overriding = tree.args.get("overriding") or ""
    return _written_rows(table, columns, named, source, scope, overriding, context)[0]


def _written_rows(
    table: Table,
    columns: list[ColumnDefinition],
    named: Sequence[exp.Expression] | None,
    source: exp.Expression,
    scope: Scope,
    overriding: str,
    context: BindContext,
) -> list[tuple[Expression, ...]]:
    """Rows of written values: each is assigned by itself, DEFAULT stands for the column's."""
    binding = Binding(context, scope, "VALUES")
    trees = [list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in source.expressions]
    width = len(trees[0])
    for row in trees:
        if len(row) != width:
            raise SqlSyntaxError(
                "VALUES lists must all be the same length", position=position_of(row[0]) if row else 0
            )
    if width > len(columns):
        raise SqlSyntaxError(
            "INSERT has more expressions than target columns", position=position_of(trees[0][len(columns)])
        )
    if width < len(columns):
        if named is not None:
            raise _too_few(named[width])
        columns = columns[:width]
    written = {column.number: index for index, column in enumerate(columns)}
    parts = _parts(columns)
    rows = []
    defaults: dict[int, Expression] = {}
    for items in trees:
        cells = []
        for column in table.columns:
            if column.number in parts:
                mine = [
                    (part, _bound_part(binding, part, items[written[part.number]]))
                    for part in parts[column.number]
                ]
                cells.append(_assembled(column, mine, context))
                continue
            item = items[written[column.number]] if column.number in written else None
            ignored = overriding == "user" and column.identity
            if item is not None and not ignored and not writing.is_default(item):
                writing.refuse_generated(column, overriding)
                cells.append(assign(binding.bind(item), column, position_of(item), context))
                continue
            if column.number not in defaults:
                defaults[column.number] = writing.default_of(column, context)
            cells.append(defaults[column.number])
        rows.append(tuple(cells))
    return rows


def _with_defaults(
    table: Table, columns: list[ColumnDefinition], source: Operator | None, user: bool, context: BindContext
) -> Operator:
    """All columns of the table: those that `source` gives, and defaults for the others.

    `user`: OVERRIDING USER VALUE, by which identity columns take their own.
    """
    places = {c.number: index for index, c in enumerate(columns) if not (user and c.identity)}
    parts = _parts(columns)

    def cell(column: ColumnDefinition) -> Expression:
        if column.number in parts:
            mine = [(p, Reference(places[p.number], p.type, p.name)) for p in parts[column.number]]
            return _assembled(column, mine, context)
        if column.number in places:
            return Reference(places[column.number], column.type, column.name)
        return writing.default_of(column, context)

    row = tuple(cell(column) for column in table.columns)
    if source is None:
        return Values((row,), tuple(column.type for column in table.columns))
    if list(places) == [column.number for column in table.columns]:
        return source
    return Project(source, row)
