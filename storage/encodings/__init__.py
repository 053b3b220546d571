"""The table of encodings, and the choice of the smallest."""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import Any

from storage.column import Column
from storage.encodings.base import Bytes, Encoded, Encoding, Stored
from storage.encodings.bits import Bits
from storage.encodings.constant import Constant
from storage.encodings.decimals import Decimals
from storage.encodings.dictionary import Dictionary
from storage.encodings.plain import Plain
from storage.encodings.runs import Runs
from storage.encodings.sequence import Sequence
from storage.encodings.wide import StoredWide, Wide
from storage.types import INT8, Type

ENCODINGS: tuple[type[Encoding], ...] = (Constant, Sequence, Runs, Bits, Dictionary, Wide, Plain)
"""Every encoding of values; of two that are equally small the earlier wins."""

BY_TAG: dict[str, type[Encoding]] = {encoding.tag: encoding for encoding in ENCODINGS}


def encode(column: Column) -> Encoded:
    """The column, which holds no nulls, in the encoding that makes it smallest."""
    counted = column.in_units()
    if counted.units is not None:
        units = encode(Column(INT8, counted.units))
        return Decimals(column.type, counted.scale, units)
    answers = [encoding.encode(column) for encoding in ENCODINGS]
    return min((answer for answer in answers if answer is not None), key=lambda encoded: encoded.nbytes)


def read(tag: str, type: Type, head: dict[str, Any], buffers: Several[Bytes]) -> Encoded:
    """The inverse of `encode`: of an encoding's tag, head and buffers."""
    if tag.startswith(Decimals.prefix):
        units = read(tag.removeprefix(Decimals.prefix), INT8, head["units"], buffers)
        return Decimals(type, head["scale"], units)
    return BY_TAG[tag].read(type, head, buffers)


def in_place(tag: str, type: Type, head: dict[str, Any], buffers: Several[Stored]) -> Encoded | None:
    """As `read`, of an encoding that reads parts of its buffers when they are wanted; None for others."""
    return StoredWide(type, head, buffers) if tag == Wide.tag else None
