"""Bound expressions: frozen nodes that evaluate to a column, once a batch and node.

`evaluate(batch, run)` gives a column of `batch.rows` rows, or a constant one. Nodes hold ids of
functions, never callables, so plans can be pickled and shipped. A null condition is not true: filters
use `true_rows`. The nodes stand in engine.nodes (leaves, calls, casts), engine.conditions,
engine.choices, engine.elements and engine.subscripts.
"""

from engine.choices import Case, Coalesce, Extreme, NullIf
from engine.conditions import And, BooleanTest, Distinction, InList, IsNull, Not, Or
from engine.elements import MakeArray, Quantified
from engine.nodes import (
    Call,
    Cast,
    Constant,
    Outer,
    Parameter,
    Reference,
    concat,
    gather,
    may_fail,
    narrow,
    true_rows,
    walk,
)
from engine.seams import Expression
from engine.subscripts import AssignElement, AssignSlice, Slice, Subscript

__all__ = [
    "And",
    "AssignElement",
    "AssignSlice",
    "BooleanTest",
    "Call",
    "Case",
    "Cast",
    "Coalesce",
    "Constant",
    "Distinction",
    "Expression",
    "Extreme",
    "InList",
    "IsNull",
    "MakeArray",
    "Not",
    "NullIf",
    "Or",
    "Outer",
    "Parameter",
    "Quantified",
    "Reference",
    "Slice",
    "Subscript",
    "concat",
    "gather",
    "may_fail",
    "narrow",
    "true_rows",
    "walk",
]
