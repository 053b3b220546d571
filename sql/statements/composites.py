"""CREATE TYPE ... AS (...), and what ALTER TYPE does with attributes.

Rows that were kept know their attributes by number, so ADD and DROP ATTRIBUTE rewrite nothing.
"""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.dependencies import Object
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.following import follow
from sql.statements.host import Host
from sql.statements.places import owner
from sql.statements.removing import remove
from sql.statements.tables import check_pseudo
from sql.statements.types import find_type, type_place
from sql.typenames import named, type_of
from sql.unparse import Renames
from storage.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    InvalidTableDefinition,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import Attribute, Type
from storage.usertypes import CompositeType


def create_composite(host: Host, command: commands.CreateComposite, text: str) -> Outcome:
    """CREATE TYPE ... AS. Raises DuplicateObject, DuplicateColumn, InvalidTableDefinition."""
    schema, name = type_place(host, command.name), command.name[-1]
    transaction = host.transaction
    attributes: list[Attribute] = []
    for number, clause in enumerate(command.attributes, 1):
        type = _type(host, clause)
        if any(other.name == clause.name for other in attributes):
            raise DuplicateColumn(f'column "{clause.name}" specified more than once')
        attributes.append(Attribute(clause.name, type, number))
    oid, array_oid, relation = (transaction.allocate_oid() for _ in range(3))
    transaction.define(
        CompositeType(oid, schema.oid, name, array_oid, relation, tuple(attributes), owner=owner(host))
    )
    return done("CREATE TYPE")


def _type(host: Host, clause: commands.AttributeClause) -> Type:
    type = type_of(clause.type, named(host.catalog, host.search_path(True)))
    check_pseudo(clause.name, type)
    return type


def _must_composite(host: Host, parts: tuple[str, ...]) -> CompositeType:
    """The composite type of this name, locked. Raises UndefinedTable, WrongObjectType."""
    found = find_type(host, parts, TableMode.AccessExclusiveLock)
    if isinstance(found, CompositeType):
        return found
    if names.find(host.catalog, host.search_path(True), parts) is not None:
        raise WrongObjectType(f'"{parts[-1]}" is not a composite type')
    raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')


def alter_composite(host: Host, command: commands.AlterComposite, text: str) -> Outcome:
    """ADD, DROP and ALTER ATTRIBUTE, one after another."""
    for action in command.actions:
        found = _must_composite(host, command.name)
        match action:
            case commands.AddAttribute(clause):
                _add(host, found, clause)
            case commands.DropAttribute():
                _drop(host, found, action)
            case commands.AlterAttribute(clause):
                _alter(host, found, clause)
    return done("ALTER TYPE")


def _add(host: Host, found: CompositeType, clause: commands.AttributeClause) -> None:
    if found.attribute(clause.name) is not None:
        raise DuplicateColumn(f'column "{clause.name}" of relation "{found.name}" already exists')
    type = _type(host, clause)
    refuse_itself(type, found.type)
    number = found.last_number + 1
    attributes = (*found.attributes, Attribute(clause.name, type, number))
    host.transaction.define(replace(found, attributes=attributes))


def refuse_itself(type: Type, own: Type) -> None:
    """Raise InvalidTableDefinition where a row type would have itself in it."""
    if type.single.catalog_oid == own.catalog_oid:
        raise InvalidTableDefinition(f"composite type {own} cannot be made a member of itself")
    for attribute in type.single.attributes or ():
        refuse_itself(attribute.type, own)


def _must_attribute(found: CompositeType, name: str) -> Attribute:
    attribute = found.attribute(name)
    if attribute is None:
        raise UndefinedColumn(f'column "{name}" of relation "{found.name}" does not exist')
    return attribute


def _drop(host: Host, found: CompositeType, action: commands.DropAttribute) -> None:
    if action.if_exists and found.attribute(action.name) is None:
        message = f'column "{action.name}" of relation "{found.name}" does not exist, skipping'
        host.notice("NOTICE", "00000", message)
        return
    attribute = _must_attribute(found, action.name)
    remove(host, [Object("attribute", found.oid, attribute.number)], action.cascade)


def _alter(host: Host, found: CompositeType, clause: commands.AttributeClause) -> None:
    attribute = _must_attribute(found, clause.name)
    type = _type(host, clause)
    refuse_itself(type, found.type)
    for table in host.catalog.tables():
        for column in table.columns:
            if _holds(column.type, found.oid):
                raise FeatureNotSupported(
                    f'cannot alter type "{found.name}" because column "{table.name}.{column.name}" uses it'
                )
    for view, query in host.catalog.queries():
        if (found.oid, attribute.number) in query.depends:
            raise FeatureNotSupported(
                "cannot alter type of a column used by a view or rule",
                detail=f'rule _RETURN on view {names.quoted(view.name)} depends on column "{clause.name}"',
            )
    changed = tuple(a._replace(type=type) if a.number == attribute.number else a for a in found.attributes)
    host.transaction.define(replace(found, attributes=changed))


def _holds(type: Type, oid: int) -> bool:
    """Whether values of a type have rows of the type `oid` in them."""
    one = type.single
    return one.oid == oid or any(_holds(attribute.type, oid) for attribute in one.attributes or ())


def rename_attribute(host: Host, command: commands.RenameAttribute, text: str) -> Outcome:
    """RENAME ATTRIBUTE. Raises UndefinedColumn, DuplicateColumn."""
    found = _must_composite(host, command.name)
    attribute = found.attribute(command.old)
    if attribute is None:
        raise UndefinedColumn(f'column "{command.old}" does not exist')
    if found.attribute(command.new) is not None:
        raise DuplicateColumn(f'column "{command.new}" of relation "{found.name}" already exists')
    follow(host, Renames({(found.oid, attribute.number): command.new}))
    changed = tuple(
        a._replace(name=command.new) if a.number == attribute.number else a for a in found.attributes
    )
    host.transaction.define(replace(found, attributes=changed))
    return done("ALTER TYPE")
