"""psycopg 3: libpq's text and binary protocol, pipelines, named cursors, COPY, SCRAM, TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types import TypeInfo
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from tests.clients.conftest import PASSWORD, Reached

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def connection(reached: Reached) -> Iterator[Connection]:
    with psycopg.connect(reached.url(), autocommit=True) as connection:
        yield connection


def test_what_the_driver_learns_when_it_connects(connection: Connection) -> None:
    info = connection.info
    assert info.server_version == 150000
    assert info.encoding == "utf-8"
    for name, value in (
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("is_superuser", "on"),
        ("session_authorization", "glancedb"),
        ("default_transaction_read_only", "off"),
        ("in_hot_standby", "off"),
        ("IntervalStyle", "postgres"),
        ("application_name", ""),
    ):
        assert info.parameter_status(name) == value, name
    assert (info.parameter_status("DateStyle") or "").startswith("ISO")
    assert info.parameter_status("TimeZone")
    assert info.backend_pid == connection.execute("select pg_backend_pid()").fetchone()[0]  # type: ignore


VALUES = [
    ("int2", -7),
    ("int4", 2**31 - 1),
    ("int8", -(2**63)),
    ("float8", 1.5),
    ("float4", -0.25),
    ("bool", True),
    ("text", "gräßlich 'n' \\ so"),
    ("varchar(5)", "abc"),
    ("bytea", b"\x00\xff'\\"),
    ("numeric", Decimal("1.10")),
    ("numeric", Decimal("-12345678901234567890.000000001")),
    ("date", date(2026, 11, 23)),
    ("time", time(12, 34, 56, 789)),
    ("timetz", time(12, 34, 56, 789, timezone(timedelta(hours=-3, minutes=-30)))),
    ("timetz[]", [time(0, 0, tzinfo=UTC), None]),
    ("timestamp", datetime(1969, 12, 31, 23, 59, 59, 999999)),
    ("timestamptz", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
    ("interval", timedelta(days=3, seconds=5, microseconds=7)),
    ("uuid", UUID("12345678-1234-5678-1234-567812345678")),
    ("int4[]", [1, None, 3]),
    ("text[]", ["a", 'b"c', "", None, "NULL"]),
    ("float8[]", [1.0, 2.5]),
    ("int4range", Range(1, 5)),
    ("numrange", Range(Decimal("1.50"), None, "()")),
    ("daterange", Range(empty=True)),
    ("tsrange", Range(None, datetime(2026, 11, 23, 17, 0), "(]")),
    ("int8multirange", Multirange([Range(1, 5), Range(7, 9)])),
    ("int4[]", [[1, None], [3, 4]]),
    ("text[]", [[["a"], ["b"]], [["c"], [None]]]),
]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize(("type", "value"), VALUES, ids=[f"{n}-{t}" for n, (t, _) in enumerate(VALUES)])
def test_values_there_and_back(connection: Connection, type: str, value: object, binary: bool) -> None:
    with connection.cursor(binary=binary) as cursor:
        placeholder = "%b" if binary else "%t"
        found = cursor.execute(f"select {placeholder}::{type}, null::{type}", (value,)).fetchone()
        assert found == (value, None)


def test_it_works_beyond_the_threshold_of_preparing(connection: Connection) -> None:
    for number in range(10):
        assert connection.execute("select %s::int8 + 1", (number,)).fetchone() == (number + 1,)


def test_statuses(connection: Connection) -> None:
    connection.autocommit = False
    assert connection.info.transaction_status == TransactionStatus.IDLE
    connection.execute("select 1")
    assert connection.info.transaction_status == TransactionStatus.INTRANS
    with pytest.raises(errors.DivisionByZero):
        connection.execute("select 1/0")
    assert connection.info.transaction_status == TransactionStatus.INERROR
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("select 1")
    connection.rollback()
    assert connection.info.transaction_status == TransactionStatus.IDLE


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("select * from nowhere", errors.UndefinedTable),
        ("select nothing", errors.UndefinedColumn),
        ("select nothing(1)", errors.UndefinedFunction),
        ("select 'x'::int4", errors.InvalidTextRepresentation),
        ("select from where", errors.SyntaxError),
        ("select 1/0", errors.DivisionByZero),
    ],
)
def test_errors_by_sqlstate(connection: Connection, statement: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        connection.execute(statement)
    with pytest.raises(error):
        connection.execute(statement, prepare=True)
    assert connection.execute("select 1").fetchone() == (1,)


def test_several_statements_in_one_query(connection: Connection) -> None:
    cursor = connection.execute("select 1; select 2, 'b'; set application_name = 'me'")
    found = []
    while True:
        found.append((cursor.statusmessage, cursor.fetchall() if cursor.description else None))
        if not cursor.nextset():
            break
    assert found == [("SELECT 1", [(1,)]), ("SELECT 1", [(2, "b")]), ("SET", None)]
    assert connection.info.parameter_status("application_name") == "me"


@pytest.mark.parametrize("text", ["", ";", ";;", "/* ping */", "-- nothing\n"])
def test_empty_queries(connection: Connection, text: str) -> None:
    assert connection.execute(text).statusmessage is None
    assert connection.execute("select 1").fetchone() == (1,)


def test_a_pipeline(connection: Connection) -> None:
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("select %s::int4", (n,)) for n in range(20)]
        pipeline.sync()
        failing = connection.execute("select %s::int4 / 0", (1,))
        after = connection.execute("select 1")
        with pytest.raises(errors.DivisionByZero):
            failing.fetchone()
        with pytest.raises(psycopg.ProgrammingError, match="no result available"):
            after.fetchone()
    assert [c.fetchone() for c in cursors] == [(n,) for n in range(20)]
    assert connection.execute("select 2").fetchone() == (2,)


@pytest.mark.parametrize("binary", [False, True])
def test_a_named_cursor(connection: Connection, binary: bool) -> None:
    with connection.transaction(), connection.cursor("c", binary=binary) as cursor:
        cursor.itersize = 7
        cursor.execute("select n from generate_series(1, 50) as g(n)")
        assert [row[0] for row in cursor] == list(range(1, 51))


def test_a_query_in_a_command_has_parameters(connection: Connection) -> None:
    text = "select n, %s::text as said from generate_series(1, 9) as g(n) where n > %s"
    with connection.transaction(), connection.cursor("c") as cursor:
        cursor.execute(text, ("a", 7))
        assert cursor.fetchall() == [(8, "a"), (9, "a")]
    plan = connection.execute(f"explain (costs off) {text}", ("a", 7)).fetchall()
    assert any("Function Scan" in line for (line,) in plan)
    analysed = connection.execute(f"explain analyze {text}", ("a", 7)).fetchall()
    assert any("rows=2" in line for (line,) in analysed)
    connection.execute(f"create temp table made as {text}", ("b", 8))
    assert connection.execute("select * from made").fetchall() == [(9, "b")]
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        connection.execute("explain select nosuch, %s::int", (1,))
    assert caught.value.diag.statement_position == "16"


def test_a_cursor_with_hold(connection: Connection) -> None:
    with connection.cursor("h", withhold=True) as cursor:
        with connection.transaction():
            cursor.execute("select n from generate_series(1, 5) as g(n)")
            assert cursor.fetchmany(2) == [(1,), (2,)]
        assert cursor.fetchall() == [(3,), (4,), (5,)]


def table(connection: Connection) -> None:
    connection.execute("drop table if exists copied")
    connection.execute("create table copied (a int8, b text, c timestamp)")


ROWS = [(1, "one", datetime(2026, 1, 2, 3, 4, 5)), (2, None, None), (3, "tab\tand\nbreak\\", None)]


@pytest.mark.parametrize("format", ["text", "binary"])
def test_copy_in_and_out_by_rows(connection: Connection, format: str) -> None:
    table(connection)
    types = ["int8", "text", "timestamp"]
    with connection.cursor() as cursor:
        with cursor.copy(f"copy copied from stdin (format {format})") as copy:
            if format == "binary":
                copy.set_types(types)
            for row in ROWS:
                copy.write_row(row)
        assert cursor.rowcount == 3
        with cursor.copy(f"copy (select * from copied order by a) to stdout (format {format})") as copy:
            copy.set_types(types)
            assert list(copy.rows()) == ROWS


def test_copy_csv(connection: Connection) -> None:
    table(connection)
    with connection.cursor() as cursor:
        with cursor.copy("copy copied from stdin with csv header") as copy:
            for piece in ('a,b,c\n1,"x', ',""y"""', ",2026-01-01\n2,,\n"):
                copy.write(piece)
        with cursor.copy("copy copied to stdout (format csv)") as copy:
            assert b"".join(bytes(data) for data in copy) == b'1,"x,""y""",2026-01-01 00:00:00\n2,,\n'


def test_a_copy_that_the_client_gives_up(connection: Connection) -> None:
    table(connection)
    with (
        pytest.raises(ZeroDivisionError),
        connection.cursor() as cursor,
        cursor.copy("copy copied from stdin") as copy,
    ):
        copy.write("1\tone\t\\N\n")
        raise ZeroDivisionError
    assert connection.execute("select count(*) from copied").fetchone() == (0,)


def test_a_copy_of_bad_data(connection: Connection) -> None:
    table(connection)
    with (
        pytest.raises(errors.InvalidTextRepresentation) as caught,
        connection.cursor() as cursor,
        cursor.copy("copy copied from stdin") as copy,
    ):
        for _ in range(1000):
            copy.write("1\tone\t\\N\n")
        copy.write("x\tone\t\\N\n")
    assert caught.value.diag.context == 'COPY copied, line 1001, column a: "x"'
    assert connection.execute("select count(*) from copied").fetchone() == (0,)


def test_cancel(connection: Connection) -> None:
    timer = threading.Timer(0.2, connection.cancel)
    timer.start()
    with pytest.raises(errors.QueryCanceled):
        connection.execute("select pg_sleep(30)")
    timer.join()
    assert connection.execute("select 1").fetchone() == (1,)


def test_statement_timeout_by_options(reached: Reached) -> None:
    with psycopg.connect(reached.url(), options="-c statement_timeout=50") as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("50ms",)
        with pytest.raises(errors.QueryCanceled, match="statement timeout"):
            connection.execute("select pg_sleep(30)")


def test_others_see_who_works(connection: Connection, reached: Reached) -> None:
    state = "select state from pg_stat_activity where pid = %s"
    with psycopg.connect(reached.url()) as other:
        pid = other.info.backend_pid
        assert connection.execute(state, (pid,)).fetchone() == ("idle",)
        sleeping = threading.Thread(target=lambda: _canceled(other))
        sleeping.start()
        while connection.execute(state, (pid,)).fetchone() != ("active",):
            pass
        while connection.execute(state, (pid,)).fetchone() == ("active",):
            connection.execute("select pg_cancel_backend(%s)", (pid,))
        sleeping.join(30)
        assert connection.execute(state, (pid,)).fetchone() == ("idle in transaction (aborted)",)


def _canceled(connection: Connection) -> None:
    with pytest.raises(errors.QueryCanceled):
        connection.execute("select pg_sleep(30)")


def test_a_role_that_is_no_superuser(connection: Connection, reached: Reached) -> None:
    connection.execute(
        "create role plain login; create table kept (a int primary key); insert into kept values (1)"
    )
    me = connection.info.backend_pid
    with psycopg.connect(reached.url("plain"), autocommit=True, prepare_threshold=0) as other:
        for _ in range(3):
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table kept"):
                other.execute("select a from kept where a = %s", (1,))
        connection.execute("grant select on kept to plain")
        for _ in range(3):
            assert other.execute("select a from kept where a = %s", (1,)).fetchone() == (1,)
        connection.execute("revoke select on kept from plain")
        with pytest.raises(errors.InsufficientPrivilege):
            other.execute("select a from kept where a = %s", (1,))
        with pytest.raises(errors.InsufficientPrivilege, match="must be a superuser to terminate"):
            other.execute("select pg_terminate_backend(%s)", (me,))
        told = other.execute("select query from pg_stat_activity where pid = %s", (me,)).fetchone()
        assert told == ("<insufficient privilege>",)
        with pytest.raises(errors.InsufficientPrivilege):
            other.execute("set role glancedb")
    with pytest.raises(psycopg.OperationalError, match="permission denied to set role"):
        psycopg.connect(reached.url("plain"), options="-c role=glancedb")
    with psycopg.connect(reached.url("plain"), options="-c session_authorization=glancedb") as other:
        assert other.execute("select current_user::text").fetchone() == ("plain",)
    connection.execute("revoke connect on database glancedb from public")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(reached.url("plain"))
    connection.execute("grant connect on database glancedb to public; drop table kept; drop role plain")


def test_terminating_a_backend(connection: Connection, reached: Reached) -> None:
    with psycopg.connect(reached.url(), autocommit=True) as other:
        connection.execute("select pg_terminate_backend(%s)", (other.info.backend_pid,))
        with pytest.raises((errors.AdminShutdown, psycopg.OperationalError)):
            other.execute("select pg_sleep(30)")


def test_notices(connection: Connection) -> None:
    seen: list[tuple[str | None, ...]] = []
    connection.add_notice_handler(lambda n: seen.append((n.severity, n.sqlstate, n.message_primary)))
    connection.execute("drop table if exists nowhere")
    assert seen == [("NOTICE", "00000", 'table "nowhere" does not exist, skipping')]


def test_type_info(connection: Connection) -> None:
    info = TypeInfo.fetch(connection, "vector")
    assert info is not None
    assert (info.name, info.array_oid > 0) == ("vector", True)


@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
def test_scram(reached: Reached, binding: str) -> None:
    with psycopg.connect(
        reached.url("ann"), password=PASSWORD, sslmode="verify-full", host="localhost",
        hostaddr="127.0.0.1", sslrootcert=reached.authority, channel_binding=binding,
    ) as connection:  # fmt: skip
        assert connection.execute("select current_user").fetchone() == ("ann",)
        assert connection.pgconn.ssl_in_use


def test_scram_without_tls(reached: Reached) -> None:
    with psycopg.connect(reached.url("ann"), password=PASSWORD, sslmode="disable") as connection:
        assert not connection.pgconn.ssl_in_use


def test_a_wrong_password(reached: Reached) -> None:
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "ann"'):
        psycopg.connect(reached.url("ann"), password="wrong")


def test_no_password(reached: Reached) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(reached.url("ann"))


def test_a_large_result(connection: Connection) -> None:
    cursor = connection.execute("select n, 'row ' || n from generate_series(1, 200000) as g(n)")
    rows = cursor.fetchall()
    assert len(rows) == 200_000
    assert rows[-1] == (200_000, "row 200000")


class Mood(Enum):
    """An enum of Python's that stands for one of the database."""

    SAD = "sad"
    HAPPY = "happy"


def test_enums(connection: Connection) -> None:
    connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    found = EnumInfo.fetch(connection, "mood")
    assert found is not None
    assert found.labels == ["sad", "happy"]
    register_enum(found, connection, Mood, mapping={mood: mood.value for mood in Mood})
    connection.execute("CREATE TABLE moods (m mood, ms mood[])")
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        form = "%b" if binary else "%t"
        query = f"INSERT INTO moods VALUES ({form}, {form}) RETURNING m, ms, m > 'sad'"
        cursor.execute(query, [Mood.HAPPY, [Mood.SAD, Mood.HAPPY]])
        assert cursor.fetchone() == (Mood.HAPPY, [Mood.SAD, Mood.HAPPY], True)
    for options in ("", " (FORMAT binary)"):
        with connection.cursor().copy(f"COPY moods TO STDOUT{options}") as out:
            data = b"".join(bytes(part) for part in out)
        with connection.cursor().copy(f"COPY moods FROM STDIN{options}") as copy:
            copy.write(data)
    assert connection.execute("SELECT count(*), min(m) FROM moods").fetchone() == (8, Mood.HAPPY)
    connection.execute("DROP TABLE moods; DROP TYPE mood")
