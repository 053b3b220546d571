"""A row as plain values: one Python value a column, as long as nobody asks for columns.

What one row costs as columns (an array each, and a call of each kernel for it) is many times what its values
do, so statements of one row keep it plain: it is checked, logged and put into the write segment as it is, and
becomes part of columns together with its neighbours, when somebody reads them. Not of every type: the others
have columns from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storage.batch import Batch
from storage.column import Column
from storage.types import BYTEA, UUID, Form, Type

Row = tuple[Any, ...]
"""A value a column, as Column.tolist gives them; None for null."""


def is_plain(type: Type) -> bool:
    """Whether a value of the type is kept plain: all numbers and times but numeric and interval,
    texts, bytea, uuid.
    """
    if type.form is Form.FIXED:
        return type.dtype is not None and type.dtype.names is None
    return type.form is Form.TEXT or type.oid in (BYTEA.oid, UUID.oid)


def nbytes(row: Row) -> int:
    """About how many bytes the row takes as columns."""
    return sum([len(value) + 8 if isinstance(value, str | bytes) else 8 for value in row])


def batch_of(types: Sequence[Type], rows: Sequence[Row]) -> Batch:
    """The rows as columns of these types; at least one."""
    columns = zip(*rows, strict=True)
    return Batch(
        tuple(Column.of(type, values) for type, values in zip(types, columns, strict=True)), len(rows)
    )
