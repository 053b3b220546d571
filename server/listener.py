"""The server: listens, holds what its connections share, and ends in order.

It ends in two steps. First nobody new is let in, sessions that are idle outside a transaction are told
57P01, and what runs may end. When the time for that is over, everybody is told.

    with Server(database, Config(port=0)) as server:    # on a thread of its own, for tests and tools
        connect(port=server.port)
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import threading
from functools import partial
from types import TracebackType

from server.auth import Policy
from server.config import Config
from server.link import Hub, Link, Sessions
from server.metrics import Metrics
from server.tls import Identity
from server.wakes import Wakes
from sql.session import Session
from storage.database import Database

log = logging.getLogger("glancedb.server")

BACKLOG = 512
_END_SECONDS = 5.0  # for statements to notice that they are cancelled

try:
    from uvloop import new_event_loop
except ImportError:  # not on every platform
    from asyncio import new_event_loop  # type: ignore[assignment]  # a loop of the other kind


class Server:
    """A database on the network. `run` blocks until a signal; as a context manager it has its own thread."""

    def __init__(
        self, database: Database, config: Config | None = None, *, sessions: Sessions | None = None
    ) -> None:
        self._config = config or Config()
        certificate = self._config.tls_certificate
        self._loop: asyncio.AbstractEventLoop = new_event_loop()
        self._hub = Hub(
            self._config,
            catalog=lambda: database.catalog,
            sessions=partial(Session, database) if sessions is None else sessions,
            policy=Policy(trusted=is_loopback(self._config.host)),
            identity=None if certificate is None else Identity.load(certificate, self._config.tls_key),
            wakes=Wakes(self._loop),
        )
        self._port = 0
        self._listeners: list[asyncio.AbstractServer] = []
        self._stopping: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._began = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on; known once it does."""
        return self._port

    @property
    def metrics(self) -> Metrics:
        """The counters."""
        return self._hub.metrics

    def run(self) -> None:
        """Serve on this thread until SIGTERM or SIGINT. Raises OSError where the port cannot be had."""
        self._loop.add_signal_handler(signal.SIGTERM, self._on_signal, self._config.shutdown_timeout)
        self._loop.add_signal_handler(signal.SIGINT, self._on_signal, 0.0)
        self._serve()

    def _on_signal(self, grace: float) -> None:
        """SIGTERM lets statements end; SIGINT, or a second signal, does not."""
        self.stop(0.0 if self._stopping is not None else grace)

    def listen(self) -> None:
        """Bind the port, so that it is known before anything is served."""
        self._loop.run_until_complete(self._listen())

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            if not self._listeners:
                self.listen()
            self._began.set()
            self._loop.run_until_complete(self._stopped.wait())
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._began.set()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _listen(self) -> None:
        config = self._config
        make = partial(Link, self._hub, self._loop)
        listener = await self._loop.create_server(make, config.host, config.port, backlog=BACKLOG)
        self._port = listener.sockets[0].getsockname()[1]
        self._listeners.append(listener)
        if config.metrics_port:
            self._listeners.append(
                await asyncio.start_server(self._tell_metrics, config.host, config.metrics_port)
            )

    def stop(self, grace: float) -> None:
        """End, on the loop's thread: what runs has `grace` seconds."""
        before, self._stopping = self._stopping, self._loop.create_task(self._stop(grace))
        if before is not None:
            before.cancel()

    async def _stop(self, grace: float) -> None:
        hub = self._hub
        hub.stopping = True
        for listener in self._listeners:
            listener.close()
        for link in list(hub.links):
            link.finish_if_settled()
        await self._emptied(grace)
        for link in list(hub.links):
            link.finish()
        await self._emptied(_END_SECONDS)
        if hub.links or hub.admitted:
            log.warning("%d sessions did not end in time", len(hub.admitted))
        self._stopped.set()

    async def _emptied(self, seconds: float) -> None:
        """Wait until nobody is connected and every session is closed, but not longer."""
        end = self._loop.time() + seconds
        while (self._hub.links or self._hub.admitted) and self._loop.time() < end:
            await asyncio.sleep(0.01)

    async def _tell_metrics(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Any request over HTTP is answered with the counters."""
        try:
            async with asyncio.timeout(5):
                await reader.readuntil(b"\r\n\r\n")
                body = self._hub.metrics.text().encode()
                head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                writer.write(
                    f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks wrongly gets no answer
        finally:
            writer.close()

    # As a context manager.

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._on_thread, name="server", daemon=True)
        self._thread.start()
        self._began.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def _on_thread(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("the server ended with an error")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self.stop, 0.0)
        self._thread.join()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on `host`."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host or None, None, flags=socket.AI_PASSIVE)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(a.partition("%")[0]).is_loopback for a in found)
