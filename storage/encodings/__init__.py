"""The table of encodings, and the choice of the smallest."""

from __future__ import annotations

import os
from collections.abc import Sequence as Several
from typing import Any

from storage.column import Column
from storage.encodings import leaves, old
from storage.encodings.base import Bytes, Encoded, Encoding, Stored
from storage.encodings.codes import Codes
from storage.encodings.constant import Constant
from storage.encodings.decimals import Decimals
from storage.encodings.runs import Runs
from storage.encodings.sequence import Sequence
from storage.encodings.wide import StoredWide, Wide
from storage.types import INT8, Type

ENCODINGS: tuple[type[Encoding], ...] = (Constant, Sequence, Runs, Codes, Wide, *leaves.LEAVES)
"""Every encoding of values; of two that are equally small the earlier wins. The last one fits all columns."""

BY_TAG: dict[str, type[Encoding]] = {encoding.tag: encoding for encoding in ENCODINGS}

FORCED = "GLANCEDB_ENCODING"
"""The environment variable that names encodings, of which the first that fits is taken: for tests."""


def encode(column: Column) -> Encoded:
    """The column, which holds no nulls, in the encoding that makes it smallest."""
    counted = column.in_units()
    if counted.units is not None:
        return Decimals(column.type, counted.scale, encode(Column(INT8, counted.units)))
    for tag in os.environ.get(FORCED, "").split():
        encoded = BY_TAG[tag].encode(column)
        if encoded is not None:
            return encoded
    return leaves.smallest(column, ENCODINGS)


def read(tag: str, type: Type, head: dict[str, Any], buffers: Several[Bytes]) -> Encoded:
    """The inverse of `encode`: of an encoding's tag, head and buffers. Old layouts are among them."""
    if tag.startswith(Decimals.prefix):
        units = read(tag.removeprefix(Decimals.prefix), INT8, head["units"], buffers)
        return Decimals(type, head["scale"], units)
    if tag in BY_TAG:
        return BY_TAG[tag].read(type, head, buffers)
    return old.read(tag, type, head, buffers)


def in_place(tag: str, type: Type, head: dict[str, Any], buffers: Several[Stored]) -> Encoded | None:
    """As `read`, of an encoding that reads parts of its buffers when they are wanted; None for others."""
    return StoredWide(type, head, buffers) if tag == Wide.tag else None
