"""Which types have an order, or at least equality: as operators of theirs say, of arrays their elements'.

Rows are taken to have both: their fields are looked at when rows are compared.
"""

from __future__ import annotations

from functools import cache

from sql.functions import find_operator
from storage.errors import UndefinedFunction, UndefinedObject
from storage.types import ACLITEM, BY_OID, Type


def must_order(type: Type, position: int) -> None:
    """Raises UndefinedFunction for a type that nothing can be sorted by."""
    if not _compares("<", type):
        raise UndefinedFunction(
            f"could not identify an ordering operator for type {type.base}",
            hint="Use an explicit ordering operator or modify the query.",
            position=position,
        )


def must_equal(type: Type, position: int) -> None:
    """Raises UndefinedFunction for a type whose values are not told apart."""
    if not _compares("=", type):
        raise UndefinedFunction(
            f"could not identify an equality operator for type {type.base}", position=position
        )


def must_compare(type: Type) -> None:
    """Raises UndefinedFunction for a type of which no value is the greatest."""
    if not _compares("<", type):
        raise UndefinedFunction(f"could not identify a comparison function for type {type.base}")


def must_count_once(type: Type, position: int) -> None:
    """Raises UndefinedFunction for a type that DISTINCT in an aggregate does not take."""
    must_equal(type, position)
    if not _compares("<", type):
        raise UndefinedFunction(
            f"could not identify an ordering operator for type {type.base}",
            detail="Aggregates with DISTINCT must be able to sort their inputs.",
            position=position,
        )


def must_index(type: Type, method: str) -> None:
    """Raises UndefinedObject for a type whose columns no index of this method, btree or hash, can hold."""
    if not type.is_array and not _compares("=" if method == "hash" else "<", type):
        raise UndefinedObject(
            f'data type {type.base} has no default operator class for access method "{method}"',
            hint="You must specify an operator class for the index or define a default operator class"
            " for the data type.",
        )


def _compares(symbol: str, type: Type) -> bool:
    while type.element is not None:
        type = type.element
    return type.oid not in BY_OID or _known(symbol, type.oid)  # enums and composite types compare


@cache
def _known(symbol: str, oid: int) -> bool:
    if oid == ACLITEM.oid:
        return symbol == "="  # it has a hash
    return find_operator(symbol, (BY_OID[oid], BY_OID[oid])) is not None
