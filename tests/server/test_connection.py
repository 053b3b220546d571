"""The protocol without sockets: what each message answers, errors, portals, COPY, statuses."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.connection import Connection
from server.messages import (
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Query,
    Sync,
    Terminate,
)
from server.responses import row_description
from sql.outcome import Field
from storage.errors import AdminShutdown
from storage.types import BYTEA, FLOAT8, INT4, INT8, TEXT, TIMESTAMP, binary
from tests.server.fakes import FakeSession, text
from tests.server.test_messages import written
from tests.server.wire import Said, error, row, send, split, tags


def begun() -> Connection:
    """A connection that has greeted its client."""
    connection = Connection(FakeSession(), b"\1\2\3\4")
    connection.start()
    return connection


def fake(connection: Connection) -> FakeSession:
    assert isinstance(connection.session, FakeSession)
    return connection.session


def prepared(connection: Connection, body: str, *, name: str = "", types: tuple[int, ...] = ()) -> None:
    assert tags(send(connection, Parse(name, body, types))) == "1"


def rows_of(said: Said) -> list[list[bytes | None]]:
    return [row(body) for tag, body in said if tag == "D"]


def test_the_greeting_tells_what_drivers_ask_for() -> None:
    connection = Connection(FakeSession(), b"\1\2\3\4")
    said = split(connection.start())
    assert tags(said).rstrip("Z").rstrip("K").strip("S") == ""
    assert said[-1] == ("Z", b"I")
    pid = struct.pack(">i", connection.session.backend_pid)
    assert said[-2] == ("K", pid + b"\1\2\3\4")
    told = dict(body.decode().split("\0")[:2] for tag, body in said if tag == "S")
    assert told["server_encoding"] == told["client_encoding"] == "UTF8"
    assert told["integer_datetimes"] == told["standard_conforming_strings"] == "on"


def test_a_query_of_rows() -> None:
    said = send(begun(), Query("rows 3"))
    assert tags(said) == "TDDDCZ"
    assert rows_of(said) == [[b"0", b"text 0"], [b"1", b"text 1"], [b"2", b"text 2"]]
    assert said[-2] == ("C", b"SELECT 3\0")
    # name, table, number, type, size, modifier, format of each column
    assert said[0][1] == (
        struct.pack(">H", 2)
        + b"n\0"
        + struct.pack(">IhIhih", 0, 0, INT8.oid, 8, -1, 0)
        + b"t\0"
        + struct.pack(">IhIhih", 0, 0, TEXT.oid, -1, -1, 0)
    )


def test_several_statements_and_one_ready_for_query() -> None:
    assert tags(send(begun(), Query("rows 1; do INSERT 0 1; rows 0"))) == "TDCCTCZ"


@pytest.mark.parametrize("body", ["", ";;", "  ; "])
def test_an_empty_query(body: str) -> None:
    assert tags(send(begun(), Query(body))) == "IZ"


def test_an_error_ends_the_query_that_it_is_in() -> None:
    connection = begun()
    said = send(connection, Query("rows 1; fail; rows 1"), Query("rows 1"))
    assert tags(said) == "TDCEZTDCZ"
    fields = error(said[3][1])
    assert fields["S"] == fields["V"] == "ERROR"
    assert (fields["C"], fields["M"]) == ("22012", "division by zero")


def test_a_bug_is_an_internal_error_and_the_session_goes_on() -> None:
    connection = begun()
    said = send(connection, Query("bug"), Query("rows 0"))
    assert tags(said) == "EZTCZ"
    assert error(said[0][1])["C"] == "XX000"


def test_status_follows_the_transaction() -> None:
    connection = begun()

    def status(body: str) -> bytes:
        return send(connection, Query(body))[-1][1]

    assert [status(s) for s in ("do X", "begin", "do X", "fail", "rows 1", "rollback")] == [
        b"I", b"T", b"T", b"E", b"E", b"I",
    ]  # fmt: skip
    failed = send(connection, Query("begin"), Query("fail"), Query("rows 1"), Query("commit"))
    assert tags(failed) == "CZEZEZCZ"
    assert error(failed[4][1])["C"] == "25P02"
    assert failed[-2:] == [("C", b"ROLLBACK\0"), ("Z", b"I")]


def test_transaction_commands_and_set_have_no_row_description() -> None:
    for body in ("begin", "commit", "set DateStyle ISO"):
        assert "T" not in tags(send(begun(), Query(body)))


def test_a_series() -> None:
    said = send(
        begun(), Parse("s", "rows 2"), Describe("S", "s"), Bind("", "s"), Describe("P", ""), Execute(""),
        Close("S", "s"), Sync(),
    )  # fmt: skip
    assert tags(said) == "1tT2TDDC3Z"


def test_describe_of_a_statement_without_a_result() -> None:
    said = send(begun(), Parse("", "do X", (INT4.oid,)), Describe("S", ""), Sync())
    assert tags(said) == "1tnZ"
    assert said[1][1] == struct.pack(">HI", 1, INT4.oid)


def test_describing_does_not_execute() -> None:
    connection = begun()
    said = send(connection, Parse("", "begin"), Bind("", ""), Describe("P", ""), Sync())
    assert tags(said) == "12nZ"
    assert said[-1][1] == b"I"


def test_an_error_in_a_series_skips_to_sync() -> None:
    connection = begun()
    said = send(connection, Parse("", "fail to parse"), Bind("", ""), Query("rows 1"), Execute(""), Flush())
    assert tags(said) == "E"
    assert tags(send(connection, Sync(), Query("do X"))) == "ZCZ"
    assert fake(connection).calls.count("sync") == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Bind("", "nowhere"), "26000"),
        (Describe("S", "nowhere"), "26000"),
        (Execute("nowhere"), "34000"),
        (Describe("P", "nowhere"), "34000"),
    ],
)
def test_names_that_are_not_there(message: Bind | Describe | Execute, code: str) -> None:
    connection = begun()
    said = send(connection, message)
    assert error(said[0][1])["C"] == code
    assert tags(send(connection, Sync())) == "Z"


def test_closing_what_is_not_there_is_no_error() -> None:
    assert tags(send(begun(), Close("S", "nowhere"), Close("P", "nowhere"), Sync())) == "33Z"


def test_parameters_in_text_and_binary() -> None:
    types = (INT8.oid, FLOAT8.oid, TEXT.oid, BYTEA.oid)
    values = (b"7", struct.pack(">d", 1.5), None, b"\\x00ff")
    connection = begun()
    prepared(connection, "echo", types=types)
    said = send(connection, Bind("", "", (0, 1, 0, 0), values, (1, 0, 0, 1)), Execute(""), Sync())
    assert rows_of(said) == [[struct.pack(">q", 7), b"1.5", None, b"\0\xff"]]


def test_one_format_for_all() -> None:
    connection = begun()
    prepared(connection, "echo", types=(INT4.oid, TIMESTAMP.oid))
    values = (struct.pack(">i", 3), struct.pack(">q", 86_400_000_000))
    said = send(connection, Bind("", "", (1,), values), Describe("P", ""), Execute(""))
    assert rows_of(said) == [[b"3", b"2000-01-02 00:00:00"]]


@pytest.mark.parametrize(
    ("bind", "code", "said"),
    [
        (
            Bind("", "", (), (b"1",)),
            "08P01",
            'bind message supplies 1 parameters, but prepared statement "" requires 2',
        ),
        (
            Bind("", "", (0, 0, 0), (b"1", b"1")),
            "08P01",
            "bind message has 3 parameter formats but 2 parameters",
        ),
        (
            Bind("", "", (), (b"1", b"1"), (0, 0, 0)),
            "08P01",
            "bind message has 3 result formats but query has 2 columns",
        ),
        (Bind("", "", (7,), (b"1", b"1")), "22023", "unsupported format code: 7"),
        (Bind("", "", (), (b"1", b"1"), (2,)), "22023", "unsupported format code: 2"),
        (Bind("", "", (), (b"x", b"1")), "22P02", 'invalid input syntax for type bigint: "x"'),
        (Bind("", "", (), (b"\xc3(", b"1")), "22021", 'invalid byte sequence for encoding "UTF8": 0xc3 0x28'),
    ],
)  # fmt: skip
def test_binds_that_cannot_be(bind: Bind, code: str, said: str) -> None:
    connection = begun()
    send(connection, Query("begin"))
    prepared(connection, "echo", types=(INT8.oid, INT8.oid))
    answer = send(connection, bind, Execute(""), Sync())
    assert tags(answer) == "EZ"
    fields = error(answer[0][1])
    assert (fields["C"], fields["M"]) == (code, said)
    assert answer[-1][1] == b"E", "the wire's own errors fail the transaction"


def test_the_context_of_a_parameter() -> None:
    connection = begun()
    prepared(connection, "echo", types=(INT8.oid,))
    said = send(connection, Bind("", "", (), (b"x",)), Sync(), Bind("p", "", (1,), (b"x",)))
    assert error(said[0][1])["W"] == "unnamed portal parameter $1 = '...'"
    assert error(said[2][1])["W"] == 'portal "p" parameter $1'


def test_a_limit_suspends_the_portal() -> None:
    connection = begun()
    send(connection, Query("begin"))
    prepared(connection, "rows 10 4")
    said = send(connection, Bind("p", ""), *[Execute("p", 3)] * 4, Sync())
    assert tags(said) == "2" + "DDDs" * 3 + "DC" + "Z"
    assert [int(r[0] or 0) for r in rows_of(said)] == list(range(10))


def test_a_limit_that_is_just_reached_suspends_too() -> None:
    connection = begun()
    send(connection, Query("begin"))
    prepared(connection, "rows 4 4")
    assert tags(send(connection, Bind("p", ""), Execute("p", 4), Execute("p", 4), Sync())) == "2DDDDsCZ"


def test_a_suspended_portal_survives_sync_inside_a_transaction() -> None:
    connection = begun()
    send(connection, Query("begin"))
    prepared(connection, "rows 6 4")
    first = send(connection, Bind("p", "", (), (), (1,)), Execute("p", 2), Sync())
    between = send(connection, Query("rows 1"))
    last = send(connection, Execute("p", 0), Sync())
    assert (tags(first), tags(between), tags(last)) == ("2DDsZ", "TDCZ", "DDDDCZ")
    assert rows_of(last)[0] == [struct.pack(">q", 2), b"text 2"], "its format is kept as well"


def test_portals_end_with_their_transaction() -> None:
    connection = begun()
    send(connection, Query("begin"))
    prepared(connection, "rows 6 4")
    send(connection, Bind("p", ""), Execute("p", 2), Sync(), Query("commit"))
    said = send(connection, Execute("p", 2), Sync())
    assert error(said[0][1])["C"] == "34000"


def test_two_portals_at_once() -> None:
    connection = begun()
    send(connection, Query("begin"))
    prepared(connection, "rows 4 2")
    said = send(
        connection,
        Bind("a", ""),
        Bind("b", ""),
        Execute("a", 1),
        Execute("b", 3),
        Execute("a", 2),
        Execute("b"),
    )
    assert tags(said) == "22DsDDDsDDsDC"
    assert [int(r[0] or 0) for r in rows_of(said)] == [0, 0, 1, 2, 1, 2, 3]


def test_executing_an_empty_statement() -> None:
    assert tags(send(begun(), Parse("", ""), Bind("", ""), Describe("P", ""), Execute(""), Sync())) == "12nIZ"


def test_reported_settings_and_notices() -> None:
    connection = begun()
    said = send(connection, Query("set TimeZone Europe/Berlin; notice mind the gap"), Query("do X"))
    assert tags(said) == "CNCSZCZ"
    assert error(said[1][1]) == {"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "mind the gap"}
    assert said[3] == ("S", b"TimeZone\0Europe/Berlin\0")


def test_the_function_call_protocol_is_refused() -> None:
    said = send(begun(), FunctionCall(b"\0\0\0\1"), Query("do X"))
    assert tags(said) == "EZCZ"
    assert error(said[0][1])["C"] == "0A000"


def test_binary_columns_are_told_as_bytea() -> None:
    body = row_description([Field("image", binary(4096), 16_385, 2)], [1])[5:]
    assert body == struct.pack(">H", 1) + b"image\0" + struct.pack(">IhIhih", 16_385, 2, BYTEA.oid, -1, -1, 1)


def test_terminate() -> None:
    connection = begun()
    assert send(connection, Terminate()) == []
    assert connection.closed


def test_an_end_from_outside_replaces_the_answer() -> None:
    connection = begun()
    send(connection, Query("begin"))
    connection.ending = AdminShutdown("terminating connection due to administrator command")
    said = split(connection.farewell())
    assert error(said[0][1])["C"] == "57P01"
    assert error(said[0][1])["S"] == "FATAL"
    assert connection.closed


# COPY


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("text", b"1\tone\n2\t\\N\n"),
        ("csv", b'1,"one"\n2,\n'),
        (
            "binary",
            b"PGCOPY\n\xff\r\n\0" + bytes(8)
            + struct.pack(">hiqi", 2, 8, 1, 3) + b"one" + struct.pack(">hiqi", 2, 8, 2, -1) + b"\xff\xff",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_copy_in(format: str, data: bytes, cut: int) -> None:
    connection = begun()
    said = send(connection, Query(f"copy in {format}; do X"))
    code = int(format == "binary")
    assert said == [("G", struct.pack(">BHHH", code, 2, code, code))]
    assert connection.copying
    pieces = [CopyData(data[at : at + cut]) for at in range(0, len(data), cut)]
    assert tags(send(connection, *pieces, CopyDone())) == "CCZ", "the rest of the Query goes on"
    taken = fake(connection).taken
    assert [value for batch in taken for value in text(batch.columns[1])] == ["one", None]
    assert not connection.copying


def test_copy_in_of_the_extended_protocol() -> None:
    connection = begun()
    prepared(connection, "copy in text")
    # libpq sends Sync behind Execute before it knows that this is a COPY
    assert tags(send(connection, Bind("", ""), Describe("P", ""), Execute(""), Sync())) == "2nG"
    assert tags(send(connection, CopyData(b"1\tone\n"), Flush(), CopyDone(), Sync())) == "CZ"


def test_copy_fail() -> None:
    connection = begun()
    send(connection, Query("begin"), Query("copy in text; do X"))
    said = send(connection, CopyData(b"1\t"), CopyFail("I changed my mind"))
    assert tags(said) == "EZ"
    fields = error(said[0][1])
    assert (fields["C"], fields["M"]) == ("57014", "COPY from stdin failed: I changed my mind")
    assert said[-1][1] == b"E"


def test_an_error_in_the_middle_of_copy_in() -> None:
    """What the client has sent by then is passed over, in both protocols."""
    connection = begun()
    bad = CopyData(b"x\tone\n")
    said = send(connection, Query("copy in text"), bad, bad, CopyDone(), CopyData(b"3\tx\n"), Query("do X"))
    assert tags(said) == "GEZCZ"
    assert error(said[1][1])["C"] == "22P02"
    assert error(said[1][1])["W"] == 'COPY t, line 1, column n: "x"'
    prepared(connection, "copy in text")
    said = send(connection, Bind("", ""), Execute(""), bad, CopyDone(), Query("do X"), CopyDone(), Sync())
    assert tags(said) == "2GEZ"


def test_another_message_in_copy_in_ends_the_connection() -> None:
    connection = begun()
    said = send(connection, Query("copy in text"), Query("do X"), Query("do X"))
    assert tags(said) == "GEE"
    fields = error(said[1][1])
    assert (fields["S"], fields["C"]) == ("ERROR", "08P01")
    assert fields["M"] == "unexpected message type 0x51 during COPY from stdin"
    assert error(said[2][1])["S"] == "FATAL"
    assert connection.closed


def test_copy_out_is_a_message_a_row() -> None:
    said = send(begun(), Query("copy out text"))
    assert tags(said) == "HdddcCZ"
    assert [body for tag, body in said if tag == "d"] == [b"0\ttext 0\n", b"1\ttext 1\n", b"2\ttext 2\n"]
    assert said[0][1] == struct.pack(">BHHH", 0, 2, 0, 0)


def test_binary_copy_out_has_its_header_in_the_first_row() -> None:
    said = send(begun(), Query("copy out binary"))
    data = [body for tag, body in said if tag == "d"]
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    assert data[0] == header + struct.pack(">hiqi", 2, 8, 0, 6) + b"text 0"
    assert data[-1] == b"\xff\xff"
    assert len(data) == 4
    assert said[0][1] == struct.pack(">BHHH", 1, 2, 1, 1)
    empty = send(begun(), Query("copy out binary 0"))
    assert [body for tag, body in empty if tag == "d"] == [header + b"\xff\xff"]


def test_copy_out_in_a_series() -> None:
    said = send(begun(), Parse("", "copy out csv 2"), Bind("", ""), Describe("P", ""), Execute(""), Sync())
    assert tags(said) == "12nHddcCZ"


@given(st.lists(written, max_size=12))
def test_any_messages_in_any_order(sent: list[object]) -> None:
    """Whatever comes, every answer is whole messages, and Sync still leads back to ReadyForQuery."""
    connection = begun()
    send(connection, *(m for m in sent if not isinstance(m, Query | Parse)))
    if not connection.closed:
        assert send(connection, Sync())[-1][0] == "Z"
