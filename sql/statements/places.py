"""Where a new relation goes, and whose it is."""

from __future__ import annotations

from sql.statements.host import Host
from storage.definitions import BOOTSTRAP_ROLE, INFORMATION_SCHEMA, PUBLIC, Schema
from storage.errors import InsufficientPrivilege, InvalidSchemaName, InvalidTableDefinition


def place(host: Host, parts: tuple[str, ...], temporary: bool = False) -> Schema:
    """The schema of a new relation of this name; `temporary`: the session's own, made if need be.

    Raises InvalidSchemaName, InsufficientPrivilege, InvalidTableDefinition.
    """
    catalog = host.catalog
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
    return schema


def _own(host: Host) -> Schema:
    """The schema of the session's temporary relations."""
    found = next((schema for schema in host.catalog.schemas.values() if schema.temporary), None)
    if found is None:
        oid = host.transaction.allocate_oid()
        found = Schema(oid, f"pg_temp_{host.backend_pid or oid}", temporary=True)
        host.transaction.define(found)
    return found


def owner(host: Host) -> int:
    """The OID of the role that makes something."""
    role = host.catalog.role(host.user)
    return role.oid if role is not None else BOOTSTRAP_ROLE
