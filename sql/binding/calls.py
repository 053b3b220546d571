"""Calls: functions, aggregates, and what looks like a call but is grammar (COALESCE, EXTRACT, EXISTS)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlglot import exp

from engine.aggregates.registry import AGGREGATES, HYPOTHETICAL, AggregateCall
from engine.composites import MakeRow
from engine.expressions import Coalesce, Constant, Expression, Extreme, NullIf
from engine.functions.precise import PRECISE
from engine.functions.quoting import quote_identifier
from engine.functions.registry import FUNCTIONS, Overload
from engine.operators import SortKey
from engine.operators.windowfunctions import WINDOW_FUNCTIONS
from sql.binding import routines
from sql.binding.base import Binding, GroupingValue, binds, operator_position
from sql.binding.levels import aggregate_value, captured
from sql.binding.literals import cast_mark, number
from sql.binding.rows import row_call
from sql.binding.subqueries import array, exists
from sql.coerce import can_coerce, coerce, common_type
from sql.context import BindContext
from sql.functions import Choice, resolve_aggregate, resolve_function, resolve_operator
from sql.marks import CollationMark, FunctionMark, mark_of, position_of
from sql.sortable import must_compare, must_count_once, must_order
from sql.typenames import ALIASES, named
from storage.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    GroupingError,
    InvalidColumnReference,
    InvalidSchemaName,
    SqlSyntaxError,
    TooManyArguments,
    UndefinedFunction,
    WrongObjectType,
)
from storage.types import BY_NAME, NAME, REGTYPE, TEXT, UNKNOWN, Type, record

_SCHEMAS = frozenset(("pg_catalog", "public", "information_schema"))


@dataclass(frozen=True)
class Arguments:
    """The inside of a call's parentheses."""

    trees: list[exp.Expression]
    star: bool = False
    distinct: bool = False
    order: tuple[exp.Expression, ...] = ()


@binds(exp.Anonymous, arguments="this expressions")
def anonymous(binding: Binding, tree: exp.Anonymous) -> Expression:
    """name(...): every call is this node, since its name is a mark."""
    return _call(binding, tree, None)


@binds(exp.Filter)
def filtered(binding: Binding, tree: exp.Filter) -> Expression:
    """aggregate(...) FILTER (WHERE condition)."""
    bind = _FILTERED.get(type(tree.this))
    if bind is None:
        raise SqlSyntaxError('syntax error at or near "filter"', position=position_of(tree))
    return bind(binding, tree.this, tree.expression.this)


Filtered = Callable[[Binding, Any, exp.Expression | None], Expression]
_FILTERED: dict[type, Filtered] = {}


def filters(kind: type) -> Callable[[Filtered], Filtered]:
    """Declare what binds nodes of a kind with the condition of a FILTER."""

    def declare(bind: Filtered) -> Filtered:
        _FILTERED[kind] = bind
        return bind

    return declare


@binds(exp.AtTimeZone, arguments="this zone")
def at_time_zone(binding: Binding, tree: exp.AtTimeZone) -> Expression:
    """x AT TIME ZONE zone: the function timezone(zone, x)."""
    arguments = [binding.bind(tree.args["zone"]), binding.bind(tree.this)]
    return call(binding, "timezone", arguments, operator_position(tree), "pg_catalog.timezone")


@filters(exp.Anonymous)
def _call(binding: Binding, tree: exp.Anonymous, condition: exp.Expression | None) -> Expression:
    mark = mark_of(tree.this, FunctionMark)
    if mark is None:
        raise SqlSyntaxError('syntax error at or near "("', position=position_of(tree))
    form = _FORMS.get(mark.form.partition(" ")[0])
    if form is not None:
        return form(binding, mark, tree.expressions)
    schema = mark.names[-2] if len(mark.names) > 1 and mark.form != "keyword" else ""
    if schema and schema not in _SCHEMAS and binding.context.catalog.schema(schema) is None:
        raise InvalidSchemaName(f'schema "{schema}" does not exist', position=mark.position)
    special = _SPECIAL.get(mark.name) if schema in ("", "pg_catalog") else None
    if special is not None and condition is None:
        return special(binding, mark, tree.expressions)
    special_call = routines.is_special(binding, mark, tree.expressions)
    if condition is None and special_call and not _is_plain(mark, tree.expressions):
        return routines.call(binding, mark, tree)
    arguments = read(tree.expressions)
    if mark.name in AGGREGATES and schema in ("", "pg_catalog", "public"):
        return _aggregate(binding, mark, arguments, condition)
    if mark.name in HYPOTHETICAL and arguments.trees:
        raise WrongObjectType(
            f"WITHIN GROUP is required for ordered-set aggregate {mark.name}", position=mark.position
        )
    for said, what in ((arguments.star, "*"), (arguments.distinct, "DISTINCT"), (condition, "FILTER")):
        if said and mark.name in FUNCTIONS:
            name = f"{mark.name}(*)" if what == "*" else mark.name
            raise WrongObjectType(
                f"{what} specified, but {name} is not an aggregate function", position=mark.position
            )
    if arguments.order and mark.name in FUNCTIONS:
        raise WrongObjectType(
            f"ORDER BY specified, but {mark.name} is not an aggregate function", position=mark.position
        )
    if mark.name in WINDOW_FUNCTIONS and mark.name not in FUNCTIONS:
        raise WrongObjectType(f"window function {mark.name} requires an OVER clause", position=mark.position)
    if binding.rows is not None and not binding.whole_rows and gives_columns(tree, binding.context):
        columns = binding.rows(tree)
        if len(columns) > 1:
            return MakeRow(tuple(e for _, e in columns), record((n, e.type) for n, e in columns))
    bound = [binding.bind(argument) for argument in arguments.trees]
    if schema and schema not in _SCHEMAS:
        raise undefined(f"{schema}.{mark.name}", bound, mark.position)
    return call(binding, mark.name, bound, mark.position, ".".join(mark.names) if schema else "")


def _is_plain(mark: FunctionMark, trees: Sequence[exp.Expression]) -> bool:
    """Whether all that is said is VARIADIC, of what takes it for an argument like any other."""
    named = [tree for tree in trees if isinstance(tree, exp.Kwarg)]
    return (
        all(is_variadic(tree) for tree in named)
        and bool(named)
        and (mark.name in AGGREGATES or mark.name in FUNCTIONS)
        and not any(overload.variadic for overload in FUNCTIONS.get(mark.name, ()))
    )


def is_variadic(tree: exp.Expression) -> bool:
    return isinstance(tree, exp.Kwarg) and isinstance(tree.this.args["this"], FunctionMark)


def gives_columns(tree: exp.Expression, context: BindContext) -> bool:
    """Whether a tree is the call of a function that gives rows of several columns."""
    mark = mark_of(tree.this, FunctionMark) if isinstance(tree, exp.Anonymous) else None
    if mark is None or mark.form:
        return False
    made = context.catalog.functions_named(mark.name)
    return any(len(o.columns) > 1 for o in FUNCTIONS.get(mark.name, ())) or any(
        function.row or len(function.outputs) > 1 for function in made
    )


def undefined(name: str, arguments: Sequence[Expression], position: int) -> UndefinedFunction:
    types = ", ".join(str(a.type.base) for a in arguments)
    return UndefinedFunction(
        f"function {name}({types}) does not exist",
        hint="No function matches the given name and argument types. "
        "You might need to add explicit type casts.",
        position=position,
    )


def call(
    binding: Binding, name: str, arguments: Sequence[Expression], position: int, shown: str = ""
) -> Expression:
    """A function's call on bound arguments; a type's name with one argument is a cast."""
    try:
        choice = resolve_function(name, [a.type for a in arguments], position, shown)
    except UndefinedFunction:
        context = binding.context
        made = named(context.catalog, context.search_path)
        target = BY_NAME.get(ALIASES.get(name, name)) or made((name,))
        if target is None or len(arguments) != 1 or not can_coerce(arguments[0].type, target, "e"):
            raise
        context.depend(target)
        return coerce(arguments[0], target, "e", position, context)
    overload = choice.overload
    if isinstance(overload, Overload) and overload.returns_set:
        routines.refuse_set(binding, position)
        if len(overload.columns) > 1 and not binding.whole_rows:
            raise FeatureNotSupported(
                f"function {name} gives rows: call it in FROM, or take one of its columns", position=position
            )
    called = binding.call(choice, tuple(arguments), position)
    if name in PRECISE and arguments and isinstance(arguments[0], Constant):
        # as many decimals as are asked for are those of its type, too
        decimals = choice.result.of(min(arguments[0].value.item(0), 6))
        return coerce(called, decimals, "e", position, binding.context)
    return called


def read(trees: Sequence[exp.Expression]) -> Arguments:
    """The arguments, with what an aggregate says of its rows."""
    if len(trees) == 1 and isinstance(trees[0], exp.Star):
        return Arguments([], star=True)
    items = list(trees)
    order: tuple[exp.Expression, ...] = ()
    if items and isinstance(items[-1], exp.Order):
        order = tuple(items[-1].expressions)
        items[-1] = items[-1].this
    for item, behind in pairwise(items):
        if is_variadic(item):
            raise SqlSyntaxError('syntax error at or near ","', position=position_of(behind))
    if items and is_variadic(items[-1]):
        items[-1] = items[-1].expression
    distinct = False
    if items and isinstance(items[0], exp.Distinct):
        if items[0].args.get("on"):
            raise SqlSyntaxError('syntax error at or near "on"', position=position_of(items[0]))
        distinct = True
        items[:1] = items[0].expressions
        if isinstance(items[0], exp.Star):
            raise SqlSyntaxError('syntax error at or near "*"', position=position_of(items[0]))
    return Arguments(items, distinct=distinct, order=order)


def _aggregate(
    binding: Binding, mark: FunctionMark, arguments: Arguments, condition: exp.Expression | None
) -> Expression:
    before = captured(binding)
    inside = binding.within(inside_aggregate=True, sets=False, aliases={}, rows=None)
    choice, values = chosen_aggregate(inside, mark, arguments)
    filter = filtering(binding, condition)
    order = tuple(sort_key(inside, item) for item in arguments.order)
    if arguments.distinct:
        for value, tree in zip(values, arguments.trees, strict=True):
            must_count_once(value.type, position_of(tree))
    for key, item in zip(order, arguments.order, strict=True) if arguments.distinct else ():
        if key.expression not in values:
            raise InvalidColumnReference(
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                position=position_of(item.this if isinstance(item, exp.Ordered) else item),
            )
    made = AggregateCall(choice.id, values, arguments.distinct, filter, order, choice.result)
    return aggregate_value(binding, made, before, mark.position)


def filtering(binding: Binding, tree: exp.Expression | None) -> Expression | None:
    """The condition of FILTER, if there is one."""
    if tree is None:
        return None
    inside = binding.within(clause="FILTER", aggregates=None, windows=None, sets=False, aliases={}, rows=None)
    return inside.condition(tree, "FILTER")


def chosen_aggregate(
    inside: Binding, mark: FunctionMark, arguments: Arguments
) -> tuple[Choice, tuple[Expression, ...]]:
    """(the aggregate that a call means, its arguments as it takes them)."""
    bound = [inside.bind(argument) for argument in arguments.trees]
    if not bound and not arguments.star:
        if mark.name == "count":
            raise WrongObjectType(
                "count(*) must be used to call a parameterless aggregate function", position=mark.position
            )
        raise undefined(mark.name, bound, mark.position)
    if arguments.star and mark.name != "count":
        raise undefined(mark.name, bound, mark.position)
    choice = resolve_aggregate(mark.name, [b.type for b in bound], mark.position)
    values = tuple(
        inside.coerced(inside.known(b) if t.oid == UNKNOWN.oid else b, t, mark.position)
        for b, t in zip(bound, choice.arguments, strict=True)
    )
    return choice, values


def sort_key(binding: Binding, tree: exp.Expression) -> SortKey:
    """An item of ORDER BY: expression, direction, where nulls go."""
    if not isinstance(tree, exp.Ordered):
        return SortKey(binding.value(tree), False, False)
    return key_of(tree, binding.value(tree.this))


def key_of(tree: exp.Ordered, expression: Expression) -> SortKey:
    """The key that an item of ORDER BY makes of its expression; nulls are the largest values."""
    if any(value for name, value in tree.args.items() if name not in ("this", "desc", "nulls_first")):
        raise FeatureNotSupported("this form of ORDER BY is not supported", position=position_of(tree))
    must_order(expression.type, position_of(tree.this))
    return SortKey(expression, bool(tree.args.get("desc")), bool(tree.args.get("nulls_first")))


# what is no function though it looks like a call

_Special = Callable[[Binding, FunctionMark, Sequence[exp.Expression]], Expression]


def _plain(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> list[Expression]:
    if any(isinstance(tree, exp.Star | exp.Distinct | exp.Order) for tree in trees):
        raise SqlSyntaxError(f'syntax error at or near "{mark.name}"', position=mark.position)
    for tree in trees:
        if isinstance(tree, exp.Kwarg):
            said = tree.this.args["this"]
            word = "VARIADIC" if isinstance(said, FunctionMark) else "=>"
            raise SqlSyntaxError(f'syntax error at or near "{word}"', position=position_of(tree))
    return [binding.bind(tree) for tree in trees]


def _common(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> tuple[Expression, ...]:
    """The arguments, all of the type that they have in common."""
    bound = _plain(binding, mark, trees)
    if not bound:
        place = mark.position + len(mark.name) + 1
        raise SqlSyntaxError('syntax error at or near ")"', position=place)
    type = common_type([b.type for b in bound], mark.name.upper(), [position_of(t) for t in trees])
    return tuple(binding.coerced(b, type, position_of(t)) for b, t in zip(bound, trees, strict=True))


def _coalesce(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    """The first that is not null; a written NULL never is, and so has no say in the type's modifier."""
    written = [tree for tree in trees if not isinstance(tree.unnest(), exp.Null)]
    inside = binding.within(conditional="COALESCE", rows=None)
    arguments = _common(inside, mark, written or trees)
    return Coalesce(arguments, _one_type(arguments))


def _extreme(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    arguments = _common(binding, mark, trees)
    type, greatest = _one_type(arguments), mark.name == "greatest"
    must_compare(type)
    before = resolve_operator(">" if greatest else "<", (type, type), mark.position)
    return Extreme(arguments, type, greatest, before.id)


def _one_type(arguments: Sequence[Expression]) -> Type:
    first = arguments[0].type
    return first if all(a.type == first for a in arguments) else first.base.plain


def _nullif(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    bound = _plain(binding, mark, trees)
    if len(bound) != 2:
        raise SqlSyntaxError('syntax error at or near ")"', position=mark.position)
    left, right = bound
    choice = resolve_operator("=", (left.type, right.type), mark.position)
    return NullIf(
        binding.coerced(left, choice.arguments[0], mark.position),
        binding.coerced(right, choice.arguments[1], mark.position),
        choice.id,
    )


def _typeof(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    bound = _plain(binding, mark, trees)
    if len(bound) != 1:
        raise undefined("pg_typeof", bound, mark.position)
    return Constant(binding.context.constant(REGTYPE, bound[0].type.catalog_oid))


def _trim(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    """trim(side characters FROM text): btrim, ltrim or rtrim, with the text first."""
    bound = _plain(binding, mark, trees)
    _, side, first, *_ = (*mark.form.split(), "", "", "")
    name = {"leading": "ltrim", "trailing": "rtrim"}.get(side, "btrim")
    if first:
        bound = [*bound[1:], bound[0]]
    return call(binding, name, bound, mark.position, f"pg_catalog.{name}")


def _position(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    """position(part IN text)."""
    bound = _plain(binding, mark, trees)
    if len(bound) != 2:
        raise SqlSyntaxError('syntax error at or near "position"', position=mark.position)
    return call(binding, "position", [bound[1], bound[0]], mark.position, "pg_catalog.position")


def _substring(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    """substring(text [FROM start] [FOR length]), in either order; substring(text SIMILAR x ESCAPE y)."""
    bound = _plain(binding, mark, trees)
    match mark.form:
        case "substring for":
            bound = [bound[0], number(binding, "1"), *bound[1:]]
        case "substring for from":
            bound = [bound[0], bound[2], bound[1]]
    return call(binding, "substring", bound, mark.position, "pg_catalog.substring")


def _collation_for(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    """pg_collation_for(x): the collation that comparisons of x would have."""
    bound = _plain(binding, mark, trees)
    if len(bound) != 1:
        raise undefined("pg_collation_for", bound, mark.position)
    type, tree = bound[0].type, trees[0].unnest()
    said = cast_mark(tree) if isinstance(tree, exp.Cast) else None
    name = '"C"' if type.base.single.oid == NAME.oid else '"default"'
    if isinstance(said, CollationMark):
        name = quote_identifier(said.names[-1])
        name = name if name.startswith('"') else f'"{name}"'
    elif type.oid == UNKNOWN.oid:
        return Constant(binding.context.constant(TEXT, None))
    elif type.base.single.category not in "SX":
        raise DatatypeMismatch(f"collations are not supported by type {type.base}")
    return Constant(binding.context.constant(TEXT, name))


def _grouping(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    """GROUPING(keys): which of them the row's grouping set leaves out, as bits."""
    if binding.inside_aggregate:
        raise GroupingError("aggregate function calls cannot be nested", position=mark.position)
    if binding.aggregates is None:
        raise GroupingError(
            f"grouping operations are not allowed in {binding.clause}", position=mark.position
        )
    if len(trees) > 31:
        raise TooManyArguments("GROUPING must have fewer than 32 arguments", position=mark.position)
    inside = binding.within(inside_aggregate=True, sets=False, aliases={}, rows=None)
    arguments = _plain(inside, mark, trees)
    if not arguments:
        raise SqlSyntaxError('syntax error at or near ")"', position=mark.position + len("grouping("))
    binding.aggregates.grouped = True
    return GroupingValue(
        tuple(binding.known(argument) for argument in arguments), tuple(map(position_of, trees))
    )


def _refused(binding: Binding, mark: FunctionMark, trees: Sequence[exp.Expression]) -> Expression:
    if mark.form == "default":
        raise SqlSyntaxError("DEFAULT is not allowed in this context", position=mark.position)
    raise SqlSyntaxError(f'syntax error at or near "{mark.name}"', position=mark.position)


_FORMS: dict[str, _Special] = {
    "array": array,
    "bound": _refused,
    "collation": _collation_for,
    "default": _refused,
    "exists": exists,
    "position": _position,
    "quantifier": _refused,
    "row": row_call,
    "sample": _refused,
    "sets": _refused,
    "ties": _refused,
    "substring": _substring,
    "trim": _trim,
}
_SPECIAL: dict[str, _Special] = {
    "coalesce": _coalesce,
    "pg_collation_for": _collation_for,
    "greatest": _extreme,
    "grouping": _grouping,
    "least": _extreme,
    "nullif": _nullif,
    "pg_typeof": _typeof,
    "trim": _trim,
}
