"""A session: its transaction, settings, prepared statements and portals. Implements sql.outcome's seam.

The transaction rules are PostgreSQL's. A Query message is one implicit transaction for all its statements,
a series of the extended protocol one up to Sync; BEGIN makes either explicit, COMMIT and ROLLBACK end it
whichever it is. An error rolls an implicit transaction back, and fails an explicit one: until it ends,
everything but its end (or ROLLBACK TO) is refused with 25P02.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from engine.operators.references import settle
from engine.run import Cancel, Run
from sql import activity, statements
from sql.asked import Asked
from sql.channels import Mailbox
from sql.context import BindContext
from sql.outcome import CopyIn, CopyOut, Done, Empty, Notice, Notification, Outcome, Prepared, Rows
from sql.parse import Statement, parse
from sql.planned import Planned, Planner, Reading
from sql.portals import BoundPortal
from sql.settings import Layers, shown
from sql.statements import queries, removing
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.errors import (
    ActiveSqlTransaction,
    DatabaseError,
    DuplicateCursor,
    DuplicatePreparedStatement,
    InFailedSqlTransaction,
    InternalError,
    InvalidCursorName,
    InvalidSqlStatementName,
    OutOfMemory,
    SqlSyntaxError,
    StatementTooComplex,
    UndefinedObject,
)
from storage.segments.cache import cache
from storage.transactions.locks import TableMode
from storage.transactions.temporary import Temporary
from storage.transactions.transaction import Isolation, Transaction
from storage.types import BY_OID, Type

_BUFFER = 8192  # bytes: the unit of shared_buffers
_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970


_SEVERITIES = {"NOTICE": ("warning", "error"), "WARNING": ("error",)}
"""The values of client_min_messages that keep a message from the client."""

P = TypeVar("P")


class Guard:
    """What ends inside of it fails the session's transaction, and leaves as a DatabaseError.

    A class of its own, entered a dozen times a statement: contextlib's takes some microseconds each time.
    """

    __slots__ = ("_fail",)

    def __init__(self, fail: Callable[[], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case None | GeneratorExit():
                return
            case DatabaseError():
                self._fail()
            case RecursionError():
                self._fail()
                raise StatementTooComplex("stack depth limit exceeded") from error
            case MemoryError():
                self._fail()
                raise OutOfMemory("out of memory") from error
            case Exception():
                # a bug of ours: the client hears of it, the connection stays usable
                self._fail()
                raise InternalError(f"{type(error).__name__}: {error}") from error


class Session(Asked):
    """See the module's text. Calls come from one thread at a time; `cancel` and `signal` from any."""

    def __init__(
        self, database: Database, user: str, database_name: str, settings: Mapping[str, str] | None = None
    ) -> None:
        """Raises what SET raises for a wrong setting."""
        super().__init__(database, user, settings or {})
        self.database = database_name
        self.backend_pid = 0
        self.backend_start = _clock()
        self.query, self.query_start = "", 0
        self.on_terminate: Callable[[], None] | None = None
        self.on_notify: Callable[[], None] | None = None
        self.settings.begin_with("is_superuser", "on" if self.superuser else "off")
        self.settings.begin_with("session_authorization", user)
        policy = database.policy
        self.settings.begin_with("max_wal_size", shown("max_wal_size", policy.log_bytes >> 10))
        self.settings.begin_with("checkpoint_timeout", shown("checkpoint_timeout", int(policy.seconds)))
        self.settings.begin_with("shared_buffers", shown("shared_buffers", cache.limit // _BUFFER))
        self.planner = Planner(self)
        self.prepared: dict[str, Planned] = {}
        self.portals: dict[str, BoundPortal] = {}
        self.savepoints: list[tuple[str, int, Layers]] = []
        self.explicit = False
        self._failed = False
        self._transaction: Transaction | None = None
        self._began = 0
        self._before: Layers = self.settings.layers
        self._cancel = Cancel()
        self._guard = Guard(self.fail)
        self.temporary = Temporary()
        self._reported: Mapping[str, str] | None = None  # the settings that the client has been told of
        self._notices: list[Notice] = []
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        activity.enter(self)
        self.mailbox = Mailbox(database, self.backend_pid)
        self.mailbox.rings = self._ring

    # The transaction

    @property
    def status(self) -> Literal["I", "T", "E"]:
        """ReadyForQuery's letter."""
        return "E" if self._failed else "T" if self.explicit else "I"

    @property
    def catalog(self) -> Catalog:
        """The catalog as the running transaction sees it."""
        if self._transaction is not None:
            return self._transaction.catalog
        return self.temporary.over(self.store.catalog)

    @property
    def now(self) -> int:
        """The start of the transaction: microseconds since 2000-01-01 UTC."""
        return self._began or _clock()

    @property
    def transaction_start(self) -> int:
        """The start of the transaction that runs, 0 for none."""
        return self._began

    @property
    def transaction(self) -> Transaction:
        """The running transaction; an implicit one begins if there is none."""
        if self._transaction is None:
            values = self.settings.values
            isolation = _isolation(values["default_transaction_isolation"])
            read_only = values["default_transaction_read_only"] == "on"
            self._before = self.settings.layers
            self._began = _clock()
            self._transaction = self.store.begin(isolation, read_only, self._check, self.temporary)
            self._transaction.session = self.backend_pid
            for name, value in (
                ("transaction_isolation", isolation),
                ("transaction_read_only", "on" if read_only else "off"),
            ):
                if values[name] != value:
                    self.settings.put(name, value, local=True)
        return self._transaction

    def set_modes(
        self, isolation: str | None, read_only: bool | None, deferrable: bool | None = None
    ) -> None:
        """Give the running transaction its modes. Raises ActiveSqlTransaction where it is too late."""
        transaction = self.transaction
        level = "SET TRANSACTION ISOLATION LEVEL"
        if isolation is not None and isolation != transaction.isolation:
            if transaction.has_read:
                raise ActiveSqlTransaction(f"{level} must be called before any query")
            if self.savepoints:
                raise ActiveSqlTransaction(f"{level} must not be called in a subtransaction")
            transaction.isolation = _isolation(isolation)
            self.settings.put("transaction_isolation", isolation, local=True)
        if read_only is not None and read_only != transaction.read_only:
            if self.savepoints and not read_only:
                raise ActiveSqlTransaction(
                    "cannot set transaction read-write mode inside a read-only transaction"
                )
            if transaction.has_read and not read_only:
                raise ActiveSqlTransaction("transaction read-write mode must be set before any query")
            transaction.read_only = read_only
            self.settings.put("transaction_read_only", "on" if read_only else "off", local=True)
        if deferrable is not None:
            words = "SET TRANSACTION [NOT] DEFERRABLE"
            if self.savepoints:
                raise ActiveSqlTransaction(f"{words} cannot be called within a subtransaction")
            if transaction.has_read:
                raise ActiveSqlTransaction(f"{words} must be called before any query")
            self.settings.put("transaction_deferrable", "on" if deferrable else "off", local=True)

    def commit(self) -> None:
        """End the transaction, if there is one: what it did is durable and visible, or it raises."""
        for portal in self.portals.values():
            if portal.hold and not portal.held and not self._failed:
                portal.materialise()
        if self._transaction is not None and self._transaction.deferred:
            self._keep_deferred()
        transaction, self._transaction = self._transaction, None
        try:
            if transaction is not None:
                removing.end_temporary(transaction)
                transaction.synchronous = self.settings.values["synchronous_commit"] != "off"
                transaction.commit()
            self.mailbox.commit()
        except DatabaseError:
            self.mailbox.rollback()
            self.settings.restore(self._before)
            raise
        finally:
            self._ended()
        self.settings.end_local()

    def _keep_deferred(self) -> None:
        """See to what constraints have put off until now; what they refuse rolls everything back."""
        try:
            settle(self.new_run(()))
        except DatabaseError:
            self.rollback()
            raise

    def rollback(self) -> None:
        """End the transaction, if there is one: nothing of it happened."""
        transaction, self._transaction = self._transaction, None
        self._ended()
        self.mailbox.rollback()
        if transaction is not None:
            transaction.rollback()
            self.settings.restore(self._before)

    def _ended(self) -> None:
        self.explicit = self._failed = False
        self.savepoints = []
        self._began = 0
        self._drop_portals(lambda portal: not portal.held)

    def _drop_portals(self, which: Callable[[BoundPortal], bool]) -> None:
        for name, portal in list(self.portals.items()):
            if which(portal):
                self.close_portal(name)

    def fail(self) -> None:
        """See sql.outcome.SessionSeam: an error ended what ran."""
        if not self.explicit:
            self.rollback()
            return
        self._failed = True
        for portal in self.portals.values():
            if portal.level == len(self.savepoints) and not portal.held:
                portal.die()
        if self._transaction is None:
            return
        # what is lost anyway, nobody needs to wait for any longer
        if self.savepoints:
            self._transaction.rollback_to(self.savepoints[-1][1])
        else:
            self._transaction.rollback()

    def recovered(self) -> None:
        """ROLLBACK TO has brought the transaction back: of its portals those that are older."""
        self._failed = False
        self.transaction.read_only = self.settings.values["transaction_read_only"] == "on"
        self._drop_portals(lambda portal: portal.level >= len(self.savepoints) and not portal.held)

    def released(self) -> None:
        """RELEASE has made a savepoint's work that of what is around it."""
        for portal in self.portals.values():
            portal.level = min(portal.level, len(self.savepoints))

    def guard(self) -> Guard:
        """Whatever ends what runs in here puts the transaction into its right state."""
        return self._guard

    def refuse_if_failed(self, planned: Planned | Reading) -> None:
        """Raise InFailedSqlTransaction unless the statement may end a failed transaction."""
        if not planned.ends_transaction:
            self._refuse_if_failed()

    def _refuse_if_failed(self) -> None:
        if self._failed:
            raise InFailedSqlTransaction(
                "current transaction is aborted, commands ignored until end of transaction block"
            )

    # Simple protocol

    def simple(self, text: str) -> Iterator[Outcome]:
        """See sql.outcome.SessionSeam."""
        self.prepared.pop("", None)
        self.close_portal("")
        with self.guard():
            found = self.planner.read(text)
        if not found:
            yield Empty()
            return
        for number, reading in enumerate(found, 1):
            with self.guard():
                self.refuse_if_failed(reading)
                planned, values = self.planner.ready(reading)
                outcome = self.run(planned, values)
            yield self._ending(outcome, number == len(found))

    def _ending(self, outcome: Outcome, last: bool) -> Outcome:
        """The outcome, whose completion commits an implicit transaction after the last statement."""
        if isinstance(outcome, Empty):
            return outcome
        finish = outcome.complete

        def complete() -> str:
            with self.guard():
                tag = finish()
                if last and not self.explicit:
                    self.commit()
            return tag

        outcome.complete = complete
        return outcome

    # Extended protocol

    def prepare(self, name: str, text: str, parameter_oids: Sequence[int]) -> None:
        """See sql.outcome.SessionSeam."""
        with self.guard():
            if not name:
                self.prepared.pop("", None)  # whatever comes of the new one
            elif name in self.prepared:
                raise DuplicatePreparedStatement(f'prepared statement "{name}" already exists')
            types = [_given_type(oid) for oid in parameter_oids]
            known = None if self._failed else self.planner.known(types, text)
            if known is not None:
                self.prepared[name] = known
                return
            found = parse(text)
            if len(found) > 1:
                raise SqlSyntaxError("cannot insert multiple commands into a prepared statement")
            self.prepared[name] = self.define(found[0] if found else None, types, text)
            self.planner.keep(self.prepared[name])

    def define(self, statement: Statement | None, types: Sequence[Type | None], text: str) -> Planned:
        """A statement with parameters, planned for the first time."""
        self.refuse_if_failed(Planned(text, statement))
        return self.planner.prepared(statement, types, text)

    def describe(self, name: str) -> Prepared:
        """See sql.outcome.SessionSeam."""
        with self.guard():
            planned = self.statement(name)
            if planned.fields is not None:
                self._refuse_if_failed()
            self.planner.refresh(planned)
            return Prepared(name, planned.text, planned.parameters, planned.fields)

    def statement(self, name: str) -> Planned:
        """A prepared statement. Raises InvalidSqlStatementName."""
        try:
            return self.prepared[name]
        except KeyError:
            word = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise InvalidSqlStatementName(f"{word} does not exist") from None

    def bind(self, portal: str, statement: str, parameters: Sequence[Column]) -> BoundPortal:
        """See sql.outcome.SessionSeam."""
        with self.guard():
            planned = self.statement(statement)
            self.refuse_if_failed(planned)
            self.planner.refresh(planned)
            if planned.plan is not None:
                planned.plan.check()
            if portal:
                self.must_be_free(portal)
            self.close_portal(portal)
            bound = BoundPortal(
                portal,
                planned.fields,
                lambda: self.run(planned, parameters),
                parameters,
                statement=planned.text,
                level=len(self.savepoints),
            )
            self.portals[portal] = bound
            return bound

    def must_be_free(self, portal: str) -> None:
        """Raise DuplicateCursor where a portal of the name is there."""
        if portal in self.portals:
            raise DuplicateCursor(f'cursor "{portal}" already exists')

    def portal(self, name: str) -> BoundPortal:
        """See sql.outcome.SessionSeam."""
        with self.guard():
            found = self.portals.get(name)
            if found is None:
                raise InvalidCursorName(f'portal "{name}" does not exist')
            if found.fields is not None:
                self._refuse_if_failed()
        return found

    def execute(self, portal: str, limit: int = 0) -> Outcome:
        """See sql.outcome.SessionSeam."""
        bound = self.portal(portal)
        with self.guard():
            if bound.outcome is not None:
                self.begin_statement()  # it goes on
            outcome = bound.begin()
        return self._part(bound, outcome, limit) if isinstance(outcome, Rows) else outcome

    def _part(self, bound: BoundPortal, whole: Rows, limit: int) -> Rows:
        """The next rows of a portal; a tag that counts rows counts these, as PostgreSQL's does."""
        taken = 0

        def batches() -> Iterator[Batch]:
            nonlocal taken
            for batch in bound.take(limit if limit > 0 else None):
                taken += batch.rows
                yield batch

        def complete() -> str:
            verb, _, count = whole.complete().rpartition(" ")
            return f"{verb} {taken}" if verb else count

        return Rows(whole.fields, batches(), complete)

    def close_statement(self, name: str) -> None:
        """See sql.outcome.SessionSeam."""
        self.prepared.pop(name, None)

    def close_portal(self, name: str) -> None:
        """See sql.outcome.SessionSeam."""
        bound = self.portals.pop(name, None)
        if bound is not None:
            bound.close()

    def sync(self) -> None:
        """See sql.outcome.SessionSeam."""
        if not self.explicit and self._transaction is not None:
            with self.guard():
                self.commit()

    # Running

    def run(self, planned: Planned, parameters: Sequence[Column]) -> Outcome:
        """Run a statement in the transaction. Errors leave through the caller's guard."""
        self.refuse_if_failed(planned)
        self.query, self.query_start = planned.text, _clock()
        self.begin_statement()
        if planned.statement is None:
            return Empty()
        if planned.plan is not None:
            self._settle(planned)
        outcome = statements.run(self, planned, parameters)
        match outcome:
            case Rows() | CopyOut():
                outcome.batches = self._guarded(outcome.batches)
            case CopyIn():
                sink = outcome.sink

                def guarded(batch: Batch) -> None:
                    with self.guard():
                        sink(batch)

                outcome.sink = guarded
            case Done() | Empty():
                pass
        if not isinstance(outcome, Empty):
            outcome.complete = self._guarded_end(outcome.complete)
        return outcome

    def _settle(self, planned: Planned) -> None:
        """Lock what a plan reads, and plan again what has changed until then."""
        while planned.plan is not None:
            self._lock_read(planned.plan.dependencies)
            if self.planner.is_current(planned):
                return
            self.planner.refresh(planned)

    def settled(self, make: Callable[[BindContext], P], context: Callable[[], BindContext]) -> P:
        """See sql.statements.host.Host."""
        while True:
            given = context()
            made = make(given)
            self._lock_read(given.dependencies)
            if self.planner.stands(given.dependencies, given.names):
                return made

    def _lock_read(self, dependencies: Iterable[tuple[int, int]]) -> None:
        transaction = self.transaction
        for oid, _ in dependencies:
            transaction.lock_table(oid, TableMode.AccessShareLock)

    def begin_statement(self) -> None:
        """A statement begins: earlier cancels are over, its time runs."""
        self._cancel.clear()
        limit = self.settings.milliseconds("statement_timeout")
        self._cancel.deadline = time.monotonic() + limit / 1000 if limit else None
        transaction = self.transaction
        transaction.deadline = self._cancel.deadline
        transaction.lock_timeout = self.settings.milliseconds("lock_timeout") / 1000
        transaction.deadlock_timeout = self.settings.milliseconds("deadlock_timeout") / 1000

    def _guarded(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        with self.guard():
            yield from batches

    def _guarded_end(self, finish: Callable[[], str]) -> Callable[[], str]:
        def complete() -> str:
            with self.guard():
                return finish()

        return complete

    def new_run(self, parameters: Sequence[Column], counters: object = None) -> Run:
        """A run of a plan, with a snapshot of its own."""
        transaction = self.transaction
        return Run(
            transaction.snapshot(),
            transaction,
            parameters,
            cancel=self._cancel,
            settings=self.settings.values,
            session=self,
            now=self.now,
            counters=counters,
        )

    def _check(self) -> None:
        """What wakes a transaction that waits."""
        Run(None, None, cancel=self._cancel).check()  # type: ignore[arg-type]

    def cancel(self) -> None:
        """See sql.outcome.SessionSeam."""
        self._cancel.set()
        transaction = self._transaction
        if transaction is not None:
            transaction.interrupt()

    def close(self) -> None:
        """See sql.outcome.SessionSeam."""
        self.rollback()
        self.store.forget_temporary(self.temporary)
        self.portals.clear()
        self.prepared.clear()
        self.store.advisory.release(self.backend_pid)
        self.mailbox.close()
        activity.leave(self)

    # Messages to the client

    def notice(self, severity: str, sqlstate: str, message: str, hint: str = "", detail: str = "") -> None:
        """Tell the client something that is no error, if client_min_messages lets it."""
        if severity in _SEVERITIES and self.settings.values["client_min_messages"] in _SEVERITIES[severity]:
            return
        self._notices.append(Notice(severity, sqlstate, message, detail, hint))

    def notices(self) -> list[Notice]:
        """See sql.outcome.SessionSeam."""
        found, self._notices = self._notices, []
        return found

    def _ring(self) -> None:
        if self.on_notify is not None:
            self.on_notify()

    def notifications(self) -> list[Notification]:
        """See sql.outcome.SessionSeam."""
        return self.mailbox.take()

    def parameter_changes(self) -> dict[str, str]:
        """See sql.outcome.SessionSeam."""
        if self._reported is self.settings.values:
            return {}
        self._reported = self.settings.values
        now = self.settings.reported()
        changed = {name: value for name, value in now.items() if self._told.get(name) != value}
        self._told = now
        return changed

    # What functions ask (engine.seams.SessionInfo), where it changes something

    def set_setting(self, name: str, value: str, local: bool) -> str:
        """See engine.seams.SessionInfo."""
        lowered = name.lower()
        if lowered == "transaction_isolation":
            self.set_modes(_isolation(value.lower()), None)
        elif lowered == "transaction_read_only":
            self.set_modes(None, self.settings.checked(name, value)[1] == "on")
        elif lowered in ("session_authorization", "role"):
            self._become(lowered, value)
        else:
            return self.settings.set(name, value, local)
        return self.settings.get(name) or ""

    def next_values(self, sequence: int, count: int) -> Sequence[int]:
        """See engine.seams.SessionInfo."""
        queries.refuse_read_only(self, "nextval()")
        values = self.transaction.next_value(sequence, count)
        self.drew(sequence, values[-1])
        return values

    def set_value(self, sequence: int, value: int, called: bool) -> int:
        """See engine.seams.SessionInfo."""
        queries.refuse_read_only(self, "setval()")
        self.transaction.set_value(sequence, value, called)
        if called:
            self._currents[sequence] = value
        return value

    def signal(self, pid: int, terminate: bool) -> bool:
        """See engine.seams.SessionInfo."""
        other = activity.sessions().get(pid)
        if other is None:
            return False
        if terminate and other.on_terminate is not None:
            other.on_terminate()
        other.cancel()
        return True

    def notify(self, channel: str, payload: str) -> None:
        """See engine.seams.SessionInfo."""
        self.mailbox.notify(channel, payload, len(self.savepoints))


def _clock() -> int:
    """Microseconds since 2000-01-01 UTC."""
    return time.time_ns() // 1000 - _EPOCH


def _isolation(text: str) -> Isolation:
    match text:
        case "serializable" | "repeatable read" | "read committed" | "read uncommitted":
            return text
    raise AssertionError(text)


def _given_type(oid: int) -> Type | None:
    if oid in (0, 705):
        return None
    known = BY_OID.get(oid)
    if known is None:
        raise UndefinedObject(f"type with OID {oid} does not exist")
    return known
