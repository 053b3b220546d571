"""EXPLAIN ANALYZE's figures: what each operator of a run has done.

`Run.counters` is a `Counters`, or None where nobody asked. Figures belong to the operator object (a
plan's node), and tasks on several threads add to them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.run import Run
from storage.batch import Batch
from storage.segments.tally import Tallies


@dataclass
class Figures:
    """Of one operator: rows and batches that came out, seconds until the last, times it was started.

    `notes` are its own figures by name, as EXPLAIN prints them: 'Segments Skipped', 'Rows Removed'.
    """

    rows: int = 0
    batches: int = 0
    loops: int = 0
    seconds: float = 0.0
    first: float = 0.0  # seconds until the first batch
    notes: dict[str, int] = field(default_factory=dict)
    certificate: Tallies | None = None  # of a search by certified codes

    @property
    def ran(self) -> bool:
        """Whether the operator did anything: of one whose tasks another takes only those are counted."""
        return self.loops > 0 or self.batches > 0 or self.certificate is not None


class Counters:
    """Figures by operator."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[int, tuple[Any, Figures]] = {}

    def of(self, operator: Any) -> Figures:
        """The figures of an operator; all zero if it never ran."""
        with self._lock:
            return self._entry(operator)

    def add(self, operator: Any, rows: int = 0, batches: int = 0, loops: int = 0, **notes: int) -> None:
        """Add to an operator's figures; underscores in names of notes are spaces."""
        with self._lock:
            figures = self._entry(operator)
            figures.rows += rows
            figures.batches += batches
            figures.loops += loops
            for name, count in notes.items():
                label = name.replace("_", " ")
                figures.notes[label] = figures.notes.get(label, 0) + count

    def _entry(self, operator: Any) -> Figures:
        # The operator is kept beside its figures, so that its id stays its own.
        return self._figures.setdefault(id(operator), (operator, Figures()))[1]


def count(run: Run, operator: Any, rows: int = 0, batches: int = 0, loops: int = 0, **notes: int) -> None:
    """Add to the run's figures, if it keeps any."""
    if run.counters is not None:
        run.counters.add(operator, rows, batches, loops, **notes)


def certificate(run: Run, operator: Any) -> Tallies:
    """The sums of an operator that searches by certified codes, in a run that keeps figures."""
    figures = run.counters.of(operator)
    if figures.certificate is None:
        figures.certificate = Tallies()
    found: Tallies = figures.certificate
    return found


def timed(run: Run, operator: Any, batches: Iterator[Batch], rows: bool = True) -> Iterator[Batch]:
    """The same batches, with the time that each took; and with their rows, unless a task counts them."""
    if run.counters is None:
        return batches
    return _timed(run, operator, batches, rows)


def _timed(run: Run, operator: Any, batches: Iterator[Batch], rows: bool) -> Iterator[Batch]:
    figures = run.counters.of(operator)
    figures.loops += 1
    begun, spent = figures.seconds, 0.0
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        spent += time.perf_counter() - start
        figures.seconds = begun + spent
        if batch is None:
            return
        if not figures.batches:
            figures.first = spent
        if rows:
            figures.rows += batch.rows
            figures.batches += 1
        yield batch
