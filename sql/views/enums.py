"""pg_enum, and the rows of enums in pg_type."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.views.registry import Row, view
from sql.views.types import IO_OIDS
from storage.catalog import PLACES, Catalog


@view("pg_catalog", "pg_enum")
def pg_enum(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for made in catalog.types.values():
        for label in made.labels:
            yield {
                "oid": label.oid,
                "enumtypid": made.oid,
                "enumsortorder": label.place / PLACES,
                "enumlabel": label.text,
            }


@view("pg_catalog", "pg_type")
def enum_types(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for made in catalog.types.values():
        common = {
            "typnamespace": made.schema,
            "typowner": made.owner,
            "typisdefined": True,
            "typdelim": ord(","),
            "typalign": ord("i"),
            "typtypmod": -1,
        }
        yield common | {
            "oid": made.oid,
            "typname": made.name,
            "typlen": 4,
            "typbyval": True,
            "typtype": ord("e"),
            "typcategory": ord("E"),
            "typarray": made.array_oid,
            "typstorage": ord("p"),
            "typinput": IO_OIDS["enum_in"],
            "typoutput": IO_OIDS["enum_out"],
            "typreceive": IO_OIDS["enum_recv"],
            "typsend": IO_OIDS["enum_send"],
        }
        yield common | {
            "oid": made.array_oid,
            "typname": "_" + made.name,
            "typlen": -1,
            "typtype": ord("b"),
            "typcategory": ord("A"),
            "typelem": made.oid,
            "typstorage": ord("x"),
            "typinput": IO_OIDS["array_in"],
            "typoutput": IO_OIDS["array_out"],
            "typreceive": IO_OIDS["array_recv"],
            "typsend": IO_OIDS["array_send"],
        }
