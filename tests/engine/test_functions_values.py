"""Arrays, JSON, vectors and sets; the answers are PostgreSQL 15's, and pgvector's for vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.lists import list_column, lists
from engine.values import jsonvalue
from storage import kernels
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import (
    BINARY,
    BYTEA,
    INT2VECTOR,
    INT4,
    INT8,
    JSON,
    JSONB,
    NUMERIC,
    TEXT,
    VECTOR,
    array_of,
    binary,
    vector,
)
from tests.engine.calls import apply, number, one, rows_of

LISTS, TEXTS = array_of(INT4), array_of(TEXT)


@pytest.mark.parametrize(
    ("id", "arguments", "answer"),
    [
        ("array_append(anycompatiblearray,anycompatible)", [(LISTS, None), (INT4, 1)], [1]),
        ("array_append(anycompatiblearray,anycompatible)", [(LISTS, [1, 2]), (INT4, None)], [1, 2, None]),
        ("array_prepend(anycompatible,anycompatiblearray)", [(INT4, 0), (LISTS, [1])], [0, 1]),
        ("operator ||(anycompatiblearray,anycompatiblearray)", [(LISTS, [1]), (LISTS, [2, 3])], [1, 2, 3]),
        ("array_cat(anycompatiblearray,anycompatiblearray)", [(LISTS, None), (LISTS, [1])], [1]),
        ("array_cat(anycompatiblearray,anycompatiblearray)", [(LISTS, None), (LISTS, None)], None),
        ("array_length(anyarray,int4)", [(LISTS, []), (INT4, 1)], None),
        ("array_length(anyarray,int4)", [(LISTS, [1, 2]), (INT4, 1)], 2),
        ("array_length(anyarray,int4)", [(LISTS, [1]), (INT4, 2)], None),
        ("array_lower(anyarray,int4)", [(INT2VECTOR, [1, 2]), (INT4, 1)], 0),
        ("array_upper(anyarray,int4)", [(INT2VECTOR, [1, 2]), (INT4, 1)], 1),
        ("cardinality(anyarray)", [(LISTS, [])], 0),
        ("array_dims(anyarray)", [(LISTS, [1, 2])], "[1:2]"),
        ("array_position(anycompatiblearray,anycompatible)", [(LISTS, [1, None, 2]), (INT4, None)], 2),
        ("array_positions(anycompatiblearray,anycompatible)", [(LISTS, [1, 2, 1]), (INT4, 1)], [1, 3]),
        ("array_remove(anycompatiblearray,anycompatible)", [(LISTS, [1, None, 3]), (INT4, None)], [1, 3]),
        (
            "array_replace(anycompatiblearray,anycompatible,anycompatible)",
            [(LISTS, [1, 2]), (INT4, 1), (INT4, 9)],
            [9, 2],
        ),
        ("array_fill(anyelement,_int4)", [(INT4, 7), (LISTS, [3])], [7, 7, 7]),
        ("operator @>(anyarray,anyarray)", [(LISTS, [1, 2]), (LISTS, [2, 2])], True),
        ("operator @>(anyarray,anyarray)", [(LISTS, [1, None]), (LISTS, [None])], False),
        ("operator &&(anyarray,anyarray)", [(LISTS, [1]), (LISTS, [None])], False),
        ("operator <@(anyarray,anyarray)", [(LISTS, []), (LISTS, [1])], True),
        ("string_to_array(text,text)", [(TEXT, "a,b,,c"), (TEXT, ",")], ["a", "b", "", "c"]),
        ("string_to_array(text,text,text)", [(TEXT, "a,,c"), (TEXT, ","), (TEXT, "")], ["a", None, "c"]),
        ("string_to_array(text,text)", [(TEXT, "abc"), (TEXT, None)], ["a", "b", "c"]),
        ("string_to_array(text,text)", [(TEXT, ""), (TEXT, ",")], []),
    ],
)
def test_arrays(id: str, arguments: list[Any], answer: Any) -> None:
    assert one(id, *arguments) == answer


def test_numerics_in_arrays_are_equal_by_value() -> None:
    items = (array_of(NUMERIC), ["1.10", "2"])
    assert one("array_position(anycompatiblearray,anycompatible)", items, (NUMERIC, number("1.1"))) == 1


def test_lists_round_trip() -> None:
    column = Column.of(LISTS, [[1, None], None, [], [3]])
    offsets, items = lists(column)
    assert (offsets.tolist(), items.tolist()) == ([0, 2, 2, 2, 3], [1, None, 3])
    assert list_column(LISTS, offsets, items, column.is_valid()).tolist() == column.tolist()
    assert lists(column.slice(2, 4))[1].tolist() == [3]


def test_sets() -> None:
    assert rows_of("generate_series(int4,int4,int4)", (INT4, 5), (INT4, 1), (INT4, -2)) == [5, 3, 1]
    assert rows_of("generate_series(int8,int8)", (INT8, 1), (INT8, 0)) == []
    assert rows_of("generate_series(int4,int4)", (INT4, None), (INT4, 0)) == []
    halves = rows_of(
        "generate_series(numeric,numeric,numeric)", *((NUMERIC, number(n)) for n in ("1.0", "2.0", "0.5"))
    )
    assert [str(n) for n in halves] == ["1.0", "1.5", "2.0"]
    assert rows_of("unnest(anyarray)", (LISTS, [1, None])) == [1, None]
    assert rows_of("_pg_expandarray(anyarray)", (LISTS, [5, 6])) == [(5, 1), (6, 2)]
    assert rows_of("generate_subscripts(anyarray,int4)", (INT2VECTOR, [5, 6]), (INT4, 1)) == [0, 1]
    assert rows_of("regexp_split_to_table(text,text)", (TEXT, "a b"), (TEXT, " ")) == ["a", "b"]
    with pytest.raises(DatabaseError, match="step size cannot equal zero"):
        rows_of("generate_series(int4,int4,int4)", (INT4, 1), (INT4, 2), (INT4, 0))


@pytest.mark.parametrize(
    ("id", "arguments", "answer"),
    [
        ("operator ->(json,text)", [(JSON, '{"a": [1,  2], "b":1}'), (TEXT, "a")], "[1,  2]"),
        ("operator ->(json,int4)", [(JSON, "[1,2,3]"), (INT4, -1)], "3"),
        ("operator ->>(json,text)", [(JSON, '{"a":"x\\n"}'), (TEXT, "a")], "x\n"),
        ("operator ->>(json,text)", [(JSON, '{"a":null}'), (TEXT, "a")], None),
        ("operator ->(jsonb,int4)", [(JSONB, "[1]"), (INT4, 5)], None),
        ("operator #>>(json,_text)", [(JSON, '{"a":{"b":[10,20]}}'), (TEXTS, ["a", "b", "1"])], "20"),
        ("operator @>(jsonb,jsonb)", [(JSONB, '{"a": 1, "b": 2}'), (JSONB, '{"a": 1}')], True),
        ("operator @>(jsonb,jsonb)", [(JSONB, "[1, 2, 3]"), (JSONB, "3")], True),
        ("operator @>(jsonb,jsonb)", [(JSONB, '{"a": [{"b": 1}]}'), (JSONB, '{"a": [{}]}')], True),
        ("operator ?(jsonb,text)", [(JSONB, '{"a": 1}'), (TEXT, "a")], True),
        ("operator ||(jsonb,jsonb)", [(JSONB, '{"a": 1}'), (JSONB, '{"b": 2}')], '{"a": 1, "b": 2}'),
        ("operator ||(jsonb,jsonb)", [(JSONB, '["a"]'), (JSONB, '"b"')], '["a", "b"]'),
        ("operator -(jsonb,text)", [(JSONB, '{"a": 1}'), (TEXT, "a")], "{}"),
        ("operator =(jsonb,jsonb)", [(JSONB, '{"a": 1}'), (JSONB, '{"a": 1.0}')], True),
        (
            "jsonb_set(jsonb,_text,jsonb,bool)",
            [(JSONB, '{"a": 1}'), (TEXTS, ["b"]), (JSONB, "2")],
            '{"a": 1, "b": 2}',
        ),
        ("json_array_length(json)", [(JSON, "[1,2]")], 2),
        ("jsonb_strip_nulls(jsonb)", [(JSONB, '{"a": null, "b": 1}')], '{"b": 1}'),
        (
            "jsonb_pretty(jsonb)",
            [(JSONB, '{"a": [1], "b": {}}')],
            '{\n    "a": [\n        1\n    ],\n    "b": {\n    }\n}',
        ),
    ],
)
def test_json(id: str, arguments: list[Any], answer: Any) -> None:
    assert one(id, *arguments) == answer


def test_json_sets_and_errors() -> None:
    assert rows_of("json_each(json)", (JSON, '{"a":1,"b":"x"}')) == [("a", "1"), ("b", '"x"')]
    assert rows_of("json_each_text(json)", (JSON, '{"b":"x","c":null}')) == [("b", "x"), ("c", None)]
    assert rows_of("jsonb_array_elements_text(jsonb)", (JSONB, '[1, "x", null]')) == ["1", "x", None]
    for id, text, words in (
        ("json_array_elements(json)", '{"a":1}', "cannot call json_array_elements on a non-array"),
        ("json_object_keys(json)", "[1]", "cannot call json_object_keys on an array"),
    ):
        with pytest.raises(DatabaseError) as caught:
            rows_of(id, (JSON, text))
        assert caught.value.message == words
    with pytest.raises(DatabaseError, match="cannot get array length of a non-array"):
        one("json_array_length(json)", (JSON, "{}"))


def test_jsonb_text() -> None:
    text = jsonvalue.jsonb(jsonvalue.parse('{"bb":1,"a":2,"a":3, "c":[1.10, 1e3, true, null, "\\u00e9"]}'))
    assert text == '{"a": 3, "c": [1.10, 1000, true, null, "é"], "bb": 1}'


ROWS = np.random.default_rng(3).normal(size=(50, 7)).astype(np.float32)


@pytest.mark.parametrize("name", ["dot_product", "euclidean_distance"])
def test_vectors_go_to_the_reference(name: str) -> None:
    kernel = kernels.dot if name == "dot_product" else kernels.l2
    wanted = kernel(ROWS, ROWS[3]).tolist()
    stored = Column(vector(7), ROWS)
    raw = Column(binary(28), ROWS.view(np.uint8))
    query, raw_query = (VECTOR, ROWS[3]), (BINARY, ROWS[3].tobytes())
    assert apply(f"{name}(vector,vector)", stored, query, rows=50) == wanted
    assert apply(f"{name}(binary,binary)", raw, raw_query, rows=50) == wanted
    assert apply(f"{name}(binary,binary)", raw_query, raw, rows=50) == wanted
    repeated = Column(VECTOR, np.repeat(ROWS[3:4], 50, axis=0))
    assert apply(f"{name}(vector,vector)", stored, repeated, rows=50) == wanted


def test_vectors_that_have_no_answer() -> None:
    rows = np.array([[1, np.nan], [np.inf, 1], [1, 1]], np.float32)
    column = Column(vector(2), rows, np.array([True, True, True]))
    assert apply("dot_product(vector,vector)", column, (VECTOR, [1, 2]), rows=3) == [None, None, 3.0]
    nulls = Column(vector(2), rows, np.array([True, False, True]))
    assert apply("operator <->(vector,vector)", nulls, (VECTOR, [1, 1]), rows=3) == [None, None, 0.0]
    with pytest.raises(DatabaseError) as caught:
        apply("dot_product(vector,vector)", column, (VECTOR, [1, 2, 3]), rows=3)
    assert caught.value.message == "different vector dimensions 2 and 3"


def test_pgvectors_operators() -> None:
    left, right = (VECTOR, [1, 2]), (VECTOR, [3, 4])
    assert one("operator <#>(vector,vector)", left, right) == -11
    assert one("operator <+>(vector,vector)", left, right) == 4
    assert one("operator <=>(vector,vector)", left, right) == pytest.approx(1 - 11 / math.sqrt(5 * 25))
    assert list(one("operator +(vector,vector)", left, right)) == [4, 6]
    assert one("vector_dims(vector)", left) == 2
    assert one("l2_norm(vector)", right) == 5


def test_packing() -> None:
    packed = one("json_array_pack(text)", (TEXT, "[1.0,0.5,2.0]"))
    assert packed.hex() == "0000803f0000003f00000040"
    assert one("json_array_unpack(bytea)", (BYTEA, packed)) == "[1,0.5,2]"
    assert one("json_array_pack_i16(text)", (TEXT, "[1,-2]")).hex() == "0100feff"
    assert one("dot_product_i8(binary,binary)", (BINARY, b"\x01\x02"), (BINARY, b"\x03\xff")) == 1
    with pytest.raises(DatabaseError, match="invalid input syntax for a vector"):
        one("json_array_pack(text)", (TEXT, "[1,"))
    with pytest.raises(DatabaseError, match="is not a multiple of 4"):
        one("json_array_unpack(bytea)", (BYTEA, b"123"))
