"""Functions about the session, the catalog and privileges."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from engine.functions.privileges import pretty_size
from engine.functions.registry import FUNCTIONS, OPERATORS
from storage.errors import DatabaseError, QueryCanceled
from storage.types import ACLITEM as ACL
from storage.types import (
    BOOL,
    CHAR,
    FLOAT8,
    INT4,
    NAME,
    OID,
    OIDVECTOR,
    TEXT,
    array_of,
)
from tests.engine.calls import one, rows_of, run_with


def test_session() -> None:
    assert one("current_user()") == "ada"
    assert one("current_database()") == "db"
    assert one("current_schema()") == "public"
    assert one("current_schemas(bool)", (BOOL, True)) == ["pg_catalog", "public"]
    assert one("version()").startswith("PostgreSQL 15.0 (GlanceDB ")
    run = run_with()
    assert (
        one("set_config(text,text,bool)", (TEXT, "work_mem"), (TEXT, "4MB"), (BOOL, False), run=run) == "4MB"
    )
    assert one("current_setting(text)", (TEXT, "work_mem"), run=run) == "4MB"
    assert one("current_setting(text,bool)", (TEXT, "nope"), (BOOL, True)) is None
    with pytest.raises(DatabaseError, match='unrecognized configuration parameter "nope"'):
        one("current_setting(text)", (TEXT, "nope"))


@pytest.mark.parametrize(
    ("oid", "modifier", "answer"),
    [
        (23, -1, "integer"),
        (1043, 14, "character varying(10)"),
        (999_999, -1, "???"),
        (None, 1, None),
        (0, -1, "-"),
        (1042, 5, "character(1)"),
        (1042, -1, "bpchar"),
        (1042, None, "character"),
        (1700, 655_366, "numeric(10,2)"),
        (18, -1, '"char"'),
        (1009, -1, "text[]"),
    ],
)
def test_format_type(oid: int | None, modifier: int | None, answer: str | None) -> None:
    assert one("format_type(oid,int4)", (OID, oid), (INT4, modifier)) == answer


def test_visibility_goes_by_the_printed_name() -> None:
    assert one("pg_table_is_visible(oid)", (OID, 16384)) is True
    assert one("pg_table_is_visible(oid)", (OID, 16385)) is False
    assert one("pg_table_is_visible(oid)", (OID, 99_999)) is None


def test_functions_know_themselves() -> None:
    format_type = FUNCTIONS["format_type"][0].oid
    assert one("pg_get_function_arguments(oid)", (OID, format_type)) == "oid, integer"
    assert one("pg_get_function_result(oid)", (OID, format_type)) == "text"
    series = next(o for o in FUNCTIONS["generate_series"] if o.id == "generate_series(int4,int4)")
    assert one("pg_get_function_result(oid)", (OID, series.oid)) == "SETOF integer"
    assert one("oidvectortypes(oidvector)", (OIDVECTOR, [23, 25])) == "integer, text"


def test_every_overload_has_its_own_oid() -> None:
    overloads = [o for table in (FUNCTIONS, OPERATORS) for many in table.values() for o in many]
    assert len({o.oid for o in overloads}) == len(overloads)
    assert all(o.oid < 15_000 for o in overloads)


@pytest.mark.parametrize(
    ("size", "answer"),
    [
        (0, "0 bytes"),
        (10_239, "10239 bytes"),
        (10_240, "10 kB"),
        (123_456_789, "118 MB"),
        (-123_456_789, "-118 MB"),
        (12_345_678_901_234, "11 TB"),
        (500_000_000_000_000_000, "444 PB"),
        (10**20, "88818 PB"),
    ],
)
def test_sizes(size: int, answer: str) -> None:
    assert pretty_size(size) == answer


def _words(id: str, *arguments: Any) -> str:
    with pytest.raises(DatabaseError) as caught:
        one(id, *arguments)
    return caught.value.message


def test_privileges() -> None:
    assert one("has_table_privilege(oid,text)", (OID, 16384), (TEXT, "select, INSERT")) is True
    assert one("has_table_privilege(oid,text)", (OID, 99_999), (TEXT, "select")) is None
    wrong = _words("has_table_privilege(oid,text)", (OID, 16384), (TEXT, "selectx"))
    assert wrong == 'unrecognized privilege type: "selectx"'
    nobody = _words("has_table_privilege(name,oid,text)", (NAME, "nobody"), (OID, 16384), (TEXT, "select"))
    assert nobody == 'role "nobody" does not exist'
    items = one("acldefault(char,oid)", (CHAR, ord("r")), (OID, 10))
    assert items == ["glancedb=arwdDxt/glancedb"]
    rows = rows_of("aclexplode(_aclitem)", (array_of(ACL), items))
    assert (10, 10, "SELECT", False) in rows


def test_sleep_wakes_on_cancel() -> None:
    run = run_with()
    timer = threading.Timer(0.05, run.cancel.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(QueryCanceled):
        one("pg_sleep(float8)", (FLOAT8, 60.0), run=run)
    assert time.monotonic() - began < 10
    timer.join()
