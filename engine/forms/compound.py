"""Text forms of arrays, and of the types that name objects of the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from engine.forms import numbers
from engine.forms.numbers import BLANKS
from engine.forms.style import Style
from engine.seams import Kind
from storage.column import Column
from storage.errors import ArraySubscriptError, FeatureNotSupported, InvalidTextRepresentation
from storage.types import INT2VECTOR, OIDVECTOR, Type

Write = Callable[[Column, Style], pa.Array]
Read = Callable[[Type, "list[str]", Style], "list[Any]"]

_PLAIN_ELEMENT = re.compile(r'[^\s{},"\\]+(?: +[^\s{},"\\]+)*')
# blanks around an element are not of it; escaped ones are
_ELEMENT = re.compile(
    r'[ \t\n\v\f\r]*+(?:"((?:[^"\\]|\\.)*+)"|((?:(?:[^ \t\n\v\f\r{},"\\]|\\.)'
    r'|[ \t\n\v\f\r]++(?=[^ \t\n\v\f\r{},"]))*+))[ \t\n\v\f\r]*+',
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BOUNDS = re.compile(r"\[(?:(-?\d+):)?(-?\d+)\][ \t\n\v\f\r]*=")
_KINDS: dict[str, Kind] = {
    "regclass": "class",
    "regtype": "type",
    "regproc": "proc",
    "regprocedure": "procedure",
    "regoper": "oper",
    "regnamespace": "namespace",
    "regrole": "role",
    "regcollation": "collation",
}


def elements(column: Column) -> Column:
    """The elements of all rows of a list column, one after another."""
    element = column.type.element
    assert element is not None
    return Column.from_arrow(element, column.values.flatten())


def write_array(column: Column, style: Style, write: Write) -> pa.Array:
    """{1,NULL,"a b"}; int2vector and oidvector with blanks."""
    texts = iter(write(elements(column), style).to_pylist())
    bare = column.type.oid in (INT2VECTOR.oid, OIDVECTOR.oid)
    out: list[str | None] = []
    for row in column.values:
        if not row.is_valid:
            out.append(None)
            continue
        items = [next(texts) for _ in range(len(row))]
        if bare:
            out.append(" ".join(str(item) for item in items))
        else:
            out.append("{" + ",".join("NULL" if item is None else _quoted(item) for item in items) + "}")
    return pa.array(out, pa.large_string())


def _quoted(item: str) -> str:
    if _PLAIN_ELEMENT.fullmatch(item) and item.upper() != "NULL":
        return item if " " not in item else f'"{item}"'
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _malformed(text: str, detail: str) -> InvalidTextRepresentation:
    return InvalidTextRepresentation(f'malformed array literal: "{text}"', detail=detail)


def split_array(text: str) -> list[str | None]:
    """The elements of an array's text. Raises InvalidTextRepresentation."""
    word = text.strip(BLANKS)
    bounds = _BOUNDS.match(word)
    count = None
    if bounds:
        low, high = int(bounds[1] or 1), int(bounds[2])
        if high < low:
            raise ArraySubscriptError("upper bound cannot be less than lower bound")
        if low != 1:
            raise FeatureNotSupported(f"arrays that count from {low} are not supported")
        count = high
        word = word[bounds.end() :].lstrip(BLANKS)
    if not word.startswith("{"):
        raise _malformed(text, 'Array value must start with "{" or dimension information.')
    items, end = _items(text, word)
    if word[end:].strip(BLANKS):
        raise _malformed(text, "Junk after closing right brace.")
    if count is not None and count != len(items):
        raise _malformed(text, "Specified array dimensions do not match array contents.")
    return items


def _items(text: str, word: str) -> tuple[list[str | None], int]:
    """(the elements, where the closing brace ends) of what opens with a brace."""
    items: list[str | None] = []
    at = 1
    while True:
        found = _ELEMENT.match(word, at)
        assert found is not None
        quoted, bare, at = found[1], found[2], found.end()
        mark = word[at : at + 1]
        if not mark or mark == "\\":
            raise _malformed(text, "Unexpected end of input.")
        if mark == '"' and quoted is None and not bare and not _closed(word, at):
            raise _malformed(text, "Unexpected end of input.")
        if mark == "{" and quoted is None and not bare:
            if word[at + 1 :].lstrip(BLANKS)[:1] in ("}", ","):
                raise _malformed(text, f'Unexpected "{word[at + 1 :].lstrip(BLANKS)[0]}" character.')
            raise FeatureNotSupported("arrays of more than one dimension are not supported")
        if mark == "{":
            raise _malformed(text, 'Unexpected "{" character.')
        if mark not in ",}":
            raise _malformed(text, "Unexpected array element.")
        if quoted is not None:
            items.append(_ESCAPED.sub(r"\1", quoted))
        elif bare:
            items.append(None if bare.upper() == "NULL" else _ESCAPED.sub(r"\1", bare))
        elif mark == "," or items:
            raise _malformed(text, f'Unexpected "{mark}" character.')
        at += 1
        if mark == "}":
            return items, at


def _closed(word: str, at: int) -> bool:
    """Whether the quotes that open at `at` close."""
    return re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL).match(word, at) is not None


def read_array(type: Type, texts: list[str], style: Style, read: Read) -> list[list[Any]]:
    """See split_array; int2vector and oidvector take numbers between blanks."""
    element = type.element
    assert element is not None
    if type.modifier != -1:
        element = element.of(type.modifier)
    bare = type.oid in (INT2VECTOR.oid, OIDVECTOR.oid)
    rows: list[list[Any]] = []
    for text in texts:
        items = list(text.split()) if bare else split_array(text)
        there = [item for item in items if item is not None]
        parsed = Column.of(element, read(element, there, style)).to_arrow().to_pylist()
        values = iter(parsed)
        rows.append([None if item is None else next(values) for item in items])
    return rows


def write_object(column: Column, style: Style) -> pa.Array:
    """The object's name, '-' for none, its number where nobody knows names."""
    names = style.names
    kind = _KINDS[column.type.name]
    known = {
        oid: "-" if oid == 0 else str(oid) if names is None else names.name_of(kind, oid)
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
