"""pg_extension and what could be one; pg_am and pg_opclass."""

from __future__ import annotations

from collections.abc import Iterable

from engine.extensions import AVAILABLE
from engine.seams import SessionInfo
from sql.accessmethods import METHODS, OPERATOR_CLASSES
from sql.views import names
from sql.views.registry import Row, view
from storage.catalog import Catalog
from storage.definitions import BOOTSTRAP_ROLE, PG_CATALOG, PUBLIC


@view("pg_catalog", "pg_extension")
def pg_extension(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for extension in catalog.extensions.values():
        yield {
            "oid": extension.oid,
            "extname": extension.name,
            "extowner": extension.owner,
            "extnamespace": extension.schema,
            "extrelocatable": True,
            "extversion": extension.extension_version,
        }


@view("pg_catalog", "pg_available_extensions")
def pg_available_extensions(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for available in AVAILABLE.values():
        made = catalog.extension(available.name)
        yield {
            "name": available.name,
            "default_version": available.version,
            "installed_version": None if made is None else made.extension_version,
            "comment": available.comment,
        }


@view("pg_catalog", "pg_available_extension_versions")
def pg_available_extension_versions(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for available in AVAILABLE.values():
        made = catalog.extension(available.name)
        yield {
            "name": available.name,
            "version": available.version,
            "installed": made is not None and made.extension_version == available.version,
            "superuser": True,
            "trusted": False,
            "relocatable": True,
            "comment": available.comment,
        }


@view("pg_catalog", "pg_am", fixed=True)
def pg_am(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    yield {"oid": names.AM_HEAP, "amname": "heap", "amtype": ord("t")}
    for method in METHODS.values():
        yield {"oid": method.oid, "amname": method.name, "amtype": ord("i")}


@view("pg_catalog", "pg_opclass", fixed=True)
def pg_opclass(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for found in OPERATOR_CLASSES:
        ours = found.oid > METHODS["ivfflat"].oid
        yield {
            "oid": found.oid,
            "opcmethod": METHODS[found.method].oid,
            "opcname": found.name,
            "opcnamespace": PUBLIC if ours else PG_CATALOG,
            "opcowner": BOOTSTRAP_ROLE,
            "opcintype": found.type.oid,
            "opcdefault": found.default,
        }


@view("pg_catalog", "pg_depend")
def members(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for extension in catalog.extensions.values():
        for type in AVAILABLE[extension.name].types:
            yield {
                "classid": names.CLASS_PG_TYPE,
                "objid": type.oid,
                "refclassid": names.CLASS_PG_EXTENSION,
                "refobjid": extension.oid,
                "deptype": ord("e"),
            }
