"""Calls in named notation, and of functions of the catalog: what is given; sql.routines binds the bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from engine.composites import MakeRow
from engine.expressions import Call, Expression, MakeArray
from engine.functions.registry import Overload
from engine.operators import RoutineScan
from engine.variadic import CallWithItems
from sql.argumentnames import ARGUMENT_NAMES
from sql.binding.base import Binding
from sql.coerce import POLYMORPHIC
from sql.context import BindContext
from sql.logical import Node
from sql.marks import FunctionMark, mark_of, position_of
from sql.notation import Given, Meant, Result, has_routines, resolve, result_of
from sql.parse import parse_expression
from sql.scope import Frame, Scope
from storage.definitions import Function
from storage.errors import DatatypeMismatch, FeatureNotSupported, SqlSyntaxError
from storage.types import ANY, RECORD, Type, array_of, record

Values = tuple[Expression, ...]


@dataclass(frozen=True)
class Bodies:
    """What stands for a call: its value, and (plan, outer row) of its rows; None: they come from a run."""

    call_of: Callable[[Function, Values, Result, BindContext, int], Expression]
    rows_of: Callable[[Function, Values, Result, BindContext, int], tuple[Node, Values] | None]


BODIES: list[Bodies] = []


def use(bodies: Bodies) -> None:
    """Say how bodies are bound: sql.routines does, when it is imported."""
    BODIES[:] = [bodies]


@dataclass(frozen=True)
class Invocation:
    """A function of the catalog with its arguments, in their order and of their types."""

    function: Function
    values: Values
    result: Result
    position: int

    def scan(self) -> RoutineScan:
        """The rows, as they come from a run."""
        function = self.function
        return RoutineScan(
            function.oid,
            function.name,
            self.values,
            tuple(type for _, type in self.result.columns),
            function.strict,
            function.volatility == "v",
            function.returns_set,
        )

    def call(self, context: BindContext) -> Expression:
        """The value, or one column of the rows."""
        return BODIES[0].call_of(self.function, self.values, self.result, context, self.position)


def is_special(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> bool:
    """Whether a call is bound here: the catalog has a function of its name, or it names arguments."""
    return any(isinstance(tree, exp.Kwarg) for tree in trees) or has_routines(binding.context, mark.name)


def invocation(
    binding: Binding, mark: FunctionMark, tree: exp.Anonymous, *, procedure: bool = False
) -> Invocation | Expression:
    """A call, with what is known of the function; of a built-in one, the call as an expression."""
    values, names, variadic = _given(binding, tree.expressions)
    given = Given(tuple(value.type for value in values), names, variadic)
    called = resolve(binding.context, mark.names, given, mark.position, procedure=procedure)
    position = mark.position
    meant, choice = called.meant, called.choice
    if meant.spread and meant.arguments[-1].oid == ANY.oid and not values[-1].type.is_array:
        raise DatatypeMismatch(
            "VARIADIC argument must be an array", position=position_of(tree.expressions[-1].expression)
        )
    coerced = [binding.coerced(v, t, position) for v, t in zip(values, choice.arguments, strict=True)]
    if isinstance(meant.function, Overload) and meant.spread:
        return CallWithItems(meant.function.id, tuple(coerced[:-1]), coerced[-1], choice.result)
    if isinstance(meant.function, Overload):
        whole = _with_defaults(binding, meant, coerced, meant.arguments)
        return Call(meant.function.id, whole, choice.result)
    binding.context.need(meant.function).want("X")
    if binding.context.resolved is not None:
        binding.context.resolved.functions[id(tree)] = meant.function.oid
    inputs = [a.type for a in meant.function.inputs]
    whole = _with_defaults(binding, meant, coerced, inputs)
    result = result_of(meant.function, choice.result, [v.type for v in whole], binding.context.catalog)
    return Invocation(meant.function, whole, result, position)


def _given(
    binding: Binding, trees: Sequence[exp.Expression]
) -> tuple[list[Expression], tuple[str, ...], bool]:
    """(the values, the names of the last of them, whether the last is said to be VARIADIC)."""
    values: list[Expression] = []
    names: list[str] = []
    variadic = False
    for tree in trees:
        if isinstance(tree, exp.Star | exp.Distinct | exp.Order):
            raise SqlSyntaxError("syntax error", position=position_of(tree))
        if variadic:
            raise SqlSyntaxError('syntax error at or near ","', position=position_of(tree))
        if not isinstance(tree, exp.Kwarg):
            if names:
                raise SqlSyntaxError(
                    "positional argument cannot follow named argument", position=position_of(tree)
                )
            values.append(binding.bind(tree))
            continue
        name = tree.this.args["this"]
        values.append(binding.bind(tree.expression))
        if isinstance(name, FunctionMark):
            variadic = True
            continue
        if name in names:
            raise SqlSyntaxError(f'argument name "{name}" used more than once')
        names.append(name)
    return values, tuple(names), variadic


def _with_defaults(
    binding: Binding, meant: Meant, values: Sequence[Expression], types: Sequence[Type]
) -> Values:
    """All arguments in the function's order."""
    slots: dict[int, Expression] = dict(zip(meant.order, values, strict=True))
    if meant.packed >= 0:
        items = tuple(values[meant.packed :])
        element = items[0].type
        array = types[-1] if types[-1].element is not None else element
        if types[-1].name in ("anyarray",):
            array = array_of(element.base)
        slots[len(types) - 1] = MakeArray(items, array)
    if isinstance(meant.function, Overload):
        _, texts = ARGUMENT_NAMES.get(meant.function.name, ((), ()))
        defaults = {len(types) - len(texts) + i: text for i, text in enumerate(texts)}
    else:
        defaults = {i: a.default for i, a in enumerate(meant.function.inputs) if a.default is not None}
    shorter = isinstance(meant.function, Overload) and len(slots) >= len(types) - meant.function.defaults
    if shorter and not any(i not in slots for i in range(max(slots, default=0))):
        return tuple(slots[i] for i in sorted(slots))  # the last ones may be left out
    alone = Binding(binding.context, Scope(Frame()), "DEFAULT expressions")
    whole = []
    for at, type in enumerate(types):
        if at not in slots:
            with binding.context.kept():
                bound = alone.bind(parse_expression(defaults[at]))
                slots[at] = alone.coerced(bound, bound.type if type.oid in POLYMORPHIC else type)
        whole.append(slots[at])
    return tuple(whole)


def call(binding: Binding, mark: FunctionMark, tree: exp.Anonymous) -> Expression:
    """The value of such a call."""
    found = invocation(binding, mark, tree)
    if not isinstance(found, Invocation):
        return found
    if found.function.returns_set:
        refuse_set(binding, mark.position)
    several = len(found.result.columns) > 1
    if several and binding.rows is not None and not binding.whole_rows:
        columns = binding.rows(tree)
        return MakeRow(tuple(e for _, e in columns), record((n, e.type) for n, e in columns))
    if not found.result.scalar or found.result.columns[0][1].oid == RECORD.oid:
        raise FeatureNotSupported(
            f"function {mark.name} gives rows: call it in FROM, or take one of its columns",
            position=mark.position,
        )
    return found.call(binding.context)


_ELSEWHERE = "You might be able to move the set-returning function into a LATERAL FROM item."


def refuse_set(binding: Binding, position: int) -> None:
    """Raise where a call may not give several rows."""
    if binding.inside_window:
        raise FeatureNotSupported(
            "window function calls cannot contain set-returning function calls",
            hint=_ELSEWHERE,
            position=position,
        )
    if binding.sets and not binding.conditional:
        return
    message, hint = f"set-returning functions are not allowed in {binding.clause}", ""
    if binding.sets:
        message, hint = f"set-returning functions are not allowed in {binding.conditional}", _ELSEWHERE
    elif binding.inside_aggregate:
        message = "aggregate function calls cannot contain set-returning function calls"
        hint = _ELSEWHERE
    raise FeatureNotSupported(message, hint=hint, position=position)


def mark_called(tree: exp.Anonymous) -> FunctionMark | None:
    """The name of a function that is called, where the grammar does not spell it otherwise."""
    mark = mark_of(tree.this, FunctionMark)
    return mark if mark is not None and not mark.form else None
