"""One socket on the event loop: TLS, the start of a connection, and then a Runner's bytes and messages."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from server import responses
from server.auth import Policy
from server.config import Config
from server.connection import Connection
from server.frames import Frame, Frames
from server.idle import IdleLimit
from server.metrics import Metrics
from server.runner import OUTPUT_BYTES, Runner
from server.startup import Admitted, Cancel, Entry, Reply, Secure
from server.threads import Threads
from server.tls import CLIENT_HELLO, Channel, Identity
from server.wakes import Wakes
from sql.outcome import SessionSeam
from storage.catalog import Catalog
from storage.errors import (
    AdminShutdown,
    DatabaseError,
    ProtocolViolation,
    QueryCanceled,
    TooManyConnections,
)

log = logging.getLogger("glancedb.connection")

CLOSE_SECONDS = 5.0  # that a client has to read the last bytes
_KEY_BYTES = 4  # of protocol 3.0

Sessions = Callable[[str, str, Mapping[str, str]], SessionSeam]  # user, database, settings


@dataclass
class Hub:
    """What all links of a server share."""

    config: Config
    catalog: Callable[[], Catalog]
    sessions: Sessions
    policy: Policy
    identity: Identity | None
    wakes: Wakes
    metrics: Metrics = field(default_factory=Metrics)
    threads: Threads = field(default_factory=Threads)
    links: set[Link] = field(default_factory=set)
    admitted: dict[int, Link] = field(default_factory=dict)  # by backend pid
    places: int = 0  # taken of max_connections
    stopping: bool = False


class Link(asyncio.Protocol):
    """See the module's text."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub = hub
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._frames = Frames(hub.config.max_message_bytes)
        self._entry: Entry | None = None
        self._channel: Channel | None = None
        self._runner: Runner | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._direct = False  # TLS began with the first byte
        self._deaf = False  # what comes cannot be followed any more
        self._place = False
        self._pid = 0
        self._key = secrets.token_bytes(_KEY_BYTES)

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are Transports in all but name
        self._transport = tcp = cast(asyncio.Transport, transport)
        tcp.set_write_buffer_limits(OUTPUT_BYTES)
        hub = self._hub
        hub.links.add(self)
        hub.metrics.connections += 1
        hub.metrics.connections_open += 1
        _keep_alive(transport.get_extra_info("socket"))
        self._entry = Entry(
            hub.catalog,
            hub.policy,
            hub.config.databases,
            loopback=_is_loopback(transport.get_extra_info("peername")),
            offers_tls=hub.identity is not None,
        )
        self._timer = self._loop.call_later(hub.config.authentication_timeout, self._too_slow)
        # Those who have not said who they are get as many places again, so that one may still cancel.
        if len(hub.links) > 2 * hub.config.max_connections + 10:
            self._refuse(TooManyConnections("sorry, too many clients already"))

    def data_received(self, data: bytes) -> None:
        self._hub.metrics.bytes_received += len(data)
        if self._deaf:
            return
        try:
            if self._channel is not None:
                data = self._deciphered(self._channel, data)
            if self._runner is None:
                self._frames.feed(data)
                self._enter()
                data = b""
            if self._runner is not None:
                self._pass_on(self._runner, data)
        except DatabaseError as error:
            self._fail(error)
        except ssl.SSLError as error:
            log.info("TLS failed: %s", error)
            self._abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        hub = self._hub
        self._transport = None
        self._stop_timer()
        hub.links.discard(self)
        hub.metrics.connections_open -= 1
        if self._runner is None:
            self._leave()
        else:
            self._runner.block(False)
            self._runner.lost()

    def pause_writing(self) -> None:
        if self._runner is not None:
            self._runner.block(True)

    def resume_writing(self) -> None:
        if self._runner is not None:
            self._runner.block(False)

    # The start.

    def _enter(self) -> None:
        """Packets until the client is admitted."""
        entry = self._entry
        assert entry is not None
        while self._runner is None and self._transport is not None:
            if self._frames.peek() == CLIENT_HELLO and not entry.authenticating and self._channel is None:
                self._secure(b"")
                continue
            if self._channel is not None and not self._channel.established:
                return
            body = self._frames.password() if entry.authenticating else self._frames.packet()
            if body is None:
                return
            match entry.password(body) if entry.authenticating else entry.packet(body):
                case Reply(data):
                    self._write(data)
                case Secure(data):
                    if self._frames.pending and self._frames.peek() != CLIENT_HELLO:
                        raise ProtocolViolation("received unencrypted data after SSL request")
                    self._secure(data)
                case Cancel(pid, key):
                    self._cancel(pid, key)
                case Admitted() as admitted:
                    self._begin(admitted)

    def _secure(self, data: bytes) -> None:
        """Speak TLS from here on."""
        assert self._entry is not None
        identity = self._hub.identity
        if identity is None:
            raise ProtocolViolation("the server does not speak TLS")
        self._write(data)
        self._channel = Channel(identity)
        self._entry.secure, self._entry.binding = True, identity.binding
        self._direct = not data
        self._frames.feed(self._deciphered(self._channel, self._frames.take()))

    def _deciphered(self, channel: Channel, data: bytes) -> bytes:
        before = channel.established
        try:
            plain = channel.receive(data)
        finally:
            self._write_raw(channel.outgoing())
        if channel.established and not before and self._direct and not channel.speaks_postgresql:
            log.info("a connection with TLS from the first byte did not ask for ALPN 'postgresql'")
            self._abort()
        if channel.ended and self._transport is not None:
            self._transport.close()
        return plain

    def _cancel(self, pid: int, key: bytes) -> None:
        """Cancel what another link runs, if the key is its; the client is told nothing either way."""
        link = self._hub.admitted.get(pid)
        if link is not None and hmac.compare_digest(link._key, key) and link._runner is not None:
            self._hub.metrics.cancels += 1
            link._runner.cancel()
        self._close()

    def _begin(self, admitted: Admitted) -> None:
        """Open the session."""
        self._stop_timer()
        hub = self._hub
        if hub.stopping:
            raise AdminShutdown("the database system is shutting down")
        if hub.places >= hub.config.max_connections:
            raise TooManyConnections("sorry, too many clients already")
        hub.places += 1
        self._place = True
        open = partial(self._open, admitted)
        self._runner = Runner(open, admitted.data, self, hub.threads, hub.metrics)
        self._runner.begin()

    def _open(self, admitted: Admitted) -> Connection:
        """On a thread: the session and its connection."""
        session = self._hub.sessions(admitted.user, admitted.database, admitted.settings)
        session.defers_commits = True
        session.on_terminate = self.terminate
        session.on_notify = self.tell
        self._pid = session.backend_pid
        self._hub.admitted[self._pid] = self
        return Connection(session, self._key, self._hub.metrics)

    def _pass_on(self, runner: Runner, data: bytes) -> None:
        """Messages to the runner."""
        frames: list[Frame] = []
        broken: ProtocolViolation | None = None
        try:
            self._frames.messages(data, frames)
        except ProtocolViolation as error:
            broken = error
        if frames:
            self._stop_timer()
            if not runner.feed(frames):
                self._pause()
        if broken is not None:
            self._deaf = True
            runner.broken(broken)

    # What the runner asks for, from threads.

    def deliver(self, data: bytes, idle: IdleLimit | None) -> None:
        """See Outlet."""
        self._hub.wakes.call(partial(self._deliver, data, idle))

    def write(self, data: bytes, idle: IdleLimit | None) -> None:
        """See Outlet."""
        if data:
            self._write(data)
        self._rest(idle)

    def call(self, work: Callable[[], None]) -> None:
        """See Outlet."""
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be answered
            self._hub.wakes.call(work)

    def end(self) -> None:
        """See Outlet."""
        self._hub.wakes.call(self._ended)

    def resume(self) -> None:
        """See Outlet."""
        self._hub.wakes.call(self._resume)

    def tell(self) -> None:
        """Something has come for a channel that is listened to: from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._hub.wakes.call(self._tell)

    def _tell(self) -> None:
        if self._runner is not None:
            self._runner.tell()

    def terminate(self) -> None:
        """pg_terminate_backend: from any thread, the session's own included."""
        if self._runner is not None:
            self._runner.end(AdminShutdown("terminating connection due to administrator command"))

    def _deliver(self, data: bytes, idle: IdleLimit | None) -> None:
        assert self._runner is not None
        if data:
            self._write(data)
            self._runner.sent(len(data))
        self._rest(idle)

    def _rest(self, idle: IdleLimit | None) -> None:
        """The client may leave its session idle for so long; none at all once the server stops."""
        assert self._runner is not None
        if idle is not None and self._runner.idle:
            self._timer = self._loop.call_later(idle[0], self._runner.end, idle[1])
        if self._hub.stopping and self._runner.settled:
            self.finish()

    def _ended(self) -> None:
        self._leave()
        self._close()

    def _resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    # The end.

    def finish(self) -> None:
        """End the connection with 57P01, whatever it does."""
        if self._runner is None:
            self._abort()
        else:
            self._runner.end(AdminShutdown("terminating connection due to administrator command"))

    def finish_if_settled(self) -> None:
        """End it if it is idle outside a transaction, or not admitted yet."""
        if self._runner is None or self._runner.settled:
            self.finish()

    def _too_slow(self) -> None:
        self._refuse(QueryCanceled("canceling authentication due to timeout"))

    def _fail(self, error: DatabaseError) -> None:
        """The client is told why its connection ends."""
        if self._runner is not None:
            self._runner.broken(error)
            return
        if error.sqlstate == "28P01":
            self._hub.metrics.authentication_failures += 1
        self._refuse(error)

    def _refuse(self, error: DatabaseError) -> None:
        log.info("connection refused: %s", error)
        self._hub.metrics.connections_refused += 1
        self._write(responses.error(error, fatal=True))
        self._close()

    def _leave(self) -> None:
        """Give back the place."""
        self._hub.admitted.pop(self._pid, None)
        if self._place:
            self._place = False
            self._hub.places -= 1

    def _close(self) -> None:
        """Close when everything is sent, or the client does not read it."""
        self._stop_timer()
        if self._transport is None:
            return
        if self._channel is not None and self._channel.established:
            self._write_raw(self._channel.end())
        self._transport.close()
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._loop.call_later(CLOSE_SECONDS, self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, data: bytes) -> None:
        if self._channel is not None:
            # Before the handshake there is nothing that the client could read.
            data = self._channel.send(data) if self._channel.established else b""
        self._write_raw(data)

    def _write_raw(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._hub.metrics.bytes_sent += len(data)
            self._transport.write(data)


def _is_loopback(peer: tuple[str, int] | None) -> bool:
    if not peer:
        return False
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _keep_alive(sock: socket.socket) -> None:
    """Ask the system to find out that a silent client has gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
