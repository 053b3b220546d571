"""Sequences' current values: never rolled back, never given twice, also not after a crash.

Before a value is handed out the log holds a promise at least as far on: AHEAD values at a time, and a
crash skips what was not used of them. The transaction that drew values makes the log durable before it
ends, with its commit or without one. A manifest written while the server runs holds the promises, the one
of a clean stop the values themselves, so that a restart skips nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Sequence as Sequenced

from storage.definitions import Sequence
from storage.errors import NumericValueOutOfRange, SequenceLimitExceeded

AHEAD = 32

Record = Callable[[int, int, bool], None]
State = tuple[int, bool]
"""(last_value, is_called)"""


class Sequences:
    """The value of each sequence, by its key. `record(oid, value, called)` writes to the log."""

    def __init__(self, record: Record) -> None:
        self._lock = threading.Lock()
        self._record = record
        self._values: dict[int, State] = {}  # (last value, whether it was given out)
        self._promised: dict[int, int] = {}  # how far the log has it

    def restore(self, oid: int, value: int, called: bool) -> None:
        """What the manifest or the log says."""
        self._values[oid] = (value, called)

    def kept(self, *, exactly: bool) -> dict[int, State]:
        """For the manifest: the values, or what the log has promised unless `exactly`."""
        with self._lock:
            if exactly:
                return dict(self._values)
            return {
                oid: (self._promised.get(oid, value), called) for oid, (value, called) in self._values.items()
            }

    def state(self, sequence: Sequence) -> State:
        """What SELECT from the sequence shows."""
        first = sequence.start if sequence.restart is None else sequence.restart
        return self._values.get(sequence.key, (first, False))

    def next(self, sequence: Sequence, count: int) -> Sequenced[int]:
        """The next `count` values. Raises SequenceLimitExceeded at the end of one that does not cycle."""
        if sequence.cycle and count > 1:
            return [self.next(sequence, 1)[0] for _ in range(count)]
        with self._lock:
            return self._advance(sequence, count)

    def draw(self, sequence: Sequence) -> tuple[int, State]:
        """(the next value, what `give_back` takes to undo that). Raises SequenceLimitExceeded."""
        with self._lock:
            before = self.state(sequence)
            return self._advance(sequence, 1)[0], before

    def _advance(self, sequence: Sequence, count: int) -> Sequenced[int]:
        value, called = self.state(sequence)
        first = value + sequence.increment if called else value
        last = first + (count - 1) * sequence.increment
        if not sequence.minimum <= last <= sequence.maximum:
            first = last = self._wrapped(sequence, count)
        self._promise(sequence, last)
        self._values[sequence.key] = (last, True)
        return range(first, last + (1 if sequence.increment > 0 else -1), sequence.increment)

    def give_back(self, sequence: Sequence, value: int, before: State) -> None:
        """A value that was drawn is not wanted: the next has it, unless somebody has drawn since."""
        with self._lock:
            if self._values.get(sequence.key) == (value, True):
                self._values[sequence.key] = before

    def _promise(self, sequence: Sequence, last: int) -> None:
        """Have the log hold that values up to `last` were given out."""
        up = sequence.increment > 0
        promised = self._promised.get(sequence.key)
        value, called = self.state(sequence)
        if promised is not None and called:
            # `last` stands between the value before and the promise: a sequence that has wrapped does not
            low, high = (value, promised) if up else (promised, value)
            if low <= last <= high:
                return
        ahead = last + AHEAD * sequence.increment
        promised = min(ahead, sequence.maximum) if up else max(ahead, sequence.minimum)
        if not sequence.temporary:
            self._record(sequence.key, promised, True)
        self._promised[sequence.key] = promised

    @staticmethod
    def _wrapped(sequence: Sequence, count: int) -> int:
        up = sequence.increment > 0
        bound = sequence.maximum if up else sequence.minimum
        if not sequence.cycle or count > 1:
            raise SequenceLimitExceeded(
                f"nextval: reached {'maximum' if up else 'minimum'} value of sequence "
                f'"{sequence.name}" ({bound})'
            )
        return sequence.minimum if up else sequence.maximum

    def set(self, sequence: Sequence, value: int, called: bool) -> None:
        """setval. Raises NumericValueOutOfRange."""
        if not sequence.minimum <= value <= sequence.maximum:
            raise NumericValueOutOfRange(
                f'setval: value {value} is out of bounds for sequence "{sequence.name}" '
                f"({sequence.minimum}..{sequence.maximum})"
            )
        with self._lock:
            if not sequence.temporary:
                self._record(sequence.key, value, called)
            self._promised.pop(sequence.key, None)
            self._values[sequence.key] = (value, called)

    def forget(self, oid: int) -> None:
        """The sequence was dropped."""
        with self._lock:
            self._values.pop(oid, None)
            self._promised.pop(oid, None)
