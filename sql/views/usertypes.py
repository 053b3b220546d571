"""The rows of pg_type for types of the catalog: enums, composite types and domains, and their arrays."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.views import names
from sql.views.registry import Row, view
from sql.views.types import IO_OIDS, align_of, by_value, io_functions
from storage.catalog import Catalog
from storage.rights import acl_texts
from storage.types import Form
from storage.usertypes import CompositeType, DomainType, EnumType, UserType


def _functions(stem: str) -> dict[str, object]:
    parts = ("input", "output", "receive", "send")
    ends = ("in", "out", "recv", "send")
    return {f"typ{part}": IO_OIDS[f"{stem}_{end}"] for part, end in zip(parts, ends, strict=True)}


def _enum(made: EnumType) -> dict[str, object]:
    return {
        "typlen": 4,
        "typbyval": True,
        "typtype": ord("e"),
        "typcategory": ord("E"),
        "typalign": ord("i"),
        "typstorage": ord("p"),
    } | _functions("enum")


def _composite(made: CompositeType) -> dict[str, object]:
    return {
        "typlen": -1,
        "typtype": ord("c"),
        "typcategory": ord("C"),
        "typrelid": made.relation,
        "typalign": ord("d"),
        "typstorage": ord("x"),
    } | _functions("record")


def _domain(made: DomainType) -> dict[str, object]:
    base = made.base
    _, write, _, send = io_functions(base)
    text = base.form is Form.TEXT and base.category == "S"
    return {
        "typlen": base.size,
        "typbyval": by_value(base),
        "typtype": ord("d"),
        "typcategory": ord(base.category),
        "typalign": ord(align_of(base)),
        "typstorage": ord("p" if base.size > 0 else "x"),
        "typnotnull": made.not_null,
        "typbasetype": base.catalog_oid,
        "typtypmod": base.modifier,
        "typndims": 1 if base.is_array else 0,
        "typdefault": made.default,
        "typcollation": names.COLLATION_DEFAULT if text else 0,
        "typinput": IO_OIDS["domain_in"],
        "typoutput": IO_OIDS.get(write, 0),
        "typreceive": IO_OIDS["domain_recv"],
        "typsend": IO_OIDS.get(send, 0),
    }


def _row(made: UserType) -> dict[str, object]:
    match made:
        case EnumType():
            return _enum(made)
        case CompositeType():
            return _composite(made)
        case DomainType():
            return _domain(made)


@view("pg_catalog", "pg_type")
def made_types(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for made in catalog.types.values():
        common: dict[str, object] = {
            "typnamespace": made.schema,
            "typowner": made.owner,
            "typacl": acl_texts(catalog, made.oid),
            "typisdefined": True,
            "typdelim": ord(","),
            "typtypmod": -1,
        }
        row = _row(made)
        yield common | {"oid": made.oid, "typname": made.name, "typarray": made.array_oid} | row
        yield (
            common
            | {
                "oid": made.array_oid,
                "typname": "_" + made.name,
                "typlen": -1,
                "typtype": ord("b"),
                "typcategory": ord("A"),
                "typelem": made.oid,
                "typalign": row["typalign"] if row["typalign"] == ord("d") else ord("i"),
                "typstorage": ord("x"),
            }
            | _functions("array")
        )
