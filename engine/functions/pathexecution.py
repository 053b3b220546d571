"""Running a path on a JSON value: the sequence of values it finds, as PostgreSQL's executor finds it.

Values are Python's, numbers Decimal, times `Moment`. In lax mode arrays are unwrapped where a member or a
method asks for what is in them, other values are taken for arrays of one element, and what is not there is
left out; in strict mode each of these is an error. An error inside a predicate makes it unknown (None).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from engine.functions import moments
from engine.functions.moments import Moment, Zones
from engine.jsonpath.items import (
    COMPARISONS,
    LAST,
    AnyElement,
    AnyMember,
    Binary,
    Chain,
    Current,
    Descendants,
    Elements,
    Exists,
    Filter,
    IsUnknown,
    Item,
    Last,
    LikeRegex,
    Member,
    Method,
    Not,
    Path,
    Root,
    Scalar,
    Step,
    Unary,
    Variable,
    is_predicate,
)
from engine.values import decimals, regex
from storage.errors import (
    DatabaseError,
    DivisionByZero,
    InvalidJsonSubscript,
    JsonArrayNotFound,
    JsonMemberNotFound,
    JsonNumberNotFound,
    JsonObjectNotFound,
    NonNumericJsonItem,
    SingletonJsonItemRequired,
    UndefinedObject,
)

Truth = bool | None
_ARITHMETIC: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": decimals.add,
    "-": decimals.subtract,
    "*": decimals.multiply,
    "/": decimals.divide,
    "%": decimals.modulo,
}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    Decimal: "number",
    type(None): "null",
}


def execute(path: Path, value: Any, variables: Mapping[str, Any], zones: Zones) -> Iterator[Any]:
    """What the path finds in a value. Raises DatabaseError, in a class that `silent` swallows or not."""
    return _Run(path.lax, value, variables, zones, path.lax).sequence(path.item, value)


@dataclass(frozen=True, slots=True)
class _Run:
    """Where evaluation stands: `size` of the array whose subscripts are evaluated."""

    lax: bool
    root: Any
    variables: Mapping[str, Any]
    zones: Zones
    forgiving: bool  # of a structure that is not as it should be
    size: int = -1

    def sequence(self, item: Item, value: Any) -> Iterator[Any]:
        """The values of an expression for the current one."""
        if is_predicate(item):
            yield self.truth(item, value)
            return
        match item:
            case Root():
                yield self.root
            case Current():
                yield value
            case Last():
                yield Decimal(self.size - 1)
            case Scalar(constant):
                yield constant
            case Variable(name):
                if name not in self.variables:
                    raise UndefinedObject(f'could not find jsonpath variable "{name}"')
                yield self.variables[name]
            case Unary(sign, operand):
                yield from self.signed(sign, operand, value)
            case Binary(symbol, left, right):
                yield self.computed(symbol, left, right, value)
            case Chain(first, steps):
                for start in self.sequence(first, value):
                    yield from self.walked(start, steps, self.lax)
            case _:
                raise AssertionError(item)

    def unwrapped(self, item: Item, value: Any) -> Iterator[Any]:
        """The values of an expression, in lax mode the elements of arrays in their place."""
        for found in self.sequence(item, value):
            if self.lax and isinstance(found, list):
                yield from found
            else:
                yield found

    def signed(self, sign: str, operand: Item, value: Any) -> Iterator[Any]:
        for found in self.unwrapped(operand, value):
            if not isinstance(found, Decimal):
                raise JsonNumberNotFound(f"operand of unary jsonpath operator {sign} is not a numeric value")
            yield -found if sign == "-" and found else found

    def computed(self, symbol: str, left: Item, right: Item, value: Any) -> Decimal:
        operands = []
        for side, item in (("left", left), ("right", right)):
            found = list(self.unwrapped(item, value))
            if len(found) != 1 or not isinstance(found[0], Decimal):
                raise SingletonJsonItemRequired(
                    f"{side} operand of jsonpath operator {symbol} is not a single numeric value"
                )
            operands.append(found[0])
        if symbol in "/%" and not operands[1]:
            raise DivisionByZero("division by zero")
        return _ARITHMETIC[symbol](*operands)

    def walked(self, value: Any, steps: tuple[Step, ...], unwrap: bool) -> Iterator[Any]:
        """What the steps lead to from a value."""
        if not steps:
            yield value
            return
        step, rest = steps[0], steps[1:]
        match step:
            case Member(key):
                if isinstance(value, dict):
                    yield from self.member(value, key, rest)
                elif unwrap and isinstance(value, list):
                    yield from self.each(value, steps)
                elif not self.forgiving:
                    raise JsonMemberNotFound("jsonpath member accessor can only be applied to an object")
            case AnyMember():
                yield from self.any_member(value, steps, unwrap)
            case AnyElement():
                yield from self.any_element(value, rest)
            case Elements(subscripts):
                yield from self.elements(value, subscripts, rest)
            case Descendants(first, last):
                below = replace(self, forgiving=True)
                for one in _descendants(value, first, last):
                    yield from below.walked(one, rest, self.lax)
            case Filter(predicate):
                if unwrap and isinstance(value, list):
                    yield from self.each(value, steps)
                elif self.truth(predicate, value):
                    yield from self.walked(value, rest, self.lax)
            case Method():
                if unwrap and isinstance(value, list) and step.name not in ("type", "size"):
                    yield from self.each(value, steps)
                else:
                    for one in self.called(step, value):
                        yield from self.walked(one, rest, self.lax)

    def any_member(self, value: Any, steps: tuple[Step, ...], unwrap: bool) -> Iterator[Any]:
        if isinstance(value, dict):
            for one in _ordered(value):
                yield from self.walked(one, steps[1:], self.lax)
        elif unwrap and isinstance(value, list):
            yield from self.each(value, steps)
        elif not self.forgiving:
            raise JsonObjectNotFound("jsonpath wildcard member accessor can only be applied to an object")

    def any_element(self, value: Any, rest: tuple[Step, ...]) -> Iterator[Any]:
        if isinstance(value, list) or self.lax:
            for one in value if isinstance(value, list) else [value]:
                yield from self.walked(one, rest, self.lax)
        elif not self.forgiving:
            raise JsonArrayNotFound("jsonpath wildcard array accessor can only be applied to an array")

    def each(self, values: Iterable[Any], steps: tuple[Step, ...]) -> Iterator[Any]:
        """The steps from each element, arrays among them as they are."""
        for value in values:
            yield from self.walked(value, steps, False)

    def member(self, value: dict[str, Any], key: str, rest: tuple[Step, ...]) -> Iterator[Any]:
        if key in value:
            yield from self.walked(value[key], rest, self.lax)
        elif not self.forgiving:
            raise JsonMemberNotFound(f'JSON object does not contain key "{key}"')

    def elements(
        self, value: Any, subscripts: tuple[tuple[Item, Item | None], ...], rest: tuple[Step, ...]
    ) -> Iterator[Any]:
        if not isinstance(value, list):
            if not self.lax:
                if not self.forgiving:
                    raise JsonArrayNotFound("jsonpath array accessor can only be applied to an array")
                return
            value = [value]
        inside = replace(self, size=len(value))
        for first, last in subscripts:
            start = inside.index(first, value)
            stop = start if last is None else inside.index(last, value)
            if not self.forgiving and (start < 0 or start > stop or stop >= len(value)):
                raise InvalidJsonSubscript("jsonpath array subscript is out of bounds")
            for at in range(max(start, 0), min(stop, len(value) - 1) + 1):
                yield from self.walked(value[at], rest, self.lax)

    def index(self, item: Item, value: Any) -> int:
        found = list(self.sequence(item, value))
        if len(found) != 1 or not isinstance(found[0], Decimal):
            raise InvalidJsonSubscript("jsonpath array subscript is not a single numeric value")
        number = int(decimals.truncated(found[0], 0))
        if not -(2**31) <= number < 2**31:
            raise InvalidJsonSubscript("jsonpath array subscript is out of integer range")
        return number

    def called(self, method: Method, value: Any) -> Iterator[Any]:
        """What a method makes of a value."""
        match method.name:
            case "type":
                yield value.type_name if isinstance(value, Moment) else _KINDS[type(value)]
            case "size":
                if not isinstance(value, list) and not self.lax and not self.forgiving:
                    raise JsonArrayNotFound("jsonpath item method .size() can only be applied to an array")
                yield Decimal(len(value) if isinstance(value, list) else 1)
            case "double":
                yield _double(value)
            case "abs" | "floor" | "ceiling" as name:
                if not isinstance(value, Decimal):
                    raise NonNumericJsonItem(
                        f"jsonpath item method .{name}() can only be applied to a numeric value"
                    )
                yield _rounded(name, value)
            case "datetime":
                yield moments.read(value, method.template, self.zones)
            case _:
                if not isinstance(value, dict):
                    raise JsonObjectNotFound(
                        "jsonpath item method .keyvalue() can only be applied to an object"
                    )
                number = Decimal(_place(self.root, value))
                for key in sorted(value, key=lambda k: (len(k.encode()), k.encode())):
                    yield {"id": number, "key": key, "value": value[key]}

    def truth(self, item: Item, value: Any) -> Truth:
        """A predicate: true, false, or None where it is unknown."""
        match item:
            case Binary("&&", left, right):
                first = self.truth(left, value)
                if first is False:
                    return False
                second = self.truth(right, value)
                return first if second is True else second
            case Binary("||", left, right):
                first = self.truth(left, value)
                if first is True:
                    return True
                second = self.truth(right, value)
                return first if second is False else second
            case Not(operand):
                inner = self.truth(operand, value)
                return None if inner is None else not inner
            case IsUnknown(operand):
                return self.truth(operand, value) is None
            case Exists(operand):
                return self.exists(operand, value)
            case LikeRegex(operand, pattern, flags):
                search = _pattern(pattern, flags)
                return self.compared(
                    operand, None, value, lambda a, _: bool(search(a)) if isinstance(a, str) else None
                )
            case Binary("starts with", left, right):
                return self.compared(left, right, value, _starts)
            case Binary(symbol, left, right) if symbol in COMPARISONS:
                return self.compared(left, right, value, lambda a, b: _compare(symbol, a, b, self.zones))
            case _:
                raise AssertionError(item)

    def exists(self, item: Item, value: Any) -> Truth:
        try:
            found = self.sequence(item, value)
            return bool(list(found)) if not self.lax else next(found, _NOTHING) is not _NOTHING
        except DatabaseError as error:
            if not is_suppressed(error):
                raise
            return None

    def compared(
        self, left: Item, right: Item | None, value: Any, test: Callable[[Any, Any], Truth]
    ) -> Truth:
        """Whether the test holds for any pair; unknown where it is for one and lax mode found none before."""
        try:
            lefts = list(self.unwrapped(left, value))
            rights = [None] if right is None else list(self.unwrapped(right, value))
        except DatabaseError as error:
            if not is_suppressed(error):
                raise
            return None
        found = unknown = False
        for a in lefts:
            for b in rights:
                answer = test(a, b)
                if answer is None:
                    if not self.lax:
                        return None
                    unknown = True
                elif answer:
                    if self.lax:
                        return True
                    found = True
        return True if found else None if unknown else False


_NOTHING = object()


def is_suppressed(error: DatabaseError) -> bool:
    """Whether `silent`, a predicate, @? and @@ take an error for nothing found."""
    return error.sqlstate.startswith("2203") or error.sqlstate in ("22012", "22003", "22007", "22008")


def _ordered(value: dict[str, Any]) -> Iterator[Any]:
    """The members' values in jsonb's order of keys."""
    for key in sorted(value, key=lambda k: (len(k.encode()), k.encode())):
        yield value[key]


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from _ordered(value)
    elif isinstance(value, list):
        yield from value


def _descendants(value: Any, first: int, last: int, level: int = 0) -> Iterator[Any]:
    """The values between two levels below, those above first; LAST: those without children."""
    is_leaf = not isinstance(value, dict | list)
    deep = first == LAST
    if (is_leaf if deep else level >= first) and (last == LAST or level <= last):
        yield value
    if last == LAST or level < last:
        for child in _children(value):
            yield from _descendants(child, first, last, level + 1)


def _place(root: Any, value: Any) -> int:
    """A number for an object that no other one in the value has: how many values stand before it."""
    for number, one in enumerate(_descendants(root, 0, LAST)):
        if one is value:
            return number
    return 0


def _double(value: Any) -> Decimal:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number or abs(number) == float("inf"):
            raise NonNumericJsonItem(
                "string argument of jsonpath item method .double() is not a valid representation of "
                "a double precision number"
            )
        return Decimal(format(Decimal(repr(number)), "f"))
    if not isinstance(value, Decimal):
        raise NonNumericJsonItem(
            "jsonpath item method .double() can only be applied to a string or numeric value"
        )
    if abs(float(value)) == float("inf"):
        raise NonNumericJsonItem(
            "numeric argument of jsonpath item method .double() is out of range for type double precision"
        )
    return value


def _rounded(name: str, value: Decimal) -> Decimal:
    if name == "abs":
        return abs(value)
    whole = decimals.truncated(value, 0)
    if name == "floor":
        return decimals.subtract(whole, Decimal(1)) if whole > value else whole
    return decimals.add(whole, Decimal(1)) if whole < value else whole


def _starts(left: Any, right: Any) -> Truth:
    return left.startswith(right) if isinstance(left, str) and isinstance(right, str) else None


@lru_cache(256)
def _pattern(pattern: str, flags: str) -> Callable[[str], Any]:
    if "q" in flags:
        text = pattern.lower() if "i" in flags else pattern
        return lambda value: text in (value.lower() if "i" in flags else value)
    newlines = {"": "p", "m": "n", "s": "s", "ms": "w"}["".join([flag for flag in "ms" if flag in flags])]
    return regex.translate(pattern, newlines + ("i" if "i" in flags else "")).test


def _compare(symbol: str, left: Any, right: Any, zones: Zones) -> Truth:
    """Of values of one kind; null is only equal to null; objects and arrays are not compared."""
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return None
    if left is None or right is None:
        same = left is None and right is None
        return _ORDERS[symbol](0, 0) if same else symbol == "!="
    if isinstance(left, Moment) and isinstance(right, Moment):
        order = moments.compare(left, right, zones)
        return None if order is None else _ORDERS[symbol](order, 0)
    if type(left) is not type(right):
        return None
    try:
        return _ORDERS[symbol](left, right)
    except InvalidOperation:
        return None
