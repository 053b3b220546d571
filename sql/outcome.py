"""The seam between a session and whoever carries its answers away: the wire, the tests, a client.

`Session` (sql.session) gives, for each statement, one Outcome. Whoever takes it drains `batches` (or
feeds `sink`) and then calls `complete()`, which ends the statement, commits where the statement was a
transaction of its own and it was the last, and returns the command tag ('SELECT 3').
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from engine.formats import CopyFormat
from engine.forms.style import Style
from storage.batch import Batch
from storage.column import Column
from storage.rows import Row
from storage.types import Type


@dataclass(frozen=True, slots=True)
class Field:
    """A result column: its name as the client sees it, and where it comes from (0: nowhere)."""

    name: str
    type: Type
    table: int = 0
    number: int = 0


@dataclass
class Rows:
    """A result set. Draining `batches` executes the statement. `binary`: of a binary cursor."""

    fields: tuple[Field, ...]
    batches: Iterator[Batch]
    complete: Callable[[], str]
    binary: bool = False


@dataclass
class Done:
    """A statement without a result set: it has run."""

    complete: Callable[[], str]


@dataclass
class Empty:
    """An empty statement: EmptyQueryResponse."""


@dataclass
class CopyIn:
    """COPY ... FROM STDIN: `sink(batch)` for what comes, then `complete()`; or the session's `fail()`."""

    format: CopyFormat
    sink: Callable[[Batch], None]
    complete: Callable[[], str]


@dataclass
class CopyOut:
    """COPY ... TO STDOUT."""

    format: CopyFormat
    batches: Iterator[Batch]
    complete: Callable[[], str]


Outcome = Rows | Done | Empty | CopyIn | CopyOut


@dataclass(frozen=True)
class Prepared:
    """A prepared statement as Describe tells it."""

    name: str
    text: str
    parameters: tuple[Type, ...]
    fields: tuple[Field, ...] | None  # None: no result set


@dataclass(frozen=True)
class Notice:
    """NoticeResponse's fields."""

    severity: str  # NOTICE, WARNING, INFO
    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Notification:
    """NotificationResponse's fields: what a NOTIFY of session `pid` told."""

    pid: int
    channel: str
    payload: str


class Pending(Protocol):
    """A commit that is in the log and not on disk yet."""

    def when_durable(self, told: Callable[[], None]) -> None:
        """Have `told` called, on a thread of the log's, once it is, or never will be. It returns at once."""


class Short(Protocol):
    """A statement that is likely to run at once. `notes`: what whoever asks keeps with it.

    `single`: it takes its parameters as plain values, see `SessionSeam.single`.
    """

    parameters: tuple[Type, ...]
    fields: tuple[Field, ...] | None
    notes: dict[Any, Any]

    @property
    def single(self) -> object | None: ...


class Once(NamedTuple):
    """What a statement gave that ran as a transaction of its own; its commit may be `pending`.

    `row`: its only row as plain values (storage.rows), in place of batches.
    """

    batches: Sequence[Batch]
    tag: str
    row: Row | None = None


class Portal(Protocol):
    """A bound statement, perhaps half-read. The wire keeps it between two Execute messages."""

    name: str
    fields: tuple[Field, ...] | None
    binary: bool


class SessionSeam(Protocol):
    """What the wire asks of a session. All calls come from one thread at a time (not always the same
    one), and may block; `cancel` comes from any thread at any time.

    Errors leave as DatabaseError; the session has by then put its transaction into the right state,
    and `status` tells which. After an error in the extended protocol the wire calls nothing before
    `sync`.
    """

    backend_pid: int  # BackendKeyData's and pg_backend_pid()'s
    on_terminate: Callable[[], None] | None  # set by the wire; pg_terminate_backend(pid) calls it

    on_notify: Callable[[], None] | None  # set by the wire; called, on any thread, when something has come

    @property
    def status(self) -> Literal["I", "T", "E"]: ...

    def rest(self) -> None:
        """The client is told that all is done: what comes next is its turn."""

    @property
    def style(self) -> Style:
        """How text forms are written and read just now: DateStyle, TimeZone and their like."""

    def setting(self, name: str) -> str | None:
        """The value of a setting (any case), or None where there is none of the name."""

    def simple(self, text: str) -> Iterator[Outcome]:
        """The statements of one Query message, each executed when it is asked for."""

    def prepare(self, name: str, text: str, parameter_oids: Sequence[int]) -> None: ...

    def describe(self, name: str) -> Prepared: ...

    def bind(self, portal: str, statement: str, parameters: Sequence[Column]) -> Portal:
        """`parameters` are constant columns of the types `describe(statement)` names."""

    def portal(self, name: str) -> Portal: ...

    def execute(self, portal: str, limit: int = 0) -> Outcome:
        """Begin, or go on with, a portal: up to `limit` rows of it (0: all).

        A Rows that has given as many as its limit is not completed: the portal is suspended, and the next
        call (or FETCH) goes on with it.
        """

    def short(self, statement: str) -> Short | None:
        """A prepared statement that is likely to run at once, as a whole: see `once`."""

    def short_query(self, text: str) -> tuple[Short, Sequence[Column]] | None:
        """The statement of a Query message, if it is such a one, with its parameters."""

    def once(self, short: Short, parameters: Sequence[Column]) -> Once | None:
        """Bind, execute and sync in one. None: it has to go the usual way, which also says where an error is,
        and nothing was done. Raises WouldBlock, likewise."""

    def single(self, short: Short, values: Sequence[Any]) -> Once | None:
        """`once` of a statement that is `single`, with its parameters as Column.tolist gives values."""

    def close_statement(self, name: str) -> None: ...

    def close_portal(self, name: str) -> None: ...

    def sync(self) -> None:
        """End of an extended-protocol series: commits or rolls back an implicit transaction."""

    defers_commits: bool  # set by whoever sees to `pending` after each `complete` and `sync`

    @property
    def pending(self) -> Pending | None:
        """A commit that would wait for the disk. It has to be waited for, then `settle` ends it: before that
        nothing else is asked, nor the client told that it was done."""

    def settle(self) -> None:
        """End the pending commit; waits for it if it has to."""

    def fail(self) -> None:
        """The wire found an error of its own (a parameter, COPY data, the connection): what runs is ended
        and rolled back, and the transaction fails as after an error of the session's."""

    def cancel(self) -> None:
        """Ask what runs, or is about to, to stop: an error answers for it. Called from any thread."""

    def forget_cancel(self) -> None:
        """The session was idle: who asked to cancel then came too late. Called before what is next runs."""

    def close(self) -> None:
        """The connection is gone: roll back, drop temporary things."""

    @property
    def quiet(self) -> bool:
        """Whether none of the following three has anything to tell."""

    def notices(self) -> list[Notice]:
        """Notices since the last call."""

    def notifications(self) -> list[Notification]:
        """What channels that are listened to told since the last call. To be asked outside transactions."""

    def parameter_changes(self) -> dict[str, str]:
        """Reported settings (ParameterStatus) that changed since the last call; all at the first."""
