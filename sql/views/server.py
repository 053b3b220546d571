"""What the server is, for clients that ask: databases, roles, access methods, settings, activity."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import available_timezones

from engine.seams import SessionInfo
from sql.views import names
from sql.views.registry import Row, view
from storage.catalog import Catalog
from storage.definitions import (
    BOOTSTRAP_ROLE,
    DATABASE_OID,
    LANGUAGE_INTERNAL,
    LANGUAGE_SQL,
    PG_CATALOG,
    TABLESPACE_DEFAULT,
    TABLESPACE_GLOBAL,
    Role,
)
from storage.grants import SessionSettings
from storage.rights import acl_texts


@view("pg_catalog", "pg_database")
def pg_database(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    yield {
        "oid": DATABASE_OID,
        "datname": session.database,
        "datdba": BOOTSTRAP_ROLE,
        "encoding": names.ENCODING_UTF8,
        "datlocprovider": ord("c"),
        "datallowconn": True,
        "datconnlimit": -1,
        "dattablespace": TABLESPACE_DEFAULT,
        "datcollate": "C",
        "datctype": "C",
        "datacl": acl_texts(catalog, DATABASE_OID),
    }


@view("pg_catalog", "pg_authid")
def pg_authid(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for role in catalog.roles.values():
        yield {
            "oid": role.oid,
            "rolname": role.name,
            "rolsuper": role.superuser,
            "rolinherit": role.inherit,
            "rolcreaterole": role.superuser or role.createrole,
            "rolcreatedb": role.superuser or role.createdb,
            "rolcanlogin": role.login,
            "rolreplication": False,
            "rolbypassrls": role.superuser,
            "rolconnlimit": role.connections,
            "rolpassword": role.password,
            "rolvaliduntil": role.until,
        }


def _settings(role: Role | SessionSettings) -> list[str] | None:
    """What ALTER ROLE ... SET has said, as name=value."""
    return [f"{name}={value}" for name, value in role.settings] or None


@view("pg_catalog", "pg_db_role_setting")
def pg_db_role_setting(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for role in catalog.roles.values():
        if role.settings:
            yield {"setdatabase": 0, "setrole": role.oid, "setconfig": _settings(role)}
    for item in catalog.grants.values():
        if isinstance(item, SessionSettings):
            yield {
                "setdatabase": DATABASE_OID if item.in_database else 0,
                "setrole": item.role,
                "setconfig": _settings(item),
            }


@view("pg_catalog", "pg_roles")
def pg_roles(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for row in pg_authid(catalog, session):
        settings = _settings(catalog.roles[row["oid"]])
        yield {**row, "rolpassword": "********", "rolconfig": settings}


def _users(catalog: Catalog) -> Iterable[Row]:
    for role in catalog.roles.values():
        if role.login:
            yield {
                "usename": role.name,
                "usesysid": role.oid,
                "usecreatedb": role.superuser or role.createdb,
                "usesuper": role.superuser,
                "userepl": False,
                "usebypassrls": role.superuser,
                "passwd": "********",
                "useconfig": _settings(role),
            }


@view("pg_catalog", "pg_user")
def pg_user(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    yield from _users(catalog)


@view("pg_catalog", "pg_shadow")
def pg_shadow(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    passwords = {role.oid: role.password for role in catalog.roles.values()}
    for row in _users(catalog):
        yield {**row, "passwd": passwords[row["usesysid"]]}


@view("pg_catalog", "pg_collation", fixed=True)
def pg_collation(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for oid, name, provider in (
        (names.COLLATION_DEFAULT, "default", "d"),
        (names.COLLATION_C, "C", "c"),
        (951, "POSIX", "c"),
    ):
        yield {
            "oid": oid,
            "collname": name,
            "collnamespace": PG_CATALOG,
            "collowner": BOOTSTRAP_ROLE,
            "collprovider": ord(provider),
            "collisdeterministic": True,
            "collencoding": -1,
            "collcollate": None if provider == "d" else name,
            "collctype": None if provider == "d" else name,
        }


@view("pg_catalog", "pg_tablespace", fixed=True)
def pg_tablespace(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for oid, name in ((TABLESPACE_DEFAULT, "pg_default"), (TABLESPACE_GLOBAL, "pg_global")):
        yield {"oid": oid, "spcname": name, "spcowner": BOOTSTRAP_ROLE}


@view("pg_catalog", "pg_language", fixed=True)
def pg_language(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for oid, name in ((LANGUAGE_INTERNAL, "internal"), (LANGUAGE_SQL, "sql")):
        yield {"oid": oid, "lanname": name, "lanowner": BOOTSTRAP_ROLE, "lanpltrusted": name == "sql"}


@view("pg_catalog", "pg_timezone_names", fixed=True)
def pg_timezone_names(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for name in sorted(available_timezones()):
        yield {"name": name}
