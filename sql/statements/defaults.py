"""Defaults of columns and domains, as they are written and kept."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sql.bind import bind_expression
from sql.coerce import assign
from sql.marks import position_of
from sql.parse import parse_expression_tokens
from sql.scope import Frame, Scope
from sql.statements.host import Host
from sql.storedexpressions import kept_text
from sql.tokens import Token
from storage.definitions import ColumnDefinition
from storage.errors import FeatureNotSupported


def kept_default(host: Host, column: ColumnDefinition, tokens: Sequence[Token], text: str) -> str | None:
    """The text to keep of a default; None for none. Raises what binding raises, and DatatypeMismatch."""
    if not tokens:
        return None
    context = host.planner.keeping(text)
    tree = parse_expression_tokens(list(tokens), text)
    _refuse_columns(tree)
    bound = bind_expression(tree, Scope(Frame()), context, "DEFAULT expressions")
    assign(bound, column, tokens[0].position, context, what="default expression")
    return kept_text(tree, context)


def _refuse_columns(tree: exp.Expression) -> None:
    """Raise FeatureNotSupported where a default reads a column; subqueries are the binder's to refuse."""
    columns = [] if tree.find(exp.Query) else tree.find_all(exp.Column)
    for column in columns:
        if isinstance(column.this.this, str):  # of what is no column, but is read as one, a mark
            message = "cannot use column reference in DEFAULT expression"
            raise FeatureNotSupported(message, position=position_of(column))
