"""GENERATED ALWAYS AS (expression) STORED: what an expression may be, and the text that is kept of it."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from engine.expressions import Expression, Reference, walk
from sql.bind import table_scope
from sql.binding import Binding
from sql.coerce import assign
from sql.definitions import ColumnClause
from sql.expressions import is_set, references
from sql.immutable import is_immutable
from sql.marks import position_of
from sql.parse import parse_expression_tokens
from sql.statements.host import Host
from sql.storedexpressions import kept_text
from sql.tokens import lex
from storage.definitions import ColumnDefinition, Table
from storage.errors import FeatureNotSupported, InvalidColumnReference, InvalidObjectDefinition
from storage.systemcolumns import SYSTEM_NAMES

CLAUSE = "column generation expressions"


def with_generated(
    host: Host, table: Table, column: ColumnDefinition, clause: ColumnClause, text: str
) -> Table:
    """A table that is to have a column of these, which is generated: with the expression in its definition.

    Raises InvalidObjectDefinition, InvalidColumnReference, FeatureNotSupported and what binding raises.
    """
    if clause.computed:
        tokens, text = tuple(lex(clause.computed)), clause.computed
    else:
        (tokens,) = clause.generated
    tree = parse_expression_tokens(list(tokens), text)
    _refuse(tree, table)
    context = host.planner.keeping(text)
    bound = Binding(context, table_scope(table), CLAUSE).bind(tree)
    if is_set(bound):
        raise FeatureNotSupported(
            f"set-returning functions are not allowed in {CLAUSE}", position=tokens[0].position
        )
    reads = sorted(references(bound))
    for place in reads:
        other = table.columns[place]
        if other.generated or other.number == column.number:
            raise InvalidObjectDefinition(
                f'cannot use generated column "{other.name}" in column generation expression',
                detail="A generated column cannot reference another generated column.",
                position=next(context.place(n, 0) for n in walk(bound) if _reads(n, place)),
            )
    value = assign(bound, column, tokens[0].position, context, what="default expression")
    if not is_immutable(value, context):
        raise InvalidObjectDefinition("generation expression is not immutable")
    kept = kept_text(tree, context)
    made = replace(column, generated=kept, reads=tuple(table.columns[place].number for place in reads))
    return replace(table, columns=tuple(made if c.number == column.number else c for c in table.columns))


def _reads(node: Expression, place: int) -> bool:
    return isinstance(node, Reference) and node.index == place


def _refuse(tree: exp.Expression, table: Table) -> None:
    """What an expression cannot name, besides columns that are not there."""
    for node in tree.find_all(exp.Column):
        name = node.this.this  # of what is no column, but is read as one, a mark
        if isinstance(node.this, exp.Star) or (name == table.name and table.column(name) is None):
            raise InvalidObjectDefinition(
                "cannot use whole-row variable in column generation expression",
                detail="This would cause the generated column to depend on its own value.",
            )
        if isinstance(name, str) and name in SYSTEM_NAMES and name != "tableoid":
            raise InvalidColumnReference(
                f'cannot use system column "{name}" in column generation expression',
                position=position_of(node),
            )
