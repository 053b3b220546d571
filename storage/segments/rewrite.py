"""Rewriting: rows of some parts of a table become new segments, in the place of those parts.

Rows that no snapshot can see any more are left out, the others keep their ids. With a sort key the rows of
all the parts are sorted together and cut into segments that follow one another in its order (a sorted run);
without one they are put one after another. Each segment is written to its file at once and read from there
from then on, so the memory goes back.

Nobody waits meanwhile: readers keep the parts that they took, and what is deleted or committed while the
segments are made is looked up when they are put in place, under the table's lock, so no mark is lost. If
the table was truncated meanwhile, the segments are dropped.

Rows of wide columns stand in vector files that the new segments refer to (storage.segments.widerows): most
are not touched, so they count nothing where a segment is bounded by bytes. In a table without a folder they
lie in the segments, and do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.column import Column, Positions
from storage.definitions import ColumnDefinition, Table
from storage.encodings.constant import Constant
from storage.encodings.wide import is_wide
from storage.indexes.hashindex import sections_of
from storage.memory import trim
from storage.segments.blocks import Block
from storage.segments.cache import cache, portion
from storage.segments.coding import Coding, code_bytes, elements_of, section_of
from storage.segments.sealed import Sealed
from storage.segments.segment import Section, Segment, SegmentColumn
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.sources import Piece, Source, Target, values_of
from storage.segments.table import Part, Rewriting, Store
from storage.segments.warming import warm
from storage.segments.widerows import Gathering, decayed, gathered_wide, lot_bytes, referred, wide_bytes
from storage.types import INT8, Form

SEGMENT_BYTES = 128 << 20
"""The most bytes, decoded, of a segment's rows: codes count, what stands in vector files does not."""
SEGMENT_PART = 8
"""Where the buffer cache is small, one of so many parts of it."""
_COPIES = 3
"""Times the bytes of a segment's rows that are in memory while they are put together."""

BACKGROUND, MANUAL = "Slow Merger", "Manual Merger"
"""Who rewrites, under SingleStore's names."""


def rewrite(
    store: Store,
    table: Table,
    sources: Sequence[Source],
    oldest: int,
    folder: SegmentFolder,
    *,
    run: int = 0,
    merger: str = BACKGROUND,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Put new segments in the place of these rows. No snapshot is of a commit before `oldest`.

    They become the sorted run `run`, or a new one. `check` is called now and then, and raises to have the
    work given up. Raises DataCorrupted, DiskFull or FileError, with everything as it was.
    """
    plan = Counter(
        part.run or part for part in (source.part for source in sources) if isinstance(part, Sealed)
    )
    total = sum(source.rows for source in sources)
    store.rewriting = Rewriting(merger, tuple(plan.values()), total)
    taken = {source.part for source in sources}
    others = [part for part in store.parts if part not in taken]
    try:
        made = make(table, sources, oldest, folder, others, check, store.rewriting)
    finally:
        store.rewriting = None
    for _, sealed in made:
        sealed.run = run or made[0][1].first_row_id
    before = [None if (gone := _gone(source)) is None else gone.copy() for source in sources]
    _mark(sources, made, oldest)
    with store.lock:
        if not all(source.part in store.parts for source in sources):  # truncated meanwhile
            for _, sealed in made:
                sealed.remove()
            return
        if any(_differ(old, _gone(source)) for old, source in zip(before, sources, strict=True)):
            _mark(sources, made, oldest)
        new: list[Part] = [sealed for _, sealed in made]
        new += [
            source.part.rest(source.rows)
            for source in sources
            if isinstance(source.part, Block) and source.part.rows > source.rows
        ]
        store.replace_parts(tuple(source.part for source in sources), tuple(new))
    trim()
    warm([(table, new)])


def make(
    table: Table,
    sources: Sequence[Source],
    oldest: int,
    folder: SegmentFolder,
    others: Sequence[Part] = (),
    check: Callable[[], None] = lambda: None,
    progress: Rewriting | None = None,
) -> list[tuple[Target, Sealed]]:
    """Segments of these rows, in files where there is a folder, with the rows that went into each.

    `others` are the table's other parts, which may refer to the same vector files. Raises as `rewrite`, and
    leaves nothing behind then.
    """
    made: list[tuple[Target, Sealed]] = []
    try:
        building = _Building(table, sources, oldest, folder, others, check)
        for target in building.targets():
            made.append((target, building.sealed(target)))
            if progress is not None:
                progress.rows += target.rows
            check()
    except BaseException:
        for _, sealed in made:
            sealed.remove()
        raise
    return made


def _gone(source: Source) -> Positions | None:
    return source.part.gone_in(0, source.rows)


def _differ(before: Positions | None, now: Positions | None) -> bool:
    if now is None:
        return False
    return bool(now.any()) if before is None else not np.array_equal(before, now)


def _mark(sources: Sequence[Source], made: Sequence[tuple[Target, Sealed]], oldest: int) -> None:
    """Who deleted the rows of the new segments, and who made them, where that is still asked for."""
    for target, sealed in made:
        gone = target.gather(lambda n: _gone(sources[n]))
        born = target.gather(lambda n: sources[n].part.born)
        sealed.mark(gone if gone.any() else None, born if (born > oldest).any() else None)


def segment_bytes() -> int:
    """SEGMENT_BYTES, or fewer."""
    return portion(SEGMENT_BYTES, SEGMENT_PART)


def apart(table: Table, on_disk: bool) -> list[ColumnDefinition]:
    """The columns whose rows stand in vector files: wide ones, unless a key needs them whole."""
    if not on_disk:
        return []
    in_keys = {number for _, key in table.indexed for number in key.numbers}
    return [column for column in table.columns if is_wide(column.type) and column.number not in in_keys]


def row_bytes(part: Part, columns_apart: Sequence[ColumnDefinition]) -> int:
    """About how many bytes a row of the part takes in memory: codes, and columns that are not apart."""
    if isinstance(part, Block):
        whole, numbers = part.nbytes // max(part.rows, 1), set(part.numbers)
    else:
        assert isinstance(part, Sealed)
        whole, numbers = part.segment.row_bytes, set(part.segment.columns)
    there = [column.type for column in columns_apart if column.number in numbers]
    return max(whole - sum(wide_bytes(type) - code_bytes(type) for type in there), 1)


class _Building:
    """New segments of a table, one after another."""

    def __init__(
        self,
        table: Table,
        sources: Sequence[Source],
        oldest: int,
        folder: SegmentFolder,
        others: Sequence[Part],
        check: Callable[[], None],
    ) -> None:
        self._table, self._sources, self._folder, self._check = table, sources, folder, check
        self._pieces = list(_living(sources, oldest))
        self._apart = apart(table, folder.folder is not None)
        self._copied = {
            column.number: decayed(sources, self._pieces, others, column) for column in self._apart
        }
        self._in_keys = {number for _, key in table.indexed for number in key.numbers}
        parts = (sources[piece.source].part for piece in self._pieces)
        self._widest = max((row_bytes(part, self._apart) for part in parts), default=1)

    def targets(self) -> Iterator[Target]:
        """The rows that some snapshot can see, a target for each segment."""
        table, sources, pieces = self._table, self._sources, self._pieces
        if not pieces:
            return
        step = max(min(table.segment_rows, segment_bytes() // self._widest), 1)
        if not any(_is_sortable(table.definition(number)) for number, _ in table.sort_key):
            yield from _in_turn(pieces, step)
            return
        source_of = np.repeat([piece.source for piece in pieces], [len(piece.rows) for piece in pieces])
        row_of = np.concatenate([piece.rows for piece in pieces])
        order = _sorted(table, sources, pieces)
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            grouped = np.argsort(source_of[rows], kind="stable")
            places = np.empty(len(rows), np.int64)
            places[grouped] = np.arange(len(rows))
            numbers, firsts = np.unique(source_of[rows][grouped], return_index=True)
            parts = np.split(row_of[rows][grouped], firsts[1:])
            yield Target([Piece(n, part) for n, part in zip(numbers.tolist(), parts, strict=True)], places)

    def sealed(self, target: Target) -> Sealed:
        """The segment, in its files if there is a folder. One column after another is put together."""
        with cache.lend(self._held(target)):
            return self._sealed(target)

    def _held(self, target: Target) -> int:
        """About the bytes that are in memory meanwhile."""
        most, lot = _COPIES * self._widest * target.rows, lot_bytes()
        for column in self._apart:
            parts = ((self._sources[piece.source].part, len(piece.rows)) for piece in target.pieces)
            new = sum(rows for part, rows in parts if referred(part, column) is None)
            most += min(new * wide_bytes(column.type), lot)
        return most

    def _sealed(self, target: Target) -> Sealed:
        row_ids = target.gather(lambda n: self._sources[n].part.row_ids_of(0, self._sources[n].rows, None))
        base = int(row_ids.min())
        ids = SegmentColumn.build(Column(INT8, row_ids - base))
        ascending = bool((np.diff(row_ids) > 0).all())
        folder = self._folder.folder
        with self._folder.making(self._table.oid) as name:
            columns, sections = self._columns(target, None if folder is None else folder / name)
            segment = Segment(len(row_ids), columns, ids, ascending, sections)
            sealed = Sealed(segment, base, None, None)
            if folder is not None:
                sealed.save(folder, name)
        return sealed

    def _columns(
        self, target: Target, path: Path | None
    ) -> tuple[dict[int, SegmentColumn], dict[str, Section]]:
        """The columns, with codes of vectors and indexes of the table's keys; `path`: the segment's file."""
        columns, keys, codes = {}, {}, {}
        for definition in self._table.stored:
            self._check()
            number = definition.number
            coding = None
            if elements_of(definition.type) is not None:
                near = self._folder.centroids.get((self._table.oid, number))
                coding = Coding(self._sources, definition, target, self._check, near)
            if path is not None and definition in self._apart:
                columns[number] = self._wide(target, definition, path, coding)
            else:
                column = _gathered(self._sources, definition, target)
                columns[number] = SegmentColumn.build(column)
                if coding is not None:
                    coding.see(np.arange(target.rows), column)
                if number in self._in_keys:
                    keys[number] = column
            if columns[number].tag == Constant.tag:
                coding = None  # one value is looked at sooner than its code
            section = None if coding is None else coding.section()
            if coding is not None and coding.near is not None:
                self._folder.centroids[self._table.oid, number] = coding.near
            if section is not None:
                codes[section_of(number)] = section
        return columns, sections_of(self._table, keys, target.rows) | codes

    def _wide(
        self, target: Target, definition: ColumnDefinition, path: Path, coding: Coding | None
    ) -> SegmentColumn:
        """A column whose rows stand in vector files."""
        copied = self._copied[definition.number]
        gathering = Gathering(self._sources, definition, target, path, copied, self._check)
        return gathering.column(None if coding is None else coding.see)


def _living(sources: Sequence[Source], oldest: int) -> Iterator[Piece]:
    """The rows that some snapshot can see."""
    for number, source in enumerate(sources):
        gone = source.part.gone_in(0, source.rows)
        rows = np.arange(source.rows) if gone is None else np.flatnonzero((gone == 0) | (gone > oldest))
        if len(rows):
            yield Piece(number, rows)


def _in_turn(pieces: Sequence[Piece], step: int) -> Iterator[Target]:
    """The pieces one after another, cut after every `step` rows."""
    group: list[Piece] = []
    room = step
    for piece in pieces:
        rows = piece.rows
        while len(rows):
            group.append(Piece(piece.source, rows[:room]))
            taken = len(group[-1].rows)
            rows, room = rows[taken:], room - taken
            if not room:
                yield Target(group, None)
                group, room = [], step
    if group:
        yield Target(group, None)


def _is_sortable(definition: ColumnDefinition) -> bool:
    return definition.type.form not in (Form.LIST, Form.ROW)


def _sorted(table: Table, sources: Sequence[Source], pieces: Sequence[Piece]) -> Positions:
    """The order of the pieces' rows by the sort key, then by row id. It has to be good, not SQL's."""
    arrays: list[pa.Array] = []
    keys: list[tuple[str, str]] = []
    for number, descending in table.sort_key:
        definition = table.definition(number)
        if not _is_sortable(definition):
            continue
        arrays.append(_comparable(Column.concat([values_of(sources, definition, piece) for piece in pieces])))
        keys.append((str(len(keys)), "descending" if descending else "ascending"))
    row_ids = [
        sources[piece.source].part.row_ids_of(0, sources[piece.source].rows, piece.rows) for piece in pieces
    ]
    arrays.append(pa.array(np.concatenate(row_ids)))
    keys.append((str(len(keys)), "ascending"))
    rows = pa.table(arrays, names=[name for name, _ in keys])
    order: Positions = pc.sort_indices(rows, sort_keys=keys).to_numpy().astype(np.int64)
    return order


def _comparable(column: Column) -> pa.Array:
    """The column as an Arrow array that sorts."""
    if column.type.form is not Form.DECIMAL:
        return column.to_arrow()
    if column.units is not None:
        return pa.array(column.units, mask=None if column.valid is None else ~column.valid)
    return pa.array([None if value is None else float(value) for value in column.tolist()], pa.float64())


def _gathered(sources: Sequence[Source], definition: ColumnDefinition, target: Target) -> Column:
    """A column of the target's rows."""
    if is_wide(definition.type) and (len(target.pieces) > 1 or target.order is not None):
        return gathered_wide(sources, definition, target, np.arange(target.rows))
    column = Column.concat([values_of(sources, definition, piece) for piece in target.pieces])
    return column if target.order is None else column.take(target.order)
