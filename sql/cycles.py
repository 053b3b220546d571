"""SEARCH and CYCLE of a recursive query: columns that say by which rows a row was found.

    SEARCH DEPTH FIRST BY a SET s      s: {(a), ...}, the rows from the first to this one
    SEARCH BREADTH FIRST BY a SET s    s: (round, a)
    CYCLE a SET c USING p              p: {(a), ...}; c: whether (a) was in p before, and from such a row
                                       the recursion does not go on

They are columns of the query that `*` inside it passes over. The initial term computes them from its row,
the recursive term from its row and the row that it names the query for; so it selects that row's, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlglot import exp

from engine.choices import Case
from engine.expressions import Constant, Expression, Reference
from sql.binding import Binding
from sql.bound import Bound
from sql.coerce import common_type
from sql.context import BindContext
from sql.logical import Filter, Node, Project
from sql.marks import position_of
from sql.parse import parse_expression
from sql.recursion import references
from sql.rewriting.commontables import Cycle, Search
from sql.scope import Frame, Relation, Scope, ScopeColumn
from sql.setoperations import retyped
from sql.sortable import must_equal
from storage.errors import DuplicateColumn, FeatureNotSupported, SqlSyntaxError
from storage.types import BOOL, RECORD


class Cycles:
    """The clauses of one query of WITH RECURSIVE, `item`, whose own columns are `columns`."""

    def __init__(self, item: exp.CTE, columns: Sequence[ScopeColumn], context: BindContext) -> None:
        """Raises DatatypeMismatch, UndefinedFunction for the values of a CYCLE."""
        self._name = item.alias
        self._columns = tuple(columns)
        self._context = context
        self._search: Search | None = item.args.get("search")
        self._cycle: Cycle | None = item.args.get("cycle")
        self._value, self._default = self._marks(item)
        names = [] if self._search is None else [self._search.sequence]
        self._names = names + ([] if self._cycle is None else [self._cycle.mark, self._cycle.path])

    def __len__(self) -> int:
        """How many columns the clauses add."""
        return len(self._names)

    def _marks(self, item: exp.CTE) -> tuple[Expression, Expression]:
        """What the mark of a CYCLE is for a row that was there before, and for others."""
        trees = item.args.get("marks")
        if trees is None:
            yes, no = (Constant(self._context.constant(BOOL, value)) for value in (True, False))
            return yes, no
        binding = Binding(self._context, Scope(Frame()), "CYCLE")
        value, default = (binding.bind(tree) for tree in trees)
        places = [position_of(tree) for tree in trees]
        type = common_type([value.type, default.type], "CYCLE", places)
        must_equal(type, 0)
        return binding.coerced(value, type, places[0]), binding.coerced(default, type, places[1])

    def check(self, query: exp.SetOperation) -> None:
        """Raise for a term that is no single SELECT, and for columns that may not be named as they are."""
        search, cycle = self._search, self._cycle
        if search is None and cycle is None:
            return
        for tree, side, error in (
            (query.this, "left", FeatureNotSupported),
            (query.expression, "right", SqlSyntaxError),
        ):
            if isinstance(tree.unnest(), exp.SetOperation):
                raise error(f"with a SEARCH or CYCLE clause, the {side} side of the UNION must be a SELECT")
        names = [column.name for column in self._columns]
        if search is not None:
            _check_columns("search", search.columns, names, search.position)
            _check_new("search sequence", search.sequence, names, search.position)
        if cycle is not None:
            _check_columns("cycle", cycle.columns, names, cycle.position)
            _check_new("cycle mark", cycle.mark, names, cycle.position)
            _check_new("cycle path", cycle.path, names, cycle.position)
            _check_apart(search, cycle)

    def placeholders(self) -> tuple[ScopeColumn, ...]:
        """The columns where their types do not matter."""
        return tuple(ScopeColumn(name, RECORD) for name in self._names)

    # the two terms

    def started(self, initial: Bound) -> Bound:
        """The initial term with the columns."""
        if not self:
            return initial
        binding = self._binding(self._columns)
        added: list[Expression] = []
        if self._search is not None:
            row = self._row(self._search.columns)
            added.append(
                self._read(f"ROW(0::bigint, {row})" if self._search.breadth else _path(row), binding)
            )
        if self._cycle is not None:
            added += [self._default, self._read(_path(self._row(self._cycle.columns)), binding)]
        return self._widened(initial.node, added)

    def continued(self, step: Bound, columns: Sequence[ScopeColumn]) -> Bound:
        """The recursive term, which has selected those of the row that it names the query for, with its own.

        `columns`: all of the initial term.
        """
        if not self:
            return step
        width = len(self._columns)
        node = retyped(step, [column.type for column in columns], self._context)
        binding = self._binding(columns)
        added: list[Expression] = []
        if self._search is not None:
            before, row = f'"{width + 1}"', self._row(self._search.columns)
            deeper = f"ROW(({before}).f1 + 1, {row})" if self._search.breadth else f"{before} || ROW({row})"
            added.append(self._read(deeper, binding))
        if self._cycle is not None:
            before, row = f'"{len(columns)}"', self._row(self._cycle.columns)
            again = self._read(f"ROW({row}) = ANY({before})", binding)
            added += [
                Case(((again, self._value),), self._default, self._default.type),
                self._read(f"{before} || ROW({row})", binding),
            ]
        return self._widened(node, added)

    def worked(self, work: Node, types: Sequence[ScopeColumn]) -> Node:
        """The rows of the last round, without those that the recursion does not go on from."""
        if self._cycle is None:
            return work
        at = len(types) - 2
        mark = Reference(at, types[at].type, types[at].name)
        binding = self._binding(())
        return Filter(work, binding.operator("<>", mark, self._value))

    def _widened(self, node: Node, added: Sequence[Expression]) -> Bound:
        kept = tuple(Reference(at, c.type, c.name) for at, c in enumerate(self._columns))
        columns = [ScopeColumn(name, e.type) for name, e in zip(self._names, added, strict=True)]
        return Bound(Project(node, (*kept, *added)), (*self._columns, *columns))

    def _binding(self, columns: Sequence[ScopeColumn]) -> Binding:
        """Over a row of columns that are called "1", "2", ..."""
        scope = Scope(Frame())
        scope.add(Relation("", tuple(replace(c, name=str(at)) for at, c in enumerate(columns, 1))))
        return Binding(self._context, scope, "WITH")

    def _row(self, names: Sequence[str]) -> str:
        known = [column.name for column in self._columns]
        return ", ".join(f'"{known.index(name) + 1}"' for name in names)

    def _read(self, text: str, binding: Binding) -> Expression:
        return binding.bind(parse_expression(text))

    @contextmanager
    def selecting(self, step: exp.Expression) -> Iterator[None]:
        """Have the recursive term select the columns, too, of the row that it names the query for.

        Raises FeatureNotSupported where it names the query, but not in its own FROM.
        """
        if not self:
            yield
            return
        select = step.unnest()
        table = next(references(step, self._name))
        if table.find_ancestor(exp.Select) is not select:
            raise FeatureNotSupported(
                "with a SEARCH or CYCLE clause, the recursive reference to WITH query "
                f'"{self._name}" must be at the top level of its right-hand SELECT'
            )
        alias = exp.Identifier(this=table.alias or self._name)
        own = list(select.expressions)
        added = [exp.Column(this=exp.Identifier(this=n), table=alias.copy()) for n in self._names]
        select.set("expressions", [*own, *added])
        try:
            yield
        finally:
            select.set("expressions", own)


def _path(row: str) -> str:
    return f"ARRAY[ROW({row})]"


def _check_columns(what: str, columns: Sequence[str], names: Sequence[str], position: int) -> None:
    for at, name in enumerate(columns):
        if name not in names:
            raise SqlSyntaxError(f'{what} column "{name}" not in WITH query column list', position=position)
        if name in columns[:at]:
            raise DuplicateColumn(f'{what} column "{name}" specified more than once', position=position)


def _check_new(what: str, name: str, names: Sequence[str], position: int) -> None:
    if name in names:
        raise SqlSyntaxError(
            f'{what} column name "{name}" already used in WITH query column list', position=position
        )


def _check_apart(search: Search | None, cycle: Cycle) -> None:
    """Raises SqlSyntaxError where two of the columns have one name."""
    taken = [("cycle mark", cycle.mark, "cycle path", cycle.path)]
    if search is not None:
        taken += [
            ("search sequence", search.sequence, "cycle mark", cycle.mark),
            ("search sequence", search.sequence, "cycle path", cycle.path),
        ]
    for one, name, other, same in taken:
        if name == same:
            raise SqlSyntaxError(
                f"{one} column name and {other} column name are the same", position=cycle.position
            )
