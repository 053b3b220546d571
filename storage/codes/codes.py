"""Codes: cells, and what they are asked."""

from __future__ import annotations

from collections.abc import Sequence

from storage.codes import search
from storage.codes.cells import Cells
from storage.codes.limit import Limit
from storage.codes.metric import Question
from storage.codes.search import Floats, Nearest, Pairs, Promise, Rows, Verdict
from storage.column import Positions
from storage.predicate import Comparison


class Codes(Cells):
    """The codes of one vector column of one segment: see storage.codes.cells."""

    def decide(
        self, question: Question, op: Comparison, threshold: float, cells: range, rows: Rows = None
    ) -> Verdict:
        """See storage.codes.search.decide."""
        return search.decide(self, question, op, threshold, cells, rows)

    def shares(self, question: Question, op: Comparison, threshold: float) -> tuple[float, float]:
        """See storage.codes.search.shares."""
        return search.shares(self, question, op, threshold)

    def pairs(
        self,
        questions: Sequence[Question],
        op: Comparison,
        threshold: float,
        cells: range,
        rows: Rows = None,
    ) -> Pairs:
        """See storage.codes.search.pairs."""
        return search.pairs(self, questions, op, threshold, cells, rows)

    def promise(
        self, question: Question, descending: bool, count: int, cells: range, rows: Rows = None
    ) -> Promise | None:
        """See storage.codes.search.promise."""
        return search.promise(self, question, descending, count, cells, rows)

    def nearest(
        self,
        question: Question,
        limit: Limit,
        cells: range,
        rows: Rows = None,
        promised: Promise | None = None,
    ) -> Nearest:
        """See storage.codes.search.nearest."""
        return search.nearest(self, question, limit, cells, rows, promised)

    def bounds(self, question: Question, cells: range) -> tuple[Positions, Floats, Floats]:
        """See storage.codes.search.bounds."""
        return search.bounds(self, question, cells)
