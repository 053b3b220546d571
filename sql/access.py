"""Access paths: what a scan's condition says of single columns, for zone maps and for indexes.

Both read `column op constant` out of the conjuncts. Bounds are advice, so the condition stays whole; what an
index decides leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.elements import Quantified
from engine.expressions import Call, Cast, Expression, InList, IsNull, Reference, walk
from engine.members import alike
from engine.operators import Among, Bound
from sql.expressions import conjunction, conjuncts, is_constant
from storage.definitions import KeyColumns, Table
from storage.order import is_float, is_integer
from storage.predicate import Comparison
from storage.types import DATE, INTEGERS, TIMESTAMP, Form, Type

_COMPARISONS = {symbol: Comparison(symbol) for symbol in ("=", "<>", "<", "<=", ">", ">=")}
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_MOST_KEYS = 100_000  # combinations of what the columns of a key may be


def bounds(
    condition: Expression | None, numbers: tuple[int, ...], types: tuple[Type, ...]
) -> tuple[tuple[Bound, ...], Expression | None]:
    """What zone maps and encodings can use of a scan's condition: `column op constant` among its conjuncts.

    And what is left of the condition where they decide all that they are told.
    """
    found, rest = [], []
    for part in conjuncts(condition):
        bound = _bound(part, numbers, types)
        if bound is not None:
            found.append(bound)
        if bound is None or not bound.whole:
            rest.append(part)
    return tuple(found), conjunction(rest)


def _bound(part: Expression, numbers: tuple[int, ...], types: tuple[Type, ...]) -> Bound | None:
    match part:
        case IsNull(argument, negated):
            index = column_of(argument, types)
            test = Comparison.IS_NOT_NULL if negated else Comparison.IS_NULL
            return None if index is None else Bound(numbers[index], test)
        case InList(argument, items, negated=False):
            index = column_of(argument, types)
            return None if index is None else _among_items(numbers[index], types[index], items)
        case Quantified(operand, array, operator, every=False) if operator.startswith("operator =("):
            index = column_of(operand, types)
            return None if index is None else _in_array(numbers[index], types[index], array)
        case Call("operator ~~(text,text)", (left, pattern)):
            index = column_of(left, types)
            if index is None or types[index].name not in _STRINGS or not is_constant(pattern):
                return None
            return Bound(numbers[index], Comparison.GE, (pattern,), pattern=True)
        case _:
            return _comparing(part, numbers, types)


def _comparing(part: Expression, numbers: tuple[int, ...], types: tuple[Type, ...]) -> Bound | None:
    """The bound of `column op constant`, either way round."""
    symbol = comparison(part)
    if symbol is None:
        return None
    assert isinstance(part, Call)
    left, right = part.arguments
    index = column_of(left, types)
    if index is None:
        index, right, symbol = column_of(right, types), left, _FLIPPED[symbol]
    if index is None or not is_constant(right):
        return None
    value = _as_type(right, types[index])
    if value is None and {right.type.oid, types[index].oid} == {DATE.oid, TIMESTAMP.oid}:
        value = right
    return None if value is None else Bound(numbers[index], _COMPARISONS[symbol], (value,))


def _among_items(number: int, type: Type, items: tuple[Expression, ...]) -> Bound | None:
    values = [_as_type(item, type) for item in items if is_constant(item)]
    known = [value for value in values if value is not None]
    return Bound(number, Comparison.IN, tuple(known)) if len(known) == len(items) else None


def _in_array(number: int, type: Type, array: Expression) -> Bound | None:
    """The bound of `column = ANY (array)`, where an array holds values as columns of the type do."""
    element = array.type.element
    if element is None or not alike(type, element) or not is_constant(array):
        return None
    if not (is_integer(element) or is_float(element) or element.form is Form.TEXT):
        return None
    return Bound(number, Comparison.IN, (array,), array=True)


def comparison(part: Expression) -> str | None:
    """The symbol of a comparison's call; None for anything else."""
    if not isinstance(part, Call) or not part.function.startswith("operator "):
        return None
    symbol = part.function[len("operator ") :].partition("(")[0]
    return symbol if symbol in _COMPARISONS else None


def column_of(expression: Expression, types: tuple[Type, ...]) -> int | None:
    """The column that an expression is, perhaps under another name of its type (varchar as text)."""
    while isinstance(expression, Cast) and _is_renaming(expression.argument.type, expression.type):
        expression = expression.argument
    if isinstance(expression, Reference) and expression.index < len(types):
        return expression.index
    return None


_STRINGS = frozenset(("text", "varchar", "name"))


def _is_renaming(source: Type, target: Type) -> bool:
    """Whether a cast keeps values and their order."""
    if source.name in _STRINGS and target.name in _STRINGS:
        return target.modifier == -1
    return source.oid == target.oid and target.modifier == -1


def _as_type(value: Expression, type: Type) -> Expression | None:
    """The value as one of the column's type, where that cannot change the comparison."""
    base, given = type.base, value.type.base
    if given == base:
        return value
    if given in INTEGERS and base in INTEGERS and given.size <= base.size:
        return Cast(value, base, False)
    if given.name in _STRINGS and base.name in _STRINGS and base.name != "name":  # which would cut it
        return Cast(value, base, False)
    return None


# indexes


@dataclass(frozen=True)
class Indexed:
    """An index, what each of its columns may be, the conditions that say so, and what they leave."""

    name: str
    key: KeyColumns
    among: tuple[Among, ...]
    condition: Expression
    rest: Expression | None


def indexed(
    table: Table, condition: Expression | None, numbers: tuple[int, ...], types: tuple[Type, ...]
) -> Indexed | None:
    """The index that finds the rows of a scan, if one does; a unique one and one of more columns first."""
    if condition is None or not table.indexed:
        return None
    parts = conjuncts(condition)
    found: dict[int, tuple[Among, Expression]] = {}
    for part in parts:
        said = _among(part, types)
        if said is not None:
            found.setdefault(numbers[said[0]], (said[1], part))
    if not found:
        return None
    unique = {key.name for key in table.unique_keys}
    usable = [(name, key) for name, key in table.indexed if found.keys() >= set(key.numbers)]
    usable.sort(key=lambda index: (index[0] not in unique, -len(index[1].numbers)))
    for name, key in usable:
        among = tuple(found[number][0] for number in key.numbers)
        combinations = 1
        for column in among:
            combinations *= max(len(column.items), 1)
        if combinations > _MOST_KEYS or sum(column.array for column in among) > 1:
            continue
        used = [found[number][1] for number in key.numbers]
        decided = conjunction(used)
        assert decided is not None
        rest = conjunction([part for part in parts if not any(part is other for other in used)])
        return Indexed(name, key, among, decided, rest)
    return None


def _among(part: Expression, types: tuple[Type, ...]) -> tuple[int, Among] | None:
    """(column, what it may be) of `column = constant`, `column IN (constants)`, `column = ANY (array)`."""
    match part:
        case Call() if comparison(part) == "=":
            left, right = part.arguments
            index, items = column_of(left, types), (right,)
            if index is None:
                index, items = column_of(right, types), (left,)
        case InList(argument, items, negated=False):
            index = column_of(argument, types)
        case Quantified(operand, array, operator, every=False) if operator.startswith("operator =("):
            index, element = column_of(operand, types), array.type.element
            if index is None or element is None or not alike(types[index], element):
                return None
            return (index, Among((array,), array=True)) if _is_item(array) else None
        case _:
            return None
    if index is None or not all(alike(types[index], item.type) and _is_item(item) for item in items):
        return None
    return index, Among(tuple(items))


def _is_item(value: Expression) -> bool:
    """Whether an index can be asked for a value: a constant that is found without running a subquery."""
    return is_constant(value) and not any(hasattr(node, "plan") for node in walk(value))
