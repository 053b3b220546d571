"""Text forms of arrays: {1,NULL,"a b"}, {{1,2},{3,4}}; bounds that are not from 1 in front: [0:1]={1,2}."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from engine.forms.numbers import BLANKS
from engine.forms.style import Style
from engine.lists import bounds, check_dimensions, is_plain, lists
from storage.column import Column
from storage.errors import ArraySubscriptError, InvalidTextRepresentation
from storage.lists import Bounds, shaped
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
_CLOSED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"[-+\d]*")
_UNEVEN = "Multidimensional arrays must have sub-arrays with matching dimensions."
_MISMATCH = "Specified array dimensions do not match array contents."


def write_array(column: Column, style: Style, write: Write) -> pa.Array:
    """See above; int2vector and oidvector with blanks."""
    offsets, elements = lists(column)
    texts: list[str | None] = write(elements, style).to_pylist()
    ends, valid = offsets.tolist(), column.is_valid().tolist()
    rows = [texts[ends[row] : ends[row + 1]] if ok else None for row, ok in enumerate(valid)]
    if column.type.oid in (INT2VECTOR.oid, OIDVECTOR.oid):
        bare = [None if items is None else " ".join(map(str, items)) for items in rows]
        return pa.array(bare, pa.large_string())
    quoted = [None if r is None else ["NULL" if t is None else _quoted(t) for t in r] for r in rows]
    if is_plain(column):
        out = [None if items is None else "{" + ",".join(items) + "}" for items in quoted]
    else:
        shapes = bounds(column)
        out = [None if r is None else nested(r, said) for r, said in zip(quoted, shapes, strict=True)]
    return pa.array(out, pa.large_string())


def nested(items: list[str], said: Bounds) -> str:
    """The elements' texts in braces, behind the bounds where these do not begin at 1."""
    for size in said[:1:-2]:
        items = ["{" + ",".join(items[at : at + size]) + "}" for at in range(0, len(items), size)]
    text = "{" + ",".join(items) + "}"
    if all(low == 1 for low in said[::2]):
        return text
    return f"{dimensions(said)}={text}"


def dimensions(said: Bounds) -> str:
    """Bounds as array_dims writes them: [1:2][0:3]."""
    return "".join(f"[{said[at]}:{said[at] + said[at + 1] - 1}]" for at in range(0, len(said), 2))


def _quoted(item: str) -> str:
    if _PLAIN_ELEMENT.fullmatch(item) and item.upper() != "NULL":
        return item if " " not in item else f'"{item}"'
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _malformed(text: str, detail: str) -> InvalidTextRepresentation:
    return InvalidTextRepresentation(f'malformed array literal: "{text}"', detail=detail)


def split_array(text: str) -> tuple[list[str | None], Bounds]:
    """The elements of an array's text, and its bounds. Raises InvalidTextRepresentation."""
    word = text.strip(BLANKS)
    said, at = _said(text, word)
    if said is not None:
        if word[at : at + 1] != "=":
            raise _malformed(text, 'Missing "=" after array dimensions.')
        at += 1
        at += len(word) - at - len(word[at:].lstrip(BLANKS))
    if word[at : at + 1] != "{":
        detail = (
            'Array value must start with "{" or dimension information.'
            if said is None
            else 'Array contents must start with "{".'
        )
        raise _malformed(text, detail)
    items, sizes, end = _items(text, word, at)
    if word[end:].strip(BLANKS):
        raise _malformed(text, "Junk after closing right brace.")
    if said is None:
        return items, tuple(part for size in sizes for part in (1, size)) if items else ()
    if list(said[1::2]) != sizes:
        raise _malformed(text, _MISMATCH)
    return items, said


def _said(text: str, word: str) -> tuple[Bounds | None, int]:
    """(the bounds in front, None without, and where they end)."""
    at = 0
    said: list[int] = []
    while word[at : at + 1] == "[":
        check_dimensions(len(said) // 2 + 1)
        low, at = _number(word, at + 1)
        if low is None:
            raise _malformed(text, '"[" must introduce explicitly-specified array dimensions.')
        high, first = low, 1
        if word[at : at + 1] == ":":
            upper, at = _number(word, at + 1)
            if upper is None:
                raise _malformed(text, "Missing array dimension value.")
            first, high = low, upper
        if word[at : at + 1] != "]":
            raise _malformed(text, 'Missing "]" after array dimensions.')
        if high < first:
            raise ArraySubscriptError("upper bound cannot be less than lower bound")
        said += [first, high - first + 1]
        at += 1
        at += len(word) - at - len(word[at:].lstrip(BLANKS))
    return tuple(said) or None, at


def _number(word: str, at: int) -> tuple[int | None, int]:
    found = _NUMBER.match(word, at)
    assert found is not None
    digits = re.match(r"[-+]?\d+", found[0])
    return None if not found[0] else int(digits[0]) if digits else 0, found.end()


class _Levels:
    """How many parts the braces have that are open, and how many the closed ones of each depth had."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.open: list[int] = []
        self.sizes: dict[int, int] = {}
        self.depth = 0  # of the elements, once there is one

    def begin(self) -> None:
        """A brace opens."""
        self.open.append(0)
        check_dimensions(len(self.open))
        if self.depth and len(self.open) > self.depth:
            raise _malformed(self.text, _UNEVEN)

    def part(self) -> None:
        """An element."""
        if self.depth not in (0, len(self.open)):
            raise _malformed(self.text, _UNEVEN)
        self.depth = len(self.open)
        self.open[-1] += 1

    def end(self) -> None:
        """A brace closes: its parts are as many as those of its neighbours."""
        size = self.open.pop()
        if self.sizes.setdefault(len(self.open), size) != size:
            raise _malformed(self.text, _UNEVEN)
        if self.open:
            self.open[-1] += 1


def _items(text: str, word: str, at: int) -> tuple[list[str | None], list[int], int]:
    """(the elements, the length of each dimension, where the last brace ends) of what opens at `at`."""
    items: list[str | None] = []
    levels = _Levels(text)
    levels.begin()
    at += 1
    last = "{"  # what stood before: a brace, a comma behind an element or a brace, an element
    while levels.open:
        found = _ELEMENT.match(word, at)
        assert found is not None
        quoted, bare, at = found[1], found[2], found.end()
        mark = word[at : at + 1]
        if quoted is not None or bare:
            if last in ("}", "},"):
                raise _malformed(text, "Unexpected array element.")
            levels.part()
            items.append(_item(quoted, bare))
            last = "x"
        _check_mark(text, word, at, mark, last)
        if mark == "{":
            levels.begin()
        elif mark == "}":
            if last in (",", "},") or (last == "{" and len(levels.open) > 1):
                raise _malformed(text, 'Unexpected "}" character.')
            levels.end()
        last = last + "," if mark == "," and last == "}" else mark
        at += 1
    sizes = [levels.sizes[depth] for depth in range(levels.depth)]
    return items, sizes, at


def _item(quoted: str | None, bare: str) -> str | None:
    if quoted is None and bare.upper() == "NULL":
        return None
    return _ESCAPED.sub(r"\1", bare if quoted is None else quoted)


def _check_mark(text: str, word: str, at: int, mark: str, last: str) -> None:
    """Refuse what cannot stand behind `last`: x is an element, the others are marks."""
    if mark in ("", "\\") or (mark == '"' and last != "x" and _CLOSED.match(word, at) is None):
        raise _malformed(text, "Unexpected end of input.")
    if mark not in "{},":
        raise _malformed(text, "Unexpected array element.")
    if mark == "{" and last not in ("{", "},"):
        raise _malformed(text, 'Unexpected "{" character.')
    if mark == "," and last not in ("x", "}"):
        raise _malformed(text, 'Unexpected "," character.')


def read_array(type: Type, texts: list[str], style: Style, read: Read) -> list[list[Any]]:
    """See split_array; int2vector and oidvector take numbers between blanks."""
    element = type.element
    assert element is not None
    if type.modifier != -1:
        element = element.of(type.modifier)
    if type.oid in (INT2VECTOR.oid, OIDVECTOR.oid):
        split: list[tuple[list[str | None], Bounds]] = [(list(text.split()), ()) for text in texts]
    else:
        split = [split_array(text) for text in texts]
    there = [item for items, _ in split for item in items if item is not None]
    values: Iterator[Any] = iter(Column.of(element, read(element, there, style)).to_arrow().to_pylist())
    rows = []
    for items, said in split:
        row = [None if item is None else next(values) for item in items]
        rows.append(shaped(row, said) if said else row)
    return rows


def offsets_of(counts: list[int]) -> Any:
    """Where rows of so many elements begin, and where the last ends."""
    return np.append(0, np.cumsum(counts)).astype(np.int64)
