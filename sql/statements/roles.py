"""Roles: users with passwords, kept as SCRAM-SHA-256 verifiers in PostgreSQL's form, and who is in which."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from scramp import ScramMechanism

from engine.forms import parse_text
from sql import commands
from sql.outcome import Outcome
from sql.settings import find
from sql.statements.control import done, listed
from sql.statements.host import Host
from sql.statements.owned import must_own_nothing
from sql.statements.places import owner, role_named
from storage.column import Column
from storage.definitions import BOOTSTRAP_ROLE, Role
from storage.errors import (
    DependentObjectsStillExist,
    DuplicateObject,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidCatalogName,
    InvalidGrantOperation,
    ObjectInUse,
    ReservedName,
    UndefinedObject,
)
from storage.grants import Membership, SessionSettings, membership_name, settings_name
from storage.rights import is_superuser, roles_of
from storage.transactions.locks import TableMode
from storage.types import TEXT, TIMESTAMPTZ

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


def _may_manage(host: Host) -> bool:
    """Whether the user may make and change roles that are no superusers."""
    role = host.catalog.role(host.user)
    return role is not None and (role.superuser or role.createrole)


def create_role(host: Host, command: commands.CreateRole, text: str) -> Outcome:
    """CREATE USER, CREATE ROLE, ALTER USER, ALTER ROLE."""
    return _alter(host, command) if command.alter else _create(host, command)


def _fields(host: Host, command: commands.CreateRole) -> dict[str, Any]:
    """What the options say of a role."""
    fields: dict[str, Any] = dict(command.options)
    if fields.get("password") is not None:
        fields["password"] = verifier(fields["password"])
    if fields.get("until") is not None:
        moment = parse_text(TIMESTAMPTZ, Column.scalar(TEXT, fields["until"]), host.style)
        fields["until"] = moment.tolist()[0]
    return fields


def _create(host: Host, command: commands.CreateRole) -> Outcome:
    if command.options.get("superuser") and not host.superuser:
        raise InsufficientPrivilege("must be superuser to create superusers")
    if not _may_manage(host):
        raise InsufficientPrivilege("permission denied to create role")
    if command.name in ("public", "none"):
        raise ReservedName(f'role name "{command.name}" is reserved')
    if command.name.startswith("pg_"):
        raise ReservedName(
            f'role name "{command.name}" is reserved', detail='Role names starting with "pg_" are reserved.'
        )
    if host.catalog.role(command.name) is not None:
        raise DuplicateObject(f'role "{command.name}" already exists')
    role = Role(host.transaction.allocate_oid(), command.name, **_fields(host, command))
    host.transaction.define(role)
    for name in command.within:
        _join(host, role_named(host, name), role.oid, admin=False)
    for names, admin in ((command.members, False), (command.admins, True)):
        for name in names:
            _join(host, role.oid, role_named(host, name), admin=admin)
    return done("CREATE ROLE")


def _alter(host: Host, command: commands.CreateRole) -> Outcome:
    role = host.catalog.roles[role_named(host, command.name)]
    if (role.superuser or "superuser" in command.options) and not host.superuser:
        raise InsufficientPrivilege(
            "must be superuser to alter superuser roles or change superuser attribute"
        )
    own_password = set(command.options) <= {"password"} and role.oid == owner(host)
    if not _may_manage(host) and not own_password:
        raise InsufficientPrivilege("permission denied")
    host.transaction.define(replace(role, **_fields(host, command)))
    return done("ALTER ROLE")


def alter_role_setting(host: Host, command: commands.AlterRoleSetting, text: str) -> Outcome:
    """ALTER ROLE and ALTER DATABASE ... SET and RESET: what sessions begin with."""
    catalog = host.catalog
    role = catalog.roles[role_named(host, command.name)] if command.name else None
    if command.database not in (None, host.database):
        raise InvalidCatalogName(f'database "{command.database}" does not exist')
    _must_alter_settings(host, role, command)
    if role is not None and command.database is None:
        settings = _altered(host, role.settings, command)
        host.transaction.define(replace(role, settings=settings))
        return done("ALTER ROLE")
    number, in_database = 0 if role is None else role.oid, command.database is not None
    place = (0, settings_name(number, in_database))
    host.transaction.lock_table(place, TableMode.AccessExclusiveLock)
    known = host.catalog.session_settings(number, in_database=in_database)
    settings = _altered(host, () if known is None else known.settings, command)
    if settings:
        oid = host.transaction.allocate_oid() if known is None else known.oid
        host.transaction.define(SessionSettings(oid, number, in_database, settings))
    elif known is not None:
        host.transaction.drop(known)
    return done("ALTER DATABASE" if command.whole else "ALTER ROLE")


def _must_alter_settings(host: Host, role: Role | None, command: commands.AlterRoleSetting) -> None:
    """Raise InsufficientPrivilege where the user may not say what these sessions begin with."""
    if host.superuser:
        return
    if command.whole:
        raise InsufficientPrivilege(f"must be owner of database {host.database}")
    if role is None:
        raise InsufficientPrivilege("must be superuser to alter settings globally")
    if role.superuser:
        raise InsufficientPrivilege(
            "must be superuser to alter superuser roles or change superuser attribute"
        )
    if not _may_manage(host) and role.oid != owner(host):
        raise InsufficientPrivilege("permission denied")


Pairs = tuple[tuple[str, str], ...]


def _altered(host: Host, known: Pairs, command: commands.AlterRoleSetting) -> Pairs:
    """Settings with one changed, or none of them."""
    if not command.setting:
        return ()
    settings, key = dict(known), find(command.setting).name
    if command.current:
        settings[key] = host.settings.get(key) or ""
    elif command.values is None:
        settings.pop(key, None)
    else:
        settings[key] = listed(key, command.values)
        host.settings.checked(key, settings[key])
    return tuple(settings.items())


def rename_role(host: Host, command: commands.Rename) -> Outcome:
    """ALTER ROLE ... RENAME TO."""
    role = host.catalog.role(command.name[-1])
    if role is None:
        raise UndefinedObject(f'role "{command.name[-1]}" does not exist')
    if role.name in (host.session_user, host.user):
        which = "session user" if role.name == host.session_user else "current user"
        raise FeatureNotSupported(f"{which} cannot be renamed")
    if role.superuser and not host.superuser:
        raise InsufficientPrivilege("must be superuser to rename superusers")
    if not _may_manage(host):
        raise InsufficientPrivilege("permission denied to rename role")
    if host.catalog.role(command.new) is not None:
        raise DuplicateObject(f'role "{command.new}" already exists')
    host.transaction.define(replace(role, name=command.new))
    return done("ALTER ROLE")


def drop_role(host: Host, command: commands.Drop, text: str) -> Outcome:
    """DROP USER, DROP ROLE."""
    if not _may_manage(host):
        raise InsufficientPrivilege("permission denied to drop role")
    for parts in command.names:
        role = host.catalog.role(parts[-1])
        if role is None:
            if not command.if_exists:
                raise UndefinedObject(f'role "{parts[-1]}" does not exist')
            host.notice("NOTICE", "00000", f'role "{parts[-1]}" does not exist, skipping')
            continue
        if role.name in (host.user, host.session_user):
            which = "current user" if role.name == host.user else "session user"
            raise ObjectInUse(f"{which} cannot be dropped")
        if role.superuser and not host.superuser:
            raise InsufficientPrivilege("must be superuser to drop superusers")
        if role.oid == BOOTSTRAP_ROLE:
            raise DependentObjectsStillExist(
                f"cannot drop role {role.name} because it is required by the database system"
            )
        must_own_nothing(host, role)
        host.transaction.drop(role)
    return done("DROP ROLE")


# memberships


def grant_role(host: Host, command: commands.GrantRole, text: str) -> Outcome:
    """GRANT role TO role, REVOKE role FROM role."""
    if command.grantor and role_named(host, command.grantor) != owner(host):
        raise FeatureNotSupported("grantor must be current user")
    roles = [role_named(host, name) for name in command.roles]
    members = [role_named(host, name) for name in command.members]
    for role in roles:
        _must_administer(host, role)
        for member in members:
            if command.revoke:
                _leave(host, role, member, admin_only=command.option)
            else:
                _join(host, role, member, admin=command.option)
    return done("REVOKE ROLE" if command.revoke else "GRANT ROLE")


def _must_administer(host: Host, role: int) -> None:
    catalog, me = host.catalog, owner(host)
    named = catalog.roles[role]
    if named.superuser and not host.superuser:
        raise InsufficientPrivilege("must be superuser to alter superusers")
    mine = roles_of(catalog, me, inherited=False)
    admin = any(m.admin for each in mine for m in catalog.memberships.get(each, ()) if m.role == role)
    if not (is_superuser(catalog, me) or catalog.roles[me].createrole or admin):
        raise InsufficientPrivilege(f'must have admin option on role "{named.name}"')


def _known(host: Host, role: int, member: int) -> Membership | None:
    """Whether a role is a direct member of another, locked."""
    host.transaction.lock_table((0, membership_name(role, member)), TableMode.AccessExclusiveLock)
    found = host.catalog.memberships.get(member, ())
    return next((membership for membership in found if membership.role == role), None)


def _join(host: Host, role: int, member: int, *, admin: bool) -> None:
    catalog = host.catalog
    name, member_name = catalog.roles[role].name, catalog.roles[member].name
    if member in roles_of(catalog, role, inherited=False):
        raise InvalidGrantOperation(f'role "{name}" is a member of role "{member_name}"')
    known = _known(host, role, member)
    if known is not None and (known.admin or not admin):
        host.notice("NOTICE", "00000", f'role "{member_name}" is already a member of role "{name}"')
    elif known is not None:
        host.transaction.define(replace(known, admin=True))
    else:
        oid = host.transaction.allocate_oid()
        host.transaction.define(Membership(oid, role, member, owner(host), admin))


def _leave(host: Host, role: int, member: int, *, admin_only: bool) -> None:
    known = _known(host, role, member)
    if known is None:
        roles = host.catalog.roles
        said = f'role "{roles[member].name}" is not a member of role "{roles[role].name}"'
        host.notice("WARNING", "01000", said)
    elif not admin_only:
        host.transaction.drop(known)
    elif known.admin:
        host.transaction.define(replace(known, admin=False))
