"""The state of binding, and the table of what binds which node of the tree.

A handler says which arguments of the node it reads; a node that carries any other is refused by name, so
nothing of a statement is ignored. Positions come from marks and from the comment in which our tokens
hide the place of an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from sqlglot import exp

from engine.aggregates.registry import AggregateCall
from engine.expressions import Call, Expression
from engine.operators import WindowCall
from sql.coerce import Letter, can_coerce, coerce
from sql.context import BindContext
from sql.functions import Choice, resolve_operator
from sql.marks import place_of, position_of, told
from sql.scope import Scope
from storage.errors import DatatypeMismatch, FeatureNotSupported, GroupingError
from storage.types import BINARY, BOOL, INT4, SPARSEVEC, TEXT, UNKNOWN, VECTORS, Type

C = TypeVar("C")


@dataclass
class Calls(Generic[C]):
    """The aggregate calls, or those of window functions, of a query level, as they were met."""

    calls: list[C] = field(default_factory=list)

    def add(self, call: C) -> int:
        """The number of a call; equal ones are one."""
        if call in self.calls:
            return self.calls.index(call)
        self.calls.append(call)
        return len(self.calls) - 1


@dataclass
class Aggregates(Calls[AggregateCall]):
    """The aggregates of a query level; `grouped`: GROUPING is there, so there are groups."""

    grouped: bool = False


Windows = Calls[WindowCall]


@dataclass(frozen=True, slots=True)
class _CallValue:
    """Stands for the result of call `index` until the query level knows its columns."""

    index: int
    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def evaluate(self, batch: Any, run: Any) -> Any:
        raise AssertionError("a call was evaluated outside its operator")


@dataclass(frozen=True, slots=True)
class AggregateValue(_CallValue):
    """The result of an aggregate."""


@dataclass(frozen=True, slots=True)
class GroupingValue:
    """GROUPING(...), until the query level knows its keys. `positions`: where the arguments stand."""

    arguments: tuple[Expression, ...]
    positions: tuple[int, ...] = field(compare=False)

    @property
    def type(self) -> Type:
        return INT4

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def evaluate(self, batch: Any, run: Any) -> Any:
        raise AssertionError("GROUPING was evaluated outside its query level")


@dataclass(frozen=True, slots=True)
class WindowValue(_CallValue):
    """The result of a window function."""


@dataclass(frozen=True)
class WindowDefinition:
    """A name of the WINDOW clause; `position` is where its parenthesis opens."""

    name: str
    position: int
    tree: exp.Window


@dataclass
class Binding:
    """Where an expression stands: the scope it sees, the clause it is in, what may occur there.

    `aggregates` and `windows` gather the level's calls of these (None: not allowed here). `aliases` are the
    select list's names, which WHERE may use where no column has the name. `definitions` are those of the
    level's WINDOW clause. `rows` makes a table function with
    several columns, called in the select list, part of FROM; `whole_rows` says that FROM is where we are.
    `conditional`: the word of what computes some of its parts only (CASE), where nothing may give rows.
    """

    context: BindContext
    scope: Scope
    clause: str = "SELECT"
    aggregates: Aggregates | None = None
    windows: Windows | None = None
    inside_aggregate: bool = False
    inside_window: bool = False
    definitions: tuple[WindowDefinition, ...] = ()
    sets: bool = False
    conditional: str = ""
    whole_rows: bool = False
    aliases: Mapping[str, exp.Expression] = field(default_factory=dict)
    rows: Callable[[exp.Expression], tuple[tuple[str, Expression], ...]] | None = None

    def bind(self, tree: exp.Expression) -> Expression:
        """The tree as a bound expression; its type may be `unknown`."""
        handler = _HANDLERS.get(type(tree))
        if handler is None:
            raise FeatureNotSupported(f"{_words(tree)} is not supported", position=position_of(tree))
        bind, known = handler
        for name, value in tree.args.items():
            if value and name not in known:
                raise FeatureNotSupported(
                    f"{name.rstrip('_')} of {_words(tree)} is not supported", position=position_of(tree)
                )
        return bind(self, tree)

    def value(self, tree: exp.Expression) -> Expression:
        """The tree with a known type: what is still unknown is text."""
        return self.known(self.bind(tree), position_of(tree))

    def known(self, expression: Expression, position: int = 0) -> Expression:
        """The expression, text if its type is unknown."""
        if expression.type.oid != UNKNOWN.oid:
            return expression
        return coerce(expression, TEXT, "i", position, self.context)

    def condition(self, tree: exp.Expression, what: str) -> Expression:
        """The tree as a boolean. Raises DatatypeMismatch: argument of WHERE must be type boolean."""
        expression = self.bind(tree)
        position = position_of(tree)
        if not can_coerce(expression.type, BOOL, "a"):
            raise DatatypeMismatch(
                f"argument of {what} must be type boolean, not type {expression.type.base}", position=position
            )
        return coerce(expression, BOOL, "a", position, self.context)

    def coerced(self, expression: Expression, type: Type, position: int = 0) -> Expression:
        """The expression implicitly as `type`; a vector is read from text as by a cast."""
        packed = type.oid in VECTORS or type.oid in (BINARY.oid, SPARSEVEC.oid)
        letter: Letter = "e" if packed else "i"
        return coerce(expression, type, letter, position, self.context)

    def assigned(self, expression: Expression, type: Type, position: int = 0) -> Expression:
        """The expression as a column of `type` takes it."""
        return coerce(expression, type, "a", position, self.context)

    def operator(self, symbol: str, *operands: Expression, position: int = 0) -> Expression:
        """An operator's call on bound operands."""
        choice = resolve_operator(symbol, [o.type for o in operands], position)
        return self.call(choice, operands, position)

    def call(self, choice: Choice, arguments: tuple[Expression, ...], position: int = 0) -> Expression:
        """A chosen overload's call, its arguments coerced."""
        coerced = tuple(
            self.coerced(argument, type, position)
            for argument, type in zip(arguments, choice.arguments, strict=True)
        )
        return Call(choice.id, coerced, choice.result)

    def within(self, **changes: Any) -> Binding:
        """The same place with something changed."""
        return replace(self, **changes)

    def remember(self, expression: Expression, position: int) -> Expression:
        """Keep where a column was named, for errors that are found later."""
        self.context.places[id(expression)] = expression, position
        return expression

    def refuse_aggregates(self, position: int) -> Aggregates:
        """The level's aggregates, or why there may be none here."""
        if self.inside_aggregate:
            raise GroupingError("aggregate function calls cannot be nested", position=position)
        if self.aggregates is None:
            raise GroupingError(f"aggregate functions are not allowed in {self.clause}", position=position)
        return self.aggregates


Handler = Callable[[Binding, Any], Expression]
_HANDLERS: dict[type, tuple[Handler, frozenset[str]]] = {}


def binds(*kinds: type, arguments: str = "this expression") -> Callable[[Handler], Handler]:
    """Declare what binds these nodes, and which of their arguments it reads."""

    def declare(handler: Handler) -> Handler:
        for kind in kinds:
            assert kind not in _HANDLERS, f"{kind.__name__} is bound twice"
            _HANDLERS[kind] = handler, frozenset(arguments.split())
        return handler

    return declare


def operator_position(tree: exp.Expression) -> int:
    """Where an operator stands, by what its token hid; else where its left operand begins."""
    beside = told(tree.parent) if isinstance(tree.parent, exp.Binary) else 0
    return place_of(tree) or told(tree) or beside or position_of(tree)


def _words(tree: exp.Expression) -> str:
    """The name of a construct for an error: 'JSONExtract' is how the tree calls it."""
    return str(tree.key).upper()
