"""Names of objects: what reg types print and read, and how a search path finds a relation.

A name is printed bare if the search path finds that object under it, and with its schema if not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.aggregates.registry import AGGREGATES
from engine.functions.registry import FUNCTIONS, OPERATORS
from engine.operators.windowfunctions import WINDOW_FUNCTIONS
from engine.seams import Kind
from sql.keywords import RESERVED
from sql.typenames import named, type_of
from sql.views.registry import VIEWS, SystemView
from sql.views.types import IO_OIDS
from storage.catalog import Catalog
from storage.definitions import Relation, Table, View
from storage.errors import (
    AmbiguousFunction,
    FeatureNotSupported,
    InvalidName,
    InvalidTextRepresentation,
    SqlSyntaxError,
    TooManyArguments,
    UndefinedFunction,
    UndefinedObject,
    UndefinedParameter,
    UndefinedTable,
)
from storage.types import BY_OID, format_type
from storage.usertypes import CompositeType

_BARE = re.compile(r"[a-z_][a-z0-9_$]*")
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".\s]+)')


def quoted(name: str) -> str:
    """A name as SQL needs it: quoted where it would fold, or is a reserved word."""
    if _BARE.fullmatch(name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def split_name(text: str) -> tuple[str, ...]:
    """The parts of a qualified name in a text. Raises InvalidName."""
    parts, at = [], 0
    stripped = text.strip()
    while True:
        found = _PART.match(stripped, at)
        if not found:
            raise InvalidName("invalid name syntax")
        parts.append(found[1].replace('""', '"') if found[1] is not None else found[2].lower())
        at = found.end()
        if at == len(stripped):
            return tuple(parts)
        if stripped[at] != ".":
            raise InvalidName("invalid name syntax")
        at += 1


def split_list(text: str) -> list[str]:
    """A comma-separated list of names, as search_path holds it."""
    found = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^",\s][^",]*))\s*(?:,|$)', text)
    return [bare.strip().lower() if bare else quoted_.replace('""', '"') for quoted_, bare in found]


def find(catalog: Catalog, path: Iterable[str], parts: tuple[str, ...]) -> Relation | SystemView | int | None:
    """The table, sequence, view, index or composite type (of these their OIDs in pg_class) of this name."""
    schema, name = (parts[-2], parts[-1]) if len(parts) > 1 else ("", parts[-1])
    for place in (own_schema(schema, path),) if schema else path:
        view = VIEWS.get((place, name))
        if view is not None:
            return view
        known = catalog.schema(place)
        if known is None:
            continue
        relation = catalog.relation(known.oid, name)
        if relation is not None:
            return relation
        index = catalog.index(known.oid, name)
        if index is not None:
            return index[1].oid
        made = catalog.type_named(known.oid, name)
        if isinstance(made, CompositeType):
            return made.relation
    return None


def refuse_other(parts: tuple[str, ...], database: str, position: int = 0) -> None:
    """Raise FeatureNotSupported for another database, SqlSyntaxError for more than three parts."""
    if len(parts) < 3:
        return
    written = ".".join(parts)
    if len(parts) > 3:
        raise SqlSyntaxError(f"improper qualified name (too many dotted names): {written}", position=position)
    if parts[0] != database:
        raise FeatureNotSupported(
            f'cross-database references are not implemented: "{written}"', position=position
        )


def own_schema(name: str, path: Iterable[str]) -> str:
    """The schema that a name means: pg_temp is the session's own, which its path begins with."""
    if name != "pg_temp":
        return name
    return next((place for place in path if place.startswith("pg_temp_")), name)


def oid_named(catalog: Catalog, path: Iterable[str], parts: tuple[str, ...]) -> int:
    """The OID of the relation or index of this name, 0 where there is none."""
    found = find(catalog, path, parts)
    return 0 if found is None else found if isinstance(found, int) else found.oid


def system_view_text(oid: int) -> str | None:
    """The query of a view of the system that is one."""
    found = next((v for v in VIEWS.values() if v.oid == oid and v.text), None)
    return None if found is None else found.text.strip() + ";"


def _relation_name(catalog: Catalog, path: list[str], oid: int) -> str | None:
    relation = catalog.relations.get(oid)
    if relation is not None:
        schema, name = catalog.schemas[relation.schema].name, relation.name
    else:
        view = next((v for v in VIEWS.values() if v.oid == oid), None)
        if view is not None:
            schema, name = view.schema, view.name
        else:
            made = next(
                (t for t in catalog.types.values() if isinstance(t, CompositeType) and t.relation == oid),
                None,
            )
            if made is not None:
                return _type_name(catalog, path, made.oid)
            found = next(((t, i) for t in catalog.tables() for i in t.every_index if i.oid == oid), None)
            if found is None:
                return None
            schema, name = catalog.schemas[found[0].schema].name, found[1].name
    seen = find(catalog, path, (name,))
    visible = seen == oid if isinstance(seen, int) else seen is not None and seen.oid == oid
    return quoted(name) if visible else f"{quoted(schema)}.{quoted(name)}"


def name_of(catalog: Catalog, path: list[str], kind: Kind, oid: int) -> str:
    """See engine.seams.SessionInfo.name_of. `path`: the search path with its implicit schemas."""
    if oid == 0:
        return "-"
    found: str | None = None
    match kind:
        case "class":
            found = _relation_name(catalog, path, oid)
        case "type":
            found = _type_name(catalog, path, oid)
        case "namespace":
            found = quoted(catalog.schemas[oid].name) if oid in catalog.schemas else None
        case "role":
            found = quoted(catalog.roles[oid].name) if oid in catalog.roles else None
        case "proc" | "procedure":
            found = _function_name(oid, kind) or _made_function(catalog, path, kind, oid)
        case "oper":
            found = next((o.name for os in OPERATORS.values() for o in os if o.oid == oid), None)
        case "operator":
            found = _operator_signature(oid)
        case "collation":
            found = {100: '"default"', 950: '"C"', 951: '"POSIX"'}.get(oid)
    return str(oid) if found is None else found


def _type_name(catalog: Catalog, path: list[str], oid: int) -> str | None:
    if oid in BY_OID:
        return format_type(BY_OID[oid])
    made = catalog.typed(oid)
    if made is None:
        return None
    if isinstance(made, Table | View):
        name = _relation_name(catalog, path, made.oid) or ""
        return name + "[]" if oid == made.array_type_oid else name
    seen = named(catalog, path)((made.name,))
    visible = seen is not None and seen.catalog_oid == made.oid
    place = "" if visible else quoted(catalog.schemas[made.schema].name) + "."
    return f"{place}{quoted(made.name)}{'[]' if oid == made.array_oid else ''}"


def _function_name(oid: int, kind: Kind) -> str | None:
    for overload in (o for os in FUNCTIONS.values() for o in os):
        if overload.oid == oid:
            arguments = ",".join(format_type(t) for t in overload.arguments)
            return f"{overload.name}({arguments})" if kind == "procedure" else overload.name
    return next((name for name, number in IO_OIDS.items() if number == oid), None)


def _made_function(catalog: Catalog, path: list[str], kind: Kind, oid: int) -> str | None:
    function = catalog.functions.get(oid)
    if function is None:
        return None
    schema = catalog.schemas[function.schema].name
    types = [a.type for a in function.inputs]
    seen = next(
        (
            other
            for place in path
            for other in catalog.functions_named(function.name)
            if catalog.schemas[other.schema].name == place and [a.type for a in other.inputs] == types
        ),
        None,
    )
    name = quoted(function.name) if seen is function else f"{quoted(schema)}.{quoted(function.name)}"
    return f"{name}({','.join(map(format_type, types))})" if kind == "procedure" else name


def oid_of(catalog: Catalog, path: list[str], kind: Kind, text: str) -> int:
    """See engine.seams.SessionInfo.oid_of."""
    if kind == "type":
        return _type_oid(catalog, path, text)
    if kind == "oper":
        return _operator_oid(text)
    if kind == "operator":
        return _operator_of(catalog, path, text)
    parts = split_name(text.partition("(")[0] if kind == "procedure" else text)
    if kind in ("namespace", "role"):
        if len(parts) > 1:
            raise InvalidName("invalid name syntax")
    elif len(parts) > 3:
        what = "relation" if kind == "class" else "qualified"
        raise SqlSyntaxError(f"improper {what} name (too many dotted names): {'.'.join(parts)}")
    elif len(parts) > 1:
        catalog.must_schema(own_schema(parts[-2], path))
    match kind:
        case "class":
            found = find(catalog, path, parts)
            if found is None:
                raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
            return found if isinstance(found, int) else found.oid
        case "namespace":
            return catalog.must_schema(parts[-1]).oid
        case "role":
            role = catalog.role(parts[-1])
            if role is None:
                raise UndefinedObject(f'role "{parts[-1]}" does not exist')
            return role.oid
        case "collation":
            known = {"default": 100, "c": 950, "C": 950, "POSIX": 951}.get(parts[-1])
            if known is None:
                raise UndefinedObject(f'collation "{parts[-1]}" for encoding "UTF8" does not exist')
            return known
        case _:
            return _function_oid(catalog, path, parts, text)


def _type_oid(catalog: Catalog, path: list[str], text: str) -> int:
    try:
        return type_of(text, named(catalog, path)).catalog_oid
    except UndefinedObject:
        schema, dot, _ = text.strip().partition(".")
        if dot and _PART.fullmatch(schema):
            catalog.must_schema(own_schema(split_name(schema)[0], path))
        raise UndefinedObject(f'type "{text.strip()}" does not exist') from None


def _operator_oid(text: str) -> int:
    symbol = text.strip().rpartition(".")[2]
    overloads = OPERATORS.get(symbol, [])
    if len(overloads) != 1:
        if overloads:
            raise AmbiguousFunction(f"more than one operator named {symbol}")
        raise UndefinedFunction(f"operator does not exist: {symbol}")
    return overloads[0].oid


def _operator_signature(oid: int) -> str | None:
    """+(integer,integer); a prefix operator has NONE before its operand."""
    found = next((o for os in OPERATORS.values() for o in os if o.oid == oid), None)
    if found is None:
        return None
    operands = [format_type(type) for type in found.arguments]
    return f"{found.name}({','.join(operands if len(operands) == 2 else ['NONE', *operands])})"


def _operator_of(catalog: Catalog, path: list[str], text: str) -> int:
    """The operator of this name with these operands."""
    name, opens, rest = text.partition("(")
    if not opens:
        raise InvalidTextRepresentation("expected a left parenthesis")
    operands = [part.strip() for part in rest.rstrip().removesuffix(")").split(",")]
    if len(operands) == 1:
        raise UndefinedParameter(
            "missing argument", hint="Use NONE to denote the missing argument of a unary operator."
        )
    if len(operands) > 2:
        raise TooManyArguments("too many arguments", hint="Provide two argument types for operator.")
    types = [type_of(part, named(catalog, path)).oid for part in operands if part.lower() != "none"]
    for overload in OPERATORS.get(name.strip().rpartition(".")[2], []):
        if [type.oid for type in overload.arguments] == types:
            return overload.oid
    raise UndefinedFunction(f"operator does not exist: {text}")


def _function_oid(catalog: Catalog, path: list[str], parts: tuple[str, ...], text: str) -> int:
    name = parts[-1]
    places = list(parts[:-1][-1:]) or path
    made = [f for f in catalog.functions_named(name) if catalog.schemas[f.schema].name in places]
    candidates = [f.oid for table in (FUNCTIONS, AGGREGATES, WINDOW_FUNCTIONS) for f in table.get(name, [])]
    if name in IO_OIDS:
        return IO_OIDS[name]
    if "(" in text:
        parts = tuple(part for part in text.partition("(")[2].rstrip(") ").split(",") if part.strip())
        wanted = [type_of(part, named(catalog, path)).oid for part in parts]
        for overload in FUNCTIONS.get(name, []):
            if [t.oid for t in overload.arguments] == wanted:
                return overload.oid
        candidates = [f.oid for f in made if [a.type.oid for a in f.inputs] == wanted]
    else:
        candidates += [f.oid for f in made]
    if len(candidates) > 1:
        raise AmbiguousFunction(f'more than one function named "{name}"')
    if not candidates:
        raise UndefinedFunction(f'function "{text}" does not exist')
    return candidates[0]
