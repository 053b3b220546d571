"""json and jsonb: -> ->> #> #>>, containment, building from values, and the rows of objects and arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from engine import forms
from engine.functions.registry import Declared, operator, scalar
from engine.functions.text import each
from engine.lists import bounds, is_plain, lists, sizes
from engine.run import Run
from engine.values import jsonvalue
from storage.column import Column, fields_of
from storage.errors import ArraySubscriptError, InvalidParameterValue, NullValueNotAllowed
from storage.types import ANY, ANYARRAY, ANYELEMENT, BOOL, INT4, JSON, JSONB, RECORD, TEXT, Type, array_of

_TEXTS = array_of(TEXT)
_NUMBERS = ("int2", "int4", "int8", "float4", "float8", "numeric")
_MEMBER, _ELEMENT, _WALK = jsonvalue.member, jsonvalue.element, jsonvalue.walk


def _access(symbol: str, argument: Type, step: Callable[[str, Any], str | None], type: Type) -> None:
    @operator(symbol, [type, argument], type)
    def part(column: Column, key: Column) -> Column:
        """The part of a JSON value at a key, subscript or path."""
        return each(step, column, key, type=type)

    @operator(symbol + ">", [type, argument], TEXT)
    def part_text(column: Column, key: Column) -> Column:
        """The part of a JSON value at a key, subscript or path, as text."""
        return each(lambda t, k: jsonvalue.as_text(step(t, k)), column, key)


def _jsonb_element(text: str, index: int) -> str | None:
    """As of an array: to PostgreSQL a jsonb that is neither array nor object is an array of itself."""
    if jsonvalue.kind(text) in ("array", "object"):
        return jsonvalue.element(text, index)
    return text if index in (0, -1) else None


for _type in (JSON, JSONB):
    _access("->", TEXT, _MEMBER, _type)
    _access("->", INT4, _ELEMENT if _type is JSON else _jsonb_element, _type)
    _access("#>", _TEXTS, _WALK, _type)


def _prefixed(
    name: str, arguments: Sequence[Type], result: Type | None, **options: Any
) -> Callable[[Declared], Declared]:
    """Declare a function for json and jsonb: the names differ in their first word; None: of its type."""

    def declare(implementation: Declared) -> Declared:
        for type in (JSON, JSONB):
            types = [type if argument is JSON else argument for argument in arguments]

            def bound(*columns: Column, _type: Type = type, **extras: Any) -> Any:
                return implementation(_type, *columns, **extras)

            bound.__doc__ = implementation.__doc__
            columns = [(label, type if of is JSON else of) for label, of in options.get("columns", ())]
            declared = type if result is None else result
            scalar(f"{type.name}_{name}", types, declared, **options | {"columns": columns})(bound)
        return implementation

    return declare


@_prefixed("typeof", [JSON], TEXT)
def json_typeof(type: Type, column: Column) -> Column:
    """object, array, string, number, boolean or null."""
    return each(jsonvalue.kind, column)


@_prefixed("array_length", [JSON], INT4)
def json_array_length(type: Type, column: Column) -> Column:
    """How many elements an array has."""
    return each(lambda t: len(_array(t, "get array length of", "")), column, type=INT4)


def _array(text: str, verb: str, function: str) -> list[str]:
    kind = jsonvalue.kind(text)
    if kind == "array":
        return list(jsonvalue.elements(text))
    if function.startswith("jsonb_array_elements"):
        raise InvalidParameterValue(
            f"cannot extract elements from {'an object' if kind == 'object' else 'a scalar'}"
        )
    what = "non-array" if kind == "object" else "scalar"
    words = f"call {function} on" if function else verb
    raise InvalidParameterValue(f"cannot {words} a {what}")


def _object(text: str, function: str) -> list[tuple[str, str]]:
    kind = jsonvalue.kind(text)
    if kind != "object":
        what = "an array" if kind == "array" else "a scalar"
        if function.startswith("json_each"):
            what = "an array as an object" if kind == "array" else "a scalar"
            raise InvalidParameterValue(f"cannot deconstruct {what}")
        if "each" in function:
            what = "a non-object"
        raise InvalidParameterValue(f"cannot call {function} on {what}")
    return list(jsonvalue.members(text))


@_prefixed("array_elements", [JSON], None, returns_set=True, columns=(("value", JSON),))
def json_array_elements(type: Type, column: Column) -> Column:
    """The elements of an array, a row each."""
    return Column.of(type, _array(column.tolist()[0], "", f"{type.name}_array_elements"))


@_prefixed("array_elements_text", [JSON], TEXT, returns_set=True, columns=(("value", TEXT),))
def json_array_elements_text(type: Type, column: Column) -> Column:
    """The elements of an array as texts, a row each."""
    items = _array(column.tolist()[0], "", f"{type.name}_array_elements_text")
    return Column.of(TEXT, [jsonvalue.as_text(item) for item in items])


@_prefixed("object_keys", [JSON], TEXT, returns_set=True)
def json_object_keys(type: Type, column: Column) -> Column:
    """The keys of an object, a row each."""
    return Column.of(TEXT, [key for key, _ in _object(column.tolist()[0], f"{type.name}_object_keys")])


@_prefixed("each", [JSON], None, returns_set=True, columns=(("key", TEXT), ("value", JSON)))
def json_each(type: Type, column: Column) -> list[Column]:
    """The keys and values of an object, a row each."""
    pairs = _object(column.tolist()[0], f"{type.name}_each")
    return [Column.of(TEXT, [key for key, _ in pairs]), Column.of(type, [value for _, value in pairs])]


@_prefixed("each_text", [JSON], TEXT, returns_set=True, columns=(("key", TEXT), ("value", TEXT)))
def json_each_text(type: Type, column: Column) -> list[Column]:
    """The keys of an object and its values as texts, a row each."""
    pairs = _object(column.tolist()[0], f"{type.name}_each_text")
    texts = [jsonvalue.as_text(value) for _, value in pairs]
    return [Column.of(TEXT, [key for key, _ in pairs]), Column.of(TEXT, texts)]


@_prefixed("extract_path", [JSON, TEXT], None, variadic=True)
def json_extract_path(type: Type, column: Column, *steps: Column) -> Column:
    """The part at a path."""
    return each(lambda t, *path: jsonvalue.walk(t, list(path)), column, *steps, type=type)


@_prefixed("extract_path_text", [JSON, TEXT], TEXT, variadic=True)
def json_extract_path_text(type: Type, column: Column, *steps: Column) -> Column:
    """The part at a path, as text."""
    return each(lambda t, *path: jsonvalue.as_text(jsonvalue.walk(t, list(path))), column, *steps)


@_prefixed("strip_nulls", [JSON], None)
def json_strip_nulls(type: Type, column: Column) -> Column:
    """Without members that are null."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if v is not None}
        return [strip(item) for item in value] if isinstance(value, list) else value

    def one(text: str) -> str:
        value = strip(jsonvalue.parse(text))
        return jsonvalue.jsonb(value) if type is JSONB else compact(value)

    return each(one, column, type=type)


def compact(value: Any) -> str:
    """JSON without blanks, keys in their own order."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{jsonvalue.quoted(k)}:{compact(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return jsonvalue.jsonb(value)


def json_texts(column: Column, run: Run, between: str = ",") -> list[str]:
    """Each value of any type as a JSON text; null as 'null'. `between` separates the elements of arrays."""
    if column.type.element is not None:
        offsets, items = lists(column)
        texts, ends = json_texts(items, run), offsets.tolist()
        if is_plain(column):
            rows = [f"[{between.join(texts[a:b])}]" for a, b in pairwise(ends)]
        else:
            shapes = map(sizes, bounds(column))
            rows = [
                _nested(texts[a:b], said, between)
                for (a, b), said in zip(pairwise(ends), shapes, strict=True)
            ]
        return [t if ok else "null" for t, ok in zip(rows, column.is_valid(), strict=True)]
    if column.type.is_row:
        return row_texts(column, run)
    texts = forms.text_of(column, forms.style_of(run).iso).tolist()
    match column.type.name:
        case "json" | "jsonb":
            return ["null" if t is None else t for t in texts]
        case "bool":
            return ["null" if t is None else "true" if t == "t" else "false" for t in texts]
        case name if name in _NUMBERS:
            return ["null" if t is None else _number(t) for t in texts]
        case "timestamp":
            return ["null" if t is None else jsonvalue.quoted(t.replace(" ", "T", 1)) for t in texts]
        case "timestamptz":
            return ["null" if t is None else jsonvalue.quoted(_iso(t)) for t in texts]
        case _:
            return ["null" if t is None else jsonvalue.quoted(t) for t in texts]


def _nested(texts: list[str], sizes: Sequence[int], between: str) -> str:
    """The elements of an array of these lengths in brackets."""
    for size in sizes[:0:-1]:
        texts = [f"[{','.join(texts[at : at + size])}]" for at in range(0, len(texts), size)]
    return f"[{between.join(texts)}]"


def row_texts(column: Column, run: Run, between: str = ",") -> list[str]:
    """Each row as a JSON object of its fields; null as 'null'."""
    names = [jsonvalue.quoted(attribute.name) for attribute in column.type.attributes or ()]
    fields = [json_texts(field, run) for field in fields_of(column)]
    rows = zip(*fields, strict=True) if fields else [()] * len(column)
    return [
        "{" + between.join(f"{n}:{text}" for n, text in zip(names, row, strict=True)) + "}" if ok else "null"
        for row, ok in zip(rows, column.is_valid().tolist(), strict=True)
    ]


@scalar("row_to_json", [RECORD], JSON, volatility="s", run=True)
def row_to_json(row: Column, run: Run) -> Column:
    """A row as a JSON object."""
    return Column.of(JSON, row_texts(row, run))


@scalar("row_to_json", [RECORD, BOOL], JSON, volatility="s", run=True)
def row_to_json_in_lines(row: Column, lines: Column, run: Run) -> Column:
    """A row as a JSON object, perhaps with a line for each field."""
    short, long = row_texts(row, run), row_texts(row, run, ",\n ")
    chosen = zip(short, long, lines.values.tolist(), strict=True)
    return Column.of(JSON, [b if pretty else a for a, b, pretty in chosen])


def _number(text: str) -> str:
    return jsonvalue.quoted(text) if text in ("NaN", "Infinity", "-Infinity") else text


def _iso(text: str) -> str:
    """2024-01-02 03:04:05+00 as 2024-01-02T03:04:05+00:00."""
    text = text.replace(" ", "T", 1)
    return text + ":00" if len(text) > 3 and text[-3] in "+-" else text


def stored(type: Type, texts: Sequence[str | None]) -> Column:
    """JSON texts as json, or in jsonb's form."""
    if type is JSONB:
        texts = [None if t is None else jsonvalue.jsonb(jsonvalue.parse(t)) for t in texts]
    return Column.of(type, texts)


for _type in (JSON, JSONB):

    @scalar(f"to_{_type.name}", [ANYELEMENT], _type, volatility="s", run=True)
    def to_json(column: Column, run: Run, _type: Type = _type) -> Column:
        """The value as JSON."""
        return stored(_type, list(json_texts(column, run)))


def _key(text: str | None, at: int, type: Type) -> str:
    if text is None and type is JSONB:
        raise InvalidParameterValue(f"argument {at + 1}: key must not be null")
    if text is None:
        raise InvalidParameterValue(f"argument {at + 1} cannot be null", hint="Object keys should be text.")
    return jsonvalue.quoted(text)


@_prefixed("build_object", [], None)
def json_empty_object(type: Type) -> Column:
    """{}"""
    return Column.of(type, ["{}"])


@_prefixed("build_array", [], None)
def json_empty_array(type: Type) -> Column:
    """[]"""
    return Column.of(type, ["[]"])


@_prefixed("build_object", [ANY], None, variadic=True, strict=False, volatility="s", run=True)
def json_build_object(type: Type, *columns: Column, run: Run) -> Column:
    """An object of keys and values in turn."""
    if len(columns) % 2:
        raise InvalidParameterValue(
            "argument list must have even number of elements",
            hint=f"The arguments of {type.name}_build_object() must consist of alternating keys and values.",
        )
    if any(
        column.type.is_array or column.type.is_row or column.type.oid == JSON.oid for column in columns[::2]
    ):
        raise InvalidParameterValue("key value must be scalar, not array, composite, or json")
    keys = [forms.text_of(column, run).tolist() for column in columns[::2]]
    values = [json_texts(column, run) for column in columns[1::2]]
    rows: list[str | None] = []
    for row in range(len(columns[0])):
        pairs = zip(keys, values, strict=True)
        items = (f"{_key(k[row], 2 * i, type)} : {v[row]}" for i, (k, v) in enumerate(pairs))
        rows.append("{" + ", ".join(items) + "}")
    return stored(type, rows)


@scalar("array_to_json", [ANYARRAY], JSON, volatility="s", run=True)
@scalar("array_to_json", [ANYARRAY, BOOL], JSON, volatility="s", run=True)
def array_to_json(array: Column, *lines: Column, run: Run) -> Column:
    """An array as JSON; its outermost elements on lines of their own if that is asked for."""
    texts = json_texts(array, run)
    if not lines:
        return Column.of(JSON, texts)
    split = json_texts(array, run, between=",\n ")
    return Column.of(JSON, [a if on else b for a, b, on in zip(split, texts, lines[0].values, strict=True)])


@_prefixed("build_array", [ANY], None, variadic=True, strict=False, volatility="s", run=True)
def json_build_array(type: Type, *columns: Column, run: Run) -> Column:
    """An array of the values."""
    rows = zip(*(json_texts(column, run) for column in columns), strict=True)
    return stored(type, ["[" + ", ".join(row) + "]" for row in rows])


def _object_text(keys: Sequence[str | None], values: Sequence[str | None]) -> str:
    if None in keys:
        raise NullValueNotAllowed("null value not allowed for object key")
    pairs = zip(keys, values, strict=True)
    texts = (
        f"{jsonvalue.quoted(k or '')} : {'null' if v is None else jsonvalue.quoted(v)}" for k, v in pairs
    )
    return "{" + ", ".join(texts) + "}"


@_prefixed("object", [_TEXTS], None)
def json_object(type: Type, items: Column) -> Column:
    """An object of an array's keys and values in turn, or of its rows of a key and a value."""
    shapes = map(sizes, bounds(items))
    rows: list[str | None] = []
    for texts, said in zip(items.tolist(), shapes, strict=True):
        if len(said) > 2:
            raise ArraySubscriptError("wrong number of array subscripts")
        if len(said) == 2 and said[1] != 2:
            raise ArraySubscriptError("array must have two columns")
        if len(texts) % 2:
            raise ArraySubscriptError("array must have even number of elements")
        rows.append(_object_text(texts[::2], texts[1::2]))
    return stored(type, rows)


@_prefixed("object", [_TEXTS, _TEXTS], None)
def json_object_of(type: Type, keys: Column, values: Column) -> Column:
    """An object of an array of keys and one of values."""
    if any(len(said) > 2 for column in (keys, values) for said in bounds(column)):
        raise ArraySubscriptError("wrong number of array subscripts")
    rows: list[str | None] = []
    for names, texts in zip(keys.tolist(), values.tolist(), strict=True):
        if len(names) != len(texts):
            raise ArraySubscriptError("mismatched array dimensions")
        rows.append(_object_text(names, texts))
    return stored(type, rows)


@scalar("jsonb_pretty", [JSONB], TEXT)
def jsonb_pretty(column: Column) -> Column:
    """In lines, with indents."""
    return each(lambda t: jsonvalue.pretty(jsonvalue.parse(t)), column)


def _contains(left: Any, right: Any, top: bool = True) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return all(k in left and _contains(left[k], v, False) for k, v in right.items())
    if isinstance(left, list) and isinstance(right, list):
        return all(any(_contains(x, y, False) for x in left) for y in right)
    if top and isinstance(left, list) and not isinstance(right, dict | list):
        return any(_equal(x, right) for x in left)
    return _equal(left, right)


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


@operator("@>", [JSONB, JSONB], BOOL)
@scalar("jsonb_contains", [JSONB, JSONB], BOOL)
def jsonb_contains(left: Column, right: Column) -> Column:
    """Whether the first holds all of the second."""
    return each(lambda a, b: _contains(jsonvalue.parse(a), jsonvalue.parse(b)), left, right, type=BOOL)


@operator("<@", [JSONB, JSONB], BOOL)
@scalar("jsonb_contained", [JSONB, JSONB], BOOL)
def jsonb_contained(left: Column, right: Column) -> Column:
    """Whether the second holds all of the first."""
    return jsonb_contains(right, left)


def _has_key(text: str, key: str) -> bool:
    value = jsonvalue.parse(text)
    return key in value if isinstance(value, dict | list) else value == key


@operator("?", [JSONB, TEXT], BOOL)
@scalar("jsonb_exists", [JSONB, TEXT], BOOL)
def jsonb_exists(column: Column, key: Column) -> Column:
    """Whether a key, or a string in an array, is there."""
    return each(_has_key, column, key, type=BOOL)


@operator("?|", [JSONB, _TEXTS], BOOL)
@scalar("jsonb_exists_any", [JSONB, _TEXTS], BOOL)
def jsonb_exists_any(column: Column, keys: Column) -> Column:
    """Whether any of the keys is there."""
    return each(lambda t, ks: any(_has_key(t, k) for k in ks if k is not None), column, keys, type=BOOL)


@operator("?&", [JSONB, _TEXTS], BOOL)
@scalar("jsonb_exists_all", [JSONB, _TEXTS], BOOL)
def jsonb_exists_all(column: Column, keys: Column) -> Column:
    """Whether all of the keys are there."""
    return each(lambda t, ks: all(_has_key(t, k) for k in ks if k is not None), column, keys, type=BOOL)
