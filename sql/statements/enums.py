"""CREATE TYPE ... AS ENUM, and what ALTER TYPE does with labels."""

from __future__ import annotations

from dataclasses import replace

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.following import follow
from sql.statements.host import Host
from sql.statements.places import owner
from sql.statements.types import must_type, type_place
from sql.unparse import Renames
from storage.errors import (
    DuplicateObject,
    InvalidName,
    InvalidParameterValue,
    ProgramLimitExceeded,
    UniqueViolation,
    WrongObjectType,
)
from storage.usertypes import PLACES, EnumType, Label

_LONGEST = 63  # bytes of a label


def create_enum(host: Host, command: commands.CreateEnum, text: str) -> Outcome:
    """CREATE TYPE ... AS ENUM. Raises DuplicateObject, InvalidName, UniqueViolation."""
    schema, name = type_place(host, command.name), command.name[-1]
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


def _must_enum(host: Host, parts: tuple[str, ...]) -> EnumType:
    found = must_type(host, parts)
    if not isinstance(found, EnumType):
        raise WrongObjectType(f"{found.name} is not an enum")
    return found


def add_label(host: Host, command: commands.AddLabel, text: str) -> Outcome:
    """ADD VALUE. Raises DuplicateObject, InvalidParameterValue, ProgramLimitExceeded."""
    found = _must_enum(host, command.name)
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
    found = _must_enum(host, command.name)
    _check_label(command.new)
    at = _index(found, command.old)
    if any(label.text == command.new for label in found.labels):
        raise DuplicateObject(f'enum label "{command.new}" already exists')
    labels = list(found.labels)
    labels[at] = labels[at]._replace(text=command.new)
    follow(host, Renames(labels={(found.oid, command.old): command.new}))
    host.transaction.define(replace(found, labels=tuple(labels)))
    return done("ALTER TYPE")
