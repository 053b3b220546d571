"""JSON texts: reading them with their numbers exact, and writing them as json and jsonb are written.

json keeps the text it was given, so its parts are cut out of that text; jsonb is one text a value: keys
in order of length and bytes, a blank behind each comma and colon, numbers as numeric prints them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from engine.values.decimals import checked
from storage.errors import InvalidTextRepresentation

_DECODER = json.JSONDecoder(strict=True)
_BLANKS = " \t\n\r"


def parse(text: str) -> Any:
    """A JSON text as Python values, numbers as Decimal."""
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidTextRepresentation("invalid input syntax for type json") from None


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\x7f")


def number(value: Decimal) -> str:
    """A number as numeric prints it."""
    return format(checked(value), "f")


def jsonb(value: Any) -> str:
    """Python values in jsonb's text form."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(jsonb, value)) + "]"
    return "{" + ", ".join(f"{quoted(k)}: {jsonb(value[k])}" for k in sorted(value, key=key_order)) + "}"


def key_order(key: str) -> tuple[int, bytes]:
    """jsonb's order of keys: the shorter first."""
    raw = key.encode()
    return len(raw), raw


def pretty(value: Any, indent: int = 0) -> str:
    """jsonb_pretty's text."""
    pad, end = " " * (indent + 4), " " * indent
    if isinstance(value, list):
        items = [pad + pretty(item, indent + 4) for item in value]
        return "[\n" + ",\n".join(items) + ("\n" if items else "") + end + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=key_order)
        items = [f"{pad}{quoted(k)}: {pretty(value[k], indent + 4)}" for k in keys]
        return "{\n" + ",\n".join(items) + ("\n" if items else "") + end + "}"
    return jsonb(value)


def kind(text: str) -> str:
    """json_typeof: by the first character."""
    first = text.lstrip(_BLANKS)[:1]
    names = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}
    return names.get(first, "number")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def members(text: str) -> Iterator[tuple[str, str]]:
    """The (key, value's text) pairs of an object's text, in its order."""
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield key, text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def elements(text: str) -> Iterator[str]:
    """The texts of an array's elements."""
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def member(text: str, key: str) -> str | None:
    """The text of an object's value, the last of its key; None where there is none."""
    if kind(text) != "object":
        return None
    found = None
    for name, value in members(text):
        if name == key:
            found = value
    return found


def element(text: str, index: int) -> str | None:
    """The text of an array's element, from 0, from the end where negative."""
    if kind(text) != "array":
        return None
    items = list(elements(text))
    at = index if index >= 0 else len(items) + index
    return items[at] if 0 <= at < len(items) else None


def place(items: Sequence[Any], step: str, level: int) -> int:
    """Where a path's step leads in an array: below 0 or at least its length where nothing is.

    Raises InvalidTextRepresentation where the step, the path's `level`-th, is no number.
    """
    try:
        at = int(step)
    except ValueError:
        raise InvalidTextRepresentation(
            f'path element at position {level} is not an integer: "{step}"'
        ) from None
    return at + len(items) if at < 0 else at


def walk(text: str, path: list[str | None]) -> str | None:
    """The text at a path of keys and subscripts."""
    found: str | None = text
    for step in path:
        if found is None or step is None:
            return None
        if kind(found) == "array":
            try:
                found = element(found, int(step))
            except ValueError:
                return None
        else:
            found = member(found, step)
    return found


def as_text(value: str | None) -> str | None:
    """What ->> gives: a string without its quotes, null as null."""
    if value is None:
        return None
    match kind(value):
        case "string":
            text: str = json.loads(value)
            return text
        case "null":
            return None
        case _:
            return value
