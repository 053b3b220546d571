"""The table of catalog views: real rows by name, built once per catalog version.

    @view("pg_catalog", "pg_namespace", oid=2615, columns=[("oid", OID), ...])
    def pg_namespace(catalog: Catalog, session: SessionInfo) -> Iterable[tuple[object, ...]]: ...

Views over views are SQL: `sql_view("pg_catalog", "pg_tables", "SELECT ...")`; the binder expands them
like a subquery. Rows are Python values as `Column.of` takes them. A view whose rows depend on the
session (pg_settings, pg_stat_activity) says `volatile=True` and is built for each statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from engine.seams import SessionInfo
from storage.catalog import Catalog
from storage.types import Type

Builder = Callable[[Catalog, SessionInfo], Iterable[tuple[object, ...]]]


@dataclass(frozen=True)
class View:
    """A built-in relation: `rows` builds it, or `text` is the SQL it stands for."""

    schema: str
    name: str
    oid: int
    columns: tuple[tuple[str, Type], ...]  # empty for a view in SQL until it is bound
    rows: Builder | None = None
    text: str = ""
    volatile: bool = False
    kind: str = "r"  # pg_class.relkind


VIEWS: dict[tuple[str, str], View] = {}


def view(
    schema: str,
    name: str,
    *,
    oid: int,
    columns: Sequence[tuple[str, Type]],
    volatile: bool = False,
    kind: str = "r",
) -> Callable[[Builder], Builder]:
    """Declare a view built by a function."""

    def declare(builder: Builder) -> Builder:
        assert (schema, name) not in VIEWS, f"{schema}.{name} is declared twice"
        VIEWS[schema, name] = View(schema, name, oid, tuple(columns), builder, volatile=volatile, kind=kind)
        return builder

    return declare


def sql_view(schema: str, name: str, oid: int, text: str) -> None:
    """Declare a view that is SQL over other views."""
    assert (schema, name) not in VIEWS, f"{schema}.{name} is declared twice"
    VIEWS[schema, name] = View(schema, name, oid, (), text=text, kind="v")
