"""Type names as PostgreSQL and MySQL spell them."""

from __future__ import annotations

import pytest

from sql.typenames import type_of
from storage.errors import DatabaseError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("int", "integer"),
        ("INT4", "integer"),
        ("bigint(11)", "bigint"),
        ("tinyint", "smallint"),
        ("double", "double precision"),
        ("double precision", "double precision"),
        ("float(10)", "real"),
        ("character varying(10)", "character varying(10)"),
        ("varchar", "character varying"),
        ("char", "character(1)"),
        ('"char"', '"char"'),
        ('pg_catalog."char"', '"char"'),
        ("pg_catalog.int8", "bigint"),
        ("numeric(10,2)", "numeric(10,2)"),
        ("decimal(5)", "numeric(5,0)"),
        ("timestamp", "timestamp without time zone"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("timestamptz", "timestamp with time zone"),
        ("datetime", "timestamp without time zone"),
        ("oid[]", "oid[]"),
        ("text array", "text[]"),
        ("int[3][]", "integer[]"),
        ("regclass", "regclass"),
        ("binary(4096)", "binary(4096)"),
        ("vector(4, F32)", "vector(4)"),
        ("vector(4, f16)", "halfvec(4)"),
        ("vector(4, I8)", "vector(4,I8)"),
        ("bit", "bit(1)"),
        ("bit varying(5)", "bit varying(5)"),
        ("sparsevec(1000000)", "sparsevec(1000000)"),
        ("longblob", "bytea"),
        ("interval", "interval"),
    ],
)
def test_spellings(text: str, shown: str) -> None:
    assert str(type_of(text)) == shown


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        ("nosuch", "42704", 'type "nosuch" does not exist'),
        ("nosuch.int4", "42704", 'type "nosuch.int4" does not exist'),
        ("anyelement", "42704", 'type "anyelement" does not exist'),
        ("varchar(0)", "22023", "length for type varchar must be at least 1"),
        ("numeric(2000)", "22023", "NUMERIC precision 2000 must be between 1 and 1000"),
        ("float(99)", "22023", "precision for type float must be less than 54 bits"),
        ("vector(0)", "22023", "dimensions for type vector must be at least 1"),
        ("bit(0)", "22023", "length for type bit must be at least 1"),
        ("vector(4, BF16)", "0A000", "vectors of BF16 are not supported"),
        ("text(3)", "42601", 'type modifier is not allowed for type "text"'),
        ("int x", "42601", 'syntax error at or near "x"'),
        ("", "42601", "syntax error at end of input"),
    ],
)
def test_refusals(text: str, sqlstate: str, message: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        type_of(text)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)
