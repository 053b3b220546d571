"""What the catalog says of objects, as SQL text: types, defaults, constraints, keys, functions, comments.

They answer from the run's catalog; an OID that nothing has gives null, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from engine.functions.quoting import quote_identifier, split_identifiers
from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from engine.seams import Kind
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Constraint, Index, Table, View
from storage.errors import (
    DatabaseError,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
)
from storage.types import (
    ANY,
    BOOL,
    BPCHAR,
    BY_OID,
    INT2,
    INT4,
    NAME,
    OID,
    OIDVECTOR,
    PG_NODE_TREE,
    REGCLASS,
    REGNAMESPACE,
    REGPROC,
    REGROLE,
    REGTYPE,
    TEXT,
    Type,
    array_of,
    format_type,
)
from storage.usertypes import DomainType

_PG_CLASS = "pg_class"


@lru_cache(10_000)
def _built_in(oid: int, modifier: int | None) -> str | None:
    type = BY_OID.get(oid)
    if type is None:
        return None
    if oid == BPCHAR.oid and modifier == -1:
        return "bpchar"
    return format_type(type if modifier is None or modifier < 0 else type.of(modifier))


@scalar("format_type", [OID, INT4], TEXT, volatility="s", strict=False, run=True)
def format_type_name(oid: Column, modifier: Column, run: Run) -> Column:
    """The SQL spelling of a type with its modifier."""

    def one(oid: int | None, modifier: int | None) -> str | None:
        if oid is None:
            return None
        if oid == 0:
            return "-"
        known = _built_in(oid, modifier)
        if known is not None:
            return known
        name = session_of(run).name_of("type", oid)
        return "???" if name.isdigit() else name

    return each(one, oid, modifier)


@scalar("pg_typeof", [ANY], REGTYPE, volatility="s", strict=False, constants=True)
def pg_typeof(column: Column) -> Column:
    """The value's type."""
    return Column.scalar(REGTYPE, column.type.oid)


@scalar("pg_get_expr", [PG_NODE_TREE, OID], TEXT, volatility="s", run=True)
@scalar("pg_get_expr", [PG_NODE_TREE, OID, BOOL], TEXT, volatility="s", run=True)
def pg_get_expr(tree: Column, relation: Column, *pretty: Column, run: Run) -> Column:
    """The SQL text of a default or check: expressions are kept as text."""
    session = session_of(run)
    return each(lambda text: session.shown(text), tree.retype(TEXT))


def _names(table: Table, numbers: Sequence[int]) -> str:
    return ", ".join(quote_identifier(table.columns[table.position(n)].name) for n in numbers)


_ACTIONS = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def _foreign_key(
    table: Table, constraint: Constraint, named: Callable[[Table], str], catalog: Catalog
) -> str:
    references = constraint.references
    assert references is not None
    parent = catalog.table(references.table)
    text = f"FOREIGN KEY ({_names(table, constraint.columns)}) REFERENCES {named(parent)}"
    text += f"({_names(parent, references.columns)})"
    if references.match == "f":
        text += " MATCH FULL"
    if references.on_update != "a":
        text += f" ON UPDATE {_ACTIONS[references.on_update]}"
    if references.on_delete != "a":
        text += f" ON DELETE {_ACTIONS[references.on_delete]}"
    if references.set_columns:
        text += f" ({_names(table, references.set_columns)})"
    return text


def _constraint(
    table: Table, constraint: Constraint, named: Callable[[Table], str], catalog: Catalog, pretty: bool
) -> str:
    match constraint.kind:
        case "c":
            text = f"CHECK ({constraint.expression})" if pretty else f"CHECK (({constraint.expression}))"
        case "f":
            text = _foreign_key(table, constraint, named, catalog)
        case kind:
            words = "PRIMARY KEY" if kind == "p" else "UNIQUE"
            words += " NULLS NOT DISTINCT" if constraint.nulls else ""
            text = f"{words} ({_names(table, constraint.columns)})"
    if constraint.deferrable:
        text += " DEFERRABLE"
    if constraint.deferred:
        text += " INITIALLY DEFERRED"
    return text if constraint.validated else text + " NOT VALID"


@scalar("pg_get_constraintdef", [OID], TEXT, volatility="s", run=True)
@scalar("pg_get_constraintdef", [OID, BOOL], TEXT, volatility="s", run=True)
def pg_get_constraintdef(oid: Column, *pretty: Column, run: Run) -> Column:
    """A constraint as it would stand in CREATE TABLE."""
    catalog = run.snapshot.catalog
    constraints = {c.oid: (t, c) for t in catalog.tables() for c in t.constraints}
    checks = {c.oid: c for t in catalog.types.values() if isinstance(t, DomainType) for c in t.checks}

    def named(table: Table) -> str:
        return session_of(run).name_of("class", table.oid)

    def one(oid: int, pretty: bool = False) -> str | None:
        if oid in checks:
            check = checks[oid]
            inside = check.expression if pretty else f"({check.expression})"
            return f"CHECK ({inside})" + ("" if check.validated else " NOT VALID")
        if oid not in constraints:
            return None
        table, constraint = constraints[oid]
        return _constraint(table, constraint, named, catalog, pretty)

    return each(one, oid, *pretty)


@scalar("pg_get_indexdef", [OID], TEXT, volatility="s", run=True)
@scalar("pg_get_indexdef", [OID, INT4, BOOL], TEXT, volatility="s", run=True)
def pg_get_indexdef(oid: Column, *rest: Column, run: Run) -> Column:
    """The CREATE INDEX of an index, or one of its columns."""
    catalog = run.snapshot.catalog
    indexes = {index.oid: (table, index) for table in catalog.tables() for index in table.every_index}

    def one(oid: int, number: int = 0, pretty: bool = False) -> str | None:
        if oid not in indexes:
            return None
        table, index = indexes[oid]
        if number:
            columns = (*index.columns, *index.included)
            return _names(table, [columns[number - 1]]) if 0 < number <= len(columns) else ""
        schema = "" if pretty else quote_identifier(catalog.schemas[table.schema].name) + "."
        return _index(table, index, schema + quote_identifier(table.name))

    return each(one, oid, *rest)


def _index(table: Table, index: Index, name: str) -> str:
    plain = ("",) * len(index.columns)
    behind = zip(index.columns, index.operator_classes or plain, index.orders or plain, strict=True)
    over = f"({index.expression})" if index.expression else ""
    columns = [" ".join(filter(None, (over or _names(table, [n]), kind, order))) for n, kind, order in behind]
    text = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote_identifier(index.name)} ON {name} "
    text += f"USING {index.method} ({', '.join(columns)})"
    if index.included:
        text += f" INCLUDE ({_names(table, index.included)})"
    if index.nulls:
        text += " NULLS NOT DISTINCT"
    if index.options:
        text += f" WITH ({', '.join(f'{key}={value!r}' for key, value in index.options)})"
    return text


@scalar("pg_get_serial_sequence", [TEXT, TEXT], TEXT, volatility="s", run=True)
def pg_get_serial_sequence(table: Column, column: Column, run: Run) -> Column:
    """The sequence behind a column, qualified."""
    catalog = run.snapshot.catalog

    def one(table: str, column: str) -> str | None:
        relation = catalog.relations.get(session_of(run).oid_of("class", table))
        if not isinstance(relation, Table | View):
            return None  # the system's own; no column of theirs has a sequence
        if not any(each.name == column for each in relation.columns):
            raise UndefinedColumn(f'column "{column}" of relation "{relation.name}" does not exist')
        found = relation.column(column) if isinstance(relation, Table) else None
        if found is None:
            return None
        owned = (relation.oid, found.number)
        sequence = next((s for s in catalog.sequences() if s.owned_by == owned), None)
        if sequence is None:
            return None
        schema = catalog.schemas[sequence.schema].name
        return f"{quote_identifier(schema)}.{quote_identifier(sequence.name)}"

    return each(one, table, column)


@scalar("pg_get_userbyid", [OID], NAME, volatility="s", run=True)
def pg_get_userbyid(oid: Column, run: Run) -> Column:
    """A role's name."""
    roles = run.snapshot.catalog.roles
    return each(lambda o: roles[o].name if o in roles else f"unknown (OID={o})", oid, type=NAME)


def _nothing(name: str, arguments: list[Type]) -> None:
    """A function about objects of a kind that GlanceDB has none of: null for every OID."""

    @scalar(name, arguments, TEXT, volatility="s")
    def definition(oid: Column, *rest: Column) -> Column:
        """The definition of such an object; there are none."""
        return Column.nulls(TEXT, len(oid))


for _name in ("ruledef", "triggerdef"):
    _nothing(f"pg_get_{_name}", [OID])
    _nothing(f"pg_get_{_name}", [OID, BOOL])


@scalar("pg_get_viewdef", [OID], TEXT, volatility="s", run=True)
def pg_get_viewdef(oid: Column, run: Run) -> Column:
    """The query of a view."""
    return each(lambda o: session_of(run).view_definition(o, False), oid)


@scalar("pg_get_viewdef", [OID, BOOL], TEXT, volatility="s", run=True)
def pg_get_viewdef_pretty(oid: Column, pretty: Column, run: Run) -> Column:
    """The query of a view, on several lines."""
    return each(lambda o, p: session_of(run).view_definition(o, p), oid, pretty)


@scalar("pg_get_viewdef", [TEXT], TEXT, volatility="s", run=True)
def pg_get_viewdef_named(name: Column, run: Run) -> Column:
    """The query of a view by its name."""
    session = session_of(run)
    return each(lambda n: session.view_definition(session.oid_of("class", n), False), name)


for _name in ("partkeydef", "statisticsobjdef", "statisticsobjdef_columns", "function_sqlbody"):
    _nothing(f"pg_get_{_name}", [OID])
_nothing("pg_get_partition_constraintdef", [OID])


@scalar("oidvectortypes", [OIDVECTOR], TEXT, volatility="s")
def oidvectortypes(types: Column) -> Column:
    """The names of the types, with commas between."""
    return each(lambda oids: ", ".join(_built_in(oid, None) or "???" for oid in oids), types)


def _visible(name: str, kind: Kind, unknown: bool | None = None) -> None:
    @scalar(name, [OID], BOOL, volatility="s", run=True)
    def visible(oid: Column, run: Run) -> Column:
        """Whether the object's name alone finds it; null where there is no such object."""

        def one(oid: int) -> bool | None:
            shown = session_of(run).name_of(kind, oid)
            if shown.isdigit() or shown == "-":
                return unknown
            return len(split_identifiers(shown, strict=False)) == 1

        return each(one, oid, type=BOOL)


_visible("pg_table_is_visible", "class")
_visible("pg_type_is_visible", "type")
_visible("pg_function_is_visible", "proc")
_visible("pg_operator_is_visible", "oper")
_visible("pg_collation_is_visible", "collation")


def _always_visible(name: str) -> None:
    @scalar(name, [OID], BOOL, volatility="s")
    def visible(oid: Column) -> Column:
        """Whether the object's name alone finds it: all there are stand in pg_catalog."""
        return each(lambda o: True, oid, type=BOOL)


for _name in ("conversion", "statistics_obj", "ts_config", "ts_dict", "ts_parser", "ts_template"):
    _always_visible(f"pg_{_name}_is_visible")
for _name in ("opclass", "opfamily"):
    _always_visible(f"pg_{_name}_is_visible")


def _lookup(name: str, kind: Kind, type: Type) -> None:
    @scalar(name, [TEXT], type, volatility="s", run=True)
    def lookup(text: Column, run: Run) -> Column:
        """The OID behind a name, null where there is none."""

        def one(text: str) -> int | None:
            try:
                return session_of(run).oid_of(kind, text)
            except (UndefinedTable, UndefinedObject, UndefinedFunction):
                return None
            except DatabaseError as error:
                if error.sqlstate == "3F000":
                    return None
                raise

        return each(one, text, type=type)


_lookup("to_regclass", "class", REGCLASS)
_lookup("to_regtype", "type", REGTYPE)
_lookup("to_regproc", "proc", REGPROC)
_lookup("to_regnamespace", "namespace", REGNAMESPACE)
_lookup("to_regrole", "role", REGROLE)


@scalar("regclass", [TEXT], REGCLASS, volatility="s", run=True)
def regclass(text: Column, run: Run) -> Column:
    """The OID of a relation by its name."""
    return each(lambda t: session_of(run).oid_of("class", t), text, type=REGCLASS)


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
