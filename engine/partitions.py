"""Partitions: rows dealt out by a hash of their keys, so that equal keys meet in one part.

What groups or joins many keys works on one part after another, or on several at once, each with a table that
stays in cache. Parts are held in memory as long as there is room; then all that is held goes to one temporary
file, and so on. Within a part rows keep their order.

Each `level` takes other bits of the hashes: a part that is still too large is dealt out again by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.counters import count
from engine.late import fetched, held_bytes
from engine.memory import Grant
from engine.run import Run
from storage import kernels
from storage.batch import Batch
from storage.column import Array, Column, Positions
from storage.indexes.comparable import Words, column_keys, hash_keys
from storage.scratch import Extent, ScratchFile
from storage.segments.coded import CodedColumn, written_out
from storage.types import Type

BITS = 6
PARTS = 1 << BITS
LEVELS = 4
"""As often as rows are dealt out at most: what is in one part then has equal keys, or bad luck."""
LAST = LEVELS - 1
"""The level whose parts are not dealt out again."""
_SALT = 77
_MUCH = 8  # a dictionary of more values for each row is not hashed for its rows


@dataclass(frozen=True, slots=True)
class Dealt:
    """A batch's rows ordered by part; those of part p from `ends[p]` to `ends[p + 1]`."""

    batch: Batch
    ends: Positions

    @property
    def nbytes(self) -> int:
        """Bytes that its columns take."""
        return held_bytes(self.batch.columns)


def dealt(batch: Batch, keys: Sequence[Column], level: int = 0) -> Dealt:
    """The rows of `batch`, whose keys stand in `keys`, dealt out."""
    parts = parts_of(key_hashes(keys, batch.rows), level)
    order = np.argsort(parts, kind="stable")
    ends = np.zeros(PARTS + 1, np.int64)
    np.cumsum(np.bincount(parts, minlength=PARTS), out=ends[1:])
    return Dealt(batch.take(order), ends)


def parts_of(hashes: Words, level: int) -> Array:
    """(rows,) uint8, the part of each hash."""
    found: Array = ((hashes >> np.uint64(64 - BITS * (level + 1))) & np.uint64(PARTS - 1)).astype(np.uint8)
    return found


def key_hashes(columns: Sequence[Column], rows: int) -> Words:
    """(rows,) a hash of each row's keys; of coded columns without a look at the rows' values."""
    state: Words = np.full(rows, _SALT, np.uint64)
    for column in columns:
        state = kernels.mix_words(state, _hashes(column.spread(rows)), _SALT)
    return state


def _hashes(column: Column) -> Words:
    if not isinstance(column, CodedColumn):
        return hash_keys(column_keys(column), len(column), _SALT)
    known = column.dictionary.memo.get("hashes")
    if known is None and len(column.dictionary) > _MUCH * len(column):
        return hash_keys(column_keys(written_out(column)), len(column), _SALT)
    if known is None:
        values = column.dictionary.column
        known = column.dictionary.memo["hashes"] = hash_keys(column_keys(values), len(values), _SALT)
    words: Words = known[column.codes]
    if column.valid is not None:
        words[~column.valid] = hash_keys(column_keys(Column.nulls(column.type, 1)), 1, _SALT)[0]
    return words


@dataclass
class _Spilled:
    """One temporary file's batches: of each part where they stand, in the order of the rows."""

    file: ScratchFile
    extents: list[list[Extent]] = field(default_factory=lambda: [[] for _ in range(PARTS)])


class Partitions:
    """See the module's text. `add` is called by one thread; parts are read, each once, by any."""

    def __init__(self, types: tuple[Type, ...], run: Run, owner: object, level: int = 0) -> None:
        """Rows of these types; `owner` is the operator whose figures tell what was spilled."""
        self.types = types
        self.level = level
        self.rows: Positions = np.zeros(PARTS, np.int64)
        self.nbytes = np.zeros(PARTS, np.float64)  # about as many a part as there are rows
        self._run = run
        self._owner = owner
        self._grant: Grant = run.memory.grant()
        self._held: list[Dealt] = []
        self._spilled: _Spilled | None = None
        self._most = 1 << 62 if level < LAST else 0  # parts of fewer rows may be dealt out again

    @property
    def spilled(self) -> bool:
        """Whether some rows are in a file."""
        return self._spilled is not None

    def deal(self, batch: Batch, keys: Sequence[Column]) -> Dealt:
        """A batch as `add` takes it: on a worker."""
        return dealt(batch, keys, self.level)

    def add(self, rows: Dealt) -> None:
        """Take the rows of the next batch. Raises DiskFull, FileError, ConfigurationLimitExceeded."""
        sizes = np.diff(rows.ends)
        self.rows += sizes
        nbytes = rows.nbytes
        self.nbytes += sizes * (nbytes / max(rows.batch.rows, 1))
        self._held.append(rows)
        if not self._grant.room(nbytes):
            self.spill()

    def spill(self) -> None:
        """Write what is held to the file."""
        if self._spilled is None:
            self._spilled = _Spilled(self._run.memory.file())
        file, before = self._spilled.file, self._spilled.file.nbytes
        for part in range(PARTS):
            self._run.check()
            batches = [batch for batch in self._pieces(part) if batch.rows]
            if batches:
                extent = file.write(fetched(Batch.concat(batches)))
                self._spilled.extents[part].append(extent)
        written = file.nbytes - before
        count(self._run, self._owner, Spilled_Bytes=written)
        self._held.clear()
        self._grant.release()
        self._run.memory.wrote(written)

    def _pieces(self, part: int) -> Iterator[Batch]:
        for rows in self._held:
            start, end = rows.ends[part : part + 2].tolist()
            yield rows.batch.slice(start, end)

    def part(self, part: int) -> Iterator[Batch]:
        """The rows of a part, in their order, in batches of any size."""
        if self._spilled is not None:
            for extent in self._spilled.extents[part]:
                self._run.check()
                yield self._spilled.file.read(self.types, extent)
        yield from self._pieces(part)

    def is_large(self, part: int, at_once: int) -> bool:
        """Whether a part of the file is better dealt out again, if `at_once` parts are worked on together."""
        rows, size = int(self.rows[part]), float(self.nbytes[part])
        return self.spilled and rows < self._most and size * at_once > self._run.memory.left

    def is_stuck(self, part: int) -> bool:
        """Whether a part of the file is too large to be held, and would not become smaller."""
        stays = self.spilled and int(self.rows[part]) >= self._most
        return stays and 2 * float(self.nbytes[part]) > self._run.memory.left

    def finer(self, part: int, keys: Callable[[Batch], Sequence[Column]]) -> Partitions:
        """The rows of a part, dealt out again by their keys."""
        finer = Partitions(self.types, self._run, self._owner, self.level + 1)
        try:
            for batch in self.part(part):
                finer.add(finer.deal(batch, keys(batch)))
        except BaseException:
            finer.close()
            raise
        # a part that did not become smaller will not
        finer._most = min(finer._most, int(self.rows[part]))
        return finer

    def close(self) -> None:
        """Forget all rows."""
        self._held.clear()
        self._grant.release()
        if self._spilled is not None:
            self._run.memory.wrote(-self._spilled.file.nbytes)
            self._spilled.file.close()
