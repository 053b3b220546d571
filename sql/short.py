"""Short plans: those that may run on the event loop, because they look at a few rows and compute little.

A short plan is a chain of operators over a few written rows, or over rows found by keys, with expressions
whose cost does not depend on their values, or only on the length of texts that came with the statement. What
else may make it wait or take long is noticed while it runs (storage.waiting): rows that another transaction
holds, buffers that are not resident, more rows found by a key than a few. What is begun again may not differ
from what is done once, so nextval is not among its functions.
"""

from __future__ import annotations

from engine.functions.registry import BY_ID
from engine.nodes import Call, Cast, walk
from engine.operators import (
    Delete,
    Filter,
    IndexScan,
    Insert,
    Limit,
    LockRows,
    OneRow,
    Operator,
    Project,
    Update,
    Upsert,
    Values,
)
from engine.parallel import expressions_of
from engine.seams import Expression
from storage.types import Form, Type

_OPERATORS = (Delete, Filter, IndexScan, Insert, Limit, LockRows, OneRow, Project, Update, Upsert, Values)
_LOOKING = (Filter, IndexScan, Limit, OneRow, Project)
_ROWS = 64  # that a statement writes out
_NODES = 2000  # of its expressions, together

_VOLATILE = frozenset(("clock_timestamp", "gen_random_uuid", "random", "timeofday"))
_LINEAR = frozenset(
    (
        "*",
        "+",
        "-",
        "<",
        "<=",
        "<>",
        "=",
        ">",
        ">=",
        "||",
        "bit_length",
        "btrim",
        "char_length",
        "concat",
        "left",
        "length",
        "lower",
        "ltrim",
        "md5",
        "octet_length",
        "right",
        "rtrim",
        "strpos",
        "substr",
        "substring",
        "upper",
    )
)
"""Functions of texts and numerics that take about as long as their arguments are, and give no more."""


def is_short(operator: Operator) -> bool:
    """Whether a plan is short."""
    nodes = 0
    for node in _tree(operator):
        if not isinstance(node, _OPERATORS) or getattr(node, "rules", None) is not None:
            return False  # keys of other tables are looked up row by row
        if isinstance(node, Values) and len(node.rows) > _ROWS:
            return False
        for expression in expressions_of(node):
            for part in walk(expression):
                nodes += 1
                if nodes > _NODES or not _is_short(part):
                    return False
    return True


def only_looks(operator: Operator) -> bool:
    """Whether a short plan reads, and asks nothing of its session and transaction but the snapshot."""
    for node in _tree(operator):
        if not isinstance(node, _LOOKING):
            return False
        for expression in expressions_of(node):
            for part in walk(expression):
                if isinstance(part, Cast) or (isinstance(part, Call) and _asks(part)):
                    return False
    return True


def _asks(call: Call) -> bool:
    overload = BY_ID[call.function]
    return overload.run or overload.volatility != "i"


def _tree(operator: Operator) -> list[Operator]:
    found = [operator]
    for child in operator.children:
        found += _tree(child)
    return found


def _is_short(node: Expression) -> bool:
    if hasattr(node, "prepare"):  # a plan of its own
        return False
    if not isinstance(node, Call):
        return True
    overload = BY_ID[node.function]
    if overload.volatility == "v":
        return overload.name in _VOLATILE
    return overload.name in _LINEAR or all(map(_is_fixed, (*overload.arguments, overload.result)))


def _is_fixed(type: Type) -> bool:
    """Whether values of a type have a size that bounds what is computed of them: they name no object."""
    return type.form in (Form.FIXED, Form.ROWS) and type.name != "oid" and not type.name.startswith("reg")
