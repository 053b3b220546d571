"""Enums: columns hold the places of labels, clients see the labels.

Which labels there are is the catalog's to say, so the session behind a Style is asked, as for reg types.
In binary a value is its label: `labelled` makes text of a column before it is sent, `read_wire` is the
inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from engine.forms.style import Style
from engine.lists import like, lists
from storage.column import Column
from storage.errors import InternalError, InvalidTextRepresentation
from storage.lists import Shaped, shaped
from storage.types import TEXT, Type, array_of


def _one(type: Type) -> Type:
    return type if type.element is None else type.element


def _labels(type: Type, style: Style) -> dict[int, str]:
    """Label by place."""
    if style.names is None:
        raise InternalError(f"the labels of enum {type} are not known here")
    return style.names.enum_labels(type.oid)


def write_enum(column: Column, style: Style) -> pa.Array:
    """The labels of a column's places."""
    labels = _labels(column.type, style)
    texts = {place: labels[place] for place in np.unique(column.values[column.is_valid()]).tolist()}
    valid = column.is_valid().tolist()
    items = [texts[place] if ok else None for place, ok in zip(column.values.tolist(), valid, strict=True)]
    return pa.array(items, pa.large_string())


def read_enum(type: Type, texts: list[str], style: Style) -> list[int]:
    """The places of labels. Raises InvalidTextRepresentation for what is none."""
    places = {label: place for place, label in _labels(type, style).items()}
    for text in texts:
        if text not in places:
            raise InvalidTextRepresentation(f'invalid input value for enum {type}: "{text}"')
    return [places[text] for text in texts]


def _as_text(type: Type) -> Type:
    """An enum, or an array of one, as text that goes by the same OIDs on the wire."""
    one = _one(type)
    text = replace(TEXT, oid=one.oid, array_oid=one.array_oid)
    return text if type is one else array_of(text)


def labelled(column: Column, style: Style, write: Callable[[Column, Style], Column]) -> Column:
    """A column of an enum, or of arrays of one, as labels; `write` is the types' output function."""
    type = column.type
    if not _one(type).is_enum:
        return column
    if type.element is None:
        return write(column, style)
    return like(column, write(lists(column)[1], style), _as_text(type))


def read_wire(type: Type, column: Column, style: Style, receive: Callable[[Type, Column], Column]) -> Column:
    """A column of binary forms; `receive` reads those of text and of its arrays."""
    texts: list[Any] = receive(_as_text(type), column).tolist()
    one = _one(type)
    if type is one:
        there = [text for text in texts if text is not None]
        places = iter(read_enum(one, there, style))
        return Column.of(type, [None if text is None else next(places) for text in texts])
    rows = []
    for row in texts:
        places = iter(read_enum(one, [text for text in row or () if text is not None], style))
        items = [None if text is None else next(places) for text in row or ()]
        said = row.bounds if isinstance(row, Shaped) else ()
        rows.append(None if row is None else shaped(items, said) if said else items)
    return Column.of(type, rows)
