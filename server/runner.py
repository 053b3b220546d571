"""Whose turn it is on a connection: the client that sends, the session, the disk, the client that reads.

    idle      nothing to do: no thread
    running   messages are taken from the inbox, and their answers stepped through: on the event loop as long
              as they are short, else on a statement's thread
    waiting   for the log to have a commit on disk: the answer stands still, without a thread
    parked    the client has not read what it was sent: the answer stands still, without a thread

A message is begun on the loop inside of storage.waiting's `at_once`. If it would block, what came of its
answer is dropped and it is given to a thread, from its beginning: until then it has done nothing (see
server.connection), so a message is answered once, and messages in their order, wherever they run. What the
thread leaves is begun on the loop again.

Inbox and output are bounded in bytes: a full inbox stops reading from the socket, output that the client
does not take parks the answer. `_lock` guards the state and the two counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from server import responses
from server.connection import Connection, Piece
from server.frames import Frame
from server.idle import IdleLimit, idle_limit
from server.messages import Bind, CopyData, Parse, Terminate
from server.metrics import Metrics
from server.threads import Threads
from sql.outcome import Pending
from storage.errors import DatabaseError, InternalError
from storage.waiting import WouldBlock, at_once

log = logging.getLogger("glancedb.connection")

SEND_BYTES = 64 << 10  # answers are sent when they have grown to this, or when there is no more to answer
OUTPUT_BYTES = 2 << 20  # on their way to the socket: above, the answer is parked
INBOX_BYTES = 8 << 20  # not answered yet: above, nothing more is read
COPY_BYTES = 4 << 20  # of CopyData that are taken at once

_BEGINNING = (Bind.tag, Parse.tag)  # of messages that may be answered as one

SHORT_BYTES = 16 << 10  # of a message that may be begun on the loop
TURN_SECONDS = 0.002  # of the loop's time that one connection takes before it lets others


class Outlet(Protocol):
    """The socket's side. All but `write` may be called from any thread and return at once."""

    def deliver(self, data: bytes, idle: IdleLimit | None) -> None:
        """Send the bytes; then `sent` is called. `idle`: the runner is idle now, and how long it may be."""

    def write(self, data: bytes, idle: IdleLimit | None) -> None:
        """`deliver` on the loop: `sent` is not called."""

    def call(self, work: Callable[[], None]) -> None:
        """Do this on the loop, after what it has to do first."""

    def end(self) -> None:
        """Close, when everything is sent."""

    def resume(self) -> None:
        """Read on."""


class Runner:
    """One connection's turns. `open` makes the Connection, on a thread, and gives the first bytes."""

    def __init__(
        self,
        open: Callable[[], Connection],
        greeting: bytes,
        outlet: Outlet,
        threads: Threads,
        metrics: Metrics,
    ) -> None:
        self._open = open
        self._outlet = outlet
        self._threads = threads
        self._metrics = metrics
        self.connection: Connection | None = None
        self._lock = threading.Lock()
        self._busy = False  # running or parked
        self._parked = False
        self._inbox: deque[Frame] = deque()
        self._inbox_bytes = 0
        self._full = False
        self._output_bytes = 0
        self._held_bytes = 0  # of answers that are not sent yet
        self._blocked = False  # the socket takes no more
        self._lost = False
        self._ending: DatabaseError | None = None  # tell this as soon as possible
        self._broken: DatabaseError | None = None  # tell this after what came before it
        self._out: list[bytes] = []  # of answers, not sent yet
        self._owes = False  # whether a ReadyForQuery is among them
        self._frame: Frame | None = None  # the message that is being answered
        self._answer: Iterator[Piece] | None = None
        self._on_thread = False  # whether it was begun there
        self._waited = False  # for a commit, which has still to be ended
        self._greeting = greeting
        self._finished = False

    # From the loop.

    def begin(self) -> None:
        """Open the session."""
        self._busy = True
        self._threads.start(self._run)

    def tell(self) -> None:
        """The session has something to tell the client unasked."""
        self._wake()

    @property
    def idle(self) -> bool:
        """Whether it waits for the client."""
        return not self._busy

    @property
    def settled(self) -> bool:
        """Whether it is idle, and not inside a transaction."""
        connection = self.connection
        return not self._busy and connection is not None and connection.session.status == "I"

    def feed(self, frames: list[Frame]) -> bool:
        """Messages of the client. False: read no more for now."""
        with self._lock:
            for frame in frames:
                self._inbox.append(frame)
                self._inbox_bytes += len(frame[1]) + 5
            self._full = full = self._inbox_bytes >= INBOX_BYTES
        self._wake()
        return not full

    def sent(self, count: int) -> None:
        """So many bytes of output have gone to the socket's buffer."""
        with self._lock:
            self._output_bytes -= count
        self._unpark()

    def block(self, blocked: bool) -> None:
        """Whether the socket's buffer is full."""
        self._blocked = blocked
        self._unpark()

    def cancel(self) -> None:
        """Cancel the statement that runs, if one does."""
        connection = self.connection
        if connection is not None and self._busy:
            connection.session.cancel()

    def end(self, error: DatabaseError) -> None:
        """Tell the client this instead of anything else, and close. From any thread."""
        self._ending = error
        if self.connection is not None:
            self.connection.ending = error
        self._stop()

    def broken(self, error: DatabaseError) -> None:
        """The client's bytes cannot be followed: close with this error after what came before it."""
        self._broken = error
        self._wake()

    def lost(self) -> None:
        """The client is gone. What it has left behind runs on only if it said good-bye."""
        with self._lock:
            polite = bool(self._inbox) and self._inbox[-1][0] == Terminate.tag
        if polite and not self._parked:
            return
        self._lost = True
        self._stop()

    def _stop(self) -> None:
        """Make the thread look at what has happened."""
        if self._busy and self.connection is not None:
            self.connection.session.cancel()
        with self._lock:
            wake = not self._busy or self._parked
            self._busy, self._parked = True, False
        if wake:
            self._threads.start(self._run)

    def _wake(self) -> None:
        with self._lock:
            wake = not self._busy
            if wake and self.connection is not None:
                self.connection.session.forget_cancel()
            self._busy = True
        if wake:
            self._run_at_once()

    def _unpark(self) -> None:
        if not self._parked:
            return
        with self._lock:
            wake = self._parked and not self._congested
            if wake:
                self._parked = False
        if wake:
            self._go_on()

    def _go_on(self) -> None:
        """What stood still goes on where it was begun."""
        if self._answer is not None and self._on_thread:
            self._threads.start(self._run)
        else:
            self._run_at_once()

    @property
    def _congested(self) -> bool:
        return self._blocked or self._output_bytes > OUTPUT_BYTES

    # On the loop.

    def _run_at_once(self) -> None:
        """Answer what is short, until the inbox is empty; give what is not to a thread."""
        connection = self.connection
        if connection is None or self._finished:
            self._threads.start(self._run)
            return
        try:
            self._short_turns(connection)
        except Exception as error:
            log.exception("a connection ended with an error of the server's own")
            self._out.append(responses.error(InternalError(str(error)), fatal=True))
            connection.closed = True
            self._threads.start(self._run)

    def _short_turns(self, connection: Connection) -> None:
        end = 0.0
        while True:
            if self._answer is None and not self._begin_at_once(connection):
                return
            assert self._answer is not None
            if not self._step_at_once(self._answer):
                return
            self._answer = self._frame = None
            if connection.closed:
                self._threads.start(self._run)
                return
            if connection.waiting:
                self._owes = True
                if self._held_bytes >= SEND_BYTES:
                    self._write(self._taken_out(), None)
                    if self._park():
                        return
                if not self._inbox:
                    continue
                now = time.perf_counter()
                end = end or now + TURN_SECONDS
                if now > end:
                    self._outlet.call(self._go_on)
                    return

    def _begin_at_once(self, connection: Connection) -> bool:
        """Begin with the next message. False: there is none, or a thread has it."""
        try:
            if self._inbox and self._series(connection):
                return True
        except WouldBlock:
            self._to_thread()
            return False
        data = b""
        with self._lock:
            if self._is_short(connection):
                self._frame, self._on_thread = self._taken(False), False
                self._answer = connection.receive(*self._frame)
                return True
            idle = self._is_idle(connection)
            if idle:  # from here on another may run
                self._out += connection.news()
                data = self._taken_out()
                self._busy = False
        if not idle:
            self._to_thread()
            return False
        self._write(data, idle_limit(connection))
        return False

    def _series(self, connection: Connection) -> bool:
        """Begin with several messages that can be answered as one, if the next ones are."""
        if not self._is_short(connection) or self._inbox[0][0] not in _BEGINNING:
            return False
        with at_once:
            found = connection.series(self._inbox)
        if found is None:
            return False
        self._answer, count = found
        self._on_thread = False
        with self._lock:
            for _ in range(count):
                self._inbox_bytes -= len(self._inbox.popleft()[1]) + 5
            self._read_on()
        return True

    def _is_short(self, connection: Connection) -> bool:
        """Whether there is a message that may be begun here."""
        if not self._inbox or self._lost or self._ending is not None or connection.copying:
            return False
        return len(self._inbox[0][1]) <= SHORT_BYTES

    def _is_idle(self, connection: Connection) -> bool:
        """Whether there is nothing to do."""
        return not (
            self._inbox
            or self._lost
            or self._ending is not None
            or self._broken is not None
            or connection.closed
        )

    def _step_at_once(self, answer: Iterator[Piece]) -> bool:
        """Go on with an answer to its end. False: it waits, or a thread has the message now."""
        if self._waited:  # what is left is the end, which does not wait any more
            self._waited = False
            self._out += [piece for piece in answer if isinstance(piece, bytes)]
            return True
        begun, held = len(self._out), self._held_bytes
        try:
            with at_once:
                for piece in answer:
                    if not isinstance(piece, bytes):
                        self._wait(piece)
                        return False
                    self._out.append(piece)
                    self._held_bytes += len(piece)
        except WouldBlock:
            del self._out[begun:]
            self._held_bytes = held
            self._answer = None
            self._to_thread()
            return False
        return True

    def _to_thread(self) -> None:
        """A thread goes on; a client that waits for answers that are there need not wait for it."""
        if self._owes:
            self._write(self._taken_out(), None)
        self._threads.start(self._run)

    def _write(self, data: bytes, idle: IdleLimit | None) -> None:
        """Send bytes, after what a thread has sent and the loop has not come to."""
        if self._output_bytes:
            self._send([data], idle)
        elif data or idle is not None:
            self._outlet.write(data, idle)

    def _taken_out(self) -> bytes:
        """What is to be sent."""
        data = b"".join(self._out)
        self._out.clear()
        self._held_bytes, self._owes = 0, False
        return data

    # On a statement's thread.

    def _run(self) -> None:
        """Answer until the inbox is empty, the client stops reading, or the connection ends."""
        if self._finished:
            return
        self._metrics.statements_running += 1
        try:
            if self._turns():
                return
        except Exception as error:
            log.exception("a connection ended with an error of the server's own")
            self._send([responses.error(InternalError(str(error)), fatal=True)], None)
        finally:
            self._metrics.statements_running -= 1
        self._finish()

    def _turns(self) -> bool:
        """False: the connection is at its end."""
        out = self._out
        if self.connection is None and not self._begin(out):
            return False
        connection = self.connection
        assert connection is not None
        while True:
            if self._answer is None:
                frame = self._frame or self._next(connection, out)
                if frame is None:  # the loop may have begun with another already
                    return not connection.closed
                self._frame, self._on_thread = frame, True
                self._answer = connection.receive(*frame)
            if not self._step(self._answer, out):
                return True
            self._answer = self._frame = None
            if connection.waiting and not self._pass_on(out):
                return True

    def _begin(self, out: list[bytes]) -> bool:
        """Open the session and greet the client."""
        try:
            self.connection = self._open()
        except DatabaseError as error:
            self._send([self._greeting, responses.error(error, fatal=True)], None)
            return False
        out += [self._greeting, self.connection.start()]
        return True

    def _step(self, answer: Iterator[Piece], out: list[bytes]) -> bool:
        """Go on with an answer. False: it waits or is parked."""
        while self._waited or (self._ending is None and not self._lost):
            self._waited = False  # a commit ends, whatever has happened meanwhile
            piece = next(answer, None)
            if piece is None:
                return True
            if not isinstance(piece, bytes):
                self._wait(piece)
                return False
            out.append(piece)
            self._held_bytes += len(piece)
            if self._held_bytes >= SEND_BYTES and not self._pass_on(out):
                return False
        _abandon(answer)
        return True

    def _wait(self, pending: Pending) -> None:
        """The answer goes on when a commit is on disk; whoever runs this does no more."""
        self._waited = True
        pending.when_durable(partial(self._outlet.call, self._go_on))

    def _pass_on(self, out: list[bytes]) -> bool:
        """Send what there is now: a client that sent more need not wait for the rest. False: it is parked."""
        with self._lock:
            if not self._inbox and self._answer is None:
                return True  # nothing comes behind it: it is sent as the thread leaves
        self._send(out, None)
        return not self._park()

    def _park(self) -> bool:
        with self._lock:
            self._parked = self._congested and self._ending is None and not self._lost
            return self._parked

    def _next(self, connection: Connection, out: list[bytes]) -> Frame | None:
        """The next message. None: there is none, or the connection ends; `out` is then sent."""
        with self._lock:
            if self._lost:
                connection.closed = True
                return None
            if connection.closed:
                self._send_locked(out, None)
                return None
            if self._inbox and self._ending is None:
                return self._taken(connection.copying)
            connection.ending = self._ending or self._broken
            if connection.ending is None:
                out += connection.news()
                # The bytes go before the state does: a next thread must not send its own before them.
                self._send_locked(out, idle_limit(connection))
                self._busy = False
                return None
        self._send([*out, connection.farewell()], None)
        return None

    def _taken(self, copying: bool) -> Frame:
        """The first message of the inbox; of COPY's data as much as there is."""
        tag, body = self._inbox.popleft()
        taken = len(body) + 5
        if copying and tag == CopyData.tag:
            parts, size = [body], len(body)
            while self._inbox and self._inbox[0][0] == tag and size < COPY_BYTES:
                parts.append(self._inbox.popleft()[1])
                size += len(parts[-1])
            body = b"".join(parts)
            taken = size + 5 * len(parts)
        self._inbox_bytes -= taken
        self._read_on()
        return tag, body

    def _read_on(self) -> None:
        """Some of the inbox has been taken: there may be room for more."""
        if self._full and self._inbox_bytes < INBOX_BYTES // 2:
            self._full = False
            self._outlet.resume()

    def _send(self, out: list[bytes], idle: IdleLimit | None) -> None:
        with self._lock:
            self._send_locked(out, idle)

    def _send_locked(self, out: list[bytes], idle: IdleLimit | None) -> None:
        data = b"".join(out)
        out.clear()
        self._held_bytes = 0
        if data or idle is not None:
            self._output_bytes += len(data)
            self._outlet.deliver(data, idle)

    def _finish(self) -> None:
        """The connection is at its end: so is its session."""
        self._finished = True
        self._inbox.clear()
        if self._answer is not None:
            _abandon(self._answer)
            self._answer = None
        if self.connection is not None:
            try:
                self.connection.session.close()
            except Exception:
                log.exception("a session could not be closed in order")
        self._outlet.end()


def _abandon(answer: Iterator[Piece]) -> None:
    """Leave an answer for good, so that what it holds is let go now."""
    close = getattr(answer, "close", None)
    if close is not None:
        close()
