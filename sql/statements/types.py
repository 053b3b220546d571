"""Types of the catalog, of every kind: finding, moving and dropping them."""

from __future__ import annotations

from sql import commands, names
from sql.dependencies import Object
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import place
from sql.statements.removing import remove
from sql.typenames import named, type_of
from storage.definitions import Schema, Table, View
from storage.errors import (
    DatabaseError,
    DependentObjectsStillExist,
    FeatureNotSupported,
    InvalidSchemaName,
    UndefinedObject,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import Type
from storage.usertypes import DomainType, UserType


def type_place(host: Host, parts: tuple[str, ...]) -> Schema:
    """The schema of a new type of this name."""
    schema = place(host, parts)
    if schema.temporary:
        raise FeatureNotSupported("types in temporary schemas are not supported")
    return schema


def find_type(host: Host, parts: tuple[str, ...], mode: TableMode) -> UserType | None:
    """The type of this name, locked: what it is by then; None where there is none.

    Raises InvalidSchemaName, and DependentObjectsStillExist or WrongObjectType for the system's types and
    those of relations' rows.
    """
    if len(parts) > 1 and host.catalog.schema(parts[-2]) is None:
        raise InvalidSchemaName(f'schema "{parts[-2]}" does not exist')
    while True:
        found = named(host.catalog, host.search_path(True))(parts)
        if found is None or found.catalog_oid not in host.catalog.types:
            return None
        host.transaction.lock_table(found.catalog_oid, mode)
        again = named(host.catalog, host.search_path(True))(parts)
        if again is not None and again.catalog_oid == found.catalog_oid:
            return host.catalog.types[found.catalog_oid]


def _other(host: Host, parts: tuple[str, ...]) -> Type | Table | View | None:
    """A type of this name that nobody made by CREATE TYPE."""
    relation = names.find(host.catalog, host.search_path(True), parts)
    if isinstance(relation, Table | View) and relation.type_oid:
        return relation
    try:
        return type_of(".".join(map(names.quoted, parts)))
    except DatabaseError:
        return None


def must_type(host: Host, parts: tuple[str, ...]) -> UserType:
    """The type of this name, locked. Raises UndefinedObject, WrongObjectType."""
    found = find_type(host, parts, TableMode.AccessExclusiveLock)
    if found is None:
        other = _other(host, parts)
        if other is not None:
            shown = other if isinstance(other, Type) else other.name
            raise WrongObjectType(f"{shown} is not an enum")
        raise UndefinedObject(f'type "{".".join(parts)}" does not exist')
    return found


def drop_type(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP TYPE and DROP DOMAIN: columns of it go with it, by CASCADE. Raises DependentObjectsStillExist."""
    targets: list[Object] = []
    for parts in command.names:
        found = None
        if len(parts) < 2 or host.catalog.schema(parts[-2]) is not None or not command.if_exists:
            found = find_type(host, parts, TableMode.AccessExclusiveLock)
        if found is not None and command.kind == "domain" and not isinstance(found, DomainType):
            raise WrongObjectType(f"{names.quoted(found.name)} is not a domain")
        if found is not None:
            item = Object("type", found.oid)
            targets += [] if item in targets else [item]
            continue
        other = _other(host, parts)
        if isinstance(other, Type):
            raise DependentObjectsStillExist(
                f"cannot drop type {other} because it is required by the database system"
            )
        if other is not None:
            kind = "table" if isinstance(other, Table) else "view"
            shown = names.quoted(other.name)
            raise DependentObjectsStillExist(
                f"cannot drop type {shown} because {kind} {shown} requires it",
                hint=f"You can drop {kind} {shown} instead.",
            )
        message = f'type "{".".join(parts)}" does not exist'
        if not command.if_exists:
            raise UndefinedObject(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
    remove(host, targets, command.cascade)
    return done(f"DROP {command.kind.upper()}")
