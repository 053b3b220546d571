"""RecursiveUnion: WITH RECURSIVE, by feeding each round's new rows to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.counters import timed
from engine.groups import KeyIndex
from engine.operators.append import retyped
from engine.operators.base import Operator
from engine.parallel import ROOT, root_memo
from engine.run import Run
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class RecursiveUnion:
    """`initial`'s rows, then those of `step` over the last round's rows, until there are none.

    `step` reads them by WorkTable(name). `distinct`: UNION, which gives no row twice.
    """

    initial: Operator
    step: Operator
    distinct: bool
    name: str

    @property
    def types(self) -> tuple[Type, ...]:
        return self.initial.types

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.initial, self.step)

    def explain(self) -> str:
        return "Recursive Union"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._rounds(run))

    def _rounds(self, run: Run) -> Iterator[Batch]:
        seen = KeyIndex(self.types) if self.distinct else None
        work: list[Batch] = []
        for batch in self._new(self.initial.batches(run), seen):
            work.append(batch)
            yield batch
        while work:
            run.check()
            inner = replace(run, memo={**run.memo, ROOT: root_memo(run), work_key(self.name): work})
            work = []
            for batch in self._new(self.step.batches(inner), seen):
                work.append(batch)
                yield batch

    def _new(self, batches: Iterator[Batch], seen: KeyIndex | None) -> Iterator[Batch]:
        for batch in batches:
            batch = retyped(batch, self.types)
            if seen is not None:
                batch = batch.take(seen.add(batch.columns, batch.rows))
            if batch.rows:
                yield batch


def work_key(name: str) -> tuple[str, str]:
    """The key of `run.memo` under which a recursion's last round stands."""
    return ("work", name)
