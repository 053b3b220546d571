"""The hash of one key, from plain values: the meaning is storage.indexes.hashindex's `hashed`, of one row.

For one key that costs twenty times what its arithmetic does. There is none for types whose words or bytes
are not just as simple to make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from storage import kernels
from storage.kernels.plain.group import MIX, base_of
from storage.types import BYTEA, TEXT, UUID, VARCHAR, Form, Type

SALT = 1
"""Of the hashes of all indexes."""

OneHash = Callable[[Sequence[Any]], int]
"""Of the values of a key, none of them null, its hash."""

_ALL = (1 << 64) - 1
_SIGN = 1 << 63
_MIX, _SECOND = int(MIX), 0xD6E8_FEB8_6659_FD93
_BASE = int(base_of(SALT))
_SHORT = 64  # bytes of which the sum is made here
_STRINGS = frozenset((TEXT.oid, VARCHAR.oid))


def hash_of(types: Sequence[Type]) -> OneHash | None:
    """What hashes keys of these types; None where there is nothing for one of them."""
    makers = [_maker(type) for type in types]
    if None in makers:
        return None
    first, *others = makers

    def hashed(values: Sequence[Any]) -> int:
        assert first is not None
        state = first(SALT, values[0])
        for make, value in zip(others, values[1:], strict=True):
            assert make is not None
            state = make(state, value)
        return state

    return hashed


def _maker(type: Type) -> Callable[[int, Any], int] | None:
    """What folds a value of the type into a state."""
    if type.oid in _STRINGS:
        return _with_text
    if type.oid == BYTEA.oid:
        return _with_bytes
    if type.oid == UUID.oid:
        return _with_uuid
    if type.form is Form.FIXED and type.dtype is not None and type.dtype.kind in "iub":
        return _with_integer if type.dtype.kind == "i" else _with_word
    return None


def _with_word(state: int, word: int) -> int:
    """storage.kernels.plain.group's mix_words."""
    mixed = (state ^ (word + SALT & _ALL)) * _MIX & _ALL
    mixed = (mixed ^ mixed >> 32) * _SECOND & _ALL
    return mixed ^ mixed >> 29


def _with_integer(state: int, value: int) -> int:
    return _with_word(state, value & _ALL ^ _SIGN)


def _with_text(state: int, value: str) -> int:
    return _with_bytes(state, value.encode())


def _with_bytes(state: int, value: bytes) -> int:
    if len(value) > _SHORT:
        ends = np.array((0, len(value)), np.int64)
        return _with_word(state, int(kernels.hash_bytes(ends, np.frombuffer(value, np.uint8), SALT)[0]))
    total = 0
    for byte in value:
        total = total * _BASE + byte + 1 & _ALL
    return _with_word(state, _with_word(total * _MIX & _ALL, len(value)))


def _with_uuid(state: int, value: bytes) -> int:
    state = _with_word(state, int.from_bytes(value[:8], "big"))
    return _with_word(state, int.from_bytes(value[8:], "big"))
