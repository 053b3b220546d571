"""The merger: blocks become sealed segments, and segments with dead rows are made anew.

A merge takes neighbouring parts of a table and puts segments with the same rows in their place, without
the rows that no snapshot can see any more, each segment sorted by the table's sort key. Readers keep the
parts they took. Rows keep their ids, and segments the order of the parts' ids among them, so ids are found
as before. A mark set while a merge runs is found when the segments are put in place, under the table's
lock, so none is lost; if the table was truncated meanwhile, the merge is given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.blocks import Block
from storage.catalog import ColumnDefinition, Table
from storage.column import Column, Positions
from storage.missing import numbers_of
from storage.sealed import Sealed
from storage.segment import Segment
from storage.table import Part, Store
from storage.types import Form

SEGMENT_BYTES = 512 << 20
SMALL_ROWS = 65_536  # a segment of fewer is merged with what comes behind it
SMALL_BYTES = 32 << 20
DEAD_SHARE = 0.25  # a segment with more dead rows is made anew


Piece = tuple[int, Positions]
"""(number of a part, positions of its rows)"""


def merge(store: Store, table: Table, commit: int, oldest: int, *, everything: bool = False) -> None:
    """Seal the rows that commits up to `commit` made and rewrite what is worth it; or whatever it helps.

    No snapshot is of a commit before `oldest`. One merge of a table at a time.
    """
    with store.lock:
        parts = store.parts
        counts = [part.visible_rows(commit) for part in parts]
    wanted = _wanted(parts, counts, oldest, 0.0 if everything else DEAD_SHARE)
    for together, numbers in groupby(range(len(parts)), wanted.__getitem__):
        if together:
            run = list(numbers)
            span = slice(run[0], run[-1] + 1)
            _rewrite(store, table, parts[span], counts[span], oldest)


def _wanted(parts: Sequence[Part], counts: Sequence[int], oldest: int, share: float) -> list[bool]:
    """Which parts are to be made anew: blocks, what has many dead rows, and small segments before such."""
    wanted: list[bool] = []
    behind = False
    for part, rows in zip(reversed(parts), reversed(counts), strict=True):
        if isinstance(part, Sealed) and part.damaged:
            behind = False
            wanted.append(False)
            continue
        small = rows < SMALL_ROWS and rows * row_bytes(part) < SMALL_BYTES
        behind = rows > 0 and (
            isinstance(part, Block) or (behind and small) or _dead(part, rows, oldest) > share * rows
        )
        wanted.append(behind)
    return wanted[::-1]


def _dead(part: Part, rows: int, oldest: int) -> int:
    gone = part.gone_in(0, rows)
    return 0 if gone is None else int(((gone > 0) & (gone <= oldest)).sum())


def row_bytes(part: Part) -> int:
    """About how many bytes a row of the part takes when it is decoded."""
    if isinstance(part, Block):
        return max(part.nbytes // max(part.rows, 1), 1)
    return max(_sealed(part).segment.row_bytes, 1)


def _sealed(part: Part) -> Sealed:
    assert isinstance(part, Sealed)
    return part


def _rewrite(store: Store, table: Table, old: Sequence[Part], counts: Sequence[int], oldest: int) -> None:
    """Put segments in the place of the first `counts` rows of neighbouring parts."""
    built: list[tuple[Segment, int, list[Piece], Positions | None]] = []
    for pieces in _groups(table, old, counts, oldest):
        columns = [
            Column.concat([_values(old[number], definition, rows) for number, rows in pieces])
            for definition in table.columns
        ]
        row_ids = np.concatenate([old[n].row_ids_of(0, old[n].rows, None)[rows] for n, rows in pieces])
        order = None
        if table.sort_key and (_gathered(pieces, [_born(part) for part in old]) <= oldest).all():
            order = _sorted(table, columns, row_ids)
            columns, row_ids = [column.take(order) for column in columns], row_ids[order]
        base = int(row_ids.min())
        built.append((Segment.build(numbers_of(table), columns, row_ids - base), base, pieces, order))
    with store.lock:
        if not all(part in store.parts for part in old):
            return  # truncated meanwhile
        new: list[Part] = []
        for segment, base, pieces, order in built:
            gone = _gathered(pieces, [part.gone_in(0, part.rows) for part in old])
            born = _gathered(pieces, [_born(part) for part in old])
            if order is not None:
                gone, born = gone[order], born[order]
            marks = gone if gone.any() else None
            new.append(Sealed(segment, base, marks, born if (born > oldest).any() else None))
        last = old[-1]
        if isinstance(last, Block) and last.rows > counts[-1]:
            new.append(last.rest(counts[-1]))
        store.replace_parts(tuple(old), tuple(new))


def _groups(table: Table, old: Sequence[Part], counts: Sequence[int], oldest: int) -> Iterator[list[Piece]]:
    """The rows that some snapshot can see, in pieces of parts, a list for each segment."""
    group: list[Piece] = []
    room, space = table.segment_rows, SEGMENT_BYTES
    for number, (part, rows) in enumerate(zip(old, counts, strict=True)):
        gone = part.gone_in(0, rows)
        kept = np.arange(rows) if gone is None else np.flatnonzero((gone == 0) | (gone > oldest))
        if isinstance(part, Sealed) and part.by_row_id is not None:
            # segments must not overlap in their row ids: see Store.locate
            mask = np.zeros(rows, np.bool_)
            mask[kept] = True
            kept = part.by_row_id[mask[part.by_row_id]]
        width = row_bytes(part)
        while len(kept):
            fitting = min(room, max(space // width, 1 if not group else 0), len(kept))
            if fitting:
                group.append((number, kept[:fitting]))
                kept = kept[fitting:]
                room, space = room - fitting, space - fitting * width
            if len(kept):
                yield group
                group, room, space = [], table.segment_rows, SEGMENT_BYTES
    if group:
        yield group


def _values(part: Part, definition: ColumnDefinition, rows: Positions) -> Column:
    """Those rows of a column, as a slice where they are neighbours."""
    if (np.diff(rows) == 1).all():
        return part.column(definition, int(rows[0]), int(rows[-1]) + 1, None)
    return part.column(definition, 0, part.rows, rows)


def _gathered(pieces: Sequence[Piece], marks: Sequence[Positions | None]) -> Positions:
    """What `marks` of the parts say of the pieces' rows; zeros where they are None."""
    found = [
        np.zeros(len(rows), np.int64) if (known := marks[number]) is None else known[rows]
        for number, rows in pieces
    ]
    return np.concatenate(found)


def _born(part: Part) -> Positions | None:
    return part.born if isinstance(part, Block) else _sealed(part).born


def _sorted(table: Table, columns: Sequence[Column], row_ids: Positions) -> Positions:
    """The order of rows by the table's sort key, then by row id. It only has to be good, not SQL's."""
    keys: list[tuple[str, str]] = []
    arrays: list[pa.Array] = []
    for number, descending in table.sort_key:
        column = columns[table.position(number)]
        if column.type.form is Form.DECIMAL:
            values = [None if value is None else float(value) for value in column.tolist()]
            arrays.append(pa.array(values, pa.float64()))
        elif column.type.form is Form.LIST:
            continue
        else:
            arrays.append(column.to_arrow())
        keys.append((str(len(keys)), "descending" if descending else "ascending"))
    arrays.append(pa.array(row_ids))
    keys.append((str(len(keys)), "ascending"))
    rows = pa.table(arrays, names=[name for name, _ in keys])
    order: Positions = pc.sort_indices(rows, sort_keys=keys).to_numpy().astype(np.int64)
    return order
