"""Rewriting: rows of some parts of a table become new segments, in the place of those parts.

Rows that no snapshot can see any more are left out, the others keep their ids. With a sort key the rows of
all the parts are sorted together and cut into segments that follow one another in its order (a sorted run);
without one they are put one after another. Each segment is written to its file at once and read from there
from then on, so the memory goes back.

Nobody waits meanwhile: readers keep the parts that they took, and what is deleted or committed while the
segments are made is looked up when they are put in place, under the table's lock, so no mark is lost. If
the table was truncated meanwhile, the segments are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog import ColumnDefinition, Table
from storage.column import Column, Positions
from storage.encodings.wide import EXTENT_BYTES, is_wide
from storage.indexes.hashindex import sections_of
from storage.segments.blocks import Block
from storage.segments.cache import memory
from storage.segments.sealed import Sealed
from storage.segments.segment import Segment, SegmentColumn
from storage.segments.segmentfolder import SegmentFolder
from storage.segments.table import Part, Rewriting, Store
from storage.types import INT8, Form

SEGMENT_BYTES = 128 << 20
"""The most bytes, decoded, of a segment's rows."""


BACKGROUND, MANUAL = "Slow Merger", "Manual Merger"
"""Who rewrites, under SingleStore's names."""


@dataclass(frozen=True)
class Source:
    """The first `rows` rows of a part."""

    part: Part
    rows: int


@dataclass(frozen=True)
class Piece:
    """Rows of a source, by number, at these positions."""

    source: int
    rows: Positions


@dataclass(frozen=True)
class Target:
    """The rows of a segment to be: those of the pieces, put in `order` (None: one after another)."""

    pieces: Sequence[Piece]
    order: Positions | None

    def gather(self, of: Callable[[int], Positions | None]) -> Positions:
        """What `of`, which gives (rows,) int64 of each source, says of the rows; 0 where it gives None."""
        found = []
        for piece in self.pieces:
            known = of(piece.source)
            found.append(np.zeros(len(piece.rows), np.int64) if known is None else known[piece.rows])
        joined = np.concatenate(found)
        return joined if self.order is None else joined[self.order]


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
    try:
        made = make(table, sources, oldest, folder, check, store.rewriting)
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


def make(
    table: Table,
    sources: Sequence[Source],
    oldest: int,
    folder: SegmentFolder,
    check: Callable[[], None] = lambda: None,
    progress: Rewriting | None = None,
) -> list[tuple[Target, Sealed]]:
    """Segments of these rows, in files where there is a folder, with the rows that went into each.

    Raises as `rewrite`, and leaves nothing behind then.
    """
    made: list[tuple[Target, Sealed]] = []
    try:
        for target in _targets(table, sources, oldest):
            segment, base = _built(table, sources, target, check)
            sealed = Sealed(segment, base, None, None)
            if folder.folder is not None:
                with folder.making(table.oid) as name:
                    sealed.save(folder.folder, name)
            made.append((target, sealed))
            if progress is not None:
                progress.rows += sealed.rows
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


def row_bytes(part: Part) -> int:
    """About how many bytes a row of the part takes when it is decoded."""
    if isinstance(part, Block):
        return max(part.nbytes // max(part.rows, 1), 1)
    assert isinstance(part, Sealed)
    return max(part.segment.row_bytes, 1)


def _targets(table: Table, sources: Sequence[Source], oldest: int) -> Iterator[Target]:
    """The rows that some snapshot can see, a target for each segment."""
    pieces = []
    for number, source in enumerate(sources):
        gone = source.part.gone_in(0, source.rows)
        rows = np.arange(source.rows) if gone is None else np.flatnonzero((gone == 0) | (gone > oldest))
        if len(rows):
            pieces.append(Piece(number, rows))
    if not pieces:
        return
    widest = max(row_bytes(sources[piece.source].part) for piece in pieces)
    step = max(min(table.segment_rows, SEGMENT_BYTES // widest), 1)
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
    return definition.type.form is not Form.LIST


def _sorted(table: Table, sources: Sequence[Source], pieces: Sequence[Piece]) -> Positions:
    """The order of the pieces' rows by the sort key, then by row id. It has to be good, not SQL's."""
    arrays: list[pa.Array] = []
    keys: list[tuple[str, str]] = []
    for number, descending in table.sort_key:
        definition = table.definition(number)
        if not _is_sortable(definition):
            continue
        arrays.append(_comparable(Column.concat([_values(sources, definition, piece) for piece in pieces])))
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


def _built(
    table: Table, sources: Sequence[Source], target: Target, check: Callable[[], None]
) -> tuple[Segment, int]:
    """The segment, and the base of its row ids. One column after another is gathered and encoded."""
    row_ids = target.gather(lambda n: sources[n].part.row_ids_of(0, sources[n].rows, None))
    base = int(row_ids.min())
    columns, keys = {}, {}
    in_keys = {number for _, key in table.indexed for number in key.numbers}
    for definition in table.columns:
        check()
        column = _gathered(sources, definition, target)
        columns[definition.number] = SegmentColumn.build(column)
        if definition.number in in_keys:
            keys[definition.number] = column
    sections = sections_of(table, keys, len(row_ids))
    ascending = bool((np.diff(row_ids) > 0).all())
    ids = SegmentColumn.build(Column(INT8, row_ids - base))
    return Segment(len(row_ids), columns, ids, ascending, sections), base


def _gathered(sources: Sequence[Source], definition: ColumnDefinition, target: Target) -> Column:
    """A column of the target's rows."""
    if is_wide(definition.type) and (len(target.pieces) > 1 or target.order is not None):
        return _gathered_wide(sources, definition, target)
    column = Column.concat([_values(sources, definition, piece) for piece in target.pieces])
    return column if target.order is None else column.take(target.order)


def _gathered_wide(sources: Sequence[Source], definition: ColumnDefinition, target: Target) -> Column:
    """The same, put where it belongs extent by extent: no second copy of all of it."""
    type = definition.type
    assert type.dtype is not None
    rows = sum(len(piece.rows) for piece in target.pieces)
    width = type.width * type.dtype.itemsize
    values = memory(rows * width).view(type.dtype).reshape(rows, type.width)
    valid = np.ones(rows, np.bool_)
    places: Positions | None = None  # where each goes; None: one after another
    if target.order is not None:
        places = np.empty(rows, np.int64)
        places[target.order] = np.arange(rows)
    step = max(EXTENT_BYTES // width, 1)
    at = 0
    for piece in target.pieces:
        for start in range(0, len(piece.rows), step):
            part = Piece(piece.source, piece.rows[start : start + step])
            column = _values(sources, definition, part)
            span = slice(at, at + len(column))
            where = span if places is None else places[span]
            values[where] = column.values
            valid[where] = column.is_valid()
            at += len(column)
    return Column(type, values, None if valid.all() else valid)


def _values(sources: Sequence[Source], definition: ColumnDefinition, piece: Piece) -> Column:
    """Those rows of a column, as a slice where they are neighbours."""
    source, rows = sources[piece.source], piece.rows
    if (np.diff(rows) == 1).all():
        return source.part.column(definition, int(rows[0]), int(rows[-1]) + 1, None)
    return source.part.column(definition, 0, source.rows, rows)
