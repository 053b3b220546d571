"""Enums: columns hold the places of labels, clients see the labels.

Which labels there are is the catalog's to say, so the session behind a Style is asked, as for reg types.
In binary a value is its label: `labelled` makes text of a column before it is sent, `read_wire` is the
inverse.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.forms.style import Style
from storage.column import Column
from storage.errors import InternalError, InvalidTextRepresentation
from storage.types import TEXT, Type


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


def as_text(type: Type) -> Type:
    """Text that goes by the enum's OIDs on the wire."""
    return replace(TEXT, oid=type.oid, array_oid=type.array_oid)


def labelled(column: Column, labels: Column) -> Column:
    """A column of an enum as its `labels`, which are sent in its name."""
    return Column(as_text(column.type), labels.values, constant=column.constant)


def read_wire(type: Type, labels: Column, style: Style) -> Column:
    """A column of labels, as they were sent, as one of the enum. Raises InvalidTextRepresentation."""
    texts = labels.tolist()
    places = iter(read_enum(type, [text for text in texts if text is not None], style))
    return Column.of(type, [None if text is None else next(places) for text in texts])
