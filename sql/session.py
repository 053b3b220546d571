"""A session: its prepared statements and portals, and what runs in its transaction (sql.transactions).

Implements sql.outcome's seam. On the event loop (storage.waiting) a session does what is short and waits for
nothing, and leaves everything else as it was, to be done again on a thread: texts that it has no plan for,
plans that are not short (sql.short), commands that are not (sql.statements).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from sql import activity, statements
from sql.channels import Mailbox
from sql.context import BindContext
from sql.outcome import (
    CopyIn,
    CopyOut,
    Done,
    Empty,
    Notice,
    Notification,
    Outcome,
    Prepared,
    Rows,
)
from sql.parse import Statement, parse
from sql.planned import Planned
from sql.portals import BoundPortal
from sql.routines import Routine
from sql.settings import SETTINGS, shown
from sql.shortstatements import ShortStatements
from sql.statements import queries
from sql.transactions import clock, isolation_of
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.definitions import type_defined
from storage.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    InsufficientPrivilege,
    InvalidCursorName,
    InvalidSqlStatementName,
    SqlSyntaxError,
    UndefinedObject,
)
from storage.memory import reservations
from storage.rights import roles_of
from storage.segments.cache import cache
from storage.transactions.locks import TableMode
from storage.types import BY_OID, Type, array_of
from storage.waiting import WouldBlock, about_to_wait

_BUFFER = 8192  # bytes: the unit of shared_buffers
_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970


_SEVERITIES = {"NOTICE": ("warning", "error"), "WARNING": ("error",)}
"""The values of client_min_messages that keep a message from the client."""

P = TypeVar("P")


class Session(ShortStatements):
    """See the module's text. Calls come from one thread at a time; `cancel` and `signal` from any."""

    def __init__(
        self, database: Database, user: str, database_name: str, settings: Mapping[str, str] | None = None
    ) -> None:
        """Raises what SET raises for a wrong setting."""
        super().__init__(database, user, settings or {})
        self.database = database_name
        self.backend_start = clock()
        self.on_terminate: Callable[[], None] | None = None
        self.on_notify: Callable[[], None] | None = None
        role = self.settings.values["role"]
        self.settings.begin_with("role", "none")
        self.settings.begin_with("is_superuser", "on" if self.superuser else "off")
        if role != "none":
            self.become("role", role, False)
        policy = database.policy
        self.settings.begin_with("max_wal_size", shown("max_wal_size", policy.log_bytes >> 10))
        self.settings.begin_with("checkpoint_timeout", shown("checkpoint_timeout", int(policy.seconds)))
        self.settings.begin_with("shared_buffers", shown("shared_buffers", cache.limit // _BUFFER))
        self.settings.begin_with("max_query_memory", shown("max_query_memory", reservations.limit >> 10))
        self._reported: Mapping[str, str] | None = None  # the settings that the client has been told of
        self._notices: list[Notice] = []
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        activity.enter(self)
        self.mailbox = Mailbox(database, self.backend_pid)
        self.mailbox.rings = self._ring

    # Simple protocol

    def simple(self, text: str) -> Iterator[Outcome]:
        """See sql.outcome.SessionSeam."""
        self.prepared.pop("", None)
        self.close_portal("")
        with self.guard():
            known = self.planner.short(text)
            if known is not None:
                self.refuse_if_failed(known[0])
                outcome = self.run(*known)
        if known is not None:
            yield self._ending(outcome, True)
            return
        with self.guard():
            found = self.planner.read(text)
        if not found:
            yield Empty()
            return
        if len(found) > 1:
            about_to_wait()  # what is done at once is begun again as a whole
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
                    try:
                        self.conclude()
                    except WouldBlock:
                        self.take_back()
                        raise
            return tag

        outcome.complete = complete
        return outcome

    # Extended protocol

    def prepare(self, name: str, text: str, parameter_oids: Sequence[int]) -> None:
        """See sql.outcome.SessionSeam."""
        with self.guard():
            before = None if name else self.prepared.pop("", None)  # gone, whatever comes of the new one
            if name and name in self.prepared:
                raise DuplicatePreparedStatement(f'prepared statement "{name}" already exists')
            types = [_given_type(oid, self.catalog) for oid in parameter_oids]
            known = None if self._failed else self.planner.known(types, text, before)
            if known is not None:
                self.prepared[name] = known
                return
            about_to_wait()  # planning takes long
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
                self.refuse()
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
                short=planned.plan is None or planned.plan.short,
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
                self.refuse()
        return found

    def execute(self, portal: str, limit: int = 0) -> Outcome:
        """See sql.outcome.SessionSeam."""
        bound = self.portal(portal)
        if bound.outcome is None and not bound.short:
            about_to_wait()  # a thread begins it
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
        self.portals.close(name)

    def sync(self) -> None:
        """See sql.outcome.SessionSeam."""
        if not self.explicit and self._transaction is not None:
            with self.guard():
                self.conclude()

    # Running

    def run(self, planned: Planned, parameters: Sequence[Column]) -> Outcome:
        """Run a statement in the transaction. Errors leave through the caller's guard."""
        self.refuse_if_failed(planned)
        self._begin_work(planned.text)
        self.begin_statement()
        if planned.statement is None:
            return Empty()
        if planned.plan is not None:
            planned.uses.count += 1
            self._settle(planned)
            self._allow(planned)
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
            self.lock_read(planned.plan.dependencies)
            if self.planner.is_current(planned):
                return
            self.planner.refresh(planned)

    def _allow(self, planned: Planned) -> None:
        """Raise InsufficientPrivilege where the user may not do what a plan does."""
        identity = self.identity
        if not identity.superuser and planned.allowed is not identity:
            assert planned.plan is not None
            self.check_needs(planned.plan.needs)
            planned.allowed = identity

    def settled(self, make: Callable[[BindContext], P], context: Callable[[], BindContext]) -> P:
        """See sql.statements.host.Host."""
        while True:
            given = context()
            made = make(given)
            self.lock_read(given.dependencies)
            if self.planner.stands(given.dependencies, given.names):
                return made

    def routine(self, oid: int, types: Sequence[Type]) -> Routine:
        """See engine.seams.SessionInfo."""
        return self.planner.routine(oid, types)

    def lock_read(self, dependencies: Iterable[tuple[int, int]]) -> None:
        """See engine.seams.SessionInfo."""
        transaction = self.transaction
        for oid, _ in dependencies:
            transaction.lock_table(oid, TableMode.AccessShareLock)

    def _guarded(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        with self.guard():
            yield from batches

    def _guarded_end(self, finish: Callable[[], str]) -> Callable[[], str]:
        def complete() -> str:
            with self.guard():
                return finish()

        return complete

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

    @property
    def quiet(self) -> bool:
        """See sql.outcome.SessionSeam."""
        return not self._notices and self.mailbox.empty and self._reported is self.settings.values

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
            self.set_modes(isolation_of(value.lower()), None)
        elif lowered == "transaction_read_only":
            self.set_modes(None, self.settings.checked(name, value)[1] == "on")
        elif lowered in ("session_authorization", "role"):
            self.become(lowered, value, local)
        else:
            known = SETTINGS.get(lowered)
            if known is not None and known.context == "superuser" and not self.superuser:
                raise InsufficientPrivilege(f'permission denied to set parameter "{known.name}"')
            return self.settings.set(name, value, local)
        return self.settings.get(name) or ""

    def next_values(self, sequence: int, count: int) -> Sequence[int]:
        """See engine.seams.SessionInfo."""
        self.check_sequence(sequence, "Uw")
        queries.refuse_read_only(self, "nextval()")
        values = self.transaction.next_value(sequence, count)
        self.drew(sequence, values[-1])
        return values

    def set_value(self, sequence: int, value: int, called: bool) -> int:
        """See engine.seams.SessionInfo."""
        self.check_sequence(sequence, "w")
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
        self._may_signal(other.session_user, terminate)
        if terminate and other.on_terminate is not None:
            other.on_terminate()
        other.cancel()
        return True

    def _may_signal(self, user: str, terminate: bool) -> None:
        """Raise InsufficientPrivilege where the user may not end what a session of another does."""
        role = self.catalog.role(user)
        if self.superuser or role is None or role.oid in roles_of(self.catalog, self.identity.role):
            return
        if role.superuser:
            what = "terminate superuser process" if terminate else "cancel superuser query"
            raise InsufficientPrivilege(f"must be a superuser to {what}")
        what = "process is being terminated" if terminate else "query is being canceled"
        raise InsufficientPrivilege(
            f"must be a member of the role whose {what} or member of pg_signal_backend"
        )

    def notify(self, channel: str, payload: str) -> None:
        """See engine.seams.SessionInfo."""
        self.mailbox.notify(channel, payload, len(self.savepoints))


def _given_type(oid: int, catalog: Catalog) -> Type | None:
    if oid in (0, 705):
        return None
    known = BY_OID.get(oid)
    if known is None:
        type = type_defined(catalog.typed(oid))
        if type is not None:
            return type if oid == type.catalog_oid else array_of(type)
        raise UndefinedObject(f"type with OID {oid} does not exist")
    return known
