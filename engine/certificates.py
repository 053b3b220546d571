"""Certificates: what a search by certified codes has done, added up while it runs."""

from __future__ import annotations

from typing import Any

from engine.counters import certificate
from engine.run import Run
from storage.seams import TableView
from storage.segments.tally import Tally


def enabled(run: Run) -> bool:
    """Whether the session lets codes be asked: enable_certified_scan."""
    return run.settings.get("enable_certified_scan", "on") != "off"


class Sums:
    """The sums that one search adds to: the table's, and those of EXPLAIN ANALYZE. Any thread may add."""

    def __init__(self, view: TableView, operator: Any, run: Run) -> None:
        self._sums = [view.tallies]
        if run.counters is not None:
            self._sums.append(certificate(run, operator))

    def add(self, tally: Tally) -> None:
        """Add what was done."""
        for sums in self._sums:
            sums.add(tally)
