"""Text forms of the types that name objects of the catalog."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from engine.forms import numbers
from engine.forms.style import Style
from engine.seams import Kind
from storage.column import Column
from storage.types import Type

_KINDS: dict[str, Kind] = {
    "regclass": "class",
    "regtype": "type",
    "regproc": "proc",
    "regprocedure": "procedure",
    "regoper": "oper",
    "regoperator": "operator",
    "regnamespace": "namespace",
    "regrole": "role",
    "regcollation": "collation",
}


def write_object(column: Column, style: Style) -> pa.Array:
    """The object's name, '-' for none (0 for no operator), its number where nobody knows names."""
    names = style.names
    kind = _KINDS[column.type.name]
    none = "0" if kind in ("oper", "operator") else "-"
    known = {
        oid: none if oid == 0 else str(oid) if names is None else names.name_of(kind, oid)
        for oid in np.unique(column.values).tolist()
    }
    valid = column.is_valid().tolist()
    texts = [known[oid] if ok else None for oid, ok in zip(column.values.tolist(), valid, strict=True)]
    return pa.array(texts, pa.large_string())


def read_object(type: Type, texts: list[str], style: Style) -> list[int]:
    """A name, '-', or a number. Raises what the catalog raises."""
    values = []
    for text in texts:
        word = text.strip()
        if word == "-":
            values.append(0)
        elif word.isascii() and word.isdigit():
            values.append(int(word))
        elif style.names is None:
            raise numbers.invalid(type, text)
        else:
            values.append(style.names.oid_of(_KINDS[type.name], word))
    return values
