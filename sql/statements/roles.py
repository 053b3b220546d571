"""Roles: users with passwords, kept as SCRAM-SHA-256 verifiers in PostgreSQL's form."""

from __future__ import annotations

import base64
from dataclasses import replace

from scramp import ScramMechanism

from sql import commands
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from storage.definitions import BOOTSTRAP_ROLE, Role
from storage.errors import (
    DependentObjectsStillExist,
    DuplicateObject,
    InsufficientPrivilege,
    ReservedName,
    UndefinedObject,
)

ITERATIONS = 4096


def verifier(password: str) -> str:
    """SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>; one that is given stays as it is."""
    if password.startswith("SCRAM-SHA-256$"):
        return password
    salt, stored, server, iterations = ScramMechanism("SCRAM-SHA-256").make_auth_info(
        password, iteration_count=ITERATIONS
    )
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _must_be_superuser(host: Host, what: str) -> None:
    if not host.superuser:
        raise InsufficientPrivilege(f"permission denied to {what}")


def create_role(host: Host, command: commands.CreateRole, text: str) -> Outcome:
    """CREATE USER, CREATE ROLE, ALTER USER, ALTER ROLE."""
    return _alter(host, command) if command.alter else _create(host, command)


def _create(host: Host, command: commands.CreateRole) -> Outcome:
    _must_be_superuser(host, "create role")
    if command.name.startswith("pg_"):
        raise ReservedName(
            f'role name "{command.name}" is reserved', detail='Role names starting with "pg_" are reserved.'
        )
    if host.catalog.role(command.name) is not None:
        raise DuplicateObject(f'role "{command.name}" already exists')
    password = verifier(command.password) if command.password is not None else None
    role = Role(
        host.transaction.allocate_oid(),
        command.name,
        bool(command.superuser),
        bool(command.login),
        password,
    )
    host.transaction.define(role)
    return done("CREATE ROLE")


def _alter(host: Host, command: commands.CreateRole) -> Outcome:
    role = host.catalog.role(command.name)
    if role is None:
        raise UndefinedObject(f'role "{command.name}" does not exist')
    if command.name != host.session_user or command.superuser is not None or command.login is not None:
        _must_be_superuser(host, "alter role")
    if command.password is not None:
        role = replace(role, password=verifier(command.password))
    if command.forget_password:
        role = replace(role, password=None)
    if command.superuser is not None:
        role = replace(role, superuser=command.superuser)
    if command.login is not None:
        role = replace(role, login=command.login)
    host.transaction.define(role)
    return done("ALTER ROLE")


def drop_role(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP USER, DROP ROLE."""
    _must_be_superuser(host, "drop role")
    for parts in command.names:
        role = host.catalog.role(parts[-1])
        if role is None:
            if not command.if_exists:
                raise UndefinedObject(f'role "{parts[-1]}" does not exist')
            host.notice("NOTICE", "00000", f'role "{parts[-1]}" does not exist, skipping')
            continue
        if role.oid == BOOTSTRAP_ROLE or role.name == host.session_user:
            raise DependentObjectsStillExist(f'role "{role.name}" cannot be dropped')
        owned = next((t for t in host.catalog.tables() if t.owner == role.oid), None)
        if owned is not None:
            raise DependentObjectsStillExist(
                f'role "{role.name}" cannot be dropped because some objects depend on it',
                detail=f"owner of table {owned.name}",
            )
        host.transaction.drop(role)
    return done("DROP ROLE")
