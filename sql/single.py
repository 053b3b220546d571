"""Plans of one row: statements whose shape says that nothing but their values can matter.

    INSERT INTO table VALUES (parameters, constants, now(), values of sequences) [RETURNING columns]
    SELECT columns FROM table WHERE each column of a unique key = a parameter or constant

of a table without checks, foreign keys, and columns of types that are not plain (storage.rows). Such a plan
runs on plain values: an INSERT commits in one step (storage.transactions.single), a SELECT looks into the
key's indexes without a snapshot (storage.indexes.point). The general operators say what it
means: it does only what they would do with the same values, and gives up, with nothing done, where they would
fail or wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from engine.functions.registry import BY_ID
from engine.nodes import Call, Cast, Constant, Parameter, Reference
from engine.operators import IndexScan, Insert, Invariants, Operator, Project, Values
from engine.seams import Expression
from storage.catalog import Catalog
from storage.database import Database
from storage.definitions import Sequence as SequenceDefinition
from storage.definitions import Table
from storage.indexes.point import PointKey
from storage.rows import Row, is_plain
from storage.segments.table import Store
from storage.transactions.single import RowTable
from storage.types import INT2, INT4, INT8, TEXT, VARCHAR, Type

_NOW = frozenset(("now", "transaction_timestamp", "current_timestamp"))
_BITS = {INT2: 15, INT4: 31, INT8: 63}


class _Unfit(Exception):
    """A value is not as its column wants it."""


class Drawer(Protocol):
    """The session that draws."""

    store: Database

    @property
    def catalog(self) -> Catalog: ...

    def check_sequence(self, oid: int, letters: str) -> None: ...

    def drew(self, sequence: int, value: int) -> None: ...


class Given(NamedTuple):
    """What the cells of a row are made of: the statement's parameters, its time, who draws from sequences."""

    values: Sequence[Any]
    now: int
    draw: Callable[[int], int]  # of a sequence's OID


class Drawing:
    """What one statement draws from sequences: given back where the general operators will draw it."""

    def __init__(self, session: Drawer) -> None:
        self._session = session
        self._drawn: list[tuple[SequenceDefinition, int, tuple[int, bool]]] = []

    def draw(self, oid: int) -> int:
        """The next value of a sequence. Raises SequenceLimitExceeded."""
        session = self._session
        session.check_sequence(oid, "Uw")
        relation = session.catalog.relations[oid]
        assert isinstance(relation, SequenceDefinition)
        value, before = session.store.sequences.draw(relation)
        self._drawn.append((relation, value, before))
        session.drew(oid, value)
        return value

    def give_back(self) -> None:
        """Nothing came of it."""
        for relation, value, before in reversed(self._drawn):
            self._session.store.sequences.give_back(relation, value, before)


Cell = Callable[[Given], Any]


@dataclass(frozen=True)
class InsertRow:
    """See the module's text. `not_null` and `returning` are positions in the table."""

    rows: RowTable
    cells: tuple[Cell, ...]
    not_null: tuple[int, ...]
    returning: tuple[int, ...] | None

    def row(self, given: Given) -> Row | None:
        """The row to insert; None where the general operators have to say what is wrong with it."""
        try:
            row = tuple([cell(given) for cell in self.cells])
        except _Unfit:
            return None
        for position in self.not_null:
            if row[position] is None:
                return None
        return row

    def returned(self, row: Row) -> Row | None:
        """What RETURNING gives of it."""
        return None if self.returning is None else tuple([row[position] for position in self.returning])


@dataclass(frozen=True)
class FindRow:
    """See the module's text."""

    key: PointKey
    cells: tuple[Cell, ...]

    def find(self, store: Store, commit: int, given: Given) -> Row | None:
        """The row that `commit` sees, if there is one. Raises WouldBlock."""
        try:
            key = tuple([cell(given) for cell in self.cells])
        except _Unfit:  # no key is as large
            return None
        return None if None in key else self.key.find(store, commit, key)


def single(operator: Operator, catalog: Catalog) -> InsertRow | FindRow | None:
    """The plan of one row that a plan is, if it is one."""
    match operator:
        case Insert(
            rules=None,
            invariants=Invariants(checks=(), generated=(), hidden=(), options=()),
            child=Values(rows=(row,)),
        ):
            return _insert(operator, row, catalog.table(operator.table))
        case IndexScan():
            return _find(operator, operator.numbers, catalog)
        case Project(IndexScan(numbers=numbers) as scan, expressions):
            wanted = [numbers[item.index] for item in expressions if isinstance(item, Reference)]
            return _find(scan, wanted, catalog) if len(wanted) == len(expressions) else None
    return None


def _insert(operator: Insert, row: Sequence[Expression], table: Table) -> InsertRow | None:
    rows, cells, returning = RowTable.of(table), _cells(row, table.types), None
    if operator.returning is not None:
        found = [item.index for item in operator.returning if isinstance(item, Reference)]
        returning = tuple(found) if len(found) == len(operator.returning) else None
        if returning is None or any(position >= len(table.columns) for position in returning):
            return None
    if rows is None or cells is None:
        return None
    return InsertRow(rows, cells, operator.invariants.not_null, returning)


def _find(scan: IndexScan, wanted: Sequence[int], catalog: Catalog) -> FindRow | None:
    relation = catalog.relations.get(scan.table)
    if scan.rest is not None or scan.row_ids or not isinstance(relation, Table):
        return None
    if any(number < 0 for number in wanted):
        return None
    items = [among.items[0] for among in scan.among if len(among.items) == 1 and not among.array]
    types = [relation.definition(number).type for number in scan.key.numbers]
    if len(items) != len(types):
        return None
    compared = [_compared(item, type) for item, type in zip(items, types, strict=True)]
    key, cells = PointKey.of(relation, scan.key, wanted), _cells(compared, types)
    return None if key is None or cells is None else FindRow(key, cells)


def _compared(item: Expression, type: Type) -> Expression:
    """What a column of a key is compared with, in its type: whole numbers of any width are the same."""
    other = item.type in _BITS and type in _BITS and item.type != type
    return Cast(item, type) if other else item


def _cells(expressions: Sequence[Expression], types: Sequence[Type]) -> tuple[Cell, ...] | None:
    found = []
    for expression, type in zip(expressions, types, strict=True):
        cell = _cell(expression, type)
        if cell is None:
            return None
        found.append(cell)
    return tuple(found)


def _cell(expression: Expression, type: Type) -> Cell | None:
    """What makes a column's value; None where only the expression can."""
    if not is_plain(expression.type) or expression.type.base != type.base:
        return None
    match expression:
        case Constant(value):
            item = value.tolist()[0]
            return lambda given: item
        case Parameter(index):
            pick = itemgetter(index)
            return lambda given: pick(given.values)
        case Call(id, (), _) if BY_ID[id].name in _NOW:
            return lambda given: given.now
        case Call("nextval(regclass)", (Constant(sequence),), _):
            oid = sequence.tolist()[0]
            return lambda given: given.draw(oid)
        case Cast(argument, to):
            inner = _cell(argument, argument.type)
            return None if inner is None else _fitting(inner, argument.type, to)
    return None


def _fitting(cell: Cell, given: Type, to: Type) -> Cell | None:
    """A cast that leaves values as they are, if they fit."""
    if given in _BITS and to in _BITS:
        bits = _BITS[to]
        return _checked(cell, lambda value: value >> bits in (0, -1))
    if given in (TEXT, VARCHAR) and to.base == VARCHAR:
        most = to.modifier - 4
        return cell if to.modifier == -1 else _checked(cell, lambda value: len(value) <= most)
    return None


def _checked(cell: Cell, fits: Callable[[Any], bool]) -> Cell:
    def checked(given: Given) -> Any:
        value = cell(given)
        if value is not None and not fits(value):
            raise _Unfit
        return value

    return checked
