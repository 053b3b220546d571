"""What several catalog views say of one thing: OIDs of built-in objects, classes, owners, methods."""

from __future__ import annotations

from collections.abc import Iterator

from engine.functions.quoting import called
from sql.accessmethods import METHODS
from storage.catalog import Catalog
from storage.definitions import Index, Sequence, Table

# OIDs of the catalogs that other catalogs point into (classoid, classid, refclassid)
CLASS_PG_TYPE, CLASS_PG_PROC, CLASS_PG_CLASS, CLASS_PG_CONSTRAINT = 1247, 1255, 1259, 2606
CLASS_PG_ATTRDEF, CLASS_PG_NAMESPACE, CLASS_PG_DATABASE, CLASS_PG_AUTHID = 2604, 2615, 1262, 1260
CLASS_PG_REWRITE, CLASS_PG_EXTENSION = 2618, 3079

AM_HEAP = 2
COLLATION_DEFAULT, COLLATION_C = 100, 950
ENCODING_UTF8 = 6


def indexes(catalog: Catalog) -> Iterator[tuple[Table, Index]]:
    """Every index with its table, those of keys among them."""
    for table in catalog.tables():
        for index in table.every_index:
            yield table, index


def label_of(expression: str) -> str:
    """What an index's column over an expression is called: by the function that is called, or expr."""
    return (called(expression) or "expr") if expression else ""


def method_oid(index: Index) -> int:
    """pg_am's OID of the method that an index was asked for with."""
    return METHODS[index.method].oid


def owned_sequences(catalog: Catalog) -> Iterator[tuple[Sequence, Table, int]]:
    """Each sequence that belongs to a column: (sequence, table, attnum)."""
    for sequence in catalog.sequences():
        if sequence.owned_by is not None:
            table, number = sequence.owned_by
            yield sequence, catalog.table(table), number
