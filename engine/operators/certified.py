"""CertifiedScan: the rows of a table that meet similarity conditions, most of them without their vectors.

Codes (storage.codes) say of each row of a segment that it certainly meets a condition, that it certainly
does not, or nothing. What they leave open is read in full and decided by the condition as it was written, so
the answer is that of the plain scan, row for row and in its order. Whether a row is visible, and what else
the condition asks, is seen to for what is left.

The work goes in two steps, both in the pool: tasks over the codes of some cells, whose verdicts come back in
the order of the rows; and tasks over what they left. Between the two the statement's thread sees how much the
codes leave open, and goes on plainly where they do not pay. What they leave is looked at, a little at a time,
while the codes of other cells are asked, so that the disk and the memory are read at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

import numpy as np

from engine.certificates import Sums
from engine.counters import count
from engine.late import row_bytes, together
from engine.operators.base import Operator, Task, pooled
from engine.operators.scan import Scan
from engine.operators.scanrows import ScanRows
from engine.operators.searching import Beginning, begin, cut, loading
from engine.operators.verdicts import ColumnTerm, Gathered, Left, Part, Work, part_of
from engine.pool import MOST_AHEAD, on_worker, ordered
from engine.run import Run
from engine.seams import Expression
from engine.similarity import Asked, Term, asked
from storage.batch import Batch
from storage.codes import Request
from storage.column import Column, Positions
from storage.predicate import Conjunction
from storage.seams import Morsel, TableView
from storage.segments.tally import Tally
from storage.types import Type

# Other conditions go first where encodings leave no more than this share of the rows.
_SELECTIVE = 1 / 8
# What is left of a segment goes in stretches of its own where it is more.
_MANY = 4096
# What is left of segments makes a task when it is so much. Before that some is looked at each time when half
# of the rest of the table has been asked, so that little remains to be done when the last codes have been.
_ENOUGH, _SOME = 512, 8
# Of so many rows of a segment the disk is told at once; fewer are read by who looks at them.
_EXPECTED = 32
# Codes do not pay where they leave open more than this share of rows: then most of each extent of the vectors
# is read. Every so many segments they are tried again. Of the first segment, if it has so many rows, a sample
# tells: to ask the codes of all rows in vain takes longer than to read the vectors.
_OPEN_SHARE, _TRIED_AGAIN = 0.125, 16
_SAMPLED = 1 << 12


_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class CertifiedScan:
    """The scan `plain`, whose condition has the similarity `terms`.

    `others` is the condition without the terms, `rest` what is left of that for rows of which storage says
    that they meet the bounds.
    """

    plain: Scan
    terms: tuple[Term, ...]
    others: Expression | None = None
    rest: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return self.plain.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return ()

    def explain(self) -> str:
        return f"Certified Scan on {self.plain.name}"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from pooled(self, self.morsels(run), run)

    def morsels(self, run: Run) -> Iterator[Task]:
        """See the module's text."""
        search = self.search(run, self)
        yield from self.plain.morsels(run) if search is None else search.tasks()

    def search(self, run: Run, owner: Operator) -> Search | None:
        """The search of one run, which counts as done by `owner`; None where it has to be the plain scan."""
        beginning = begin(self.plain, run, self.plain.condition)
        if beginning is None:
            return None
        columns = [beginning.view.table.definition(self.plain.numbers[term.column]) for term in self.terms]
        if not beginning.has_codes(columns):
            rows = beginning.view.estimated_rows
            Sums(beginning.view, owner, run).add(Tally(scans=1, skipped=beginning.skipped(), plain=rows))
            return None
        questions = []
        for term, definition in zip(self.terms, columns, strict=True):
            answer = asked(term, run)
            if answer is False:
                return Search(self, owner, beginning, (), run, nothing=True)
            if isinstance(answer, Asked):
                questions.append(ColumnTerm(definition, answer))
        return Search(self, owner, beginning, tuple(questions), run) if questions else None


@dataclass(eq=False)
class Search:
    """One run of a certified scan. `nothing`: no row meets a term."""

    operator: CertifiedScan
    owner: Operator
    beginning: Beginning
    questions: tuple[ColumnTerm, ...]
    run: Run
    nothing: bool = False
    _counts: tuple[int, int] = 0, 0
    """(rows whose codes were asked, those that they left open)."""
    _share: float = 0.0
    """Of the rows, what a sample says is left open."""
    _promising: bool = False
    """Whether it says that codes pay."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: deque[Request] = field(default_factory=deque)
    _answers: list[tuple[bool, int, tuple[int, ...], int]] = field(default_factory=list)
    """Of each answered request: whether a segment begins with it, rows, how many were decided, bytes."""
    view: TableView = field(init=False)
    predicate: Conjunction = field(init=False)

    def __post_init__(self) -> None:
        scan, beginning = self.operator.plain, self.beginning
        self.view, self.predicate, self.columns = beginning.view, beginning.predicate, beginning.columns
        self._sums = Sums(self.view, self.owner, self.run)
        self._rows = self.view.estimated_rows
        self._whole = beginning.tests(scan.condition, scan.rest)
        self._others = beginning.tests(self.operator.others, self.operator.rest)

    def tasks(self) -> Iterator[Task]:
        """The tasks over what codes leave."""
        self._sums.add(Tally(scans=1, skipped=self.beginning.skipped()))
        if self.nothing:
            return
        try:
            yield from self._tasks()
        finally:
            for request in self._requests:
                request.withdraw()
            self._sums.add(self._answered_in_all())

    def _tasks(self) -> Iterator[Task]:
        found, seen = Gathered(), 0
        lefts = (
            self._answered(left)
            for some in ordered(self._codes_tasks(), self.run, MOST_AHEAD)
            for left in some
        )
        for part, pieces in groupby(lefts, part_of):
            left = Left.joined(list(pieces))
            seen += left.rows
            plain = left.plainly or (part.selected is None and len(left.maybe) > _OPEN_SHARE * part.rows)
            many = left.count > _MANY
            if left.count and not plain and not many:
                found.lefts.append(left)
                found.rows += left.count
            if plain or many or found.rows > _ENOUGH:
                yield from found.tasks(self._survivors)
                found = Gathered(since=seen)
            elif found.rows >= _SOME and 2 * (seen - found.since) > self._rows - found.since:
                found.look(self._survivors, seen)
            if plain:
                yield from self._plain(part)
            elif many:
                yield from (
                    partial(self._survivors, [piece])
                    for piece in left.stretches(self.operator.plain.stretch(self._whole[0]))
                )
        yield from found.tasks(self._survivors)

    def _plain(self, part: Part) -> Iterator[Task]:
        """A part without codes, or one whose codes are not asked."""
        self._sums.add(Tally(plain=part.rows))
        scan = self.operator.plain
        for piece in part.morsel.pieces(self.predicate, scan.numbers):
            yield from scan.tasks(piece, self.columns, self.predicate, self._whole, self.run, self.owner)

    # over codes

    def _codes_tasks(self) -> Iterator[Callable[[], list[Left | Work]]]:
        """Cells of parts in tasks of bearable size, in the order of the parts."""
        size = self.beginning.task_rows
        group: list[Work] = []
        rows = 0
        morsels = self.view.morsels(self.predicate, whole=True)
        parts = loading((partial(self._coded, morsel) for morsel in morsels), self.run)
        for number, part in enumerate(parts, 1):
            if part.codes and self.predicate:
                part = self._selected(part)
            if part.codes and part.rows >= _SAMPLED and not self._counts[0] and not self._promising:
                self._share = self._sample(part)
                self._promising = self._pays()
            whole = not part.codes or part.selected is not None or len(part.codes) > 1
            for cells in [None] if whole else cut(part.codes[0][1], part.rows, size):
                again = number % _TRIED_AGAIN == 0
                pays = bool(part.codes) and (again or self._pays())
                request = self._posted(part, cells) if pays and not whole else None
                group.append(Work(part, cells, pays, again, request))
                rows += (part.rows if cells is None else min(part.rows, size)) if pays else 0
                if rows >= size:
                    yield partial(self._decided, group)
                    group, rows = [], 0
                if not pays:
                    break
        if group:
            yield partial(self._decided, group)

    def _posted(self, part: Part, cells: range | None) -> Request | None:
        """The question of some cells, left for whoever comes to them first; None where nobody may wait."""
        if cells is None or on_worker():
            return None
        question, codes = part.codes[0]
        asked = question.asked
        request = Request(codes, asked.question, asked.op, asked.threshold, cells)
        self._requests.append(request)
        while self._requests and self._requests[0].ended:
            self._requests.popleft()
        return request

    def _pays(self) -> bool:
        """Whether codes leave open few enough rows, as far as is known: by those that were asked."""
        asked, left = self._counts
        return (left / asked if asked else self._share) <= _OPEN_SHARE

    def _count(self, left: Left) -> None:
        """Take into account how many rows codes have left open."""
        with self._lock:
            asked, before = self._counts
            self._counts = asked + left.rows, before + len(left.maybe)

    def _selected(self, part: Part) -> Part:
        """A part with the rows that the predicate leaves, if they are few."""
        mask = part.morsel.select(self.predicate)
        if mask is None:
            return part
        if np.count_nonzero(mask) > _SELECTIVE * part.rows:
            return part
        return replace(part, bounded=True, selected=np.flatnonzero(mask))

    def _sample(self, part: Part) -> float:
        """About which share of a part's rows its codes leave open."""
        return min(
            codes.shares(question.asked.question, question.asked.op, question.asked.threshold)[1]
            for question, codes in part.codes
        )

    def _coded(self, morsel: Morsel) -> Part:
        found = []
        for question in self.questions:
            codes = morsel.codes(question.definition)
            if codes is not None and codes.dimensions == question.asked.question.dimensions:
                found.append((question, codes))
        return Part(morsel, tuple(found))

    def _decided(self, group: Sequence[Work]) -> list[Left | Work]:
        """What codes leave of each work: on a worker. Work that another one is doing comes back as it is.

        Codes that have turned out not to pay since the work was made are not asked.
        """
        found = list[Left | Work]()
        for work in group:
            if not work.pays or not (work.again or self._pays()):
                if work.request is not None:
                    work.request.withdraw()
                found.append(Left(work.part, _NONE, _NONE, plainly=True))
            elif work.request is not None:
                work.request.work()
                found.append(self._answered(work) if work.request.ended else work)
            else:
                left, tally = self._verdict(work.part, work.cells)
                self._sums.add(tally)
                self._count(left)
                found.append(left)
        return found

    def _answered(self, work: Left | Work) -> Left:
        """What is left, also of work that another statement is doing: its answer is waited for."""
        if isinstance(work, Left):
            return work
        assert work.request is not None
        assert work.cells is not None
        verdict = work.request.answer(self.run.check)
        if _EXPECTED <= len(verdict.maybe) <= _MANY:
            self.view.expect(work.part.codes[0][0].definition, [(work.part.morsel, verdict.maybe)])
        rows = sum(verdict.decided) + len(verdict.maybe)
        self._answers.append((work.cells.start == 0, rows, verdict.decided, verdict.nbytes))
        left = Left(work.part, verdict.sure, verdict.maybe, rows)
        self._count(left)
        return left

    def _answered_in_all(self) -> Tally:
        """What requests have answered."""
        if not self._answers:
            return Tally()
        firsts, rows, decided, nbytes = zip(*self._answers, strict=True)
        depths = tuple(sum(depth) for depth in zip(*decided, strict=True))
        return Tally(segments=sum(firsts), rows=sum(rows), decided=depths, code_bytes=sum(nbytes))

    def _verdict(self, part: Part, cells: range | None) -> tuple[Left, Tally]:
        rows = part.selected
        sure = _NONE
        asked_rows, later = 0, [0]
        code_bytes = 0
        for number, (question, codes) in enumerate(part.codes):
            among = range(codes.cells) if cells is None else cells
            asked = question.asked
            verdict = codes.decide(asked.question, asked.op, asked.threshold, among, rows)
            maybe = verdict.maybe
            if number == 0:
                asked_rows = sum(verdict.decided) + len(maybe)
                sure = verdict.sure
                later = [0] * len(verdict.decided[1:])
            else:
                both = np.concatenate([verdict.sure, maybe])
                both.sort()
                sure = np.intersect1d(sure, verdict.sure, assume_unique=True)
                maybe = np.setdiff1d(both, sure, assume_unique=True)
            code_bytes += verdict.nbytes
            later = [a + b for a, b in zip(later, verdict.decided[1:], strict=False)]
            if number + 1 < len(part.codes):
                rows = np.concatenate([sure, maybe])
                rows.sort()
        if 0 < len(maybe) <= _MANY:
            for question, _ in part.codes:
                self.view.expect(question.definition, [(part.morsel, maybe)])
        first = max(asked_rows - len(maybe) - sum(later), 0)
        whole = cells is None or cells.start == 0
        tally = Tally(segments=int(whole), rows=asked_rows, decided=(first, *later), code_bytes=code_bytes)
        return Left(part, sure, maybe, asked_rows), tally

    # over what they left

    def _survivors(self, lefts: Sequence[Left]) -> Batch | None:
        """The rows that meet the whole condition, of some parts: on a worker."""
        if len(lefts) > 1 and not self.predicate:
            return self._few(lefts)
        batches = [batch for left in lefts if (batch := self._met(left)) is not None]
        if not batches:
            return None
        return batches[0] if len(batches) == 1 else together(batches)

    def _few(self, lefts: Sequence[Left]) -> Batch | None:
        """The same of a few rows of each part, where storage decides nothing: tested together."""
        scan = self.operator.plain
        met: list[list[Positions]] = [[] for _ in lefts]
        for tests, positions in (
            (self._others, [left.sure for left in lefts]),
            (self._whole, [left.maybe for left in lefts]),
        ):
            numbers = [number for number, some in enumerate(positions) if len(some)]
            rows = []
            for number in numbers:
                morsel, some = lefts[number].part.morsel, positions[number]
                rows.append(ScanRows(morsel, self.columns, some[morsel.sees(some)], 0, 0))
            masks = scan.passing_together(self.view, rows, tests[0], self.run)
            for number, seen, mask in zip(numbers, rows, masks, strict=True):
                if mask.any():
                    met[number].append(seen.numbers[mask])
        found = [(left, np.sort(np.concatenate(rows))) for left, rows in zip(lefts, met, strict=True) if rows]
        self._tell(
            sum(len(left.maybe) for left in lefts),
            sum(left.count for left in lefts),
            sum(len(rows) for _, rows in found),
        )
        batches = [
            scan.fetch(ScanRows(left.part.morsel, self.columns, rows, 0, 0), {}) for left, rows in found
        ]
        return together(batches) if batches else None

    def _tell(self, full: int, left: int, met: int) -> None:
        """Count rows that were read in full, that codes left, and that meet the condition."""
        width = sum(row_bytes(self.operator.plain.types[i]) for i in self._whole[0].wide)
        self._sums.add(Tally(full=full, full_bytes=full * width))
        count(self.run, self.owner, met, 1, Rows_Removed_by_Filter=left - met)

    def _met(self, left: Left) -> Batch | None:
        rows, fetched = self._meeting(left)
        return self.operator.plain.fetch(rows, fetched) if rows.count else None

    def qualifying(self, morsel: Morsel) -> Positions:
        """The rows of a whole part that are seen and meet the condition: for who asks for nothing else."""
        part = self._coded(morsel)
        if part.codes and self.predicate:
            part = self._selected(part)
        if not part.codes:
            scan = self.operator.plain
            return scan.qualifying(morsel, self.columns, self.predicate, self._whole, self.run)
        left, tally = self._verdict(part, None)
        self._sums.add(tally)
        return self._meeting(left)[0].numbers

    def _meeting(self, left: Left) -> tuple[ScanRows, dict[int, Column]]:
        """The rows among these that are seen and meet the condition; what was fetched of them for it."""
        scan, morsel = self.operator.plain, left.part.morsel
        test = 1 if left.part.bounded and morsel.decides(self.predicate) else 0
        around = ScanRows(morsel, self.columns, None, 0, morsel.rows)
        sure, maybe = left.sure[morsel.sees(left.sure)], left.maybe[morsel.sees(left.maybe)]
        met, fetched = [_NONE], dict[int, Column]()
        for positions, tests in ((sure, self._others), (maybe, self._whole)):
            if len(positions):
                rows = ScanRows(morsel, self.columns, positions, 0, 0)
                passed, fetched = scan.passing(rows, around, tests[test], self.run)
                met.append(passed.numbers)
        positions = np.concatenate(met)
        self._tell(len(maybe), len(sure) + len(maybe), len(positions))
        if len(sure) and len(maybe):
            positions.sort()
            fetched = {}
        return ScanRows(morsel, self.columns, positions, 0, 0), fetched
