"""Twins of plain.units: a number at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from storage.kernels.plain.units import FRACTION, WHOLE, Bytes, Integers, Mask

_READ = "Array(uint8, 1, 'C', readonly=True)"
_UNITS = "Array(int64, 1, 'C', readonly=True)"
_TENS = np.array([10**power for power in range(20)], np.uint64)
_BASE = np.uint64(10_000)
_TEN = np.uint64(10)


@njit(f"void({_UNITS}, int64, int64[::1])", nogil=True, cache=True)
def _text_lengths(units, scale, lengths):  # type: ignore[no-untyped-def]
    for i in range(len(units)):
        size = np.uint64(abs(units[i]))
        digits = scale + 1
        while digits < 20 and size >= _TENS[digits]:
            digits += 1
        lengths[i] = digits + (1 if scale > 0 else 0) + (1 if units[i] < 0 else 0)


@njit(f"void({_UNITS}, int64, int64[::1], uint8[::1])", nogil=True, cache=True)
def _texts(units, scale, lengths, out):  # type: ignore[no-untyped-def]
    end = 0
    for i in range(len(units)):
        begin, end = end, end + lengths[i]
        size = np.uint64(abs(units[i]))
        at = end - 1
        if units[i] < 0:
            out[begin] = 45
            begin += 1
        place = 0
        while at >= begin:
            if scale > 0 and place == scale:
                out[at] = 46
                at -= 1
            rest = size // _TEN
            out[at] = np.uint8(48 + (size - rest * _TEN))
            size = rest
            at -= 1
            place += 1


@njit(nogil=True, cache=True)
def _groups(size, scale, groups):  # type: ignore[no-untyped-def]
    """Fill the base-10000 digits, the point behind the first WHOLE."""
    groups[:] = 0
    whole = size // _TENS[scale]
    fraction = size - whole * _TENS[scale]
    place = WHOLE - 1
    while whole > 0:
        rest = whole // _BASE
        groups[place] = np.int64(whole - rest * _BASE)
        whole = rest
        place -= 1
    last = (scale + 3) // 4
    if last > 0:
        short = 4 - (4 * last - scale)
        rest = fraction // _TENS[short]
        groups[WHOLE + last - 1] = np.int64((fraction - rest * _TENS[short]) * _TENS[4 - short])
        fraction = rest
        for at in range(WHOLE + last - 2, WHOLE - 1, -1):
            rest = fraction // _BASE
            groups[at] = np.int64(fraction - rest * _BASE)
            fraction = rest


@njit(nogil=True, cache=True)
def _put(out, at, word):  # type: ignore[no-untyped-def]
    out[at] = np.uint8((word >> 8) & 255)
    out[at + 1] = np.uint8(word & 255)


@njit(f"int64({_UNITS}, int64, int64[::1], uint8[::1])", nogil=True, cache=True)
def _fields(units, scale, lengths, out):  # type: ignore[no-untyped-def]
    groups = np.zeros(WHOLE + FRACTION, np.int64)
    at = 0
    for i in range(len(units)):
        _groups(np.uint64(abs(units[i])), scale, groups)
        first, stop = 0, WHOLE + FRACTION
        if units[i] == 0:
            first = stop = WHOLE - 1
        else:
            while groups[first] == 0:
                first += 1
            while groups[stop - 1] == 0:
                stop -= 1
        count = stop - first
        _put(out, at, count)
        _put(out, at + 2, WHOLE - 1 - first)
        _put(out, at + 4, 0x4000 if units[i] < 0 else 0)
        _put(out, at + 6, scale)
        for place in range(count):
            _put(out, at + 8 + 2 * place, groups[first + place])
        lengths[i] = 8 + 2 * count
        at += lengths[i]
    return at


@njit(nogil=True, cache=True)
def _word(data, at):  # type: ignore[no-untyped-def]
    return (np.int64(data[at]) << 8) | np.int64(data[at + 1])


@njit(nogil=True, cache=True)
def _parsed(data, at, length, limit, scale):  # type: ignore[no-untyped-def]
    """(units, whether the form is as it should be)."""
    if length < 8:
        return np.int64(0), False
    count, sign, shown = _word(data, at), _word(data, at + 4), _word(data, at + 6)
    weight = np.int64(np.int16(_word(data, at + 2)))
    if length != 8 + 2 * count or count > WHOLE + FRACTION or shown > scale:
        return np.int64(0), False
    if (sign != 0 and sign != 0x4000) or weight >= WHOLE or weight < -FRACTION:
        return np.int64(0), False
    total = np.int64(0)
    for place in range(count):
        digit = _word(data, at + 8 + 2 * place)
        power = 4 * (weight - place) + scale
        if digit > 9_999:
            return np.int64(0), False
        if digit == 0:
            continue
        if power > 18 or power < -3:
            return np.int64(0), False
        if power >= 0:
            up = np.int64(_TENS[power])
            if digit >= 1_000_000_000_000_000_000 // up + 1:
                return np.int64(0), False
            total += digit * up
        else:
            down = np.int64(_TENS[-power])
            if digit % down != 0:
                return np.int64(0), False
            total += digit // down
        if total >= limit:
            return np.int64(0), False
    return (-total if sign == 0x4000 else total), True


@njit(
    f"int64({_READ}, int64[::1], int64[::1], int64, int64, int64[::1], boolean[::1])", nogil=True, cache=True
)
def _parse(data, starts, lengths, precision, scale, out, odd):  # type: ignore[no-untyped-def]
    limit = np.int64(_TENS[precision])
    count = 0
    for i in range(len(starts)):
        out[i] = 0
        odd[i] = False
        if lengths[i] < 0:
            continue
        out[i], good = _parsed(data, starts[i], lengths[i], limit, scale)
        if not good:
            odd[i] = True
            count += 1
    return count


def unit_texts(units: Integers, scale: int) -> tuple[Bytes, Integers]:
    """See plain.units.unit_texts."""
    given, lengths = _readonly(units), np.empty(len(units), np.int64)
    _text_lengths(given, scale, lengths)
    out = np.empty(int(lengths.sum()), np.uint8)
    _texts(given, scale, lengths, out)
    return out, lengths


def unit_fields(units: Integers, scale: int) -> tuple[Bytes, Integers]:
    """See plain.units.unit_fields."""
    lengths = np.empty(len(units), np.int64)
    out = np.empty(len(units) * (8 + 2 * (WHOLE + FRACTION)), np.uint8)
    used = int(_fields(_readonly(units), scale, lengths, out))
    return out[:used], lengths


def parse_fields(
    data: Bytes, starts: Integers, lengths: Integers, precision: int, scale: int, out: Integers, odd: Mask
) -> int:
    """See plain.units.parse_fields."""
    return int(_parse(_readonly(data), starts, lengths, precision, scale, out, odd))


def _readonly(values: np.ndarray) -> np.ndarray:
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view
