"""The usual spellings of numbers, dates and timestamps, read by Arrow a column at a time.

Arrow is strict: what it might refuse, and what it might read unlike PostgreSQL, goes value by value to the
type's own input function, which also words the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms.times import EPOCH_DAYS
from storage.column import Array, Column
from storage.types import BOOL, DATE, FLOAT8, INT2, INT4, INT8, TEXT, TIMESTAMP, VARCHAR, Type

# below this many values a call of Arrow's costs more than reading them one by one
_FEW = 16
_DAY = r"(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
# what only the usual spellings are made of: no words, no blanks, no year 0, nothing near a float's bounds
_USUAL = {
    INT2.oid: r"^-?[0-9]{1,4}$",
    INT4.oid: r"^-?[0-9]{1,9}$",
    INT8.oid: r"^-?[0-9]{1,18}$",
    FLOAT8.oid: r"^-?[0-9]{1,17}(\.[0-9]{1,17})?(e[+-]?[0-9]{1,2})?$",
    DATE.oid: f"^{_DAY}$",
    TIMESTAMP.oid: rf"^{_DAY} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]{{1,6}})?$",
}
_ARROW = {
    INT2.oid: pa.int16(),
    INT4.oid: pa.int32(),
    INT8.oid: pa.int64(),
    FLOAT8.oid: pa.float64(),
    DATE.oid: pa.date32(),
    TIMESTAMP.oid: pa.timestamp("us"),
}


def read(type: Type, column: Column, slowly: Callable[[list[str]], list[Any]]) -> Column | None:
    """The column as `type`, unusual values of it by `slowly`; None: ask the input function for all."""
    texts = column.values
    if type.modifier != -1:
        return None
    if type.oid in (TEXT.oid, VARCHAR.oid):
        return Column(type, texts)
    if len(texts) < _FEW:
        return None
    if type.oid == BOOL.oid:
        return _booleans(type, texts)
    if type.oid not in _ARROW:
        return None
    usual = pc.match_substring_regex(texts, _USUAL[type.oid])
    odd = pc.invert(usual).fill_null(False)
    count = pc.sum(odd).as_py() or 0
    if 2 * count > len(texts):
        return None
    try:
        values = _values(type, texts if not count else pc.if_else(odd, None, texts))
    except pa.ArrowInvalid:  # such as a 30th of February
        return None
    if count:
        values = values.copy()
        values[odd.to_numpy(zero_copy_only=False)] = slowly(texts.filter(odd).to_pylist())
    return Column(type, values, column.valid)


def _values(type: Type, texts: pa.Array) -> Array:
    """Usual texts as numbers; nulls as zeros."""
    values = texts.cast(_ARROW[type.oid]).fill_null(0)
    if type.oid == DATE.oid:
        days: Array = values.cast(pa.int32()).to_numpy() - np.int32(EPOCH_DAYS)
        return days
    if type.oid == TIMESTAMP.oid:
        micros: Array = values.cast(pa.int64()).to_numpy() - EPOCH_DAYS * 86_400_000_000
        return micros
    return np.asarray(values)


def _booleans(type: Type, texts: pa.Array) -> Column | None:
    true = pc.equal(texts, pa.scalar("t", texts.type))
    false = pc.equal(texts, pa.scalar("f", texts.type))
    if not pc.all(pc.or_(true, false)).as_py():
        return None
    valid = None if not texts.null_count else np.asarray(texts.is_valid().to_numpy(zero_copy_only=False))
    return Column(type, true.fill_null(False).to_numpy(zero_copy_only=False), valid)
