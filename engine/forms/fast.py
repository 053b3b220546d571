"""The usual spellings of numbers, dates and timestamps, read by Arrow a column at a time.

Arrow is strict: what it refuses, and what it might read unlike PostgreSQL, goes to the type's own input
function, which also words the error.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.forms.times import EPOCH_DAYS
from storage.column import Column
from storage.types import BOOL, DATE, FLOAT8, INT2, INT4, INT8, TIMESTAMP, Type

# below this many values a call of Arrow's costs more than reading them one by one
_FEW = 16
_ARROW = {
    INT2.oid: pa.int16(),
    INT4.oid: pa.int32(),
    INT8.oid: pa.int64(),
    FLOAT8.oid: pa.float64(),
    DATE.oid: pa.date32(),
    TIMESTAMP.oid: pa.timestamp("us"),
}
# what only the usual spellings are made of: no words, no blanks, nothing Arrow may take otherwise
_USUAL = {
    INT2.oid: r"^-?[0-9]+$",
    INT4.oid: r"^-?[0-9]+$",
    INT8.oid: r"^-?[0-9]+$",
    FLOAT8.oid: r"^-?[0-9]+(\.[0-9]+)?$",
    DATE.oid: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    TIMESTAMP.oid: r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
}


def read(type: Type, column: Column) -> Column | None:
    """The column as `type` if all of it is spelled as usual; None: ask the input function."""
    texts = column.values
    if len(texts) < _FEW or type.modifier != -1:
        return None
    if type.oid == BOOL.oid:
        return _booleans(type, texts)
    target = _ARROW.get(type.oid)
    if target is None or not pc.all(pc.match_substring_regex(texts, _USUAL[type.oid])).as_py():
        return None
    try:
        values = texts.cast(target)
    except pa.ArrowInvalid:
        return None
    valid = column.valid
    filled = values if valid is None else values.fill_null(0)
    if type.oid == DATE.oid:
        return Column(type, filled.cast(pa.int32()).to_numpy() - np.int32(EPOCH_DAYS), valid)
    if type.oid == TIMESTAMP.oid:
        micros = filled.cast(pa.int64()).to_numpy() - EPOCH_DAYS * 86_400_000_000
        return Column(type, micros, valid)
    return Column(type, np.asarray(filled), valid)


def _booleans(type: Type, texts: pa.Array) -> Column | None:
    true = pc.equal(texts, pa.scalar("t", texts.type))
    false = pc.equal(texts, pa.scalar("f", texts.type))
    if not pc.all(pc.or_(true, false)).as_py():
        return None
    valid = None if not texts.null_count else np.asarray(texts.is_valid().to_numpy(zero_copy_only=False))
    return Column(type, true.fill_null(False).to_numpy(zero_copy_only=False), valid)
