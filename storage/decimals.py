"""Numerics as byte strings in their order: sign, power of ten, digits. Equal values have equal bytes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa

from storage.column import Positions

_UNIT_DIGITS = 19  # of an int64
_TENS = np.array([10**power for power in range(_UNIT_DIGITS + 1)], np.uint64)
_RAISED = bytes(range(1, 256)) + b"\0"
_TURNED = bytes(range(255, -1, -1))


def decimal_bytes(value: Decimal) -> bytes:
    """A numeric as bytes in its order: equal values (1.1, 1.10) have equal bytes; NaN is the greatest."""
    if value.is_nan():
        return b"\xff"
    if value.is_infinite():
        return b"\xfe" if value > 0 else b"\x00"
    if not value:
        return b"\x80"
    _, digits, _ = value.as_tuple()
    stripped = bytes(digits).rstrip(b"\0")
    # The first digit's power of ten decides first; digits are 1 to 10, so that 0 can end them.
    body = (value.adjusted() + 0x8000_0000).to_bytes(4, "big") + stripped.translate(_RAISED)
    if value > 0:
        return b"\x90" + body + b"\0"
    return b"\x70" + body.translate(_TURNED) + b"\xff"


def unit_strings(units: Positions, scale: int) -> pa.Array:
    """`decimal_bytes` of units of 10^-scale, all at once."""
    size = np.abs(units).view(np.uint64)
    digits = np.searchsorted(_TENS, size, "right")  # none of 0
    aligned = size * _TENS[_UNIT_DIGITS - digits]
    most = int(digits.max()) if len(digits) else 0  # what follows is zero in all of them
    rows = np.zeros((len(units), most + 6), np.uint8)
    kept = np.zeros(len(units), np.int64)  # digits without zeros behind
    for place in range(most):
        digit, aligned = np.divmod(aligned, _TENS[_UNIT_DIGITS - 1 - place])
        rows[:, 5 + place] = digit
        kept[digit != 0] = place + 1
    shown = rows[:, 5 : 5 + most]
    shown += 1
    power = (digits - 1 - scale + 0x8000_0000).astype(">u4")
    rows[:, 1:5] = power.view(np.uint8).reshape(-1, 4)
    rows[np.arange(len(units)), 5 + kept] = 0
    rows[units < 0] = ~rows[units < 0]
    rows[:, 0] = np.where(units == 0, 0x80, np.where(units < 0, 0x70, 0x90))
    lengths = np.where(units == 0, 1, 6 + kept)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    content = rows[np.arange(rows.shape[1]) < lengths[:, None]]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_binary(), len(units), buffers)
