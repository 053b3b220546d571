"""Nearest: the first rows of an order by a metric, most of them without their vectors.

Codes (storage.codes) say of each row how good its score can be at best. The k-th best score so far, which
all tasks share, leaves out the rows that cannot be among the first k. It is sharp from the start: a first
pass over the codes guesses which rows of the whole table promise most, and these are looked at in full; the
second pass goes on from what the first has counted. What is left of all segments is then looked at in the
order of what it may be, until nothing can be better than the k-th best. Only rows that are seen and meet the
condition count, so the condition comes first. Rows without codes are looked at as a plain scan would.

Scores, ties and nulls are those of the sort keys as they were written: rows that are equal in all of them
come in the order of the table. So the answer is that of sorting all rows, row for row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.certificates import Sums
from engine.counters import timed
from engine.late import row_bytes, together
from engine.operators.base import Operator, Task
from engine.operators.candidates import Found, Kept, Open, Part, Work
from engine.operators.certified import CertifiedScan, Search
from engine.operators.limit import limits
from engine.operators.rows import Rows
from engine.operators.scan import Scan
from engine.operators.scanrows import ScanRows
from engine.operators.searching import Beginning, begin, cut, loading
from engine.operators.sortkeys import key_columns, sort_words
from engine.operators.top import Top, first_rows
from engine.orders import sorted_rows
from engine.pool import ordered
from engine.run import Run
from engine.similarity import Ranking, Term, ranking
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.predicate import Compare, Comparison, Conjunction
from storage.seams import Morsel
from storage.segments.tally import Tally
from storage.types import Type
from storage.waiting import about_to_wait

# Rows that a task looks at in full at once, to sharpen the limit; and such of the end.
_FIRST, _PIECE = 16, 256
_NULLS = 4096
# So many rows are no few: sorting them all reads no more.
_MOST_ROWS, _MOST_SHARE = 1024, 1 / 16
# Rows that are wanted, and rows of the table, of which the most promising ones are sought before all else:
# four bytes of each are remembered meanwhile.
_FORESEEN, _PROMISED = 1024, 1 << 24
# A first look at the signs of no more rows is done before workers have been told of it.
_ALONE = 1 << 18
# Rows that count are positions where they are no larger share.
_SPARSE = 1 / 8
# Codes do not pay where they leave more than this share of the rows: so many of so many parts of a table that
# is not small are asked first.
_OPEN_SHARE = 0.3
_SAMPLE, _SAMPLED_PARTS, _SMALL = 256, 4, 1 << 14


@dataclass(frozen=True)
class Nearest:
    """The first rows of `plain`, whose child is `scan` or, over it, `certified`; its first key is `term`."""

    plain: Top
    scan: Scan
    term: Term
    certified: CertifiedScan | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return self.plain.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"Certified Top-N on {self.scan.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        found = self._search(run)
        if found is None:
            yield from self.plain.batches(run)
            return
        search, skip = found
        yield from timed(run, self, search.first(skip))

    def _search(self, run: Run) -> tuple[_Search, int] | None:
        """(the search of one run, rows to skip); None where it has to be the plain sort."""
        scan, keys = self.scan, self.plain.keys
        beginning = begin(scan, run, scan.condition, *(key.expression for key in keys))
        if beginning is None:
            return None
        view = beginning.view
        skip, rows = limits(self.plain.count, self.plain.offset, run)
        if not rows or skip + rows > max(_MOST_ROWS, view.estimated_rows * _MOST_SHARE):
            return None
        definition = view.table.definition(scan.numbers[self.term.column])
        if not beginning.has_codes((definition,)):
            return None
        inner = None if self.certified is None else self.certified.search(run, self)
        if self.certified is not None and (inner is None or inner.nothing):
            return None
        order = ranking(self.term, keys[0].descending, skip + rows, run)
        if order is None:
            return None
        wanted = order.question.dimensions
        parts, morsels = [], list(view.morsels(beginning.predicate, whole=True))
        found = loading((partial(morsel.codes, definition) for morsel in morsels), run)
        for number, (morsel, codes) in enumerate(zip(morsels, found, strict=True)):
            fit = codes is not None and codes.dimensions == wanted
            parts.append(Part(number, morsel, codes if fit else None))
        if all(part.codes is None for part in parts):
            return None
        return _Search(self, beginning, order, tuple(parts), run, inner), skip


@dataclass(eq=False)
class _Search:
    """One run."""

    operator: Nearest
    beginning: Beginning
    order: Ranking
    parts: tuple[Part, ...]
    run: Run
    inner: Search | None
    _kept: list[Kept] = field(default_factory=list)
    _rows: int = 0
    _depths: int = 1
    _foreseen: bool = False

    def __post_init__(self) -> None:
        scan, beginning = self.operator.scan, self.beginning
        self.view, self.predicate, self.columns = beginning.view, beginning.predicate, beginning.columns
        self.tests = beginning.tests(scan.condition, scan.rest)
        self._keys = self.operator.plain.keys
        self._width = row_bytes(scan.types[self.operator.term.column])
        self._sums = Sums(self.view, self.operator, self.run)
        self._wanted = self.order.limit.count

    def first(self, skip: int) -> Iterator[Batch]:
        """The rows, in order."""
        self._sums.add(Tally(scans=1, skipped=self.beginning.skipped()))
        if self._searched():
            self._add_nulls()
            yield from self._sorted(skip)
        else:
            self._sums.add(Tally(plain=self.view.estimated_rows))
            yield from self.operator.plain.batches(self.run)

    def _searched(self) -> bool:
        """Whether all that may be among the first has been looked at: false where codes do not pay."""
        works = self._works()
        self._foresee(works)
        if not self._pays([work for group in works for work in group]):
            return False
        asked, left = 0, list[Open]()
        for found in ordered(self._tasks(works), self.run):
            self._keep(found.kept)
            asked += found.rows
            left += found.opened
        return self._looked(left, asked)

    # looking for what may be among the first

    def _works(self) -> list[list[Work]]:
        """The cells of parts with codes, by tasks."""
        size, conditional = self.beginning.task_rows, self.operator.scan.condition is not None
        works, rows = [list[Work]()], 0
        for part in self.parts:
            if part.codes is None:
                continue
            seen = None if conditional else part.morsel.visible()
            pieces = [range(part.codes.cells)] if conditional else cut(part.codes, part.morsel.rows, size)
            for cells in pieces:
                works[-1].append(Work(part, part.codes, cells, seen, known=not conditional))
                rows += part.morsel.rows if conditional else min(part.morsel.rows, size)
                if rows >= size:
                    works.append([])
                    rows = 0
        return works if works[-1] else works[:-1]

    def _foresee(self, works: Sequence[Sequence[Work]]) -> None:
        """Look at the rows that promise most of all parts, so that the limit begins near its end."""
        wanted = self.order.limit.count
        if (len(works) < 2 and self.view.estimated_rows < _SMALL) or wanted > _FORESEEN:
            return
        rows, some = 0, list[Sequence[Work]]()
        for group in works:
            rows += sum(work.part.morsel.rows for work in group)
            if rows <= _PROMISED:
                some.append(group)
        if rows <= _ALONE:
            about_to_wait()
            for group in some:
                self._promising(group)
        else:
            for _ in ordered((partial(self._promising, group) for group in some), self.run):
                pass
        promised = [(work, work.promised) for group in some for work in group if work.promised is not None]
        if not promised:
            return
        numbers = np.repeat(np.arange(len(promised)), [len(found.positions) for _, found in promised])
        best = np.argsort(-np.concatenate([found.guesses for _, found in promised]))[: 2 * wanted + _FIRST]
        positions = np.concatenate([found.positions for _, found in promised])[best]
        looks = []
        for number in np.unique(numbers[best]).tolist():
            work, _ = promised[number]
            work.looked = np.sort(positions[numbers[best] == number])
            looks.append((work.part, work.looked))
        self._keep(self._look_at(looks))
        self._foreseen = True

    def _pays(self, works: Sequence[Work]) -> bool:
        """Whether codes leave few enough rows open, by a sample: true where the limit is not known yet.

        It has been foreseen by the signs alone, which costs a twentieth of a plain scan; the finer planes of
        all rows, in vain, take longer than to read the vectors.
        """
        limit = self.order.limit
        if not np.isfinite(limit.value):
            return True
        parts = {work.part.number: work for work in works}
        some = list(parts.values())[:: max(len(parts) // _SAMPLED_PARTS, 1)]
        op = Comparison.GE if limit.descending else Comparison.LE
        asked, passed, enough = 0, 0.0, _OPEN_SHARE * _SAMPLE * len(some)
        for work in some:
            if passed > enough:  # whatever the others leave
                return False
            codes = work.codes
            if work.rows is None:
                count, left = _SAMPLE, _SAMPLE * sum(codes.shares(self.order.question, op, limit.value))
            else:
                rows = _spread(work.rows, _SAMPLE)
                verdict = codes.decide(self.order.question, op, limit.value, range(codes.cells), rows)
                count, left = len(rows), len(verdict.sure) + len(verdict.maybe)
            asked, passed = asked + count, passed + left
        return passed <= _OPEN_SHARE * asked

    def _promising(self, group: Sequence[Work]) -> None:
        """Find the rows of some cells that promise most: on a worker."""
        limit = self.order.limit
        for work in group:
            self.run.check()
            self._count(work)
            work.promised = work.codes.promise(
                self.order.question, limit.descending, limit.count, work.cells, work.rows
            )

    def _count(self, work: Work) -> None:
        """Have the work know which of its rows are seen and meet the condition."""
        if work.known:
            return
        positions, rows = self._counting(work.part.morsel), work.part.morsel.rows
        work.known, work.rows = True, positions
        if len(positions) > rows * _SPARSE:  # as a mask it takes fewer bytes
            work.rows = np.zeros(rows, np.bool_)
            work.rows[positions] = True

    def _tasks(self, works: Sequence[Sequence[Work]]) -> Iterator[Callable[[], Found]]:
        for group in works:
            yield partial(self._coded, group)
        scan = self.operator.scan
        for part in self.parts:
            if part.codes is None:
                self._sums.add(Tally(plain=part.morsel.rows))
                for piece in part.morsel.pieces(self.predicate, scan.numbers):
                    for task in scan.tasks(
                        piece, self.columns, self.predicate, self.tests, self.run, self.operator
                    ):
                        yield partial(self._plainly, part, task)

    def _plainly(self, part: Part, task: Task) -> Found:
        """A stretch without codes: its own first rows."""
        batch = task()
        if batch is None or not batch.rows:
            return Found([], [], 0)
        keys = key_columns(batch, self._keys, self.run)
        if batch.rows > self._wanted:
            kept = np.flatnonzero(first_rows(sort_words(self._keys, keys), self._wanted))
            batch, keys = batch.take(kept), [key.take(kept) for key in keys]
        self.order.limit.offer(self.order.scores(batch, keys[0], self.run))
        places = np.arange(batch.rows)
        return Found([Kept(batch, keys, np.full(batch.rows, part.number), places)], [], 0)

    def _coded(self, group: Sequence[Work]) -> Found:
        """Cells of parts with codes: a few rows looked at, and what is open then."""
        kept, opened = list[Kept](), list[Open]()
        asked = 0
        tally = Tally()
        for work in group:
            self.run.check()
            self._count(work)
            part, rows = work.part, work.rows
            found = work.codes.nearest(self.order.question, self.order.limit, work.cells, rows, work.promised)
            work.promised = work.rows = None
            count = len(found.positions) + sum(found.decided)
            asked += count if rows is None else _counted(rows)
            self._depths = len(found.decided)
            known = np.isin(found.positions, work.looked)
            opening = self.order.open(found.best) & ~known
            positions, best = found.positions[opening], found.best[opening]
            looked = 0
            while not self._foreseen and looked < max(self._wanted, _FIRST) and len(positions):
                kept.append(self._look([(part, np.sort(positions[:_FIRST]))]))
                looked += kept[-1].batch.rows
                opening = self.order.open(best[_FIRST:])
                positions, best = positions[_FIRST:][opening], best[_FIRST:][opening]
            if len(positions):
                opened.append(Open(np.full(len(positions), part.number), positions, best))
            decided = list(found.decided)
            decided[-1] += len(found.positions) - int(known.sum()) - looked - len(positions)
            # rows that were looked at before count as such, whatever codes say of them
            decided[decided.index(max(decided))] -= len(work.looked) - int(known.sum())
            first = int(work.cells.start == 0)
            tally += Tally(segments=first, rows=count, decided=tuple(decided), code_bytes=found.nbytes)
        self._sums.add(tally)
        return Found(kept, opened, asked)

    def _counting(self, morsel: Morsel) -> Positions:
        """The rows that are seen and meet the condition."""
        if self.inner is not None:
            return self.inner.qualifying(morsel)
        return self.operator.scan.qualifying(morsel, self.columns, self.predicate, self.tests, self.run)

    def _look(self, places: Sequence[tuple[Part, Positions]]) -> Kept:
        """Rows of some parts, at ascending positions, in full: what their keys really are."""
        batch = together(
            [
                self.operator.scan.fetch(ScanRows(part.morsel, self.columns, rows, 0, 0), {})
                for part, rows in places
            ]
        )
        parts = np.repeat([part.number for part, _ in places], [len(rows) for _, rows in places])
        positions = np.concatenate([rows for _, rows in places])
        columns, at = list(batch.columns), self.operator.term.column
        columns[at] = self.view.gather(self.columns[at], [(part.morsel, rows) for part, rows in places])
        batch = Batch(tuple(columns), batch.rows)
        keys = key_columns(batch, self._keys, self.run)
        self.order.limit.offer(self.order.scores(batch, keys[0], self.run))
        self._sums.add(Tally(full=len(positions), full_bytes=len(positions) * self._width))
        return Kept(batch, keys, parts, positions)

    def _look_at(self, places: Sequence[tuple[Part, Positions]]) -> list[Kept]:
        """Rows of several parts, at ascending positions, in full: the disk begins with all of them."""
        definition = self.columns[self.operator.term.column]
        self.view.expect(definition, [(part.morsel, positions) for part, positions in places])
        step = max(_PIECE // max(sum(len(positions) for _, positions in places) // len(places), 1), 1)
        pieces = (places[start : start + step] for start in range(0, len(places), step))
        return list(ordered((partial(self._look, piece) for piece in pieces), self.run))

    # the rest, best first

    def _looked(self, left: Sequence[Open], asked: int) -> bool:
        """Whether all that may be among the first has been looked at: false where it is too much."""
        if not left:
            return True
        opened = Open(
            np.concatenate([part.parts for part in left]),
            np.concatenate([part.positions for part in left]),
            np.concatenate([part.best for part in left]),
        )
        rows = len(opened.best)
        opened = opened.take(self.order.open(opened.best))
        if len(opened.best) > max(_OPEN_SHARE * asked, _MOST_ROWS):
            return False
        sign = -1.0 if self.order.limit.descending else 1.0
        opened = opened.take(np.argsort(sign * opened.best, kind="stable"))
        while len(opened.best):
            piece = opened.take(np.arange(min(_PIECE, len(opened.best))))
            numbers = np.unique(piece.parts).tolist()
            places = [np.sort(piece.positions[piece.parts == number]) for number in numbers]
            self._keep(self._look_at([(self.parts[n], at) for n, at in zip(numbers, places, strict=True)]))
            rows -= len(piece.best)
            opened = opened.take(np.arange(len(piece.best), len(opened.best)))
            opened = opened.take(self.order.open(opened.best))
        self._sums.add(Tally(decided=(*(0 for _ in range(self._depths - 1)), rows)))
        return True

    def _add_nulls(self) -> None:
        """Rows of segments whose vectors are null, where their place is among the first."""
        if not self._keys[0].nulls_first and np.isfinite(self.order.limit.value):
            return
        definition = self.columns[self.operator.term.column]
        missing: Conjunction = (Compare(definition, Comparison.IS_NULL, None),)
        found = 0
        for part in self.parts:
            if part.codes is None or not part.morsel.decides(missing):
                continue
            mask = part.morsel.select(missing)
            rows = np.flatnonzero(mask) if mask is not None else np.arange(part.morsel.rows)
            if not len(rows):
                continue
            if self.operator.scan.condition is not None:
                rows = np.intersect1d(rows, self._counting(part.morsel), assume_unique=True)
            else:
                rows = rows[part.morsel.sees(rows)]
            for start in range(0, len(rows), _NULLS):
                if found >= self._wanted and len(self._keys) == 1:
                    return
                some = rows[start : start + _NULLS]
                self._keep([self._null(part, some)])
                found += len(some)

    def _null(self, part: Part, positions: Positions) -> Kept:
        at = self.operator.term.column
        scan = self.operator.scan
        nothing = Column.nulls(scan.types[at], len(positions))
        batch = scan.fetch(ScanRows(part.morsel, self.columns, positions, 0, 0), {at: nothing})
        keys = key_columns(batch, self._keys, self.run)
        return Kept(batch, keys, np.full(len(positions), part.number), positions)

    # what was looked at

    def _keep(self, kept: Sequence[Kept]) -> None:
        """Take rows, those without codes in their order; now and then only the first of all are kept."""
        for rows in kept:
            if self.parts[int(rows.parts[0])].codes is None:
                # they were numbered within their stretch
                rows.places[:] += self._rows
            self._rows += rows.batch.rows
            self._kept.append(rows)
        if sum(rows.batch.rows for rows in self._kept) > 2 * self._wanted + _NULLS:
            order, whole = self._order()
            merged = Kept(
                Batch(whole.columns(order), len(order)),
                [Column.concat(c).take(order) for c in zip(*(k.keys for k in self._kept), strict=True)],
                np.concatenate([k.parts for k in self._kept])[order],
                np.concatenate([k.places for k in self._kept])[order],
            )
            self._kept = [merged]

    def _order(self) -> tuple[Positions, Rows]:
        """(the first of the rows kept in order, the rows kept)."""
        keys = [Column.concat(columns) for columns in zip(*(k.keys for k in self._kept), strict=True)]
        words = sort_words(self._keys, keys)
        for numbers in ([k.parts for k in self._kept], [k.places for k in self._kept]):
            words.append(np.concatenate(numbers).astype(np.uint64))
        rows = Rows([kept.batch for kept in self._kept], self.operator.types)
        return sorted_rows(words, self.run)[: self._wanted], rows

    def _sorted(self, skip: int) -> Iterator[Batch]:
        if self._kept:
            order, rows = self._order()
            yield from rows.given(order[skip:], self.run)


def _spread(rows: Positions | Mask, some: int) -> Positions:
    """At most so many of the rows that are meant, spread over them."""
    positions = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
    return positions[:: -(-len(positions) // some)] if len(positions) else positions


def _counted(rows: Positions | Mask) -> int:
    """How many rows are meant."""
    return int(np.count_nonzero(rows)) if rows.dtype == np.bool_ else len(rows)
