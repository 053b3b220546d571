"""Key filters: what a hash join knows of its held side's keys, told to the scan that it probes with.

A probing row whose key is none of theirs meets nobody, so where such rows are dropped anyway (inner, semi
and right joins) the scan need not give them. When the held side is complete, the join looks for the scan that
each of its probing keys comes from, unchanged (`origin` of the operators between), and leaves there the
smallest and the largest key and a set of them: bits where the keys lie close together, else a bloom filter.
The scan skips segments and blocks by zone maps, then rows by the set, before it evaluates what is left of its
condition. A set that lets most rows pass is not asked again.

Filters stand in the run's memo, under the scan: plans are shared by runs, and hold nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from engine.nodes import Cast, Reference
from engine.operators.base import Operator
from engine.run import Run
from engine.seams import Expression
from engine.wholekeys import WholeKeys, is_whole
from storage import kernels
from storage.column import Array, Column, Mask, Positions
from storage.definitions import ColumnDefinition
from storage.encodings.runcolumn import RunColumn
from storage.predicate import Compare, Comparison, Conjunction

SWITCH = "enable_runtime_filters"
_MOST_WORDS = 1 << 22  # of a set
_CACHED_WORDS = 1 << 17  # bits that stay in a core's cache are asked faster than a bloom filter
_LOOKED_AT = 1 << 17  # rows after which it is known whether a set is worth asking
_WORTH = 0.75  # the share of rows that it may let pass: the join itself drops a few sooner

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class Passing(Protocol):
    """An operator some of whose columns are its child's: fewer rows there are just as many fewer here."""

    def origin(self, index: int) -> tuple[Operator, int] | None:
        """The child and column that column `index` is of; None for what is computed."""


class Filtered(Protocol):
    """An operator that asks `filters_of` itself when its run begins."""

    def takes_keys(self, index: int) -> bool:
        """Whether rows can be told by column `index`."""


@dataclass
class KeyFilter:
    """The keys that rows of a scan must have in its output column `index`.

    `words` are a bit set from `low` on where `exact`, else a bloom filter: see storage.kernels.plain.members.
    """

    index: int
    low: int
    high: int
    words: Words
    exact: bool
    keys: int
    seen: int = 0
    passed: int = 0
    idle: bool = False  # it was found not to be worth asking

    def terms(self, column: ColumnDefinition) -> Conjunction:
        """What zone maps may hold against the keys."""
        return Compare(column, Comparison.GE, self.low), Compare(column, Comparison.LE, self.high)

    def among(self, column: Column) -> tuple[Positions, Column] | None:
        """(the rows whose value may be one of the keys, the column there); None where all may."""
        if isinstance(column, RunColumn):
            found = self._among(column.runs)
            kept = None if found.all() else column.where(found)
        else:
            found = self._among(column.values)
            if column.valid is not None:
                found &= column.valid
            rows = None if found.all() else np.flatnonzero(found)
            kept = None if rows is None else (rows, column.take(rows))
        # threads may count over each other: it is only about the share
        self.seen += len(column)
        self.passed += len(column) if kept is None else len(kept[0])
        if self.seen > _LOOKED_AT and self.passed > self.seen * _WORTH:
            self.idle = True
        return kept

    def _among(self, values: Array) -> Mask:
        values = values.astype(np.int64, copy=False)
        if self.exact:
            return kernels.among_bits(values, self.low, self.words)
        return kernels.among_bloom(values, self.words)


def filters_of(scan: Operator, run: Run) -> Sequence[KeyFilter]:
    """What joins have left for a scan in this run."""
    found: dict[int, list[KeyFilter]] | None = run.memo.get(("keys", id(scan)))
    return () if found is None else [each for filters in found.values() for each in filters]


def leave(
    join: Operator,
    probing: Operator,
    keys: Sequence[Expression],
    held: Iterable[Sequence[Column]],
    whole: WholeKeys | None,
    run: Run,
) -> int:
    """Have the scans below `probing` give rows with these keys only; returns how many filters were left.

    `keys` are over probing's rows, `held` are their values on the other side, batch by batch, and `whole` the
    same as the join looks for them, where they are whole numbers.
    """
    if run.settings.get(SWITCH, "on") == "off":
        return 0
    found = [(place, _scan(probing, key)) for place, key in enumerate(keys)]
    targets = [(place, target) for place, target in found if target is not None]
    batches: list[Sequence[Column]] = list(held) if targets else []
    left = 0
    bits = None if whole is None or len(keys) > 1 else whole.bits
    for place, (scan, index) in targets:
        if whole is not None and bits is not None and len(bits.words) <= _MOST_WORDS:
            high = bits.low + whole.spans[0] - 1
            filter: KeyFilter | None = KeyFilter(index, bits.low, high, bits.words, True, whole.count)
        else:
            filter = _of([columns[place] for columns in batches], index)
        if filter is not None:
            run.memo.setdefault(("keys", id(scan)), {}).setdefault(id(join), []).append(filter)
            left += 1
    return left


def withdraw(join: Operator, probing: Operator, keys: Sequence[Expression], run: Run) -> None:
    """Forget what the join has left before: it begins anew."""
    for key in keys:
        target = _scan(probing, key)
        if target is not None:
            run.memo.get(("keys", id(target[0])), {}).pop(id(join), None)


def _scan(operator: Operator, key: Expression) -> tuple[Operator, int] | None:
    """The scan, and its output column, that a key comes from."""
    while isinstance(key, Cast) and is_whole(key.type) and is_whole(key.argument.type):
        if key.type.size < key.argument.type.size:
            return None
        key = key.argument
    if not isinstance(key, Reference) or not is_whole(key.type):
        return None
    at: tuple[Operator, int] | None = (operator, key.index)
    while at is not None:
        reached, index = at
        if hasattr(reached, "takes_keys"):
            return at if cast(Filtered, reached).takes_keys(index) else None
        at = cast(Passing, reached).origin(index) if hasattr(reached, "origin") else None
    return None


def _of(columns: list[Column], index: int) -> KeyFilter | None:
    """The filter of these keys; None where they are too many."""
    parts = [c.values if c.valid is None else c.values[c.valid] for c in columns]
    empty = np.zeros(0, np.int64)
    values: Integers = np.concatenate([empty, *(part.astype(np.int64, copy=False) for part in parts)])
    if not len(values):
        return KeyFilter(index, 0, -1, np.zeros(1, np.uint64), True, 0)
    low, high = int(values.min()), int(values.max())
    bits = (high - low) // 64 + 1
    bloom = 1 << max(len(values) // 4, 1).bit_length()  # 16 bits a key and more
    if bits <= max(4 * bloom, _CACHED_WORDS) and bits <= _MOST_WORDS:
        words = np.zeros(bits, np.uint64)
        kernels.set_bits(values, low, words)
        return KeyFilter(index, low, high, words, True, len(values))
    if bloom > _MOST_WORDS:
        return None
    words = np.zeros(bloom, np.uint64)
    kernels.set_bloom(values, words)
    return KeyFilter(index, low, high, words, False, len(values))
