"""bit_and, bit_or and bit_xor of bit strings: all of one length."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from engine.aggregates.registry import State, aggregate
from engine.forms.bits import length_of
from storage.column import Column, Positions
from storage.errors import StringDataLengthMismatch
from storage.types import BIT


class _Combined(State):
    """A bit string a group, None before there is one."""

    word: ClassVar[str]  # of errors
    combine: ClassVar[Callable[[int, int], int]]

    def prepare(self) -> None:
        self.values: list[bytes | None] = []

    def grow(self, count: int) -> None:
        self.values += [None] * (count - len(self.values))

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        for group, value in zip(groups.tolist(), columns[0].values.to_pylist(), strict=True):
            self._take(group, value)

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        self.reserve(count)
        for group, value in zip(groups.tolist(), other.values, strict=False):
            if value is not None:
                self._take(group, value)

    def _take(self, group: int, value: bytes) -> None:
        known = self.values[group]
        if known is None:
            self.values[group] = value
            return
        if length_of(known) != length_of(value):
            raise StringDataLengthMismatch(f"cannot {self.word} bit strings of different sizes")
        bits = type(self).combine(int.from_bytes(known[:-1], "big"), int.from_bytes(value[:-1], "big"))
        self.values[group] = bits.to_bytes(len(known) - 1, "big") + known[-1:]

    def finish(self, count: int) -> Column:
        self.reserve(count)
        return Column.of(self.result, self.values[:count])


@aggregate("bit_and", [BIT], BIT)
class BitAnd(_Combined):
    """The bits that all values have."""

    word, combine = "AND", operator.and_


@aggregate("bit_or", [BIT], BIT)
class BitOr(_Combined):
    """The bits that any value has."""

    word, combine = "OR", operator.or_


@aggregate("bit_xor", [BIT], BIT)
class BitXor(_Combined):
    """The bits that an odd number of values have."""

    word, combine = "XOR", operator.xor
