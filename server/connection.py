"""The protocol after authentication, as a state machine without I/O: messages in, bytes out.

`receive` gives a generator of bytes. Each step of it may run a part of a statement and may block, so it
is taken on a statement's thread; left alone between two steps, the statement stands still. The bytes
belong to the client in the order they come, and may be held back until nothing is left to receive. A commit
that the log has not on disk yet is a piece, too, where the session defers them: the next step is to be taken
once it is, and blocks before.

Inside of storage.waiting's `at_once` a step never blocks. Where it would have to, the generator ends by
WouldBlock, and the message may be received again, with nothing of its answer used.

    messages in a series (P B D E C H)   an error skips everything up to Sync, which answers ReadyForQuery
    Query, FunctionCall                  answer ReadyForQuery themselves, after an error too
    COPY FROM STDIN                      `copying` is true: CopyData, CopyDone and CopyFail are expected
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from engine.forms.style import Style
from server import messages, parameters, responses, rows
from server.bindshapes import BindShape
from server.copying import CopyRows, Incoming
from server.failures import SYNCHRONY, Lost, told_of
from server.frames import Frame
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
    Message,
    Parse,
    Query,
    Sync,
    Terminate,
)
from server.metrics import Metrics
from sql.outcome import (
    CopyIn,
    CopyOut,
    Done,
    Empty,
    Field,
    Once,
    Outcome,
    Pending,
    Portal,
    Rows,
    SessionSeam,
    Short,
)
from storage.batch import Batch
from storage.errors import (
    DatabaseError,
    FeatureNotSupported,
    ProtocolViolation,
    QueryCanceled,
)
from storage.waiting import WouldBlock, is_at_once

Piece = bytes | Pending
"""Of an answer: what belongs to the client, or what has to be waited for."""

_SERIES = frozenset(message.tag for message in (Parse, Bind, Describe, Execute, Close, Flush))


_DESCRIBE, _EXECUTE, _SYNC = (Describe.tag, b"P\0"), (Execute.tag, bytes(5)), (Sync.tag, b"")
"""Of the unnamed portal, all of its rows."""

_UNNAMED = b"\0\0"  # what the Bind of the unnamed portal to the unnamed statement begins with
_LONGEST = 8192  # bytes of a Parse that is known again
_SHAPES = 256  # that a connection keeps
_BOUND = "bound"  # a note of a statement that was bound once: the next time it is worth a shape


class Connection:
    """One client's session on the wire. `closed`: nothing more is to be received or sent."""

    def __init__(self, session: SessionSeam, key: bytes, metrics: Metrics | None = None) -> None:
        self.session = session
        self.key = key
        self.closed = False
        self.waiting = True  # for a command: ReadyForQuery was the last word
        self.ending: DatabaseError | None = None  # what the client is told instead of anything else
        self._metrics = metrics or Metrics()
        self._skipping = False
        self._copy: Incoming | None = None
        self._outcomes: Iterator[Outcome] | None = None  # the rest of a Query that waits for COPY's data
        self._formats: dict[str, tuple[int, ...]] = {}  # of the results of portals
        self._parsed: bytes | None = None  # the Parse that the unnamed statement is of, if it is known
        self._shapes: dict[bytes, BindShape] = {}  # of each statement's last Bind, by its name

    @property
    def copying(self) -> bool:
        """Whether COPY's data is expected."""
        return self._copy is not None

    def start(self) -> bytes:
        """The greeting after AuthenticationOk."""
        key = responses.backend_key_data(self.session.backend_pid, self.key)
        return b"".join([*self._changes(), key, *self._ready()])

    def farewell(self) -> bytes:
        """What ends the connection, instead of an answer: `ending`."""
        assert self.ending is not None
        self.session.fail()
        self.closed = True
        return responses.error(self.ending, fatal=True)

    def receive(self, tag: int, body: bytes) -> Iterator[Piece]:
        """Answer one message."""
        self.waiting = False
        if self._skipping and tag not in (Sync.tag, Terminate.tag):
            return
        try:
            message = messages.read(tag, body)
            yield from self._answer(message) if self._copy is None else self._copied(message, self._copy)
            if self.ending is not None and not self.closed:
                raise self.ending
        except WouldBlock:
            if tag in (Query.tag, Execute.tag):
                self._metrics.statements -= 1  # it comes again
            raise
        except Exception as error:
            yield from self._failed(tag, error)

    def _answer(self, message: Message) -> Iterator[Piece]:
        match message:
            case Query():
                self._metrics.statements += 1
                once = self._query_once(message.text) if is_at_once() else None
                if once is not None:
                    yield from once
                    return
                self._outcomes = self.session.simple(message.text)
                yield from self._go_on()
            case Parse():
                yield self._parse(message)
            case Bind():
                yield self._bind(message)
            case Describe():
                yield from self._describe(message)
            case Execute():
                self._metrics.statements += 1
                yield from self._execute(message)
            case Close():
                yield self._close(message)
            case Sync():
                yield from self._sync()
            case Flush():
                pass  # whoever carries the bytes sends them as soon as nothing is left to receive
            case Terminate():
                self.closed = True
            case FunctionCall():
                raise FeatureNotSupported("the function call protocol is not supported")
            case CopyData() | CopyDone() | CopyFail():
                pass  # what is left of a COPY that has failed
            case _:
                assert_never(message)

    def series(self, inbox: Sequence[Frame]) -> tuple[Iterator[Piece], int] | None:
        """Answer the Bind, perhaps Describe, Execute and Sync that come next as one, if nothing needs more.

        Before them may stand the Parse that the unnamed statement is of already. Gives the answer, and to
        how many messages; None: they have to be received one by one, and nothing was done. Inside of
        `at_once` only; raises WouldBlock, with nothing done.
        """
        bind = 1 if inbox[0][0] == Parse.tag else 0
        described = len(inbox) > bind + 3 and inbox[bind + 1] == _DESCRIBE
        execute = bind + 2 if described else bind + 1
        if len(inbox) < execute + 2 or inbox[execute] != _EXECUTE or inbox[execute + 1] != _SYNC:
            return None
        tag, body = inbox[bind]
        if tag != Bind.tag or self._skipping or self._copy is not None:
            return None
        if bind and (inbox[0][1] != self._parsed or not body.startswith(_UNNAMED)):
            return None
        head = [responses.PARSE_COMPLETE, responses.BIND_COMPLETE] if bind else [responses.BIND_COMPLETE]
        try:
            answer = self._again(body, head, described)
            if answer is None:
                answer = self._first(body, head, described)
        except Exception:
            return None
        if answer is None:
            return None
        self._metrics.statements += 1
        return answer, execute + 2

    def _again(self, body: bytes, head: list[bytes], described: bool) -> Iterator[Piece] | None:
        """The answer to a Bind like one that was seen before, and so on; None as `series`.

        `head` is what comes before the description.
        """
        shape = self._shapes.get(body[1 : body.find(b"\0", 1)])
        values = None if shape is None else shape.read(body)
        if shape is None or values is None:
            return None
        short = self.session.short(shape.statement)
        if short is None or not shape.is_of(short):
            return None
        if described:
            head = [*head, _description(short, shape.formats)]
        done = (self.session.once if short.single is None else self.session.single)(short, values)
        if done is None:
            return None
        whole = self._whole(shape, done, head)
        return iter((whole,)) if whole is not None else self._once(short, done, head, shape.formats, Bind.tag)

    def _first(self, body: bytes, head: list[bytes], described: bool) -> Iterator[Piece] | None:
        """Likewise of any Bind."""
        bind = messages.read(Bind.tag, body)
        assert isinstance(bind, Bind)
        short = None if bind.portal else self.session.short(bind.statement)
        if short is None:
            return None
        formats = parameters.result_formats(bind, short)
        if described:
            head = [*head, _description(short, formats)]
        if short.notes.get(_BOUND):
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            self._shapes[bind.statement.encode()] = BindShape(bind, body, short, formats)
        short.notes[_BOUND] = True
        done = None
        if short.single is not None:
            done = self.session.single(short, parameters.values(bind, short, self.session.style))
        if done is None:
            done = self.session.once(short, parameters.columns(bind, short, self.session.style))
        return None if done is None else self._once(short, done, head, formats, bind.tag)

    def _whole(self, shape: BindShape, done: Once, head: Sequence[bytes]) -> bytes | None:
        """What `_once` gives, where nothing has to be waited for, and nothing else to be told."""
        session = self.session
        if session.pending is not None or not session.quiet:
            return None
        parts = [*head]
        try:
            if done.row is not None:
                frame = shape.frame(done.row)
                if frame is None:
                    return None
                parts.append(frame)
                self._metrics.rows += 1
            for batch in done.batches:
                parts += self._frames(batch, shape.formats, session.style)
        except Exception:
            return None  # it has run, and is not run again: `_once` tells what is wrong
        parts += responses.command_complete(done.tag), responses.ready(session.status)
        self._rest()
        return b"".join(parts)

    def _query_once(self, text: str) -> Iterator[Piece] | None:
        """A Query that is one short statement, likewise."""
        found = self.session.short_query(text)
        done = None if found is None else self.session.once(*found)
        if found is None or done is None:
            return None
        fields = found[0].fields
        formats = (0,) * len(fields or ())
        head = [] if fields is None else [_description(found[0], formats)]
        return self._once(found[0], done, head, formats, Query.tag)

    def _once(
        self, short: Short, done: Once, head: list[bytes], formats: Sequence[int], tag: int
    ) -> Iterator[Piece]:
        """The answer to a statement that has run, from its rows on; `tag` is of what would have failed."""
        self.waiting = False
        try:
            style = self.session.style
            if done.row is not None:
                self._metrics.rows += 1
                types = [field.type for field in short.fields or ()]
                head.append(rows.plain_frame(done.row, types, formats, style))
            for batch in done.batches:
                head += self._frames(batch, formats, style)
            if tag == Bind.tag:  # the commit is Sync's, and comes after the statement
                head += [*self._notices(), responses.command_complete(done.tag)]
            yield b"".join(head)
            yield from self._committed() if tag == Bind.tag else self._complete(done.tag)
            yield from self._ready()
        except Exception as error:
            yield from self._failed(tag, error)
            if tag == Bind.tag:
                yield from self._sync()

    def _failed(self, tag: int, error: Exception) -> Iterator[Piece]:
        """Answer with an error, and get back to where the next message makes sense."""
        told = self.ending or told_of(error)
        lost = isinstance(error, Lost) and self.ending is None
        fatal = self.ending is not None or told.severity == "FATAL"
        series = tag in _SERIES or (self._copy is not None and self._outcomes is None)
        self._metrics.errors += 1
        self._copy = None
        self._drop_outcomes()
        self.session.fail()
        self.closed = fatal or lost
        self._skipping = series
        yield from self._notices()
        yield responses.error(told, fatal=fatal)
        if lost:
            yield responses.error(SYNCHRONY, fatal=True)
        elif not fatal and not series:
            yield from self._ready()

    def _drop_outcomes(self) -> None:
        """Forget the rest of a Query."""
        outcomes, self._outcomes = self._outcomes, None
        close = getattr(outcomes, "close", None)
        if close is not None:
            close()

    def _go_on(self) -> Iterator[Piece]:
        """Run the statements of a Query, or what is left of them after COPY's data."""
        assert self._outcomes is not None
        for outcome in self._outcomes:
            match outcome:
                case Rows():
                    formats = (int(outcome.binary),) * len(outcome.fields)
                    yield responses.row_description(outcome.fields, formats)
                    style = self.session.style
                    for batch in outcome.batches:
                        yield from self._frames(batch, formats, style)
                    yield from self._complete(outcome.complete())
                case Done():
                    yield from self._complete(outcome.complete())
                case Empty():
                    yield responses.EMPTY_QUERY
                case CopyIn():
                    yield self._copy_in(outcome)
                    return
                case CopyOut():
                    yield from self._copy_out(outcome)
                case _:
                    assert_never(outcome)
        self._outcomes = None
        yield from self._ready()

    def _frames(self, batch: Batch, formats: Sequence[int], style: Style) -> Iterator[bytes]:
        self._metrics.rows += batch.rows
        return rows.frames(batch, formats, style)

    def _complete(self, tag: str) -> Iterator[Piece]:
        """How a statement ended; its commit, if it was one, comes first."""
        yield from self._committed()
        yield from self._notices()
        yield responses.command_complete(tag)

    def _committed(self) -> Iterator[Pending]:
        """What commits, and ends, before the client is told so."""
        pending = self.session.pending
        if pending is not None:
            try:
                yield pending
            finally:
                self.session.settle()

    def _parse(self, message: Parse) -> bytes:
        if message.name:
            self.session.prepare(message.name, message.text, message.types)
            return responses.PARSE_COMPLETE
        self._parsed = None
        self.session.prepare("", message.text, message.types)
        body = message.write()[5:] if len(message.text) <= _LONGEST else b""
        self._parsed = body if len(body) <= _LONGEST else None
        return responses.PARSE_COMPLETE

    def _bind(self, message: Bind) -> bytes:
        prepared = self.session.describe(message.statement)
        columns = parameters.columns(message, prepared, self.session.style)
        formats = parameters.result_formats(message, prepared)
        self.session.bind(message.portal, message.statement, columns)
        self._formats[message.portal] = formats
        return responses.BIND_COMPLETE

    def _describe(self, message: Describe) -> Iterator[Piece]:
        fields: tuple[Field, ...] | None
        if message.kind == "S":
            prepared = self.session.describe(message.name)
            yield responses.parameter_description(prepared.parameters)
            fields = prepared.fields
            formats: tuple[int, ...] = (0,) * len(fields or ())
        else:
            portal = self.session.portal(message.name)
            fields = portal.fields
            formats = self._portal_formats(portal)
        yield responses.NO_DATA if fields is None else responses.row_description(fields, formats)

    def _portal_formats(self, portal: Portal) -> tuple[int, ...]:
        """A code a column; a cursor that SQL declared is what it was declared as."""
        return self._formats.get(portal.name) or (int(portal.binary),) * len(portal.fields or ())

    def _execute(self, message: Execute) -> Iterator[Piece]:
        outcome = self.session.execute(message.portal, message.limit)
        match outcome:
            case Rows():
                yield from self._rows(outcome, message)
            case Done():
                yield from self._complete(outcome.complete())
            case Empty():
                yield responses.EMPTY_QUERY
            case CopyIn():
                yield self._copy_in(outcome)
            case CopyOut():
                yield from self._copy_out(outcome)
            case _:
                assert_never(outcome)

    def _rows(self, outcome: Rows, message: Execute) -> Iterator[Piece]:
        """DataRows, and how it ended. A limit that is just reached suspends the portal, as in PostgreSQL."""
        formats = self._portal_formats(self.session.portal(message.portal))
        style = self.session.style
        sent = 0
        for batch in outcome.batches:
            yield from self._frames(batch, formats, style)
            sent += batch.rows
        if sent == message.limit > 0:
            yield responses.PORTAL_SUSPENDED
        else:
            yield from self._complete(outcome.complete())

    def _close(self, message: Close) -> bytes:
        if message.kind == "S":
            self.session.close_statement(message.name)
        else:
            self.session.close_portal(message.name)
            self._formats.pop(message.name, None)
        return responses.CLOSE_COMPLETE

    def _sync(self) -> Iterator[Piece]:
        self._skipping = False
        self.session.sync()
        yield from self._committed()
        yield from self._ready()

    def _copy_in(self, outcome: CopyIn) -> bytes:
        self._copy = Incoming(outcome, self.session.style)
        format = outcome.format
        return responses.copy_in(format.format == "binary", len(format.columns))

    def _copied(self, message: Message, copy: Incoming) -> Iterator[Piece]:
        """Answer a message while COPY's data is expected."""
        match message:
            case CopyData():
                copy.data(message.data)
            case CopyDone():
                tag = copy.done()
                self._copy = None
                yield from self._complete(tag)
                if self._outcomes is not None:
                    yield from self._go_on()
            case CopyFail():
                raise QueryCanceled(f"COPY from stdin failed: {message.message}", where=copy.where)
            case Flush() | Sync():
                pass  # clients send them without knowing that what they executed is a COPY
            case Terminate():
                self.closed = True
            case _:
                what = f"unexpected message type 0x{message.tag:02X} during COPY from stdin"
                raise Lost(ProtocolViolation(what, where=copy.where))

    def _copy_out(self, outcome: CopyOut) -> Iterator[Piece]:
        format = outcome.format
        yield responses.copy_out(format.format == "binary", len(format.columns))
        rows = CopyRows(format, self.session.style)
        for batch in outcome.batches:
            self._metrics.rows += batch.rows
            yield from rows.write(batch)
        yield rows.end()
        yield from self._complete(outcome.complete())

    def _ready(self) -> Iterator[bytes]:
        yield from self._notices()
        yield from self._changes()
        yield from self.news()
        self._rest()
        yield responses.ready(self.session.status)

    def _rest(self) -> None:
        """What comes next is the client's turn."""
        if self.session.status == "I":
            self._formats.clear()  # portals end with their transaction
        self.waiting = True
        self.session.rest()

    def news(self) -> list[bytes]:
        """What the client is told unasked, outside transactions."""
        if self.session.status != "I":
            return []
        return [responses.notification(told) for told in self.session.notifications()]

    def _notices(self) -> Iterator[bytes]:
        return map(responses.notice, self.session.notices())

    def _changes(self) -> Iterator[bytes]:
        for name, value in self.session.parameter_changes().items():
            yield responses.parameter_status(name, value)


def _description(short: Short, formats: tuple[int, ...]) -> bytes:
    """RowDescription or NoData, kept with the statement."""
    known: bytes | None = short.notes.get(formats)
    if known is None:
        fields = short.fields
        known = responses.NO_DATA if fields is None else responses.row_description(fields, formats)
        short.notes[formats] = known
    return known
