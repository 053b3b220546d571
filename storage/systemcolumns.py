"""System columns: what every table has without its definition naming it, by PostgreSQL's negative attnums.

All follow from a row's id, which a version has from its commit on and no other row of the table ever gets:

    ctid        the id, as block and place in it: 32768 ids a block, from (0,1) on
    xmin        the id's lower bits, above PostgreSQL's three special transactions: it tells versions of a row
                apart as PostgreSQL's does, but is nobody's transaction
    tableoid    the table
    xmax, cmin, cmax    0

Rows of an open transaction have ids of their own until its commit (negative: blocks from the last one
downwards), so their ctid and xmin change with it. A tid is kept as an int64, block * 65536 + place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from storage.column import Column, Positions
from storage.types import CID, OID, TID, XID, Type

CTID, XMIN, CMIN, XMAX, CMAX, TABLEOID = -1, -2, -3, -4, -5, -6
PLACE_BITS = 16
"""Bits of a tid that say where in its block a row is."""
_BLOCK_BITS = 15
_BLOCKS = 1 << 32
_SPECIAL = 3  # transactions that PostgreSQL has a meaning for: 0, 1 and 2


class SystemColumn(NamedTuple):
    """A system column: its attnum, name and type."""

    number: int
    name: str
    type: Type


SYSTEM_COLUMNS = {
    column.number: column
    for column in (
        SystemColumn(CTID, "ctid", TID),
        SystemColumn(XMIN, "xmin", XID),
        SystemColumn(CMIN, "cmin", CID),
        SystemColumn(XMAX, "xmax", XID),
        SystemColumn(CMAX, "cmax", CID),
        SystemColumn(TABLEOID, "tableoid", OID),
    )
}
"""By attnum."""

SYSTEM_NAMES = {column.name: column for column in SYSTEM_COLUMNS.values()}
"""By name."""


def tids(row_ids: Positions) -> Positions:
    """(n,) int64 tids of row ids; of those that are not negative, in the same order."""
    from_zero = row_ids - 1
    block = (from_zero >> _BLOCK_BITS) % _BLOCKS
    found: Positions = (block << PLACE_BITS) + (from_zero & ((1 << _BLOCK_BITS) - 1)) + 1
    return found


def system_values(number: int, table: int, row_ids: Positions) -> Column:
    """The system column with attnum `number` of the rows with these ids of a table (an OID)."""
    type = SYSTEM_COLUMNS[number].type
    if number == CTID:
        return Column(type, tids(row_ids))
    if number == XMIN:
        return Column(type, (row_ids % (_BLOCKS - _SPECIAL) + _SPECIAL).astype(np.uint32))
    return Column(type, np.full(len(row_ids), table if number == TABLEOID else 0, np.uint32))
