"""Joined columns: those of a join's held rows, beside rows that have yet to meet them.

Where most rows of a join's other side meet one held row each, it need not be known whom before somebody asks:
a kernel that adds the rows up looks for them as it goes (storage.kernels.plain.totals), block by block in
cache, and nothing is written out in between. Whoever else asks for values, or for who met anybody, has all
partners looked for at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from storage import kernels
from storage.column import Array, Column, Mask, Positions, taken
from storage.encodings.packedcolumn import PackedCodes, PackedColumn
from storage.kernels.plain.packing import Blocks
from storage.kernels.plain.partners import Lookup
from storage.kernels.plain.totals import Held, Meeting, Source
from storage.madecolumn import MadeColumn
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import Type


class Partners:
    """The held rows that rows with these keys (whole numbers, no nulls) meet."""

    __slots__ = ("_found", "_key", "_lookup")

    def __init__(self, lookup: Lookup, key: Column) -> None:
        self._lookup, self._key = lookup, key
        self._found: tuple[Positions, Mask] | None = None

    def __len__(self) -> int:
        return len(self._key)

    @property
    def known(self) -> bool:
        """Whether they have been looked for."""
        return self._found is not None

    @property
    def rows(self) -> Positions:
        """(rows,) the held row that each meets; any of those that meet nobody."""
        return self._looked_for()[0]

    @property
    def met(self) -> Mask:
        """(rows,) which of them meet one."""
        return self._looked_for()[1]

    def _looked_for(self) -> tuple[Positions, Mask]:
        if self._found is None:
            found, met = np.empty(len(self), np.int64), np.empty(len(self), np.bool_)
            kernels.find_partners(source_of(self._key), self._lookup, found, met)
            self._found = found, met
        return self._found

    def meeting(self, before: Sequence[Partners]) -> Meeting:
        """The same for a kernel, after the meetings of others."""
        return Meeting(source_among(self._key, before), self._lookup)


class HeldColumn:
    """A column of held rows without nulls. Of a `dictionary` the rows' own numbers are codes of theirs."""

    def __init__(self, column: Column, dictionary: Dictionary | None = None) -> None:
        self.column, self.own = column, dictionary is not None
        self.dictionary = column.dictionary if isinstance(column, CodedColumn) else dictionary

    @cached_property
    def values(self) -> Array:
        """The values, units or codes, as kernels take them."""
        if self.own:
            return np.arange(len(self.column))
        found = self.column.codes if isinstance(self.column, CodedColumn) else self.column.units
        return np.ascontiguousarray(self.column.values if found is None else found)

    @cached_property
    def address(self) -> int:
        """Where the values are."""
        return int(self.values.__array_interface__["data"][0])

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest of whole numbers."""
        return int(self.values.min()), int(self.values.max())

    def at(self, rows: Positions) -> Array:
        """The values, units or codes of held rows."""
        return rows if self.own else taken(self.values, rows)

    def joined(self, partners: Partners) -> Column:
        """What rows that meet these have of the column."""
        return JoinedColumn(self, partners) if self.dictionary is None else JoinedCodes(self, partners)


class JoinedColumn(MadeColumn):
    """Of each row what a held column has at the row that it meets; where it meets none, anything."""

    __slots__ = ("held", "partners")

    def __init__(self, held: HeldColumn, partners: Partners) -> None:
        super().__init__(held.column.type, held.column.scale, units=held.column.units is not None)
        self.held, self.partners = held, partners

    def _made(self) -> Array:
        return self.held.at(self.partners.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the values once they are there."""
        return len(self) * self.held.values.itemsize

    def __len__(self) -> int:
        return len(self.partners)

    def take(self, rows: Positions | Mask) -> Column:
        """See Column: of those rows only."""
        found = self.held.at(taken(self.partners.rows, rows))
        if self.held.column.units is not None:
            return Column.scaled(self.type, found, self.scale)
        return Column(self.type, found)


class JoinedCodes(CodedColumn):
    """The same of codes into a dictionary."""

    __slots__ = ("held", "partners")

    def __init__(self, held: HeldColumn, partners: Partners) -> None:
        # `codes` stays unset on purpose, as `_values` and `_valid` do: reading it arrives at __getattr__.
        assert held.dictionary is not None
        self._begin(held.column.type, held.dictionary, None)
        self.held, self.partners = held, partners

    def __getattr__(self, name: str) -> Any:
        if name != "codes":
            return super().__getattr__(name)
        self.codes = self.held.at(self.partners.rows)
        return self.codes

    @property
    def nbytes(self) -> int:
        """Bytes of the codes once they are there."""
        return 8 * len(self)

    def __len__(self) -> int:
        return len(self.partners)

    def _under(self, type: Type, dictionary: Dictionary) -> CodedColumn:
        found = JoinedCodes(self.held, self.partners)
        found.type, found.dictionary = type, dictionary
        return found


def source_of(column: Column) -> Array | Blocks:
    """A column's values, units or codes for a kernel."""
    if isinstance(column, PackedColumn | PackedCodes):
        return column.blocks
    if isinstance(column, CodedColumn):
        return column.codes
    values: Array = column.values if column.units is None else column.units
    return values


def source_among(column: Column, met: Sequence[Partners]) -> Source:
    """The same for a kernel in which each row has met these partners."""
    if isinstance(column, JoinedColumn | JoinedCodes) and column.partners in met:
        return Held(column.held.values, met.index(column.partners), column.held.address)
    return source_of(column)
