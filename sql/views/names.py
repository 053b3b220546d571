"""What several catalog views say of one thing: OIDs of built-in objects, classes, owners, methods."""

from __future__ import annotations

from collections.abc import Iterator

from storage.catalog import Catalog, Constraint, Sequence, Table

# OIDs of the catalogs that other catalogs point into (classoid, classid, refclassid)
CLASS_PG_TYPE, CLASS_PG_PROC, CLASS_PG_CLASS, CLASS_PG_CONSTRAINT = 1247, 1255, 1259, 2606
CLASS_PG_ATTRDEF, CLASS_PG_NAMESPACE, CLASS_PG_DATABASE, CLASS_PG_AUTHID = 2604, 2615, 1262, 1260
CLASS_PG_REWRITE = 2618

AM_HEAP, AM_BTREE, AM_HASH = 2, 403, 405
COLLATION_DEFAULT, COLLATION_C = 100, 950
TABLESPACE_DEFAULT, TABLESPACE_GLOBAL = 1663, 1664
LANGUAGE_INTERNAL, LANGUAGE_SQL = 12, 14
ENCODING_UTF8 = 6


def keys(catalog: Catalog) -> Iterator[tuple[Table, Constraint]]:
    """Every primary key and unique constraint with its table: each shows as an index."""
    for table in catalog.tables():
        for constraint in table.keys:
            yield table, constraint


def owned_sequences(catalog: Catalog) -> Iterator[tuple[Sequence, Table, int]]:
    """Each sequence that belongs to a column: (sequence, table, attnum)."""
    for sequence in catalog.sequences():
        if sequence.owned_by is not None:
            table, number = sequence.owned_by
            yield sequence, catalog.table(table), number
