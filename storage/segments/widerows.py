"""Wide rows on their way into new segments: what stands in a vector file stays there, what is new gets one.

New rows go into files of at most LOT_BYTES, so no more of them are in memory at once. Rows of a vector file
of which more than half are dead are new rows too: they are copied, and the file goes when the last segment
that refers to it was made anew. Nulls take no room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from storage.column import Column, Mask, Positions
from storage.definitions import ColumnDefinition
from storage.encodings.wide import EXTENT_BYTES, Wide
from storage.memory import memory
from storage.segments.cache import portion
from storage.segments.missing import defined
from storage.segments.sealed import Sealed
from storage.segments.segment import SegmentColumn
from storage.segments.segmentfolder import vectors_path
from storage.segments.sources import Piece, Source, Target, values_of
from storage.segments.table import Part
from storage.segments.vectors import AnyFile, Referred, expect, gather, write_vectors
from storage.types import Type

LOT_BYTES = 128 << 20
"""The most bytes of a vector file's rows."""
LOT_PART = 8
"""Where the buffer cache is small, one of so many parts of it."""
COPY_SHARE = 0.5
"""Of a vector file with a larger share of dead rows the others are copied."""


def lot_bytes() -> int:
    """LOT_BYTES, or fewer."""
    return portion(LOT_BYTES, LOT_PART)


def wide_bytes(type: Type) -> int:
    """The bytes of a wide row."""
    assert type.dtype is not None
    return type.width * type.dtype.itemsize


def referred(part: Part, definition: ColumnDefinition) -> Referred | None:
    """The column, where its rows stand in vector files as they are to stand in a new segment."""
    column = part.segment.columns.get(definition.number) if isinstance(part, Sealed) else None
    if column is None or column.referred is None:
        return None
    same = (column.type.dtype, column.type.width) == (definition.type.dtype, definition.type.width)
    return column.referred if same else None


def gathered_rows(definition: ColumnDefinition, places: Sequence[tuple[Part, Positions]]) -> Column | None:
    """A column of rows of several parts, one after another, read in one go; at least one part.

    None where some of them do not stand in vector files. Raises DataCorrupted.
    """
    found = [(column, rows) for part, rows in places if (column := referred(part, definition)) is not None]
    if len(found) < len(places):
        return None
    masks = [_valid(part, definition) for part, _ in places]
    valid = None
    if any(mask is not None for mask in masks):
        pieces = zip(masks, (rows for _, rows in places), strict=True)
        valid = np.concatenate([np.ones(len(r), np.bool_) if m is None else m[r] for m, r in pieces])
    mask = None if valid is None or valid.all() else valid
    return defined(Column(found[0][0].type, gather(found), mask), definition)


def expect_rows(definition: ColumnDefinition, places: Sequence[tuple[Part, Positions]]) -> None:
    """A hint that these rows will be asked for: the disk may begin with those in vector files."""
    expect([(column, rows) for part, rows in places if (column := referred(part, definition)) is not None])


def decayed(
    sources: Sequence[Source], pieces: Sequence[Piece], others: Sequence[Part], definition: ColumnDefinition
) -> set[Path]:
    """The vector files whose rows are to be copied; `others`: the table's parts besides the sources'."""
    living: Counter[Path] = Counter()
    files: dict[Path, AnyFile] = {}
    for piece in pieces:
        column = referred(sources[piece.source].part, definition)
        if column is not None:
            files |= {file.path: file for file in column.files}
            living += _counted(column, _valid(sources[piece.source].part, definition), piece.rows)
    few = {path for path, file in files.items() if living[path] < (1 - COPY_SHARE) * file.rows}
    for part in others if few else ():
        column = referred(part, definition)
        if column is not None and few & {file.path for file in column.files}:
            gone = part.gone_in(0, part.rows)
            living += _counted(
                column, _valid(part, definition), None if gone is None else np.flatnonzero(gone == 0)
            )
    return {path for path in few if living[path] < (1 - COPY_SHARE) * files[path].rows}


def _valid(part: Part, definition: ColumnDefinition) -> Mask | None:
    assert isinstance(part, Sealed)
    _, valid = part.segment.columns[definition.number].loaded()
    return valid


def _counted(column: Referred, valid: Mask | None, rows: Positions | None) -> Counter[Path]:
    """How many of these rows, None: all, stand in each file. Nulls stand nowhere."""
    if valid is not None:
        rows = np.flatnonzero(valid) if rows is None else rows[valid[rows]]
    numbers, _ = column.located(rows)
    counts = np.bincount(numbers, minlength=len(column.files)).tolist()
    return Counter({file.path: n for file, n in zip(column.files, counts, strict=True) if n})


def gathered_wide(
    sources: Sequence[Source],
    definition: ColumnDefinition,
    target: Target,
    at: Positions,
    check: Callable[[], None] = lambda: None,
) -> Column:
    """A wide column of the target's rows `at`, put together extent by extent: no second copy of all of it."""
    type, width = definition.type, wide_bytes(definition.type)
    assert type.dtype is not None
    values = memory(len(at) * width).view(type.dtype).reshape(len(at), type.width)
    valid = np.ones(len(at), np.bool_)
    wanted = np.full(target.rows, -1, np.int64)
    wanted[at] = np.arange(len(at))
    step = max(EXTENT_BYTES // width, 1)
    for piece, goes in target.places():
        chosen = np.flatnonzero(wanted[goes] >= 0)
        for start in range(0, len(chosen), step):
            check()
            some = chosen[start : start + step]
            column = values_of(sources, definition, Piece(piece.source, piece.rows[some]))
            span = _span(wanted[goes[some]])
            values[span] = column.values
            valid[span] = column.is_valid()
    return Column(type, values, None if valid.all() else valid)


class Gathering:
    """A wide column of a new segment, put together. One use."""

    def __init__(
        self,
        sources: Sequence[Source],
        definition: ColumnDefinition,
        target: Target,
        segment: Path,
        copied: set[Path],
        check: Callable[[], None],
    ) -> None:
        """`segment` is the path of the file to be; rows of the files `copied` are not referred to."""
        self._sources, self._definition, self._target = sources, definition, target
        self._segment, self._copied, self._check = segment, copied, check
        rows = target.rows
        self._valid = np.ones(rows, np.bool_)
        self._file = np.full(rows, -1, np.int32)  # number of the file that each row stands in, -1: none yet
        self._row = np.zeros(rows, np.int64)  # the row there
        self._files: list[AnyFile] = []
        self._written = 0

    def column(self, see: Callable[[Positions, Column], None] | None) -> SegmentColumn:
        """The column. `see` is told which rows of the segment were read, and their values.

        Raises DataCorrupted, DiskFull or FileError.
        """
        self._refer()
        step = max(lot_bytes() // wide_bytes(self._definition.type), 1)
        new = np.flatnonzero(self._file < 0)
        for start in range(0, len(new), step):
            lot = new[start : start + step]
            column = gathered_wide(self._sources, self._definition, self._target, lot, self._check)
            if see is not None:
                see(lot, column)
            if len(lot) == self._target.rows:
                built = SegmentColumn.build(column)
                if built.tag != Wide.tag:
                    return built
            self._store(lot, column)
        return self._referring()

    def _refer(self) -> None:
        """Note what stands in files and stays there."""
        known: dict[Path, int] = {}
        for piece, goes in self._target.places():
            part = self._sources[piece.source].part
            column = referred(part, self._definition)
            if column is None:
                continue
            for each in column.files:
                if known.setdefault(each.path, len(known)) == len(self._files):
                    self._files.append(each)
            own = np.array([known[each.path] for each in column.files], np.int32)
            file, row = column.located(piece.rows)
            stays = np.array([each.path not in self._copied for each in column.files])[file]
            valid = _valid(part, self._definition)
            if valid is not None:
                self._valid[goes] = valid[piece.rows]
                stays |= ~valid[piece.rows]  # nulls are not looked for elsewhere
            self._file[goes[stays]] = own[file[stays]]
            self._row[goes[stays]] = row[stays]

    def _store(self, at: Positions, column: Column) -> None:
        """Write these rows of the segment to a file, but for nulls."""
        if column.valid is not None:
            self._valid[at] = column.valid
            at, column = at[column.valid], column.take(column.valid)
        if not len(at):
            return
        path = vectors_path(self._segment, self._definition.number, self._written)
        file = write_vectors(path, Wide(column.with_valid(None)), column.type)
        self._written += 1
        self._file[at] = len(self._files)
        self._row[at] = np.arange(len(at))
        self._files.append(file)

    def _referring(self) -> SegmentColumn:
        """The column, once every row that is not null stands in a file."""
        type, rows, valid = self._definition.type, self._target.rows, self._valid
        if not valid.any():
            nothing = np.broadcast_to(np.zeros(1, type.dtype), (rows, type.width))
            return SegmentColumn.build(Column(type, nothing, valid))
        numbers, first = np.unique(self._file[valid], return_index=True)
        used = numbers[np.argsort(first)]  # as they appear: then rows that are in turn need no places
        files = [self._files[number] for number in used.tolist()]
        starts = np.zeros(len(self._files), np.int64)
        starts[used] = np.cumsum([0, *(file.rows for file in files[:-1])])
        places = np.where(valid, starts[self._file] + self._row, 0)
        in_turn = np.array_equal(places, np.arange(rows))
        column = Referred(type, files, rows, None if in_turn else places.astype(np.int32))
        return SegmentColumn.refer(column, None if valid.all() else valid)


def _span(places: Positions) -> slice | Positions:
    """The places as a slice where they are neighbours."""
    if len(places) and places[-1] - places[0] + 1 == len(places) and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
