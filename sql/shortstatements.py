"""What a session does with a short statement (sql.short, sql.single) that is a transaction of its own.

It is bound, run and committed in one call; one that only looks may also stand in a transaction that has
changed nothing, and is read committed. Whatever is out of the ordinary gives None, or raises WouldBlock,
with nothing done: the statement goes the usual way then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.late import fetched
from engine.run import Cancel, Run
from sql.context import Plan
from sql.outcome import Done, Once, Outcome, Rows, Short
from sql.planned import Planned, Planner
from sql.single import Drawing, FindRow, Given, InsertRow
from sql.transactions import SessionTransaction, clock
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.errors import DatabaseError
from storage.transactions.locks import TableMode
from storage.transactions.snapshot import Snapshot
from storage.waiting import WouldBlock


class ShortStatements(SessionTransaction):
    """See the module's text."""

    def __init__(self, database: Database, user: str, settings: Mapping[str, str]) -> None:
        """Raises what SET raises for a wrong setting."""
        super().__init__(database, user, settings)
        self.query, self.query_start, self.state_change, self.working = "", 0, clock(), False
        self.planner = Planner(self)
        self.prepared: dict[str, Planned] = {}
        self._idle = Cancel()  # of what is over before anybody could cancel it

    def rest(self) -> None:
        """See sql.outcome.SessionSeam."""
        if self.working:
            self.state_change, self.working = clock(), False

    def _begin_work(self, text: str) -> None:
        """A statement of this text begins."""
        self.query, self.query_start = text, clock()
        if not self.working:
            self.state_change, self.working = self.query_start, True

    def run(self, planned: Planned, parameters: Sequence[Column]) -> Outcome:
        """Run a statement in the transaction."""
        raise NotImplementedError

    def short(self, statement: str) -> Planned | None:
        """See sql.outcome.SessionSeam."""
        planned = self.prepared.get(statement)
        if planned is None or not planned.short:
            return None
        if not self._stands_alone and not self._looks_along(planned):
            return None
        return planned if self._is_allowed(planned) and self.planner.is_fresh(planned) else None

    def short_query(self, text: str) -> tuple[Planned, Sequence[Column]] | None:
        """See sql.outcome.SessionSeam."""
        self.prepared.pop("", None)  # a Query ends the unnamed statement, whichever way it goes
        if not self._stands_alone and not self._may_look_along:
            return None
        found = self.planner.short(text)
        if found is None or not self._is_allowed(found[0]):
            return None
        return found if self._stands_alone or self._looks_along(found[0]) else None

    def _is_allowed(self, planned: Planned) -> bool:
        """Whether the user is known to be allowed what a plan does."""
        identity = self.identity
        return identity.superuser or planned.allowed is identity

    @property
    def _stands_alone(self) -> bool:
        """Whether a statement would be a transaction of its own."""
        return self._transaction is None and not self.explicit

    @property
    def _may_look_along(self) -> bool:
        """Whether the running transaction sees just what is committed by now: it has changed nothing."""
        transaction = self._transaction
        if transaction is None or not self.explicit or self._failed:
            return False
        return transaction.sees_newest

    def _looks_along(self, planned: Planned) -> bool:
        """Whether a statement does no more in the running transaction than to look at what is committed."""
        return self._may_look_along and planned.plan is not None and planned.plan.only_looks

    def _open(self, table: int) -> bool:
        """Whether a table may be looked at now; a transaction that runs locks it till its end."""
        if self._transaction is not None:
            return self._transaction.opens(table)
        return self.store.waits.is_free(table, TableMode.AccessShareLock)

    def once(self, short: Short, parameters: Sequence[Column]) -> Once | None:
        """See sql.outcome.SessionSeam."""
        assert isinstance(short, Planned)
        assert short.plan is not None
        if short.single is not None:
            done = self.single(short, [column.tolist()[0] for column in parameters])
            if done is not None:
                return done
        if short.plan.only_looks:
            return self._look(short, short.plan, parameters)
        if not self._stands_alone:
            return None
        try:
            outcome = self.run(short, parameters)
            batches = list(outcome.batches) if isinstance(outcome, Rows) else []
            assert isinstance(outcome, Rows | Done)
            tag = outcome.complete()
            self.conclude()
        except WouldBlock:
            self.take_back()
            raise
        except Exception:
            self.take_back()
            return None
        return Once(batches, tag)

    def single(self, short: Short, values: Sequence[Any]) -> Once | None:
        """See sql.outcome.SessionSeam."""
        assert isinstance(short, Planned)
        if isinstance(short.single, FindRow):
            return self._find(short, short.single, values)
        assert short.single is not None
        return self._insert(short, short.single, values)

    def _find(self, planned: Planned, plan: FindRow, values: Sequence[Any]) -> Once | None:
        """A lookup by key: of what was visible at one moment, if it is still the newest afterwards."""
        store, oid = self.store, plan.key.table.oid
        visible = store.visible
        if self.temporary.over(visible[1]) is not planned.checked:
            return None
        if not self._open(oid):
            return None
        self._begin_work(planned.text)
        given = Given(values, self._began or self.query_start, _draws_nothing)
        row = plan.find(store.store(oid), visible[0], given)
        if store.visible is not visible:
            return None
        planned.uses.count += 1
        return Once([], "SELECT 0" if row is None else "SELECT 1", row)

    def _insert(self, planned: Planned, plan: InsertRow, values: Sequence[Any]) -> Once | None:
        """An INSERT of one row."""
        if not self.defers_commits or self.default_read_only:
            return None
        self._begin_work(planned.text)
        sequences, done = Drawing(self), False
        try:
            row = plan.row(Given(values, self.query_start, sequences.draw))
            if row is not None:
                done = self.commit_row(plan.rows, row, lambda: self.planner.is_current(planned))
        except DatabaseError:  # of a sequence at its end
            return None
        finally:
            if not done:
                sequences.give_back()
        planned.uses.count += 1
        return Once([], "INSERT 0 1", plan.returned(row)) if row is not None and done else None

    def _look(self, planned: Planned, plan: Plan, parameters: Sequence[Column]) -> Once | None:
        """A statement that reads and is over at once: of a transaction it needs no more than a snapshot."""
        if not all(self._open(oid) for oid, _ in plan.dependencies):
            return None
        self._begin_work(planned.text)
        snapshot = self.store.newest(self._seen)
        if snapshot.catalog is not planned.checked:
            return None  # changed meanwhile
        nothing: Any = None
        run = Run(snapshot, nothing, parameters, cancel=self._idle)
        try:
            batches = [fetched(batch) for batch in plan.operator.batches(run)]
        except Exception:
            return None
        planned.uses.count += 1
        return Once(batches, f"SELECT {sum(batch.rows for batch in batches)}")

    def _seen(self, commit: int, catalog: Catalog) -> Snapshot:
        return Snapshot(self.store, self.temporary.over(catalog), commit)


def _draws_nothing(sequence: int) -> int:
    raise AssertionError("a key is drawn from a sequence")
