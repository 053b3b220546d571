"""A run: what one execution of a plan is given, and everything of it that is not in the plan.

Plans are frozen and shared; the state of a run is here and in generators' frames.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.memory import Memory
from storage.column import Column
from storage.errors import QueryCanceled
from storage.seams import Snapshot, Transaction


class Cancel:
    """A flag that stops a run from another thread. `reason` is the message of the 57014.

    `deadline` is time.monotonic() of statement_timeout: a run that is gone on with gets a new one.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.deadline: float | None = None
        self.reason = "canceling statement due to user request"

    def set(self, reason: str | None = None) -> None:
        """Ask the run to stop at its next check."""
        if reason is not None:
            self.reason = reason
        self._event.set()

    def clear(self) -> None:
        """Forget an earlier request: a new statement begins."""
        self._event.clear()
        self.reason = "canceling statement due to user request"

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, waking at a request; true if there is one."""
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Run:
    """Snapshot, transaction, parameters ($1 first), the outer row of a correlated subquery, limits.

    `session` is what functions such as current_user and nextval ask, by name: see engine.functions.
    `now` is the transaction's start in microseconds since 2000-01-01 UTC.
    """

    snapshot: Snapshot
    transaction: Transaction
    parameters: Sequence[Column] = ()  # constant columns
    outer: Sequence[Column] = ()  # constant columns
    cancel: Cancel = field(default_factory=Cancel)
    settings: Mapping[str, str] = field(default_factory=dict)
    session: Any = None
    now: int = 0
    counters: Any = None  # EXPLAIN ANALYZE's figures by operator id, where wanted
    memory: Memory = field(default_factory=Memory)  # what its operators may hold
    memo: dict[Any, Any] = field(default_factory=dict)  # shared tables of a run: CTEs, subqueries

    @property
    def deadline(self) -> float | None:
        """time.monotonic() of statement_timeout."""
        return self.cancel.deadline

    def check(self) -> None:
        """Raise QueryCanceled if the client or statement_timeout wants the run to end: once a batch."""
        if self.cancel.is_set:
            raise QueryCanceled(self.cancel.reason)
        deadline = self.cancel.deadline
        if deadline is not None and time.monotonic() > deadline:
            raise QueryCanceled("canceling statement due to statement timeout")

    def within(self, outer: Sequence[Column]) -> Run:
        """The same run inside a correlated subquery, for one outer row."""
        return replace(self, outer=outer, memo={})
