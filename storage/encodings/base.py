"""The seam of encodings: how the values of one segment column lie in memory and on disk.

An encoding sees a column without nulls (the segment keeps those apart, and puts any value under them).
`encode` answers None where it does not fit. What is encoded is a few flat buffers and a small JSON head,
so writing and reading a file copies nothing. An encoding may hold others: their heads stand in its head,
their buffers among its buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from storage.column import Array, Column, Mask, Positions
from storage.errors import DataCorrupted
from storage.kernels.plain.terms import Term
from storage.predicate import Comparison
from storage.types import Type

Bytes = npt.NDArray[np.uint8]


class Stored(Protocol):
    """A buffer in a file, not read yet."""

    def read(self) -> Bytes:
        """All of it. Raises DataCorrupted where its checksum is wrong."""

    def kept(self) -> Bytes:
        """All of it, from the buffer cache. Raises as `read` does."""

    def part(self, start: int, stop: int) -> Bytes:
        """Its bytes start to stop, whose checksum is the caller's to see to. Raises DataCorrupted."""

    def parts(self, spans: Sequence[tuple[int, int]], into: Bytes) -> None:
        """Put its bytes of each (start, stop) there, one after another, likewise."""

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        """A hint that `parts` will be asked for these: the disk may begin with them."""

    def has_room(self, nbytes: int) -> bool:
        """Whether `keep` would keep so many bytes."""

    def peek(self, name: Hashable) -> Any | None:
        """What `keep` was given under this name, if it is still there."""

    def keep(self, name: Hashable, load: Callable[[], Array]) -> Array:
        """An array made of it: kept in the buffer cache where that has room."""

    def damage(self, at: int, why: str) -> DataCorrupted:
        """The error that byte `at` of it is wrong."""


class Encoded(Protocol):
    """Encoded values of a segment column."""

    @property
    def tag(self) -> str:
        """What reads them again: see storage.encodings.read."""

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """Values start to stop, or of the positions `rows` counted from start."""

    def item(self, row: int) -> Any:
        """The value of one row, as Column.tolist gives it: what a lookup by key asks for."""

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """Where `value op constant` may hold, tried on the encoded form; None: no help."""

    @property
    def exact(self) -> bool:
        """Whether `select` helps with every comparison, and says where it holds, no more."""

    def head(self) -> dict[str, Any]:
        """What `read` needs besides the buffers, as JSON's values."""

    def buffers(self) -> Sequence[Bytes]: ...


class Packing(Protocol):
    """Encoded values that lie in packed blocks."""

    def term(self, op: Comparison, value: Any) -> Term | None:
        """What `select` says, as a term, so that several columns are tried in one pass; None: it is none."""


class Encoding(Protocol):
    """An encoding: one row of ENCODINGS. `weight` is what a byte of it counts where the smallest is
    chosen: above 1 for what is slow to decode."""

    tag: ClassVar[str]
    weight: ClassVar[float]

    @classmethod
    def encode(cls, column: Column) -> Encoded | None: ...

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float | None:
        """About how many bytes `rows` rows would take of which this is a sample; None: it does not fit."""

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Encoded:
        """The inverse of `head` and `buffers`; the buffers are aligned to 8 bytes."""


class Stretched:
    """Encodings that have no shorter way to one value than to decode a stretch of one row."""

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        raise NotImplementedError

    def item(self, row: int) -> Any:
        """See Encoded."""
        return self.decode(row, row + 1, None).item(0)


class Proportional(Stretched):
    """Encodings whose size grows with the rows."""

    weight: ClassVar[float] = 1.0

    @classmethod
    def encode(cls, column: Column) -> Encoded | None:
        """See Encoding."""
        raise NotImplementedError

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float | None:
        """See Encoding."""
        encoded = cls.encode(sample)
        return None if encoded is None else encoded.nbytes * rows / len(sample)


def flat(values: npt.NDArray[Any]) -> Bytes:
    """An array's bytes, without copying a contiguous one."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def raw(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A number's bits as an integer: tells -0 from 0, and NaN is the same as itself."""
    return np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}")


def describe(encoded: Encoded) -> dict[str, Any]:
    """What stands in another encoding's head for one that it holds."""
    return {"encoding": encoded.tag, "head": encoded.head(), "buffers": len(encoded.buffers())}


def compare(values: npt.NDArray[Any], op: Comparison, value: Any) -> Mask:
    """Where `values op value` may hold, for numbers. NaN may be anything here: the engine decides."""
    result: Mask
    with np.errstate(invalid="ignore"):
        match op:
            case Comparison.EQ:
                result = values == value
            case Comparison.NE:
                result = values != value
            case Comparison.LT:
                result = values < value
            case Comparison.LE:
                result = values <= value
            case Comparison.GT:
                result = values > value
            case Comparison.GE:
                result = values >= value
            case Comparison.IN:
                result = np.isin(values, np.array(value))
            case _:
                return np.ones(len(values), np.bool_)
    if values.dtype.kind == "f":
        items = value if op is Comparison.IN else (value,)
        if any(item != item for item in items):
            return np.ones(len(values), np.bool_)
        result |= np.isnan(values)
    return result
