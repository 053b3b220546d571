"""CREATE, ALTER and DROP EXTENSION."""

from __future__ import annotations

from engine.extensions import AVAILABLE
from sql import commands
from sql.dependencies import Object
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner
from sql.statements.removing import remove
from storage.definitions import PUBLIC, Extension
from storage.errors import (
    DuplicateObject,
    FeatureNotSupported,
    InvalidParameterValue,
    UndefinedObject,
)


def create_extension(host: Host, command: commands.CreateExtension, text: str) -> Outcome:
    """CREATE EXTENSION. Raises DuplicateObject, FeatureNotSupported for one that there is not."""
    name = command.name
    if host.catalog.extension(name) is not None:
        if not command.if_not_exists:
            raise DuplicateObject(f'extension "{name}" already exists')
        host.notice("NOTICE", "42710", f'extension "{name}" already exists, skipping')
        return done("CREATE EXTENSION")
    available = AVAILABLE.get(name)
    if available is None:
        raise FeatureNotSupported(
            f'extension "{name}" is not available', hint=f"There are: {', '.join(AVAILABLE)}."
        )
    if command.version not in ("", available.version):
        raise InvalidParameterValue(
            f'extension "{name}" has no installation script nor update path for version "{command.version}"'
        )
    schema = host.catalog.must_schema(command.schema or "public")
    if schema.oid != PUBLIC:
        raise FeatureNotSupported(
            f'extension "{name}" in schema "{schema.name}" is not supported: its types are in schema public'
        )
    host.transaction.define(
        Extension(
            host.transaction.allocate_oid(),
            name,
            schema.oid,
            available.version,
            owner(host),
            available.comment,
        )
    )
    return done("CREATE EXTENSION")


def _must_extension(host: Host, name: str) -> Extension:
    found = host.catalog.extension(name)
    if found is None:
        raise UndefinedObject(f'extension "{name}" does not exist')
    return found


def update_extension(host: Host, command: commands.UpdateExtension, text: str) -> Outcome:
    """ALTER EXTENSION ... UPDATE: there is one version of each."""
    has = _must_extension(host, command.name).extension_version
    newest = AVAILABLE[command.name].version
    if command.version not in ("", has, newest):
        raise InvalidParameterValue(
            f'extension "{command.name}" has no update path from version "{has}" to version'
            f' "{command.version}"'
        )
    host.notice("NOTICE", "00000", f'version "{has}" of extension "{command.name}" is already installed')
    return done("ALTER EXTENSION")


def drop_extension(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP EXTENSION: columns of its types go with it, by CASCADE. Raises DependentObjectsStillExist."""
    targets: list[Object] = []
    for parts in command.names:
        found = host.catalog.extension(parts[-1])
        if found is None and command.if_exists:
            host.notice("NOTICE", "00000", f'extension "{parts[-1]}" does not exist, skipping')
        else:
            targets.append(Object("extension", _must_extension(host, parts[-1]).oid))
    remove(host, targets, command.cascade)
    return done("DROP EXTENSION")
