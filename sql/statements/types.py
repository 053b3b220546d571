"""CREATE TYPE, ALTER TYPE and DROP TYPE, of enums."""

from __future__ import annotations

from dataclasses import replace

from sql import commands, names
from sql.dependencies import Object
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner, place
from sql.statements.removing import remove
from sql.tokens import Kind, lex
from sql.typenames import named, type_of
from sql.unparse import Renames
from storage.catalog import (
    PLACES,
    ColumnDefinition,
    Definition,
    EnumType,
    Label,
    Table,
    View,
    ViewColumn,
)
from storage.errors import (
    DatabaseError,
    DependentObjectsStillExist,
    DuplicateObject,
    FeatureNotSupported,
    InvalidName,
    InvalidParameterValue,
    InvalidSchemaName,
    ProgramLimitExceeded,
    UndefinedObject,
    UniqueViolation,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import Type, array_of

_LONGEST = 63  # bytes of a label


def create_enum(host: Host, command: commands.CreateEnum, text: str) -> Outcome:
    """CREATE TYPE ... AS ENUM. Raises DuplicateObject, InvalidName, UniqueViolation."""
    schema, name = place(host, command.name), command.name[-1]
    if schema.temporary:
        raise FeatureNotSupported("types in temporary schemas are not supported")
    transaction = host.transaction
    oid, array_oid = transaction.allocate_oid(), transaction.allocate_oid()
    labels: list[Label] = []
    for number, label in enumerate(command.labels, 1):
        _check_label(label)
        if any(other.text == label for other in labels):
            raise UniqueViolation(
                'duplicate key value violates unique constraint "pg_enum_typid_label_index"',
                detail=f"Key (enumtypid, enumlabel)=({oid}, {label}) already exists.",
            )
        labels.append(Label(transaction.allocate_oid(), number * PLACES, label))
    transaction.define(EnumType(oid, schema.oid, name, array_oid, tuple(labels), owner(host)))
    return done("CREATE TYPE")


def _check_label(label: str) -> None:
    if len(label.encode()) > _LONGEST:
        raise InvalidName(f'invalid enum label "{label}"', detail=f"Labels must be {_LONGEST} bytes or less.")


def find_type(host: Host, parts: tuple[str, ...], mode: TableMode) -> EnumType | None:
    """The type of this name, locked: what it is by then; None where there is none.

    Raises InvalidSchemaName, and DependentObjectsStillExist or WrongObjectType for the system's types and
    those of relations' rows.
    """
    if len(parts) > 1 and host.catalog.schema(parts[-2]) is None:
        raise InvalidSchemaName(f'schema "{parts[-2]}" does not exist')
    while True:
        found = named(host.catalog, host.search_path(True))(parts)
        if found is None:
            return None
        host.transaction.lock_table(found.oid, mode)
        again = named(host.catalog, host.search_path(True))(parts)
        if again is not None and again.oid == found.oid:
            return host.catalog.types[found.oid]


def _other(host: Host, parts: tuple[str, ...]) -> Type | Table | View | None:
    """A type of this name that nobody made by CREATE TYPE."""
    relation = names.find(host.catalog, host.search_path(True), parts)
    if isinstance(relation, Table | View) and relation.type_oid:
        return relation
    try:
        return type_of(".".join(map(names.quoted, parts)))
    except DatabaseError:
        return None


def must_type(host: Host, parts: tuple[str, ...]) -> EnumType:
    """The enum of this name, locked. Raises UndefinedObject, WrongObjectType."""
    found = find_type(host, parts, TableMode.AccessExclusiveLock)
    if found is None:
        other = _other(host, parts)
        if other is not None:
            shown = other if isinstance(other, Type) else other.name
            raise WrongObjectType(f"{shown} is not an enum")
        raise UndefinedObject(f'type "{".".join(parts)}" does not exist')
    return found


def add_label(host: Host, command: commands.AddLabel, text: str) -> Outcome:
    """ADD VALUE. Raises DuplicateObject, InvalidParameterValue, ProgramLimitExceeded."""
    found = must_type(host, command.name)
    _check_label(command.label)
    if any(label.text == command.label for label in found.labels):
        message = f'enum label "{command.label}" already exists'
        if not command.if_not_exists:
            raise DuplicateObject(message)
        host.notice("NOTICE", "42710", f"{message}, skipping")
        return done("ALTER TYPE")
    at = len(found.labels)
    if command.side:
        at = _index(found, command.beside) + (command.side == "after")
    before, after = found.labels[:at], found.labels[at:]
    made = Label(host.transaction.allocate_oid(), _between(before, after), command.label)
    host.transaction.define(replace(found, labels=(*before, made, *after)))
    return done("ALTER TYPE")


def _index(found: EnumType, text: str) -> int:
    for at, label in enumerate(found.labels):
        if label.text == text:
            return at
    raise InvalidParameterValue(f'"{text}" is not an existing enum label')


def _between(before: tuple[Label, ...], after: tuple[Label, ...]) -> int:
    """A place that is free between labels."""
    if not after:
        return (before[-1].place if before else 0) + PLACES
    low = before[-1].place if before else after[0].place - 2 * PLACES
    middle = (low + after[0].place) // 2
    if middle == low:
        raise ProgramLimitExceeded(
            f'no more labels can be put before "{after[0].text}"',
            hint="Create another type with all labels, and change the columns' type to it.",
        )
    return middle


def rename_label(host: Host, command: commands.RenameLabel, text: str) -> Outcome:
    """RENAME VALUE. Raises InvalidParameterValue, DuplicateObject."""
    found = must_type(host, command.name)
    _check_label(command.new)
    at = _index(found, command.old)
    if any(label.text == command.new for label in found.labels):
        raise DuplicateObject(f'enum label "{command.new}" already exists')
    labels = list(found.labels)
    labels[at] = labels[at]._replace(text=command.new)
    host.transaction.define(replace(found, labels=tuple(labels)))
    return done("ALTER TYPE")


def move_type(host: Host, found: EnumType, schema: int, name: str) -> list[Definition]:
    """A type under another name, or in another schema; what has columns of it then.

    Raises FeatureNotSupported where a default or check names it in its text.
    """
    moved = replace(found, schema=schema, name=name)
    host.catalog.must_be_free(moved)
    changed: list[Definition] = [moved]
    new = {found.oid: moved.type, found.array_oid: array_of(moved.type)}
    for relation in list(host.catalog.relations.values()):
        if isinstance(relation, Table):
            _refuse_named(relation, found)
            if any(c.type.oid in new for c in relation.columns):
                changed.append(replace(relation, columns=tuple(_retyped(c, new) for c in relation.columns)))
        elif isinstance(relation, View) and any(c.type.oid in new for c in relation.columns):
            shown: tuple[ViewColumn, ...] = tuple(
                replace(c, type=new.get(c.type.oid, c.type)) for c in relation.columns
            )
            changed.append(replace(relation, columns=shown))
    return changed


def _retyped(column: ColumnDefinition, new: dict[int, Type]) -> ColumnDefinition:
    return replace(column, type=new.get(column.type.oid, column.type))


def _refuse_named(table: Table, found: EnumType) -> None:
    """Texts that are kept name a type by the name that it had."""
    texts = [c.default for c in table.columns] + [c.expression for c in table.constraints]
    texts += [index.expression for index in table.indexes]
    for kept in texts:
        if any(t.kind in (Kind.WORD, Kind.QUOTED) and t.text == found.name for t in lex(kept or "")):
            raise FeatureNotSupported(
                f'renaming type "{found.name}" is not supported while table "{table.name}" names it in a '
                "default, a check or an index"
            )


def renames(found: EnumType, schema: str, name: str) -> Renames:
    """What the texts of views are to say after a move."""
    return Renames(relations={found.oid: (schema, name)})


def drop_type(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP TYPE: columns of it go with it, by CASCADE. Raises DependentObjectsStillExist."""
    targets: list[Object] = []
    for parts in command.names:
        found = None
        if len(parts) < 2 or host.catalog.schema(parts[-2]) is not None or not command.if_exists:
            found = find_type(host, parts, TableMode.AccessExclusiveLock)
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
    return done("DROP TYPE")
