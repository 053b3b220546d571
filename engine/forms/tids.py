"""tid: where a row is, as (block,place). It lies in an int64, the block above the lowest 16 bits."""

from __future__ import annotations

import re

import pyarrow as pa

from engine.forms.numbers import invalid
from engine.forms.style import Style
from storage.column import Column
from storage.systemcolumns import PLACE_BITS
from storage.types import Type

# PostgreSQL looks for the delimiters and lets strtoul read between them: nothing is 0, the rest is ignored.
_TID = re.compile(r"[^(,)]*[(,](?:\s*([+-]?[0-9]+))?,(?:\s*([+-]?[0-9]+))?\)")
_WORD, _PLACES = 1 << 32, 1 << PLACE_BITS


def write_tid(column: Column, style: Style) -> pa.Array:
    """(0,1)"""
    blocks, places = (column.values >> PLACE_BITS).tolist(), (column.values & (_PLACES - 1)).tolist()
    texts = [f"({block},{place})" for block, place in zip(blocks, places, strict=True)]
    return pa.array(texts, pa.large_string(), mask=None if column.valid is None else ~column.valid)


def read_tid(type: Type, texts: list[str], style: Style) -> list[int]:
    """Raises InvalidTextRepresentation."""
    return [_read(type, text) for text in texts]


def _read(type: Type, text: str) -> int:
    found = _TID.match(text)
    block, place = (0, 0) if found is None else (int(found[1] or 0), int(found[2] or 0))
    if found is None or not -_WORD // 2 <= block < _WORD or not 0 <= place < _PLACES:
        raise invalid(type, text)
    return ((block % _WORD) << PLACE_BITS) + place
