"""What scans by certified codes have done, of one scan and of a table: sums that threads add to.

A table's sums begin when the server starts, and go with the table; TRUNCATE leaves them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums. `decided` says of how many rows the codes alone knew the answer, depth by depth."""

    scans: int = 0
    segments: int = 0
    """Segments whose codes were asked."""
    skipped: int = 0
    """Segments that zone maps ruled out."""
    rows: int = 0
    """Rows whose codes were asked."""
    decided: tuple[int, ...] = ()
    full: int = 0
    """Rows whose vectors were read, because the codes left them open."""
    plain: int = 0
    """Rows without codes, all of which were read: new ones, and where codes do not pay."""
    code_bytes: int = 0
    full_bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        depths = max(len(self.decided), len(other.decided))
        mine, others = (t.decided + (0,) * (depths - len(t.decided)) for t in (self, other))
        return Tally(
            self.scans + other.scans,
            self.segments + other.segments,
            self.skipped + other.skipped,
            self.rows + other.rows,
            tuple(a + b for a, b in zip(mine, others, strict=True)),
            self.full + other.full,
            self.plain + other.plain,
            self.code_bytes + other.code_bytes,
            self.full_bytes + other.full_bytes,
        )


class Tallies:
    """A tally that threads add to, and the time from its making to the last of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sum = Tally()
        self._begun = self._ended = time.perf_counter()

    @property
    def sum(self) -> Tally:
        """All that was added."""
        return self._sum

    @property
    def seconds(self) -> float:
        """From the beginning to the last addition."""
        return self._ended - self._begun

    def add(self, tally: Tally) -> None:
        """Add what somebody has done."""
        with self._lock:
            self._sum += tally
            self._ended = time.perf_counter()
