"""pg_enum: the labels of enums."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.views.registry import Row, view
from storage.catalog import Catalog
from storage.usertypes import PLACES, EnumType


@view("pg_catalog", "pg_enum")
def pg_enum(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for made in catalog.types.values():
        for label in made.labels if isinstance(made, EnumType) else ():
            yield {
                "oid": label.oid,
                "enumtypid": made.oid,
                "enumsortorder": label.place / PLACES,
                "enumlabel": label.text,
            }
