"""Texts over a table's columns, as the catalog keeps them: checks, index expressions, generated columns."""

from __future__ import annotations

from sql.bind import table_scope
from sql.context import BindContext, ParameterTypes
from sql.statements.host import Host
from sql.unparse import Renames, expression_text
from storage.definitions import Table


def written(host: Host, table: Table, expression: str, renames: Renames) -> str:
    """An expression's text over the table's columns, every name as what it means, under new names."""
    path = tuple(host.search_path(True))
    context = BindContext(host.catalog, path, host, ParameterTypes((), fixed=True), expression)
    return expression_text(expression, table_scope(table), context, renames)
