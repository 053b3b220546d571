"""How many distinct values a segment column has, about: kept with it, for planning.

A dictionary knows. Of other whole numbers a sample by hash is counted: the values whose hash is below a
threshold that about SAMPLE rows pass, each once, divided by the share of hashes that the threshold lets
pass. A value is in the sample or not, however many rows have it, so rows in runs do not mislead it. Of texts
and bytes a sample of rows is looked at, and the values that it has once stand for others: see
storage.encodings.codes.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pyarrow.compute as pc

from storage import kernels
from storage.column import Array, Column
from storage.encodings.base import Encoded
from storage.encodings.codes import Codes
from storage.encodings.constant import Constant
from storage.order import is_integer
from storage.types import Form

SAMPLE = 4096
_HASHES = 1 << 64


def distinct_values(column: Column, encoded: Encoded) -> int | None:
    """About how many values a column that has been encoded has; None where it is not known."""
    if isinstance(encoded, Constant):
        return min(len(column), 1)
    if isinstance(encoded, Codes):
        return encoded.count
    if column.type.form in (Form.TEXT, Form.BYTES):
        return _guessed(column)
    numbers = _numbers(column)
    return None if numbers is None else _counted(numbers)


def _guessed(column: Column) -> int:
    """About how many distinct texts there are."""
    if column.valid is not None:
        column = column.take(column.valid)
    rows = len(column)
    sample = column if rows <= SAMPLE else column.take(np.linspace(0, rows - 1, SAMPLE).astype(np.int64))
    counts = pc.value_counts(sample.values).field("counts").to_numpy(zero_copy_only=False)
    once = int((counts == 1).sum())
    return min(round(sqrt(rows / max(len(sample), 1)) * once) + len(counts) - once, rows)


def _numbers(column: Column) -> Array | None:
    values = column.units
    if values is None and is_integer(column.type):
        values = column.values
    if values is None or values.ndim != 1:
        return None
    return values if column.valid is None else values[column.valid]


def _counted(values: Array) -> int:
    """About how many distinct whole numbers there are: exact where all of them are looked at."""
    if len(values) <= SAMPLE:
        return len(np.unique(values))
    words = values.astype(np.int64).view(np.uint64)
    hashes = kernels.mix_words(np.zeros(len(words), np.uint64), words, 1)
    threshold = _HASHES // len(values) * SAMPLE
    sampled = np.unique(hashes[hashes < np.uint64(threshold)])
    return min(round(len(sampled) * _HASHES / threshold), len(values)) or 1
