"""Fused expressions: numeric trees as programs that one kernel call runs over a batch.

`fuse` puts a Fused node in the place of the largest trees of arithmetic, comparisons and logic over
columns and constants. Evaluated node by node such a tree makes a pass over memory, and an array, an
operation; as a program it makes one pass, with the interpreter's lock given back. The tree stays inside
the node: where the program has no answer (a row would have to raise) or the batch is small, it is
evaluated as it was written, so errors and AND's order of evaluation are those of the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.conditions import And, IsNull, Not, Or
from engine.nodes import Call, Cast, Constant, Outer, Parameter, Reference
from engine.run import Run
from engine.scales import Exact, Instruction, lowered
from engine.seams import Expression
from engine.tiers import run_program
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatabaseError, QueryCanceled
from storage.kernels.plain.programs import Op
from storage.types import (
    BOOL,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    NUMERIC,
    OID,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    Type,
)

FEW_ROWS = 4  # below, a program costs more than it saves
_WORTH = 2  # operations
MOST = 48  # registers: a block of each stays in the second level of cache

_INTEGERS = frozenset(t.oid for t in (INT2, INT4, INT8))
_FLOATS = frozenset(t.oid for t in (FLOAT4, FLOAT8))
_PLAIN = frozenset(t.oid for t in (BOOL, OID, DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ))
_LOADED = _INTEGERS | _FLOATS | _PLAIN | {NUMERIC.oid}


@dataclass(frozen=True)
class Fused:
    """The expression `original` and its program over the columns that `inputs` give."""

    original: Expression
    inputs: tuple[Expression, ...]
    code: tuple[Instruction, ...]

    @property
    def type(self) -> Type:
        return self.original.type

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.original,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        if batch.rows < FEW_ROWS:
            return self.original.evaluate(batch, run)
        try:
            columns = [given(node, batch, run) for node in self.inputs]
        except QueryCanceled:
            raise
        except DatabaseError:  # of a constant's cast: perhaps no row needs it
            return self.original.evaluate(batch, run)
        if all(column.constant for column in columns) or any(_is_null(column) for column in columns):
            return self.original.evaluate(batch, run)
        found = self._run(columns, batch.rows, run)
        return self.original.evaluate(batch, run) if found is None else found

    def _run(self, columns: Sequence[Column], rows: int, run: Run) -> Column | None:
        """The program's answer; None: it has none."""
        columns = [column.in_units() if column.constant else column for column in columns]
        program = lowered(self.code, tuple(column.scale for column in columns))
        if program is None or any(c.type.oid == NUMERIC.oid and c.units is None for c in columns):
            return None
        values = [column.values if column.units is None else column.units for column in columns]
        # one value for all rows has no mask: a kernel would look for one of as many rows
        valids = [None if column.constant else column.valid for column in columns]
        values += program.powers
        valids += [None] * len(program.powers)
        exact = self.type.oid == NUMERIC.oid
        dtype = INT8.dtype if exact else self.type.dtype
        answer = run_program(program.code, values, valids, rows, dtype, run)
        if answer is None:
            return None
        found, valid = answer
        valid = None if valid is None or valid.all() else valid
        if exact:
            return Column.scaled(self.type, found, program.scale, valid)
        return Column(self.type, found, valid)


def given(node: Expression, batch: Batch, run: Run) -> Column:
    """What an input of a program gives. The cast of a constant, a step in units, is made once a run."""
    if not isinstance(node, Cast):
        return node.evaluate(batch, run)
    name = ("input", id(node))
    known: Column | None = run.memo.get(name)
    if known is None:
        known = node.evaluate(batch, run)
        if known.constant:
            known = run.memo[name] = known.in_units()
    return known


def _is_null(column: Column) -> bool:
    return column.constant and not column.is_valid()[0]


def fuse(expression: Expression) -> Expression | None:
    """What to put in the expression's place; None where it is better left as it is.

    Of AND and OR the neighbouring operands that are programs become one, in their order.
    """
    whole = _fused(expression)
    if whole is not None:
        return whole
    if not isinstance(expression, And | Or):
        return None
    kind, operands = type(expression), list[Expression]()
    run: list[Expression] = []
    for operand in (*expression.operands, None):
        if operand is not None and _program(operand) is not None:
            run.append(operand)
            continue
        if run:
            together = kind(tuple(run)) if len(run) > 1 else run[0]
            operands.append(_fused(together) or together)
            run = []
        if operand is not None:
            operands.append(operand)
    if len(operands) == len(expression.operands):
        return None
    return kind(tuple(operands))


def _fused(expression: Expression) -> Fused | None:
    program = _program(expression)
    if (
        program is None
        or len(program.code) < _WORTH
        or not any(isinstance(n, Reference) for n in program.inputs)
    ):
        return None
    return Fused(expression, tuple(program.inputs), program.instructions())


def _program(expression: Expression) -> Program | None:
    program = Program()
    try:
        program.write(expression)
    except Unfit:
        return None
    return program if program.code and len(program.inputs) + len(program.code) <= MOST else None


class Unfit(Exception):
    """The expression has something that no instruction says."""


@dataclass
class Program:
    """A program while it is written: inputs have their places, instructions the negative ones -1, -2, ...

    An instruction is written once however often its expression stands in the tree.
    """

    inputs: list[Expression] = field(default_factory=list)
    code: list[Instruction] = field(default_factory=list)
    known: dict[tuple[object, ...], int] = field(default_factory=dict)

    def instructions(self) -> tuple[Instruction, ...]:
        """The code with registers counted from the first input."""
        count = len(self.inputs)

        def place(register: int) -> int:
            return count - 1 - register if register < 0 else register

        return tuple((op, place(left), place(right), mode) for op, left, right, mode in self.code)

    def write(self, node: Expression) -> int:
        """The register that holds the node's value. Raises Unfit."""
        match node:
            case Fused(original):
                return self.write(original)
            case Reference() | Constant() | Parameter() | Outer():
                return self.read(node)
            case Cast(argument=Constant() | Parameter() | Outer()):
                return self.read(node)
            case Call() if node.function in _CALLS:
                return _CALLS[node.function](self, node)
            case Cast():
                return self._cast(node)
            case And(operands) | Or(operands) if operands:
                op = Op.AND if isinstance(node, And) else Op.OR
                register = self.write(operands[0])
                for operand in operands[1:]:
                    register = self.put(op, register, self.write(operand))
                return register
            case Not(argument):
                register = self.write(argument)
                return self.put(Op.NOT, register, register)
            case IsNull(argument, negated):
                register = self.write(argument)
                return self.put(Op.IS_NOT_NULL if negated else Op.IS_NULL, register, register)
        raise Unfit

    def put(self, op: Op | Exact, left: int, right: int, mode: int = 0) -> int:
        """The register of an instruction's result."""
        key = (op, left, right, mode)
        if key not in self.known:
            self.code.append((int(op), left, right, mode))
            self.known[key] = -len(self.code)
        return self.known[key]

    def read(self, node: Expression) -> int:
        """The register that a column is loaded into which the node gives. Raises Unfit."""
        if node.type.oid not in _LOADED:
            raise Unfit
        # a plan's constants are few and their columns have no order: told apart by identity
        key: tuple[object, ...] = (
            (type(node), node.index)
            if isinstance(node, Reference | Parameter | Outer)
            else (type(node), id(node))
        )
        if key not in self.known:
            self.inputs.append(node)
            self.known[key] = len(self.inputs) - 1
        return self.known[key]

    def _cast(self, node: Cast) -> int:
        source, target = node.argument.type, node.type
        if target.modifier != -1:
            raise Unfit
        if source.oid in _INTEGERS and target.oid == NUMERIC.oid:
            return self.write(node.argument)
        if source.oid in _INTEGERS and target.oid in _FLOATS:
            register = self.write(node.argument)
            assert target.dtype is not None
            return self.put(Op.TO_FLOAT, register, register, target.dtype.itemsize)
        wider = source.oid in _INTEGERS and target.oid in _INTEGERS and source.size <= target.size
        if not wider and (source.oid, target.oid) != (FLOAT4.oid, FLOAT8.oid):
            raise Unfit
        return self.write(node.argument)


_Writer = Callable[[Program, Call], int]


def _binary(op: Op | Exact, *, flipped: bool = False) -> _Writer:
    """An operation on two registers; `flipped`: the other way round."""

    def write(program: Program, node: Call) -> int:
        left, right = (program.write(argument) for argument in node.arguments)
        if flipped:
            left, right = right, left
        size = 0 if node.type.oid == BOOL.oid else node.type.size
        return program.put(op, left, right, size)

    return write


def _unary(op: Op | Exact) -> _Writer:
    def write(program: Program, node: Call) -> int:
        register = program.write(node.arguments[0])
        return program.put(op, register, register, node.type.size)

    return write


def _calls() -> dict[str, _Writer]:
    """What writes the call of an overload, by its id."""
    found: dict[str, _Writer] = {}
    whole = {"+": Op.ADD, "-": Op.SUBTRACT, "*": Op.MULTIPLY, "/": Op.DIVIDE}
    single = {"+": Op.ADD_F, "-": Op.SUBTRACT_F, "*": Op.MULTIPLY_F, "/": Op.DIVIDE_F}
    integers, floats = ("int2", "int4", "int8"), ("float4", "float8")
    pairs = [(a, b, False) for a in integers for b in integers] + [
        (a, b, True) for a in floats for b in floats
    ]
    pairs += [(t, t, False) for t in ("bool", "oid", "date", "time", "timetz", "timestamp", "timestamptz")]
    for left, right, fraction in pairs:
        place = f"({left},{right})"
        if left in integers or fraction:
            for symbol, op in (single if fraction else whole).items():
                found[f"operator {symbol}{place}"] = _binary(op)
        equal, unequal, less, at_most = (
            (Op.EQUAL_F, Op.NOT_EQUAL_F, Op.LESS_F, Op.LESS_EQUAL_F)
            if fraction
            else (Op.EQUAL, Op.NOT_EQUAL, Op.LESS, Op.LESS_EQUAL)
        )
        found[f"operator ={place}"] = _binary(equal)
        found[f"operator <>{place}"] = _binary(unequal)
        found[f"operator <{place}"] = _binary(less)
        found[f"operator <={place}"] = _binary(at_most)
        found[f"operator >{place}"] = _binary(less, flipped=True)
        found[f"operator >={place}"] = _binary(at_most, flipped=True)
    for name in integers:
        found[f"operator %({name},{name})"] = found[f"mod({name},{name})"] = _binary(Op.MODULO)
        found[f"operator -({name})"] = _unary(Op.NEGATE)
    for name in floats:
        found[f"operator -({name})"] = _unary(Op.NEGATE_F)
    return found | _exact_calls()


def _exact_calls() -> dict[str, _Writer]:
    """What writes the calls of numeric's overloads."""
    place = "(numeric,numeric)"
    return {
        f"operator +{place}": _binary(Exact.ADD),
        f"operator -{place}": _binary(Exact.SUBTRACT),
        f"operator *{place}": _binary(Exact.MULTIPLY),
        "operator -(numeric)": _unary(Exact.NEGATE),
        f"operator ={place}": _binary(Exact.EQUAL),
        f"operator <>{place}": _binary(Exact.NOT_EQUAL),
        f"operator <{place}": _binary(Exact.LESS),
        f"operator <={place}": _binary(Exact.LESS_EQUAL),
        f"operator >{place}": _binary(Exact.LESS, flipped=True),
        f"operator >={place}": _binary(Exact.LESS_EQUAL, flipped=True),
    }


_CALLS = _calls()
