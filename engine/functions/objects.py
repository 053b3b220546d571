"""Objects of the catalog: their comments, and what may be done with them.

They answer from the run's catalog; an OID that nothing has gives null, as in PostgreSQL.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from engine import forms
from engine.extensions import AVAILABLE
from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Relation, Table, View
from storage.types import (
    ANY,
    BOOL,
    BYTEA,
    INT2,
    INT4,
    NAME,
    OID,
    REGCLASS,
    TEXT,
    array_of,
)

_PG_CLASS = "pg_class"


def _commented(catalog: Catalog, oid: int) -> tuple[str, str] | None:
    """(the catalog that an object stands in, its comment)."""
    relation = catalog.relations.get(oid)
    if relation is not None:
        return _PG_CLASS, relation.comment
    schema, role = catalog.schemas.get(oid), catalog.roles.get(oid)
    if schema is not None:
        return "pg_namespace", schema.comment
    if role is not None:
        return "pg_authid", role.comment
    if oid in catalog.extensions:
        return "pg_extension", catalog.extensions[oid].comment
    if oid in catalog.functions:
        return "pg_proc", catalog.functions[oid].comment
    if oid in catalog.types:
        return "pg_type", catalog.types[oid].comment
    for table in catalog.tables():
        for constraint in table.constraints:
            if constraint.oid == oid:
                return "pg_constraint", constraint.comment
        for index in table.indexes:
            if index.oid == oid:
                return _PG_CLASS, index.comment
    return None


def _comment(catalog: Catalog, oid: int, place: str | None = None) -> str | None:
    found = _commented(catalog, oid)
    return None if found is None or (place is not None and found[0] != place) else found[1] or None


@scalar("obj_description", [OID, NAME], TEXT, volatility="s", run=True)
def obj_description(oid: Column, catalog_name: Column, run: Run) -> Column:
    """The comment of an object of a catalog."""
    return each(lambda o, name: _comment(run.snapshot.catalog, o, name), oid, catalog_name)


@scalar("obj_description", [OID], TEXT, volatility="s", run=True)
def obj_description_anywhere(oid: Column, run: Run) -> Column:
    """The comment of an object."""
    return each(lambda o: _comment(run.snapshot.catalog, o), oid)


@scalar("col_description", [OID, INT4], TEXT, volatility="s", run=True)
def col_description(oid: Column, number: Column, run: Run) -> Column:
    """The comment of a column."""
    relations = run.snapshot.catalog.relations

    def one(oid: int, number: int) -> str | None:
        relation = relations.get(oid)
        match relation:
            case Table():
                found = next((c.comment for c in relation.columns if c.number == number), "")
            case View() if 1 <= number <= len(relation.columns):
                found = relation.columns[number - 1].comment
            case _:
                found = ""
        return found or None

    return each(one, oid, number)


@scalar("shobj_description", [OID, NAME], TEXT, volatility="s", run=True)
def shobj_description(oid: Column, catalog_name: Column, run: Run) -> Column:
    """The comment of a role: databases and tablespaces have none."""
    return each(lambda o, name: _comment(run.snapshot.catalog, o, name), oid, catalog_name)


@scalar("pg_tablespace_location", [OID], TEXT, volatility="s")
def pg_tablespace_location(oid: Column) -> Column:
    """Where a tablespace lies: '' for the data folder."""
    return each(lambda o: "", oid)


@scalar("pg_relation_is_publishable", [REGCLASS], BOOL, volatility="s", run=True)
def pg_relation_is_publishable(oid: Column, run: Run) -> Column:
    """Whether a relation could be in a publication."""
    relations = run.snapshot.catalog.relations
    return each(lambda o: isinstance(relations.get(o), Table), oid, type=BOOL)


@scalar("pg_relation_is_updatable", [REGCLASS, BOOL], INT4, volatility="s", run=True)
def pg_relation_is_updatable(oid: Column, triggers: Column, run: Run) -> Column:
    """28 (insert, update and delete) for a table or a view that is written through, 0 for others."""
    relations = run.snapshot.catalog.relations
    return each(lambda o, t: 28 if _is_updatable(relations.get(o)) else 0, oid, triggers, type=INT4)


def _is_updatable(relation: Relation | None) -> bool:
    if isinstance(relation, View):
        return relation.updatable
    return isinstance(relation, Table) and relation.materialized is None


@scalar("pg_column_is_updatable", [REGCLASS, INT2, BOOL], BOOL, volatility="s", run=True)
def pg_column_is_updatable(oid: Column, number: Column, triggers: Column, run: Run) -> Column:
    """Whether a column may be changed."""
    relations = run.snapshot.catalog.relations
    return each(lambda o, n, t: n > 0 and _is_updatable(relations.get(o)), oid, number, triggers, type=BOOL)


@scalar("row_security_active", [TEXT], BOOL, volatility="s", run=True)
@scalar("row_security_active", [OID], BOOL, volatility="s", run=True)
def row_security_active(table: Column, run: Run) -> Column:
    """Whether policies choose the rows that the user sees of a table: there are none."""

    def one(table: int | str) -> bool:
        if isinstance(table, str):
            session_of(run).oid_of("class", table)
        return False

    return each(one, table, type=BOOL)


_PROPERTIES = {
    "asc": True,
    "desc": False,
    "nulls_first": False,
    "nulls_last": True,
    "orderable": True,
    "distance_orderable": False,
    "returnable": True,
    "search_array": True,
    "search_nulls": True,
}


@scalar("pg_index_column_has_property", [REGCLASS, INT4, TEXT], BOOL, volatility="s", run=True)
def pg_index_column_has_property(oid: Column, number: Column, property: Column, run: Run) -> Column:
    """What a key's column can do."""
    tables = run.snapshot.catalog.tables()
    widths = {index.oid: len(index.columns) for table in tables for index in table.every_index}

    def one(oid: int, number: int, property: str) -> bool | None:
        if not 0 < number <= widths.get(oid, 0):
            return None
        return _PROPERTIES.get(property)

    return each(one, oid, number, property, type=BOOL)


@scalar("pg_stat_get_numscans", [OID], INT4, volatility="s")
def pg_stat_get_numscans(oid: Column) -> Column:
    """How often a relation was scanned: not counted."""
    return each(lambda o: 0, oid, type=INT4)


@scalar("pg_partition_ancestors", [REGCLASS], REGCLASS, volatility="s", returns_set=True)
def pg_partition_ancestors(oid: Column) -> Column:
    """The partitioned tables above a partition: there are none."""
    return Column.of(REGCLASS, [])


@scalar(
    "pg_options_to_table",
    [array_of(TEXT)],
    TEXT,
    returns_set=True,
    volatility="s",
    columns=(("option_name", TEXT), ("option_value", TEXT)),
)
def pg_options_to_table(options: Column) -> list[Column]:
    """Options 'name=value' as rows."""
    pairs = [str(item).partition("=") for item in options.tolist()[0]]
    return [
        Column.of(TEXT, [name for name, _, _ in pairs]),
        Column.of(TEXT, [value if equals else None for _, equals, value in pairs]),
    ]


@scalar("pg_column_size", [ANY], INT4, volatility="s", run=True, constants=True)
def pg_column_size(column: Column, run: Run) -> Column:
    """The bytes of values as PostgreSQL would keep them, before compression; about, of types with parts."""
    size = column.type.size
    if size > 0:
        sizes = [size] * len(column)
        return Column(INT4, np.array(sizes, np.int32), column.valid, constant=column.constant)
    head = _LONG if column.constant else _SHORT

    def one(value: Any, bytes_of: int) -> int:
        if isinstance(value, Decimal):
            bytes_of = 2 + 2 * _groups(value)
        return bytes_of + (head if bytes_of <= _MOST_SHORT else _LONG)

    sizes = [len(text.encode()) for text in forms.text_of(column, run).tolist()]
    if column.type.oid == BYTEA.oid:
        sizes = [len(value) for value in column.tolist()]
    found = [one(value, size) for value, size in zip(column.tolist(), sizes, strict=True)]
    return Column(INT4, np.array(found, np.int32), constant=column.constant)


_SHORT, _LONG, _MOST_SHORT = (
    1,
    4,
    126,
)  # the head of a value of no fixed size: one byte in a row, if it is short


def _groups(value: Decimal) -> int:
    """In how many groups of four digits a numeric is kept."""
    if not value.is_finite() or not value:
        return 0
    whole, _, fraction = format(abs(value), "f").partition(".")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    digits = whole + fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [digits[at : at + 4] for at in range(0, len(digits), 4)]
    while groups and groups[0] == "0000":
        groups.pop(0)
    while groups and groups[-1] == "0000":
        groups.pop()
    return len(groups)


@scalar(
    "pg_available_extensions",
    [],
    TEXT,
    returns_set=True,
    volatility="s",
    columns=(("name", NAME), ("default_version", TEXT), ("comment", TEXT)),
)
def pg_available_extensions() -> list[Column]:
    """The extensions that can be made."""
    rows = [(each.name, each.version, each.comment) for each in AVAILABLE.values()]
    return [Column.of(type, [row[i] for row in rows]) for i, type in enumerate((NAME, TEXT, TEXT))]


_VERSIONS = (
    ("name", NAME),
    ("version", TEXT),
    ("superuser", BOOL),
    ("trusted", BOOL),
    ("relocatable", BOOL),
    ("schema", NAME),
    ("requires", array_of(NAME)),
    ("comment", TEXT),
)


@scalar("pg_available_extension_versions", [], TEXT, returns_set=True, volatility="s", columns=_VERSIONS)
def pg_available_extension_versions() -> list[Column]:
    """The versions of these, one each."""
    rows = [
        (each.name, each.version, True, False, True, None, None, each.comment) for each in AVAILABLE.values()
    ]
    return [Column.of(type, [row[i] for row in rows]) for i, (_, type) in enumerate(_VERSIONS)]
