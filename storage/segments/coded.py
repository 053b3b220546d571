"""Coded columns: values that travel as codes into a dictionary until somebody asks for them.

What is decoded from a dictionary's encoding keeps its codes, so that grouping, joining, functions and
predicates can look at each distinct value once. Taking and slicing compose codes, and so does putting
columns together whose values are few; the first look at `values` writes them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from storage.column import Column, Mask, Positions, arrow_taken, taken
from storage.types import Form, Type

_JOINED = (Form.TEXT, Form.BYTES)
_SHARE = 8  # columns are put together as codes if they have so many rows for each value of their dictionaries


class Dictionary:
    """Values without nulls that codes stand for. All columns of one segment column share one.

    `distinct` says that no two are the same value byte for byte; two may still be equal in SQL (char(n)
    with and without trailing spaces, 1.1 and 1.10). `memo` keeps what others have found out about the
    values, by a key of theirs; it lives as long as the dictionary.
    """

    __slots__ = ("__weakref__", "column", "distinct", "memo")

    def __init__(self, column: Column, *, distinct: bool) -> None:
        self.column = column
        self.distinct = distinct
        self.memo: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.column)


class CodedColumn(Column):
    """(rows,) int64 `codes` into `dictionary`, and where there is a value at all."""

    __slots__ = ("_mask", "codes", "dictionary")

    def __init__(
        self, type: Type, dictionary: Dictionary, codes: Positions, valid: Mask | None = None
    ) -> None:
        self._begin(type, dictionary, valid)
        self.codes = codes

    def _begin(self, type: Type, dictionary: Dictionary, valid: Mask | None) -> None:
        """All but the codes."""
        # `_values` and `_valid` stay unset on purpose: reading them arrives at __getattr__.
        self.type = type
        self.constant = False
        self._units = None
        self.scale = 0
        self.dictionary = dictionary
        self._mask = valid

    def __getattr__(self, name: str) -> Any:
        if name not in ("_values", "_valid"):
            raise AttributeError(name)
        column = self.dictionary.column
        if column.arrow:
            self._valid, self._values = None, arrow_taken(column.values, self.codes, self._mask)
        else:
            self._valid, self._values = self._mask, column.take(self.codes).values
        return getattr(self, name)

    @property
    def valid(self) -> Mask | None:
        """See Column."""
        return self._mask

    @property
    def arrow(self) -> bool:
        """See Column."""
        return self.type.form in (Form.TEXT, Form.BYTES, Form.LIST, Form.ROW)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return int(self.codes.nbytes)

    def __len__(self) -> int:
        return len(self.codes)

    def _of(self, codes: Positions, valid: Mask | None) -> CodedColumn:
        if valid is not None and valid.all():
            valid = None
        return CodedColumn(self.type, self.dictionary, codes, valid)

    def _under(self, type: Type, dictionary: Dictionary) -> CodedColumn:
        """The same codes into another dictionary."""
        return CodedColumn(type, dictionary, self.codes, self._mask)

    @property
    def present(self) -> Positions:
        """The codes that are there, ascending; those under nulls too."""
        return np.flatnonzero(np.bincount(self.codes, minlength=len(self.dictionary)))

    def _joined(self, columns: Sequence[Column]) -> Column:
        """See Column: still coded where all are, and their values are few."""
        coded = [column for column in columns if isinstance(column, CodedColumn)]
        dictionaries = list({id(column.dictionary): column.dictionary for column in coded}.values())
        values = sum(map(len, dictionaries))
        rows = sum(map(len, columns))
        joins = len(dictionaries) == 1 or (self.type.form in _JOINED and values * _SHARE <= rows)
        if len(coded) < len(columns) or not joins:
            return super()._joined(columns)
        if len(dictionaries) == 1:
            shared, codes = self.dictionary, np.concatenate([column.codes for column in coded])
        else:
            shared, tables = _united(self.type, dictionaries)
            numbers = {id(dictionary): table for dictionary, table in zip(dictionaries, tables, strict=True)}
            codes = np.concatenate([numbers[id(column.dictionary)][column.codes] for column in coded])
        masked = any(column.valid is not None for column in coded)
        valid = np.concatenate([column.is_valid() for column in coded]) if masked else None
        return CodedColumn(self.type, shared, codes, valid)

    def take(self, rows: Positions | Mask) -> Column:
        """Those rows, still coded."""
        return self._of(taken(self.codes, rows), None if self._mask is None else taken(self._mask, rows))

    def slice(self, start: int, stop: int) -> Column:
        """Rows start to stop, still coded."""
        return self._of(self.codes[start:stop], None if self._mask is None else self._mask[start:stop])

    def with_valid(self, valid: Mask | None, *, constant: bool = False) -> Column:
        """See Column: still coded, unless it is to be a constant."""
        return super().with_valid(valid, constant=True) if constant else self._of(self.codes, valid)

    def retype(self, type: Type) -> Column:
        """The same rows under another type of the same form, still coded."""
        key = ("retype", type.oid, type.modifier)
        other = self.dictionary.memo.get(key)
        if other is None:
            other = Dictionary(self.dictionary.column.retype(type), distinct=self.dictionary.distinct)
            self.dictionary.memo[key] = other
        return self._under(type, other)


def _united(type: Type, dictionaries: Sequence[Dictionary]) -> tuple[Dictionary, list[Positions]]:
    """One dictionary for several, and what each one's codes become."""
    encoded = pa.concat_arrays([dictionary.column.values for dictionary in dictionaries]).dictionary_encode()
    numbers = encoded.indices.to_numpy().astype(np.int64)
    ends = np.cumsum([len(dictionary) for dictionary in dictionaries])
    return Dictionary(Column(type, encoded.dictionary), distinct=True), np.split(numbers, ends[:-1])


def written_out(column: Column) -> Column:
    """The same rows, not coded."""
    if isinstance(column, CodedColumn):
        return Column(column.type, column.values, None if column.arrow else column.valid)
    return column


def decoded_bytes(column: Column) -> int:
    """The bytes of the column, of a coded one once it is written out."""
    if not isinstance(column, CodedColumn) or column.type.form not in _JOINED or not len(column):
        return column.nbytes
    values = column.dictionary.column.values
    offsets = np.frombuffer(values.buffers()[1], np.int64, len(values) + 1, 8 * values.offset)
    lengths: Positions = np.diff(offsets)
    return int((np.bincount(column.codes, minlength=len(values)) * lengths).sum()) + 8 * len(column)
