"""Polymorphic signatures: what anyelement, anyarray and their kin stand for, by the arguments of a call.

Those of the family `any` agree exactly; those of the family `anycompatible` are what the arguments have in
common, to which each is cast. In either, the element of an array is the family's element. Modifiers do not
matter, and a call gives none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sql.coerce import POLYMORPHIC, common_type
from storage.errors import DatatypeMismatch
from storage.types import (
    ANY,
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYCOMPATIBLENONARRAY,
    ANYELEMENT,
    ANYENUM,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    RANGE_OF,
    RANGES,
    SUBTYPES,
    TEXT,
    UNKNOWN,
    Type,
    array_of,
)

_COMPATIBLE = frozenset(t.oid for t in (ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY))
_ARRAYS = frozenset((ANYARRAY.oid, ANYCOMPATIBLEARRAY.oid))
_RANGES = frozenset((ANYRANGE.oid, ANYMULTIRANGE.oid))
_NONARRAYS = frozenset((ANYNONARRAY.oid, ANYCOMPATIBLENONARRAY.oid))


@dataclass(frozen=True, slots=True)
class _Family:
    """What a family's types stand for in a call."""

    element: Type
    array: Type | None = None  # an argument of that type, which may be int2vector
    range: Type | None = None  # the range type, where an argument is a range or a multirange


def bound(
    declared: Sequence[Type], result: Type, types: Sequence[Type]
) -> tuple[tuple[Type, ...], Type] | None:
    """(the types of the arguments, that of the result) of a call; None where the arguments disagree."""
    if all(d.oid not in POLYMORPHIC for d in declared):
        return tuple(declared), result
    families: dict[bool, _Family] = {}
    for compatible in (False, True):
        pairs = [
            (d, t)
            for d, t in zip(declared, types, strict=True)
            if d.oid in POLYMORPHIC and d.oid != ANY.oid and (d.oid in _COMPATIBLE) == compatible
        ]
        if pairs:
            family = _compatible(pairs) if compatible else _same(pairs)
            if family is None:
                return None
            families[compatible] = family
    arguments = tuple(
        _argument(d, t, families.get(d.oid in _COMPATIBLE)) for d, t in zip(declared, types, strict=True)
    )
    return arguments, _result(result, families.get(result.oid in _COMPATIBLE))


def _element_of(declared: Type, type: Type) -> Type | None:
    """The element that an argument tells of; None where it does not fit what is declared."""
    if declared.oid in _ARRAYS:
        return None if type.element is None else type.element.base
    if declared.oid in _RANGES:
        return SUBTYPES.get(_range(type).oid)
    if (declared.oid in _NONARRAYS and type.is_array) or (declared.oid == ANYENUM.oid and not type.is_enum):
        return None
    return type.base


def _range(type: Type) -> Type:
    """The range type of a multirange's; another type as it is."""
    return RANGE_OF.get(type.oid, type)


def _same(pairs: list[tuple[Type, Type]]) -> _Family | None:
    element: Type | None = None
    array: Type | None = None
    range: Type | None = None
    for declared, type in pairs:
        if type.oid == UNKNOWN.oid:
            continue
        here = _element_of(declared, type)
        if here is None or (element is not None and element.oid != here.oid):
            return None
        element = here
        if declared.oid in _ARRAYS:
            array = array or type
        elif declared.oid in _RANGES:
            range = _range(type)
    if element is not None:
        known = range is not None or all(declared.oid not in _RANGES for declared, _ in pairs)
        return _Family(element, array, range) if known else None
    # nothing but constants: taken for text where that is all they are asked for
    plain = all(declared.oid in (ANYELEMENT.oid, ANYNONARRAY.oid) for declared, _ in pairs)
    return _Family(TEXT) if plain else None


def _compatible(pairs: list[tuple[Type, Type]]) -> _Family | None:
    known = [(declared, type) for declared, type in pairs if type.oid != UNKNOWN.oid]
    elements = [_element_of(declared, type) for declared, type in known]
    found = [element for element in elements if element is not None]
    if len(found) < len(elements):
        return None
    if not found:
        return _Family(TEXT) if all(d.oid not in _ARRAYS for d, _ in pairs) else None
    try:
        element = common_type(found, "arguments").base
    except DatatypeMismatch:
        return None
    array = next((type for declared, type in known if declared.oid in _ARRAYS), None)
    return _Family(element, array)


def _argument(declared: Type, type: Type, family: _Family | None) -> Type:
    if declared.oid == ANY.oid:
        return TEXT if type.oid == UNKNOWN.oid else type
    if declared.oid not in POLYMORPHIC or family is None:
        return declared
    if declared.oid in _RANGES and family.range is not None:
        return family.range if declared.oid == ANYRANGE.oid else RANGES[family.range.oid][1]
    if declared.oid not in _ARRAYS:
        return family.element
    keeps = type.element is not None and type.element.oid == family.element.oid
    return type if keeps else array_of(family.element)


def _result(declared: Type, family: _Family | None) -> Type:
    if declared.oid not in POLYMORPHIC or family is None:
        return declared
    if declared.oid in _RANGES and family.range is not None:
        return family.range if declared.oid == ANYRANGE.oid else RANGES[family.range.oid][1]
    if declared.oid not in _ARRAYS:
        return family.element
    array = family.array
    if array is not None and array.element is not None and array.element.oid == family.element.oid:
        return array.base  # a call gives values of any length
    return array_of(family.element)
