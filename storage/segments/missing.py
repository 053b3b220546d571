"""Columns that rows lack because they are older than the columns: ADD COLUMN rewrites nothing.

Rows know their columns by attribute number (attnum), which is never reused. Where they lack one, the
value that its definition recorded when it was added stands in (`missing`: null where there was none);
where they have one that the table has dropped, nobody asks for it. So snapshots with older and newer
definitions read the same rows, each by its own.
"""

from __future__ import annotations

from storage.batch import Batch
from storage.column import Column
from storage.definitions import ColumnDefinition, Table
from storage.segments.zones import Zone, zone_of

Numbers = tuple[int, ...]
"""The attribute numbers of a batch's columns, in their order."""


def missing_column(definition: ColumnDefinition, rows: int) -> Column:
    """What rows without the column have in it."""
    if definition.missing is None:
        return Column.nulls(definition.type, rows)
    return Column.scalar(definition.type, definition.missing).spread(rows)


def missing_zone(definition: ColumnDefinition) -> Zone:
    """The zone of rows without the column: as of one, for it says the same of all."""
    return zone_of(missing_column(definition, 1))


def defined(column: Column, definition: ColumnDefinition) -> Column:
    """A stored column under the type that it is defined with now (varchar(20) where it was varchar(10))."""
    return column if column.type == definition.type else column.retype(definition.type)


def column_of(batch: Batch, numbers: Numbers, definition: ColumnDefinition) -> Column:
    """A column of a batch whose columns have these numbers."""
    if definition.number not in numbers:
        return missing_column(definition, batch.rows)
    return defined(batch.columns[numbers.index(definition.number)], definition)


def conform(batch: Batch, numbers: Numbers, table: Table) -> Batch:
    """A batch whose columns have these numbers, as a batch with all that the table stores, in its order."""
    columns = tuple(column_of(batch, numbers, definition) for definition in table.stored)
    return Batch(columns, batch.rows)
