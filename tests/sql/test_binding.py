"""Parameters, overloads and names: what binding finds out, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from sql.bind import bind_expression, table_scope
from sql.binding import Binding
from sql.binding.literals import number
from sql.context import BindContext, ParameterTypes
from sql.functions import find_operator, resolve_function
from sql.parse import parse_expression
from sql.scope import Frame, Scope
from storage.batch import Batch
from storage.column import Column
from storage.database import Database
from storage.errors import DatabaseError
from storage.types import (
    BYTEA,
    FLOAT8,
    INT4,
    INT8,
    NAME,
    NUMERIC,
    TEXT,
    UNKNOWN,
    VARCHAR,
    Type,
    array_of,
    binary,
    vector,
)
from tests.sql.planning import FEATURES, SESSION, VECTORS, answer, catalog, filled, plan


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("SELECT a FROM t WHERE a = $1 AND b = $2", ["integer", "text"]),
        ("SELECT $1::bigint + $2", ["bigint", "bigint"]),
        ("SELECT a FROM t WHERE a = ANY($1)", ["integer[]"]),
        ("SELECT a FROM t LIMIT $1 OFFSET $2", ["bigint", "bigint"]),
        ("SELECT coalesce($1, 1), CASE WHEN $2 THEN 1 END", ["integer", "boolean"]),
        ("SELECT $1", ["text"]),
        ("SELECT upper($1), $2 || 'x'", ["text", "text"]),
        ("SELECT id FROM vectors ORDER BY v <-> $1", ["vector"]),
        ("SELECT id FROM features WHERE image <*> $1 > $2", ["binary", "double precision"]),
        ("SELECT 1 UNION SELECT $1", ["integer"]),
        ("SELECT a FROM t WHERE (a, b) = ($1, $2)", ["integer", "text"]),
        ("SELECT a FROM t WHERE a IN ($1, $2)", ["integer", "integer"]),
        ("SELECT a FROM t WHERE b LIKE $1 AND d > $2", ["text", "date"]),
    ],
)
def test_parameters_are_found_out(text: str, types: list[str]) -> None:
    assert [str(t) for t in plan(text).parameters] == types


def test_a_parameter_that_nothing_tells() -> None:
    with pytest.raises(DatabaseError) as caught:
        plan("SELECT 1 WHERE $1 IS NULL AND $3 = 1")
    assert (caught.value.sqlstate, caught.value.message) == (
        "42P18",
        "could not determine data type of parameter $1",
    )


def test_no_parameters_in_the_simple_protocol() -> None:
    context = BindContext(catalog(), ("public",), SESSION, ParameterTypes(fixed=True))
    with pytest.raises(DatabaseError) as caught:
        bind_expression(parse_expression("$1 + 1"), Scope(Frame()), context)
    assert (caught.value.sqlstate, caught.value.message) == ("42P02", "there is no parameter $1")


@pytest.mark.parametrize(
    ("name", "arguments", "chosen"),
    [
        ("length", [VARCHAR], "length(text)"),
        ("length", [UNKNOWN], "length(text)"),
        ("abs", [INT4], "abs(int4)"),
        ("sqrt", [INT4], "sqrt(float8)"),
        ("mod", [INT4, INT8], "mod(int8,int8)"),
        ("lower", [NAME], "lower(text)"),
        ("generate_series", [INT4, INT8], "generate_series(int8,int8)"),
        ("array_length", [array_of(TEXT), INT4], "array_length(anyarray,int4)"),
        ("concat", [INT4, TEXT, UNKNOWN], "concat(any)"),
    ],
)
def test_functions(name: str, arguments: list[Type], chosen: str) -> None:
    assert resolve_function(name, arguments, 0).id == chosen


@pytest.mark.parametrize(
    ("symbol", "arguments", "chosen"),
    [
        ("=", [INT4, INT8], "operator =(int4,int8)"),
        ("=", [INT4, UNKNOWN], "operator =(int4,int4)"),
        ("=", [VARCHAR, UNKNOWN], "operator =(text,text)"),
        ("=", [NAME, TEXT], "operator =(name,text)"),
        ("=", [INT4, NUMERIC], "operator =(numeric,numeric)"),
        ("+", [UNKNOWN, INT4], "operator +(int4,int4)"),
        ("||", [TEXT, INT4], "operator ||(text,anynonarray)"),
        ("||", [array_of(INT4), INT4], "operator ||(anycompatiblearray,anycompatible)"),
        ("=", [array_of(INT4), UNKNOWN], "operator =(anyarray,anyarray)"),
        ("~", [NAME, UNKNOWN], "operator ~(name,text)"),
        ("-", [NUMERIC], "operator -(numeric)"),
    ],
)
def test_operators(symbol: str, arguments: list[Type], chosen: str) -> None:
    found = find_operator(symbol, arguments)
    assert found is not None
    assert found.id == chosen


@pytest.mark.parametrize(
    ("text", "type"),
    [("1", "int4"), ("2147483648", "int8"), ("-2147483648", "int4"), ("9223372036854775808", "numeric"),
     ("1.10", "numeric"), ("1e3", "numeric")],
)  # fmt: skip
def test_numbers_have_the_smallest_type(text: str, type: str) -> None:
    binding = Binding(BindContext(catalog(), (), SESSION), Scope(Frame()))
    assert number(binding, text).type.name == type


def test_expressions_of_other_statements() -> None:
    table = next(t for t in catalog().tables() if t.name == "t")
    context = BindContext(catalog(), ("public",), SESSION)
    scope = table_scope(table)
    assert bind_expression(parse_expression("a + 1"), scope, context, "DEFAULT expressions").type == INT4
    with pytest.raises(DatabaseError) as caught:
        Binding(context, scope, "WHERE").condition(parse_expression("a"), "WHERE")
    assert caught.value.message == "argument of WHERE must be type boolean, not type integer"


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        (
            "SELECT (SELECT grouping(t.a)) FROM t GROUP BY a",
            "0A000",
            "GROUPING of an outer query's keys inside a subquery is not supported",
        ),
        ("SELECT B'02'", "22P02", '"2" is not a valid binary digit'),
        ("SELECT 0x3f8", "22P02", "invalid hexadecimal data: odd number of digits"),
        (
            "SELECT a FROM t WHERE x.y.z.a = 1",
            "0A000",
            "cross-database references are not implemented: x.y.z.a",
        ),
    ],
)
def test_what_is_not_there_says_so(text: str, sqlstate: str, message: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        plan(text)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)


def test_an_alias_in_where_stands_behind_columns() -> None:
    database = filled()
    names, _, rows = answer(database, "SELECT a + 10 AS score FROM t WHERE score > 13 ORDER BY 1")
    assert (names, rows) == (["score"], [("14",), ("15",)])
    # a column of that name comes first
    assert answer(database, "SELECT a * 0 AS a FROM t WHERE a = 5")[2] == [("0",)]
    database.close()


def test_long_chains() -> None:
    plan("SELECT a FROM t WHERE " + " OR ".join(f"a = {i}" for i in range(2_000)))
    plan("SELECT a FROM t WHERE a IN (" + ", ".join(str(i) for i in range(5_000)) + ")")
    with pytest.raises(DatabaseError) as caught:
        plan("SELECT 1" + " + 1" * 20_000)
    assert caught.value.sqlstate == "54001"


def test_parameters_in_a_run() -> None:
    database = filled()
    given = [Column.scalar(INT4, 4), Column.scalar(TEXT, "x")]
    assert answer(database, "SELECT a, v FROM t WHERE a = $1 AND b = $2", given)[2] == [("4", "0")]
    database.close()


def _vectors() -> Database:
    database = filled()
    rows = np.eye(4, dtype=np.float32)
    transaction = database.begin()
    ids = Column.of(INT8, [1, 2, 3, 4])
    packed = Column(binary(16), rows.view(np.uint8).reshape(4, 16).copy())
    transaction.insert(FEATURES.oid, Batch.of(ids, packed, Column.of(TEXT, list("abcd"))))
    transaction.insert(VECTORS.oid, Batch.of(ids, Column(vector(4), rows)))
    transaction.commit()
    return database


_SECOND = np.eye(4, dtype=np.float32)[1].tobytes()


@pytest.mark.parametrize(
    "query",
    [f"0x{_SECOND.hex()}", f"X'{_SECOND.hex()}'", "'[0,1,0,0]'", "array[0,1,0,0]::float8[]",
     "array[0,1,0,0]::float4[]", "JSON_ARRAY_PACK('[0,1,0,0]')", "'[0,1,0,0]'::vector(4)",
     "'[0,1,0,0]' :> vector(4)", "'[0,1,0,0]'::text"],
)  # fmt: skip
def test_a_query_vector_in_every_spelling(query: str) -> None:
    database = _vectors()
    for table, column in (("features", "image"), ("vectors", "v")):
        if table == "vectors" and query.startswith(("0x", "X'", "JSON")):
            continue
        text = f"SELECT id FROM {table} WHERE DOT_PRODUCT({column}, {query}) > 0.9"
        assert answer(database, text)[2] == [("2",)]
        text = f"SELECT id, {column} <*> {query} AS score FROM {table} WHERE score > 0.9"
        assert answer(database, text)[2] == [("2", "1")]
        text = f"SELECT id FROM {table} ORDER BY {column} <-> {query} LIMIT 1"
        assert answer(database, text)[2] == [("2",)]
    database.close()


@pytest.mark.parametrize(
    "given",
    [Column.scalar(BYTEA, _SECOND), Column.scalar(array_of(FLOAT8), [0.0, 1.0, 0.0, 0.0]),
     Column.scalar(TEXT, "[0,1,0,0]")],
    ids=["bytes", "array", "text"],
)  # fmt: skip
def test_a_query_vector_as_a_parameter(given: Column) -> None:
    database = _vectors()
    text = "SELECT id FROM features WHERE DOT_PRODUCT(image, $1) > 0.9"
    assert answer(database, text, [given])[2] == [("2",)]
    database.close()
