"""Columns: bare and qualified names, fields of rows, and the marks that stand among them."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Expression
from sql.binding import rows
from sql.binding.base import Binding, binds
from sql.binding.calls import gives_columns
from sql.binding.literals import constant, parameter
from sql.marks import FunctionMark, Literal, OperatorMark, ParameterMark, position_of, start_of
from sql.scope import Scope
from storage.errors import (
    FeatureNotSupported,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedTable,
)
from storage.systemcolumns import SYSTEM_NAMES

_FUZZY = 3


@binds(exp.Column, arguments="this table db catalog")
def column(binding: Binding, tree: exp.Column) -> Expression:
    """A column, or a mark that went through the parser as one."""
    this = tree.this
    if isinstance(this, exp.Star):
        return rows.star(binding, tree)
    mark = this.args["this"]
    table = tree.args.get("table")
    if not isinstance(mark, str):
        if table is not None:
            raise SqlSyntaxError('syntax error at or near "."', position=start_of(this))
        return _marked(binding, mark)
    catalog = tree.args.get("catalog")
    if catalog is not None and catalog.this != binding.context.session.database:
        written = ".".join(part.name for part in tree.parts)
        raise FeatureNotSupported(
            f"cross-database references are not implemented: {written}", position=position_of(tree)
        )
    position = position_of(tree)
    if table is None:
        found = binding.remember(_bare(binding, mark, position, tree), position)
    else:
        found = binding.remember(_qualified(binding, tree, mark, position), position)
    if binding.context.resolved is not None:
        name = binding.scope.owner(mark, "" if table is None else table.this)
        if name is not None:
            binding.context.resolved.columns[id(tree)] = name
    return found


def _marked(binding: Binding, mark: object) -> Expression:
    if isinstance(mark, Literal):
        return constant(binding, mark)
    if isinstance(mark, ParameterMark):
        return parameter(binding, mark)
    if isinstance(mark, FunctionMark | OperatorMark):
        shown = mark.name if isinstance(mark, FunctionMark) else mark.symbol
        raise SqlSyntaxError(f'syntax error at or near "{shown}"', position=mark.position)
    raise SqlSyntaxError("syntax error")


def _bare(binding: Binding, name: str, position: int, tree: exp.Expression) -> Expression:
    found = binding.scope.find(name, position)
    if found is not None:
        return found
    alias = binding.aliases.get(name)
    if alias is not None:
        # MySQL's rule: a name of the select list, where no column has it
        return binding.within(aliases={}).bind(alias)
    _refuse_system_column(binding, name, "")
    relation = binding.scope.find_relation(name)
    if relation is not None:
        item, scope = relation
        if item.function and len(item.columns) == 1:
            return binding.scope.lift(scope.column(item, 0), scope)
        return rows.whole_row(binding, tree, item, scope)
    hint = _suggestion(binding.scope, name, "")
    raise UndefinedColumn(f'column "{name}" does not exist', hint=hint, position=position)


def _qualified(binding: Binding, tree: exp.Column, name: str, position: int) -> Expression:
    table, schema = tree.args["table"].this, tree.args.get("db")
    if not isinstance(table, str):
        raise SqlSyntaxError('syntax error at or near "."', position=position)
    try:
        return binding.scope.find_qualified(table, name, position, "" if schema is None else schema.this)
    except UndefinedTable:
        row = _argument(binding, table, "" if schema is None else schema.this)
        if row is None or name not in {field.name for field in row.type.attributes or ()}:
            raise
        return rows.field(row, name, position)
    except UndefinedColumn as error:
        _refuse_system_column(binding, name, table)
        error.hint = _suggestion(binding.scope, name, table)
        raise


def _argument(binding: Binding, name: str, function: str) -> Expression | None:
    """The argument of this name of the function whose body this is, if it has one."""
    scope = binding.context.argument_scope
    if scope is None or function not in ("", scope.relations[0].name):
        return None
    (relation,) = scope.relations
    places = [at for at, column in enumerate(relation.columns) if column.name == name]
    return binding.scope.lift(scope.column(relation, places[0]), scope) if places else None


def _refuse_system_column(binding: Binding, name: str, table: str) -> None:
    """Raise for a system column that a table has, but not here: of rows that are being written."""
    if name not in SYSTEM_NAMES:
        return
    if any(relation.fixed for relation in binding.scope.relations if table in ("", relation.name)):
        raise FeatureNotSupported(f'system column "{name}" is not supported in {binding.clause}')


@binds(exp.Dot)
def field(binding: Binding, tree: exp.Dot) -> Expression:
    """(f(x)).field: a column of what a table function gives."""
    inner, name = tree.this.unnest(), tree.args["expression"]
    position = position_of(tree)
    if isinstance(name, exp.Star):
        return rows.must_be_row(binding.bind(inner), "*", position)
    if (
        gives_columns(inner, binding.context)
        and isinstance(name, exp.Identifier)
        and binding.rows is not None
    ):
        for column_name, expression in binding.rows(inner):
            if column_name == name.this:
                return expression
        raise UndefinedColumn(f'column "{name.this}" not found in data type record', position=position)
    if not isinstance(name, exp.Identifier):
        raise SqlSyntaxError('syntax error at or near "."', position=position)
    if isinstance(inner, exp.Column) and inner.args.get("table") is None:
        table = inner.this.this
        if isinstance(table, str) and _is_relation(binding, table, position):
            return _field_of(binding, tree, table, name.this, position)
    row = binding.bind(inner)
    resolved = binding.context.resolved
    if resolved is not None and row.type.is_composite:
        number = next((a.number for a in row.type.attributes or () if a.name == name.this), 0)
        resolved.fields[id(tree)] = rows.attribute_of(binding, row.type, number)
    return rows.field(row, name.this, position)


def _is_relation(binding: Binding, name: str, position: int) -> bool:
    """Whether a name means an item of FROM, and no column."""
    return binding.scope.find_relation(name) is not None and binding.scope.find(name, position) is None


def _field_of(binding: Binding, tree: exp.Dot, table: str, name: str, position: int) -> Expression:
    """(t).name is t.name."""
    found = binding.scope.find_qualified(table, name, position)
    owner = None if binding.context.resolved is None else binding.scope.owner(name, table)
    if binding.context.resolved is not None and owner is not None:
        binding.context.resolved.columns[id(tree)] = owner
    return found


@binds(exp.Alias, arguments="this alias")
def stray_alias(binding: Binding, tree: exp.Alias) -> Expression:
    """A name behind an operand inside an expression: (a b)."""
    alias = tree.args["alias"]
    raise SqlSyntaxError(f'syntax error at or near "{alias.this}"', position=start_of(alias))


def _suggestion(scope: Scope, name: str, table: str) -> str:
    """PostgreSQL's 'Perhaps you meant' for a name that is close to one there is."""
    found: list[tuple[int, str]] = []
    level: Scope | None = scope
    while level is not None:
        for relation in level.relations:
            if table and relation.name != table:
                continue
            for candidate in relation.columns:
                distance = _distance(name, candidate.name)
                if distance <= min(_FUZZY, len(name) // 2):
                    found.append((distance, f'"{relation.name}.{candidate.name}"'))
        level = level.frame.parent
    if not found:
        return ""
    nearest = min(distance for distance, _ in found)
    best = list(dict.fromkeys(text for distance, text in found if distance == nearest))
    if len(best) > 2:
        return ""
    return f"Perhaps you meant to reference the column {' or the column '.join(best)}."


def _distance(left: str, right: str) -> int:
    """Levenshtein's, cut short where it cannot matter."""
    if abs(len(left) - len(right)) > _FUZZY:
        return _FUZZY + 1
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
