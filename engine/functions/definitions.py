"""What the catalog says of objects, as SQL text: types, defaults, constraints, keys, views.

They answer from the run's catalog; an OID that nothing has gives null, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from engine.functions.quoting import called, operation, quote_identifier, quote_string
from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from engine.seams import SessionInfo
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Constraint, Index, Table, View
from storage.errors import (
    UndefinedColumn,
)
from storage.types import (
    ANY,
    BOOL,
    BY_OID,
    INT4,
    OID,
    OIDVECTOR,
    PG_NODE_TREE,
    REGTYPE,
    TEXT,
    Type,
    format_type,
    spelled,
)
from storage.usertypes import DomainCheck, DomainType


@lru_cache(10_000)
def _built_in(oid: int, modifier: int | None) -> str | None:
    type = BY_OID.get(oid)
    if type is None:
        return None
    if modifier is None:
        return format_type(type)
    return spelled(type if modifier < 0 else type.of(modifier))


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

    def one(text: str, relation: int, pretty: bool = False) -> str:
        shown = session.shown(text, relation)
        return f"({shown})" if not pretty and operation(shown) else shown

    return each(one, tree.retype(TEXT), relation, *pretty)


def _names(table: Table, numbers: Sequence[int]) -> str:
    return ", ".join(quote_identifier(table.columns[table.position(n)].name) for n in numbers)


_ACTIONS = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def _foreign_key(table: Table, constraint: Constraint, session: SessionInfo, catalog: Catalog) -> str:
    references = constraint.references
    assert references is not None
    parent = catalog.table(references.table)
    text = f"FOREIGN KEY ({_names(table, constraint.columns)}) REFERENCES "
    text += f"{session.name_of('class', parent.oid)}({_names(parent, references.columns)})"
    if references.match == "f":
        text += " MATCH FULL"
    if references.on_update != "a":
        text += f" ON UPDATE {_ACTIONS[references.on_update]}"
    if references.on_delete != "a":
        text += f" ON DELETE {_ACTIONS[references.on_delete]}"
    if references.set_columns:
        text += f" ({_names(table, references.set_columns)})"
    return text


def _check(check: Constraint | DomainCheck, owner: int, session: SessionInfo, pretty: bool) -> str:
    shown = session.shown(check.expression, owner)
    return f"CHECK ({shown})" if pretty else f"CHECK (({shown}))"


def _constraint(
    table: Table, constraint: Constraint, session: SessionInfo, catalog: Catalog, pretty: bool
) -> str:
    match constraint.kind:
        case "c":
            text = _check(constraint, table.oid, session, pretty)
        case "f":
            text = _foreign_key(table, constraint, session, catalog)
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
    checks = {c.oid: (t, c) for t in catalog.types.values() if isinstance(t, DomainType) for c in t.checks}
    session = session_of(run)

    def one(oid: int, pretty: bool = False) -> str | None:
        if oid in checks:
            domain, check = checks[oid]
            text = _check(check, domain.oid, session, pretty)
            return text if check.validated else text + " NOT VALID"
        if oid not in constraints:
            return None
        table, constraint = constraints[oid]
        return _constraint(table, constraint, session, catalog, pretty)

    return each(one, oid, *pretty)


def _shown(value: str) -> str:
    """A storage parameter's value: a string where it is no plain word."""
    return value if quote_identifier(value) == value else quote_string(value)


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
            if not 0 < number <= len(columns):
                return ""
            text = index.text(number - 1) if number <= len(index.columns) else ""
            return _written(text, pretty) if text else _names(table, [columns[number - 1]])
        schema = "" if pretty else quote_identifier(catalog.schemas[table.schema].name) + "."
        return _index(table, index, schema + quote_identifier(table.name), pretty)

    return each(one, oid, *rest)


def _index(table: Table, index: Index, name: str, pretty: bool) -> str:
    plain = ("",) * len(index.columns)
    behind = zip(index.columns, index.operator_classes or plain, index.orders or plain, strict=True)
    over = [_over(index, at, pretty) for at in range(len(index.columns))]
    columns = [
        " ".join(filter(None, (over[at] or _names(table, [n]), kind, order)))
        for at, (n, kind, order) in enumerate(behind)
    ]
    text = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote_identifier(index.name)} ON {name} "
    text += f"USING {index.method} ({', '.join(columns)})"
    if index.included:
        text += f" INCLUDE ({_names(table, index.included)})"
    if index.nulls:
        text += " NULLS NOT DISTINCT"
    if index.options:
        text += f" WITH ({', '.join(f'{key}={_shown(value)}' for key, value in index.options)})"
    if index.predicate:
        chosen = index.predicate
        text += f" WHERE ({chosen})" if not pretty and operation(chosen) else f" WHERE {chosen}"
    return text


def _over(index: Index, at: int, pretty: bool) -> str:
    """The expression in the place of an index's column; of an index of vectors always in parentheses."""
    if index.expression:
        return f"({index.expression})"
    text = index.text(at)
    return _written(text, pretty) if text else ""


def _written(text: str, pretty: bool) -> str:
    """An expression of an index: a call stands for itself, all else in parentheses of its own."""
    if called(text):
        return text
    return f"({text})" if pretty or not operation(text) else f"(({text}))"


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


@scalar("pg_get_viewdef", [OID, INT4], TEXT, volatility="s", run=True)
def pg_get_viewdef_wrapped(oid: Column, width: Column, run: Run) -> Column:
    """A view's query, in lines of their own whatever the width."""
    return each(lambda o, w: session_of(run).view_definition(o, True), oid, width)


@scalar("pg_get_viewdef", [TEXT, BOOL], TEXT, volatility="s", run=True)
def pg_get_viewdef_named_pretty(name: Column, pretty: Column, run: Run) -> Column:
    """The query of a view by its name."""
    session = session_of(run)
    return each(lambda n, p: session.view_definition(session.oid_of("class", n), p), name, pretty)


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
