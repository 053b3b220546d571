"""Arrays: ARRAY[...], subscripts and slices, and what is assigned to one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from engine.expressions import AssignElement, AssignSlice, Constant, Expression, MakeArray, Slice, Subscript
from engine.jsonparts import AssignMember
from engine.lists import check_dimensions
from sql.binding.base import Binding, binds
from sql.coerce import can_coerce, coerce, common_type
from sql.marks import FunctionMark, mark_of, position_of
from storage.errors import (
    CannotCoerce,
    DatabaseError,
    DatatypeMismatch,
    FeatureNotSupported,
    IndeterminateDatatype,
)
from storage.types import INT4, JSONB, TEXT, UNKNOWN, Type, array_of


@binds(exp.Array, arguments="expressions")
def constructor(binding: Binding, tree: exp.Array) -> Expression:
    """ARRAY[a, b, ...]; of arrays, one with a dimension more."""
    items = tree.expressions
    if not items:
        raise IndeterminateDatatype(
            "cannot determine type of empty array",
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            position=position_of(tree),
        )
    bound = [binding.bind(item) for item in items]
    type = common_type([b.type for b in bound], "ARRAY", [position_of(item) for item in items])
    for b, item in zip(bound, items, strict=True):
        if not can_coerce(b.type, type):
            raise CannotCoerce(
                f"ARRAY could not convert type {b.type.base} to {type.base}", position=position_of(item)
            )
    values = tuple(binding.coerced(b, type, position_of(item)) for b, item in zip(bound, items, strict=True))
    return MakeArray(values, array_of(type))


def cast_constructor(binding: Binding, tree: exp.Array, target: Type) -> Expression:
    """ARRAY[...]::type[]: the items are cast, those that are ARRAY[...] in the same way."""
    assert target.element is not None
    items = []
    for item in tree.expressions:
        if isinstance(item.unnest(), exp.Array):
            items.append(cast_constructor(binding, item.unnest(), target))
            continue
        bound = binding.bind(item)
        kind = target if bound.type.is_array and not target.element.is_array else target.element
        items.append(coerce(bound, kind, "e", position_of(item), binding.context))
    return MakeArray(tuple(items), array_of(target.element))


@dataclass(frozen=True, slots=True)
class Subscripts:
    """What stands in the brackets: of an element its indices, of a slice also the lower ends."""

    lowers: tuple[Expression | None, ...]
    uppers: tuple[Expression | None, ...]
    is_slice: bool

    @property
    def indices(self) -> tuple[Expression, ...]:
        """Of an element."""
        return tuple(index for index in self.uppers if index is not None)


@binds(exp.Bracket, arguments="this expressions")
def subscript(binding: Binding, tree: exp.Bracket) -> Expression:
    """array[index]...; json['field']."""
    brackets = chain(tree)
    value = binding.bind(brackets[0].this)
    position = position_of(tree)
    return part(binding, value, brackets, position)


def part(binding: Binding, value: Expression, brackets: list[exp.Bracket], position: int) -> Expression:
    """The element or slice of an array, or the part of a jsonb value, that the brackets name."""
    if value.type.base.oid == JSONB.oid:
        steps, _ = _path(binding, brackets)
        return binding.operator("#>", value, MakeArray(steps, array_of(TEXT)), position=position)
    element = value.type.element
    if element is None:
        raise not_subscriptable(value.type, position)
    found = read_subscripts(binding, brackets)
    if found.is_slice:
        return Slice(value, found.lowers, found.uppers)
    return Subscript(value, found.indices, element)


def chain(tree: exp.Expression) -> list[exp.Bracket]:
    """The brackets of a[i][j], the first first."""
    brackets = []
    while isinstance(tree, exp.Bracket):
        brackets.append(tree)
        tree = tree.this
    return brackets[::-1]


def not_subscriptable(type: Type, position: int) -> DatabaseError:
    """The error of brackets behind a value that has no parts."""
    shown = "unknown" if type.oid == UNKNOWN.oid else type.base
    return DatatypeMismatch(
        f"cannot subscript type {shown} because it does not support subscripting",
        position=position,
    )


def _only(bracket: exp.Bracket) -> exp.Expression:
    if len(bracket.expressions) != 1:
        raise FeatureNotSupported(
            "several subscripts in one pair of brackets are not supported", position=position_of(bracket)
        )
    inside: exp.Expression = bracket.expressions[0]
    return inside


def _path(binding: Binding, brackets: list[exp.Bracket]) -> tuple[tuple[Expression, ...], bool]:
    """(the keys and places that lead to a part of a jsonb value, as texts; whether the first is a place)."""
    steps, places = [], []
    for bracket in brackets:
        tree = _only(bracket)
        if isinstance(tree, exp.Slice):
            end = next(
                (e for e in (tree.args.get("expression"), tree.args.get("this")) if e is not None), None
            )
            raise DatatypeMismatch("jsonb subscript does not support slices", position=position_of(end))
        bound = binding.bind(tree)
        for target in (INT4, TEXT):
            if bound.type.oid != UNKNOWN.oid and can_coerce(bound.type, target, "i"):
                break
        else:
            if bound.type.oid != UNKNOWN.oid:
                raise DatatypeMismatch(
                    f"subscript type {bound.type.base} is not supported",
                    hint="jsonb subscript must be coercible to either integer or text.",
                    position=position_of(tree),
                )
            target = TEXT
        step = coerce(bound, target, "i", position_of(tree), binding.context)
        places.append(target is INT4)
        steps.append(coerce(step, TEXT, "e", position_of(tree), binding.context))
    return tuple(steps), places[0]


def read_subscripts(binding: Binding, brackets: list[exp.Bracket]) -> Subscripts:
    """The subscripts of an array. In a slice a lone number is its upper end, the lower one being 1."""
    check_dimensions(len(brackets))
    parts = [_only(bracket) for bracket in brackets]
    is_slice = any(isinstance(part, exp.Slice) for part in parts)
    lowers: list[Expression | None] = []
    uppers: list[Expression | None] = []
    for part in parts:
        if isinstance(part, exp.Slice):
            if part.args.get("step") is not None:
                raise FeatureNotSupported(
                    "array slices with a step are not supported", position=position_of(part)
                )
            lowers.append(_end(binding, part.args.get("this")))
            uppers.append(_end(binding, part.args.get("expression")))
        else:
            one = Constant(binding.context.constant(INT4, 1))
            lowers.append(one if is_slice else None)
            uppers.append(_index(binding, part))
    return Subscripts(tuple(lowers), tuple(uppers), is_slice)


def _end(binding: Binding, part: exp.Expression | None) -> Expression | None:
    """An end of a slice; None where it is left out."""
    if part is None or mark_of(part, FunctionMark) is not None:
        return None
    return _index(binding, part)


def _index(binding: Binding, tree: exp.Expression) -> Expression:
    bound = binding.bind(tree)
    if not can_coerce(bound.type, INT4, "a"):
        raise DatatypeMismatch("array subscript must have type integer", position=position_of(tree))
    return coerce(bound, INT4, "a", position_of(tree), binding.context)


def assigned(
    binding: Binding,
    old: Expression,
    name: str,
    brackets: list[exp.Bracket],
    value: Expression,
    position: int,
) -> Expression:
    """The array or jsonb value `old` of column `name` with `value` in the part that the brackets name."""
    place = position_of(brackets[-1])
    if old.type.base.oid == JSONB.oid:
        steps, places = _path(binding, brackets)
        return AssignMember(old, steps, _fitting(binding, value, name, JSONB, position, place), places)
    element = old.type.element
    if element is None:
        raise not_subscriptable(old.type, place)
    found = read_subscripts(binding, brackets)
    value = _fitting(binding, value, name, old.type.base if found.is_slice else element, position, place)
    if found.is_slice:
        return AssignSlice(old, found.lowers, found.uppers, value)
    return AssignElement(old, found.indices, value)


def _fitting(
    binding: Binding, value: Expression, name: str, wanted: Type, position: int, place: int
) -> Expression:
    """What is assigned to a part of column `name`, as the part's type."""
    if not can_coerce(value.type, wanted, "a"):
        raise DatatypeMismatch(
            f'subscripted assignment to "{name}" requires type {wanted.base} '
            f"but expression is of type {value.type.base}",
            hint="You will need to rewrite or cast the expression.",
            position=place,
        )
    return coerce(value, wanted, "a", position, binding.context)
