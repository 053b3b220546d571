"""Joins against plain Python: every kind, keys of many types in the forms that storage gives, conditions, one
partner or many, memory or none, and what stands above: another join, totals."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn

import engine.aggregates  # noqa: F401  # fills the registry
from engine.aggregates.registry import AggregateCall
from engine.conditions import And
from engine.memory import Memory
from engine.nodes import Call, Reference
from engine.operators import Aggregate, HashJoin, LoopJoin, Operator, Scan, loopparts
from engine.seams import Expression
from storage import encodings
from storage.column import Column
from storage.types import BOOL, BPCHAR, DATE, FLOAT8, INT4, INT8, NUMERIC, TEXT, Type
from tests.engine.tables import MemoryTable, RowsMorsel, rows_of, run_over

Row = tuple[Any, ...]
Match = Callable[[Row, Row], bool]

KINDS = ["inner", "left", "right", "full", "semi", "anti", "right semi", "right anti"]
KEYS: dict[Type, list[Any]] = {
    INT4: [*range(-3, 9)],
    INT8: [-(1 << 63), -1, *range(8), 1 << 40, (1 << 63) - 1],
    DATE: [*range(7000, 7009)],
    NUMERIC: [Decimal(text) for text in ("1", "1.10", "1.1", "-3", "0", "20.25", "NaN", "1e30")],
    FLOAT8: [-0.0, 0.0, 1.5, math.nan, math.inf, -2.0, 5e-324],
    BOOL: [False, True],
    TEXT: ["", "a", "b", "a ", "é", "a longer text than others"],
    BPCHAR.of(7): ["a  ", "b  ", "   ", "ab "],
}
PAYLOAD = (INT4, NUMERIC, TEXT)
"""What rows have beside their keys: `number`, `price`, `note`."""


def plain(value: Any) -> Any:
    """A value that is equal to another where SQL says so, and can be a key of a dictionary."""
    if isinstance(value, float | Decimal) and math.isnan(value):
        return "NaN"
    return value + 0.0 if isinstance(value, float) else value


def plainly(rows: Sequence[Row]) -> Counter[Row]:
    return Counter(tuple(map(plain, row)) for row in rows)


@dataclass(frozen=True)
class Side:
    """A table: its key columns and then PAYLOAD."""

    types: tuple[Type, ...]
    rows: list[Row]
    table: MemoryTable
    keys: int

    def scan(self, oid: int) -> Scan:
        return Scan(oid, "t", tuple(range(1, len(self.types) + 1)), self.types)

    def reference(self, name: str, before: int = 0) -> Reference:
        """A column of PAYLOAD, where so many columns stand before the table's."""
        at = self.keys + ("number", "price", "note").index(name)
        return Reference(before + at, self.types[at])


def stored(column: Column) -> Column:
    """A column as a segment gives it whole, packed, in runs or coded, as it comes; with nulls as it is."""
    if not len(column) or column.valid is not None:
        return column
    return encodings.encode(column).decode(0, len(column), None)


@st.composite
def sides(draw: DrawFn, types: tuple[Type, ...]) -> Side:
    """A few rows, of no two of which the keys are equal, perhaps, and perhaps with nulls."""
    nulls, single, encoded = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    values = [st.sampled_from(KEYS[type]) for type in types]
    payload = (
        st.integers(-3, 3),
        st.integers(-300, 300).map(lambda units: Decimal(units).scaleb(-2)),
        st.sampled_from(["", "x", "y", "é", "longer than that"]),
    )
    columns = [st.none() | each if nulls else each for each in (*values, *payload)]
    found = draw(st.lists(st.tuples(*columns), max_size=20))
    if single:
        found = list({tuple(map(plain, row[: len(types)])): row for row in found}.values())
    all_types = (*types, *PAYLOAD)
    kept = [Column.of(type, [row[i] for row in found]) for i, type in enumerate(all_types)]
    table = MemoryTable(kept, draw(st.sampled_from([3, 7, 100])))
    if encoded:
        table.parts = [
            RowsMorsel(tuple(map(stored, part.columns)), part.rows, part.first, part.seen)
            for part in table.parts
        ]
    return Side(all_types, found, table, len(types))


def meaning(kind: str, left: list[Row], right: list[Row], match: Match, widths: tuple[int, int]) -> list[Row]:
    """The rows of a join, in no order."""
    pairs = [(i, j) for i, a in enumerate(left) for j, b in enumerate(right) if match(a, b)]
    met, reached = {i for i, _ in pairs}, {j for _, j in pairs}
    alone = [a for i, a in enumerate(left) if i not in met]
    others = [b for j, b in enumerate(right) if j not in reached]
    match kind:
        case "semi":
            return [left[i] for i in sorted(met)]
        case "anti":
            return alone
        case "right semi":
            return [right[j] for j in sorted(reached)]
        case "right anti":
            return others
    rows = [left[i] + right[j] for i, j in pairs]
    if kind in ("left", "full"):
        rows += [a + (None,) * widths[1] for a in alone]
    if kind in ("right", "full"):
        rows += [(None,) * widths[0] + b for b in others]
    return rows


def equal(left: Reference, right: Reference) -> Call:
    name = left.type.name
    return Call(f"operator =({name},{name})", (left, right), BOOL)


def below(left: Reference, right: Reference) -> Call:
    return Call("operator <(int4,int4)", (left, right), BOOL)


def keys_match(keys: Sequence[tuple[int, int]]) -> Match:
    def match(a: Row, b: Row) -> bool:
        return all(None not in (a[i], b[j]) and plain(a[i]) == plain(b[j]) for i, j in keys)

    return match


def with_numbers(match: Match, at: int, other: int) -> Match:
    """The same, and the number of the left row is below that of the right one."""
    return lambda a, b: match(a, b) and None not in (a[at], b[other]) and a[at] < b[other]


key_types = st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=2).map(tuple)
budgets = st.sampled_from([None, "0kB", "1kB"])


def run(data: DataObject, *tables: Side) -> Any:
    """A run over tables, whose operators may hold what is drawn."""
    budget = data.draw(budgets)
    found = run_over(*(side.table for side in tables))
    if budget is None:
        return found
    return replace(found, memory=Memory({"work_mem": budget, "hash_mem_multiplier": "1"}))


@settings(max_examples=200)
@given(key_types, st.sampled_from(KINDS), st.booleans(), st.booleans(), st.data())
def test_joins(types: tuple[Type, ...], kind: Any, residual: bool, hashed: bool, data: DataObject) -> None:
    left, right = data.draw(sides(types)), data.draw(sides(types))
    width, keys = len(left.types), range(len(types))
    match = keys_match([(i, i) for i in keys])
    number = left.reference("number"), right.reference("number", width)
    if residual:
        match = with_numbers(match, number[0].index, number[1].index - width)
    condition: list[Expression] = [below(*number)] if residual else []
    references = tuple(Reference(i, types[i]) for i in keys)
    plan: Operator
    if hashed:
        extra = condition[0] if residual else None
        plan = HashJoin(kind, left.scan(1), right.scan(2), references, references, extra)
    else:
        condition = [equal(key, Reference(key.index + width, key.type)) for key in references] + condition
        plan = LoopJoin(kind, left.scan(1), right.scan(2), And(tuple(condition)))
    wanted = meaning(kind, left.rows, right.rows, match, (width, len(right.types)))
    with mock.patch.object(loopparts, "FEWEST_ROWS", data.draw(st.sampled_from([1, 3]))):
        assert plainly(rows_of(plan, run(data, left, right))) == plainly(wanted)


def call(function: str, type: Type, *arguments: Reference) -> AggregateCall:
    return AggregateCall(function, arguments, False, None, (), type)


def total(values: list[Any]) -> Any:
    return sum(values) if values else None


@settings(max_examples=200)
@given(key_types, st.sampled_from(["inner", "inner", "inner", "left", "full", "right"]), st.data())
def test_totals_of_joins(types: tuple[Type, ...], kind: Any, data: DataObject) -> None:
    left, right, third = (data.draw(sides(each)) for each in (types, types, types[:1]))
    width, both = len(left.types), len(left.types) + len(right.types)
    references = tuple(Reference(i, type) for i, type in enumerate(types))
    plan: Operator = HashJoin(kind, left.scan(1), right.scan(2), references, references)
    match = keys_match([(i, i) for i in range(len(types))])
    rows = meaning(kind, left.rows, right.rows, match, (width, len(right.types)))
    if data.draw(st.booleans()):
        key = Reference(data.draw(st.sampled_from([0, width])), types[0])
        plan = HashJoin(kind, plan, third.scan(3), (key,), (references[0],))
        rows = meaning(kind, rows, third.rows, keys_match([(key.index, 0)]), (both, len(third.types)))
    groups = (left.reference("number"), right.reference("note", width), Reference(width, types[0]))
    chosen = tuple(data.draw(st.lists(st.sampled_from(groups), max_size=2, unique=True)))
    number, price, note = (right.reference(name, width) for name in ("number", "price", "note"))
    mine = left.reference("number")
    calls = (
        call("count()", INT8),
        call("sum(int4)", INT8, mine),
        call("sum(numeric)", NUMERIC, price),
        call("min(int4)", INT4, number),
        call("count(any)", INT8, note),
    )
    expected: dict[Row, list[Row]] = defaultdict(list)
    if not chosen:
        expected[()] = []
    for row in rows:
        expected[tuple(plain(row[key.index]) for key in chosen)].append(row)
    wanted = []
    for group, members in expected.items():
        there = [[row[c.index] for row in members if row[c.index] is not None] for c in (mine, price, number)]
        notes = sum(row[note.index] is not None for row in members)
        least = min(there[2], default=None)
        wanted.append((*group, len(members), total(there[0]), total(there[1]), least, notes))
    found = rows_of(Aggregate(plan, chosen, calls), run(data, left, right, third))
    assert plainly(found) == Counter(wanted)
