"""The columnstore's own state, under SingleStore's names: segments as they stand, whatever a snapshot sees.

Rows come from the feet of open segment files: no values are read. Bounds are those of the zone maps, so a
long text shows its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.forms import text_of
from engine.seams import SessionInfo
from sql.activity import sessions
from sql.views.registry import Row, view
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Table
from storage.segments.coding import section_of
from storage.segments.sealed import Sealed
from storage.types import BYTEA, Form, Type

_NODE, _PARTITION = 1, 0
_SIZES = ("uncompressed_size", "compressed_size", "codes_size", "vectors_size")


@view("information_schema", "columnar_segments", volatile=True)
def columnar_segments(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    own = sessions().get(session.backend_pid)
    for table in catalog.tables() if own is not None else ():
        for part in own.store.store(table.oid).parts if own is not None else ():
            if isinstance(part, Sealed) and not part.damaged:
                yield from _columns(session.database, catalog, table, part)


def _columns(database: str, catalog: Catalog, table: Table, part: Sealed) -> Iterable[Row]:
    """A row for each column of a segment."""
    shared: dict[str, Any] = {
        "database_name": database,
        "table_schema": catalog.schemas[table.schema].name,
        "table_name": table.name,
        "segment_id": part.first_row_id,
        "file": f"segments/{part.file}" if part.file else None,
        "node_id": _NODE,
        "partition": _PARTITION,
        "rows_count": part.rows,
        "deleted_rows_count": part.deleted,
    }
    for number, _ in table.sort_key[:1]:
        key = part.segment.columns.get(number)
        if key is not None:
            shared["segment_min_value"] = _shown(key.type, key.zone.low)
            shared["segment_max_value"] = _shown(key.type, key.zone.high)
    for definition in table.columns:
        column = part.segment.columns.get(definition.number)
        row = shared | {"column_name": definition.name, "column_id": definition.number}
        if column is None:  # the segment is older than the column
            yield row | {"encoding": "missing", **dict.fromkeys(_SIZES, 0)}
            continue
        referred, codes = column.referred, part.segment.sections.get(section_of(definition.number))
        yield row | {
            "encoding": column.tag,
            "min_value": _shown(column.type, column.zone.low),
            "max_value": _shown(column.type, column.zone.high),
            "uncompressed_size": column.raw,
            "compressed_size": column.nbytes,
            "codes_size": 0 if codes is None else codes.nbytes,
            "vectors_size": 0 if referred is None else referred.nbytes,
        }


def _shown(type: Type, bound: Any) -> str | None:
    """A bound as its type's text; None where the zone map has none, or only the order of one."""
    if bound is None or (type.dtype is not None and type.dtype.names):
        return None
    if type.form is Form.TEXT:
        return str(bound.decode(errors="replace")) if isinstance(bound, bytes) else str(bound)
    if type.form in (Form.BYTES, Form.ROWS):
        whole = type.form is Form.ROWS and len(bound) == type.width
        column = Column.of(type if whole else BYTEA, [bound])
    elif type.form in (Form.LIST, Form.ROW):
        return None
    else:
        column = Column.of(type, [bound])
    text: str = text_of(column).values[0].as_py()
    return text
