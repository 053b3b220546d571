"""Blocks: texts and byte strings, compressed in blocks of rows that decode on their own.

    buffer 0        the blocks, compressed, one behind the other
    buffer 1        int64 x 3 a block: its first row, where its compressed bytes begin, its bytes once
                    decoded; and the same of the end, with 0 bytes
    buffers 2 to 4  the length in bytes of each row, as Packed

The codec is LZ4, or Zstandard where that takes clearly less. TPC-H's l_comment (27 bytes a row) in blocks of
64 KiB takes 0.46 of its plain size with LZ4, which decodes 3.7 GB/s a thread, and 0.27 with Zstandard, which
decodes 1.3. Blocks of 256 KiB are smaller by a fortieth with Zstandard, blocks of 16 KiB larger by a twelfth.
Who wants one row decodes a block, which the buffer cache keeps for the next one, if it has room: to decode
takes ten times what all else of a lookup in the segment does.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.column import Column, Mask, Positions, arrow_taken, arrow_type
from storage.encodings.base import Bytes, Proportional, flat
from storage.encodings.packed import Packed
from storage.predicate import Comparison
from storage.segments.cache import cache
from storage.types import Form, Type

BLOCK_BYTES = 64 << 10
_LEVEL = 3  # of Zstandard
_CLEARLY = 0.8  # Zstandard is slower to decode: it has to be smaller than LZ4 by a fifth
_POOR = 0.9  # what does not become smaller than this is not worth decoding
_EQUAL_BYTES = ("text", "varchar", "name", "bytea")
"""Types whose values are equal where their bytes are: 1.0 and 1.00, as bounds of a range, are otherwise."""
_CODECS = {"lz4": pa.Codec("lz4_raw"), "zstd": pa.Codec("zstd", _LEVEL)}

Integers = npt.NDArray[np.int64]


class Blocks(Proportional):
    """A column of any texts or byte strings."""

    tag: ClassVar[str] = "blocks"
    weight: ClassVar[float] = 1.5

    def __init__(self, type: Type, codec: str, data: Bytes, places: Integers, lengths: Packed) -> None:
        self._type, self._codec, self._data, self._places, self._lengths = type, codec, data, places, lengths

    @property
    def nbytes(self) -> int:
        """See Encoded."""
        return int(self._data.nbytes + self._places.nbytes + self._lengths.nbytes)

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded: only blocks with a wanted row are decompressed."""
        if stop <= start or (rows is not None and not len(rows)):
            return Column(self._type, pa.array([], arrow_type(self._type)))
        firsts = self._firsts
        if rows is None:
            first = int(np.searchsorted(firsts, start, "right")) - 1
            last = int(np.searchsorted(firsts, stop, "left"))
            begin = int(firsts[first])
            return Column(
                self._type,
                self._array(np.arange(first, last)).slice(start - begin, stop - start),
            )
        if len(rows) == 1:
            return Column(self._type, self._row(int(rows[0]) + start))
        wanted = rows + start
        at = np.searchsorted(firsts, wanted, "right") - 1
        touched = np.zeros(len(firsts) - 1, np.bool_)
        touched[at] = True
        blocks = np.flatnonzero(touched)
        # rows of the blocks that are left out no longer count
        before = np.cumsum(np.where(touched, 0, np.diff(firsts))) if len(blocks) < len(touched) else None
        if before is not None:
            wanted = wanted - before[at]
        return Column(self._type, arrow_taken(self._array(blocks), wanted))

    def item(self, row: int) -> Any:
        """See Encoded."""
        raw = self._one(row)
        return raw if self._type.form is Form.BYTES else raw.decode()

    def _row(self, row: int) -> pa.Array:
        """One row, as an array."""
        raw = self._one(row)
        offsets = pa.py_buffer(np.array([0, len(raw)], np.int64))
        return pa.Array.from_buffers(arrow_type(self._type), 1, [None, offsets, pa.py_buffer(raw)], 0)

    def _one(self, row: int) -> bytes:
        """The bytes of one row."""
        block = int(self._firsts.searchsorted(row, "right")) - 1
        name = self._owner, block
        found: tuple[npt.NDArray[np.int32], bytes] | None = cache.peek(name)
        if found is None:
            found = ends, data = self._decoded(block)
            cache.keep(name, found, ends.nbytes + len(data))
        ends, data = found
        at = row - int(self._firsts[block])
        return data[int(ends[at]) : int(ends[at + 1])]

    def _decoded(self, block: int) -> tuple[npt.NDArray[np.int32], bytes]:
        """Where each row of a block begins, and the last one ends; and all their bytes."""
        first, begin, size = self._places[block].tolist()
        stop, end = self._places[block + 1, :2].tolist()
        ends = np.zeros(stop - first + 1, np.int32)
        np.cumsum(self._lengths.decode(first, stop, None, np.int64), out=ends[1:])
        packed = pa.py_buffer(self._data[begin:end])
        return ends, _CODECS[self._codec].decompress(packed, size, asbytes=True)

    @cached_property
    def _firsts(self) -> Integers:
        """The first row of each block, and the end."""
        return np.ascontiguousarray(self._places[:, 0])

    @cached_property
    def _owner(self) -> int:
        """Whose decoded blocks the buffer cache keeps: as long as this lives."""
        owner = cache.owner()
        weakref.finalize(self, cache.forget, owner)
        return owner

    def _array(self, blocks: Positions) -> pa.Array:
        """All rows of these ascending blocks."""
        places, codec = self._places, _CODECS[self._codec]
        neighbours = int(blocks[-1]) - int(blocks[0]) + 1 == len(blocks)
        first, last = int(places[blocks[0], 0]), int(places[blocks[-1] + 1, 0])
        rows = None
        if not neighbours:
            counts = places[blocks + 1, 0] - places[blocks, 0]
            starts = np.cumsum(counts) - counts
            rows = np.arange(int(counts.sum())) + np.repeat(places[blocks, 0] - starts - first, counts)
        lengths = self._lengths.decode(first, last, rows, np.int64)
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        parts = [
            codec.decompress(
                pa.py_buffer(self._data[places[block, 1] : places[block + 1, 1]]), int(places[block, 2])
            )
            for block in blocks.tolist()
        ]
        data = parts[0] if len(parts) == 1 else pa.py_buffer(b"".join(parts))
        return pa.Array.from_buffers(
            arrow_type(self._type), len(lengths), [None, pa.py_buffer(offsets), data], 0
        )

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """An equal text is equally long: all that is known without decompressing."""
        if self._type.name not in _EQUAL_BYTES:
            return None
        match op:
            case Comparison.EQ:
                items = (value,)
            case Comparison.IN:
                items = value
            case _:
                return None
        sizes = {len(item.encode() if isinstance(item, str) else item) for item in items}
        return self._lengths.select(Comparison.IN, tuple(sorted(sizes)), start, stop)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return False

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        return {"rows": self._lengths.rows, "codec": self._codec}

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        return [self._data, flat(self._places), *self._lengths.buffers()]

    @classmethod
    def encode(cls, column: Column) -> Blocks | None:
        """See Encoding."""
        if column.type.form not in (Form.TEXT, Form.BYTES) or not len(column):
            return None
        array = column.values
        _, offset_buffer, data = array.buffers()
        if data is None or not data.size:
            return None
        offsets = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
        firsts = _cut(offsets)
        spans = list(zip(offsets[firsts[:-1]].tolist(), offsets[firsts[1:]].tolist(), strict=True))
        name = _choose(
            [data.slice(begin, end - begin) for begin, end in spans[:: max(len(spans) // 2, 1)][:2]]
        )
        if name is None:
            return None
        parts = [_CODECS[name].compress(data.slice(begin, end - begin)) for begin, end in spans]
        places = np.zeros((len(firsts), 3), np.int64)
        places[:, 0] = firsts
        places[1:, 1] = np.cumsum([part.size for part in parts])
        places[:-1, 2] = [end - begin for begin, end in spans]
        packed = np.frombuffer(b"".join(parts), np.uint8)
        return cls(column.type, name, packed, places, Packed.of(np.diff(offsets)))

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Blocks:
        """See Encoding."""
        places = buffers[1].view(np.int64).reshape(-1, 3)
        lengths = Packed.read(head["rows"], buffers[2:5])
        return cls(type, head["codec"], buffers[0], places, lengths)


def _cut(offsets: Integers) -> Integers:
    """The first row of each block, and the end: blocks hold about BLOCK_BYTES, and at least one row."""
    begin, end = int(offsets[0]), int(offsets[-1])
    cuts = np.searchsorted(offsets, np.arange(begin, end, BLOCK_BYTES)[1:], "left")
    return np.unique(np.concatenate([[0], cuts, [len(offsets) - 1]]))


def _choose(samples: Sequence[pa.Buffer]) -> str | None:
    """The codec for such bytes; None where none helps."""
    total = sum(sample.size for sample in samples)
    sizes = {name: sum(codec.compress(s).size for s in samples) for name, codec in _CODECS.items()}
    name = "zstd" if sizes["zstd"] < _CLEARLY * sizes["lz4"] else "lz4"
    return name if sizes[name] < _POOR * total else None
