"""pg_get_functiondef and its kin: functions as CREATE FUNCTION has them."""

from __future__ import annotations

from functools import lru_cache

from engine.functions.quoting import quote_identifier
from engine.functions.registry import AGGREGATES, FUNCTIONS, Overload, scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from storage.column import Column
from storage.definitions import Function, Table, View
from storage.types import OID, TEXT, Type


@lru_cache(1)
def _functions() -> dict[int, Overload]:
    return {overload.oid: overload for overloads in FUNCTIONS.values() for overload in overloads}


@scalar("pg_get_function_arguments", [OID], TEXT, volatility="s", run=True)
def function_arguments(oid: Column, run: Run) -> Column:
    """A function's arguments, as CREATE FUNCTION has them."""
    made = run.snapshot.catalog.functions

    def one(oid: int) -> str | None:
        return _arguments(made[oid], run, defaults=True) if oid in made else _built_in_arguments(oid)

    return each(one, oid)


@scalar("pg_get_function_identity_arguments", [OID], TEXT, volatility="s", run=True)
def function_identity_arguments(oid: Column, run: Run) -> Column:
    """What of a function's arguments tells it from others of its name."""
    made = run.snapshot.catalog.functions

    def one(oid: int) -> str | None:
        return _arguments(made[oid], run, defaults=False) if oid in made else _built_in_arguments(oid)

    return each(one, oid)


def _built_in_arguments(oid: int) -> str | None:
    overload = _functions().get(oid)
    if overload is not None:
        names = [type.sql_name for type in overload.arguments]
        if overload.variadic:
            names[-1] = f"VARIADIC {names[-1]}"
        return ", ".join(names)
    if oid not in AGGREGATES:
        return None
    arguments, _ = AGGREGATES[oid]
    return ", ".join(type.sql_name for type in arguments)


_MODES = {"o": "OUT ", "b": "INOUT ", "v": "VARIADIC "}


def _arguments(made: Function, run: Run, *, defaults: bool) -> str:
    """The arguments of a function of the catalog; those of RETURNS TABLE stand there."""
    parts = []
    for argument in made.arguments:
        if argument.mode == "t" or (argument.mode == "o" and not defaults and not made.procedure):
            continue
        name = f"{quote_identifier(argument.name)} " if argument.name else ""
        default = f" DEFAULT {argument.default}" if defaults and argument.default is not None else ""
        mode = "IN " if made.procedure and argument.mode == "i" else _MODES.get(argument.mode, "")
        parts.append(f"{mode}{name}{_type_name(argument.type, run)}{default}")
    return ", ".join(parts)


def _type_name(type: Type, run: Run) -> str:
    return session_of(run).name_of("type", type.oid)


@scalar("pg_get_function_result", [OID], TEXT, volatility="s", run=True)
def function_result(oid: Column, run: Run) -> Column:
    """The type of a function's result."""
    made = run.snapshot.catalog.functions

    def one(oid: int) -> str | None:
        if oid in made:
            return None if made[oid].procedure else _result(made[oid], run)
        overload = _functions().get(oid)
        if overload is None:
            return AGGREGATES[oid][1].sql_name if oid in AGGREGATES else None
        if overload.columns:
            columns = ", ".join(f"{name} {type.sql_name}" for name, type in overload.columns)
            return f"TABLE({columns})"
        return ("SETOF " if overload.returns_set else "") + overload.result.sql_name

    return each(one, oid)


def _result(made: Function, run: Run) -> str:
    table = [a for a in made.arguments if a.mode == "t"]
    if table:
        return f"TABLE({', '.join(f'{quote_identifier(a.name)} {_type_name(a.type, run)}' for a in table)})"
    relation = run.snapshot.catalog.relations.get(made.row)
    type = _type_name(made.result, run)
    if isinstance(relation, Table | View):
        type = session_of(run).name_of("class", relation.oid)
    return f"SETOF {type}" if made.returns_set else type


@scalar("pg_get_functiondef", [OID], TEXT, volatility="s", run=True)
def pg_get_functiondef(oid: Column, run: Run) -> Column:
    """The CREATE FUNCTION of a function."""
    volatility = {"i": "IMMUTABLE", "s": "STABLE", "v": "VOLATILE"}
    made = run.snapshot.catalog.functions

    def one(oid: int) -> str | None:
        if oid in made:
            return _definition(made[oid], run)
        overload = _functions().get(oid)
        if overload is None:
            return None
        arguments = ", ".join(type.sql_name for type in overload.arguments)
        words = f"{volatility[overload.volatility]} PARALLEL SAFE{' STRICT' if overload.strict else ''}"
        return (
            f"CREATE OR REPLACE FUNCTION pg_catalog.{overload.name}({arguments})\n"
            f" RETURNS {overload.result.sql_name}\n LANGUAGE internal\n {words}\n"
            f"AS $function${overload.name}$function$\n"
        )

    return each(one, oid)


def _definition(made: Function, run: Run) -> str:
    """CREATE FUNCTION or PROCEDURE, with what is not as it is by default."""
    kind = "PROCEDURE" if made.procedure else "FUNCTION"
    schema = quote_identifier(run.snapshot.catalog.schemas[made.schema].name)
    text = f"CREATE OR REPLACE {kind} {schema}.{quote_identifier(made.name)}("
    text += f"{_arguments(made, run, defaults=True)})\n"
    text += "" if made.procedure else f" RETURNS {_result(made, run)}\n"
    text += " LANGUAGE sql\n"
    words = [{"i": "IMMUTABLE", "s": "STABLE"}.get(made.volatility, "")]
    words.append({"s": "PARALLEL SAFE", "r": "PARALLEL RESTRICTED"}.get(made.parallel, ""))
    words += ["STRICT" if made.strict else "", "LEAKPROOF" if made.leakproof else ""]
    words.append("" if made.cost == 100 else f"COST {made.cost:g}")
    words.append(f"ROWS {made.rows:g}" if made.returns_set and made.rows != 1000 else "")
    said = " ".join(word for word in words if word)
    text += f" {said}\n" if said else ""
    if made.path:
        return text + f"BEGIN ATOMIC\n {made.body.strip().rstrip(';')};\nEND\n"
    tag = kind.lower()
    while f"${tag}$" in made.body:
        tag += "x"
    return text + f"AS ${tag}${made.body}${tag}$\n"
