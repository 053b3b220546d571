"""Bound expressions as SQL-like text, for EXPLAIN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import expressions as e
from engine import forms, subqueries
from engine.aggregates.registry import AggregateCall
from engine.fused import Fused
from engine.operators import SortKey
from engine.samples import Sampled
from storage.types import BOOL, FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, format_type

_BARE = frozenset(t.oid for t in (INT2, INT4, INT8, FLOAT4, FLOAT8, NUMERIC, BOOL))
_WIDEST = 60  # characters of a constant


def deparse(node: Any) -> str:
    """The expression, aggregate call or sort key as text."""
    # binding makes subclasses of subqueries, which print alike
    writer = next((_WRITERS[kind] for kind in type(node).__mro__ if kind in _WRITERS), None)
    return f"<{type(node).__name__}>" if writer is None else writer(node)


def condition(node: Any) -> str:
    """A condition, in parentheses as PostgreSQL prints it."""
    text = deparse(node)
    return text if text.startswith("(") and text.endswith(")") else f"({text})"


def listed(nodes: Any) -> str:
    """Several, with commas."""
    return ", ".join(deparse(node) for node in nodes)


def _constant(node: e.Constant) -> str:
    value = node.value
    text: str | None = node.text
    if text is None and value.is_valid()[0]:
        text = forms.text_of(value).tolist()[0]
    if text is None:
        return "NULL"
    if value.type.oid in _BARE:
        return text
    shown = text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."
    return "'" + shown.replace("'", "''") + f"'::{format_type(value.type)}"


def _call(node: e.Call) -> str:
    name = node.function.partition("(")[0]
    if not name.startswith("operator "):
        return f"{name}({listed(node.arguments)})"
    symbol = name.removeprefix("operator ")
    if len(node.arguments) == 1:
        return f"({symbol} {deparse(node.arguments[0])})"
    left, right = node.arguments
    return f"({deparse(left)} {symbol} {deparse(right)})"


def _case(node: e.Case) -> str:
    whens = " ".join(f"WHEN {deparse(when)} THEN {deparse(then)}" for when, then in node.whens)
    otherwise = "" if node.otherwise is None else f" ELSE {deparse(node.otherwise)}"
    return f"CASE {whens}{otherwise} END"


def _boolean_test(node: e.BooleanTest) -> str:
    word = "UNKNOWN" if node.value is None else str(node.value).upper()
    return f"({deparse(node.argument)} IS {'NOT ' if node.negated else ''}{word})"


def _aggregate(node: AggregateCall) -> str:
    if node.direct is not None:
        kept = f" FILTER (WHERE {deparse(node.filter)})" if node.filter is not None else ""
        order = listed(node.order) or listed(node.arguments)
        name = node.function.partition("(")[0]
        return f"{name}({listed(node.direct.arguments)}) WITHIN GROUP (ORDER BY {order}){kept}"
    inside = listed(node.arguments) or "*"
    order = f" ORDER BY {listed(node.order)}" if node.order else ""
    kept = f" FILTER (WHERE {deparse(node.filter)})" if node.filter is not None else ""
    return f"{node.function.partition('(')[0]}({'DISTINCT ' if node.distinct else ''}{inside}{order}){kept}"


def _sampled(node: Sampled) -> str:
    seed = "" if node.seed is None else f" REPEATABLE ({deparse(node.seed)})"
    return f"(TABLESAMPLE {node.method} ({deparse(node.percent)}){seed})"


def _sort_key(node: SortKey) -> str:
    nulls = "" if node.nulls_first == node.descending else f" NULLS {'FIRST' if node.nulls_first else 'LAST'}"
    return deparse(node.expression) + (" DESC" if node.descending else "") + nulls


def _joined(word: str) -> Callable[[Any], str]:
    return lambda node: "(" + f" {word} ".join(deparse(operand) for operand in node.operands) + ")"


def _slices(node: e.Slice | e.AssignSlice) -> str:
    ends = zip(node.lowers, node.uppers, strict=True)
    return "".join(f"[{':'.join('' if end is None else deparse(end) for end in pair)}]" for pair in ends)


_WRITERS: dict[type, Callable[[Any], str]] = {
    e.Reference: lambda n: n.name or f"column {n.index + 1}",
    e.Constant: _constant,
    e.Parameter: lambda n: f"${n.index + 1}",
    e.Outer: lambda n: f"outer column {n.index + 1}",
    e.Call: _call,
    e.Cast: lambda n: f"({deparse(n.argument)})::{format_type(n.type)}",
    Fused: lambda n: deparse(n.original),
    e.And: _joined("AND"),
    e.Or: _joined("OR"),
    e.Not: lambda n: f"(NOT {deparse(n.argument)})",
    e.IsNull: lambda n: f"({deparse(n.argument)} IS {'NOT ' if n.negated else ''}NULL)",
    e.BooleanTest: _boolean_test,
    e.Distinction: lambda n: (
        f"({deparse(n.left)} IS {'NOT ' if n.negated else ''}DISTINCT FROM {deparse(n.right)})"
    ),
    e.InList: lambda n: f"({deparse(n.argument)} {'NOT ' if n.negated else ''}IN ({listed(n.items)}))",
    e.Case: _case,
    e.Coalesce: lambda n: f"COALESCE({listed(n.arguments)})",
    e.NullIf: lambda n: f"NULLIF({deparse(n.left)}, {deparse(n.right)})",
    e.Extreme: lambda n: f"{'GREATEST' if n.greatest else 'LEAST'}({listed(n.arguments)})",
    e.MakeArray: lambda n: f"ARRAY[{listed(n.items)}]",
    e.Subscript: lambda n: deparse(n.array) + "".join(f"[{deparse(index)}]" for index in n.indices),
    e.Slice: lambda n: deparse(n.array) + _slices(n),
    e.AssignElement: lambda n: deparse(n.value),
    e.AssignSlice: lambda n: deparse(n.value),
    e.Quantified: lambda n: (
        f"({deparse(n.operand)} {n.operator.removeprefix('operator ').partition('(')[0]} "
        f"{'ALL' if n.every else 'ANY'} ({deparse(n.array)}))"
    ),
    subqueries.ScalarSubquery: lambda n: "(SubPlan)",
    subqueries.ExistsSubquery: lambda n: f"({'NOT ' if n.negated else ''}EXISTS (SubPlan))",
    subqueries.ArraySubquery: lambda n: "ARRAY(SubPlan)",
    subqueries.InSubquery: lambda n: f"({listed(n.operand)} {'NOT ' if n.negated else ''}IN (SubPlan))",
    subqueries.QuantifiedSubquery: lambda n: "(SubPlan comparison)",
    subqueries.QuantifiedRows: lambda n: "(SubPlan comparison)",
    AggregateCall: _aggregate,
    Sampled: _sampled,
    SortKey: _sort_key,
}
