"""ON CONFLICT DO NOTHING by batches gives what row by row would: rows by two keys, against dicts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.database import Database
from storage.types import INT8
from tests.storage.rows import batch, create, rows

Row = tuple[int | None, int | None]

keys = st.one_of(st.none(), st.integers(0, 6))
batches = st.lists(st.lists(st.tuples(keys, keys), min_size=1, max_size=8), min_size=1, max_size=5)


def put(table: list[Row], row: Row, arbiters: tuple[int, ...]) -> bool:
    """Row by row: whether it was inserted."""
    for at in arbiters:
        if row[at] is not None and any(row[at] == other[at] for other in table):
            return False
    table.append(row)
    return True


@settings(deadline=None, max_examples=60)
@given(batches, st.sampled_from([(0,), (1,), (0, 1)]), st.booleans())
def test_rows_by_batches(given_rows: list[list[Row]], wanted: tuple[int, ...], committed: bool) -> None:
    database = Database.open(None)
    unique = [[at + 1] for at in wanted]
    oid = create(database, columns=[("a", INT8), ("b", INT8)], unique=unique)
    arbiters = database.catalog.table(oid).unique_keys
    model: list[Row] = []
    transaction = database.begin()
    for part in given_rows:
        transaction.snapshot()
        holders = transaction.insert_free(oid, batch(part, (INT8, INT8)), arbiters)
        assert [holder == 0 for holder in holders.tolist()] == [put(model, row, wanted) for row in part]
        if committed:
            transaction.commit()
            transaction = database.begin()
    assert rows(transaction, oid) == sorted(model, key=repr)
    transaction.rollback()
    database.close()
