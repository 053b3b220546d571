"""Twins of plain.signs: a group of 16 rows at a time as LLVM vectors, a row being a lane.

The counts of a group are two vectors of eight 64-bit lanes a plane: XOR with a word of the plane, spread to
all lanes, and population count, which is one instruction where the processor has it. The bounds are vectors
of 16 floats, in plain.signs's order and without fast-math flags, so that both decide alike. What survives is
written out; a group of which something survives the coarse planes is tested by the fine ones while it is in
the cache. Measured in the cache on one thread of an AVX-512 machine, million rows/s, for 64, 256, 512, 1024
and 1536 dimensions: 1280, 900, 630, 350, 280; so two threads are bound by memory from 512 dimensions on, and
what is a few groups ahead is fetched before it is needed, which makes two threads a fifth faster there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from storage.kernels.plain.signs import (
    CENTRE,
    COARSE,
    CONSTANTS,
    DELTA,
    FINE,
    FINE_START,
    GROUP,
    GROWTH,
    GUARD,
    LEAST,
    LENGTH,
    LIMIT,
    LOWER,
    NORM,
    SLOPE,
    SQUARE,
    START,
    UPPER,
    Counts,
    Found,
    Singles,
    Words,
)

INDEX = ir.IntType(64)
_INT = ir.IntType(32)
_HALF = GROUP // 2
_AHEAD = 5120
"""Bytes: the processor fetches by itself what comes next, but for the rest of a page at most."""
_WORDS = ir.VectorType(INDEX, _HALF)
COUNTS = ir.VectorType(_INT, GROUP)
FLOATS = ir.VectorType(ir.FloatType(), GROUP)
_CALL_PAIRS = 1 << 21
"""(row, question) pairs of a call: under 20 ms."""
_OUT = 1 << 13
"""Rows that a call can find: so few that no pages are mapped and given back for it."""


def spread(builder: Any, value: Any, lanes: int) -> Any:
    kind = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes))


def at(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    """A pointer to what lies `offset` bytes after an address."""
    return builder.inttoptr(builder.add(address, ir.Constant(INDEX, offset)), kind.as_pointer())


def float_of(value: float) -> Any:
    return ir.Constant(FLOATS, [value] * GROUP)


def _soon(builder: Any, address: Any) -> None:
    """Have the processor fetch what lies _AHEAD bytes after an address: reading beyond an end is no error."""
    kinds = [ir.IntType(8).as_pointer(), _INT, _INT, _INT]
    prefetch = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), kinds), "llvm.prefetch.p0i8"
    )
    read, used_once, data = _INT(0), _INT(0), _INT(1)
    builder.call(prefetch, [at(builder, address, _AHEAD, ir.IntType(8)), read, used_once, data])


def counts_of(builder: Any, signs: Any, words: Any, planes: Any, bits: int) -> Any:
    """The counts of a group: 16 integers of 32 bits."""
    popcount = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_WORDS, [_WORDS]), f"llvm.ctpop.v{_HALF}i64"
    )
    zero = ir.Constant(_WORDS, None)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(bits)] for _ in range(2)]
    with cgutils.for_range(builder, words) as loop:
        row = builder.add(signs, builder.mul(loop.index, ir.Constant(INDEX, 8 * GROUP)))
        plane = builder.add(planes, builder.mul(loop.index, ir.Constant(INDEX, 8 * bits)))
        halves = [builder.load(at(builder, row, 8 * _HALF * half, _WORDS), align=8) for half in range(2)]
        for half in range(2):
            _soon(builder, builder.add(row, ir.Constant(INDEX, 8 * _HALF * half)))
        for bit in range(bits):
            digit = spread(builder, builder.load(at(builder, plane, 8 * bit, INDEX)), _HALF)
            for half in range(2):
                differ = builder.call(popcount, [builder.xor(halves[half], digit)])
                total = sums[half][bit]
                builder.store(builder.add(builder.load(total), differ), total)
    totals = []
    for half in range(2):
        total = builder.load(sums[half][0])
        for bit in range(1, bits):
            weight = ir.Constant(_WORDS, [bit] * _HALF)
            total = builder.add(total, builder.shl(builder.load(sums[half][bit]), weight))
        totals.append(builder.trunc(total, ir.VectorType(_INT, _HALF)))
    order = ir.Constant(ir.VectorType(_INT, GROUP), list(range(GROUP)))
    return builder.shuffle_vector(totals[0], totals[1], order)


def larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def square_root(builder: Any, value: Any) -> Any:
    root = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(FLOATS, [FLOATS]), f"llvm.sqrt.v{GROUP}f32"
    )
    return builder.call(root, [value])


def _value(
    builder: Any, beta: Any, delta: Any, factors: Any, constant: Any, root: float, side: int, cosine: bool
) -> Any:
    """U (root 1) or L (root -1) of a group: see plain.signs."""
    norms, cosines, centres = factors
    one = float_of(float(np.float32(1 + 2.0**-20)))
    add, subtract, times = builder.fadd, builder.fsub, builder.fmul
    v = larger(builder, times(float_of(root), cosines), subtract(beta, delta))
    v = _smaller(builder, v, add(beta, delta))
    spread_of = times(subtract(one, times(cosines, cosines)), subtract(one, times(v, v)))
    spread_of = square_root(builder, spread_of)
    inner = times(constant(NORM), add(times(cosines, v), times(float_of(root), spread_of)))
    inner = add(add(inner, constant(side + GUARD)), times(constant(side + SQUARE), norms))
    value = add(times(constant(CENTRE), centres), times(norms, inner))
    if not cosine:
        return value
    square = add(constant(side + LEAST), times(float_of(2.0), centres))
    square = add(square, times(times(norms, norms), constant(side + GROWTH)))
    length = square_root(builder, larger(builder, square, float_of(0.0)))
    return subtract(value, times(constant(side + LENGTH), length))


def mask_of(builder: Any, which: Any) -> Any:
    return builder.zext(builder.bitcast(which, ir.IntType(GROUP)), INDEX)


def constant_of(builder: Any, constants: Any, place: int) -> Any:
    """A constant at the address of several, for all rows of a group."""
    return spread(builder, builder.load(at(builder, constants, 4 * place, ir.FloatType())), GROUP)


def factors_of(builder: Any, factors: Any) -> list[Any]:
    return [builder.load(at(builder, factors, 4 * GROUP * factor, FLOATS), align=4) for factor in range(3)]


def _test(bits: int, start: int, cosine: bool, known: bool = False) -> Any:
    """An intrinsic f(signs, words, planes, factors, constants, counts): addresses, but for the words.

    -> bit i: row i of the group stays; bit 16 + i: it is taken. Writes the counts to the last address where
    any row stays; or, where they are `known`, reads them there and neither signs nor planes.
    """

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def test(
        typing: Any, signs: Any, words: Any, planes: Any, factors: Any, constants: Any, counts: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            signs, words, planes, factors, constants, counts = args

            constant = partial(constant_of, builder, constants)
            mask = partial(mask_of, builder)
            if known:
                found = builder.load(builder.inttoptr(counts, COUNTS.as_pointer()), align=4)
            else:
                found = counts_of(builder, signs, words, planes, bits)
            rows = factors_of(builder, factors)
            number = builder.sitofp(found, FLOATS)
            offset = start - START
            beta = builder.fsub(constant(START + offset), builder.fmul(constant(SLOPE + offset), number))
            delta = constant(DELTA + offset)
            upper = _value(builder, beta, delta, rows, constant, 1.0, UPPER, cosine)
            stays = mask(builder.fcmp_unordered(">=", upper, constant(UPPER + LIMIT)))
            result = cgutils.alloca_once_value(builder, stays)
            with builder.if_then(builder.icmp_unsigned("!=", stays, ir.Constant(INDEX, 0)), likely=False):
                if not known:
                    builder.store(found, builder.inttoptr(counts, COUNTS.as_pointer()), align=4)
                lower = _value(builder, beta, delta, rows, constant, -1.0, LOWER, cosine)
                taken = mask(builder.fcmp_ordered(">", lower, constant(LOWER + LIMIT)))
                both = builder.shl(builder.and_(taken, stays), ir.Constant(INDEX, GROUP))
                builder.store(builder.or_(stays, both), result)
            return builder.load(result)

        return types.int64(*[types.int64] * 6), codegen

    return test


_coarse = _test(COARSE, START, False)
_fine = _test(FINE, FINE_START, False)
_coarse_cosine = _test(COARSE, START, True)
_fine_cosine = _test(FINE, FINE_START, True)
_known = _test(COARSE, START, False, known=True)
_known_cosine = _test(COARSE, START, True, known=True)

SPANS = types.Array(types.int64, 2, "C", readonly=True)
GROUP_FACTORS, _CONSTANT_BYTES, _ALL = 12 * GROUP, 4 * CONSTANTS, (1 << GROUP) - 1


@njit(
    types.void(
        *[types.int64] * 3,
        SPANS,
        *[types.int64] * 5,
        types.boolean,
        types.int32[::1],
        types.int64[::1],
        types.boolean[::1],
        types.int32[::1],
        types.int64,
        types.int64[::1],
    ),
    nogil=True,
    cache=True,
)
def _scan(  # type: ignore[no-untyped-def]
    signs,
    factors,
    words,
    spans,
    coarse,
    fine,
    constants,
    questions,
    frames,
    cosine,
    out_question,
    out_slot,
    out_taken,
    out_count,
    known,
    state,
):
    """From span state[0], group state[1] of it, on, until all is done or something is full.

    `known`: the address of the counts of all groups in turn, of which state[4] have been tested, or 0.
    """
    span, done, found, decided, pairs, tested = state[0], state[1], 0, state[3], 0, state[4]
    counts = np.empty(GROUP, np.int32)
    scratch = counts.ctypes.data
    while span < len(spans):
        first, rows, frame = spans[span, 0], spans[span, 1], spans[span, 2]
        while done * GROUP < rows:
            if found + GROUP * questions > len(out_slot) or pairs >= _CALL_PAIRS:
                state[0], state[1], state[2], state[3], state[4] = span, done, found, decided, tested
                return
            group = first + done
            lanes = min(rows - done * GROUP, GROUP)
            there = (1 << lanes) - 1
            at, of_rows = signs + group * words * 8 * GROUP, factors + group * GROUP_FACTORS
            for question in range(questions):
                number = question * frames + frame
                mine = constants + number * _CONSTANT_BYTES
                planes = coarse + number * words * 8 * COARSE
                if known:
                    counted = known + (tested + done) * (4 * GROUP)
                    if cosine:
                        mask = _known_cosine(at, words, planes, of_rows, mine, counted)
                    else:
                        mask = _known(at, words, planes, of_rows, mine, counted)
                elif cosine:
                    mask = _coarse_cosine(at, words, planes, of_rows, mine, scratch)
                else:
                    mask = _coarse(at, words, planes, of_rows, mine, scratch)
                stays, taken = mask & there, mask >> GROUP & there
                decided += lanes
                if stays == 0:
                    continue
                left = stays & ~taken
                if left:
                    planes = fine + number * words * 8 * FINE
                    if cosine:
                        mask = _fine_cosine(at, words, planes, of_rows, mine, scratch)
                    else:
                        mask = _fine(at, words, planes, of_rows, mine, scratch)
                    stays = taken | (left & mask)
                    taken = taken | (left & (mask >> GROUP))
                for lane in range(GROUP):
                    decided -= left >> lane & 1
                    if stays >> lane & 1:
                        out_question[found] = question
                        out_slot[found] = group * GROUP + lane
                        out_taken[found] = (taken >> lane & 1) != 0
                        out_count[found] = counts[lane] if left >> lane & 1 else 0
                        found += 1
            done += 1
            pairs += lanes * questions
        span += 1
        tested += done
        done = 0
    state[0], state[1], state[2], state[3], state[4] = span, done, found, decided, tested


def scan_signs(
    signs: Words,
    factors: Singles,
    spans: npt.NDArray[np.int64],
    coarse: Words,
    fine: Words,
    constants: Singles,
    known: Counts | None = None,
) -> Found:
    """See plain.signs.scan_signs."""
    questions, frames = constants.shape[:2]
    cosine = bool(constants[:, :, UPPER + LENGTH].any())
    state = np.zeros(5, np.int64)
    room = min(int(spans[:, 1].sum()) * questions, _OUT) + GROUP * questions
    pieces: list[tuple[npt.NDArray[Any], ...]] = []
    while True:
        out = (np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room, np.bool_))
        counts = np.empty(room, np.int32)
        _scan(
            signs.ctypes.data,
            factors.ctypes.data,
            signs.shape[1],
            spans,
            coarse.ctypes.data,
            fine.ctypes.data,
            constants.ctypes.data,
            questions,
            frames,
            cosine,
            *out,
            counts,
            0 if known is None else known.ctypes.data,
            state,
        )
        found = int(state[2])
        pieces.append(tuple(array[:found] for array in (*out, counts)))
        if state[0] == len(spans):
            break
    number, slots, taken, count = (
        pieces[0] if len(pieces) == 1 else (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    )
    if questions > 1:
        order = np.argsort(number, kind="stable")
        number, slots, taken, count = number[order], slots[order], taken[order], count[order]
    return number, slots, taken, count, int(state[3])


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _popcount(typing: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


_WORD_ROWS = types.Array(types.uint64, 2, "C", readonly=True)


@njit(types.void(_WORD_ROWS, _WORD_ROWS, types.int32[::1]), nogil=True, cache=True)
def _count(words, planes, out):  # type: ignore[no-untyped-def]
    for row in range(len(words)):
        total = np.uint64(0)
        for word in range(planes.shape[0]):
            for bit in range(planes.shape[1]):
                total += _popcount(words[row, word] ^ planes[word, bit]) << np.uint64(bit)
        out[row] = total


def count_signs(words: Words, planes: Words) -> npt.NDArray[np.int32]:
    """See plain.signs.count_signs."""
    out = np.empty(len(words), np.int32)
    _count(np.ascontiguousarray(words), planes, out)
    return out


__all__ = [
    "COUNTS",
    "FLOATS",
    "GROUP_FACTORS",
    "INDEX",
    "SPANS",
    "at",
    "constant_of",
    "count_signs",
    "counts_of",
    "factors_of",
    "float_of",
    "larger",
    "mask_of",
    "scan_signs",
    "spread",
    "square_root",
]
