"""What a recursive query may be: PostgreSQL's rules for WITH RECURSIVE.

The step sees the rows of the last round only, so it may name the query once, and not where rows are taken
away or summed up: there a round would not say what the whole result does. The rules are read off the
tree; a name that a WITH inside hides is another table.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from engine.aggregates.registry import AGGREGATES
from sql.marks import FunctionMark, mark_of, position_of
from storage.errors import FeatureNotSupported, InvalidRecursion

_MODIFIERS = (
    ("order", "ORDER BY in a recursive query"),
    ("limit", "LIMIT in a recursive query"),
    ("offset", "OFFSET in a recursive query"),
    ("locks", "FOR UPDATE/SHARE in a recursive query"),
)


def references(tree: exp.Expression, name: str) -> Iterator[exp.Table]:
    """The places of a query that name the table."""
    for table in tree.find_all(exp.Table, bfs=False):
        named = isinstance(table.this, exp.Identifier) and table.this.this == name
        if named and table.args.get("db") is None and not _hidden(table, tree, name):
            yield table


def _hidden(table: exp.Table, tree: exp.Expression, name: str) -> bool:
    node = table.parent
    while node is not None and node is not tree:
        clause = node.args.get("with_")
        if clause is not None and any(item.alias == name for item in clause.expressions):
            return True
        node = node.parent
    return False


def check_recursion(name: str, query: exp.Union) -> None:
    """Raises InvalidRecursion or FeatureNotSupported where `initial UNION step` may not be run in rounds."""
    for modifier, words in _MODIFIERS:
        given = query.args.get(modifier)
        if given:
            place = given[0] if isinstance(given, list) else given
            raise FeatureNotSupported(f"{words} is not implemented", position=position_of(place))
    for table in references(query.this, name):
        raise _misplaced(name, "within its non-recursive term", table)
    step = query.expression
    if step.args.get("locks"):
        raise FeatureNotSupported("FOR UPDATE/SHARE in a recursive query is not implemented")
    for number, table in enumerate(references(step, name)):
        where = _forbidden(table, step)
        if where:
            raise _misplaced(name, where, table)
        if number:
            raise _misplaced(name, "more than once", table)
        _check_aggregates(table)


def _misplaced(name: str, where: str, table: exp.Table) -> InvalidRecursion:
    return InvalidRecursion(
        f'recursive reference to query "{name}" must not appear {where}', position=position_of(table)
    )


def _forbidden(table: exp.Table, step: exp.Expression) -> str:
    """Where the table stands that it may not, '' if it may."""
    node: exp.Expr = table
    while node is not step and node.parent is not None:
        parent = node.parent
        if _nullable(node, parent):
            return "within an outer join"
        if isinstance(parent, exp.Except) and (node.arg_key == "expression" or not parent.args["distinct"]):
            return "within EXCEPT"
        if isinstance(parent, exp.Intersect) and not parent.args["distinct"]:
            return "within INTERSECT"
        if isinstance(node, exp.Query) and not _is_source(node, parent):
            return "within a subquery"
        node = parent
    return ""


def _side(join: exp.Join) -> str:
    return str(join.args.get("side") or "").upper()


def _nullable(node: exp.Expr, parent: exp.Expr) -> bool:
    """Whether an outer join fills this item of FROM with nulls."""
    if isinstance(parent, exp.Join):
        return node.arg_key == "this" and _side(parent) in ("LEFT", "FULL")
    joins = parent.args.get("joins") or []
    if isinstance(node, exp.Join):
        joins = joins[(node.index or 0) + 1 :]
    elif node.arg_key not in ("from_", "this"):
        return False
    return any(_side(join) in ("RIGHT", "FULL") for join in joins)


def _is_source(query: exp.Expr, parent: exp.Expr) -> bool:
    """Whether a query gives rows to FROM, to WITH or to a set operation, and not a value."""
    return isinstance(parent, exp.From | exp.Join | exp.Lateral | exp.CTE | exp.SetOperation) or (
        isinstance(parent, exp.Subquery) and query.arg_key == "this"
    )


def _check_aggregates(table: exp.Table) -> None:
    """The query level that names the table may not aggregate."""
    level = table.find_ancestor(exp.Select)
    for node in level.find_all(exp.Anonymous) if level is not None else ():
        mark = mark_of(node.this, FunctionMark)
        if mark is None or node.find_ancestor(exp.Select) is not level:
            continue
        if mark.name in AGGREGATES and not isinstance(node.parent, exp.Window):
            raise InvalidRecursion(
                "aggregate functions are not allowed in a recursive query's recursive term",
                position=mark.position,
            )
