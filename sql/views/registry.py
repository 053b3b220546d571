"""The table of catalog views: real rows by name, built once per catalog version.

`relations.txt` names every relation of pg_catalog and information_schema with its OID, kind and columns
as PostgreSQL has them ('!' marks a column that is never null). A builder gives the rows of one of them:

    @view("pg_catalog", "pg_namespace")
    def pg_namespace(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
        for schema in catalog.schemas.values():
            yield {"oid": schema.oid, "nspname": schema.name, "nspowner": schema.owner}

A row is a dict of the columns that say something; the others are null, or the zero of their type where
they are never null. A relation that nobody builds is there, and empty. Views over views are SQL
(`sql_view`), which the binder expands like a subquery. `fixed=True` says that the rows are the same
under every catalog, `volatile=True` that they are different for each statement.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from typing import Any

from engine.seams import SessionInfo
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column
from storage.types import BY_NAME, Form, Type

Row = Mapping[str, Any]
_PRIVATE = frozenset(
    (
        "pg_authid",
        "pg_config",
        "pg_file_settings",
        "pg_hba_file_rules",
        "pg_largeobject",
        "pg_shadow",
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_user_mapping",
    )
)
Builder = Callable[[Catalog, SessionInfo], Iterable[Row]]


@dataclass(frozen=True)
class SystemView:
    """A built-in relation: builders of its rows, or the SQL text it stands for."""

    schema: str
    name: str
    oid: int
    kind: str  # pg_class.relkind: r, v, or S of a sequence that is read
    columns: tuple[tuple[str, Type], ...]
    never_null: frozenset[str] = frozenset()
    builders: tuple[Builder, ...] = ()
    fixed: tuple[Builder, ...] = ()
    text: str = ""
    volatile: bool = False

    @property
    def word(self) -> str:
        """What it is called in errors."""
        return {"v": "view", "S": "sequence"}.get(self.kind, "table")

    @property
    def private(self) -> bool:
        """Whether superusers alone may read it."""
        return self.schema == "pg_catalog" and self.name in _PRIVATE

    @cached_property
    def types(self) -> tuple[Type, ...]:
        """The columns' types."""
        return tuple(type for _, type in self.columns)

    def batch(self, catalog: Catalog, session: SessionInfo) -> Batch:
        """All rows, as one batch: kept while the catalog is the same, unless the view is volatile."""
        if self.volatile:
            return self._build(self.builders, catalog, session)
        key = (self.schema, self.name)
        with _LOCK:
            for known, batch in _BUILT.get(key, ()):
                if known is catalog:
                    return batch
        parts = [self._build(self.builders, catalog, session)]
        if self.fixed:
            parts.insert(0, self._fixed_part(catalog, session))
        batch = Batch.concat(parts)
        with _LOCK:
            _BUILT[key] = ((catalog, batch), *_BUILT.get(key, ())[: _CATALOGS - 1])
        return batch

    def _fixed_part(self, catalog: Catalog, session: SessionInfo) -> Batch:
        key = (self.schema, self.name)
        with _LOCK:
            part = _FIXED.get(key)
        if part is None:
            part = self._build(self.fixed, catalog, session)
            with _LOCK:
                _FIXED[key] = part
        return part

    def _build(self, builders: tuple[Builder, ...], catalog: Catalog, session: SessionInfo) -> Batch:
        rows = [row for builder in builders for row in builder(catalog, session)]
        columns = []
        for name, type in self.columns:
            zero = _zero(type) if name in self.never_null else None
            columns.append(Column.of(type, [row.get(name, zero) for row in rows]))
        assert all(row.keys() <= self._names for row in rows), f"{self.name}: a row has unknown columns"
        return Batch(tuple(columns), len(rows))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.columns)


_LOCK = threading.Lock()
_CATALOGS = 4  # for which rows are kept: sessions with temporary objects have catalogs of their own
_BUILT: dict[tuple[str, str], tuple[tuple[Catalog, Batch], ...]] = {}
_FIXED: dict[tuple[str, str], Batch] = {}


def _zero(type: Type) -> Any:
    if type.form is Form.LIST:
        return []
    if type.form is Form.TEXT:
        return ""
    return b"" if type.form is Form.BYTES else 0


def _relations() -> dict[tuple[str, str], SystemView]:
    text = resources.files("sql.views").joinpath("relations.txt").read_text()
    views = {}
    for line in text.splitlines():
        head, _, body = line.partition(": ")
        schema, name, oid, kind = head.split()
        pairs = [column.split() for column in body.split(", ")]
        columns = tuple((column, BY_NAME[type.rstrip("!")]) for column, type in pairs)
        never_null = frozenset(column for column, type in pairs if type.endswith("!"))
        views[schema, name] = SystemView(schema, name, int(oid), kind, columns, never_null)
    return views


VIEWS: dict[tuple[str, str], SystemView] = _relations()


def view(
    schema: str, name: str, *, fixed: bool = False, volatile: bool = False
) -> Callable[[Builder], Builder]:
    """Declare a builder of a view's rows; a view may have several."""

    def declare(builder: Builder) -> Builder:
        known = VIEWS[schema, name]
        if fixed:
            VIEWS[schema, name] = replace(known, fixed=(*known.fixed, builder))
        else:
            VIEWS[schema, name] = replace(
                known, builders=(*known.builders, builder), volatile=known.volatile or volatile
            )
        return builder

    return declare


def sql_view(schema: str, name: str, text: str) -> None:
    """Declare the SQL text of a view; its columns come out under the names PostgreSQL gives them."""
    VIEWS[schema, name] = replace(VIEWS[schema, name], text=text)
