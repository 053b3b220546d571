"""What searches by certified codes have done: see storage.segments.tally."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.activity import sessions
from sql.views.registry import Row, view
from storage.catalog import Catalog


@view("information_schema", "columnar_vector_scans", volatile=True)
def columnar_vector_scans(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    own = sessions().get(session.backend_pid)
    for table in catalog.tables() if own is not None else ():
        done = own.store.store(table.oid).tallies.sum if own is not None else None
        if done is None or not done.scans:
            continue
        yield {
            "database_name": session.database,
            "table_schema": catalog.schemas[table.schema].name,
            "table_name": table.name,
            "scans": done.scans,
            "segments_searched": done.segments,
            "segments_skipped": done.skipped,
            "rows_searched": done.rows,
            "rows_decided": sum(done.decided),
            "rows_decided_by_depth": list(done.decided),
            "rows_read_in_full": done.full,
            "rows_without_codes": done.plain,
            "bytes_of_codes": done.code_bytes,
            "bytes_of_vectors": done.full_bytes,
        }
