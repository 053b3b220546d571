"""Estimates: about how many rows a node gives, and how many distinct values a column of it has.

    a scan's condition     from zone maps and counts of distinct values where it is `column op constant`,
                           else from the kind of condition (see _GUESSES)
    a join on equal keys   rows of one times rows of the other by the larger number of distinct keys,
                           as in Selinger and others: Access path selection, SIGMOD 1979
    an aggregation         the product of its keys' distinct values, at most its input's rows

Conditions are taken to be independent, and values that are looked for to be there. What is not known is
guessed the same way everywhere, so that plans of like queries are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from engine.elements import Quantified
from engine.expressions import And, Call, Cast, Constant, Expression, InList, IsNull, Not, Or, Reference
from engine.subqueries import ExistsSubquery, InSubquery
from sql import logical
from sql.access import column_of, comparison
from sql.expressions import conjuncts, references, shift
from sql.logical import Node
from sql.planning import Planning
from storage.definitions import Table
from storage.errors import DatabaseError
from storage.predicate import Comparison
from storage.segments.statistics import ColumnStatistics
from storage.types import DATE, TIMESTAMP, Type

ROWS = 1000.0  # of what nothing is known of
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}
_GUESSES = {"=": 0.005, "<>": 0.995, "<": 1 / 3, "<=": 1 / 3, ">": 1 / 3, ">=": 1 / 3}
_LIKE = 0.1
_OTHER = 1 / 3
_SUBQUERY = 0.5
_NARROW = 0.0005  # at least so many rows are between two limits of a column
_LOWER, _UPPER = (Comparison.GT, Comparison.GE), (Comparison.LT, Comparison.LE)
_DAY = 86_400_000_000
_TIMES = {DATE.oid: 1, TIMESTAMP.oid: _DAY}
_GROUPED = 0.1  # groups of rows whose keys nothing is known of
_MATCHED = 0.5  # of the rows that a semi join looks at, where nothing is known of its keys
_RESIDUAL = 0.9  # of the rows with an equal key one at least meets another condition


@dataclass(frozen=True)
class Column:
    """What is known of a column of a node: about how many distinct values; what its table knows, perhaps."""

    distinct: float | None
    statistics: ColumnStatistics | None = None


class Estimates:
    """Estimates of the nodes of one tree, each made once."""

    def __init__(self, planning: Planning) -> None:
        self._planning = planning
        self._rows: dict[int, tuple[Node, float]] = {}

    def rows(self, node: Node) -> float:
        """About how many rows a node gives; at least one."""
        known = self._rows.get(id(node))
        if known is None:
            known = self._rows[id(node)] = node, max(self._estimated(node), 1.0)
        return known[1]

    def _estimated(self, node: Node) -> float:
        match node:
            case logical.Get():
                return self.table_rows(node) * self.share(node.condition, node)
            case logical.Filter():
                return self.rows(node.child) * self.share(node.condition, node.child)
            case logical.Join():
                return self._joined(node)
            case logical.Apply():
                return self.rows(node.left) * self.rows(node.right)
            case logical.Aggregate():
                return self._groups(node.child, node.keys) if node.keys else 1.0
            case logical.Distinct():
                keys = node.keys
                if keys is None:
                    keys = tuple(Reference(i, type) for i, type in enumerate(node.types))
                return self._groups(node.child, keys)
            case logical.Limit() | logical.Top():
                return min(self.rows(node.child), _count(node.count))
            case logical.Append():
                return sum(map(self.rows, node.parts))
            case logical.SetOperation():
                return self.rows(node.left)
            case logical.Empty():
                return 0.0
            case _ if node.children:
                return self.rows(node.children[0])
            case _:
                return ROWS

    def table_rows(self, node: logical.Get) -> float:
        """About how many rows a table has, whatever the condition."""
        if not isinstance(node.source, Table):
            return ROWS
        found = self._planning.statistics(node.source.oid)
        return ROWS if found is None else float(found.rows)

    def _groups(self, child: Node, keys: tuple[Expression, ...]) -> float:
        rows = self.rows(child)
        counts = [self.distinct(key, child) for key in keys]
        return min(rows, prod(max(rows * _GROUPED, 1.0) if count is None else count for count in counts))

    def _joined(self, node: logical.Join) -> float:
        left, right = self.rows(node.left), self.rows(node.right)
        shares = self.join_share(conjuncts(node.condition), node.left, node.right)
        match node.kind:
            case "semi":
                return left * self.matched(node)
            case "anti":
                return left * (1 - 0.9 * self.matched(node))
            case "right semi":
                return right * self.matched(node)
            case "right anti":
                return right * (1 - 0.9 * self.matched(node))
            case "left":
                return max(left, left * right * shares)
            case "right":
                return max(right, left * right * shares)
            case "full":
                return max(left, right, left * right * shares)
            case _:
                return left * right * shares

    def matched(self, node: logical.Join) -> float:
        """About the share of the kept side's rows that a semi join lets pass."""
        width, share = len(node.left.types), 1.0
        for condition in conjuncts(node.condition):
            sides = _sides(condition, width)
            if sides is None:
                share *= _RESIDUAL
                continue
            one = self.distinct(sides[0], node.left)
            other = self.distinct(shift(sides[1], -width), node.right)
            if node.kind in ("right semi", "right anti"):
                one, other = other, one
            share *= min(1.0, other / max(one, 1.0)) if one is not None and other is not None else _MATCHED
        return share

    def join_share(self, conditions: list[Expression], left: Node, right: Node) -> float:
        """About the share of all pairs that meet the conditions, over the left row and then the right."""
        width = len(left.types)
        share, keys = 1.0, 1.0
        for condition in conditions:
            sides = _sides(condition, width)
            if sides is None:
                share *= self.guess(condition)
                continue
            one, other = self.distinct(sides[0], left), self.distinct(shift(sides[1], -width), right)
            keys *= key_count([one, other], [self.rows(left), self.rows(right)])
        # keys of several columns depend on each other: there are no more of them than rows
        return share / min(keys, max(self.rows(left), self.rows(right)))

    def distinct(self, expression: Expression, node: Node) -> float | None:
        """About how many values an expression over a node's rows has; None where nothing is known."""
        rows = self.rows(node)
        while isinstance(expression, Cast):
            expression = expression.argument
        if not isinstance(expression, Reference):
            used = references(expression)
            if not used:
                return 1.0
            if len(used) == 1:
                (index,) = used
                return self._among(rows, self._column(node, index).distinct)
            return None
        return self._among(rows, self._column(node, expression.index).distinct)

    def _among(self, rows: float, distinct: float | None) -> float | None:
        return None if distinct is None else min(rows, distinct)

    def _column(self, node: Node, index: int) -> Column:
        """What is known of a column of a node's rows."""
        match node:
            case logical.Get() if isinstance(node.source, Table) and index < len(node.positions):
                definition = node.source.at(node.positions[index])
                rows = self.table_rows(node)
                if any(key.columns.numbers == (definition.number,) for key in node.source.unique_keys):
                    return Column(rows, self._statistics(node, index))
                known = self._statistics(node, index)
                return Column(None if known is None else known.distinct, known)
            case logical.Project():
                expression = node.expressions[index]
                if isinstance(expression, Reference):
                    return self._column(node.child, expression.index)
                return Column(self.distinct(expression, node.child))
            case logical.Join() | logical.Apply():
                width = len(node.left.types)
                return (
                    self._column(node.left, index)
                    if index < width
                    else self._column(node.right, index - width)
                )
            case logical.Aggregate() if index < len(node.keys):
                key = node.keys[index]
                if isinstance(key, Reference):
                    return self._column(node.child, key.index)
                return Column(self.distinct(key, node.child))
            case (
                logical.Filter()
                | logical.Barrier()
                | logical.Sort()
                | logical.Limit()
                | logical.Top()
                | logical.Distinct()
            ):
                return self._column(node.child, index)
            case _:
                return Column(None)

    def _statistics(self, node: logical.Get, index: int) -> ColumnStatistics | None:
        assert isinstance(node.source, Table)
        found = self._planning.statistics(node.source.oid)
        return None if found is None else found.column(node.source.at(node.positions[index]).number)

    # conditions

    def share(self, condition: Expression | None, node: Node) -> float:
        """About the share of a node's rows that meet a condition (of a Get: of its table's rows)."""
        parts = conjuncts(condition)
        ranges, others = self._ranges(parts, node) if len(parts) > 1 else ([], parts)
        return prod(ranges) * prod(self._one(part, node) for part in others)

    def _ranges(self, parts: Sequence[Expression], node: Node) -> tuple[list[float], list[Expression]]:
        """(the share of each pair of a lower and an upper limit of one column, the other parts).

        Such two are not independent: what is not below the one limit and not above the other is between.
        """
        lower: dict[int, tuple[Expression, float]] = {}
        shares, others = [], []
        upper: list[tuple[int, Expression, float]] = []
        for part in parts:
            op, index, share = self._limit(part, node)
            if op in _LOWER and index not in lower:
                lower[index] = part, share
            elif op in _UPPER:
                upper.append((index, part, share))
            else:
                others.append(part)
        for index, part, share in upper:
            if index not in lower:
                others.append(part)
                continue
            known = self._column(node, index).statistics
            there = 1.0 if known is None else 1 - known.nulls
            shares.append(max(share + lower.pop(index)[1] - there, _NARROW))
        return shares, others + [part for part, _ in lower.values()]

    def _limit(self, part: Expression, node: Node) -> tuple[Comparison | None, int, float]:
        """(comparison, column, share) of `column < constant` and its kin; (None, -1, 0) of all else."""
        op, argument, items = compared(part)
        index = None if argument is None else column_of(argument, node.types)
        if op is None or index is None or op not in (*_LOWER, *_UPPER):
            return None, -1, 0.0
        statistics = self._column(node, index).statistics
        value = _constant(op, node.types[index], items)
        share = None if statistics is None or value is None else statistics.share(op, value)
        return (None, -1, 0.0) if share is None else (op, index, share)

    def _one(self, part: Expression, node: Node) -> float:
        match part:
            case And():
                return self.share(part, node)
            case Or():
                return 1 - prod(1 - self._one(operand, node) for operand in part.operands)
            case Not():
                return 1 - self._one(part.argument, node)
        known = self._known(part, node)
        return self.guess(part) if known is None else min(max(known, 0.0), 1.0)

    def _known(self, part: Expression, node: Node) -> float | None:
        """What the table's statistics say of `column op constant`."""
        op, argument, items = compared(part)
        if op is None or argument is None:
            return None
        index = column_of(argument, node.types)
        if index is None:
            return None
        column = self._column(node, index)
        value = _constant(op, node.types[index], items)
        if column.statistics is not None and value is not None:
            found = column.statistics.share(op, value)
            if found is not None:
                return found
        if op in (Comparison.EQ, Comparison.IN) and column.distinct:
            return len(items) / column.distinct
        return None

    def guess(self, part: Expression) -> float:
        """The share of rows that meet a condition of this kind, whatever the columns."""
        match part:
            case Not():
                return 1 - self.guess(part.argument)
            case IsNull():
                return 0.9 if part.negated else 0.1
            case InList():
                share = min(len(part.items) * _GUESSES["="], 0.5)
                return 1 - share if part.negated else share
            case Quantified():
                return min(10 * _GUESSES["="], 0.5)
            case ExistsSubquery() | InSubquery():
                return _SUBQUERY
            case Call():
                symbol = comparison(part)
                if symbol is not None:
                    return _GUESSES[symbol]
                if part.function.startswith("operator ~~"):
                    return _LIKE
                return 1 - _LIKE if part.function.startswith("operator !~~") else _OTHER
            case _:
                return _OTHER


Compared = tuple[Comparison | None, Expression | None, tuple[Expression, ...]]


def compared(part: Expression) -> Compared:
    """(comparison, what is compared, with what) of a comparison with something that reads no column."""
    match part:
        case IsNull(argument, negated):
            return (Comparison.IS_NOT_NULL if negated else Comparison.IS_NULL), argument, ()
        case InList(argument, items, negated=False):
            return Comparison.IN, argument, items
    symbol = comparison(part)
    if symbol is None:
        return None, None, ()
    assert isinstance(part, Call)
    left, right = part.arguments
    if references(left) and not references(right):
        return Comparison(symbol), left, (right,)
    if references(right) and not references(left):
        return Comparison(_FLIPPED[symbol]), right, (left,)
    return None, None, ()


def _constant(op: Comparison, type: Type, items: tuple[Expression, ...]) -> object:
    """The value that storage compares with, as Column.tolist gives it; None where it is not known yet."""
    values = [_value(item, type) for item in items]
    if any(value is None for value in values):
        return None
    return tuple(values) if op is Comparison.IN else values[0] if values else True


def _value(expression: Expression, type: Type) -> object:
    """A constant's value, where it is one of the column's type; of a time, the day of a date."""
    while isinstance(expression, Cast) and expression.type.base == type.base:
        expression = expression.argument
    if not isinstance(expression, Constant):
        return None
    times = {type.oid, expression.type.oid} == _TIMES.keys()
    if expression.type.base != type.base and not times:
        return None
    try:
        value: object = expression.value.tolist()[0]
    except DatabaseError:
        return None
    if times and isinstance(value, int):
        return value * _TIMES[type.oid] // _TIMES[expression.type.oid]
    return value


def key_count(counts: Sequence[float | None], rows: Sequence[float]) -> float:
    """About how many values two sides of a join have of a key; what is not known is the smaller side's."""
    known = [count for count in counts if count is not None]
    return max([*known, 1.0]) if known else max(min(rows), 1.0)


def _count(count: Expression | None) -> float:
    if isinstance(count, Constant):
        value = count.value.tolist()[0]
        if value is not None:
            return float(value)
    return ROWS if count is not None else float("inf")


def _sides(condition: Expression, width: int) -> tuple[Expression, Expression] | None:
    """(left, right) of an equality between two sides of a join; right not yet moved."""
    if comparison(condition) != "=":
        return None
    assert isinstance(condition, Call)
    one, other = condition.arguments
    a, b = references(one), references(other)
    if not a or not b:
        return None
    if max(a) < width <= min(b):
        return one, other
    return (other, one) if max(b) < width <= min(a) else None
