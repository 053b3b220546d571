"""Objects of the catalog: their comments, and what may be done with them.

They answer from the run's catalog; an OID that nothing has gives null, as in PostgreSQL.
"""

from __future__ import annotations

from engine.functions.registry import scalar
from engine.functions.text import each
from engine.run import Run
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Table, View
from storage.types import (
    BOOL,
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
    """28 (insert, update and delete) for a table, 0 for what cannot be changed."""
    relations = run.snapshot.catalog.relations
    return each(lambda o, t: 28 if isinstance(relations.get(o), Table) else 0, oid, triggers, type=INT4)


@scalar("pg_column_is_updatable", [REGCLASS, INT2, BOOL], BOOL, volatility="s", run=True)
def pg_column_is_updatable(oid: Column, number: Column, triggers: Column, run: Run) -> Column:
    """Whether a column may be changed."""
    relations = run.snapshot.catalog.relations
    return each(
        lambda o, n, t: n > 0 and isinstance(relations.get(o), Table), oid, number, triggers, type=BOOL
    )


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


@scalar(
    "pg_available_extensions",
    [],
    TEXT,
    returns_set=True,
    volatility="s",
    columns=(("name", NAME), ("default_version", TEXT), ("comment", TEXT)),
)
def pg_available_extensions() -> list[Column]:
    """The extensions that could be made: none, what there is is built in."""
    return [Column.of(type, []) for type in (NAME, TEXT, TEXT)]
