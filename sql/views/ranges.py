"""pg_range: the range types, and those of their bounds and multiranges."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.views.registry import Row, view
from storage.catalog import Catalog
from storage.types import RANGES


@view("pg_catalog", "pg_range", fixed=True)
def pg_range(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for oid, (subtype, multirange) in RANGES.items():
        yield {"rngtypid": oid, "rngsubtype": subtype.oid, "rngmultitypid": multirange.oid}
