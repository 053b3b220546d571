"""Changes of jsonb: || - #-, jsonb_set, jsonb_set_lax, jsonb_insert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.functions.registry import operator, scalar
from engine.functions.text import each
from engine.values import jsonvalue
from storage.column import Column
from storage.errors import InvalidParameterValue, NullValueNotAllowed
from storage.types import BOOL, INT4, JSONB, TEXT, array_of

_TEXTS = array_of(TEXT)
Change = Callable[[Any, Any], None]
"""What is done with a container and the key or the place in it that a path ends at."""


@operator("||", [JSONB, JSONB], JSONB)
def jsonb_concat(left: Column, right: Column) -> Column:
    """Two objects as one, or two arrays; anything else as an array."""

    def one(left: str, right: str) -> str:
        a, b = jsonvalue.parse(left), jsonvalue.parse(right)
        if isinstance(a, dict) and isinstance(b, dict):
            return jsonvalue.jsonb(a | b)
        return jsonvalue.jsonb((a if isinstance(a, list) else [a]) + (b if isinstance(b, list) else [b]))

    return each(one, left, right, type=JSONB)


@operator("-", [JSONB, TEXT], JSONB)
def jsonb_without_key(column: Column, key: Column) -> Column:
    """Without a key, or the strings equal to it."""

    def one(text: str, key: str) -> str:
        value = jsonvalue.parse(text)
        if isinstance(value, dict):
            value.pop(key, None)
        elif isinstance(value, list):
            value = [item for item in value if item != key]
        else:
            raise InvalidParameterValue("cannot delete from scalar")
        return jsonvalue.jsonb(value)

    return each(one, column, key, type=JSONB)


@operator("-", [JSONB, INT4], JSONB)
def jsonb_without_element(column: Column, index: Column) -> Column:
    """Without an element of an array."""

    def one(text: str, index: int) -> str:
        value = jsonvalue.parse(text)
        if isinstance(value, dict):
            raise InvalidParameterValue("cannot delete from object using integer index")
        if not isinstance(value, list):
            raise InvalidParameterValue("cannot delete from scalar")
        if -len(value) <= index < len(value):
            del value[index]
        return jsonvalue.jsonb(value)

    return each(one, column, index, type=JSONB)


@operator("-", [JSONB, _TEXTS], JSONB)
def jsonb_without_keys(column: Column, keys: Column) -> Column:
    """Without any of the keys, or the strings equal to one."""

    def one(text: str, keys: list[str | None]) -> str:
        value = jsonvalue.parse(text)
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if key not in keys}
        elif isinstance(value, list):
            value = [item for item in value if not isinstance(item, str) or item not in keys]
        else:
            raise InvalidParameterValue("cannot delete from scalar")
        return jsonvalue.jsonb(value)

    return each(one, column, keys, type=JSONB)


def _changed(text: str, path: Sequence[str | None], verb: str, change: Change) -> str:
    """The value after a change of what the path ends at; as it is where the path leads nowhere."""
    root = jsonvalue.parse(text)
    if not isinstance(root, dict | list):
        raise InvalidParameterValue(f"cannot {verb} path in scalar")
    value = root
    for level, step in enumerate(path, 1):
        if step is None:
            raise NullValueNotAllowed(f"path element at position {level} is null")
        where: Any = step if isinstance(value, dict) else jsonvalue.place(value, step, level)
        if level == len(path):
            change(value, where)
            break
        there = where in value if isinstance(value, dict) else 0 <= where < len(value)
        if there and path[level] is None:
            raise NullValueNotAllowed(f"path element at position {level + 1} is null")
        if not there or not isinstance(value[where], dict | list):
            break
        value = value[where]
    return jsonvalue.jsonb(root)


def _put(new: Any, create: bool) -> Change:
    def change(value: Any, where: Any) -> None:
        if isinstance(value, dict):
            if create or where in value:
                value[where] = new
        elif 0 <= where < len(value):
            value[where] = new
        elif create:
            value.insert(max(where, 0), new)

    return change


def _remove(value: Any, where: Any) -> None:
    if isinstance(value, dict):
        value.pop(where, None)
    elif 0 <= where < len(value):
        del value[where]


def _set(text: str, path: list[str | None], new: str, create: bool = True) -> str:
    return _changed(text, path, "set", _put(jsonvalue.parse(new), create))


@operator("#-", [JSONB, _TEXTS], JSONB)
@scalar("jsonb_delete_path", [JSONB, _TEXTS], JSONB)
def jsonb_delete_path(column: Column, path: Column) -> Column:
    """Without what is at a path."""
    return each(lambda text, steps: _changed(text, steps, "delete", _remove), column, path, type=JSONB)


@scalar("jsonb_set", [JSONB, _TEXTS, JSONB, BOOL], JSONB, defaults=1)
def jsonb_set(column: Column, path: Column, new: Column, *create: Column) -> Column:
    """With the value at a path replaced, or added there."""
    return each(_set, column, path, new, *create, type=JSONB)


@scalar("jsonb_set_lax", [JSONB, _TEXTS, JSONB, BOOL, TEXT], JSONB, strict=False, defaults=2)
def jsonb_set_lax(column: Column, path: Column, new: Column, *options: Column) -> Column:
    """jsonb_set; what a null does is the last argument's to say."""

    def one(
        text: str | None,
        path: list[str | None] | None,
        new: str | None,
        create: bool | None = True,
        treatment: str | None = "use_json_null",
    ) -> str | None:
        if text is None or path is None or create is None:
            return None
        if new is not None:
            return _set(text, path, new, create)
        match treatment:
            case "use_json_null":
                return _set(text, path, "null", create)
            case "delete_key":
                return _changed(text, path, "delete", _remove)
            case "return_target":
                return text
            case "raise_exception":
                raise NullValueNotAllowed(
                    "JSON value must not be null",
                    detail='Exception was raised because null_value_treatment is "raise_exception".',
                    hint="To avoid, either change the null_value_treatment argument or "
                    "ensure that an SQL NULL is not passed.",
                )
        raise InvalidParameterValue(
            'null_value_treatment must be "delete_key", "return_target", "use_json_null", '
            'or "raise_exception"'
        )

    return each(one, column, path, new, *options, type=JSONB)


@scalar("jsonb_insert", [JSONB, _TEXTS, JSONB, BOOL], JSONB, defaults=1)
def jsonb_insert(column: Column, path: Column, new: Column, *after: Column) -> Column:
    """With a value put in at a path: before an array's element, or behind it, or under a new key."""

    def one(text: str, path: list[str | None], new: str, after: bool = False) -> str:
        item = jsonvalue.parse(new)

        def change(value: Any, where: Any) -> None:
            if isinstance(value, dict):
                if where in value:
                    raise InvalidParameterValue(
                        "cannot replace existing key",
                        hint="Try using the function jsonb_set to replace key value.",
                    )
                value[where] = item
            else:
                value.insert(max(where + (after and where >= 0), 0), item)

        return _changed(text, path, "set", change)

    return each(one, column, path, new, *after, type=JSONB)
