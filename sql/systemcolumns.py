"""System columns in statements: which of them a tree names, and what they are where no scan gives them.

A table in FROM gives those that its query level names anywhere, behind its own columns: see
sql.scope.Relation.system. Other relations have what is the same for all of their rows (`fixed`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from engine.expressions import Constant, Expression
from sql.context import BindContext
from sql.scope import ScopeColumn
from storage.systemcolumns import CMAX, CMIN, SYSTEM_COLUMNS, SYSTEM_NAMES, TABLEOID, XMAX, XMIN


def named(*trees: exp.Expression | None) -> tuple[int, ...]:
    """The attnums of the system columns that trees name, in queries inside of them too."""
    found = {
        SYSTEM_NAMES[name].number
        for tree in trees
        if tree is not None
        for column in tree.find_all(exp.Column)
        if isinstance(name := column.this.args.get("this"), str) and name in SYSTEM_NAMES
    }
    return tuple(sorted(found, reverse=True))


def columns(table: int, numbers: tuple[int, ...]) -> tuple[ScopeColumn, ...]:
    """System columns of a table (an OID) as a scope has them."""
    known = (SYSTEM_COLUMNS[number] for number in numbers)
    return tuple(ScopeColumn(column.name, column.type, table, column.number) for column in known)


def of_written(table: int, context: BindContext) -> Mapping[str, Expression]:
    """What is known of rows that a statement is writing: all but the place and the version they will have."""
    return _constants({TABLEOID: table, XMAX: 0, CMIN: 0, CMAX: 0}, context)


def of_view(view: int, context: BindContext) -> Mapping[str, Expression]:
    """Those of a catalog's rows, which nobody locks or changes."""
    return _constants({TABLEOID: view, XMIN: 1, XMAX: 0, CMIN: 0, CMAX: 0}, context)


def _constants(values: Mapping[int, int], context: BindContext) -> Mapping[str, Expression]:
    return {
        SYSTEM_COLUMNS[number].name: Constant(context.constant(SYSTEM_COLUMNS[number].type, value))
        for number, value in values.items()
    }
