"""Sequences' current values: never rolled back, never given twice, also not after a crash.

Before a value is handed out the log holds one at least as far on: it is written AHEAD values at a time,
and a crash skips what was not used of them. The record needs no flush of its own, for it lies in the log
before any commit that can tell somebody the value.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from storage.catalog import Sequence
from storage.errors import NumericValueOutOfRange, SequenceLimitExceeded

AHEAD = 32

Record = Callable[[int, int, bool], None]


class Sequences:
    """The value of each sequence, by OID. `record(oid, value, called)` writes to the log."""

    def __init__(self, record: Record) -> None:
        self._lock = threading.Lock()
        self._record = record
        self._values: dict[int, tuple[int, bool]] = {}  # (last value, whether it was given out)
        self._logged: dict[int, int] = {}  # values still covered by the log

    def restore(self, oid: int, value: int, called: bool) -> None:
        """What the manifest or the log says."""
        self._values[oid] = (value, called)

    def kept(self) -> dict[int, tuple[int, bool]]:
        """What the manifest has to hold: values with what the log has promised."""
        with self._lock:
            return {
                oid: (value + self._logged.get(oid, 0), called)
                for oid, (value, called) in self._values.items()
            }

    def state(self, sequence: Sequence) -> tuple[int, bool]:
        """(last_value, is_called)."""
        return self._values.get(sequence.oid, (sequence.start, False))

    def next(self, sequence: Sequence, count: int) -> range:
        """The next `count` values. Raises SequenceLimitExceeded at the end of one that does not cycle."""
        with self._lock:
            value, called = self.state(sequence)
            first = value + sequence.increment if called else value
            last = first + (count - 1) * sequence.increment
            if not sequence.minimum <= last <= sequence.maximum:
                first = last = self._wrapped(sequence, count)
            covered = self._logged.get(sequence.oid, 0) - count * abs(sequence.increment)
            if covered < 0:
                ahead = AHEAD * sequence.increment
                self._record(sequence.oid, last + ahead, True)
                covered = abs(ahead)
            self._logged[sequence.oid] = covered
            self._values[sequence.oid] = (last, True)
            return range(first, last + (1 if sequence.increment > 0 else -1), sequence.increment)

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
            self._record(sequence.oid, value, called)
            self._logged[sequence.oid] = 0
            self._values[sequence.oid] = (value, called)

    def forget(self, oid: int) -> None:
        """The sequence was dropped."""
        with self._lock:
            self._values.pop(oid, None)
            self._logged.pop(oid, None)
