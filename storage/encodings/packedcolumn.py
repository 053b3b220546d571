"""Packed columns: whole numbers, or codes, that travel as packed blocks until somebody asks for them.

What is decoded whole from a packed encoding is not unpacked yet: a sum or a count needs no values, a LIMIT
only the first ones, and the kernel of fused sums unpacks as it goes. Slicing moves the ends, taking few rows
unpacks those; the first look at `values`, `units` or `codes` unpacks them all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from storage.column import Array, Column, Mask, Positions
from storage.encodings.packed import DENSE, Packed, dtype_of
from storage.kernels.plain.packing import Blocks
from storage.madecolumn import MadeColumn
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import Form, Type


class PackedColumn(MadeColumn):
    """Values start to stop of `packed`, without nulls; of a numeric in units of 10^-scale."""

    __slots__ = ("_packed", "_rows")

    def __init__(self, type: Type, packed: Packed, rows: range, scale: int = 0) -> None:
        super().__init__(type, scale, units=type.form is Form.DECIMAL)
        self._packed, self._rows = packed, rows

    def _made(self) -> Array:
        dtype = np.dtype(np.int64) if self.type.form is Form.DECIMAL else dtype_of(self.type)
        return self._packed.decode(self._rows.start, self._rows.stop, None, dtype)

    @property
    def blocks(self) -> Blocks:
        """The values, or units, still packed."""
        return self._packed.blocks(self._rows.start)

    @property
    def bounds(self) -> tuple[int, int] | None:
        """What no value, or unit, is below, and above; None: there are none, or nobody knows."""
        return self._packed.bounds(self._rows.start, self._rows.stop)

    def total(self) -> tuple[int, int]:
        """The sum of all values, or units, in two halves: see Packed."""
        return self._packed.total(self._rows.start, self._rows.stop)

    @property
    def nbytes(self) -> int:
        """Bytes of the values once they are unpacked."""
        return len(self._rows) * (8 if self.type.form is Form.DECIMAL else dtype_of(self.type).itemsize)

    def __len__(self) -> int:
        return len(self._rows)

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still packed."""
        return PackedColumn(self.type, self._packed, self._rows[start:stop], self.scale)

    def take(self, rows: Positions | Mask) -> Column:
        """See Column: of few rows only those are unpacked."""
        positions = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
        if len(positions) >= len(self._rows) * DENSE or (positions < 0).any():
            return super().take(rows)
        begin, end = self._rows.start, self._rows.stop
        if self.type.form is Form.DECIMAL:
            return Column.scaled(self.type, self._packed.decode(begin, end, positions, np.int64), self.scale)
        return Column(self.type, self._packed.decode(begin, end, positions, dtype_of(self.type)))


class PackedCodes(CodedColumn):
    """A coded column of codes start to stop of `packed`."""

    __slots__ = ("_packed", "_rows")

    def __init__(
        self, type: Type, dictionary: Dictionary, packed: Packed, rows: range, valid: Mask | None = None
    ) -> None:
        # `codes` stays unset on purpose, as `_values` and `_valid` do: reading it arrives at __getattr__.
        self._begin(type, dictionary, valid)
        self._packed, self._rows = packed, rows

    def __getattr__(self, name: str) -> Any:
        if name != "codes":
            return super().__getattr__(name)
        self.codes = self._packed.decode(self._rows.start, self._rows.stop, None, np.int64)
        return self.codes

    @property
    def blocks(self) -> Blocks:
        """The codes, still packed."""
        return self._packed.blocks(self._rows.start)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes once they are unpacked."""
        return 8 * len(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def _under(self, type: Type, dictionary: Dictionary) -> CodedColumn:
        return PackedCodes(type, dictionary, self._packed, self._rows, self._mask)

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still packed."""
        valid = None if self._mask is None else self._mask[start:stop]
        if valid is not None and valid.all():
            valid = None
        return PackedCodes(self.type, self.dictionary, self._packed, self._rows[start:stop], valid)

    def with_valid(self, valid: Mask | None, *, constant: bool = False) -> Column:
        """See Column: still packed, unless it is to be a constant."""
        if constant:
            return super().with_valid(valid, constant=True)
        if valid is not None and valid.all():
            valid = None
        return PackedCodes(self.type, self.dictionary, self._packed, self._rows, valid)
