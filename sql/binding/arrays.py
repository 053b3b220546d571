"""Arrays: ARRAY[...], subscripts."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Expression, MakeArray, Slice, Subscript
from sql.binding.base import Binding, binds
from sql.coerce import common_type
from sql.marks import FunctionMark, mark_of, position_of
from storage.errors import DatatypeMismatch, FeatureNotSupported, IndeterminateDatatype
from storage.types import INT4, JSON, JSONB, UNKNOWN, array_of


@binds(exp.Array, arguments="expressions")
def constructor(binding: Binding, tree: exp.Array) -> Expression:
    """ARRAY[a, b, ...]."""
    items = tree.expressions
    if not items:
        raise IndeterminateDatatype(
            "cannot determine type of empty array",
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            position=position_of(tree),
        )
    if any(isinstance(item, exp.Array) for item in items):
        raise FeatureNotSupported("multidimensional arrays are not supported", position=position_of(tree))
    bound = [binding.bind(item) for item in items]
    type = common_type([b.type for b in bound], "ARRAY", [position_of(item) for item in items])
    values = tuple(binding.coerced(b, type, position_of(item)) for b, item in zip(bound, items, strict=True))
    return MakeArray(values, array_of(type.base))


@binds(exp.Bracket, arguments="this expressions")
def subscript(binding: Binding, tree: exp.Bracket) -> Expression:
    """array[index]; json['field']."""
    array = binding.bind(tree.this)
    position = position_of(tree)
    if len(tree.expressions) != 1:
        raise FeatureNotSupported("multidimensional arrays are not supported", position=position)
    index = tree.expressions[0]
    if isinstance(index, exp.Slice) and array.type.element is not None:
        return _slice(binding, array, index)
    if array.type.oid == JSONB.oid:
        return binding.operator("->", array, binding.bind(index), position=position)
    element = array.type.element
    if element is None:
        shown = "unknown" if array.type.oid == UNKNOWN.oid else array.type.base
        hint = "Use the operators -> and ->>." if array.type.oid == JSON.oid else ""
        raise DatatypeMismatch(
            f"cannot subscript type {shown} because it does not support subscripting",
            hint=hint,
            position=position,
        )
    return Subscript(array, binding.coerced(binding.bind(index), INT4, position_of(index)), element)


def _slice(binding: Binding, array: Expression, tree: exp.Slice) -> Expression:
    """array[lower:upper]; an end that is left out is the array's."""
    if tree.args.get("step") is not None:
        raise FeatureNotSupported("array slices with a step are not supported", position=position_of(tree))

    def end(part: exp.Expression | None) -> Expression | None:
        if part is None or mark_of(part, FunctionMark) is not None:
            return None
        return binding.coerced(binding.bind(part), INT4, position_of(part))

    return Slice(array, end(tree.args.get("this")), end(tree.args.get("expression")))
