"""Fused totals: the groups of a batch, with their counts and sums, by one call of a kernel.

What count, sum and avg of whole numbers and numerics take of a row is written as one program (engine.fused),
in which an expression that several calls share stands once. A batch goes through it a block of rows at a time
and into the sums, so that nothing is written out between the packed columns and the totals; rows that a scan
has left in are passed over. Groups are numbered by the codes of the keys, or else before.

The states that come out are those of the calls: where a program has no answer, or there are more groups than
a batch should have, the batch is evaluated as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.aggregates.registry import BY_ID, AggregateCall, State
from engine.aggregates.sums import Count, Counting, WholeSums
from engine.fused import MOST, Program, Unfit
from engine.groups import coded_numbers, number
from engine.operators.groups import Origin, Part, begun, gathers
from engine.run import Run
from engine.scales import Instruction, lowered
from engine.seams import Expression
from storage import kernels
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.encodings.packedcolumn import PackedColumn
from storage.errors import DatabaseError, QueryCanceled
from storage.kernels.plain.totals import Source, Totals
from storage.segments.coded import CodedColumn
from storage.types import NUMERIC

# A batch of fewer rows is as soon aggregated call by call.
FEW_ROWS = 128
# A batch with so many groups, and more than one for each _SHARE rows, is not worth aggregating on its own.
MANY = 8192
_SHARE = 16


def is_many(groups: int, rows: int) -> bool:
    """Whether a batch has too many groups to be aggregated on its own."""
    return groups >= MANY and groups * _SHARE >= rows


@dataclass(frozen=True)
class FusedTotals:
    """The program of some calls over the columns that `inputs` give, by `keys`.

    `places`: of each call the register that it adds up or counts; None: it counts rows.
    """

    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    inputs: tuple[Expression, ...]
    code: tuple[Instruction, ...]
    places: tuple[int | None, ...]

    def part(self, batch: Batch, mask: Mask | None, run: Run) -> Part | None:
        """The groups of a batch's rows, of those where the mask is true; None: no answer."""
        try:
            keys = [key.evaluate(batch, run).spread(batch.rows) for key in self.keys]
            coded = coded_numbers(keys)
            if coded is None and mask is not None:
                return self.part(batch.take(mask), None, run)
            columns = [node.evaluate(batch, run) for node in self.inputs]
        except QueryCanceled:
            raise
        except DatabaseError:  # of a row that is left in, or of a constant's cast that no row needs
            return None
        numbers = coded
        if numbers is None:
            groups, firsts = number(keys, batch.rows)
            if is_many(len(firsts), batch.rows):
                return None
            numbers = [(groups, len(firsts))]
        found = self._totals(batch.rows, mask, numbers, columns)
        if found is None:
            return None
        totals, scales = found
        present = np.flatnonzero(totals.counts)
        present = present[np.argsort(totals.firsts[present], kind="stable")]
        firsts = totals.firsts[present]
        results = [
            _state(call, totals, None if place is None else self.sums.index(place), present, scale, run)
            for call, place, scale in zip(self.calls, self.places, scales, strict=True)
        ]
        origin = _origin(keys, coded, present) if coded else None
        return Part([key.take(firsts) for key in keys], len(present), results, origin)

    @cached_property
    def sums(self) -> list[int]:
        """The registers that are added up."""
        return list(dict.fromkeys(place for place in self.places if place is not None))

    def _totals(
        self,
        rows: int,
        mask: Mask | None,
        numbers: Sequence[tuple[Source, int]],
        columns: Sequence[Column],
    ) -> tuple[Totals, list[int]] | None:
        """The totals of `sums`, and the scale of what each call adds up; None: no answer."""
        columns = [column.in_units() if column.constant else column for column in columns]
        program = lowered(self.code, tuple(column.scale for column in columns))
        if program is None or not all(map(_is_loaded, columns)):
            return None
        found = kernels.total_program(
            program.code,
            [*map(_source, columns), *program.powers],
            [*(column.valid for column in columns), *(None for _ in program.powers)],
            rows,
            [source for source, _ in numbers],
            [limit for _, limit in numbers],
            mask,
            [program.places[place][0] for place in self.sums],
        )
        if found is None:
            return None
        return found, [0 if place is None else program.places[place][1] for place in self.places]


def _origin(keys: Sequence[Column], coded: Sequence[tuple[Source, int]], present: Positions) -> Origin:
    dictionaries = tuple(key.dictionary for key in keys if isinstance(key, CodedColumn))
    return Origin(dictionaries, tuple(limit for _, limit in coded), present)


def _state(
    call: AggregateCall, totals: Totals, at: int | None, present: Positions, scale: int, run: Run
) -> State:
    """What a call has of the groups that are present: sum number `at`, or None: their rows."""
    state = begun(call, run)
    assert isinstance(state, Counting)
    counts = totals.counts[present] if at is None else totals.known[at][present]
    if isinstance(state, WholeSums):
        assert at is not None
        state.take_sums(counts, totals.high[at][present], totals.low[at][present], scale)
    else:
        state.take_counts(counts)
    return state


def fused_totals(keys: tuple[Expression, ...], calls: tuple[AggregateCall, ...]) -> FusedTotals | None:
    """The program of these calls; None where one has no part in such."""
    program = Program()
    places: list[int | None] = []
    try:
        for call in calls:
            if not _is_simple(call):
                return None
            places.append(_register(program, call.arguments[0]) if call.arguments else None)
    except Unfit:
        return None
    count = len(program.inputs)
    if not calls or count + len(program.code) > MOST:
        return None
    registers = tuple(count - 1 - p if p is not None and p < 0 else p for p in places)
    return FusedTotals(keys, calls, tuple(program.inputs), program.instructions(), registers)


def _is_simple(call: AggregateCall) -> bool:
    """Whether a call counts or sums up whole numbers or numerics of all rows."""
    counts = issubclass(BY_ID[call.function].state, (Count, WholeSums))
    return counts and call.filter is None and call.direct is None and not gathers(call)


def _register(program: Program, argument: Expression) -> int:
    """The register of a call's argument: what no instruction says is evaluated before, and loaded."""
    before = len(program.inputs), len(program.code), dict(program.known)
    try:
        return program.write(argument)
    except Unfit:
        inputs, code, program.known = before
        del program.inputs[inputs:], program.code[code:]
        return program.read(argument)


def _is_loaded(column: Column) -> bool:
    """Whether a kernel can load a column: numerics in units only."""
    return isinstance(column, PackedColumn) or column.type.oid != NUMERIC.oid or column.units is not None


def _source(column: Column) -> Source:
    if isinstance(column, PackedColumn):
        return column.blocks
    source: Source = column.values if column.units is None else column.units
    return source
