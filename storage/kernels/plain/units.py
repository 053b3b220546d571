"""Numerics in units of 10^-scale: their digits as text, and the wire's form of them, out and in.

The wire's form is big-endian int16s: how many base-10000 digits, the power of 10000 of the first, sign
(0x4000: minus), display scale, then the digits, without zeros at either end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WHOLE, FRACTION = 5, 5  # base-10000 digits on either side of the point
_WIDTH = 22  # a sign, 19 digits and a point, or a zero before the point
_TENS = np.array([10**power for power in range(20)], np.uint64)
_BASE = np.uint64(10_000)


def unit_texts(units: Integers, scale: int) -> tuple[Bytes, Integers]:
    """(the texts one after another, the length of each): `scale` digits behind the point, one before it."""
    size = np.abs(units).view(np.uint64)
    digits = np.maximum(np.searchsorted(_TENS, size, "right"), scale + 1)
    lengths = (digits + (scale > 0) + (units < 0)).astype(np.int64)
    rows = np.zeros((len(units), _WIDTH), np.uint8)
    for place in range(_WIDTH - 1):  # from the right
        if scale and place == scale:
            rows[:, _WIDTH - 1 - place] = 46
            continue
        power = place - (place > scale > 0)
        if power < len(_TENS):
            rows[:, _WIDTH - 1 - place] = 48 + size // _TENS[power] % np.uint64(10)
    minus = np.flatnonzero(units < 0)
    rows[minus, _WIDTH - lengths[minus]] = 45
    content = rows[np.arange(_WIDTH) >= _WIDTH - lengths[:, None]]
    return content, lengths


def unit_fields(units: Integers, scale: int) -> tuple[Bytes, Integers]:
    """(the wire's forms one after another, the length of each)."""
    groups = _groups(np.abs(units).view(np.uint64), scale)
    there = groups != 0
    first = np.argmax(there, axis=1)
    last = WHOLE + FRACTION - 1 - np.argmax(there[:, ::-1], axis=1)
    count = np.where(units == 0, 0, last - first + 1)
    words = np.zeros((len(units), 4 + WHOLE + FRACTION), ">u2")
    words[:, 0] = count
    words[:, 1] = np.where(units == 0, 0, WHOLE - 1 - first).astype(np.int16).view(np.uint16)
    words[:, 2] = np.where(units < 0, 0x4000, 0)
    words[:, 3] = scale
    words[:, 4:] = groups
    place = np.arange(WHOLE + FRACTION)
    kept = (place >= first[:, None]) & (place < (first + count)[:, None])
    mask = np.concatenate([np.ones((len(units), 4), np.bool_), kept], axis=1)
    return words[mask].view(np.uint8), (8 + 2 * count).astype(np.int64)


def _groups(size: npt.NDArray[np.uint64], scale: int) -> npt.NDArray[np.int64]:
    """(rows, WHOLE + FRACTION) base-10000 digits, the point behind the first WHOLE."""
    groups = np.zeros((len(size), WHOLE + FRACTION), np.int64)
    whole, fraction = size // _TENS[scale], size % _TENS[scale]
    for place in range(WHOLE - 1, -1, -1):
        groups[:, place] = whole % _BASE
        whole = whole // _BASE
    last = -(-scale // 4)
    if last:
        short = 4 - (4 * last - scale)  # digits in the last of them
        groups[:, WHOLE + last - 1] = fraction % _TENS[short] * _TENS[4 - short]
        fraction = fraction // _TENS[short]
        for place in range(WHOLE + last - 2, WHOLE - 1, -1):
            groups[:, place] = fraction % _BASE
            fraction = fraction // _BASE
    return groups


def parse_fields(
    data: Bytes, starts: Integers, lengths: Integers, precision: int, scale: int, out: Integers, odd: Mask
) -> int:
    """The wire's forms as units below 10^precision: see plain.fields. What would be rounded is odd."""
    rows = np.arange(len(starts))
    good = lengths >= 8
    words = np.zeros((len(starts), 4 + WHOLE + FRACTION), np.int64)
    for place in range(words.shape[1]):
        there = np.flatnonzero(good & (lengths >= 2 * place + 2))
        at = starts[there] + 2 * place
        words[there, place] = data[at].astype(np.int64) << 8 | data[at + 1]
    count, weight, sign, shown = (
        words[:, 0],
        words[:, 1].astype(np.int16).astype(np.int64),
        words[:, 2],
        words[:, 3],
    )
    good &= (lengths == 8 + 2 * count) & (count <= WHOLE + FRACTION) & (shown <= scale)
    good &= ((sign == 0) | (sign == 0x4000)) & (weight < WHOLE) & (weight >= -FRACTION)
    total = np.zeros(len(starts), np.int64)
    for place in range(WHOLE + FRACTION):
        digit = np.where(good & (place < count), words[:, 4 + place], 0)
        power = 4 * (weight - place) + scale
        good &= digit <= 9_999
        up, down = (
            _TENS[np.clip(power, 0, 18)].astype(np.int64),
            _TENS[np.clip(-power, 0, 4)].astype(np.int64),
        )
        good &= (digit == 0) | ((power <= 18) & (digit < 10**18 // up + 1) & (digit % down == 0))
        total += np.where(good, digit, 0) // down * up
        good &= total < 10**precision
        total = np.where(good, total, 0)
    good |= lengths < 0
    out[rows] = np.where(good & (lengths >= 0), np.where(sign == 0x4000, -total, total), 0)
    odd[:] = ~good
    return int(odd.sum())
