"""Arithmetic programs: a numeric expression as a short list of instructions over registers.

A register holds one value a row, int64 or float64, and whether there is one. The first registers are
loaded from columns (a column of length 1 stands for every row), each instruction writes the next one,
the last is the result. Where an instruction would have to raise on some row (overflow, a zero divisor),
or cannot prove that it need not, the whole program gives no answer: what is asked, of which row, and
with which error, is the business of whoever asked.

An instruction is (operation, left, right, mode), the operands register numbers. `mode` of integer
arithmetic is the size of the result in bytes, which it has to fit; of float arithmetic it is 4 where the
result is rounded to single precision, which is the same as computing in it: a double holds the product
of two singles, and twice the bits of a quotient.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Code = npt.NDArray[np.int32]
"""(instructions, 4)"""

INT8_MAX = np.iinfo(np.int64).max
INT8_MIN = np.iinfo(np.int64).min


class Op(IntEnum):
    """Operations: on integers (truth values are 0 and 1), on floats (F), on truth values."""

    ADD = 0
    SUBTRACT = 1
    MULTIPLY = 2
    DIVIDE = 3  # cut towards zero
    MODULO = 4  # with the dividend's sign
    NEGATE = 5
    ADD_F = 10
    SUBTRACT_F = 11
    MULTIPLY_F = 12
    DIVIDE_F = 13
    NEGATE_F = 14
    TO_FLOAT = 15
    EQUAL = 20
    NOT_EQUAL = 21
    LESS = 22
    LESS_EQUAL = 23
    EQUAL_F = 30  # NaN equals itself and is greater than every number
    NOT_EQUAL_F = 31
    LESS_F = 32
    LESS_EQUAL_F = 33
    AND = 40
    OR = 41
    NOT = 42
    IS_NULL = 43
    IS_NOT_NULL = 44


class Unproven(Exception):
    """Some row would have to raise, or cannot be shown not to."""


def run_program(
    code: Code, columns: Sequence[Array], valids: Sequence[Array | None], rows: int, dtype: Any
) -> tuple[Array, Array | None] | None:
    """(values (rows,) of `dtype`, valid (rows,) bool or None: no nulls), or None: no answer.

    `columns` are the loaded ones: bool, integers up to 64 bits, float32 or float64, of `rows` values or
    one; `valids` their masks, None where all are there.
    """
    try:
        registers, known = run_registers(code, columns, valids)
    except Unproven:
        return None
    values = np.broadcast_to(registers[-1], rows).astype(dtype)
    valid = np.broadcast_to(known[-1], rows)
    return values, None if all(mask is None for mask in valids) else np.array(valid)


def run_registers(
    code: Code, columns: Sequence[Array], valids: Sequence[Array | None]
) -> tuple[list[Array], list[Array]]:
    """What all registers hold, and where they do: of each (rows,) or (1,). Raises Unproven."""
    registers: list[Array] = [_wide(column) for column in columns]
    known: list[Array] = [np.ones(1, np.bool_) if valid is None else valid for valid in valids]
    with np.errstate(all="ignore"):
        for operation, left, right, mode in code.tolist():
            a, b, va, vb = registers[left], registers[right], known[left], known[right]
            registers.append(_value(Op(operation), a, b, va, vb, mode))
            known.append(_valid(Op(operation), a, b, va, vb))
    return registers, known


def _wide(column: Array) -> Array:
    return column.astype(np.float64 if column.dtype.kind == "f" else np.int64)


def _valid(op: Op, a: Array, b: Array, va: Array, vb: Array) -> Array:
    both: Array = va & vb
    match op:
        case Op.AND:
            both = both | (va & (a == 0)) | (vb & (b == 0))
        case Op.OR:
            both = both | (va & (a != 0)) | (vb & (b != 0))
        case Op.NOT:
            both = va
        case Op.IS_NULL | Op.IS_NOT_NULL:
            both = np.ones(1, np.bool_)
    return both


def _value(op: Op, a: Array, b: Array, va: Array, vb: Array, mode: int) -> Array:
    result: Array
    match op:
        case Op.ADD | Op.SUBTRACT | Op.MULTIPLY | Op.NEGATE:
            result = _integer(op, a, b, mode)
        case Op.DIVIDE | Op.MODULO:
            result = _quotient(op, a, b, mode)
        case Op.ADD_F | Op.SUBTRACT_F | Op.MULTIPLY_F | Op.DIVIDE_F:
            result = _float(op, a, b, mode)
        case Op.NEGATE_F:
            result = -a
        case Op.TO_FLOAT:
            result = (a.astype(np.float32) if mode == 4 else a).astype(np.float64)
        case Op.AND:
            result = (a & b & va & vb).astype(np.int64)
        case Op.OR:
            result = ((a != 0) & va) | ((b != 0) & vb)
        case Op.NOT:
            result = 1 - a
        case Op.IS_NULL:
            result = ~va
        case Op.IS_NOT_NULL:
            result = va
        case _:
            result = _comparison(op, a, b)
    return result


def _integer(op: Op, a: Array, b: Array, size: int) -> Array:
    if op is Op.MULTIPLY:
        left, right = _size(a), _size(b)
        if max(left, right) > INT8_MAX or (right and left > INT8_MAX // right):
            raise Unproven
        result = a * b
    elif op is Op.ADD:
        result = a + b
        if (((a ^ result) & (b ^ result)) < 0).any():
            raise Unproven
    else:
        a, b = (np.zeros_like(a), a) if op is Op.NEGATE else (a, b)
        result = a - b
        if (((a ^ b) & (a ^ result)) < 0).any():
            raise Unproven
    _check_range(result, size)
    return result


def _check_range(values: Array, size: int) -> None:
    low, high = -(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1
    if ((values < low) | (values > high)).any():
        raise Unproven


def _size(values: Array) -> int:
    """The largest of the absolute values."""
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def _quotient(op: Op, a: Array, b: Array, size: int) -> Array:
    if (b == 0).any() or ((a == INT8_MIN) & (b == -1)).any():
        raise Unproven
    result: Array = a // b
    result = result + ((result * b != a) & ((a < 0) != (b < 0)))
    if op is Op.MODULO:
        result = a - result * b
    _check_range(result, size)
    return result


def _float(op: Op, a: Array, b: Array, size: int) -> Array:
    match op:
        case Op.ADD_F:
            result = a + b
        case Op.SUBTRACT_F:
            result = a - b
        case Op.MULTIPLY_F:
            result = a * b
        case _:
            if ((b == 0) & ~np.isnan(a)).any():
                raise Unproven
            result = a / b
    if size == 4:
        result = result.astype(np.float32).astype(np.float64)
    if (np.isinf(result) & ~np.isinf(a) & ~np.isinf(b)).any():
        raise Unproven
    products = op in (Op.MULTIPLY_F, Op.DIVIDE_F)
    if products and ((result == 0) & (a != 0) & (b != 0) & ~np.isinf(b)).any():
        raise Unproven
    return result


def _comparison(op: Op, a: Array, b: Array) -> Array:
    result: Array
    match op:
        case Op.EQUAL:
            result = a == b
        case Op.NOT_EQUAL:
            result = a != b
        case Op.LESS:
            result = a < b
        case Op.LESS_EQUAL:
            result = a <= b
        case Op.EQUAL_F:
            result = (a == b) | (np.isnan(a) & np.isnan(b))
        case Op.NOT_EQUAL_F:
            result = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        case Op.LESS_F:
            result = (a < b) | (np.isnan(b) & ~np.isnan(a))
        case _:
            result = (a <= b) | np.isnan(b)
    return result
