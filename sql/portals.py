"""Portals: bound statements that can be read a part at a time.

A portal's rows are one iterator that lives from its first reading to its end; `take` cuts them at a row
count, so a FETCH and an Execute with a limit may stop inside a batch. A cursor that may go back, or outlives
its transaction, keeps its rows in a spool. What gives no rows runs once. A portal whose reading failed is
dead: its name stays taken until its transaction, or the savepoint it was made under, is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import GeneratorType

from engine.spool import Spool
from sql.outcome import Empty, Field, Outcome, Rows
from storage.batch import Batch
from storage.column import Column
from storage.errors import ObjectNotInPrerequisiteState
from storage.waiting import WouldBlock, about_to_wait


@dataclass
class BoundPortal:
    """A statement with its parameters. `start` runs it; `outcome` is what it gave, once it has begun."""

    name: str
    fields: tuple[Field, ...] | None
    start: Callable[[], Outcome]
    parameters: Sequence[Column] = ()
    short: bool = True  # whether it may be begun on the event loop
    outcome: Outcome | None = None
    hold: bool = False  # a cursor that outlives its transaction
    held: bool = False  # it has outlived it
    binary: bool = False  # DECLARE BINARY
    statement: str = ""
    level: int = 0  # of savepoints that it was made under
    scroll: bool = False  # a cursor that may go back
    spool: Spool | None = None
    place: int = 0  # the row, counted from 1, that was given last; one more than there are: beyond the end
    dead: bool = False
    ended: bool = False  # all rows have been given, and asked for more
    _left: Batch | None = field(default=None, repr=False)
    _batches: Iterator[Batch] | None = field(default=None, repr=False)

    def read(self, batches: Iterator[Batch]) -> None:
        """Say where the rows come from."""
        self._batches = batches

    def begin(self) -> Outcome:
        """Run the statement, unless it runs already. Raises ObjectNotInPrerequisiteState where it cannot."""
        if self.dead or not (self.outcome is None or isinstance(self.outcome, Rows | Empty)):
            raise ObjectNotInPrerequisiteState(f'portal "{self.name}" cannot be run')
        if self.outcome is None:
            with self.dying():
                self.outcome = self.start()
            if isinstance(self.outcome, Rows) and self._batches is None:
                self.read(self.outcome.batches)
        return self.outcome

    def take(self, count: int | None) -> Iterator[Batch]:
        """The next `count` rows (None: all that are left)."""
        if self.spool is not None:
            yield from self._spooled(self.spool, count)
            return
        if self._batches is None:
            self.begin()
        assert self._batches is not None
        while count is None or count > 0:
            with self.dying():
                batch = self._left if self._left is not None else next(self._batches, None)
            self._left = None
            if batch is None:
                self.ended = True
                return
            if count is not None and batch.rows > count:
                batch, self._left = batch.slice(0, count), batch.slice(count, batch.rows)
            if count is not None:
                count -= batch.rows
            self.place += batch.rows
            yield batch

    def _spooled(self, spool: Spool, count: int | None) -> Iterator[Batch]:
        """`take` from a spool."""
        first, last = self.place + 1, None if count is None else self.place + count
        about_to_wait()
        with self.dying():
            there = spool.reach(last)
        self.place = last if there and last is not None else spool.rows + 1
        yield from spool.forward(first, spool.rows if last is None else last)

    @contextmanager
    def dying(self) -> Iterator[None]:
        """What fails inside leaves the portal dead."""
        try:
            yield
        except WouldBlock:  # it is begun again
            raise
        except BaseException:
            self.dead = True
            raise

    def materialise(self) -> None:
        """Read everything now: the transaction is about to end."""
        about_to_wait()
        if self.spool is not None:
            with self.dying():
                self.spool.reach(None)
        self.held = True

    def die(self) -> None:
        """Let go of what the rows hold, and give no more of them."""
        self.dead = True
        self.close()

    def close(self) -> None:
        """Let go of what the rows hold."""
        if self.spool is not None:
            self.spool.close()
        _close(self._batches)
        _close(getattr(self.outcome, "batches", None))


class Portals(dict[str, BoundPortal]):
    """A session's portals by name, and what becomes of them when its transaction goes on or ends."""

    def close(self, name: str) -> None:
        """Forget a portal, if it is there."""
        bound = self.pop(name, None)
        if bound is not None:
            bound.close()

    def hold(self) -> None:
        """The transaction is about to commit: read now what is to outlive it."""
        for portal in self.values():
            if portal.hold and not portal.held:
                portal.materialise()

    def end(self) -> None:
        """The transaction has ended: only what outlives it stays."""
        for name in [name for name, portal in self.items() if not portal.held]:
            self.close(name)

    def die(self, level: int) -> None:
        """What was made under so many savepoints has failed."""
        for portal in self.values():
            if portal.level == level and not portal.held:
                portal.die()

    def drop(self, level: int) -> None:
        """ROLLBACK TO a savepoint: what was made under `level` of them, or more, is gone."""
        for name in [name for name, portal in self.items() if portal.level >= level and not portal.held]:
            self.close(name)

    def rise(self, level: int) -> None:
        """RELEASE: what was made under more savepoints than `level` belongs to that many."""
        for portal in self.values():
            portal.level = min(portal.level, level)


def _close(batches: Iterator[Batch] | None) -> None:
    """End a generator, unless its own error brought us here: then it is ending already."""
    if isinstance(batches, GeneratorType) and not batches.gi_running:
        batches.close()
