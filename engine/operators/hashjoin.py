"""HashJoin: the right side is held and numbered by its keys, the left side streams past in the pool.

Keys are equal as SQL's `=` has it: a null is equal to nothing. Right rows of one key stand together in
`order`, key by key, so a left row's partners are a range of it. Where no two right rows have one key, the
join is a part of the left side's tasks: joins above it, and whatever else can, do their part in the same.

Where the right side takes more memory than it may, the rows of both sides are dealt out to partitions by
their keys (engine.partitions), and one partition of the one is joined with that of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar

import numpy as np

from engine.counters import count
from engine.groups import KeyIndex
from engine.joined import Partners, source_of
from engine.late import is_wide
from engine.memory import Grant
from engine.nodes import Reference
from engine.operators.base import (
    LEFT_IN,
    Operator,
    Selected,
    Selection,
    Task,
    all_of,
    bundled,
    bundled_selections,
    given,
    pooled,
    selections_of,
    tasks_of,
)
from engine.operators.keyfilters import leave, withdraw
from engine.operators.pairs import Kind, Pairs, join_types
from engine.operators.rows import Rows
from engine.operators.sortkeys import Keyed, SortKey, keyed, keyed_bytes
from engine.parallel import pool_safe, prepare
from engine.partitions import PARTS, Dealt, Partitions
from engine.pool import Ahead, ordered
from engine.run import Run
from engine.seams import Expression
from engine.wholekeys import WholeKeys, is_countable, is_whole, without_nulls
from storage import kernels
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.encodings.runcolumn import RunColumn
from storage.types import Type

Found = TypeVar("Found", Task, Selection)
_LOOKED_AT = 1 << 12  # rows that tell whether most meet somebody


@dataclass(frozen=True)
class HashJoin:
    """`left` and `right` where all keys are equal, pairwise of one type, and `residual` is true.

    `residual` is over the left columns and then the right ones, also in semi and anti joins.
    """

    kind: Kind
    left: Operator
    right: Operator
    left_keys: tuple[Expression, ...]
    right_keys: tuple[Expression, ...]
    residual: Expression | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        return join_types(self.kind, self.left.types, self.right.types)

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    def origin(self, index: int) -> tuple[Operator, int] | None:
        """See engine.operators.keyfilters.Passing."""
        width = 0 if self.kind in ("right semi", "right anti") else len(self.left.types)
        if index < width:
            return (self.left, index) if self.kind in ("inner", "left", "semi", "anti") else None
        return (self.right, index - width) if self.kind not in ("left", "full") else None

    def explain(self) -> str:
        return "Hash Join" if self.kind == "inner" else f"Hash {self.kind.title()} Join"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from pooled(self, self.morsels(run), run)

    def morsels(self, run: Run) -> Iterator[Task]:
        """The left side's tasks, each followed by the join where a row has one partner at most."""
        return self._tasks(run, self._probing, _same)

    def selections(self, run: Run) -> Iterator[Selection]:
        """See engine.operators.base.Selecting: the left rows that meet nobody may stay in."""
        whole = self.kind == "inner" and self.residual is None and not any(map(is_wide, self.types))
        if not whole or not pool_safe(*self.left_keys):
            return map(all_of, bundled(self.morsels(run), self.types))
        return self._tasks(run, self._selecting, all_of)

    def _tasks(
        self,
        run: Run,
        probing: Callable[[_Build, Pairs, Run], Iterator[Found]],
        form: Callable[[Task], Found],
    ) -> Iterator[Found]:
        """Hold the right side; then what `probing` makes of the left one, or what comes of both in parts."""
        held: list[Keyed] = []
        withdraw(self, self.left, self.left_keys, run)
        grant, build = run.memory.grant(), None
        rest = keyed(self.right, tuple(SortKey(key) for key in self.right_keys), run)
        try:
            for part in rest:
                held.append(part)
                if not grant.room(keyed_bytes(part)):
                    yield from map(form, self._given(_InParts(self, run).batches(chain(held, rest)), run))
                    return
            build = _Build(self, held, grant)
            if self.kind not in _LEFT_ALONE:
                keys = (columns for _, columns in held)
                left = leave(self, self.left, self.left_keys, keys, build.whole, run)
                count(run, self, Runtime_Filters=left)
            held = []
            if not build.rows.count and self.kind not in _LEFT_ALONE:
                return
            pairs = Pairs(self.kind, build.rows, self.residual, self.left.types)
            prepare(run, *self.left_keys, self.residual)
            yield from probing(build, pairs, run)
        finally:
            if build is None:
                grant.release()
            else:  # its last tasks may not have run yet
                build.rows.keep()

    def _probing(self, build: _Build, pairs: Pairs, run: Run) -> Iterator[Task]:
        """What comes of the left rows, and after them."""
        if not pool_safe(*self.left_keys, self.residual):
            probed = (
                each
                for batch in self.left.batches(run)
                for each in build.pairs(batch, self._keys(batch, run), pairs, run)
            )
            yield from self._given(chain(probed, pairs.rest(run)), run)
            return
        tasks = bundled(tasks_of(self.left, run), self.left.types)
        if build.single and not pairs.has_rest:
            for task in tasks:
                yield partial(self._single, task, build, pairs, run)
            return
        probes = (partial(self._probe, task, build, pairs, run) for task in tasks)
        probed = (each for batches in ordered(probes, run) for each in batches)
        yield from self._given(chain(probed, pairs.rest(run)), run)

    def _selecting(self, build: _Build, pairs: Pairs, run: Run) -> Iterator[Selection]:
        """`_probing`, with rows that meet nobody left in where a row has one partner at most."""
        if not build.single:
            yield from map(all_of, self._probing(build, pairs, run))
            return
        for task in bundled_selections(selections_of(self.left, run), self.left.types):
            yield partial(self._selected, task, build, pairs, run)

    def _selected(self, task: Selection, build: _Build, pairs: Pairs, run: Run) -> Selected | None:
        left = task()
        if left is None or not left.batch.rows:
            return None
        left, keys = self._keys_of(left, run)
        partners = build.late(keys) if run.counters is None else None
        if partners is not None:
            columns = (*left.batch.columns, *build.rows.joined(partners))
            return Selected(Batch(columns, left.batch.rows), left.mask, (*left.partners, partners))
        found = pairs.selected(left.settled(), *build.partner(keys, left.batch.rows))
        if found is not None:
            rows = found.batch.rows if found.mask is None else int(np.count_nonzero(found.mask))
            count(run, self, rows, 1)
        return found

    def _keys_of(self, left: Selected, run: Run) -> tuple[Selected, list[Column]]:
        """The keys of a selection, which has only its own rows where a key of another might be an error."""
        some = left.mask is not None or left.partners
        if some and not all(isinstance(key, Reference) for key in self.left_keys):
            left = Selected(left.rows(), None)
        return left, self._keys(left.batch, run)

    def _given(self, batches: Iterable[Batch], run: Run) -> Iterator[Task]:
        """Batches that are there already."""
        for batch in batches:
            run.check()
            count(run, self, batch.rows, 1)
            yield given(batch)

    def _single(self, task: Task, build: _Build, pairs: Pairs, run: Run) -> Batch | None:
        batch = task()
        if batch is None or not batch.rows:
            return None
        found = pairs.single(batch, *build.partner(self._keys(batch, run), batch.rows), run)
        if found is not None:
            count(run, self, found.rows, 1)
        return found

    def _probe(self, task: Task, build: _Build, pairs: Pairs, run: Run) -> Iterable[Batch]:
        batch = task()
        if batch is None or not batch.rows:
            return ()
        return build.output(batch, self._keys(batch, run), pairs, run)

    def _keys(self, batch: Batch, run: Run) -> list[Column]:
        return [key.evaluate(batch, run).spread(batch.rows) for key in self.left_keys]


class _Build:
    """The right side: its rows, the numbers of their keys, and the rows sorted by these.

    `single`: no two rows have the same key. `whole`: the keys, if they are whole numbers.
    """

    def __init__(self, join: HashJoin, right: Iterable[Keyed], grant: Grant | None = None) -> None:
        parts = list(right)
        self.rows = Rows([batch for batch, _ in parts], join.right.types, Ahead(), grant)
        self.whole: WholeKeys | None = None
        whole = None
        if parts and all(is_countable(key.type) for key in join.right_keys):
            whole = WholeKeys.of([columns for _, columns in parts])
        if whole is not None:
            self.whole, codes = whole
            keys = self.whole.count
        else:
            self._index = KeyIndex([key.type for key in join.right_keys])
            numbers = [self._numbered(columns, batch.rows) for batch, columns in parts]
            codes = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
            keys = self._index.count
        self.single = keys == len(codes) or keys == np.count_nonzero(codes >= 0)
        if self.single:
            self._order_single(codes, keys)
        else:
            self._order(codes, keys)
        self.rows.wait()
        self._late: bool | None = None

    def _order_single(self, codes: Positions, keys: int) -> None:
        """`order`: the row of each key."""
        rows = np.arange(len(codes))
        self._in_order = keys == len(codes) and bool((codes == rows).all())
        self.order = rows
        if not self._in_order:
            right = np.empty(keys + 1, np.int64)  # one place more, for nulls: number -1 is the last
            right[codes] = rows
            self.order = right[:keys]
        held = self.order if keys and not self._in_order else None
        self._lookup = None if self.whole is None else self.whole.lookup(held)
        self._held = held

    def _order(self, codes: Positions, keys: int) -> None:
        """`order`: the rows sorted by their keys; where in it those of each key begin, how many they are."""
        starts, self.order = kernels.order_codes(codes, keys)
        # One place more, for rows without partners: number -1 is the last, and is empty.
        self._starts = np.append(starts, 0)
        self._sizes = np.append(np.diff(starts), 0)

    def _numbered(self, columns: list[Column], rows: int) -> Positions:
        """The number of each row's key; -1 for keys with a null."""
        valid = without_nulls(columns)
        if valid is None:
            return self._index.assign(columns, rows)[0]
        codes = np.full(rows, -1, np.int64)
        kept = np.flatnonzero(valid)
        codes[kept] = self._index.assign([column.take(kept) for column in columns], len(kept))[0]
        return codes

    def output(self, batch: Batch, keys: list[Column], pairs: Pairs, run: Run) -> Iterable[Batch]:
        """What comes of left rows with these keys: there already, or where it is much, as it is asked for."""
        if self.single:
            found = pairs.single(batch, *self.partner(keys, batch.rows), run)
            return () if found is None else (found,)
        starts, counts = self.partners(keys, batch.rows)
        result = pairs.of(batch, starts, counts, self.order, run)
        return list(result) if pairs.small(counts) else result

    def pairs(self, batch: Batch, keys: list[Column], pairs: Pairs, run: Run) -> Iterator[Batch]:
        """The same, as it is asked for."""
        starts, counts = self.partners(keys, batch.rows)
        return pairs.of(batch, starts, counts, self.order, run)

    def partner(self, keys: list[Column], rows: int) -> tuple[Positions, Mask, int]:
        """(the right row each row meets, any row for none; which meet one; how many). `single` is true."""
        if self._lookup is not None and _is_plain(keys[0]):
            found, met = np.empty(rows, np.int64), np.empty(rows, np.bool_)
            return found, met, kernels.find_partners(source_of(keys[0]), self._lookup, found, met)
        found = self._codes(keys, rows)
        met = found >= 0
        found = np.maximum(found, 0)
        held = self._held
        return found if held is None else held.take(found), met, int(np.count_nonzero(met))

    def late(self, keys: list[Column]) -> Partners | None:
        """`partner`, once somebody asks; None: it is as well looked for at once. `single` is true.

        It is not where the rows that meet nobody had better be taken out: that is told by some of the first.
        """
        if self._lookup is None or not _is_plain(keys[0]):
            return None
        partners = Partners(self._lookup, keys[0])
        if self._late is None:
            some = Partners(self._lookup, keys[0].slice(0, _LOOKED_AT)).met
            self._late = self.rows.joins_late and int(np.count_nonzero(some)) >= LEFT_IN * len(some)
        return partners if self._late else None

    def partners(self, keys: list[Column], rows: int) -> tuple[Positions, Positions]:
        """Where in `order` each row's partners begin, and how many they are."""
        codes = self._codes(keys, rows)
        if self.single:
            return codes, (codes >= 0).astype(np.int64)
        return self._starts.take(codes), self._sizes.take(codes)

    def _codes(self, keys: list[Column], rows: int) -> Positions:
        """The number of each row's key, -1 where it is not here."""
        if self.whole is not None:
            return self.whole.find(keys)
        codes = self._index.find(keys, rows)
        valid = without_nulls(keys)
        if valid is not None:
            codes[~valid] = -1
        return codes


def _is_plain(key: Column) -> bool:
    """Whether a kernel takes a key as it is."""
    return is_whole(key.type) and key.valid is None and not isinstance(key, RunColumn)


def _same(task: Task) -> Task:
    return task


_LEFT_ALONE: tuple[Kind, ...] = ("left", "full", "anti")
"""Kinds that give left rows where the right side has none."""
_RIGHT_ALONE: tuple[Kind, ...] = ("right", "full", "right anti")
"""Kinds that give right rows where the left side has none."""


class _InParts:
    """A join whose right side is too large: each side's columns and keys, dealt out by the keys."""

    def __init__(self, join: HashJoin, run: Run) -> None:
        self._join = join
        self._run = run
        key_types = tuple(key.type for key in join.right_keys)
        self._keys = len(key_types)
        self._right = Partitions((*join.right.types, *key_types), run, join)
        self._left = Partitions((*join.left.types, *key_types), run, join)

    def batches(self, right: Iterable[Keyed]) -> Iterator[Batch]:
        """The join's rows, partition by partition."""
        join, run = self._join, self._run
        try:
            for batch, keys in right:
                self._right.add(self._dealt(self._right, (batch, keys)))
            prepare(run, *join.left_keys, join.residual)
            left = keyed(join.left, tuple(SortKey(key) for key in join.left_keys), run)
            for batch, keys in left:
                self._left.add(self._dealt(self._left, (batch, keys)))
            yield from self._joined(self._left, self._right)
        finally:
            self._left.close()
            self._right.close()

    def _dealt(self, partitions: Partitions, part: Keyed) -> Dealt:
        batch, keys = part
        return partitions.deal(Batch((*batch.columns, *keys), batch.rows), keys)

    def _joined(self, left: Partitions, right: Partitions) -> Iterator[Batch]:
        for n in range(PARTS):
            self._run.check()
            if not left.rows[n] and self._join.kind not in _RIGHT_ALONE:
                continue
            if not right.rows[n] and self._join.kind not in _LEFT_ALONE:
                continue
            if right.is_large(n, 1):
                yield from self._finer(left, right, n)
            else:
                yield from self._part(left, right, n)

    def _finer(self, left: Partitions, right: Partitions, n: int) -> Iterator[Batch]:
        left = left.finer(n, self._keys_of)
        try:
            right = right.finer(n, self._keys_of)
            try:
                yield from self._joined(left, right)
            finally:
                right.close()
        finally:
            left.close()

    def _keys_of(self, batch: Batch) -> tuple[Column, ...]:
        return batch.columns[-self._keys :]

    def _part(self, left: Partitions, right: Partitions, n: int) -> Iterator[Batch]:
        join, run = self._join, self._run
        build = _Build(join, map(self._split, right.part(n)))
        pairs = Pairs(join.kind, build.rows, join.residual, join.left.types)
        if pool_safe(join.residual):
            tasks = (partial(build.output, *self._split(batch), pairs, run) for batch in left.part(n))
            for batches in ordered(tasks, run):
                yield from batches
        else:
            for batch in left.part(n):
                yield from build.pairs(*self._split(batch), pairs, run)
        yield from pairs.rest(run)

    def _split(self, batch: Batch) -> Keyed:
        """The columns of a side, and its keys."""
        columns = batch.columns
        return Batch(columns[: -self._keys], batch.rows), list(columns[-self._keys :])
