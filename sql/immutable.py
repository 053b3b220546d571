"""Whether an expression gives the same value for the same row for ever: what may be stored beside the row.

Functions say it of themselves (volatility); of casts the table below says which ones a setting may change,
as in PostgreSQL's pg_cast and in the volatility of its types' input and output functions.
"""

from __future__ import annotations

from engine.expressions import Call, Cast, Constant, Expression, walk
from engine.functions.registry import BY_ID
from sql.context import BindContext
from storage.types import TEXT, Type

_WRITTEN = frozenset(
    (
        "date",
        "interval",
        "money",
        "timestamp",
        "timestamptz",
        "regclass",
        "regcollation",
        "regnamespace",
        "regoper",
    )
) | {"regproc", "regprocedure", "regrole", "regtype", "aclitem"}
"""Types whose text depends on settings, or on the catalog."""
_READ = _WRITTEN | {"time", "timetz"}
"""Types that are read from text by settings, or by the catalog."""
_ZONED = (
    frozenset(
        (("date", "timestamptz"), ("time", "timetz"), ("timestamp", "timestamptz"), ("timestamptz", "date"))
    )
    | {
        ("timestamptz", "time"),
        ("timestamptz", "timestamp"),
        ("timestamptz", "timetz"),
        ("money", "numeric"),
        ("numeric", "money"),
        ("int4", "money"),
    }
    | {("int8", "money")}
)
"""(source, target) that the time zone, or the locale, decides."""
_TO_TEXT = ("operator ||(text,anynonarray)", "operator ||(anynonarray,text)")


def is_immutable(expression: Expression, context: BindContext) -> bool:
    """Whether neither settings, time nor the catalog change its value. It was bound in `context`, alone."""
    functions = [context.catalog.functions.get(oid) for oid, _ in context.needs]
    if any(function is not None and function.volatility != "i" for function in functions):
        return False
    return all(map(_immutable, walk(expression)))


def _immutable(node: Expression) -> bool:
    match node:
        case Cast(Constant()):
            return True  # a literal
        case Cast(argument, type):
            return _immutable_cast(argument.type, type)
        case Call(function, arguments) if function in _TO_TEXT:
            return all(_immutable_cast(argument.type, TEXT) for argument in arguments)
        case Call(function):
            return BY_ID[function].volatility == "i"
    return not getattr(node, "volatile", False)


def _immutable_cast(source: Type, target: Type) -> bool:
    if source.oid == target.oid:
        return True
    if source.element is not None and target.element is not None:
        return _immutable_cast(source.element, target.element)
    if target.category == "S":
        return not _made(source) and source.name not in _WRITTEN
    if source.category == "S":
        return not _made(target) and target.name not in _READ
    return (source.name, target.name) not in _ZONED


def _made(type: Type) -> bool:
    """Whether its text is made of others' texts, or looked up: never immutable for PostgreSQL."""
    return type.element is not None or type.is_row or type.category in "ER"
