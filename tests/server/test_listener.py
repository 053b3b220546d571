"""Connections over TCP with fake sessions: starting, cancelling, slow clients, limits, the end."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import trustme

from server.auth import Verifier
from server.config import Config
from server.listener import Server
from server.messages import (
    Bind,
    CancelRequest,
    CopyData,
    CopyDone,
    Execute,
    GssRequest,
    Parse,
    Query,
    SslRequest,
    Startup,
    Sync,
    Terminate,
)
from storage.database import Database
from storage.definitions import Role
from tests.server.fakes import FakeSession
from tests.server.wire import Client, error, row, tags, whole


class Hall:
    """A database, and every session that was opened on it."""

    def __init__(self) -> None:
        self.database = Database.open(None)
        self.sessions: list[FakeSession] = []

    def open(self, user: str, database: str, settings: Mapping[str, str]) -> FakeSession:
        session = FakeSession(user, database, settings)
        self.sessions.append(session)
        return session

    def role(self, name: str, password: str | None = None, *, login: bool = True) -> None:
        transaction = self.database.begin()
        verifier = None if password is None else str(Verifier.of(password))
        transaction.define(Role(transaction.allocate_oid(), name, False, login, verifier))
        transaction.commit()

    def server(self, **settings: object) -> Server:
        config = Config(port=0, **settings)  # type: ignore[arg-type]
        return Server(self.database, config, sessions=self.open)


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall()
    yield hall
    hall.database.close()


@pytest.fixture
def server(hall: Hall) -> Iterator[Server]:
    with hall.server() as server:
        yield server


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.002)


def test_startup_and_a_query(server: Server, hall: Hall) -> None:
    with Client(server.port, {"application_name": "me", "options": "-c a=b --c-d=e\\ f -cg=h"}) as client:
        assert client.greeting[0] == ("R", b"\0\0\0\0")
        assert client.greeting[-1] == ("Z", b"I")
        assert tags(client.query("rows 2")) == "TDDCZ"
        (session,) = hall.sessions
        assert (session.user, session.database) == ("glancedb", "glancedb")
        wanted = {"application_name": "me", "a": "b", "c_d": "e f", "g": "h"}
        assert wanted.items() <= session.settings.items()
        client.write(Terminate().write())
        assert client.message() is None
    until(lambda: session.closed)


@pytest.mark.parametrize("cut", [1, 7])
def test_bytes_in_small_pieces(server: Server, cut: int) -> None:
    with Client(server.port, start=False) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Startup(0, {"user": "glancedb"}).write() + Query("rows 1").write()
        for at in range(0, len(stream), cut):
            client.write(stream[at : at + cut])
        assert tags(client.until("Z"))[-1] == "Z"
        assert tags(client.until("Z")) == "TDCZ"


def test_encryption_requests_without_a_certificate(server: Server) -> None:
    with Client(server.port, start=False) as client:
        for request in (GssRequest(), SslRequest()):
            client.write(request.write())
            assert client.exactly(1) == b"N"
        client.write(Startup(0, {"user": "glancedb"}).write())
        assert client.until("ZE")[-1] == ("Z", b"I")


def refusal(client: Client) -> dict[str, str]:
    """The error that a connection ends with."""
    said = client.until("E")
    assert said[-1][0] == "E"
    fields = error(said[-1][1])
    assert fields["S"] == "FATAL"
    assert client.message() is None
    return fields


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({}, "28000", "no PostgreSQL user name specified in startup packet"),
        ({"user": "nobody"}, "28000", 'role "nobody" does not exist'),
        ({"user": "glancedb", "database": "else"}, "3D000", 'database "else" does not exist'),
        ({"user": "glancedb", "replication": "database"}, "0A000", "replication is not supported"),
        ({"user": "glancedb", "nonsense": "1"}, "42704", 'unrecognized configuration parameter "nonsense"'),
    ],
)
def test_startups_that_are_refused(
    server: Server, parameters: dict[str, str], code: str, message: str
) -> None:
    with Client(server.port, start=False) as client:
        client.write(Startup(0, parameters).write())
        fields = refusal(client)
        assert (fields["C"], fields["M"]) == (code, message)


def test_protocol_2_is_refused(server: Server) -> None:
    with Client(server.port, start=False) as client:
        client.write(struct.pack(">iHH", 8, 2, 0))
        assert refusal(client)["M"] == "unsupported frontend protocol 2.0: server supports 3.0 to 3.0"


@pytest.mark.parametrize("minor", [2, 9999])
def test_a_newer_protocol_is_negotiated_down(server: Server, minor: int) -> None:
    with Client(server.port, start=False) as client:
        client.write(Startup(minor, {"user": "glancedb", "_pq_.what": "ever"}).write())
        said = client.until("ZE")
        assert said[0] == ("v", struct.pack(">HHI", 3, 0, 1) + b"_pq_.what\0")
        assert tags(said).endswith("KZ")


def test_a_cancel_request(server: Server, hall: Hall) -> None:
    with Client(server.port) as client:
        key = next(body for tag, body in client.greeting if tag == "K")
        pid = struct.unpack(">i", key[:4])[0]
        client.write(Query("wait").write())
        until(lambda: server.metrics.statements_running == 1)
        with Client(server.port, start=False) as other:
            other.write(CancelRequest(pid, b"\0\0\0\0" if key[4:] != b"\0\0\0\0" else b"\1\1\1\1").write())
            assert other.message() is None
        with Client(server.port, start=False) as other:
            other.write(CancelRequest(pid, key[4:]).write())
            assert other.message() is None, "nobody learns whether it was right"
        said = client.until("Z")
        assert error(said[-2][1])["C"] == "57014"
        assert tags(client.query("rows 1")) == "TDCZ"
        assert server.metrics.cancels == 1


def test_terminating_another_session(server: Server, hall: Hall) -> None:
    with Client(server.port) as client:
        client.write(Query("wait").write())
        until(lambda: server.metrics.statements_running == 1)
        terminate = hall.sessions[0].on_terminate
        assert terminate is not None
        terminate()
        assert refusal(client)["C"] == "57P01"
    until(lambda: hall.sessions[0].closed)


def test_garbage_ends_only_its_own_connection(server: Server) -> None:
    with Client(server.port) as good, Client(server.port) as bad:
        bad.write(Query("rows 1").write(), b"!\0\0\0\4")
        said = bad.until("E")
        assert tags(said) == "TDCZE", "what came before it is answered"
        assert error(said[-1][1])["M"] == "invalid frontend message type 33"
        assert bad.message() is None
        assert tags(good.query("rows 1")) == "TDCZ"


def test_a_length_that_is_too_long(server: Server) -> None:
    with Client(server.port, start=False) as client:
        client.write(struct.pack(">I", 1 << 30))
        assert refusal(client)["C"] == "08P01"


def test_a_silent_client_holds_up_nobody(server: Server) -> None:
    with Client(server.port, start=False), Client(server.port) as client:
        assert tags(client.query("rows 1")) == "TDCZ"


def test_the_time_to_authenticate(hall: Hall) -> None:
    with hall.server(authentication_timeout=0.05) as server, Client(server.port, start=False) as client:
        assert refusal(client)["M"] == "canceling authentication due to timeout"


def test_too_many_clients(hall: Hall) -> None:
    with hall.server(max_connections=2) as server:
        with Client(server.port), Client(server.port), Client(server.port, start=False) as third:
            third.write(Startup(0, {"user": "glancedb"}).write())
            fields = refusal(third)
            assert (fields["C"], fields["M"]) == ("53300", "sorry, too many clients already")
        until(lambda: server.metrics.connections_open == 0)
        with Client(server.port) as again:
            assert again.greeting[-1] == ("Z", b"I")


def test_a_client_that_does_not_read_gives_its_thread_back(server: Server, hall: Hall) -> None:
    with Client(server.port) as slow, Client(server.port) as other:
        slow.write(Query("wide 400").write())
        until(lambda: server.metrics.statements_running == 0 and server.metrics.rows > 0)

        def stands() -> bool:
            before = server.metrics.rows
            assert before < 400, "the answer stands still"
            assert tags(other.query("rows 1")) == "TDCZ"
            return server.metrics.rows == before + 1

        until(stands)  # once the buffers between here and there are full
        rows = sum(tag == "D" for tag, _ in slow.until("Z"))
        assert rows == 400, "it goes on when it is read"


def test_a_client_that_leaves_a_large_result(server: Server, hall: Hall) -> None:
    with Client(server.port) as slow:
        slow.write(Query("wide 400").write())
        until(lambda: server.metrics.statements_running == 0 and server.metrics.rows > 0)
    until(lambda: hall.sessions[0].closed)
    assert hall.sessions[0].calls == ["left"], "its generator is closed"


def test_a_client_that_leaves_a_running_statement(server: Server, hall: Hall) -> None:
    with Client(server.port) as client:
        client.write(Query("wait").write())
        until(lambda: server.metrics.statements_running == 1)
    until(lambda: hall.sessions[0].closed)


def test_a_client_that_says_good_bye_behind_a_statement(server: Server, hall: Hall) -> None:
    """What was sent before Terminate is done, as PostgreSQL does it."""
    with Client(server.port) as client:
        client.write(Query("set a b").write(), Terminate().write())
    until(lambda: hall.sessions[0].closed)
    assert hall.sessions[0].settings["a"] == "b"


def test_a_deep_pipeline(server: Server) -> None:
    """More messages than the inbox holds, sent before anything is read."""
    series = whole([Parse("", "echo", (25,)), Bind("", "", (), (b"x" * 1000,)), Execute(""), Sync()])
    count = 12_000
    with Client(server.port) as client:
        sender = threading.Thread(target=client.write, args=(series * count,))
        sender.start()
        for _ in range(count):
            assert tags(client.until("Z")) == "12DCZ"
        sender.join()


def test_copy_in_of_many_bytes(server: Server, hall: Hall) -> None:
    line = b"12345\t" + b"x" * 93 + b"\n"
    block = CopyData(line * 600).write()
    with Client(server.port) as client:
        client.write(Query("copy in text").write())
        assert client.message() is not None
        client.write(block * 300, CopyDone().write())
        assert client.until("Z")[0] == ("C", b"COPY 180000\0")


def test_one_send_a_series(server: Server) -> None:
    """What belongs together comes together: a small answer is one packet."""
    with Client(server.port) as client:
        client.write(whole([Parse("", "rows 3"), Bind("", ""), Execute(""), Sync()]))
        data = client.socket.recv(1 << 16)
        assert data.endswith(b"Z\0\0\0\5I")


def test_idle_in_transaction(server: Server) -> None:
    with Client(server.port) as client:
        client.query("set idle_in_transaction_session_timeout 20ms")
        client.query("begin")
        fields = refusal(client)
        assert fields["C"] == "25P03"
        assert fields["M"] == "terminating connection due to idle-in-transaction timeout"


def test_idle_session(server: Server) -> None:
    with Client(server.port) as client:
        client.query("set idle_session_timeout 20ms")
        assert refusal(client)["C"] == "57P05"


def test_shutting_down(hall: Hall) -> None:
    """Everybody is told; statements are cancelled."""
    with hall.server() as server:
        idle, busy, inside, fresh = (Client(server.port) for _ in range(4))
        busy.write(Query("wait").write())
        inside.query("begin")
        until(lambda: server.metrics.statements_running == 1)
    for client in (idle, busy, inside, fresh):
        with client:
            assert refusal(client)["C"] == "57P01"
    assert all(session.closed for session in hall.sessions)


def test_shutting_down_lets_what_runs_end(hall: Hall) -> None:
    with hall.server() as server, Client(server.port) as idle, Client(server.port) as inside:
        inside.query("begin")
        server._loop.call_soon_threadsafe(server.stop, 20.0)
        assert refusal(idle)["C"] == "57P01"
        assert tags(inside.query("rows 1")) == "TDCZ"
        assert tags(inside.query("commit")) == "CZ"
        assert refusal(inside)["C"] == "57P01", "as soon as its transaction has ended"


def test_a_port_that_is_taken(hall: Hall, server: Server) -> None:
    with (
        pytest.raises(OSError, match="address"),
        Server(hall.database, Config(port=server.port), sessions=hall.open),
    ):
        pass


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    return path


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls(hall: Hall, authority: trustme.CA, certificate: Path) -> None:
    with hall.server(tls_certificate=certificate) as server:
        with Client(server.port, start=False) as client:
            client.write(SslRequest().write())
            assert client.exactly(1) == b"S"
            client.socket = trusting(authority).wrap_socket(client.socket, server_hostname="localhost")
            client.write(Startup(0, {"user": "glancedb"}).write())
            assert client.until("ZE")[-1] == ("Z", b"I")
            assert sum(tag == "D" for tag, _ in client.query("rows 100000")) == 100_000
        with Client(server.port) as plain:
            assert plain.greeting[-1] == ("Z", b"I"), "TLS is offered, not demanded"


@pytest.mark.parametrize("protocols", [["postgresql"], []])
def test_tls_from_the_first_byte(
    hall: Hall, authority: trustme.CA, certificate: Path, protocols: list[str]
) -> None:
    context = trusting(authority)
    context.set_alpn_protocols(protocols)
    with hall.server(tls_certificate=certificate) as server, Client(server.port, start=False) as client:
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        client.write(Startup(0, {"user": "glancedb"}).write())
        if protocols:
            assert client.until("ZE")[-1] == ("Z", b"I")
        else:
            with pytest.raises(OSError, match=r"reset|closed|EOF|abort"):
                assert client.until("ZE") == []
                raise ConnectionResetError("closed")


def test_plain_bytes_behind_an_ssl_request(hall: Hall, certificate: Path) -> None:
    with hall.server(tls_certificate=certificate) as server, Client(server.port, start=False) as client:
        client.write(SslRequest().write() + Startup(0, {"user": "glancedb"}).write())
        assert refusal(client)["M"] == "received unencrypted data after SSL request"


def test_garbage_instead_of_tls(hall: Hall, certificate: Path) -> None:
    with hall.server(tls_certificate=certificate) as server:
        with Client(server.port, start=False) as client:
            client.write(SslRequest().write())
            assert client.exactly(1) == b"S"
            client.write(b"\x16" + bytes(100))
            client.exactly(1000)
        with Client(server.port) as client:
            assert tags(client.query("rows 1")) == "TDCZ"


def test_rows_over_the_wire(server: Server) -> None:
    with Client(server.port) as client:
        said = client.query("rows 2")
        assert row(said[1][1]) == [b"0", b"text 0"]
