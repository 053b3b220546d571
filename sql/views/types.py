"""pg_type and pg_proc and their kin: what the tables of types, functions, operators and casts hold."""

from __future__ import annotations

from collections.abc import Iterable

from engine.aggregates.registry import AGGREGATES, HYPOTHETICAL, Aggregate
from engine.castings import CASTS
from engine.extensions import AVAILABLE
from engine.functions.registry import FUNCTIONS, OPERATORS, Overload
from engine.operators.windowfunctions import WINDOW_FUNCTIONS
from engine.seams import SessionInfo
from sql.views import names
from sql.views.registry import Row, view
from storage.catalog import Catalog
from storage.definitions import (
    BOOTSTRAP_ROLE,
    LANGUAGE_INTERNAL,
    LANGUAGE_SQL,
    PG_CATALOG,
    PUBLIC,
    Function,
    Table,
    View,
)
from storage.rights import acl_texts
from storage.types import (
    ANY,
    ANYENUM,
    BINARY,
    ELEMENTS,
    INT4,
    MACADDR,
    MACADDR8,
    OID,
    RANGE_OF,
    RANGES,
    REG_TYPES,
    SPARSEVEC,
    TID,
    TYPES,
    Form,
    Type,
)

# these types' input functions are called <name>in; every other type's <name>_in
_SHORT = frozenset(
    [
        "bool",
        "bytea",
        "char",
        "name",
        "int8",
        "int2",
        "int4",
        "text",
        "oid",
        "tid",
        "xid",
        "xid8",
        "cid",
        "float4",
        "float8",
        "bpchar",
        "varchar",
        "unknown",
        "aclitem",
        "int2vector",
        "oidvector",
    ]
) | {type.name for type in REG_TYPES}
_STEMS = {"money": "cash_", "refcursor": "text"}
_MODIFIED = frozenset(
    [
        "bpchar",
        "varchar",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
        "interval",
        "numeric",
        "binary",
        "bit",
        "varbit",
    ]
) | {type.name for type in (SPARSEVEC, *ELEMENTS.values())}
_EXTENSION = frozenset(type.name for available in AVAILABLE.values() for type in available.types)


def io_functions(type: Type) -> tuple[str, str, str, str]:
    """The names of a type's input, output, receive and send functions."""
    stem = _STEMS.get(type.name) or (type.name if type.name in _SHORT else type.name + "_")
    if type.name.startswith("_"):
        stem = "array_"
    return (f"{stem}in", f"{stem}out", f"{stem}recv", f"{stem}send")


# PostgreSQL's own OIDs of the functions that clients look up by number
_FIXED_OIDS = {"array_in": 750, "array_out": 751, "array_recv": 2400, "array_send": 2401}
_DOMAIN_OIDS = {"domain_in": 2597, "domain_recv": 2598}
_ENUM_OIDS = {"enum_in": 3504, "enum_out": 3505, "enum_recv": 3532, "enum_send": 3533}
_FIRST_IO_OID = 15_100


def _io_oids() -> dict[str, int]:
    """An OID for each input/output function: PostgreSQL's where it matters, else by order of types."""
    oids = _FIXED_OIDS | _ENUM_OIDS | _DOMAIN_OIDS
    for number, type in enumerate(TYPES):
        for part, name in enumerate(io_functions(type)):
            oids.setdefault(name, _FIRST_IO_OID + 4 * number + part)
    return oids


IO_OIDS = _io_oids()


def align_of(type: Type) -> str:
    """pg_type.typalign."""
    if type in (MACADDR, MACADDR8):
        return "i"
    if type.form is Form.FIXED and type.dtype is not None and not type.dtype.names:
        return {1: "c", 2: "s", 4: "i", 8: "d"}[type.dtype.itemsize]
    return "d" if type.size == 16 and type.name == "interval" else "i"


def by_value(type: Type) -> bool:
    """pg_type.typbyval."""
    return 0 < type.size <= 8 and type.form is Form.FIXED and type.base not in (TID, MACADDR, MACADDR8)


def _ranged(type: Type) -> str:
    """pg_type.typtype of a type that has values."""
    return "r" if type.oid in RANGES else "m" if type.oid in RANGE_OF else "b"


@view("pg_catalog", "pg_type", fixed=True)
def built_in_types(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for type in TYPES:
        read, write, receive, send = (IO_OIDS[name] for name in io_functions(type))
        stem = type.name.removeprefix("_")
        own = stem in _EXTENSION
        yield {
            "oid": type.oid,
            "typname": type.name,
            "typnamespace": PUBLIC if own else PG_CATALOG,
            "typowner": BOOTSTRAP_ROLE,
            "typlen": type.size,
            "typbyval": by_value(type),
            "typtype": ord("p" if type.category in ("P", "X") else _ranged(type)),
            "typcategory": ord(type.category),
            "typispreferred": type.preferred,
            "typisdefined": True,
            "typdelim": ord(","),
            "typelem": type.element.oid if type.element is not None else 0,
            "typarray": type.array_oid,
            "typinput": read,
            "typoutput": write,
            "typreceive": receive,
            "typsend": send,
            "typmodin": IO_OIDS.get(f"{stem}typmodin", 0) if stem in _MODIFIED else 0,
            "typalign": ord(align_of(type)),
            "typstorage": ord("p" if type.size > 0 else "x"),
            "typtypmod": -1,
            "typcollation": (names.COLLATION_C if type.name in ("name", "_name") else names.COLLATION_DEFAULT)
            if type.form is Form.TEXT and type.category == "S"
            else 0,
        }


@view("pg_catalog", "pg_type")
def row_types(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for table in catalog.row_types():
        common = {
            "typnamespace": table.schema,
            "typowner": table.owner,
            "typlen": -1,
            "typisdefined": True,
            "typdelim": ord(","),
            "typalign": ord("d"),
            "typstorage": ord("x"),
            "typtypmod": -1,
        }
        yield common | {
            "oid": table.type_oid,
            "typname": table.name,
            "typtype": ord("c"),
            "typcategory": ord("C"),
            "typrelid": table.oid,
            "typarray": table.array_type_oid,
            "typinput": IO_OIDS["record_in"],
            "typoutput": IO_OIDS["record_out"],
            "typreceive": IO_OIDS["record_recv"],
            "typsend": IO_OIDS["record_send"],
        }
        if table.array_type_oid:
            yield common | {
                "oid": table.array_type_oid,
                "typname": "_" + table.name,
                "typtype": ord("b"),
                "typcategory": ord("A"),
                "typelem": table.type_oid,
                "typinput": IO_OIDS["array_in"],
                "typoutput": IO_OIDS["array_out"],
                "typreceive": IO_OIDS["array_recv"],
                "typsend": IO_OIDS["array_send"],
            }


def _proc(oid: int, name: str, arguments: list[int], result: int, kind: str = "f") -> dict[str, object]:
    return {
        "oid": oid,
        "proname": name,
        "pronamespace": PG_CATALOG,
        "proowner": BOOTSTRAP_ROLE,
        "prolang": LANGUAGE_INTERNAL,
        "procost": 1.0,
        "prokind": ord(kind),
        "proisstrict": True,
        "provolatile": ord("i"),
        "proparallel": ord("s"),
        "pronargs": len(arguments),
        "prorettype": result,
        "proargtypes": arguments,
        "prosrc": name,
    }


@view("pg_catalog", "pg_proc", fixed=True)
def functions(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for overload in (o for overloads in FUNCTIONS.values() for o in overloads):
        yield _proc(overload.oid, overload.name, _arguments(overload), overload.result.oid) | {
            "proisstrict": overload.strict,
            "provolatile": ord(overload.volatility),
            "proretset": overload.returns_set,
            "provariadic": overload.arguments[-1].oid if overload.variadic else 0,
            "pronargdefaults": overload.defaults,
        }


@view("pg_catalog", "pg_proc")
def made_functions(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for made in catalog.functions.values():
        kind = "p" if made.procedure else "f"
        result = made.result.oid
        if made.row:
            relation = catalog.relations[made.row]
            result = relation.type_oid if isinstance(relation, Table | View) else result
        every = any(a.mode in "ovbt" for a in made.arguments)
        yield _proc(made.oid, made.name, [a.type.oid for a in made.inputs], result, kind=kind) | {
            "pronamespace": made.schema,
            "proowner": made.owner,
            "proacl": acl_texts(catalog, made.oid),
            "prolang": LANGUAGE_SQL,
            "procost": made.cost,
            "prorows": made.rows,
            "proisstrict": made.strict,
            "proleakproof": made.leakproof,
            "proretset": made.returns_set,
            "provolatile": ord(made.volatility),
            "proparallel": ord(made.parallel),
            "provariadic": _variadic(made),
            "pronargdefaults": sum(a.default is not None for a in made.inputs),
            "proallargtypes": [a.type.oid for a in made.arguments] if every else None,
            "proargmodes": [ord(a.mode) for a in made.arguments] if every else None,
            "proargnames": [a.name for a in made.arguments] if any(a.name for a in made.arguments) else None,
            "prosrc": "" if made.path else made.body,
        }


def _variadic(made: Function) -> int:
    """The type of the items of a VARIADIC argument, 0 where there is none."""
    last = made.inputs[-1] if made.inputs else None
    if last is None or last.mode != "v":
        return 0
    return last.type.oid if last.type.element is None else last.type.element.oid


@view("pg_catalog", "pg_proc", fixed=True)
def type_functions(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    cstring, bytea = 2275, 17
    yield _proc(IO_OIDS["enum_in"], "enum_in", [cstring, OID.oid], ANYENUM.oid)
    yield _proc(IO_OIDS["enum_out"], "enum_out", [ANYENUM.oid], cstring)
    yield _proc(IO_OIDS["enum_recv"], "enum_recv", [2281, OID.oid], ANYENUM.oid)
    yield _proc(IO_OIDS["enum_send"], "enum_send", [ANYENUM.oid], bytea)
    yield _proc(IO_OIDS["domain_in"], "domain_in", [cstring, OID.oid, INT4.oid], ANY.oid)
    yield _proc(IO_OIDS["domain_recv"], "domain_recv", [2281, OID.oid, INT4.oid], ANY.oid)
    seen: set[str] = set()
    for type in TYPES:
        read, write, receive, send = io_functions(type)
        of = 2277 if type.name.startswith("_") else type.oid
        signatures = (
            (read, [cstring], of),
            (write, [of], cstring),
            (receive, [2281], of),
            (send, [of], bytea),
        )
        for name, arguments, result in signatures:
            if name not in seen:
                seen.add(name)
                yield _proc(IO_OIDS[name], name, arguments, result)


def _arguments(overload: Overload) -> list[int]:
    return [type.oid for type in overload.arguments]


@view("pg_catalog", "pg_operator", fixed=True)
def operators(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for overload in (o for overloads in OPERATORS.values() for o in overloads):
        left = overload.arguments[0].oid if len(overload.arguments) == 2 else 0
        yield {
            "oid": overload.oid,
            "oprname": overload.name,
            "oprnamespace": PG_CATALOG,
            "oprowner": BOOTSTRAP_ROLE,
            "oprkind": ord("b" if left else "l"),
            "oprcanhash": overload.name == "=",
            "oprcanmerge": overload.name == "=",
            "oprleft": left,
            "oprright": overload.arguments[-1].oid,
            "oprresult": overload.result.oid,
        }


assert BINARY.oid < _FIRST_IO_OID


@view("pg_catalog", "pg_proc", fixed=True)
def aggregates(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for aggregate in _aggregates():
        arguments = [type.oid for type in aggregate.arguments]
        yield _proc(aggregate.oid, aggregate.name, arguments, aggregate.result.oid, kind="a") | {
            "proisstrict": False,
            "provariadic": ANY.oid if aggregate.name in HYPOTHETICAL else 0,
            "prosrc": "aggregate_dummy",
        }


@view("pg_catalog", "pg_proc", fixed=True)
def window_functions(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for function in (f for signatures in WINDOW_FUNCTIONS.values() for f in signatures):
        arguments = [type.oid for type in function.arguments]
        yield _proc(function.oid, function.name, arguments, function.result.oid, kind="w") | {
            "proisstrict": bool(arguments)
        }


def _aggregates() -> Iterable[Aggregate]:
    return (a for table in (AGGREGATES, HYPOTHETICAL) for signatures in table.values() for a in signatures)


@view("pg_catalog", "pg_aggregate", fixed=True)
def pg_aggregate(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for aggregate in _aggregates():
        kind = "n" if aggregate.direct is None else "h" if aggregate.name in HYPOTHETICAL else "o"
        yield {
            "aggfnoid": aggregate.oid,
            "aggkind": ord(kind),
            "aggnumdirectargs": aggregate.direct or 0,
            "aggfinalmodify": ord("r"),
        }


_FIRST_CAST_OID = 10_100


@view("pg_catalog", "pg_cast", fixed=True)
def pg_cast(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for number, ((source, target), letter) in enumerate(CASTS.items()):
        yield {
            "oid": _FIRST_CAST_OID + number,
            "castsource": source,
            "casttarget": target,
            "castcontext": ord(letter),
            "castmethod": ord("f"),
        }
