"""Fused totals: what calls of an aggregation take of a row, as one program, and their states out of tables.

Counts, sums and averages, extremes, and moments of whole numbers are written as one program (engine.fused),
in which an expression that several calls share stands once, and as slots (storage.kernels.plain.totals) that
gather its registers by group. A batch goes through it a block of rows at a time and into a table, so that
nothing is written out between packed columns and totals; rows that a scan has left in are passed over.

Tables outlive the batch, see engine.operators.grouptables; where the keys are not such that they can, a batch
has a table of its own. The states that come out are those of the calls: where a program has no answer, or
there are more groups than a batch should have, the batch is evaluated as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.aggregates.exact import ExactSums
from engine.aggregates.extremes import Folded
from engine.aggregates.registry import BY_ID, AggregateCall, State
from engine.aggregates.statistics import Moments, Spread
from engine.aggregates.sums import Count, Counting, FloatSums, WholeSums
from engine.fused import MOST, Fused, Program, Unfit
from engine.nodes import Cast
from engine.operators.groups import begun, gathers
from engine.run import Run
from engine.scales import Exact, Instruction
from engine.seams import Expression
from storage.column import Positions
from storage.kernels.plain.programs import Op
from storage.kernels.plain.sums import LOW
from storage.kernels.plain.totals import GREATEST, LEAST, Gathered, Kind
from storage.numericunits import is_narrow
from storage.types import FLOAT4, FLOAT8, INT2, INT4

_FLOATS = frozenset(t.oid for t in (FLOAT4, FLOAT8))
_SMALL = frozenset(t.oid for t in (INT2, INT4))
_EXTREMES = {"min": LEAST, "max": GREATEST}
_UNIT = 1075  # the base at which what is gathered counts ones


@dataclass(frozen=True, slots=True)
class Slot:
    """What a table gathers of a register, where register `known` has a value; `base` of a TOP."""

    kind: Kind
    register: int
    known: int
    base: int = 0


@dataclass(frozen=True)
class FusedTotals:
    """The program of some calls over the columns that `inputs` give, by `keys`.

    `places`: of each call its slots; `counted`: of each call the register whose values it counts; None: it
    counts rows.
    """

    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    inputs: tuple[Expression, ...]
    code: tuple[Instruction, ...]
    slots: tuple[Slot, ...]
    places: tuple[tuple[int, ...], ...]
    counted: tuple[int | None, ...]

    @cached_property
    def registers(self) -> tuple[int, ...]:
        """The registers whose values are counted where some are null."""
        return tuple(dict.fromkeys(register for register in self.counted if register is not None))

    def states(self, found: Gathered, scales: Sequence[int], order: Positions, run: Run) -> list[State]:
        """What each call has of groups, in this order of them.

        `found` has the words of `slots` and then, if some values were null, of how many values each of
        `registers` has; `scales`: of each register.
        """
        return [
            self._state(call, places, register, found, scales, order, run)
            for call, places, register in zip(self.calls, self.places, self.counted, strict=True)
        ]

    def _state(
        self,
        call: AggregateCall,
        places: Sequence[int],
        register: int | None,
        found: Gathered,
        scales: Sequence[int],
        order: Positions,
        run: Run,
    ) -> State:
        counts = found.counts
        if register is not None and len(found.slots) > len(self.slots):
            counts = found.word(len(self.slots) + self.registers.index(register))
        counts = counts[order]
        state = begun(call, run)
        if isinstance(state, Folded):
            state.take_values(found.tops(places[0])[order], counts > 0)
        elif isinstance(state, Spread):
            sums, squares = ([half[order] for half in _halves(found, place)] for place in places)
            scale = scales[self.slots[places[0]].register]
            state.take_squares(counts, (sums[0], sums[1]), (squares[0], squares[1]), scale)
        elif isinstance(state, WholeSums):
            high, low = _halves(found, places[0])
            state.take_sums(counts, high[order], low[order], scales[self.slots[places[0]].register])
        elif isinstance(state, FloatSums):
            state.take_sums(counts, _exact(found, places[0], order))
        elif isinstance(state, Moments):
            state.take_sums(counts, [_exact(found, place, order) for place in places])
        else:
            assert isinstance(state, Counting)
            state.take_counts(counts)
        return state


def _halves(found: Gathered, slot: int) -> tuple[Positions, Positions]:
    """The sums of a slot as in kernels.plain.sums: of each its upper half, its lower 32 bits."""
    low = found.word(slot)
    high: Positions = low >> 32
    if found.slots[slot, 0] == Kind.WIDE:
        high = (high & LOW) + (found.word(slot, 1) << 32)
    return high, low & LOW


def _exact(found: Gathered, slot: int, order: Positions) -> ExactSums:
    """The sums of a slot."""
    low, base = found.word(slot), _UNIT
    if found.slots[slot, 0] == Kind.SUM:
        high = low >> 63
    else:
        high = found.word(slot, 1)
        base = int(found.slots[slot, 4]) if found.slots[slot, 0] == Kind.FLOAT else _UNIT
    return ExactSums.of_words(low[order], high[order], base)


def fused_totals(keys: tuple[Expression, ...], calls: tuple[AggregateCall, ...]) -> FusedTotals | None:
    """The program of these calls; None where one has no part in such."""
    writer = _Writer()
    try:
        found = [writer.call(call) for call in calls]
    except Unfit:
        return None
    program = writer.program
    count = len(program.inputs)
    if not calls or count + len(program.code) > MOST:
        return None

    def place(register: int) -> int:
        return count - 1 - register if register < 0 else register

    slots = tuple(Slot(s.kind, place(s.register), place(s.known), s.base) for s in writer.slots)
    counted = tuple(None if register is None else place(register) for _, register in found)
    places = tuple(each for each, _ in found)
    return FusedTotals(keys, calls, tuple(program.inputs), program.instructions(), slots, places, counted)


class _Writer:
    """The program and the slots of calls, while they are written."""

    def __init__(self) -> None:
        self.program = Program()
        self.slots: list[Slot] = []

    def call(self, call: AggregateCall) -> tuple[tuple[int, ...], int | None]:
        """A call's slots, and the register whose values it counts. Raises Unfit."""
        state = BY_ID[call.function].state
        if call.filter is not None or call.direct is not None or gathers(call):
            raise Unfit
        if issubclass(state, Moments):
            return self._moments([_whole(argument) for argument in call.arguments])
        if issubclass(state, Spread):
            return self._moments([_narrow(argument) for argument in call.arguments])
        name = BY_ID[call.function].name
        if issubclass(state, Folded):
            if name not in _EXTREMES:
                raise Unfit
            kind = Kind.TOP_FLOAT if call.arguments[0].type.oid in _FLOATS else Kind.TOP
            register = self._register(call.arguments[0])
            return (self._slot(kind, register, register, _EXTREMES[name]),), register
        if not issubclass(state, Count | WholeSums | FloatSums):
            raise Unfit
        if not call.arguments:
            return (), None
        register = self._register(call.arguments[0])
        if issubclass(state, Count):
            return (), register
        kind = Kind.FLOAT if issubclass(state, FloatSums) else Kind.SUM
        return (self._slot(kind, register, register),), register

    def _moments(self, given: Sequence[Expression]) -> tuple[tuple[int, ...], int | None]:
        """Sums of whole numbers, their squares and products: see aggregates.statistics."""
        arguments = [self._register(argument) for argument in given]
        pairs = [(y, y) for y in arguments]
        if len(arguments) == 2:
            y, x = arguments
            pairs.append((x, y))
        way = (Op.MULTIPLY, 8) if given[0].type.oid in _SMALL else (Exact.MULTIPLY, 0)
        products = [self.program.put(way[0], a, b, way[1]) for a, b in pairs]
        known = products[-1]  # where both have a value
        registers = [arguments[0], products[0], *arguments[1:], *products[1:]]
        return tuple(self._slot(Kind.SUM, register, known) for register in registers), known

    def _slot(self, kind: Kind, register: int, known: int, base: int = 0) -> int:
        slot = Slot(kind, register, known, base)
        if slot not in self.slots:
            self.slots.append(slot)
        return self.slots.index(slot)

    def _register(self, argument: Expression) -> int:
        """The register of a call's argument: what no instruction says is evaluated before, and loaded."""
        program = self.program
        before = len(program.inputs), len(program.code), dict(program.known)
        try:
            return program.write(argument)
        except Unfit:
            inputs, code, program.known = before
            del program.inputs[inputs:], program.code[code:]
            return program.read(argument)


def _whole(argument: Expression) -> Expression:
    """What is cast to the float that an argument is, of whole numbers of 32 bits. Raises Unfit."""
    if isinstance(argument, Fused):
        argument = argument.original
    if (
        isinstance(argument, Cast)
        and argument.argument.type.oid in _SMALL
        and argument.type.oid == FLOAT8.oid
    ):
        return argument.argument
    raise Unfit


def _narrow(argument: Expression) -> Expression:
    """An argument of whole numbers of 32 bits, or of a numeric whose squares count in units. Raises Unfit."""
    if argument.type.oid in _SMALL or is_narrow(argument.type):
        return argument
    raise Unfit
