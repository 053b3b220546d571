"""Large groups: groups of more rows than may be held, for calls that want their rows together or in order.

The rows are gone through once to number their groups by their keys; calls that hold no rows take them there.
Then, for one of the other calls after another, its rows are sorted by group and by what it asks for, in
temporary files, and its state takes them in that order: DISTINCT is a look at the row before, and states that
pick (State.picks) keep a few of the rows. What holds its rows by nature, as array_agg does, for they are its
answer, is counted against the memory of all statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.aggregates.registry import BY_ID, AggregateCall, State
from engine.groups import KeyIndex
from engine.memory import Grant
from engine.nodes import Reference
from engine.operators.base import Operator
from engine.operators.groups import Calls, Gathered, Input, begun, gathers, give_direct, result
from engine.operators.sortedruns import SortedRuns
from engine.operators.sortkeys import Keyed, SortKey, keyed_bytes, sort_words
from engine.orders import starts
from engine.run import Run
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.types import INT8, Type


@dataclass(frozen=True)
class Taken:
    """A batch: the keys of its rows, and what each call takes of them."""

    keys: list[Column]
    given: list[Input]
    rows: int


@dataclass(frozen=True)
class Earlier:
    """Groups that were gathered before: their keys, and what call `index` has of them, by `found(index,
    places, count)`, group i as group `places[i]`, and what is not theirs behind `count`."""

    keys: list[Column]
    groups: int
    found: Callable[[int, Positions, int], State | Gathered]


def is_sorted(call: AggregateCall) -> bool:
    """Whether a call's rows can be sorted in temporary files, and need not be held then."""
    return gathers(call) or BY_ID[call.function].state.picks


class LargeGroups:
    """The groups of rows that `batches` gives as often as it is asked, and of those before them."""

    def __init__(
        self,
        calls: Calls,
        types: Sequence[Type],
        earlier: Earlier,
        batches: Callable[[], Iterator[Taken]],
        run: Run,
        owner: Operator,
    ) -> None:
        """`types` are those of the keys.

        Raises OutOfMemory, DiskFull, FileError, ConfigurationLimitExceeded, as `results` does.
        """
        self._calls = calls
        self._earlier = earlier
        self._batches = batches
        self._run = run
        self._owner = owner
        self._grant: Grant = run.memory.grant()
        self._index = KeyIndex(types)
        self._places, _ = self._index.assign(earlier.keys, earlier.groups)
        self._states = {i: begun(call, run) for i, call in enumerate(calls) if not is_sorted(call)}
        new = [earlier.keys]
        for taken in batches():
            run.check()
            codes, firsts = self._index.assign(taken.keys, taken.rows)
            new.append([key.take(firsts) for key in taken.keys])
            self._take(taken, codes)
        self.count = self._index.count if types else 1
        self.keys = [Column.concat(parts) for parts in zip(*new, strict=True)]

    def close(self) -> None:
        """Forget what is held."""
        self._grant.release()

    def _take(self, taken: Taken, codes: Positions) -> None:
        """Give rows to the states that take them in any order."""
        for i, state in self._states.items():
            given = taken.given[i]
            self._hold(state, given.arguments)
            groups = codes if given.mask is None else codes[given.mask]
            state.update(groups, given.arguments, self._index.count)

    def _hold(self, state: State, columns: Sequence[Column]) -> None:
        """Count rows that a state is about to hold."""
        if state.keeps_rows and not state.picks:
            self._grant.require(sum(column.nbytes for column in columns), self._owner.explain())

    def results(self, known: Batch) -> list[Column]:
        """The value of each call of each group; `known` has the columns of all keys."""
        found = []
        for i, call in enumerate(self._calls):
            state = self._ordered(i, known) if is_sorted(call) else self._unordered(i)
            give_direct(call, state, known, self.count, self._run)
            found.append(state.finish(self.count))
        return found

    def _unordered(self, i: int) -> State:
        """The state of a call that has taken its rows, with those of the groups before them first."""
        state = self._states.pop(i)
        state.reserve(self.count)
        first = self._earlier.found(i, self._places, self.count)
        assert isinstance(first, State)
        first.merge(state, np.arange(state.count), self.count)
        return first

    def _ordered(self, i: int, known: Batch) -> State:
        """A call's state of its rows, sorted."""
        call = self._calls[i]
        rows = _Sorting(call, self.count, self._run, self._owner)
        try:
            before = self._earlier.found(i, self._places, self.count)
            rows.add(_kept(call, *before.rows_kept()) if isinstance(before, State) else before)
            for taken in self._batches():
                codes = self._index.find(taken.keys, taken.rows)
                rows.add(self._rows(call, taken.given[i], codes))
            state = begun(call, self._run)
            state.reserve(self.count)
            if state.picks:
                give_direct(call, state, known, self.count, self._run)
                state.expect(rows.counts)
            for part in rows.given():
                self._hold(state, part.arguments)
                state.update(part.groups, part.arguments, self.count)
            return state
        finally:
            rows.close()

    def _rows(self, call: AggregateCall, given: Input, codes: Positions) -> Gathered:
        if gathers(call):
            found = result(call, given, codes, self.count, self._run)
            assert isinstance(found, Gathered)
            return found
        groups = codes if given.mask is None else codes[given.mask]
        return _kept(call, groups, [column.spread(len(groups)) for column in given.arguments])


def _kept(call: AggregateCall, groups: Positions, arguments: Sequence[Column]) -> Gathered:
    """Rows of a call that gathers none: what an ordered set is in the order of are its arguments."""
    return Gathered(groups, list(arguments), list(arguments) if call.order else [])


class _Sorting:
    """One call's rows, sorted by group and its order; for DISTINCT, and without order, by arguments, too."""

    def __init__(self, call: AggregateCall, count: int, run: Run, owner: Operator) -> None:
        self._call = call
        self._run = run
        self._strict = BY_ID[call.function].state.strict
        self._grant = run.memory.grant()
        self._held: list[Keyed] = []
        self.counts: Positions = np.zeros(count, np.int64)
        types = [argument.type for argument in call.arguments]
        # what is sorted by stands among the keys
        self._by_arguments = call.distinct or not call.order
        order = tuple(
            SortKey(Reference(i, key.expression.type), key.descending, key.nulls_first)
            for i, key in enumerate(call.order, 1)
        )
        more = tuple(SortKey(Reference(i, type)) for i, type in enumerate(types, 1 + len(order)))
        self._keys = (SortKey(Reference(0, INT8)), *order, *(more if self._by_arguments else ()))
        self._types = () if self._by_arguments else tuple(types)
        self._runs = SortedRuns(self._types, self._keys, run, owner)

    def add(self, rows: Gathered) -> None:
        """Take rows, whose groups may lie behind the last one: these are left out."""
        kept = rows.groups < len(self.counts)
        if self._strict:
            for column in rows.arguments:
                kept &= column.is_valid()
        if not kept.all():
            rows = rows.take(kept)
        if not len(rows.groups):
            return
        self.counts += np.bincount(rows.groups, minlength=len(self.counts))
        columns = () if self._by_arguments else tuple(rows.arguments)
        keys = [Column(INT8, rows.groups), *rows.order, *(rows.arguments if self._by_arguments else ())]
        part = Batch(columns, len(rows.groups)), keys
        self._held.append(part)
        if not self._grant.room(keyed_bytes(part)):
            self._spill()

    def _spill(self) -> None:
        self._runs.add(self._held)
        self._held = []
        self._grant.release()

    def given(self) -> Iterator[Gathered]:
        """The rows in their order, of equal ones of DISTINCT the first."""
        self._spill()
        last: list[Column] | None = None
        width = len(self._types)
        for batch in self._runs.merged_with_keys():
            self._run.check()
            groups, *rest = batch.columns[width:]
            arguments = rest[len(self._call.order) :] if self._by_arguments else batch.columns[:width]
            rows = Gathered(groups.values, list(arguments), [])
            if self._call.distinct:
                compared = [groups, *arguments]
                rows = rows.take(_new(compared, last))
                last = [column.slice(batch.rows - 1, batch.rows) for column in compared]
            if len(rows.groups):
                yield rows

    def close(self) -> None:
        """Forget all rows."""
        self._held = []
        self._grant.release()
        self._runs.close()


def _new(columns: Sequence[Column], last: Sequence[Column] | None) -> Mask:
    """Where sorted rows differ from the one before; before the first is `last`."""
    if last is not None:
        columns = [Column.concat(both) for both in zip(last, columns, strict=True)]
    keys = [SortKey(Reference(i, column.type)) for i, column in enumerate(columns)]
    new = starts(sort_words(keys, columns), np.arange(len(columns[0])))
    return new if last is None else new[1:]
