"""Programs over numeric: instructions on decimals become instructions on their units.

A program (engine.fused) is written before it is known how many digits behind the point its columns have;
a batch's columns say so. `lowered` then gives the program over int64 units: operands of a sum or a comparison
are brought to the finer scale by a multiplication with a power of ten, a product has the sum of the scales.
These are PostgreSQL's rules of display scales, and every step is checked as integers are, so a program either
gives what decimal.Decimal gives or no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

import numpy as np

from storage.column import Positions
from storage.kernels.plain.programs import Code, Op
from storage.numericunits import MAX_SCALE

Instruction = tuple[int, int, int, int]


class Exact(IntEnum):
    """Operations on numeric, which no kernel knows."""

    ADD = 100
    SUBTRACT = 101
    MULTIPLY = 102
    NEGATE = 103
    EQUAL = 110
    NOT_EQUAL = 111
    LESS = 112
    LESS_EQUAL = 113


_COMPARED = {
    Exact.EQUAL: Op.EQUAL,
    Exact.NOT_EQUAL: Op.NOT_EQUAL,
    Exact.LESS: Op.LESS,
    Exact.LESS_EQUAL: Op.LESS_EQUAL,
}
_SUMMED = {Exact.ADD: Op.ADD, Exact.SUBTRACT: Op.SUBTRACT}


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program that a kernel runs over its inputs and then `powers`, int64 constants.

    `places`: of each register of the program as it was written, its register and, of a numeric, its scale.
    """

    code: Code
    powers: tuple[Positions, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def scale(self) -> int:
        """Of the result, where it is a numeric."""
        return self.places[-1][1]


@lru_cache(maxsize=1024)
def lowered(code: tuple[Instruction, ...], scales: tuple[int, ...]) -> Lowered | None:
    """The program for inputs of these scales (0: no numeric, or a whole one); None: too fine."""
    try:
        lowering = _Lowering(scales)
        for instruction in code:
            lowering.put(*instruction)
    except _TooFine:
        return None
    return lowering.program()


class _TooFine(Exception):
    """A result would have more digits behind the point than units are kept at."""


@dataclass
class _Lowering:
    """Registers while powers are still being found: inputs from 0, powers from _POWERS, results below 0."""

    scales: Sequence[int]
    powers: list[int] = field(default_factory=list)
    code: list[Instruction] = field(default_factory=list)
    places: list[tuple[int, int]] = field(init=False)  # (register, scale) of the program's registers

    _POWERS = 1 << 20

    def __post_init__(self) -> None:
        self.places = list(enumerate(self.scales))

    def put(self, op: int, left: int, right: int, mode: int) -> None:
        """Lower one instruction."""
        (a, scale_a), (b, scale_b) = self.places[left], self.places[right]
        finer = max(scale_a, scale_b)
        if op in _SUMMED:
            self._result(_SUMMED[Exact(op)], self._at(left, finer), self._at(right, finer), 8, finer)
        elif op in _COMPARED:
            self._result(_COMPARED[Exact(op)], self._at(left, finer), self._at(right, finer), 0, 0)
        elif op == Exact.MULTIPLY:
            if scale_a + scale_b > MAX_SCALE:
                raise _TooFine
            self._result(Op.MULTIPLY, a, b, 8, scale_a + scale_b)
        elif op == Exact.NEGATE:
            self._result(Op.NEGATE, a, a, 8, scale_a)
        else:
            self._result(Op(op), a, b, mode, 0)

    def _result(self, op: Op, left: int, right: int, mode: int, scale: int) -> None:
        self.code.append((int(op), left, right, mode))
        self.places.append((-len(self.code), scale))

    def _at(self, register: int, scale: int) -> int:
        """A register's value in units of 10^-scale."""
        place, own = self.places[register]
        if own == scale:
            return place
        power = 10 ** (scale - own)
        if power not in self.powers:
            self.powers.append(power)
        self.code.append((int(Op.MULTIPLY), place, self._POWERS + self.powers.index(power), 8))
        return -len(self.code)

    def program(self) -> Lowered:
        """What there is now, with its registers counted through."""
        inputs, powers = len(self.scales), len(self.powers)

        def place(register: int) -> int:
            if register < 0:
                return inputs + powers - 1 - register
            return register if register < self._POWERS else inputs + register - self._POWERS

        listed = [(op, place(a), place(b), mode) for op, a, b, mode in self.code]
        code = np.array(listed, np.int32).reshape(-1, 4)
        code.flags.writeable = False
        constants = tuple(np.array([power], np.int64) for power in self.powers)
        return Lowered(code, constants, tuple((place(register), scale) for register, scale in self.places))
