"""SimilarityJoin: pairs of rows whose vectors are near each other, most of them without the vectors.

Each row of one side is a query, and codes (storage.codes) of the other side, a table's scan, say which of
its rows cannot meet the join's condition with it. Many queries are asked in one task. The pairs that are left
are decided by the condition as it was written, so the answer is that of trying every pair; rows of the table
that have no codes are tried with every query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.certificates import Sums, enabled
from engine.counters import timed
from engine.late import is_wide, row_bytes
from engine.nodes import Reference, walk
from engine.operators.base import Operator
from engine.operators.bounds import conjunction_of
from engine.operators.loopjoin import LoopJoin
from engine.operators.pairs import Pairs
from engine.operators.rows import Rows
from engine.operators.scan import Scan
from engine.operators.scanrows import ScanRows, Test
from engine.operators.searching import loading
from engine.parallel import pool_safe, prepare
from engine.pool import ordered
from engine.run import Run
from engine.seams import Expression
from engine.similarity import Term, elements_of, limit_of, usable
from storage.batch import Batch
from storage.codes import Codes, Question
from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition
from storage.predicate import Comparison, Conjunction
from storage.seams import Morsel, TableView
from storage.segments.tally import Tally
from storage.types import Type

# Queries that are answered together, at first and at most, and pairs of them that are held at once, about.
_FEW_QUERIES, _QUERIES, _PAIRS = 4, 256, 1 << 20
# Queries that share a pass over codes.
_TOGETHER = 32


@dataclass(frozen=True)
class Way:
    """A way to make the join: the rows of `outer` are queries, those of `scan` have codes.

    `term` is of the scan's output, its query of the outer rows; `condition` is over the columns of `outer`,
    then those of the scan. `flipped`: the scan is the join's left side.
    """

    outer: Operator
    scan: Scan
    term: Term
    condition: Expression
    flipped: bool = False


@dataclass(frozen=True)
class SimilarityJoin:
    """The join `plain`, of a kind that keeps no right rows of its own (flipped ways: inner only)."""

    plain: LoopJoin
    ways: tuple[Way, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return self.plain.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return self.plain.children

    def explain(self) -> str:
        kind = self.plain.kind
        return "Certified Join" if kind == "inner" else f"Certified {kind.title()} Join"

    def batches(self, run: Run) -> Iterator[Batch]:
        search = self._search(run)
        if search is None:
            yield from self.plain.batches(run)
        else:
            yield from timed(run, self, search.joined())

    def _search(self, run: Run) -> _Search | None:
        """The search of one run, in the largest table; None where it has to be the plain join."""
        if not enabled(run) or not pool_safe(self.plain.condition):
            return None
        found = [
            search
            for way in self.ways
            if not way.scan.row_ids and (search := _search(self, way, run)) is not None
        ]
        return max(found, key=lambda search: search.view.estimated_rows, default=None)


def _search(join: SimilarityJoin, way: Way, run: Run) -> _Search | None:
    scan = way.scan
    view = run.snapshot.table(scan.table)
    prepare(run, join.plain.condition, scan.condition)
    limit = limit_of(way.term, way.term.query.type.dtype == np.float64, run)
    advice = conjunction_of(scan.bounds, view.table, run)
    if isinstance(limit, bool) or advice is None:
        return None
    definition = view.table.definition(scan.numbers[way.term.column])
    morsels = list(view.morsels(advice[0], whole=True))
    found = loading((partial(morsel.codes, definition) for morsel in morsels), run)
    parts = [_Part(morsel, codes) for morsel, codes in zip(morsels, found, strict=True)]
    if all(part.codes is None for part in parts):
        return None
    complete = bool(advice[0]) and advice[1]
    whole = scan.test(scan.condition)
    tests = whole, scan.test(scan.rest) if complete else whole
    return _Search(join, way, view, advice[0], tests, limit, parts, run)


@dataclass(slots=True, eq=False)
class _Part:
    """A part of the table, its codes, and which of its rows count (None: all)."""

    morsel: Morsel
    codes: Codes | None
    rows: Positions | Mask | None = None


@dataclass(eq=False)
class _Search:
    """One run."""

    join: SimilarityJoin
    way: Way
    view: TableView
    predicate: Conjunction
    tests: tuple[Test, Test]
    limit: tuple[Comparison, float]
    parts: list[_Part]
    run: Run
    _plain: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        scan, table = self.way.scan, self.view.table
        self.columns: tuple[ColumnDefinition, ...] = tuple(table.definition(n) for n in scan.numbers)
        self._width = row_bytes(scan.types[self.way.term.column])
        self._sums = Sums(self.view, self.join, self.run)

    def joined(self) -> Iterator[Batch]:
        """The join's rows, query by query."""
        self._sums.add(Tally(scans=1))
        self._prepare()
        width = len(self.way.outer.types)
        kind = self.join.plain.kind
        size = _FEW_QUERIES
        for batch in self.way.outer.batches(self.run):
            start = 0
            while start < batch.rows:
                self.run.check()
                block = self._block(batch.slice(start, start + size))
                start += block.rows
                right, starts, counts, order = self._partners(block)
                size = min(4 * size, _QUERIES) if len(order) < _PAIRS / 4 else max(size // 4, 1)
                pairs = Pairs(kind, right, self.way.condition, self.way.outer.types)
                for found in pairs.of(block, starts, counts, order, self.run):
                    if self.way.flipped:
                        found = Batch((*found.columns[width:], *found.columns[:width]), found.rows)
                    yield found

    def _block(self, batch: Batch) -> Batch:
        """Queries with their vectors, which are read once."""
        read = references_of(self.way.term.query)
        columns = [
            Column(column.type, column.values, column.valid) if i in read and is_wide(column.type) else column
            for i, column in enumerate(batch.columns)
        ]
        return Batch(tuple(columns), batch.rows)

    def _prepare(self) -> None:
        """Which rows of the table count; those without codes are fetched."""
        scan = self.way.scan
        tasks = (partial(self._counting, part) for part in self.parts)
        for part, rows in zip(self.parts, ordered(tasks, self.run), strict=True):
            part.rows = rows
            if part.codes is None:
                positions = _positions(part.morsel, rows)
                self._sums.add(Tally(plain=len(positions)))
                if len(positions):
                    self._plain.append(scan.fetch(ScanRows(part.morsel, self.columns, positions, 0, 0), {}))
        self.parts = [part for part in self.parts if part.codes is not None]
        self._sums.add(Tally(segments=len(self.parts)))

    def _counting(self, part: _Part) -> Positions | Mask | None:
        scan = self.way.scan
        if scan.condition is None:
            return part.morsel.visible()
        return scan.qualifying(part.morsel, self.columns, self.predicate, self.tests, self.run)

    def _partners(self, block: Batch) -> tuple[Rows, Positions, Positions, Positions]:
        """(rows of the table, where each query's partners begin in the order, how many, the order)."""
        questions = self._questions(block)
        found = list(ordered(self._tasks(questions), self.run))
        queries = np.concatenate([np.zeros(0, np.int64), *(q for q, _ in found)])
        places = np.concatenate([np.zeros(0, np.int64), *(p for _, p in found)])
        distinct, numbers = np.unique(places, return_inverse=True)
        self._sums.add(Tally(full=len(distinct), full_bytes=len(distinct) * self._width))
        plain = sum(batch.rows for batch in self._plain)
        if plain:
            asking = np.flatnonzero([question is not None for question in questions])
            queries = np.concatenate([queries, np.repeat(asking, plain)])
            others = np.tile(np.arange(plain) + len(distinct), len(asking))
            numbers = np.concatenate([numbers.reshape(-1), others])
        order = np.lexsort((numbers, queries))
        counts = np.bincount(queries, minlength=block.rows)
        starts = np.cumsum(counts) - counts
        rows = Rows([*self._fetched(distinct), *self._plain], self.way.scan.types)
        return rows, starts, counts, numbers.reshape(-1)[order]

    def _questions(self, block: Batch) -> list[Question | bool | None]:
        """What each row asks: None where its vector is null, True where codes cannot answer it."""
        column = self.way.term.query.evaluate(block, self.run).spread(block.rows)
        elements = elements_of(column)
        metric = self.way.term.measure.metric
        asked: list[Question | bool | None] = []
        for row, valid in enumerate(column.is_valid().tolist()):
            if not valid:
                asked.append(None)
            elif elements is None:
                asked.append(True)
            else:
                asked.append(usable(Question.of(metric, elements[row])) or True)
        return asked

    def _tasks(
        self, questions: Sequence[Question | bool | None]
    ) -> Iterator[partial[tuple[Positions, Positions]]]:
        """(queries, places) of pairs that may meet the condition; a place counts rows of all parts."""
        asking = [(number, asked) for number, asked in enumerate(questions) if asked is not None]
        base = 0
        for part in self.parts:
            codes = part.codes
            assert codes is not None
            fit = [(n, q) for n, q in asking if isinstance(q, Question) and q.dimensions == codes.dimensions]
            fitting = {number for number, _ in fit}
            others = [number for number, _ in asking if number not in fitting]
            if others:
                yield partial(self._unasked, part, base, others)
            for first in range(0, len(fit), _TOGETHER):
                for cells in codes.tasks():
                    yield partial(self._met, part, base, cells, fit[first : first + _TOGETHER])
            base += part.morsel.rows

    def _unasked(self, part: _Part, base: int, numbers: Sequence[int]) -> tuple[Positions, Positions]:
        """Queries that codes cannot answer, with all rows."""
        positions = _positions(part.morsel, part.rows) + base
        return np.repeat(np.array(numbers, np.int64), len(positions)), np.tile(positions, len(numbers))

    def _met(
        self, part: _Part, base: int, cells: range, asking: Sequence[tuple[int, Question]]
    ) -> tuple[Positions, Positions]:
        self.run.check()
        codes = part.codes
        assert codes is not None
        numbers = np.array([number for number, _ in asking], np.int64)
        found = codes.pairs([question for _, question in asking], *self.limit, cells, part.rows)
        rows = sum(found.decided) + len(found.sure) - int(found.sure.sum())
        self._sums.add(Tally(rows=rows, decided=found.decided, code_bytes=found.nbytes))
        return numbers[found.questions], found.positions + base

    def _fetched(self, places: Positions) -> Iterator[Batch]:
        """The rows of the table at these ascending places, their vectors read once."""
        base, at = 0, self.way.term.column
        for part in self.parts:
            low, high = np.searchsorted(places, (base, base + part.morsel.rows))
            if low < high:
                rows = ScanRows(part.morsel, self.columns, places[low:high] - base, 0, 0)
                columns = list(self.way.scan.fetch(rows, {}).columns)
                columns[at] = Column(columns[at].type, columns[at].values, columns[at].valid)
                yield Batch(tuple(columns), rows.count)
            base += part.morsel.rows


def references_of(expression: Expression) -> set[int]:
    """The columns that an expression reads."""
    return {node.index for node in walk(expression) if isinstance(node, Reference)}


def _positions(morsel: Morsel, rows: Positions | Mask | None) -> Positions:
    """The rows that count, as positions."""
    if rows is None:
        return np.arange(morsel.rows)
    return np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
