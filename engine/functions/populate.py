"""Rows from JSON objects: json_populate_record, json_populate_recordset, json_to_record, json_to_recordset.

A member becomes the field of its name: a string through the type's input function, another value as its text,
an array as an array, an object as a row. What an object has not comes from the base row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine import casts
from engine.functions.registry import FUNCTIONS, scalar
from engine.lists import list_column
from engine.run import Run
from engine.values import jsonvalue
from storage.column import Column, fields_of, row_column
from storage.errors import FeatureNotSupported, InvalidParameterValue, InvalidTextRepresentation
from storage.lists import Bounds
from storage.types import ANYELEMENT, BOOL, JSON, JSONB, RECORD, TEXT, Type


def _values(type: Type, texts: Sequence[str | None], path: str, run: Run) -> Column:
    """JSON texts, None where there is none, as values of a type."""
    given = [None if text is None or jsonvalue.kind(text) == "null" else text for text in texts]
    if type.element is not None or type.is_row:
        return _nested(type, given, path, run)
    if type.oid == JSON.oid:
        return Column.of(type, given)
    shown = given if type.oid == JSONB.oid else [jsonvalue.as_text(text) for text in given]
    return casts.convert(Column.of(TEXT, shown), type, run, explicit=False)


def _nested(type: Type, given: Sequence[str | None], path: str, run: Run) -> Column:
    """JSON texts as arrays or rows; a string is the text of one."""
    spelled = [None if text is None or jsonvalue.kind(text) != "string" else text for text in given]
    if any(text is not None for text in spelled):
        rest = [None if spelt is not None else text for spelt, text in zip(spelled, given, strict=True)]
        read = casts.convert(Column.of(TEXT, [*map(jsonvalue.as_text, spelled)]), type, run, explicit=False)
        both = [_nested(type, rest, path, run), read.spread(len(given))]
        places = [len(given) * (text is not None) + at for at, text in enumerate(spelled)]
        return Column.concat(both).take(np.array(places))
    if type.element is not None:
        return _arrays(type, given, path, run)
    rows = [None if text is None else _members(text, "populate_composite") for text in given]
    return _rows(Column.nulls(type, len(rows)), rows, run)


def _arrays(type: Type, texts: Sequence[str | None], path: str, run: Run) -> Column:
    assert type.element is not None
    flat: list[str | None] = []
    counts: list[int] = []
    said: list[Bounds] = []
    for text in texts:
        start = len(flat)
        sizes = [] if text is None else _flattened(text, path, flat)
        counts.append(len(flat) - start)
        said.append(tuple(part for size in sizes for part in (1, size)) if counts[-1] else ())
    elements = _values(type.element, flat, path, run)
    valid = np.array([text is not None for text in texts], np.bool_)
    return list_column(type, np.append(0, np.cumsum(counts)), elements.spread(len(flat)), valid, bounds=said)


def _flattened(text: str, path: str, flat: list[str | None]) -> list[int]:
    """The length of each dimension of a JSON array, whose elements' texts go to `flat`."""
    if jsonvalue.kind(text) != "array":
        raise InvalidTextRepresentation("expected JSON array", hint=f'See the value of key "{path}".')
    items = list(jsonvalue.elements(text))
    if not items or jsonvalue.kind(items[0]) != "array":
        flat += items
        return [len(items)]
    inner = [_flattened(item, path, flat) for item in items]
    if any(sizes != inner[0] for sizes in inner):
        raise InvalidTextRepresentation(
            "malformed JSON array",
            detail="Multidimensional arrays must have sub-arrays with matching dimensions.",
        )
    return [len(items), *inner[0]]


def _members(text: str, function: str) -> dict[str, str]:
    """The texts of an object's members. Raises InvalidParameterValue for another value."""
    kind = jsonvalue.kind(text)
    if kind != "object":
        raise InvalidParameterValue(
            f"cannot call {function} on {'an array' if kind == 'array' else 'a scalar'}"
        )
    return dict(jsonvalue.members(text))


def _undetermined(name: str) -> FeatureNotSupported:
    return FeatureNotSupported(
        f"could not determine row type for result of {name}",
        hint="Provide a non-null record argument, or call the function in the FROM clause "
        "using a column definition list.",
    )


def _rows(base: Column, members: Sequence[dict[str, str] | None], run: Run) -> Column:
    """Rows of the members, null where there are none; `base` has the fields that they have not."""
    assert base.type.attributes is not None
    fields = []
    for attribute, old in zip(base.type.attributes, fields_of(base), strict=True):
        texts = [None if row is None else row.get(attribute.name) for row in members]
        there = np.array([text is not None for text in texts], np.bool_)
        new = _values(attribute.type, texts, attribute.name, run).spread(len(texts))
        if not there.all() and old.is_valid().any():
            places = np.where(there, np.arange(len(texts)), len(texts) + np.arange(len(texts)))
            new = Column.concat([new, old]).take(places)
        fields.append(new)
    valid = np.array([row is not None for row in members], np.bool_)
    return row_column(base.type, len(members), fields, None if valid.all() else valid)


def _record(name: str) -> Callable[..., Column]:
    def record(base: Column, column: Column, *options: Column, run: Run) -> Column:
        """A row of an object's members; those that it has not are the base row's."""
        if base.type.attributes is None:
            raise _undetermined(name)
        texts = column.tolist()
        rows = [None if text is None else _members(text, "populate_composite") for text in texts]
        made = _rows(base, [row if row is not None else {} for row in rows], run)
        valid = base.is_valid() | np.array([row is not None for row in rows], np.bool_)
        return made.with_valid(None if valid.all() else valid)

    return record


def _recordset(name: str) -> Callable[..., Column]:
    def records(base: Column, column: Column, *options: Column, run: Run) -> Column:
        """A row of each object in an array."""
        if base.type.attributes is None:
            raise _undetermined(name)
        text = column.tolist()[0]
        if text is None:
            return Column.nulls(base.type, 0)
        kind = jsonvalue.kind(text)
        if kind != "array":
            raise InvalidParameterValue(
                f"cannot call {name} on {'an object' if kind == 'object' else 'a scalar'}"
            )
        items = list(jsonvalue.elements(text))
        if any(jsonvalue.kind(item) != "object" for item in items):
            raise InvalidParameterValue(f"argument of {name} must be an array of objects")
        bases = base.take(np.zeros(len(items), np.int64))
        return _rows(bases, [dict(jsonvalue.members(item)) for item in items], run)

    return records


Make = Callable[[str], Callable[..., Column]]

DEFINED: dict[str, str] = {}
"""The id of what a function that asks for a column definition list calls, a base row before its argument."""
POPULATING = frozenset(f"{t}_populate_{end}" for t in ("json", "jsonb") for end in ("record", "recordset"))
"""The names of those that are given a base row: it has the columns, or is a record of the list's."""


def _declare(name: str, arguments: list[Type], make: Callable[..., Column], several: bool) -> None:
    scalar(name, arguments, ANYELEMENT, strict=False, run=True, volatility="s", returns_set=several)(make)


def _declare_defined(name: str, type: Type, make: Make, several: bool) -> None:
    behind = f"{name}_as"
    _declare(behind, [ANYELEMENT, type], make(name), several)
    (overload,) = FUNCTIONS.pop(behind)  # nobody calls it by name
    DEFINED[f"{name}({type.name})"] = overload.id

    @scalar(name, [type], RECORD, volatility="s", returns_set=several)
    def undefined(column: Column) -> Column:
        """Rows of JSON objects, in the columns of the list behind the call in FROM."""
        raise _undetermined(name)


for _type in (JSON, JSONB):
    for _end, _make in (("record", _record), ("recordset", _recordset)):
        _name, _several = f"{_type.name}_populate_{_end}", _end == "recordset"
        _declare(_name, [ANYELEMENT, _type], _make(_name), _several)
        if _type is JSON:
            _declare(_name, [ANYELEMENT, _type, BOOL], _make(_name), _several)
        _declare_defined(f"{_type.name}_to_{_end}", _type, _make, _several)
