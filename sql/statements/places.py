"""Where a new relation goes, and whose it is."""

from __future__ import annotations

from sql.statements.host import Host
from storage.catalog import BOOTSTRAP_ROLE, INFORMATION_SCHEMA, PUBLIC, Schema
from storage.errors import InsufficientPrivilege, InvalidSchemaName


def place(host: Host, parts: tuple[str, ...], temporary: bool = False) -> Schema:
    """The schema of a new relation of this name. Raises InvalidSchemaName, InsufficientPrivilege."""
    catalog = host.catalog
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


def owner(host: Host) -> int:
    """The OID of the role that makes something."""
    role = host.catalog.role(host.user)
    return role.oid if role is not None else BOOTSTRAP_ROLE
