"""Names of objects: which of them the search path finds, and the OIDs behind them."""

from __future__ import annotations

from engine.functions.quoting import split_identifiers
from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from engine.seams import Kind
from storage.column import Column
from storage.errors import (
    AmbiguousFunction,
    DatabaseError,
    FeatureNotSupported,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
)
from storage.types import (
    BOOL,
    NAME,
    OID,
    REGCLASS,
    REGCOLLATION,
    REGNAMESPACE,
    REGOPER,
    REGOPERATOR,
    REGPROC,
    REGPROCEDURE,
    REGROLE,
    REGTYPE,
    TEXT,
    Type,
)


@scalar("pg_get_userbyid", [OID], NAME, volatility="s", run=True)
def pg_get_userbyid(oid: Column, run: Run) -> Column:
    """A role's name."""
    roles = run.snapshot.catalog.roles
    return each(lambda o: roles[o].name if o in roles else f"unknown (OID={o})", oid, type=NAME)


def _visible(name: str, kind: Kind, unknown: bool | None = None) -> None:
    @scalar(name, [OID], BOOL, volatility="s", run=True)
    def visible(oid: Column, run: Run) -> Column:
        """Whether the object's name alone finds it; null where there is no such object."""

        def one(oid: int) -> bool | None:
            shown = session_of(run).name_of(kind, oid)
            if shown.isdigit() or shown == "-":
                return unknown
            return len(split_identifiers(shown, strict=False)) == 1

        return each(one, oid, type=BOOL)


_visible("pg_table_is_visible", "class")
_visible("pg_type_is_visible", "type")
_visible("pg_function_is_visible", "proc")
_visible("pg_operator_is_visible", "oper")
_visible("pg_collation_is_visible", "collation")


def _always_visible(name: str) -> None:
    @scalar(name, [OID], BOOL, volatility="s")
    def visible(oid: Column) -> Column:
        """Whether the object's name alone finds it: all there are stand in pg_catalog."""
        return each(lambda o: True, oid, type=BOOL)


for _name in ("conversion", "statistics_obj", "ts_config", "ts_dict", "ts_parser", "ts_template"):
    _always_visible(f"pg_{_name}_is_visible")
for _name in ("opclass", "opfamily"):
    _always_visible(f"pg_{_name}_is_visible")


_NONE = (UndefinedTable, UndefinedObject, UndefinedFunction, AmbiguousFunction, FeatureNotSupported)


def _lookup(name: str, kind: Kind, type: Type) -> None:
    @scalar(name, [TEXT], type, volatility="s", run=True)
    def lookup(text: Column, run: Run) -> Column:
        """The OID behind a name, null where there is none, or more than one."""

        def one(text: str) -> int | None:
            try:
                return session_of(run).oid_of(kind, text)
            except _NONE:
                return None
            except DatabaseError as error:
                if error.sqlstate == "3F000":
                    return None
                raise

        return each(one, text, type=type)


_lookup("to_regclass", "class", REGCLASS)
_lookup("to_regtype", "type", REGTYPE)
_lookup("to_regproc", "proc", REGPROC)
_lookup("to_regprocedure", "procedure", REGPROCEDURE)
_lookup("to_regoper", "oper", REGOPER)
_lookup("to_regoperator", "operator", REGOPERATOR)
_lookup("to_regcollation", "collation", REGCOLLATION)
_lookup("to_regnamespace", "namespace", REGNAMESPACE)
_lookup("to_regrole", "role", REGROLE)


@scalar("regclass", [TEXT], REGCLASS, volatility="s", run=True)
def regclass(text: Column, run: Run) -> Column:
    """The OID of a relation by its name."""
    return each(lambda t: session_of(run).oid_of("class", t), text, type=REGCLASS)
