"""Where a new relation goes, and whose it is."""

from __future__ import annotations

from sql.names import refuse_other
from sql.statements.host import Host
from storage.definitions import INFORMATION_SCHEMA, PUBLIC, Schema
from storage.errors import InsufficientPrivilege, InvalidSchemaName, InvalidTableDefinition, UndefinedObject
from storage.rights import DATABASE, Subject, held


def place(host: Host, parts: tuple[str, ...], temporary: bool = False) -> Schema:
    """The schema of a new relation of this name; `temporary`: the session's own, made if need be.

    Raises InvalidSchemaName, InsufficientPrivilege, InvalidTableDefinition.
    """
    catalog = host.catalog
    refuse_other(parts, host.database)
    if temporary or parts[:-1] == ("pg_temp",):
        own = _own(host)
        if len(parts) > 1 and parts[-2] not in ("pg_temp", own.name):
            raise InvalidTableDefinition("cannot create temporary relation in non-temporary schema")
        return own
    if len(parts) > 1:
        schema = catalog.must_schema(parts[-2])
    else:
        path = host.search_path(False)
        if not path:
            raise InvalidSchemaName("no schema has been selected to create in")
        schema = catalog.must_schema(path[0])
    if schema.oid < PUBLIC or schema.oid == INFORMATION_SCHEMA:
        raise InsufficientPrivilege(
            f'permission denied to create "{schema.name}.{parts[-1]}"',
            detail="System catalog modifications are currently disallowed.",
        )
    about = Subject("n", schema.oid, schema.owner)
    if not host.superuser and "C" not in held(catalog, host.identity.role, about):
        raise InsufficientPrivilege(f"permission denied for schema {schema.name}")
    return schema


def _own(host: Host) -> Schema:
    """The schema of the session's temporary relations."""
    found = next((schema for schema in host.catalog.schemas.values() if schema.temporary), None)
    if found is None:
        if not host.superuser and "T" not in held(host.catalog, host.identity.role, DATABASE):
            raise InsufficientPrivilege(
                f'permission denied to create temporary tables in database "{host.database}"'
            )
        oid = host.transaction.allocate_oid()
        found = Schema(oid, f"pg_temp_{host.backend_pid or oid}", temporary=True)
        host.transaction.define(found)
    return found


def owner(host: Host) -> int:
    """The OID of the role that makes something."""
    return host.identity.role


def role_named(host: Host, name: str) -> int:
    """The OID of a role that a statement names. Raises UndefinedObject."""
    if name in ("current_user", "current_role"):
        return owner(host)
    role = host.catalog.role(host.session_user if name == "session_user" else name)
    if role is None:
        raise UndefinedObject(f'role "{name}" does not exist')
    return role.oid
