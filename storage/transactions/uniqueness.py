"""Unique keys: whether rows may take the keys that they have.

A key is taken by a committed row that lives, whether or not the snapshot sees it, by a row of the same
transaction, and by a row of the same batch; that is 23505. It may be taken by another open transaction,
which inserted such a row or deleted the one that is there: then its end has to be waited for. Keys with a
null are never taken, unless the key says NULLS NOT DISTINCT. All of it is decided batch by batch, by hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from storage import kernels
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column, Positions
from storage.definitions import Table, UniqueKey
from storage.errors import UniqueViolation
from storage.indexes.comparable import Key
from storage.indexes.hashindex import Hashed, PendingKeys, hashed
from storage.indexes.keys import describe
from storage.indexes.lookup import Hits, find
from storage.segments.blocks import Block
from storage.segments.table import Store
from storage.transactions.changes import TableChanges
from storage.transactions.snapshot import TableView

_DEAD = 64  # dead versions of keys that are met before their index is made anew without them


class Entering(NamedTuple):
    """A unique key, and the keys that a batch's rows have of it."""

    unique: UniqueKey
    values: list[Column]
    key: Hashed


class Conflict(NamedTuple):
    """The batch's row whose key is taken; the transaction to wait for, or None: it is taken for good."""

    row: int
    waits_for: Any


def entering(table: Table, batch: Batch) -> list[Entering]:
    """The keys of rows with all columns of the table, in its order."""
    found = []
    for unique in table.unique_keys:
        values = [batch.columns[table.position(number)] for number in unique.columns.numbers]
        found.append(Entering(unique, values, hashed(values, batch.rows, unique.columns.nulls)))
    return found


def blocker(
    transaction: Any,
    catalog: Catalog,
    changes: TableChanges,
    store: Store,
    keys: Sequence[Entering],
    oldest: Callable[[], int],
) -> Any:
    """The transaction to wait for before these keys can be entered, or None. Raises UniqueViolation.

    `oldest` gives the commit of the oldest snapshot in use. The caller holds the store's lock.
    """
    table = changes.table
    for entered in keys:
        conflict = _first_conflict(transaction, changes, store, entered, oldest)
        if conflict is None:
            continue
        if conflict.waits_for is not None:
            return conflict.waits_for
        raise UniqueViolation(
            f'duplicate key value violates unique constraint "{entered.unique.name}"',
            detail=_described(catalog, table, entered, conflict.row, "already exists"),
            schema=catalog.schemas[table.schema].name,
            table=table.name,
            constraint=entered.unique.name,
            row=conflict.row,
        )
    return None


def enter(
    transaction: Any, changes: TableChanges, store: Store, keys: Sequence[Entering], ids: Positions
) -> None:
    """The rows with these keys were inserted under these ids: others wait for them from now on."""
    for entered in keys:
        columns = entered.unique.columns
        hashes, _ = entered.key.asked
        store.pending.setdefault(columns, PendingKeys()).enter(transaction, hashes)
        changes.enter(columns, entered.key, ids)


def release(transaction: Any, changes: TableChanges, store: Store, *, ended: bool) -> None:
    """Let go of keys: of all of them, or of those whose rows were taken back. The caller holds the lock.

    Keys of columns that the transaction has dropped stay held: it may go back to before that.
    """
    numbers = set(changes.table.numbers)
    for columns, pending in store.pending.items():
        if ended:
            pending.leave(transaction)
        elif numbers.issuperset(columns.numbers) and pending.give_back(transaction):
            pending.enter(transaction, changes.index(changes.table, columns).hashes)


def _first_conflict(
    transaction: Any, changes: TableChanges, store: Store, entered: Entering, oldest: Callable[[], int]
) -> Conflict | None:
    """The first row, in the batch's order, whose key is taken or may be."""
    table = changes.table
    columns, key = entered.unique.columns, entered.key
    found: list[Conflict] = []
    doubled = _first_doubled(key)
    if doubled is not None:
        found.append(Conflict(doubled, None))
    for own, asked, positions in changes.find(table, columns, key):
        living = (own.gone[positions] == 0) & (positions >= own.before(changes.truncated + 1))
        found += [Conflict(row, None) for row in asked[living][:1].tolist()]
    if not changes.truncated:
        for hits in find(store, table, columns, store.parts, key):
            found += _taken(changes, store, hits)
            _thin(store, entered, hits, oldest)
    pending = store.pending.get(columns)
    if pending is not None:
        hashes, rows = key.asked
        asked, others = pending.others(transaction, hashes)
        asked = asked if rows is None else rows[asked]
        found += [Conflict(row, other) for row, other in zip(asked.tolist(), others, strict=True)]
    return min(found, key=lambda conflict: conflict.row, default=None)


def _taken(changes: TableChanges, store: Store, hits: Hits) -> Iterator[Conflict]:
    """Committed rows that hold keys: those that live, unless this transaction deleted them."""
    part, asked, positions = hits
    gone = part.gone_in(0, part.rows)
    if gone is not None:
        living = gone[positions] == 0
        asked, positions = asked[living], positions[living]
    row_ids = part.row_ids_of(0, part.rows, positions).tolist() if len(asked) else ()
    for row, row_id in zip(asked.tolist(), row_ids, strict=True):
        if row_id not in changes.deleted:
            yield Conflict(row, store.holders.get(row_id))


def _thin(store: Store, entered: Entering, hits: Hits, oldest: Callable[[], int]) -> None:
    """Take versions that nobody sees any more out of the blocks' index, once a key has gathered many."""
    part, asked, positions = hits
    gone = part.gone_in(0, part.rows)
    index = store.indexes.get(entered.unique.columns)
    if gone is None or index is None or not isinstance(part, Block):
        return
    dead = gone[positions] > 0
    if dead.sum() <= _DEAD + len(entered.key.hashes):
        return
    dead &= gone[positions] <= oldest()
    rows = part.row_ids_of(0, part.rows, positions[dead])
    index.discard(entered.key.hashes[np.unique(asked[dead])], rows)


def _first_doubled(key: Hashed) -> int | None:
    """The first row whose key an earlier row has, too."""
    hashes, rows = key.asked
    if len(hashes) < 2:
        return None
    groups, firsts = kernels.group_words(hashes)
    if len(firsts) == len(hashes):
        return None
    return next((row for row, _ in doubled(key.keys, groups, firsts, rows)), None)


def doubled(
    keys: Sequence[Key], groups: Positions, firsts: Positions, rows: Positions | None
) -> Iterator[tuple[int, int]]:
    """(row, earlier row with the same key) among rows whose hashes are in these groups, in row order."""
    shared = np.flatnonzero(np.bincount(groups, minlength=len(firsts))[groups] > 1)
    at = shared if rows is None else rows[shared]
    seen: dict[tuple[Any, ...], int] = {}
    values = [_plain(key, at) for key in keys]
    for row, value in zip(at.tolist(), zip(*values, strict=True), strict=True):
        if value in seen:
            yield row, seen[value]
        seen.setdefault(value, row)


def _plain(key: Key, rows: Positions) -> list[Any]:
    """The comparable values of these rows; None for null."""
    part = key.take(rows)
    items = part.words.tolist() if part.words is not None else part.strings.to_pylist()
    return [item if ok else None for item, ok in zip(items, part.is_valid().tolist(), strict=True)]


def _described(catalog: Catalog, table: Table, entered: Entering, row: int, state: str) -> str:
    at = np.array([row])
    values = tuple(column.take(at).tolist()[0] for column in entered.values)
    return describe(catalog, table, entered.unique.columns.numbers, values, state)


def check_new(view: TableView, unique: UniqueKey, catalog: Catalog, check: Callable[[], None]) -> None:
    """Whether rows that are there can have a new key. Raises UniqueViolation."""
    table, columns = view.table, unique.columns
    definitions = [table.definition(number) for number in columns.numbers]
    found: list[tuple[Any, Positions]] = []  # (morsel, rows of it that have a key)
    hashes = [np.zeros(0, np.uint64)]
    for morsel in view.morsels():
        check()
        visible = morsel.visible()
        rows = None if visible is None else np.flatnonzero(visible)
        count = morsel.rows if rows is None else len(rows)
        key = hashed([morsel.column(d, rows) for d in definitions], count, columns.nulls)
        asked, kept = key.asked
        at = np.arange(morsel.rows) if rows is None else rows
        found.append((morsel, at if kept is None else at[kept]))
        hashes.append(asked)
    groups, firsts = kernels.group_words(np.concatenate(hashes))
    if len(firsts) == len(groups):
        return
    shared = np.bincount(groups, minlength=len(firsts))[groups] > 1
    values: list[list[Column]] = []
    start = 0
    for morsel, rows in found:
        at = rows[shared[start : start + len(rows)]]
        start += len(rows)
        values.append([morsel.column(d, at) for d in definitions])
    together = [Column.concat(list(parts)) for parts in zip(*values, strict=True)]
    key = hashed(together, len(together[0]), columns.nulls)
    row = _first_doubled(key)
    if row is not None:
        raise UniqueViolation(
            f'could not create unique index "{unique.name}"',
            detail=_described(catalog, table, Entering(unique, together, key), row, "is duplicated"),
            schema=catalog.schemas[table.schema].name,
            table=table.name,
            constraint=unique.name,
        )
