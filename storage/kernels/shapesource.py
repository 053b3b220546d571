"""The source of a shape's kernel: a program as one loop over the rows.

Every register is a variable of the loop, an integer, a float or a truth value, so LLVM sees the whole
expression at once and makes vectors of it. What would have to raise gathers in flags that are looked at when
all rows are through: the sign of `bad` (integer overflow and zero divisors, by the identities of
"Hacker's Delight", section 2-13) and `wrong` (floats). A product is proven by the bits that its operands'
magnitudes have together: `size_k` gathers those of a register, and 62 bits always fit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from storage.kernels.plain.programs import Array, Code, Op

_HEAD = '''"""Machine code of one program: written by storage.kernels.shapesource."""

import numpy as np
from numba import njit

from storage.kernels.compiled.programs import f4, f8, i2, i4, i8, u1, u4


@njit(inline="always")
def bits(size):
    count = 0
    while size > 0:
        size >>= 1
        count += 1
    return count


@njit("boolean(int64[:, ::1], int64, int64, int64)", nogil=True, cache=True, error_model="numpy")
def run(loads, rows, values, valids):
'''
_ARRAYS = {"|b1": "u1", "|u1": "u1", "<i2": "i2", "<i4": "i4", "<u4": "u4", "<i8": "i8", "<f4": "f4"}
_ARRAYS |= {"<f8": "f8"}
_FINITE = "(abs({0}) != np.inf)"


@dataclass(frozen=True)
class Shape:
    """`loads`: of each column (dtype, has a mask, is one value). `result`: the dtype of the values."""

    code: bytes
    loads: tuple[tuple[str, bool, bool], ...]
    result: str

    @cached_property
    def digest(self) -> str:
        """The name of its source in the cache."""
        return hashlib.sha256(repr((self.code, self.loads, self.result)).encode()).hexdigest()[:24]

    def instructions(self) -> list[list[int]]:
        """(operation, left, right, mode) of each."""
        listed: list[list[int]] = np.frombuffer(self.code, np.int32).reshape(-1, 4).tolist()
        return listed


def shape_of(code: Code, columns: Sequence[Array], valids: Sequence[Array | None], dtype: Any) -> Shape:
    """The shape of a program over these columns."""
    loads = tuple(
        (column.dtype.str, valid is not None, len(column) == 1 and valid is None)
        for column, valid in zip(columns, valids, strict=True)
    )
    return Shape(code.tobytes(), loads, np.dtype(dtype).str)


@dataclass(frozen=True, slots=True)
class _Register:
    """A variable: its name, its kind (i: integer, f: float, b: truth value), the name of its mask."""

    name: str
    kind: str
    known: str = ""  # '': never null

    @property
    def number(self) -> str:
        """As an operand of integer arithmetic."""
        return f"np.int64({self.name})" if self.kind == "b" else self.name

    @property
    def truth(self) -> str:
        """As an operand of logic."""
        return self.name if self.kind == "b" else f"({self.name} != 0)"


@dataclass
class _Writer:
    """Lines before the loop, in it, and the tests behind it."""

    before: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    registers: list[_Register] = field(default_factory=list)
    sized: set[str] = field(default_factory=set)

    def load(self, place: int, dtype: str, masked: bool, single: bool) -> None:
        """A column's element as a register."""
        name, array = f"r{place}", _ARRAYS[dtype]
        kind = "b" if dtype == "|b1" else "f" if array[0] == "f" else "i"
        element = {"b": "({} != 0)", "f": "np.float64({})", "i": "np.int64({})"}[kind]
        if single:
            self.before.append(f"{name} = {element.format(f'{array}(loads[{place}, 0], 1)[0]')}")
            self.registers.append(_Register(name, kind))
            return
        self.before.append(f"a{place} = {array}(loads[{place}, 0], rows)")
        self.inside.append(f"{name} = {element.format(f'a{place}[i]')}")
        known = ""
        if masked:
            known = f"k{place}"
            self.before.append(f"m{place} = u1(loads[{place}, 1], rows)")
            self.inside.append(f"{known} = m{place}[i] != 0")
        self.registers.append(_Register(name, kind, known))

    def put(self, op: Op, left: int, right: int, mode: int) -> None:
        """An instruction's result as the next register."""
        a, b, name = self.registers[left], self.registers[right], f"r{len(self.registers)}"
        kind, write = _KIND_AND_LINES[op]
        write(self, name, a, b, mode)
        if op in (Op.AND, Op.OR):
            known = self._logic_known(op, name, a, b)
        elif op in (Op.IS_NULL, Op.IS_NOT_NULL):
            known = ""
        else:
            known = self._named(name, _both(a.known, b.known))
        self.registers.append(_Register(name, kind, known))

    def size(self, register: _Register) -> str:
        """The name of what gathers the magnitude of an integer register."""
        name = f"size_{register.name}"
        if name not in self.sized:
            self.sized.add(name)
            self.before.append(f"{name} = np.int64(0)")
            self.inside.append(f"{name} |= {register.number} ^ ({register.number} >> 63)")
        return name

    def _logic_known(self, op: Op, name: str, a: _Register, b: _Register) -> str:
        """Of AND and OR: known where both are, or where one decides."""
        if not a.known and not b.known:
            return ""
        decides = "not {0}" if op == Op.AND else "{0}"
        terms = [_both(a.known, b.known)]
        for register in (a, b):
            deciding = f"({decides.format(register.truth)})"
            terms.append(f"({register.known} & {deciding})" if register.known else deciding)
        return self._named(name, " | ".join(terms))

    def _named(self, name: str, known: str) -> str:
        if not known or known.isidentifier():
            return known
        self.inside.append(f"k_{name} = {known}")
        return f"k_{name}"


def _both(a: str, b: str) -> str:
    names = dict.fromkeys(name for name in (a, b) if name)
    return " & ".join(names) if len(names) < 2 else f"({' & '.join(names)})"


_Lines = Callable[[_Writer, str, _Register, _Register, int], None]


def _fits(writer: _Writer, name: str, size: int) -> None:
    """The result has to fit the type's size."""
    if size < 8:
        low, high = -(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1
        writer.inside.append(f"bad |= ({name} - ({low})) | ({high} - {name})")


def _add(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    writer.inside += [f"{name} = {a.name} + {b.name}", f"bad |= ({a.name} ^ {name}) & ({b.name} ^ {name})"]
    _fits(writer, name, size)


def _subtract(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    writer.inside += [f"{name} = {a.name} - {b.name}", f"bad |= ({a.name} ^ {b.name}) & ({a.name} ^ {name})"]
    _fits(writer, name, size)


def _negate(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    writer.inside += [f"{name} = -{a.name}", f"bad |= {a.name} & {name}"]
    _fits(writer, name, size)


def _multiply(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    writer.inside.append(f"{name} = {a.name} * {b.name}")
    writer.proofs.append(f"bits({writer.size(a)}) + bits({writer.size(b)}) > 62")
    _fits(writer, name, size)


def _divide(modulo: bool) -> _Lines:
    def write(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
        unfit = f"({b.name} == 0) | (({b.name} == -1) & ({a.name} == {np.iinfo(np.int64).min}))"
        writer.inside += [
            f"u_{name} = {unfit}",
            f"bad |= -np.int64(u_{name})",
            f"d_{name} = 1 if u_{name} else {b.name}",
            f"q_{name} = {a.name} // d_{name}",
            # cut towards zero, where // goes down
            f"if q_{name} * d_{name} != {a.name} and ({a.name} < 0) != (d_{name} < 0):",
            f"    q_{name} += 1",
            f"{name} = {a.name} - q_{name} * d_{name}" if modulo else f"{name} = q_{name}",
        ]
        _fits(writer, name, size)

    return write


def _float(symbol: str) -> _Lines:
    def write(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
        lines = writer.inside
        lines.append(f"{name} = {a.name} {symbol} {b.name}")
        if size == 4:
            lines.append(f"{name} = np.float64(np.float32({name}))")
        finite = " & ".join(_FINITE.format(n) for n in dict.fromkeys((a.name, b.name)))
        lines.append(f"wrong |= (abs({name}) == np.inf) & {finite}")
        if symbol in "*/":
            lines.append(
                f"wrong |= ({name} == 0) & ({a.name} != 0) & ({b.name} != 0) & {_FINITE.format(b.name)}"
            )
        if symbol == "/":
            lines.append(f"wrong |= ({b.name} == 0) & ({a.name} == {a.name})")

    return write


def _negate_float(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    writer.inside.append(f"{name} = -{a.name}")


def _to_float(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    single = "np.float64(np.float32({}))" if size == 4 else "np.float64({})"
    writer.inside.append(f"{name} = {single.format(a.name)}")


def _compare(symbol: str) -> _Lines:
    def write(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
        writer.inside.append(f"{name} = {a.number} {symbol} {b.number}")

    return write


def _compare_floats(form: str) -> _Lines:
    """NaN equals itself and is greater than every number."""

    def write(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
        writer.inside.append(f"{name} = {form.format(a=a.name, b=b.name)}")

    return write


def _logic(symbol: str) -> _Lines:
    """A truth value is false where it is null."""

    def write(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
        terms = [f"({r.known} & {r.truth})" if r.known else r.truth for r in (a, b)]
        writer.inside.append(f"{name} = {f' {symbol} '.join(terms)}")

    return write


def _not(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
    writer.inside.append(f"{name} = not {a.truth}")


def _null(expected: bool) -> _Lines:
    def write(writer: _Writer, name: str, a: _Register, b: _Register, size: int) -> None:
        if a.known:
            writer.inside.append(f"{name} = {a.known}" if not expected else f"{name} = not {a.known}")
        else:
            writer.inside.append(f"{name} = {not expected}")

    return write


_EQUAL_F = "(({a} == {b}) | (({a} != {a}) & ({b} != {b})))"
_KIND_AND_LINES: dict[int, tuple[str, _Lines]] = {
    Op.ADD: ("i", _add),
    Op.SUBTRACT: ("i", _subtract),
    Op.MULTIPLY: ("i", _multiply),
    Op.DIVIDE: ("i", _divide(modulo=False)),
    Op.MODULO: ("i", _divide(modulo=True)),
    Op.NEGATE: ("i", _negate),
    Op.ADD_F: ("f", _float("+")),
    Op.SUBTRACT_F: ("f", _float("-")),
    Op.MULTIPLY_F: ("f", _float("*")),
    Op.DIVIDE_F: ("f", _float("/")),
    Op.NEGATE_F: ("f", _negate_float),
    Op.TO_FLOAT: ("f", _to_float),
    Op.EQUAL: ("b", _compare("==")),
    Op.NOT_EQUAL: ("b", _compare("!=")),
    Op.LESS: ("b", _compare("<")),
    Op.LESS_EQUAL: ("b", _compare("<=")),
    Op.EQUAL_F: ("b", _compare_floats(_EQUAL_F)),
    Op.NOT_EQUAL_F: ("b", _compare_floats(f"not {_EQUAL_F}")),
    Op.LESS_F: ("b", _compare_floats("(({a} < {b}) | (({b} != {b}) & ({a} == {a})))")),
    Op.LESS_EQUAL_F: ("b", _compare_floats("(({a} <= {b}) | ({b} != {b}))")),
    Op.AND: ("b", _logic("&")),
    Op.OR: ("b", _logic("|")),
    Op.NOT: ("b", _not),
    Op.IS_NULL: ("b", _null(True)),
    Op.IS_NOT_NULL: ("b", _null(False)),
}


def source(shape: Shape) -> str:
    """The text of a module whose `run` is the shape's kernel."""
    writer = _Writer()
    for place, load in enumerate(shape.loads):
        writer.load(place, *load)
    for op, left, right, mode in shape.instructions():
        writer.put(Op(op), left, right, mode)
    last = writer.registers[-1]
    array = _ARRAYS[shape.result]
    stored = f"np.float32({last.name})" if array == "f4" else last.name
    writer.inside.append(f"out[i] = {stored}")
    if any(masked for _, masked, _ in shape.loads):
        writer.before.append("known = u1(valids, rows)")
        writer.inside.append(f"known[i] = {last.known or 'True'}")
    lines = [
        *writer.before,
        f"out = {array}(values, rows)",
        "bad, wrong = np.int64(0), False",
        "for i in range(rows):",
        *(f"    {line}" for line in writer.inside),
        *(line for proof in writer.proofs for line in (f"if {proof}:", "    return False")),
        "return bad >= 0 and not wrong",
    ]
    return _HEAD + "".join(f"    {line}\n" for line in lines)
