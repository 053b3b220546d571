"""Numerics of two words in units of 10^-scale, each of a scale of its own: their texts and wire forms.

`words` is (rows, 2) int64, the upper word first; a scale below 0 says that there is no value. The forms are
those of plain.units.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Scales = npt.NDArray[np.int16]
_LOW = (1 << 64) - 1


def word_texts(words: Integers, scales: Scales) -> tuple[Bytes, Integers]:
    """(the texts one after another, the length of each): `scale` digits behind the point, one before it."""
    return _joined([_text(units, scale) for units, scale in _numbers(words, scales)])


def word_fields(words: Integers, scales: Scales) -> tuple[Bytes, Integers]:
    """(the wire's forms one after another, the length of each)."""
    return _joined([_field(units, scale) for units, scale in _numbers(words, scales)])


def _numbers(words: Integers, scales: Scales) -> list[tuple[int, int]]:
    return [
        ((high << 64) + (low & _LOW), scale)
        for (high, low), scale in zip(words.tolist(), scales.tolist(), strict=True)
    ]


def _joined(forms: list[bytes]) -> tuple[Bytes, Integers]:
    return np.frombuffer(b"".join(forms), np.uint8), np.array([len(form) for form in forms], np.int64)


def _text(units: int, scale: int) -> bytes:
    if scale < 0:
        return b""
    digits = str(abs(units)).rjust(scale + 1, "0")
    whole, fraction = (digits[:-scale], f".{digits[-scale:]}") if scale else (digits, "")
    return f"{'-' if units < 0 else ''}{whole}{fraction}".encode()


def _field(units: int, scale: int) -> bytes:
    if scale < 0:
        return b""
    behind = -(-scale // 4)
    digits = str(abs(units) * 10 ** (4 * behind - scale))
    digits = digits.rjust(-(-len(digits) // 4) * 4, "0")
    groups = [int(digits[at : at + 4]) for at in range(0, len(digits), 4)]
    weight = len(groups) - 1 - behind
    while groups and groups[-1] == 0:
        groups.pop()
    if not groups:
        weight = 0
    return np.array(
        [len(groups), weight & 0xFFFF, 0x4000 if units < 0 else 0, scale, *groups], ">u2"
    ).tobytes()
