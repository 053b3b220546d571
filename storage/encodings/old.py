"""Layouts that are no longer written: they are read as plain values.

bits        head base, width; buffer 0: (value - base) in `width` bits, one value behind the other in
            64-bit words
runs        buffer 0: the value of each run, buffer 1: int64, the row after its last
dictionary  head width; buffer 0: the values as an Arrow stream; buffer 1: codes, as in bits
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from storage import codec
from storage.column import Column, Positions
from storage.encodings.base import Bytes
from storage.encodings.packed import dtype_of
from storage.encodings.plain import Plain
from storage.types import Type


def _bits(buffer: Bytes, width: int) -> Positions:
    """The values, and some zeros behind: how many rows there are the segment knows."""
    words = buffer.view(np.uint64)
    bits = np.arange((len(words) - 1) * 64 // width, dtype=np.uint64) * np.uint64(width)
    at, shift = (bits >> np.uint64(6)).astype(np.int64), bits & np.uint64(63)
    # a shift by 64 is undefined: two shifts, by 63 - shift and by 1
    high = (words[at + 1] << (np.uint64(63) - shift)) << np.uint64(1)
    values: Positions = (((words[at] >> shift) | high) & np.uint64(2**width - 1)).view(np.int64)
    return values


def _read_bits(type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Column:
    values = _bits(buffers[0], head["width"]) + np.int64(head["base"])
    return Column(type, values.astype(dtype_of(type)))


def _read_runs(type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Column:
    ends: Positions = buffers[1].view(np.int64)
    lengths = ends - np.concatenate([[0], ends[:-1]])
    return Column(type, np.repeat(buffers[0].view(dtype_of(type)), lengths))


def _read_dictionary(type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Column:
    values = Plain.read(type, {}, buffers[:1]).decode(0, 1 << 62, None)
    return values.take(_bits(buffers[1], head["width"]))


_READERS: dict[str, Callable[[Type, dict[str, Any], Sequence[Bytes]], Column]] = {
    "bits": _read_bits,
    "runs": _read_runs,
    "dictionary": _read_dictionary,
}


def read(tag: str, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Plain:
    """Values in one of these layouts. Raises DataCorrupted for a tag that none of them has."""
    if tag not in _READERS:
        raise codec.newer(f'a column of the encoding "{tag}"')
    return Plain(_READERS[tag](type, head, buffers))
