"""Twin of plain.programs: one pass over the rows, a block of them at a time, so registers stay in cache.

Columns are loaded and the result is stored by address, each in its own width. An instruction is one
loop over a block, which LLVM makes vectors of; checks gather in a flag that is looked at once a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from storage.kernels.plain.programs import INT8_MAX, INT8_MIN, Array, Code, Op

BLOCK = 1024
"""Rows of a register."""
KINDS = {
    np.dtype(name): number
    for number, name in enumerate(("?", "u1", "<i2", "<i4", "<u4", "<i8", "<f4", "<f8"), 1)
}
_BOOL, _U1, _I2, _I4, _U4, _I8, _F4, _F8 = range(1, 9)

ADD, SUBTRACT, MULTIPLY, DIVIDE, MODULO, NEGATE = (int(op) for op in list(Op)[:6])
ADD_F, SUBTRACT_F, MULTIPLY_F, DIVIDE_F, NEGATE_F, TO_FLOAT = (int(op) for op in list(Op)[6:12])
EQUAL, NOT_EQUAL, LESS, LESS_EQUAL = (int(op) for op in list(Op)[12:16])
EQUAL_F, NOT_EQUAL_F, LESS_F, LESS_EQUAL_F = (int(op) for op in list(Op)[16:20])
AND, OR, NOT, IS_NULL, IS_NOT_NULL = (int(op) for op in list(Op)[20:])


def _array(element: Any) -> Any:
    """A function f(address, n) -> the n elements there as an array."""

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def pointer(typing: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), codegen

    @njit(inline="always")
    def array(address, n):  # type: ignore[no-untyped-def]
        return carray(pointer(address), n)

    return array


u1, i2, i4, u4, i8, f4, f8 = (
    _array(element)
    for element in (
        types.uint8,
        types.int16,
        types.int32,
        types.uint32,
        types.int64,
        types.float32,
        types.float64,
    )
)


@njit(inline="always")
def _copy(source, out):  # type: ignore[no-untyped-def]
    for i in range(len(source)):
        out[i] = source[i]


@njit("void(int64, int64, int64, int64, int64[::1], float64[::1])", nogil=True, cache=True)
def _load(kind, address, start, n, ints, floats):  # type: ignore[no-untyped-def]
    if kind in (_BOOL, _U1):
        _copy(u1(address + start, n), ints)
    elif kind == _I2:
        _copy(i2(address + 2 * start, n), ints)
    elif kind == _I4:
        _copy(i4(address + 4 * start, n), ints)
    elif kind == _U4:
        _copy(u4(address + 4 * start, n), ints)
    elif kind == _I8:
        _copy(i8(address + 8 * start, n), ints)
    elif kind == _F4:
        _copy(f4(address + 4 * start, n), floats)
    else:
        _copy(f8(address + 8 * start, n), floats)


@njit(inline="always")
def _pick(source, places, n, out):  # type: ignore[no-untyped-def]
    for i in range(n):
        out[i] = source[np.uint64(places[i])]


@njit("void(int64, int64, int64, int64[::1], int64, int64[::1], float64[::1])", nogil=True, cache=True)
def load_at(kind, address, size, places, n, ints, floats):  # type: ignore[no-untyped-def]
    """Values at so many places of a column of `size` rows."""
    if kind in (_BOOL, _U1):
        _pick(u1(address, size), places, n, ints)
    elif kind == _I2:
        _pick(i2(address, size), places, n, ints)
    elif kind == _I4:
        _pick(i4(address, size), places, n, ints)
    elif kind == _U4:
        _pick(u4(address, size), places, n, ints)
    elif kind == _I8:
        _pick(i8(address, size), places, n, ints)
    elif kind == _F4:
        _pick(f4(address, size), places, n, floats)
    else:
        _pick(f8(address, size), places, n, floats)


@njit("void(int64, int64, int64, int64, int64[::1], float64[::1])", nogil=True, cache=True)
def _store(kind, address, start, n, ints, floats):  # type: ignore[no-untyped-def]
    if kind in (_BOOL, _U1):
        _copy(ints[:n], u1(address + start, n))
    elif kind == _I2:
        _copy(ints[:n], i2(address + 2 * start, n))
    elif kind in (_I4, _U4):
        _copy(ints[:n], i4(address + 4 * start, n))
    elif kind == _I8:
        _copy(ints[:n], i8(address + 8 * start, n))
    elif kind == _F4:
        _copy(floats[:n], f4(address + 4 * start, n))
    else:
        _copy(floats[:n], f8(address + 8 * start, n))


@njit("int64(int64)", nogil=True, cache=True)
def _bits(value):  # type: ignore[no-untyped-def]
    """How many bits a number that is not negative takes."""
    count = 0
    while value > 0:
        value >>= 1
        count += 1
    return count


@njit("boolean(int64, int64[::1], int64[::1])", nogil=True, cache=True, error_model="numpy")
def _multiplies(n, a, b):  # type: ignore[no-untyped-def]
    """Whether the product of the largest magnitudes fits: asked where their bits do not prove it."""
    low_a = high_a = low_b = high_b = np.int64(0)
    for i in range(n):
        low_a, high_a = min(low_a, a[i]), max(high_a, a[i])
        low_b, high_b = min(low_b, b[i]), max(high_b, b[i])
    if low_a < -INT8_MAX or low_b < -INT8_MAX:
        return False
    left, right = max(-low_a, high_a), max(-low_b, high_b)
    return right == 0 or left <= INT8_MAX // right


@njit(
    "boolean(int64, int64, int64, int64[::1], int64[::1], int64[::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _integers(op, size, n, a, b, out):  # type: ignore[no-untyped-def]
    """out = a op b; whether that stands for every row."""
    low, high = -(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1
    bad = np.int64(0)
    if op == ADD:
        for i in range(n):
            r = a[i] + b[i]
            bad |= (a[i] ^ r) & (b[i] ^ r)
            out[i] = r
    elif op == SUBTRACT:
        for i in range(n):
            r = a[i] - b[i]
            bad |= (a[i] ^ b[i]) & (a[i] ^ r)
            out[i] = r
    elif op == NEGATE:
        for i in range(n):
            bad |= -np.int64(a[i] == INT8_MIN)
            out[i] = -a[i]
    elif op == MULTIPLY:
        left = right = np.int64(0)
        for i in range(n):
            left |= a[i] ^ (a[i] >> 63)
            right |= b[i] ^ (b[i] >> 63)
            out[i] = a[i] * b[i]
        if _bits(left) + _bits(right) > 62 and not _multiplies(n, a, b):
            return False
    else:
        for i in range(n):
            bad |= -np.int64(b[i] == 0) | -np.int64((a[i] == INT8_MIN) & (b[i] == -1))
        if bad < 0:
            return False
        for i in range(n):
            q = a[i] // b[i]
            if q * b[i] != a[i] and (a[i] < 0) != (b[i] < 0):
                q += 1
            out[i] = q if op == DIVIDE else a[i] - q * b[i]
    outside = np.int64(0)
    if size < 8:
        for i in range(n):
            outside |= np.int64((out[i] < low) | (out[i] > high))
    return bad >= 0 and outside == 0


@njit(
    "boolean(int64, int64, int64, float64[::1], float64[::1], float64[::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _floats(op, size, n, a, b, out):  # type: ignore[no-untyped-def]
    """out = a op b; whether that stands for every row."""
    bad = False
    if op == ADD_F:
        for i in range(n):
            out[i] = a[i] + b[i]
    elif op == SUBTRACT_F:
        for i in range(n):
            out[i] = a[i] - b[i]
    elif op == MULTIPLY_F:
        for i in range(n):
            out[i] = a[i] * b[i]
    else:
        for i in range(n):
            bad |= (b[i] == 0) & (a[i] == a[i])
            out[i] = a[i] / b[i]
    if size == 4:
        for i in range(n):
            out[i] = np.float64(np.float32(out[i]))
    infinite = np.inf
    for i in range(n):
        bad |= (abs(out[i]) == infinite) & (abs(a[i]) != infinite) & (abs(b[i]) != infinite)
    if op in (MULTIPLY_F, DIVIDE_F):
        for i in range(n):
            bad |= (out[i] == 0) & (a[i] != 0) & (b[i] != 0) & (abs(b[i]) != infinite)
    return not bad


@njit("void(int64, int64, int64[::1], int64[::1], int64[::1])", nogil=True, cache=True)
def _compared(op, n, a, b, out):  # type: ignore[no-untyped-def]
    if op == EQUAL:
        for i in range(n):
            out[i] = a[i] == b[i]
    elif op == NOT_EQUAL:
        for i in range(n):
            out[i] = a[i] != b[i]
    elif op == LESS:
        for i in range(n):
            out[i] = a[i] < b[i]
    else:
        for i in range(n):
            out[i] = a[i] <= b[i]


@njit("void(int64, int64, float64[::1], float64[::1], int64[::1])", nogil=True, cache=True)
def _compared_floats(op, n, a, b, out):  # type: ignore[no-untyped-def]
    if op == EQUAL_F:
        for i in range(n):
            out[i] = (a[i] == b[i]) | ((a[i] != a[i]) & (b[i] != b[i]))
    elif op == NOT_EQUAL_F:
        for i in range(n):
            out[i] = not ((a[i] == b[i]) | ((a[i] != a[i]) & (b[i] != b[i])))
    elif op == LESS_F:
        for i in range(n):
            out[i] = (a[i] < b[i]) | ((b[i] != b[i]) & (a[i] == a[i]))
    else:
        for i in range(n):
            out[i] = (a[i] <= b[i]) | (b[i] != b[i])


@njit(
    "void(int64, int64, int64[::1], int64[::1], uint8[::1], uint8[::1], int64[::1], uint8[::1])",
    nogil=True,
    cache=True,
)
def _logic(op, n, a, b, va, vb, out, valid):  # type: ignore[no-untyped-def]
    """Truth values with their nulls; every other operation is null where an operand is."""
    if op == AND:
        for i in range(n):
            valid[i] = (va[i] & vb[i]) | (va[i] & (a[i] == 0)) | (vb[i] & (b[i] == 0))
            out[i] = a[i] & b[i] & va[i] & vb[i]
    elif op == OR:
        for i in range(n):
            valid[i] = (va[i] & vb[i]) | (va[i] & (a[i] != 0)) | (vb[i] & (b[i] != 0))
            out[i] = (a[i] & va[i]) | (b[i] & vb[i])
    elif op == NOT:
        for i in range(n):
            valid[i] = va[i]
            out[i] = 1 - a[i]
    else:
        for i in range(n):
            valid[i] = 1
            out[i] = va[i] if op == IS_NOT_NULL else 1 - va[i]


@njit("void(int64, int64, int64[::1], int64[::1], int64[::1])", nogil=True, cache=True)
def _known_logic(op, n, a, b, out):  # type: ignore[no-untyped-def]
    """The same where nothing is null."""
    if op == AND:
        for i in range(n):
            out[i] = a[i] & b[i]
    elif op == OR:
        for i in range(n):
            out[i] = a[i] | b[i]
    elif op == NOT:
        for i in range(n):
            out[i] = 1 - a[i]
    else:
        out[:n] = op == IS_NOT_NULL


CODE = types.Array(types.int32, 2, "C", readonly=True)
_INTS, _FLOATS, _KNOWN = types.int64[:, ::1], types.float64[:, ::1], types.uint8[:, ::1]


@njit(types.boolean[::1](CODE, types.int64[:, ::1]), nogil=True, cache=True)
def fixed_registers(code, loads):  # type: ignore[no-untyped-def]
    """Which registers hold one value for all rows."""
    count = len(loads)
    fixed = np.zeros(count + len(code), np.bool_)
    for k in range(count):
        fixed[k] = loads[k, 3] != 0
    for step in range(len(code)):
        fixed[count + step] = fixed[code[step, 1]] and fixed[code[step, 2]]
    return fixed


@njit(types.void(types.int64[::1], types.int64[::1], types.float64[::1]), nogil=True, cache=True)
def load_fixed(load, ints, floats):  # type: ignore[no-untyped-def]
    """A column of one value as a block of it."""
    _load(load[0], load[1], 0, 1, ints, floats)
    ints[:] = ints[0]


@njit(
    types.void(
        types.int64[::1], types.int64, types.int64, types.int64[::1], types.float64[::1], types.uint8[::1]
    ),
    nogil=True,
    cache=True,
)
def load_block(load, start, n, ints, floats, known):  # type: ignore[no-untyped-def]
    """Rows of a column, and where they have values."""
    _load(load[0], load[1], start, n, ints, floats)
    if load[2]:
        _copy(u1(load[2] + start, n), known)


@njit(
    types.boolean(
        CODE, types.boolean[::1], types.boolean, types.int64, types.boolean, _INTS, _FLOATS, _KNOWN
    ),
    nogil=True,
    cache=True,
)
def run_block(code, fixed, first, rows, valids, ints, floats, known):  # type: ignore[no-untyped-def]
    """Run the instructions over a block of rows; whether there is an answer.

    Those whose result is one value for all rows are run in the first block only, over all of it.
    """
    count = len(ints) - len(code)
    for step in range(len(code)):
        op, left, right, mode = code[step, 0], code[step, 1], code[step, 2], code[step, 3]
        to = count + step
        n = rows
        if fixed[to]:
            if not first:
                continue
            n = ints.shape[1]
        if op >= AND:
            if valids:
                _logic(op, n, ints[left], ints[right], known[left], known[right], ints[to], known[to])
            else:
                _known_logic(op, n, ints[left], ints[right], ints[to])
            continue
        if op <= NEGATE:
            if not _integers(op, mode, n, ints[left], ints[right], ints[to]):
                return False
        elif op < NEGATE_F:
            if not _floats(op, mode, n, floats[left], floats[right], floats[to]):
                return False
        elif op == NEGATE_F:
            for i in range(n):
                floats[to, i] = -floats[left, i]
        elif op == TO_FLOAT:
            for i in range(n):
                floats[to, i] = (
                    np.float64(np.float32(ints[left, i])) if mode == 4 else np.float64(ints[left, i])
                )
        elif op <= LESS_EQUAL:
            _compared(op, n, ints[left], ints[right], ints[to])
        else:
            _compared_floats(op, n, floats[left], floats[right], ints[to])
        if valids:
            for i in range(n):
                known[to, i] = known[left, i] & known[right, i]
    return True


@njit(types.boolean(CODE, types.int64[:, ::1], *(types.int64,) * 4), nogil=True, cache=True)
def _run(code, loads, rows, kind, values, valids):  # type: ignore[no-untyped-def]
    """`loads`: (kind, address of the values, of the mask or 0, 1 where one value stands for all rows)."""
    count = len(loads)
    size = min(BLOCK, rows)
    ints = np.empty((count + len(code), size), np.int64)
    floats = ints.view(np.float64)
    known = np.ones((count + len(code), size), np.uint8)
    fixed = fixed_registers(code, loads)
    for k in range(count):
        if fixed[k]:
            load_fixed(loads[k], ints[k], floats[k])
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        for k in range(count):
            if not fixed[k]:
                load_block(loads[k], start, n, ints[k], floats[k], known[k])
        if not run_block(code, fixed, start == 0, n, valids != 0, ints, floats, known):
            return False
        last = count + len(code) - 1
        _store(kind, values, start, n, ints[last], floats[last])
        if valids:
            _copy(known[last, :n], u1(valids + start, n))
    return True


def loads_of(columns: Sequence[Array], masks: Sequence[Array | None]) -> Array:
    """(columns, 4) int64: see _run. The arrays are contiguous, and have to outlive it."""
    loads = np.empty((len(columns), 4), np.int64)
    for at, (column, mask) in enumerate(zip(columns, masks, strict=True)):
        address = 0 if mask is None else mask.ctypes.data
        loads[at] = KINDS[column.dtype], column.ctypes.data, address, len(column) == 1 and mask is None
    return loads


def run_program(
    code: Code, columns: Sequence[Array], valids: Sequence[Array | None], rows: int, dtype: Any
) -> tuple[Array, Array | None] | None:
    """See plain.programs.run_program."""
    columns = [np.ascontiguousarray(column) for column in columns]
    masks = [None if valid is None else np.ascontiguousarray(valid) for valid in valids]
    loads = loads_of(columns, masks)
    values = np.empty(rows, dtype)
    valid = None if all(mask is None for mask in masks) else np.empty(rows, np.bool_)
    where = 0 if valid is None else valid.ctypes.data
    done = _run(code, loads, rows, KINDS[values.dtype], values.ctypes.data, where)
    return (values, valid) if done else None
