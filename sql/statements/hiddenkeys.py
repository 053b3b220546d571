"""Unique indexes on expressions, and of some rows: what is unique in them are hidden columns of the table.

    CREATE UNIQUE INDEX ON users (lower(email)) WHERE NOT gone

An expression is stored as a hidden column. Of an index of some rows one more says which: it is true there,
and null elsewhere, and keys with a null are never taken. So storage knows no expressions.
"""

from __future__ import annotations

from dataclasses import replace

from engine.functions.quoting import called
from sql.changes import writing
from sql.context import BindContext
from sql.parse import parse_expression
from storage.definitions import ColumnDefinition, Index, Table
from storage.errors import FeatureNotSupported
from storage.types import BOOL, Type


def with_index(table: Table, index: Index, context: BindContext) -> Table:
    """The table with one more index, and the hidden columns that a unique one needs.

    Raises FeatureNotSupported.
    """
    hidden: list[ColumnDefinition] = []

    def added(name: str, type: Type, text: str) -> int:
        number = table.next_hidden + len(hidden)
        hidden.append(ColumnDefinition(name, type, number, generated=text, reads=index.reads))
        return number

    if index.unique and (index.predicate or any(index.expressions)):
        if index.predicate and index.nulls:
            raise FeatureNotSupported("unique partial indexes with NULLS NOT DISTINCT are not supported")
        keys = []
        for at, number in enumerate(index.columns):
            text = index.text(at)
            if text:
                number = added(shown(text), _type_of(table, text, context), text)
            keys.append(number)
        if index.predicate:
            keys.append(added("", BOOL, f"CASE WHEN {index.predicate} THEN true END"))
        index = replace(index, keys=tuple(keys))
    return replace(table, hidden=(*table.hidden, *hidden), indexes=(*table.indexes, index))


def shown(text: str) -> str:
    """An index's expression as errors name it: a call without its schema."""
    front, opening, rest = text.partition("(")
    return front.rpartition(".")[2] + opening + rest if called(text) else f"({text})"


def renewed(table: Table, number: int, context: BindContext) -> Table:
    """The table with its indexes made anew whose expressions read a column (attnum) that has another type."""
    for index in table.indexes:
        if number in index.reads and (index.expressions or index.predicate):
            results = tuple(
                0 if not text else _type_of(table, text, context).catalog_oid for text in index.expressions
            )
            without = replace(table, indexes=tuple(i for i in table.indexes if i.oid != index.oid))
            table = with_index(without, replace(index, keys=(), results=results), context)
    return table.pruned


def _type_of(table: Table, text: str, context: BindContext) -> Type:
    binding = writing.over_columns(table, "index expressions", context)
    with context.kept():
        return binding.value(parse_expression(text)).type
