"""Names to columns: the relations of a query level, and what it may see of the levels around it.

A *frame* is what is run with an outer row of its own: a subquery in an expression, the right side of
LATERAL. Columns that it takes from outside are arguments: expressions over the enclosing level's rows,
which arrive in the run as `Outer` 0, 1, ... A *scope* holds the names of one FROM clause; subqueries in
FROM have scopes of their own in the same frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.expressions import Expression, Outer, Reference
from sql.needs import WHOLE_ROW, Need
from sql.resolved import ColumnName
from storage.errors import AmbiguousColumn, DuplicateAlias, UndefinedColumn, UndefinedTable
from storage.types import Type


@dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column of a relation in FROM. `table` and `number`: where it comes from (0: nowhere)."""

    name: str
    type: Type
    table: int = 0
    number: int = 0


@dataclass
class Relation:
    """An item of FROM under its alias. Its columns stand from `offset` on in the row of the level.

    `hidden`: columns that a join by USING shows only once; `*` and bare names pass them over.
    """

    name: str
    columns: tuple[ScopeColumn, ...]
    offset: int = 0
    schema: str = ""
    hidden: set[int] = field(default_factory=set)
    renamed: int = 0  # the first columns that have names of the alias
    table: int = 0  # OID of the table behind it
    behind: str = ""  # the table's name, where an alias hides it
    function: bool = False  # a function's result: its name may mean its one column
    common: bool = False  # a WITH query
    apart: int = 0  # the last columns, which `*` passes over
    optional: bool = False  # an outer join puts nulls where it has no row
    system: tuple[ScopeColumn, ...] = ()  # behind `columns` in the row: by name only, never in *
    fixed: Mapping[str, Expression] = field(default_factory=dict)  # system columns that are no column here
    need: Need | None = None  # what reading it needs to be allowed
    order: tuple[int, ...] | None = None  # of a view that is written to: its columns among these

    def read(self, *indexes: int) -> None:
        """Columns are named: by that they are read."""
        if self.need is not None:
            self.need.want("r", [self.at(index).number for index in indexes])

    def read_all(self) -> None:
        """The whole row is named."""
        if self.need is not None:
            self.need.want("r", (WHOLE_ROW,))

    @property
    def width(self) -> int:
        """How many columns of the row are its own."""
        return len(self.columns) + len(self.system)

    def at(self, index: int) -> ScopeColumn:
        """A column, or a system column behind them."""
        own = len(self.columns)
        return self.columns[index] if index < own else self.system[index - own]

    @property
    def starred(self) -> Sequence[int]:
        """The columns that `*` of RETURNING stands for."""
        return range(len(self.columns)) if self.order is None else self.order

    @property
    def shown(self) -> tuple[ScopeColumn, ...]:
        """The columns that `*` stands for."""
        return self.columns[: len(self.columns) - self.apart]

    def column_name(self, index: int) -> ColumnName:
        """A column by its names."""
        column = self.at(index)
        named = self.table and column.table == self.table and index >= self.renamed
        return ColumnName(self.name, column.name, self.table if named else 0, column.number if named else 0)


@dataclass(frozen=True, slots=True)
class Merged:
    """A column of JOIN ... USING: one name for a pair of columns. `relations`: ids of those it joins."""

    name: str
    expression: Expression
    relations: frozenset[int]
    column: ScopeColumn


class Frame:
    """What is run with an outer row: `arguments` are that row, over the rows of `parent`.

    `host`: where a subquery in an expression stands (sql.binding.base.Binding); None: it stands in FROM.
    """

    def __init__(self, parent: Scope | None = None, host: Any = None) -> None:
        self.parent = parent
        self.host = host
        self.arguments: list[Expression] = []

    def capture(self, expression: Expression) -> Expression:
        """A value of the enclosing level, as the frame's plan sees it."""
        for index, known in enumerate(self.arguments):
            if known == expression:
                return Outer(index, expression.type)
        self.arguments.append(expression)
        return Outer(len(self.arguments) - 1, expression.type)


class Scope:
    """The relations of one FROM clause, in the order of their columns in the row."""

    def __init__(self, frame: Frame, tables: Mapping[str, Any] | None = None) -> None:
        self.frame = frame
        self.relations: list[Relation] = []
        self.merged: list[Merged] = []
        self.width = 0
        self.unreachable: frozenset[str] = frozenset()  # names that other clauses of the statement know
        # common table expressions by name: see sql.commontables
        self.tables: Mapping[str, Any] = {} if tables is None else tables

    def add(self, relation: Relation) -> Relation:
        """Put a relation behind those that are there. Raises DuplicateAlias."""
        if relation.name and any(r.name == relation.name for r in self.relations):
            raise DuplicateAlias(f'table name "{relation.name}" specified more than once')
        relation.offset = self.width
        self.width += relation.width
        self.relations.append(relation)
        return relation

    def column(self, relation: Relation, index: int) -> Reference:
        """The expression for a relation's column, or for a system column behind them."""
        column = relation.at(index)
        return Reference(relation.offset + index, column.type, column.name)

    def origin(self, index: int) -> tuple[Relation, ScopeColumn] | None:
        """The relation and column that stand at a place of the row."""
        for relation in self.relations:
            if relation.offset <= index < relation.offset + relation.width:
                return relation, relation.at(index - relation.offset)
        return None

    def find(self, name: str, position: int) -> Expression | None:
        """A bare column name in this level and those around it; None: there is none."""
        merged = [m.expression for m in self.merged if m.name == name]
        found = [
            (relation, index)
            for relation in self.relations
            for index, column in enumerate(relation.columns)
            if column.name == name and index not in relation.hidden
        ]
        system = []
        if not merged and not found:
            system = [e for e in (self.system(r, name) for r in self.relations) if e is not None]
        if len(merged) + len(found) + len(system) > 1:
            raise AmbiguousColumn(f'column reference "{name}" is ambiguous', position=position)
        for relation, index in found:
            relation.read(index)
            return self.column(relation, index)
        if merged or system:
            return (*merged, *system)[0]
        parent = self.frame.parent
        outer = None if parent is None else parent.find(name, position)
        return None if outer is None else self.frame.capture(outer)

    def system(self, relation: Relation, name: str) -> Expression | None:
        """A relation's system column; None where it has none of this name."""
        for index, column in enumerate(relation.system, len(relation.columns)):
            if column.name == name:
                relation.read(index)
                return self.column(relation, index)
        return relation.fixed.get(name)

    def owner(self, name: str, table: str = "") -> ColumnName | None:
        """The relation whose column a name is that was found; None where no relation has it."""
        if not table and any(m.name == name for m in self.merged):
            return ColumnName("", name)
        for relation in self.relations:
            if table and relation.name != table:
                continue
            for index, column in enumerate(relation.columns):
                if column.name == name and (table or index not in relation.hidden):
                    return relation.column_name(index)
        for relation in self.relations:
            for index, column in enumerate(relation.system, len(relation.columns)):
                if column.name == name and table in ("", relation.name):
                    return relation.column_name(index)
        parent = self.frame.parent
        return None if parent is None else parent.owner(name, table)

    def find_relation(self, name: str, schema: str = "") -> tuple[Relation, Scope] | None:
        """The relation of this alias, and the level it stands in."""
        for relation in self.relations:
            if relation.name == name and (not schema or relation.schema == schema):
                return relation, self
        parent = self.frame.parent
        return None if parent is None else parent.find_relation(name, schema)

    def find_qualified(self, table: str, name: str, position: int, schema: str = "") -> Expression:
        """table.name. Raises UndefinedTable, UndefinedColumn, AmbiguousColumn."""
        found = self.find_relation(table, schema)
        if found is None:
            raise self.no_entry(table, schema, position)
        relation, scope = found
        places = [i for i, column in enumerate(relation.columns) if column.name == name]
        if len(places) > 1:
            raise AmbiguousColumn(f'column reference "{name}" is ambiguous', position=position)
        if not places:
            system = scope.system(relation, name)
            if system is not None:
                return self.lift(system, scope)
            raise UndefinedColumn(f"column {table}.{name} does not exist", position=position)
        relation.read(places[0])
        return self.lift(scope.column(relation, places[0]), scope)

    def no_entry(self, table: str, schema: str, position: int) -> UndefinedTable:
        """The error for a name that no item of FROM has; an alias may hide it."""
        level: Scope | None = self
        while level is not None:
            if table in level.unreachable or (schema and any(r.name == table for r in level.relations)):
                return unreachable(table, position)
            for relation in level.relations:
                if relation.behind == table:
                    return UndefinedTable(
                        f'invalid reference to FROM-clause entry for table "{table}"',
                        hint=f'Perhaps you meant to reference the table alias "{relation.name}".',
                        position=position,
                    )
            level = level.frame.parent
        return missing(table, position)

    def lift(self, expression: Expression, scope: Scope) -> Expression:
        """An expression over the rows of an enclosing level, as this level sees it."""
        if scope is self:
            return expression
        parent = self.frame.parent
        assert parent is not None
        return self.frame.capture(parent.lift(expression, scope))


def missing(table: str, position: int) -> UndefinedTable:
    """The error for a name that no item of FROM has."""
    return UndefinedTable(f'missing FROM-clause entry for table "{table}"', position=position)


def unreachable(table: str, position: int) -> UndefinedTable:
    """The error for the name of an item of FROM that is not to be seen from where it is named."""
    return UndefinedTable(
        f'invalid reference to FROM-clause entry for table "{table}"',
        hint=f'There is an entry for table "{table}", but it cannot be referenced from this part '
        "of the query.",
        position=position,
    )
