"""Window: for each row the values of calls over the rows around it.

All rows are sorted by partition and order, once for calls whose windows are sorted alike; where a partition,
and where a group of peers (rows that are equal in the order) begins, follows from neighbours, and frames from
these (engine.frames, engine.operators.windowframes). The values of each call are made in that order and put
back to the rows. Rows come out in the order of the last call's window, as PostgreSQL's do.

Where rows take more memory than they may, calls of the same partitions and order are a stage of their own
(engine.operators.windowstages): the rows of one, with its values, are those of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from engine.counters import timed
from engine.operators.base import Operator
from engine.operators.sortkeys import Keyed, SortKey, keyed, keyed_bytes
from engine.operators.windowcalls import WindowCall
from engine.operators.windowstages import Stage
from engine.run import Run
from engine.seams import Expression
from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True)
class Window:
    """The rows of `child`, each followed by a value a call."""

    child: Operator
    calls: tuple[WindowCall, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        return (*self.child.types, *(call.type for call in self.calls))

    @property
    def children(self) -> tuple[Operator, ...]:
        return (self.child,)

    def explain(self) -> str:
        return "WindowAgg"

    def batches(self, run: Run) -> Iterator[Batch]:
        yield from timed(run, self, self._with_values(run))

    def _with_values(self, run: Run) -> Iterator[Batch]:
        wanted = tuple(dict.fromkeys(e for call in self.calls for e in call.expressions))
        parts: list[Keyed] = []
        grant = run.memory.grant()
        rest = keyed(self.child, [SortKey(e) for e in wanted], run)
        try:
            for part in rest:
                parts.append(part)
                if grant.room(keyed_bytes(part)):
                    continue
                grant.release()
                yield from self._by_stages(chain(parts, rest), wanted, run)
                return
            if parts:
                yield from Stage(self.calls, self.child.types, wanted).valued(parts, run)
        finally:
            grant.release()

    def _by_stages(self, parts: Iterable[Keyed], wanted: tuple[Expression, ...], run: Run) -> Iterator[Batch]:
        """The same by way of temporary files, stage after stage: that of the last call at last."""
        stages: dict[object, list[int]] = {}
        for i, call in enumerate(self.calls):
            stages.setdefault(_stage(call), []).append(i)
        last = stages.pop(_stage(self.calls[-1]))
        types, made = self.child.types, []
        for numbers in (*stages.values(), last):
            calls = tuple(self.calls[i] for i in numbers)
            stage = Stage(calls, types, wanted)
            parts = stage.piecewise(parts, run, self)
            types = (*types, *(call.type for call in calls))
            made += numbers
        width = len(self.child.types)
        places = [*range(width), *(width + made.index(i) for i in range(len(self.calls)))]
        for batch, _ in parts:
            yield Batch(tuple(batch.columns[place] for place in places), batch.rows)


def _stage(call: WindowCall) -> object:
    """What calls of one stage have in common."""
    return frozenset(call.partition), call.order
