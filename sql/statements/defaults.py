"""Defaults of columns and domains, as they are written and kept."""

from __future__ import annotations

from collections.abc import Sequence

from sql.bind import bind_expression
from sql.coerce import assign
from sql.parse import parse_expression_tokens
from sql.scope import Frame, Scope
from sql.statements.host import Host
from sql.storedexpressions import kept_text
from sql.tokens import Token
from storage.definitions import ColumnDefinition


def kept_default(host: Host, column: ColumnDefinition, tokens: Sequence[Token], text: str) -> str | None:
    """The text to keep of a default; None for none. Raises what binding raises, and DatatypeMismatch."""
    if not tokens:
        return None
    context = host.planner.keeping(text)
    tree = parse_expression_tokens(list(tokens), text)
    bound = bind_expression(tree, Scope(Frame()), context, "DEFAULT expressions")
    assign(bound, column, tokens[0].position, context)
    return kept_text(tree, context)
