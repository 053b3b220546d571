"""What tests of queries share: a small catalog, a session that knows nothing, plans and answers."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from engine import forms
from engine.operators.base import Operator
from engine.run import Run
from sql.context import BindContext, ParameterTypes, Plan
from sql.parse import parse
from sql.query import plan_query
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.definitions import ColumnDefinition, Constraint, Table
from storage.types import DATE, FLOAT8, INT4, INT8, NUMERIC, TEXT, Type, binary, varchar, vector


class StubSession:
    """A session without settings, which spells reg types as numbers."""

    user = session_user = "glancedb"
    database = "glancedb"
    backend_pid = 1

    def setting(self, name: str) -> str | None:
        return None

    def set_setting(self, name: str, value: str, local: bool) -> str:
        return value

    def search_path(self, implicit: bool) -> list[str]:
        return ["pg_catalog", "public"] if implicit else ["public"]

    def name_of(self, kind: str, oid: int) -> str:
        return str(oid)

    def oid_of(self, kind: str, text: str) -> int:
        return int(text) if text.isdigit() else 0


SESSION: Any = StubSession()


def _table(oid: int, name: str, columns: Sequence[tuple[str, Type]], key: bool = False) -> Table:
    definitions = tuple(ColumnDefinition(n, t, i) for i, (n, t) in enumerate(columns, 1))
    constraints = (Constraint(oid + 1, f"{name}_pkey", "p", (1,), index=oid + 2),) if key else ()
    return Table(oid, 2200, name, definitions, constraints)


_COLUMNS = [("a", INT4), ("b", TEXT), ("c", varchar(10)), ("v", FLOAT8), ("d", DATE)]
T = _table(20_000, "t", _COLUMNS, key=True)
KEYLESS = _table(20_050, "keyless", _COLUMNS)
U = _table(20_010, "u", [("a", INT4), ("x", INT8), ("n", NUMERIC)])
E = _table(20_020, "e", [("k", INT4), ("nm", TEXT)])
FEATURES = _table(20_030, "features", [("id", INT8), ("image", binary(16)), ("label", TEXT)])
VECTORS = _table(20_040, "vectors", [("id", INT8), ("v", vector(4))])
TABLES = (T, U, E, FEATURES, VECTORS, KEYLESS)


def _day(text: str | None) -> int | None:
    return None if text is None else (datetime.date.fromisoformat(text) - datetime.date(2000, 1, 1)).days


T_ROWS = [
    (1, "x", "one", 1.5, _day("2024-01-01")),
    (2, "y", "two", -2.25, _day("2024-02-29")),
    (3, None, "three", None, None),
    (4, "x", None, 0.0, _day("1999-12-31")),
    (5, "zed", "five", 1e10, _day("2030-06-15")),
]
U_ROWS = [
    (1, 10, Decimal("1.10")),
    (1, 11, Decimal("2.5")),
    (2, 20, None),
    (7, 70, Decimal("-3.333")),
    (None, 5, Decimal(0)),
]


def catalog() -> Catalog:
    """The tables, without rows."""
    found = Catalog()
    for table in TABLES:
        found = found.changed({table.oid: table})
    return found


def filled() -> Database:
    """A database in memory with the tables and their rows."""
    database = Database.open(None)
    transaction = database.begin()
    for table in TABLES:
        transaction.define(table)
    for table, rows in ((T, T_ROWS), (U, U_ROWS)):
        columns = [Column.of(c.type, [row[i] for row in rows]) for i, c in enumerate(table.columns)]
        transaction.insert(table.oid, Batch.of(*columns))
    transaction.commit()
    return database


def plan(text: str, types: Sequence[Type | None] = (), where: Catalog | None = None) -> Plan:
    """The plan of one query."""
    (statement,) = parse(text)
    tree: Any = statement.tree
    context = BindContext(where or catalog(), ("pg_catalog", "public"), SESSION, ParameterTypes(types), text)
    return plan_query(tree, context)


def explained(operator: Operator, depth: int = 0) -> list[str]:
    """A plan's operators, one a line, children indented."""
    lines = ["  " * depth + operator.explain()]
    for child in operator.children:
        lines += explained(child, depth + 1)
    return lines


@contextmanager
def _transaction(database: Database) -> Iterator[Any]:
    transaction = database.begin()
    try:
        yield transaction
    finally:
        transaction.rollback()


def answer(
    database: Database, text: str, parameters: Sequence[Column] = ()
) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    """(names, types, rows as text) of a query."""
    with _transaction(database) as transaction:
        snapshot = transaction.snapshot()
        found = plan(text, [p.type for p in parameters], snapshot.catalog)
        run = Run(snapshot, transaction, parameters, session=SESSION)
        rows: list[tuple[Any, ...]] = []
        for batch in found.operator.batches(run):
            columns = [forms.text_of(column).tolist() for column in batch.columns]
            rows += list(zip(*columns, strict=True)) if columns else [()] * batch.rows
    return [f.name for f in found.fields], [str(f.type) for f in found.fields], rows
