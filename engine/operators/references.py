"""Foreign keys: what has to be seen to once a statement has written its rows.

A statement's writes are noted as they happen and kept at its end, or at the end of the transaction where
the constraint is deferred:

    rows that point    their keys are looked up in the referenced table's unique index, batch by batch, and
                       the rows found are locked FOR KEY SHARE: they stay until the transaction's end
    rows pointed to    rows that point to a key that is no more are found, by an index of their own or by a
                       scan, and are an error, deleted, or updated (CASCADE, SET NULL, SET DEFAULT)

What an action writes is noted in turn, until nothing is left to be done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from engine.groups import KeyIndex, number
from engine.operators.constraints import ANY_ROW, Invariants
from engine.parallel import root_memo
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.definitions import KeyColumns, Table
from storage.errors import ForeignKeyViolation, SerializationFailure
from storage.indexes.comparable import keys_of, same_rows
from storage.indexes.keys import describe
from storage.seams import Found, TableView
from storage.transactions.locks import RowMode


@dataclass(frozen=True)
class ForeignKey:
    """Columns `columns` of table `child` point to `referenced` of table `parent`, pairwise (attnums, OIDs).

    Columns are in the order of `key`, the parent's index; `shown` are places among them in the order in
    which the constraint was written. Letters are those of pg_constraint.
    """

    oid: int
    name: str
    child: int
    columns: tuple[int, ...]
    parent: int
    key: KeyColumns
    shown: tuple[int, ...]
    match: str
    on_update: str
    on_delete: str
    set_columns: tuple[int, ...]
    deferrable: bool
    deferred: bool

    @property
    def referenced(self) -> tuple[int, ...]:
        return self.key.numbers


@dataclass(frozen=True)
class TableRules:
    """What rows of a table have to be, its foreign keys, and those that point to it.

    `defaults` are of columns that ON ... SET DEFAULT may set, by attnum.
    """

    table: int
    invariants: Invariants = ANY_ROW
    defaults: tuple[tuple[int, Expression], ...] = ()
    outgoing: tuple[ForeignKey, ...] = ()
    incoming: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What a statement's writes to a table touch, and all rules of the tables that actions may write to."""

    written: TableRules
    tables: tuple[TableRules, ...] = ()

    def of(self, table: int) -> TableRules:
        """Those of one table; empty where there are none."""
        return next((rules for rules in self.tables if rules.table == table), TableRules(table))


@dataclass(frozen=True)
class Pointing:
    """Rows were written that point to keys: each row's columns, and its id (None: not known)."""

    foreign: ForeignKey
    keys: list[Column]
    row_ids: Positions | None


@dataclass(frozen=True)
class Pointed:
    """Keys that are no more: of rows that were deleted, or (with `new`) updated to others."""

    foreign: ForeignKey
    old: list[Column]
    new: list[Column] | None


Event = Pointing | Pointed
_LATE = "keepers of the statement"


class Keeper:
    """Of one writing operator, which tells it of each batch, and calls `close` at the end."""

    def __init__(self, rules: Rules, run: Run) -> None:
        self._rules = rules
        self._run = run
        self._events: deque[Event] = deque()

    def _table(self, table: int) -> Table:
        return self._run.transaction.catalog.table(table)

    def inserted(self, batch: Batch, row_ids: Positions | None) -> None:
        """Rows, all columns of the table in its order, were inserted under these ids, if they are known."""
        rules = self._rules.written
        for foreign in rules.outgoing:
            keys = _columns(self._table(rules.table), foreign.columns, batch)
            self._note(Pointing(foreign, keys, row_ids))

    def deleted(self, old: Batch) -> None:
        """Rows, as they were, are deleted."""
        self._deleted(self._rules.written, old)

    def deleted_ids(self, row_ids: Positions) -> None:
        """Rows with these ids are deleted."""
        table = self._rules.written.table
        numbers = [column.number for column in self._table(table).columns]
        if len(row_ids):
            old = self._run.transaction.fetch(table, row_ids, numbers)
            self.deleted(Batch(tuple(old), len(row_ids)))

    def updated(self, row_ids: Positions, new: Batch, new_ids: Positions) -> None:
        """Rows that had the first ids are `new` now, under the new ids."""
        rules = self._rules.written
        needed = {attnum for foreign in rules.incoming for attnum in foreign.referenced}
        needed |= {attnum for foreign in rules.outgoing for attnum in foreign.columns}
        numbers = sorted(needed)
        old = dict(zip(numbers, self._run.transaction.fetch(rules.table, row_ids, numbers), strict=True))
        self._updated(rules, old, new, new_ids)

    def _deleted(self, rules: TableRules, old: Batch) -> None:
        for foreign in rules.incoming:
            keys = _columns(self._table(rules.table), foreign.referenced, old)
            self._note(Pointed(foreign, keys, None))

    def _updated(self, rules: TableRules, old: Mapping[int, Column], new: Batch, new_ids: Positions) -> None:
        """Note the keys that have changed: `old` values by attnum."""
        table = self._table(rules.table)
        for foreign in rules.outgoing:
            now = _columns(table, foreign.columns, new)
            changed = np.flatnonzero(~_equal([old[attnum] for attnum in foreign.columns], now))
            if len(changed):
                keys = [column.take(changed) for column in now]
                self._note(Pointing(foreign, keys, new_ids[changed]))
        for foreign in rules.incoming:
            before, now = (
                [old[attnum] for attnum in foreign.referenced],
                _columns(table, foreign.referenced, new),
            )
            changed = np.flatnonzero(~_equal(before, now))
            if len(changed):
                was, is_now = ([c.take(changed) for c in columns] for columns in (before, now))
                self._note(Pointed(foreign, was, is_now))

    def _note(self, event: Event) -> None:
        transaction, foreign = self._run.transaction, event.foreign
        restricts = isinstance(event, Pointed) and _action(event) != "a"
        if not restricts and transaction.is_deferred(foreign.oid, foreign.deferrable, foreign.deferred):
            transaction.deferred.append((foreign.oid, self._rules, event))
        else:
            self._events.append(event)

    def take(self, event: Event) -> None:
        """Something to be seen to now, deferred or not."""
        self._events.append(event)

    def close(self) -> None:
        """The operator has written all: see to what was noted, at the end of `together` if run in that."""
        late: list[Keeper] | None = root_memo(self._run).get(_LATE)
        if late is None:
            self.finish()
        else:
            late.append(self)

    def finish(self) -> None:
        """See to all that was noted. Raises ForeignKeyViolation and whatever writing raises."""
        while self._events:
            event = self._events.popleft()
            self._run.check()
            if isinstance(event, Pointing):
                self._must_point(event)
            else:
                self._act(event)

    # rows that point

    def _must_point(self, event: Pointing) -> None:
        """Every row that still is there has to point to a row."""
        foreign, transaction = event.foreign, self._run.transaction
        keys = event.keys
        if event.row_ids is not None:
            kept = transaction.living(foreign.child, event.row_ids)
            keys = keys if kept.all() else [column.take(kept) for column in keys]
        rows = len(keys[0])
        complete, some = np.ones(rows, np.bool_), np.zeros(rows, np.bool_)
        for column in keys:
            complete &= column.is_valid()
            some |= column.is_valid()
        if foreign.match == "f" and (some & ~complete).any():
            detail = "MATCH FULL does not allow mixing of null and nonnull key values."
            raise self._dangling(foreign, detail)
        if not complete.all():
            keys = [column.take(complete) for column in keys]
        if not len(keys[0]):
            return
        _, firsts = number(keys, len(keys[0]))
        distinct = [column.take(firsts) for column in keys]
        missing = self._missing(foreign, distinct)
        if len(missing) and event.row_ids is None:
            missing = self._still_asked(foreign, distinct, missing)
        if len(missing):
            parent = self._table(foreign.parent)
            detail = self._key(
                foreign, self._table(foreign.child), foreign.columns, distinct, int(missing[0])
            )
            raise self._dangling(foreign, f'{detail} is not present in table "{parent.name}".')

    def _still_asked(self, foreign: ForeignKey, keys: list[Column], missing: Positions) -> Positions:
        """Those of the keys at `missing` that some row still points to."""
        there = np.zeros(len(missing), np.bool_)
        for _, which, _ in self._pointing_to(foreign, [key.take(missing) for key in keys]):
            there[which] = True
        return missing[there]

    def _missing(self, foreign: ForeignKey, keys: list[Column]) -> Positions:
        """Lock the rows that have these keys; the keys that no row has."""
        transaction = self._run.transaction
        found = np.zeros(len(keys[0]), np.bool_)
        asked = np.arange(len(found))
        while len(asked):
            view: TableView = transaction.snapshot().table(foreign.parent)
            lost = np.zeros(len(found), np.bool_)
            for morsel, positions, which in view.lookup(foreign.key, [key.take(asked) for key in keys]):
                row_ids = morsel.row_ids(positions)
                same = row_ids < 0
                if not same.all():
                    same |= transaction.lock(foreign.parent, row_ids, RowMode.KEY_SHARE) == row_ids
                found[asked[which[same]]] = True
                lost[asked[which[~same]]] = True
            # A row that was changed meanwhile: another may have its key now.
            asked = np.flatnonzero(lost & ~found)
        return np.flatnonzero(~found)

    # rows pointed to

    def _act(self, event: Pointed) -> None:
        """Do with the rows that point to keys that are no more as the constraint says."""
        foreign, action = event.foreign, _action(event)
        complete = np.ones(len(event.old[0]), np.bool_)
        for column in event.old:
            complete &= column.is_valid()
        if action == "a" and complete.any():
            complete &= ~self._exist(foreign, event.old)
        old = [column.take(complete) for column in event.old]
        new = None if event.new is None else [column.take(complete) for column in event.new]
        left = action not in "ar"
        while left and len(old[0]):
            left = False
            for row_ids, which, batch in self._pointing_to(foreign, old):
                left |= not self._changed(event, action, row_ids, which, batch, new)
        if action in "ar":
            self._refuse(foreign, old)
        elif action == "d":  # a default may be the key that is no more
            self._refuse(foreign, [column.take(~self._exist(foreign, old)) for column in old])

    def _refuse(self, foreign: ForeignKey, keys: list[Column]) -> None:
        """Raise ForeignKeyViolation if a row points to one of these keys."""
        for _, which, _ in self._pointing_to(foreign, keys) if len(keys[0]) else ():
            raise self._referenced(foreign, keys, int(which[0]))

    def _exist(self, foreign: ForeignKey, keys: list[Column]) -> Mask:
        """Which of the keys some row of the parent has, after all."""
        found = np.zeros(len(keys[0]), np.bool_)
        view = self._run.transaction.newest().table(foreign.parent)
        for _, _, which in view.lookup(foreign.key, keys):
            found[which] = True
        return found

    def _pointing_to(
        self, foreign: ForeignKey, keys: list[Column]
    ) -> Iterator[tuple[Positions, Positions, Batch]]:
        """(row ids, which key, rows) of the child's rows, seen or not, that have one of these keys."""
        view = self._run.transaction.newest().table(foreign.child)
        for morsel, positions, which in list(_found(view, foreign, keys)):
            self._run.check()
            columns = tuple(morsel.column(column, positions) for column in view.table.columns)
            yield morsel.row_ids(positions), which, Batch(columns, len(positions))

    def _changed(
        self,
        event: Pointed,
        action: str,
        row_ids: Positions,
        which: Positions,
        batch: Batch,
        new: list[Column] | None,
    ) -> bool:
        """Delete or update rows that point; false where another transaction was before us."""
        foreign, transaction = event.foreign, self._run.transaction
        self._must_see(foreign, row_ids, event.old)
        if action == "c" and new is None:
            done = np.isin(row_ids, transaction.delete(foreign.child, row_ids))
            self._deleted(self._rules.of(foreign.child), batch if done.all() else batch.take(done))
            return bool(done.all())
        table, rules = self._table(foreign.child), self._rules.of(foreign.child)
        values = list(batch.columns)
        for place, attnum in enumerate(foreign.columns):
            position = table.position(attnum)
            type = table.columns[position].type
            if action == "c":
                assert new is not None
                values[position] = new[place].take(which).retype(type)
            elif new is not None or not foreign.set_columns or attnum in foreign.set_columns:
                default = dict(rules.defaults).get(attnum) if action == "d" else None
                values[position] = (
                    Column.nulls(type, batch.rows)
                    if default is None
                    else default.evaluate(batch, self._run).spread(batch.rows)
                )
        rows = rules.invariants.computed(Batch(tuple(values), batch.rows), self._run)
        rules.invariants.enforce(table, rows, self._run)
        ids = transaction.update(foreign.child, row_ids, rules.invariants.stored(rows, self._run))
        kept = ids != 0
        if kept.any():
            numbers = [column.number for column in table.columns]
            old = dict(zip(numbers, batch.take(kept).columns, strict=True))
            self._updated(rules, old, rows.take(kept), ids[kept])
        return bool(kept.all())

    def _must_see(self, foreign: ForeignKey, row_ids: Positions, keys: list[Column]) -> None:
        """Raise SerializationFailure for a row that is to be changed and that the snapshot does not see."""
        if self._run.transaction.repeats:
            view = self._run.transaction.snapshot().table(foreign.child)
            seen = [morsel.row_ids(positions) for morsel, positions, _ in _found(view, foreign, keys)]
            if not np.isin(row_ids, np.concatenate([row_ids[:0], *seen])).all():
                raise SerializationFailure("could not serialize access due to concurrent update")

    # words

    def _key(
        self, foreign: ForeignKey, table: Table, numbers: Sequence[int], keys: list[Column], row: int
    ) -> str:
        """Key (a, b)=(1, 2)"""
        at = np.array([row])
        shown = [(numbers[place], keys[place].take(at).tolist()[0]) for place in foreign.shown]
        catalog, values = self._run.transaction.catalog, [value for _, value in shown]
        return describe(catalog, table, [n for n, _ in shown], values, "").removesuffix(" .")

    def _referenced(self, foreign: ForeignKey, keys: list[Column], row: int) -> ForeignKeyViolation:
        parent, child = self._table(foreign.parent), self._table(foreign.child)
        detail = self._key(foreign, parent, foreign.referenced, keys, row)
        detail += f' is still referenced from table "{child.name}".'
        return self._violation(foreign, f'update or delete on table "{parent.name}"', detail)

    def _dangling(self, foreign: ForeignKey, detail: str) -> ForeignKeyViolation:
        child = self._table(foreign.child)
        return self._violation(foreign, f'insert or update on table "{child.name}"', detail)

    def _violation(self, foreign: ForeignKey, doing: str, detail: str) -> ForeignKeyViolation:
        catalog = self._run.transaction.catalog
        child = catalog.table(foreign.child)
        of = "" if doing.startswith("insert") else f' on table "{child.name}"'
        return ForeignKeyViolation(
            f'{doing} violates foreign key constraint "{foreign.name}"{of}',
            detail=detail,
            schema=catalog.schemas[child.schema].name,
            table=child.name,
            constraint=foreign.name,
        )


def _action(event: Pointed) -> str:
    return event.foreign.on_delete if event.new is None else event.foreign.on_update


def _columns(table: Table, numbers: Sequence[int], batch: Batch) -> list[Column]:
    return [batch.columns[table.position(attnum)] for attnum in numbers]


def _equal(old: list[Column], new: list[Column]) -> Mask:
    rows = np.arange(len(old[0]))
    return same_rows(keys_of(old, len(rows)), rows, keys_of(new, len(rows)), rows)


def _found(view: TableView, foreign: ForeignKey, keys: list[Column]) -> Iterator[Found]:
    """Where the child's rows with these keys stand: by an index over just these columns, or by a scan."""
    for _, index in view.table.indexed:
        if sorted(index.numbers) == sorted(foreign.columns) and not index.nulls:
            order = [foreign.columns.index(attnum) for attnum in index.numbers]
            yield from view.lookup(index, [keys[place] for place in order])
            return
    known = KeyIndex([key.type for key in keys])
    codes, _ = known.assign(keys, len(keys[0]))
    first = np.full(known.count, -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    columns = [view.table.definition(attnum) for attnum in foreign.columns]
    for morsel in view.morsels():
        visible = morsel.visible()
        rows = None if visible is None else np.flatnonzero(visible)
        count = morsel.rows if rows is None else len(rows)
        if not count:
            continue
        found = known.find([morsel.column(column, rows) for column in columns], count)
        hit = np.flatnonzero(found >= 0)
        if len(hit):
            yield morsel, hit if rows is None else rows[hit], first[found[hit]]


@contextmanager
def together(run: Run) -> Iterator[None]:
    """What the operators inside write is seen to when all of it is written."""
    late: list[Keeper] = []
    root_memo(run)[_LATE] = late
    yield
    for keeper in late:
        keeper.finish()


def settle(run: Run, oids: set[int] | None = None) -> None:
    """See to what was deferred, or what these constraints deferred. Raises ForeignKeyViolation."""
    transaction = run.transaction
    waiting = transaction.deferred
    now = [item for item in waiting if oids is None or item[0] in oids]
    waiting[:] = [item for item in waiting if oids is not None and item[0] not in oids]
    for _, rules, event in now:
        keeper = Keeper(rules, replace(run, snapshot=transaction.snapshot()))
        keeper.take(event)
        keeper.finish()


def validate(rules: Rules, name: str, run: Run) -> None:
    """Whether all rows of a table point to rows, as its foreign key `name` says."""
    mine = rules.written
    foreign = next(foreign for foreign in mine.outgoing if foreign.name == name)
    keeper = Keeper(rules, run)
    view: TableView = run.snapshot.table(mine.table)
    columns = [view.table.definition(attnum) for attnum in foreign.columns]
    for morsel in view.morsels():
        visible = morsel.visible()
        rows = np.arange(morsel.rows) if visible is None else np.flatnonzero(visible)
        if len(rows):
            keys = [morsel.column(column, rows) for column in columns]
            keeper.take(Pointing(foreign, keys, morsel.row_ids(rows)))
            keeper.finish()
