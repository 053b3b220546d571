"""What belongs to roles, and what they were granted: what keeps a role, REASSIGN OWNED, DROP OWNED."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sql import commands, names
from sql.dependencies import Object, describe, relation
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import owner, role_named
from sql.statements.removing import remove
from storage.catalog import Catalog
from storage.definitions import (
    BOOTSTRAP_ROLE,
    DATABASE_OID,
    LANGUAGE_SQL,
    Definition,
    Extension,
    Function,
    Relation,
    Role,
    Schema,
    Sequence,
    Table,
    View,
)
from storage.errors import DependentObjectsStillExist, InsufficientPrivilege
from storage.grants import Acl, DefaultAcl, Grant
from storage.rights import is_superuser, roles_of
from storage.usertypes import UserType

Owned = Relation | Schema | Function | UserType | Extension


def owned(catalog: Catalog, role: int) -> Iterator[Owned]:
    """The objects of a role; sequences of columns come with their tables."""
    for kind in (
        catalog.relations,
        catalog.schemas,
        catalog.functions,
        catalog.types,
        catalog.extensions,
    ):
        for item in kind.values():
            bound = isinstance(item, Sequence) and item.owned_by is not None
            if item.owner == role and not bound:
                yield item


def must_own_nothing(host: Host, role: Role) -> None:
    """Raise DependentObjectsStillExist where a role cannot go for what belongs to it or was granted to it."""
    grants = [grant for grant in host.catalog.grants.values() if _mentions(grant, role.oid)]
    lines = [_granted(host, g) for g in grants if not _is_own(host.catalog, g, role.oid)]
    lines += [f"owner of {_named(host, item)}" for item in owned(host.catalog, role.oid)]
    if lines:
        raise DependentObjectsStillExist(
            f'role "{role.name}" cannot be dropped because some objects depend on it',
            detail="\n".join(lines),
        )


def _named(host: Host, item: Definition) -> str:
    """An object in PostgreSQL's words."""
    catalog, path = host.catalog, host.search_path(True)
    match item:
        case Schema():
            return describe(catalog, path, Object("schema", item.oid))
        case Function():
            return describe(catalog, path, Object("function", item.oid))
        case Extension():
            return describe(catalog, path, Object("extension", item.oid))
        case _ if isinstance(item, UserType):
            return describe(catalog, path, Object("type", item.oid))
    return describe(catalog, path, relation(catalog, item.oid))


def _mentions(grant: Grant, role: int) -> bool:
    """Whether a role has something by a list, or has passed it on."""
    if isinstance(grant, Acl):
        return any(role in (item.grantee, item.grantor) for item in grant.items)
    if isinstance(grant, DefaultAcl):
        return grant.role == role or any(item.grantee == role for item in grant.items)
    return False


def _is_own(catalog: Catalog, grant: Grant, role: int) -> bool:
    """Whether a list is of an object of the role itself: it goes with that."""
    return isinstance(grant, Acl) and _owner(catalog, grant.object) == role


def _granted(host: Host, grant: Grant) -> str:
    catalog = host.catalog
    if isinstance(grant, DefaultAcl):
        words = {"r": "relations", "S": "sequences", "f": "functions", "T": "types", "n": "schemas"}
        place = f" in schema {names.quoted(catalog.schemas[grant.schema].name)}" if grant.schema else ""
        by = names.quoted(catalog.roles[grant.role].name)
        return f"privileges for default privileges on new {words[grant.about]} belonging to role {by}{place}"
    assert isinstance(grant, Acl)
    if grant.object == DATABASE_OID:
        return f"privileges for database {names.quoted(host.database)}"
    if grant.object == LANGUAGE_SQL:
        return "privileges for language sql"
    found = catalog.find(grant.object)
    assert found is not None
    if grant.number:
        column = Object("column", grant.object, grant.number)
        if isinstance(found, Table):
            return f"privileges for {describe(catalog, host.search_path(True), column)}"
        assert isinstance(found, View)
        return f"privileges for column {found.columns[grant.number - 1].name} of view {found.name}"
    return f"privileges for {_named(host, found)}"


def reassign_owned(host: Host, command: commands.ReassignOwned, text: str) -> Outcome:
    """REASSIGN OWNED BY ... TO ..., and DROP OWNED BY ...: objects, and what was granted."""
    roles = [role_named(host, name) for name in command.roles]
    to = role_named(host, command.to) if command.to else 0
    verb = "reassign" if to else "drop"
    for role in roles:
        _must_have(host, role, verb)
        if role == BOOTSTRAP_ROLE:
            name = host.catalog.roles[role].name
            raise DependentObjectsStillExist(
                f"cannot {verb} objects{' ownership' if to else ''} {'of ' if to else 'owned by '}"
                f"role {name} because they are required by the database system"
            )
    if to:
        _must_have(host, to, verb)
    for role in roles:
        for item in list(owned(host.catalog, role)) if to else ():
            give(host, item, to)
        if not to:
            _revoke_all(host, role)
    if not to:
        remove(host, [each for role in roles for each in _droppable(host.catalog, role)], command.cascade)
    return done("REASSIGN OWNED" if to else "DROP OWNED")


def _must_have(host: Host, role: int, verb: str) -> None:
    me = owner(host)
    if not is_superuser(host.catalog, me) and role not in roles_of(host.catalog, me):
        raise InsufficientPrivilege(f"permission denied to {verb} objects")


def give(host: Host, item: Owned, to: int) -> None:
    """Make an object another role's; a table's sequences go with it."""
    host.transaction.define(replace(item, owner=to))
    if isinstance(item, Table):
        for sequence in list(host.catalog.sequences()):
            if sequence.owned_by is not None and sequence.owned_by[0] == item.oid:
                host.transaction.define(replace(sequence, owner=to))


def _droppable(catalog: Catalog, role: int) -> Iterator[Object]:
    for item in owned(catalog, role):
        match item:
            case Schema():
                yield Object("schema", item.oid)
            case Function():
                yield Object("function", item.oid)
            case Extension():
                yield Object("extension", item.oid)
            case _ if isinstance(item, UserType):
                yield Object("type", item.oid)
            case _:
                yield relation(catalog, item.oid)


def _revoke_all(host: Host, role: int) -> None:
    """Take away what a role was granted, and what it has by default privileges."""
    for grant in list(host.catalog.grants.values()):
        if not _mentions(grant, role):
            continue
        if isinstance(grant, DefaultAcl) and grant.role == role:
            host.transaction.drop(grant)
        elif isinstance(grant, Acl | DefaultAcl):
            whose = grant.role if isinstance(grant, DefaultAcl) else _owner(host.catalog, grant.object)
            left = tuple(item for item in grant.items if whose == role or role not in item[:2])
            if left != grant.items:
                host.transaction.define(replace(grant, items=left))


def _owner(catalog: Catalog, oid: int) -> int:
    """The owner of an object."""
    return getattr(catalog.find(oid), "owner", BOOTSTRAP_ROLE)
