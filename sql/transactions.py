"""A session's transaction: when it begins, fails and ends, and what of the session goes with it.

The rules are PostgreSQL's. A Query message is one implicit transaction for all its statements, a series of
the extended protocol one up to Sync; BEGIN makes either explicit, COMMIT and ROLLBACK end it whichever it
is. An error rolls an implicit transaction back, and fails an explicit one: until it ends, everything but its
end (or ROLLBACK TO) is refused with 25P02.

A commit has two halves. `begin_commit` has it recorded, and leaves everything as it was where that would
have to wait (storage.waiting); from then on the transaction can only be committed. `commit` waits until the
log has it on disk and ends the transaction. Whoever carries the answers away may see to that wait himself:
where `defers_commits` is set, `conclude` leaves him what waits as `pending`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from engine.memory import Memory
from engine.operators.references import settle
from engine.run import Cancel, Run
from sql.asked import Asked
from sql.channels import Mailbox
from sql.planned import Planned, Reading
from sql.portals import Portals
from sql.settings import Layers
from sql.statements import removing
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.errors import (
    ActiveSqlTransaction,
    DatabaseError,
    InFailedSqlTransaction,
    InternalError,
    OutOfMemory,
    StatementTooComplex,
)
from storage.rows import Row
from storage.transactions.single import RowTable, Single
from storage.transactions.temporary import Temporary
from storage.transactions.transaction import Isolation, Transaction
from storage.waiting import about_to_wait

_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970


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


class _Modes(NamedTuple):
    """What settings say of a transaction that begins, and of how long its statements may wait (seconds)."""

    values: Mapping[str, str]  # the settings it was read from
    isolation: Isolation
    read_only: bool
    statement_timeout: float
    lock_timeout: float
    deadlock_timeout: float


class SessionTransaction(Asked):
    """See the module's text. The session adds what runs in the transaction."""

    def __init__(self, database: Database, user: str, settings: Mapping[str, str]) -> None:
        """Raises what SET raises for a wrong setting."""
        super().__init__(database, user, settings)
        self.backend_pid = 0
        self.mailbox: Mailbox
        self.portals = Portals()
        self.savepoints: list[tuple[str, int, Layers]] = []
        self.explicit = False
        self.defers_commits = False
        self.temporary = Temporary()
        self._failed = False
        self._transaction: Transaction | None = None
        self._pending: Transaction | Single | None = None
        self._began = 0
        self._before: Layers = self.settings.layers
        self._cancel = Cancel()
        self._woken = threading.Event()
        self._check = Run(None, None, cancel=self._cancel).check  # type: ignore[arg-type]
        self._guard = Guard(self.fail)
        self._modes: _Modes | None = None

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
        return self._began or clock()

    @property
    def transaction_start(self) -> int:
        """The start of the transaction that runs, 0 for none."""
        return self._began

    @property
    def transaction(self) -> Transaction:
        """The running transaction; an implicit one begins if there is none."""
        return self._transaction or self._begin()

    def _begin(self) -> Transaction:
        modes = self._current_modes()
        self._before = self.settings.layers
        self._began = clock()
        transaction = self.store.begin(
            modes.isolation, modes.read_only, self._check, self.temporary, self._woken
        )
        self._transaction = transaction
        transaction.session = self.backend_pid
        values = modes.values
        for name, value in (
            ("transaction_isolation", modes.isolation),
            ("transaction_read_only", "on" if modes.read_only else "off"),
        ):
            if values[name] != value:
                self.settings.put(name, value, local=True)
        return transaction

    def _current_modes(self) -> _Modes:
        """What the settings say now, read once for all statements until they change."""
        values, modes = self.settings.values, self._modes
        if modes is None or modes.values is not values:
            modes = self._modes = _Modes(
                values,
                isolation_of(values["default_transaction_isolation"]),
                values["default_transaction_read_only"] == "on",
                self.settings.milliseconds("statement_timeout") / 1000,
                self.settings.milliseconds("lock_timeout") / 1000,
                self.settings.milliseconds("deadlock_timeout") / 1000,
            )
        return modes

    def begin_statement(self) -> None:
        """A statement begins: its time runs. A cancel that came since its message did is for it."""
        transaction, modes = self.transaction, self._current_modes()
        limit = modes.statement_timeout
        self._cancel.deadline = transaction.deadline = time.monotonic() + limit if limit else None
        transaction.lock_timeout = modes.lock_timeout
        transaction.deadlock_timeout = modes.deadlock_timeout

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
            memory=Memory(self.settings.values, self.store.scratch),
        )

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
            transaction.isolation = isolation_of(isolation)
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

    # Its end

    def begin_commit(self) -> None:
        """Have what the transaction did recorded: from here on it can only be committed."""
        if not self._failed:
            self.portals.hold()
        transaction = self._transaction
        if transaction is None:
            return
        try:
            if transaction.deferred:
                about_to_wait()
                settle(self.new_run(()))
            removing.end_temporary(transaction)
            transaction.synchronous = self.settings.values["synchronous_commit"] != "off"
            transaction.record()
        except DatabaseError:
            self.rollback()
            raise

    def commit(self) -> None:
        """End the transaction, if there is one: what it did is durable and visible, or it raises."""
        self.begin_commit()
        transaction, self._transaction, self._pending = self._transaction, None, None
        try:
            if transaction is not None:
                transaction.commit()
            self.mailbox.commit()
        except DatabaseError:
            self.mailbox.rollback()
            self.settings.restore(self._before)
            raise
        finally:
            self._ended()
        self.settings.end_local()

    def conclude(self) -> None:
        """`commit` as the last thing that a statement or a series does: the wait may be left `pending`."""
        if self.defers_commits:
            self.begin_commit()
            if self._transaction is not None and self._transaction.waits:
                self._pending = self._transaction
                return
        self.commit()

    @property
    def default_read_only(self) -> bool:
        """Whether a transaction that begins may only read."""
        return self._current_modes().read_only

    def commit_row(self, rows: RowTable, row: Row, is_current: Callable[[], bool]) -> bool:
        """Insert a row, and `conclude`, as a transaction of its own; False: nothing was done.

        `is_current`: see storage.transactions.single. Raises WouldBlock.
        """
        synchronous = self.settings.values["synchronous_commit"] != "off"
        commit = Single(self.store, self.backend_pid, synchronous)
        try:
            if not commit.insert(rows, row, is_current):
                return False
        except DatabaseError:
            return False  # the general way meets it again, and says where
        if commit.waits:
            self._pending = commit
        else:
            commit.end()
        return True

    @property
    def pending(self) -> Transaction | Single | None:
        """See sql.outcome.SessionSeam."""
        return self._pending

    def settle(self) -> None:
        """See sql.outcome.SessionSeam."""
        with self._guard:
            if isinstance(self._pending, Single):
                self._end_single()
            else:
                self.commit()

    def _end_single(self) -> None:
        commit, self._pending = self._pending, None
        assert isinstance(commit, Single)
        commit.end()

    def take_back(self) -> None:
        """What was begun at once, and is a transaction of its own, will be done again on a thread."""
        if self._transaction is not None:
            self._transaction.take_back(None)

    def rollback(self) -> None:
        """End the transaction, if there is one: nothing of it happened."""
        transaction = self._transaction
        if transaction is not None and transaction.waits_to_roll_back:
            about_to_wait()
        if isinstance(self._pending, Single):
            with suppress(DatabaseError):  # what is in the log cannot be taken back
                self._end_single()
        self._transaction = self._pending = None
        self._ended()
        self.mailbox.rollback()
        if transaction is not None:
            transaction.rollback()
            self.settings.restore(self._before)

    def _ended(self) -> None:
        self.explicit = self._failed = False
        self.savepoints = []
        self._began = 0
        self.portals.end()

    def fail(self) -> None:
        """See sql.outcome.SessionSeam: an error ended what ran."""
        if self.explicit:
            self._fail_block()
        else:
            self.rollback()
        self.forget_cancel()

    def _fail_block(self) -> None:
        if self._transaction is not None and self._transaction.waits_to_roll_back:
            about_to_wait()
        self._failed = True
        self.portals.die(len(self.savepoints))
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
        self.portals.drop(len(self.savepoints))

    def released(self) -> None:
        """RELEASE has made a savepoint's work that of what is around it."""
        self.portals.rise(len(self.savepoints))

    def guard(self) -> Guard:
        """Whatever ends what runs in here puts the transaction into its right state."""
        return self._guard

    def refuse_if_failed(self, planned: Planned | Reading) -> None:
        """Raise InFailedSqlTransaction unless the statement may end a failed transaction."""
        if self._failed and not planned.ends_transaction:
            self.refuse()

    def refuse(self) -> None:
        """Raise InFailedSqlTransaction in a failed transaction."""
        if self._failed:
            raise InFailedSqlTransaction(
                "current transaction is aborted, commands ignored until end of transaction block"
            )

    def forget_cancel(self) -> None:
        """See sql.outcome.SessionSeam."""
        if self._cancel.is_set:
            self._cancel.clear()

    def cancel(self) -> None:
        """See sql.outcome.SessionSeam."""
        self._cancel.set()
        transaction = self._transaction
        if transaction is not None:
            transaction.interrupt()


def clock() -> int:
    """Microseconds since 2000-01-01 UTC."""
    return time.time_ns() // 1000 - _EPOCH


def isolation_of(text: str) -> Isolation:
    """A value of transaction_isolation as a transaction has it."""
    match text:
        case "serializable" | "repeatable read" | "read committed" | "read uncommitted":
            return text
    raise AssertionError(text)
