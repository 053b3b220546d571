"""Calls of functions of the catalog: which one is meant, and what stands in the query for it.

A body is bound like a subquery whose outer row are the arguments, so that its columns come before names of
arguments, as in PostgreSQL. A body that is one expression is put where the call stands; one query, of a
function that is not volatile, becomes a subquery there, or in FROM a subquery that is LATERAL. Everything
else (several statements, statements that write, volatile queries, recursion) is left to the run, which
asks the session for the function's plans: `Routine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine import operators
from engine.composites import MakeRow
from engine.expressions import Case, Constant, Expression, IsNull, Or, Outer, Reference, walk
from engine.operators import OneRow
from engine.operators.routinescan import RoutineCall
from engine.run import Run
from engine.subqueries import ScalarSubquery
from sql import commands
from sql.binding import Binding, routines
from sql.bound import Bound
from sql.coerce import can_coerce, coerce
from sql.commontables import bind_change
from sql.context import BindContext, ParameterTypes, Plan
from sql.expressions import is_set, is_volatile, substitute, transform
from sql.logical import Leaf, Limit, Node, Project
from sql.marks import FunctionMark, mark_of
from sql.notation import Result
from sql.parse import parse, parse_expression_tokens
from sql.physical import physical
from sql.query import bind_query
from sql.resolved import Resolved
from sql.rules import optimise
from sql.scope import Frame, Relation, Scope, ScopeColumn
from sql.tokens import Token
from storage.batch import Batch
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Function
from storage.errors import (
    DatabaseError,
    FeatureNotSupported,
    InvalidFunctionDefinition,
    ReadOnlySqlTransaction,
)
from storage.types import INT4, RECORD, VOID, Type

_VERBS: dict[type, str] = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
}
_DEEPEST = 16  # bodies inside bodies; what is deeper is left to the run


@dataclass(frozen=True)
class Body:
    """A function's statements, and where they are bound."""

    function: Function
    trees: tuple[exp.Expression, ...]
    context: BindContext
    arguments: Scope

    @property
    def query(self) -> exp.Expression | None:
        """Its only statement, if that is a query."""
        tree = self.trees[0] if len(self.trees) == 1 else None
        return None if tree is None or type(tree) in _VERBS else tree


def body_of(function: Function, types: Sequence[Type], context: BindContext) -> Body:
    """The body, read; its arguments have these types. Raises SqlSyntaxError, FeatureNotSupported."""
    trees = []
    for statement in parse(function.body):
        if isinstance(statement.tree, commands.Command):
            word = statement.text.split(None, 1)[0].upper()
            raise FeatureNotSupported(f"{word} in a function is not supported")
        trees.append(statement.tree)
    scope = Scope(Frame())
    inputs = zip(function.inputs, types, strict=True)
    scope.add(Relation(function.name, tuple(ScopeColumn(a.name, t) for a, t in inputs)))
    inner = replace(
        context,
        search_path=function.path or context.search_path,
        names=set() if function.path else context.names,
        text=function.body,
        resolved=None,
        acting=0,
        parameters=ParameterTypes((), fixed=True),
        frame=Frame(scope),
        argument_scope=scope,
        top=None,
        writers=[],
        routines=(*context.routines, function.oid),
        places={},
    )
    return Body(function, tuple(trees), inner, scope)


def where(function: Function, doing: str) -> str:
    """PostgreSQL's words for an error's context."""
    return f'SQL function "{function.name}" {doing}'


def bound_rows(body: Body, tree: exp.Expression, result: Result) -> tuple[Frame, Bound]:
    """A query of a body whose columns are those of the result. Raises InvalidFunctionDefinition."""
    frame = Frame(body.arguments)
    bound = bind_query(tree, frame, replace(body.context, frame=frame, top=tree), {}, resolve=False)
    columns = checked(body, [column.type for column in bound.columns], result)
    names = tuple(ScopeColumn(name, type) for name, type in result.columns)
    return frame, Bound(Project(bound.node, columns), names)


def checked(body: Body, types: Sequence[Type], result: Result) -> tuple[Expression, ...]:
    """What makes the result's columns of those of the last statement. Raises InvalidFunctionDefinition."""
    wanted = [type for _, type in result.columns]
    if wanted[0].oid == RECORD.oid and not body.function.row:  # told where it is called
        return tuple(Reference(at, type) for at, type in enumerate(types))
    if result.scalar and wanted[0].is_composite and not (len(types) == 1 and types[0].is_composite):
        fields = tuple((field.name, field.type) for field in wanted[0].attributes or ())
        return (MakeRow(checked(body, types, Result(fields, False)), wanted[0]),)
    if len(types) != len(wanted):
        declared = shown_result(body.function, body.context.catalog)
        detail = "Final statement must return exactly one column."
        if not result.scalar:
            few = len(types) < len(wanted)
            detail = f"Final statement returns too {'few' if few else 'many'} columns."
        raise InvalidFunctionDefinition(
            f"return type mismatch in function declared to return {declared}", detail=detail
        )
    columns = []
    for at, (given, type) in enumerate(zip(types, wanted, strict=True)):
        if not can_coerce(given, type, "a"):
            declared = shown_result(body.function, body.context.catalog)
            detail = f"Actual return type is {given.base}."
            if not result.scalar:
                detail = f"Final statement returns {given.base} instead of {type.base} at column {at + 1}."
            raise InvalidFunctionDefinition(
                f"return type mismatch in function declared to return {declared}", detail=detail
            )
        columns.append(coerce(Reference(at, given), type, "a", 0, body.context))
    return tuple(columns)


def shown_result(function: Function, catalog: Catalog) -> str:
    """The type that a function is declared to return, as errors name it."""
    if function.row:
        return catalog.relations[function.row].name
    return str(function.result)


# what stands for a call


def call_of(
    function: Function,
    values: tuple[Expression, ...],
    result: Result,
    context: BindContext,
    position: int,
) -> Expression:
    """The value of a call: one column of the function's rows, or several rows of it."""
    type = result.columns[0][1]
    plain = RoutineCall(
        function.oid, values, type, function.volatility == "v", function.strict, function.returns_set
    )
    if function.returns_set or type.oid == VOID.oid:
        return plain
    found = _query_of(function, values, result, context, position)
    if found is None:
        return plain
    frame, node = found
    expression = _expression(node)
    if expression is not None and not is_set(expression):
        inlined = _inlined(expression, frame, values, function)
        return plain if inlined is None else inlined
    if function.volatility == "v":
        return plain
    one = Limit(node, Constant(context.constant(INT4, 1)), None)
    arguments = substitute(tuple(frame.arguments), values)
    subquery = ScalarSubquery(physical(optimise(one, context.planning), context.planning), arguments, type)
    return _strict(subquery, values, function)


def _placed(error: DatabaseError, function: Function, doing: str, position: int) -> DatabaseError:
    """An error of a body, told where the call stands."""
    error.position = position
    error.where = error.where or where(function, doing)
    return error


def _expression(node: Node) -> Expression | None:
    """The expression that a query without FROM computes in its one column."""
    if not isinstance(node, Project):
        return None
    inner = node.child
    if not isinstance(inner, Project) or not isinstance(inner.child, Leaf):
        return None
    if isinstance(inner.child.operator, OneRow):
        return substitute(node.expressions[0], inner.expressions)
    return None


def _inlined(
    expression: Expression, frame: Frame, values: tuple[Expression, ...], function: Function
) -> Expression | None:
    """The body's expression over the call's arguments; None where that would compute one too often."""
    used = [node.index for node in walk(expression) if isinstance(node, Outer)]
    places = [argument.index for argument in frame.arguments if isinstance(argument, Reference)]
    if len(places) < len(frame.arguments):
        return None
    if function.volatility != "v" and is_volatile(expression):
        return None  # it says that it is less so than it is
    for index, place in enumerate(places):
        several = used.count(index) > 1 or function.strict
        if several and (is_volatile(values[place]) or any(hasattr(n, "plan") for n in walk(values[place]))):
            return None

    def put(node: object) -> Expression | None:
        return values[places[node.index]] if isinstance(node, Outer) else None

    return _strict(transform(expression, put), values, function)


def _strict(expression: Expression, values: Sequence[Expression], function: Function) -> Expression:
    """Null where an argument of a strict function is."""
    known = (isinstance(value, Constant) and value.value.valid is None for value in values)
    tests = [IsNull(value) for value, there in zip(values, known, strict=True) if not there]
    if not function.strict or not tests:
        return expression
    condition = tests[0] if len(tests) == 1 else Or(tuple(tests))
    return Case(((condition, Constant(Column.scalar(expression.type, None))),), expression, expression.type)


def rows_of(
    function: Function, values: tuple[Expression, ...], result: Result, context: BindContext, position: int
) -> tuple[Node, tuple[Expression, ...]] | None:
    """(a plan of the function's rows, its outer row): of one query, run in the statement's own snapshot.

    None where that is not what the function is.
    """
    if function.volatility == "v" or not function.returns_set or function.strict:
        return None
    found = _query_of(function, values, result, context, position)
    if found is None:
        return None
    frame, node = found
    return node, substitute(tuple(frame.arguments), values)


def _query_of(
    function: Function, values: tuple[Expression, ...], result: Result, context: BindContext, position: int
) -> tuple[Frame, Node] | None:
    """The plan of a function's only query; None where it has others, writes, or calls itself."""
    if function.oid in context.routines or len(context.routines) >= _DEEPEST:
        return None
    try:
        body = body_of(function, [value.type for value in values], context)
        if body.query is None:
            return None
        frame, bound = bound_rows(body, body.query, result)
    except DatabaseError as error:
        raise _placed(error, function, "during inlining", position) from None
    context.volatile = context.volatile or body.context.volatile
    if body.context.writers:
        return None
    return frame, bound.node


def procedure_call(tokens: Sequence[Token], context: BindContext) -> routines.Invocation:
    """The procedure and arguments of a CALL. Raises UndefinedFunction."""
    tree = parse_expression_tokens(list(tokens), context.text)
    assert isinstance(tree, exp.Anonymous)
    mark = mark_of(tree.this, FunctionMark)
    assert mark is not None
    binding = Binding(context, Scope(Frame()), "CALL arguments")
    found = routines.invocation(binding, mark, tree, procedure=True)
    assert isinstance(found, routines.Invocation)
    return found


# run


@dataclass(frozen=True)
class Step:
    """A statement of a body: its plan, and which arguments are its outer row."""

    plan: Plan
    arguments: tuple[int, ...]
    verb: str


@dataclass(frozen=True)
class Routine:
    """A function's statements, planned for arguments of given types: see engine.operators.routinescan."""

    function: Function
    steps: tuple[Step, ...]

    def rows(self, run: Run, arguments: Sequence[Column]) -> Iterator[Batch]:
        """The rows of the last statement, when those before have run. Raises what they raise."""
        for at, step in enumerate(self.steps, 1):
            try:
                yield from self._step(step, at == len(self.steps), run, arguments)
            except DatabaseError as error:
                mine = where(self.function, f"statement {at}")
                error.where = f"{error.where}\\n{mine}" if error.where else mine
                error.position = 0
                raise

    def _step(self, step: Step, last: bool, run: Run, arguments: Sequence[Column]) -> Iterator[Batch]:
        plan, writes = step.plan, step.plan.writes or step.verb != "SELECT"
        if writes and self.function.volatility != "v":
            raise FeatureNotSupported(f"{step.verb} is not allowed in a non-volatile function")
        if writes and run.transaction.read_only:
            raise ReadOnlySqlTransaction(f"cannot execute {step.verb} in a read-only transaction")
        plan.check()
        plan.check_populated()
        run.session.lock_read(plan.dependencies)
        # a volatile function sees what was done before it, and what others have committed meanwhile
        snapshot = run.transaction.snapshot() if self.function.volatility == "v" else run.snapshot
        outer = [arguments[place] for place in step.arguments]
        inner = replace(run, snapshot=snapshot, parameters=(), outer=outer, memo={}, counters=None)
        for batch in plan.operator.batches(inner):
            run.check()
            if last:
                yield batch


def planned(
    function: Function,
    types: Sequence[Type],
    result: Result,
    context: BindContext,
    resolved: Resolved | None = None,
) -> Routine:
    """The function's statements as plans; `resolved` gets what its names and constants are found to be.

    Raises InvalidFunctionDefinition, and what binding raises.
    """
    body = body_of(function, types, context)
    steps = []
    for at, tree in enumerate(body.trees, 1):
        last = at == len(body.trees)
        inner = replace(
            body.context,
            frame=Frame(body.arguments),
            top=tree,
            writers=[],
            unpopulated=[],
            dependencies=set(),
            names=set(),
            resolved=resolved,
        )
        inner.dependencies.add((function.oid, function.version))
        plan = _planned_step(body, tree, inner, result if last else None)
        steps.append(Step(plan, _places(inner.frame), _VERBS.get(type(tree), "SELECT")))
        context.dependencies |= inner.dependencies
        context.names |= set() if function.path else inner.names
    if not body.trees and result.columns[0][1].oid != VOID.oid:
        raise mismatch(body)
    return Routine(function, tuple(steps))


def mismatch(body: Body) -> InvalidFunctionDefinition:
    """The error for a body whose last statement gives no rows."""
    declared = shown_result(body.function, body.context.catalog)
    return InvalidFunctionDefinition(
        f"return type mismatch in function declared to return {declared}",
        detail="Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.",
    )


def _planned_step(body: Body, tree: exp.Expression, inner: BindContext, result: Result | None) -> Plan:
    """A statement's plan; of the last one, with the columns of the result."""
    void = result is not None and result.columns[0][1].oid == VOID.oid
    if type(tree) in _VERBS:
        operator, fields = bind_change(tree, inner, {})
        if result is not None and not void:
            if not fields:
                raise mismatch(body)
            columns = checked(body, [f.type for f in fields], result)
            return inner.plan(operators.Project(operator, columns), ())
        return inner.plan(operator, ())
    bound = bind_query(tree, inner.frame, inner, {}, resolve=result is None or void)
    node = bound.node
    if result is not None and not void:
        node = Project(node, checked(body, [column.type for column in bound.columns], result))
    return inner.plan(physical(optimise(node, inner.planning), inner.planning), ())


def _places(frame: Frame) -> tuple[int, ...]:
    assert all(isinstance(argument, Reference) for argument in frame.arguments)
    return tuple(argument.index for argument in frame.arguments if isinstance(argument, Reference))


routines.use(routines.Bodies(call_of, rows_of))
