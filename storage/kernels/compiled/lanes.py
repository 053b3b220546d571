"""Packed blocks as LLVM vectors: intrinsics that the kernels of packed integers are made of.

A row of a block is LANES neighbouring values under one shift (see plain.packing). It spans two words a
lane at most, those of its first and its last bit, so one funnel shift of two vectors brings every distance
to the bottom of its lane, whatever the width: `fshr(high, low, shift)`, one instruction where the processor
has it, and no word behind the block is read. What is above the width is garbage until it is masked.

Every intrinsic takes (words, at, width, rows) first: the words, where the block's begin, its width from 1 to
64, and how many rows; and last (out, here): the array, whose dtype says which form the results take, and
where in it they begin. Loads and stores ask for no alignment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from storage.kernels.plain.packing import BLOCK, LANES

ROWS = BLOCK // LANES
"""Rows of a whole block."""

_WORD, _I32 = ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_WORD, LANES)
_WORD_BYTES = 8
_HALF = LANES // 2  # lanes of a half row

Body = Callable[[Any, Any, Any], None]
"""What is done with a row: (builder, its number, its distances with garbage above the width)."""


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)


def _splat(builder: Any, value: Any, count: int = LANES) -> Any:
    """A vector of `count` times this value."""
    kind = ir.VectorType(value.type, count)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, _places([0] * count))


def _places(items: list[int]) -> Any:
    """Which elements a shuffle takes."""
    return ir.Constant(ir.VectorType(_I32, len(items)), items)


def _load(builder: Any, address: Any) -> Any:
    return builder.load(builder.inttoptr(address, _VECTOR.as_pointer()), align=1)


class _Out:
    """Where the results go: `out` from `here` on, LANES elements a row."""

    def __init__(self, context: Any, builder: Any, array: Any, value: Any, here: Any) -> None:
        self.bits = int(array.dtype.bitwidth)
        self.size = self.bits // 8
        self.floats = isinstance(array.dtype, types.Float)
        data = builder.ptrtoint(context.make_array(array)(context, builder, value).data, _WORD)
        self._begin = builder.add(data, builder.mul(here, _word(self.size)))

    def store(self, builder: Any, values: Any, row: Any, lane: int = 0) -> None:
        """Integers or doubles, cut or rounded to the form of the elements."""
        count = values.type.count
        if self.floats and self.bits < 64:
            values = builder.fptrunc(values, ir.VectorType(ir.FloatType(), count))
        elif not self.floats and self.bits < int(values.type.element.width):
            values = builder.trunc(values, ir.VectorType(ir.IntType(self.bits), count))
        at = builder.add(self._begin, builder.mul(row, _word(LANES * self.size)))
        at = builder.add(at, _word(lane * self.size))
        builder.store(values, builder.inttoptr(at, values.type.as_pointer()), align=1)


def _address(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    """Where word number `at` stands."""
    data = builder.ptrtoint(context.make_array(array)(context, builder, value).data, _WORD)
    return builder.add(data, builder.mul(at, _word(_WORD_BYTES)))


def _each_row(builder: Any, begin: Any, width: Any, rows: Any, body: Body) -> None:
    """The body for each row of the block whose words begin at this address."""
    shift = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fshr.v{LANES}i64"
    )

    def at(bit: Any) -> Any:
        return builder.add(begin, builder.mul(builder.lshr(bit, _word(6)), _word(LANES * _WORD_BYTES)))

    with cgutils.for_range(builder, rows) as loop:
        first = builder.mul(loop.index, width)
        last = builder.sub(builder.add(first, width), _word(1))
        low, high = _load(builder, at(first)), _load(builder, at(last))
        body(builder, loop.index, builder.call(shift, [high, low, _splat(builder, first)]))


def _mask(builder: Any, width: Any) -> Any:
    """A vector of words with the lowest `width` bits set."""
    return _splat(builder, builder.lshr(_word(0xFFFF_FFFF_FFFF_FFFF), builder.sub(_word(64), width)))


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def unpack_block(
    typing: Any, words: Any, at: Any, width: Any, rows: Any, base: Any, out: Any, here: Any
) -> Any:
    """The values, base + distance."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, width, rows, base, out, here = args
        begin = _address(context, builder, signature.args[0], words, at)
        target = _Out(context, builder, signature.args[5], out, here)
        mask, bases = _mask(builder, width), _splat(builder, base)

        def body(builder: Any, row: Any, found: Any) -> None:
            target.store(builder, builder.add(builder.and_(found, mask), bases), row)

        _each_row(builder, begin, width, rows, body)
        return context.get_dummy_value()

    return types.void(words, at, width, rows, base, out, here), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def divide_block(
    typing: Any, words: Any, at: Any, width: Any, rows: Any, base: Any, power: Any, out: Any, here: Any
) -> Any:
    """The values over the double `power`, as floats."""
    doubles = ir.VectorType(ir.DoubleType(), LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, width, rows, base, power, out, here = args
        begin = _address(context, builder, signature.args[0], words, at)
        target = _Out(context, builder, signature.args[6], out, here)
        mask, bases, powers = _mask(builder, width), _splat(builder, base), _splat(builder, power)

        def body(builder: Any, row: Any, found: Any) -> None:
            values = builder.add(builder.and_(found, mask), bases)
            target.store(builder, builder.fdiv(builder.sitofp(values, doubles), powers), row)

        _each_row(builder, begin, width, rows, body)
        return context.get_dummy_value()

    return types.void(words, at, width, rows, base, power, out, here), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def sum_block(
    typing: Any, words: Any, at: Any, width: Any, rows: Any, base: Any, before: Any, out: Any, here: Any
) -> Any:
    """Running sums of the values, the first being `before` and the first value.

    Each half of a row is summed in three steps of shifted additions. What stands before a half goes on as a
    vector, so that the next waits for one addition only.
    """
    nothing = ir.Constant(ir.VectorType(_WORD, _HALF), None)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, width, rows, base, before, out, here = args
        begin = _address(context, builder, signature.args[0], words, at)
        target = _Out(context, builder, signature.args[6], out, here)
        mask, bases = _mask(builder, width), _splat(builder, base)
        carry = cgutils.alloca_once_value(builder, _splat(builder, before, _HALF))

        def body(builder: Any, row: Any, found: Any) -> None:
            values = builder.add(builder.and_(found, mask), bases)
            for lane in (0, _HALF):
                sums = builder.shuffle_vector(values, values, _places(list(range(lane, lane + _HALF))))
                for by in (1, 2, 4):
                    moved = [_HALF + i if i < by else i - by for i in range(_HALF)]
                    sums = builder.add(sums, builder.shuffle_vector(sums, nothing, _places(moved)))
                known = builder.load(carry)
                total = builder.shuffle_vector(sums, sums, _places([_HALF - 1] * _HALF))
                builder.store(builder.add(known, total), carry)
                target.store(builder, builder.add(sums, known), row, lane)

        _each_row(builder, begin, width, rows, body)
        return context.get_dummy_value()

    return types.void(words, at, width, rows, base, before, out, here), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def compare_block(
    typing: Any, words: Any, at: Any, width: Any, rows: Any, least: Any, span: Any, out: Any, here: Any
) -> Any:
    """Where least <= distance <= least + span, as bytes."""
    truths = ir.VectorType(ir.IntType(8), LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, width, rows, least, span, out, here = args
        begin = _address(context, builder, signature.args[0], words, at)
        target = _Out(context, builder, signature.args[6], out, here)
        mask, smallest, spans = _mask(builder, width), _splat(builder, least), _splat(builder, span)

        def body(builder: Any, row: Any, found: Any) -> None:
            above = builder.sub(builder.and_(found, mask), smallest)
            target.store(builder, builder.zext(builder.icmp_unsigned("<=", above, spans), truths), row)

        _each_row(builder, begin, width, rows, body)
        return context.get_dummy_value()

    return types.void(words, at, width, rows, least, span, out, here), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def member_block(
    typing: Any, words: Any, at: Any, width: Any, rows: Any, less: Any, members: Any, out: Any, here: Any
) -> Any:
    """Where distance - `less` is below 64, and the number of a bit of `members` that is set, as bytes."""
    truths = ir.VectorType(ir.IntType(8), LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, width, rows, less, members, out, here = args
        begin = _address(context, builder, signature.args[0], words, at)
        target = _Out(context, builder, signature.args[6], out, here)
        mask, smallest, bits = _mask(builder, width), _splat(builder, less), _splat(builder, members)
        last, one = _splat(builder, _word(63)), _splat(builder, _word(1))

        def body(builder: Any, row: Any, found: Any) -> None:
            places = builder.sub(builder.and_(found, mask), smallest)
            near = builder.icmp_unsigned("<=", places, last)
            bit = builder.trunc(builder.lshr(bits, builder.and_(places, last)), truths)
            bit = builder.and_(bit, builder.trunc(one, truths))
            target.store(builder, builder.and_(builder.zext(near, truths), bit), row)

        _each_row(builder, begin, width, rows, body)
        return context.get_dummy_value()

    return types.void(words, at, width, rows, less, members, out, here), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def total_block(typing: Any, words: Any, at: Any, width: Any, rows: Any) -> Any:
    """The sum of the distances, modulo 2^64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, width, rows = args
        begin = _address(context, builder, signature.args[0], words, at)
        mask = _mask(builder, width)
        lanes = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None))

        def body(builder: Any, row: Any, found: Any) -> None:
            builder.store(builder.add(builder.load(lanes), builder.and_(found, mask)), lanes)

        _each_row(builder, begin, width, rows, body)
        found = builder.load(lanes)
        total = _word(0)
        for lane in range(LANES):
            total = builder.add(total, builder.extract_element(found, ir.Constant(_I32, lane)))
        return total

    return types.uint64(words, at, width, rows), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def expand_block(typing: Any, words: Any, at: Any, flip: Any, base: Any, out: Any, here: Any) -> Any:
    """A whole block of width 1 as bytes: base + each bit, or the other bit where `flip` has ones.

    Byte number k of every lane holds the bits of rows 8 k to 8 k + 7: the bytes are brought together once,
    then each of their bits is tested for four rows at a time.
    """
    together = 4  # rows, of which 64 bytes are stored at once
    byte = ir.IntType(8)
    texts = ir.VectorType(byte, together * LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, at, flip, base, out, here = args
        begin = _address(context, builder, signature.args[0], words, at)
        target = _Out(context, builder, signature.args[4], out, here)
        bits = builder.xor(_load(builder, begin), _splat(builder, flip))
        bits = builder.bitcast(bits, ir.VectorType(byte, LANES * _WORD_BYTES))
        bases = _splat(builder, builder.trunc(base, byte), together * LANES)
        for place in range(_WORD_BYTES):
            places = [place + _WORD_BYTES * lane for lane in range(LANES)]
            eight = builder.shuffle_vector(bits, bits, _places(places * together))
            for first in range(0, 8, together):
                tested = [1 << (first + row) for row in range(together) for _ in range(LANES)]
                found = builder.and_(eight, ir.Constant(texts, tested))
                found = builder.zext(builder.icmp_unsigned("!=", found, ir.Constant(texts, None)), texts)
                target.store(builder, builder.add(found, bases), _word(8 * place + first))
        return context.get_dummy_value()

    return types.void(words, at, flip, base, out, here), codegen
