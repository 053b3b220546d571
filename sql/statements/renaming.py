"""ALTER ... RENAME, SET SCHEMA, OWNER TO, of relations, schemas and types."""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.outcome import Outcome
from sql.statements.constraints import name_taken
from sql.statements.control import done
from sql.statements.dropping import kind_of, locked
from sql.statements.following import follow
from sql.statements.host import Host
from sql.statements.places import role_named
from sql.statements.roles import rename_role
from sql.statements.tables import check_name
from sql.statements.types import must_type
from sql.unparse import Renames
from storage.definitions import (
    INFORMATION_SCHEMA,
    PG_CATALOG,
    Relation,
    Schema,
    Sequence,
    Table,
    View,
)
from storage.errors import (
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidSchemaName,
    ReservedName,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.usertypes import UserType


def _tag(kind: str) -> str:
    return f"ALTER {kind.upper()}"


def _must_find(
    host: Host, command: commands.Rename | commands.SetSchema | commands.ChangeOwner
) -> Relation | None:
    """The relation that is altered, locked; None where IF EXISTS forgives that there is none."""
    name, kind = command.name, command.kind
    if len(name) > 1 and host.catalog.schema(names.own_schema(name[-2], host.search_path(True))) is None:
        if not command.if_exists:
            raise InvalidSchemaName(f'schema "{name[-2]}" does not exist')
        host.notice("NOTICE", "00000", f'relation "{name[-1]}" does not exist, skipping')
        return None
    found = locked(host, name, TableMode.AccessExclusiveLock)
    if found is None:
        if not command.if_exists:
            raise UndefinedTable(f'relation "{".".join(name)}" does not exist')
        host.notice("NOTICE", "00000", f'relation "{name[-1]}" does not exist, skipping')
        return None
    if kind_of(found) != kind and kind != "table":
        raise WrongObjectType(f'"{name[-1]}" is not a {kind}')
    return found


def rename(host: Host, command: commands.Rename, text: str) -> Outcome:
    """RENAME TO, RENAME COLUMN, RENAME CONSTRAINT."""
    if command.kind == "role":
        return rename_role(host, command)
    if command.kind == "schema":
        _rename_schema(host, command)
        return done("ALTER SCHEMA")
    if command.kind in ("type", "domain"):
        made = must_type(host, command.name)
        _move_type(host, made, host.catalog.schemas[made.schema], command.new)
        return done(_tag(command.kind))
    found = _must_find(host, command)
    if found is None:
        return done(_tag(command.kind))
    match command.part:
        case "column":
            _rename_column(host, found, command.old, command.new)
        case "constraint":
            _rename_constraint(host, found, command.old, command.new)
        case _:
            _move(host, found, host.catalog.schemas[found.schema], command.new)
    return done(_tag(command.kind))


def set_schema(host: Host, command: commands.SetSchema, text: str) -> Outcome:
    """SET SCHEMA: sequences that belong to a table's columns go with it."""
    if command.kind in ("type", "domain"):
        made = must_type(host, command.name)
        _move_type(host, made, _open_schema(host.catalog.must_schema(command.schema), made.name), made.name)
        return done(_tag(command.kind))
    found = _must_find(host, command)
    if found is None:
        return done(_tag(command.kind))
    schema = host.catalog.must_schema(command.schema)
    if found.temporary or schema.temporary:
        raise FeatureNotSupported("cannot move objects into or out of temporary schemas")
    _open_schema(schema, found.name)
    if isinstance(found, Sequence) and found.owned_by is not None:
        table = host.catalog.table(found.owned_by[0])
        raise FeatureNotSupported(
            "cannot move an owned sequence into another schema",
            detail=f'Sequence "{found.name}" is linked to table "{table.name}".',
        )
    if schema.oid != found.schema:
        _move(host, found, schema, found.name)
        for sequence in list(host.catalog.sequences()):
            if sequence.owned_by is not None and sequence.owned_by[0] == found.oid:
                _move(host, sequence, schema, sequence.name)
    return done(_tag(command.kind))


def change_owner(host: Host, command: commands.ChangeOwner, text: str) -> Outcome:
    """OWNER TO: a table's sequences go with it."""
    owner = role_named(host, command.owner)
    if command.kind == "schema":
        host.transaction.define(replace(_must_schema(host, command.name[-1]), owner=owner))
        return done("ALTER SCHEMA")
    if command.kind in ("type", "domain"):
        host.transaction.define(replace(must_type(host, command.name), owner=owner))
        return done(_tag(command.kind))
    found = _must_find(host, command)
    if found is not None:
        host.transaction.define(replace(found, owner=owner))
        for sequence in list(host.catalog.sequences()):
            if sequence.owned_by is not None and sequence.owned_by[0] == found.oid:
                host.transaction.define(replace(sequence, owner=owner))
    return done(_tag(command.kind))


def _move(host: Host, found: Relation, schema: Schema, name: str) -> None:
    """A relation under another name, or in another schema."""
    new = dict.fromkeys((found.oid, getattr(found, "type_oid", 0)), (schema.name, name))
    follow(host, Renames(relations=new))
    newest = host.catalog.relations[found.oid]
    host.transaction.define(replace(newest, schema=schema.oid, name=name))


def _open_schema(schema: Schema, name: str) -> Schema:
    """A schema that may get such an object. Raises InsufficientPrivilege, FeatureNotSupported."""
    if schema.temporary:
        raise FeatureNotSupported("cannot move objects into or out of temporary schemas")
    if schema.oid in (PG_CATALOG, INFORMATION_SCHEMA):
        raise InsufficientPrivilege(
            f'permission denied to create "{schema.name}.{name}"',
            detail="System catalog modifications are currently disallowed.",
        )
    return schema


def _move_type(host: Host, found: UserType, schema: Schema, name: str) -> None:
    """A type under another name, or in another schema; what has columns of it follows by itself."""
    host.catalog.must_be_free(replace(found, schema=schema.oid, name=name))
    follow(host, Renames(relations={found.oid: (schema.name, name)}))
    host.transaction.define(replace(host.catalog.types[found.oid], schema=schema.oid, name=name))


def _must_schema(host: Host, name: str) -> Schema:
    """The schema, locked. Raises InvalidSchemaName."""
    while True:
        schema = host.catalog.must_schema(name)
        host.transaction.lock_table(schema.oid, TableMode.AccessExclusiveLock)
        if host.catalog.schema(name) == schema:
            return schema


def _rename_schema(host: Host, command: commands.Rename) -> None:
    schema = _must_schema(host, command.name[-1])
    if command.new.startswith("pg_"):
        raise ReservedName(
            f'unacceptable schema name "{command.new}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    if schema.oid in (PG_CATALOG, INFORMATION_SCHEMA):
        raise InsufficientPrivilege(f"permission denied: schema {schema.name} is the system's")
    host.catalog.must_be_free(replace(schema, name=command.new))
    catalog = host.catalog
    kept = (*catalog.relations.values(), *catalog.types.values(), *catalog.functions.values())
    inside = [item for item in kept if item.schema == schema.oid]
    new = {oid: (command.new, r.name) for r in inside for oid in (r.oid, getattr(r, "type_oid", 0))}
    follow(host, Renames(relations=new))
    host.transaction.define(replace(schema, name=command.new))


def _rename_constraint(host: Host, found: Relation, old: str, new: str) -> None:
    constraint = None
    if isinstance(found, Table):
        constraint = next((c for c in found.constraints if c.name == old), None)
    if constraint is None or not isinstance(found, Table):
        raise UndefinedObject(f'constraint "{old}" for table "{found.name}" does not exist')
    if any(c.name == new for c in found.constraints):
        raise DuplicateObject(f'constraint "{new}" for relation "{found.name}" already exists')
    if constraint.index and name_taken(host, host.catalog.schemas[found.schema], new, set()):
        raise DuplicateTable(f'relation "{new}" already exists')
    changed = tuple(replace(c, name=new) if c.oid == constraint.oid else c for c in found.constraints)
    host.transaction.define(replace(found, constraints=changed))


def _rename_column(host: Host, found: Relation, old: str, new: str) -> None:
    if isinstance(found, Sequence):
        raise WrongObjectType(f'cannot rename columns of relation "{found.name}"')
    columns = [column.name for column in found.columns]
    if old not in columns:
        raise UndefinedColumn(f'column "{old}" does not exist')
    if new in columns:
        raise DuplicateColumn(f'column "{new}" of relation "{found.name}" already exists')
    check_name(new)
    if isinstance(found, View):
        follow(host, Renames({(found.oid, columns.index(old) + 1): new}))
        named = tuple(replace(c, name=new) if c.name == old else c for c in found.columns)
        host.transaction.define(replace(found, columns=named))
        return
    column = found.column(old)
    assert column is not None
    follow(host, Renames({(found.oid, column.number): new}))
    newest = host.catalog.relations[found.oid]
    assert isinstance(newest, Table)
    renamed = tuple(replace(c, name=new) if c.number == column.number else c for c in newest.columns)
    host.transaction.define(replace(newest, columns=renamed))
