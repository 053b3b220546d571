"""Functions and operators of macaddr and macaddr8: on the bits of whole columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.forms.hardware import WIDTHS, bits_of, values_of
from engine.functions.registry import operator, scalar
from storage.column import Array, Column
from storage.types import MACADDR, MACADDR8, Type


def _declare(type: Type) -> None:
    width = WIDTHS[type.name]
    whole = np.uint64((1 << 8 * width) - 1)
    maker = whole & ~np.uint64((1 << 8 * (width - 3)) - 1)

    def combined(column: Column, other: Column, work: Callable[[Array, Array], Array]) -> Column:
        return Column(type, values_of(type, work(bits_of(type, column.values), bits_of(type, other.values))))

    @operator("~", [type], type)
    def inverted(column: Column) -> Column:
        """All bits turned over."""
        return Column(type, values_of(type, bits_of(type, column.values) ^ whole))

    @operator("&", [type, type], type)
    def both(column: Column, other: Column) -> Column:
        """The bits that both have."""
        return combined(column, other, np.bitwise_and)

    @operator("|", [type, type], type)
    def either(column: Column, other: Column) -> Column:
        """The bits that one of them has."""
        return combined(column, other, np.bitwise_or)

    @scalar("trunc", [type], type)
    def truncated(column: Column) -> Column:
        """The three bytes that name the maker, the others zero."""
        return Column(type, values_of(type, bits_of(type, column.values) & maker))


_declare(MACADDR)
_declare(MACADDR8)


@scalar("macaddr8_set7bit", [MACADDR8], MACADDR8)
def with_seventh_bit(column: Column) -> Column:
    """The address with the seventh bit set, as IPv6 has it (modified EUI-64)."""
    return Column(MACADDR8, values_of(MACADDR8, bits_of(MACADDR8, column.values) | np.uint64(1 << 57)))
