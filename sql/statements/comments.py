"""COMMENT ON."""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.dropping import kind_of, locked, must_table
from sql.statements.host import Host
from sql.statements.types import must_type
from sql.typenames import named
from storage.definitions import Relation, Table, View
from storage.errors import (
    FeatureNotSupported,
    InvalidSchemaName,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.usertypes import CompositeType

_LOCK = TableMode.ShareUpdateExclusiveLock  # readers and writers need not know


def comment(host: Host, command: commands.Comment, text: str) -> Outcome:
    """COMMENT ON ... IS text; NULL and '' take it away."""
    said = command.text or ""
    match command.kind:
        case "schema":
            schema = host.catalog.must_schema(command.name[-1])
            host.transaction.lock_table(schema.oid, _LOCK)
            host.transaction.define(replace(schema, comment=said))
        case "role":
            role = host.catalog.role(command.name[-1])
            if role is None:
                raise UndefinedObject(f'role "{command.name[-1]}" does not exist')
            host.transaction.define(replace(role, comment=said))
        case "extension":
            extension = host.catalog.extension(command.name[-1])
            if extension is None:
                raise UndefinedObject(f'extension "{command.name[-1]}" does not exist')
            host.transaction.define(replace(extension, comment=said))
        case "type" | "domain":
            made = must_type(host, command.name)
            host.transaction.define(replace(made, comment=said))
        case "column":
            _column(host, command, said)
        case "constraint":
            _constraint(host, command, said)
        case "index":
            _index(host, command, said)
        case kind:
            found = _relation(host, command.name)
            if kind_of(found) != kind:
                article = "an" if kind[0] in "aeiou" else "a"
                raise WrongObjectType(f'"{command.name[-1]}" is not {article} {kind}')
            host.transaction.define(replace(found, comment=said))
    return done("COMMENT")


def _relation(host: Host, parts: tuple[str, ...]) -> Relation:
    if len(parts) > 1 and host.catalog.schema(names.own_schema(parts[-2], host.search_path(True))) is None:
        raise InvalidSchemaName(f'schema "{parts[-2]}" does not exist')
    found = locked(host, parts, _LOCK)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
    return found


def _column(host: Host, command: commands.Comment, said: str) -> None:
    *relation, name = command.name
    made = named(host.catalog, host.search_path(True))(tuple(relation)) if relation else None
    if made is not None and isinstance(host.catalog.types.get(made.catalog_oid), CompositeType):
        raise FeatureNotSupported("comments on attributes of composite types are not supported")
    found = _relation(host, tuple(relation))
    if not isinstance(found, Table | View):
        raise WrongObjectType(
            f'cannot set comment on relation "{found.name}"',
            detail="This operation is not supported for sequences.",
        )
    if all(column.name != name for column in found.columns):
        raise UndefinedColumn(f'column "{name}" of relation "{found.name}" does not exist')
    if isinstance(found, Table):
        columns = tuple(replace(c, comment=said) if c.name == name else c for c in found.columns)
        host.transaction.define(replace(found, columns=columns))
    else:
        shown = tuple(replace(c, comment=said) if c.name == name else c for c in found.columns)
        host.transaction.define(replace(found, columns=shown))


def _constraint(host: Host, command: commands.Comment, said: str) -> None:
    table = must_table(host, command.on, _LOCK)
    name = command.name[-1]
    if all(constraint.name != name for constraint in table.constraints):
        raise UndefinedObject(f'constraint "{name}" for table "{table.name}" does not exist')
    changed = tuple(replace(c, comment=said) if c.name == name else c for c in table.constraints)
    host.transaction.define(replace(table, constraints=changed))


def _index(host: Host, command: commands.Comment, said: str) -> None:
    oid = names.oid_named(host.catalog, host.search_path(True), command.name)
    table = next((t for t in host.catalog.tables() if any(i.oid == oid for i in t.indexes)), None)
    if table is None:
        if oid == 0:
            raise UndefinedTable(f'relation "{".".join(command.name)}" does not exist')
        raise WrongObjectType(f'"{command.name[-1]}" is not an index that can be commented on')
    host.transaction.lock_table(table.oid, _LOCK)
    table = host.catalog.table(table.oid)
    changed = tuple(replace(i, comment=said) if i.oid == oid else i for i in table.indexes)
    host.transaction.define(replace(table, indexes=changed))
