"""WITH: common table expressions, recursive ones among them.

One that is named once is put where it is named, like a subquery, so that filters reach into it; one that
is named more often, or is MATERIALIZED, is run once a statement (the operator Shared).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.operators import Operator, RecursiveUnion, Shared, WorkTable
from sql.bound import Bound, QueryBinder
from sql.coerce import common_type
from sql.context import BindContext
from sql.cycles import Cycles
from sql.expressions import is_volatile
from sql.logical import Leaf, LockRows, Node, Project
from sql.marks import position_of
from sql.outcome import Field
from sql.physical import physical
from sql.recursion import check_recursion, references
from sql.rules import optimise
from sql.scope import Frame, ScopeColumn
from sql.setoperations import resolved, retyped
from storage.errors import (
    DatabaseError,
    DatatypeMismatch,
    DuplicateAlias,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidRecursion,
    SqlSyntaxError,
    UndefinedTable,
)
from storage.types import UNKNOWN

_KNOWN = frozenset(("this", "alias", "materialized", "search", "cycle", "marks"))
_NUMBERS = itertools.count(1)


@dataclass
class CommonTable:
    """A common table expression: its columns, and the plan that stands for each naming of it.

    None where it writes and returns nothing.
    """

    name: str
    bound: Bound | None
    apart: int = 0  # the last columns, which `*` passes over

    def reference(self, position: int) -> Bound:
        """The plan and columns where it is named."""
        if self.bound is None:
            raise FeatureNotSupported(
                f'WITH query "{self.name}" does not have a RETURNING clause', position=position
            )
        return self.bound


Writing = Callable[
    [exp.Expression, BindContext, "Mapping[str, CommonTable]"], tuple[Operator, Sequence[Field]]
]
_WRITING: list[Writing] = []


def bind_change(
    tree: exp.Expression, context: BindContext, tables: Mapping[str, CommonTable]
) -> tuple[Operator, Sequence[Field]]:
    """The operator of a statement that writes, and the columns of its RETURNING; it may name `tables`."""
    return _WRITING[0](tree, context, tables)


def use(writing: Writing) -> None:
    """Say how an INSERT, UPDATE or DELETE is planned: sql.changes does, when it is imported."""
    _WRITING[:] = [writing]


def bind_with(
    tree: exp.With,
    owner: exp.Expression,
    frame: Frame,
    context: BindContext,
    tables: Mapping[str, CommonTable],
    queries: QueryBinder,
) -> dict[str, CommonTable]:
    """The tables of a WITH clause, each of which sees those before it."""
    known = dict(tables)
    seen: set[str] = set()
    recursive = bool(tree.args.get("recursive"))
    for item in _in_order(tree.expressions) if recursive else tree.expressions:
        name, names = _name_of(item)
        if name in seen:
            raise DuplicateAlias(
                f'WITH query name "{name}" specified more than once', position=position_of(item)
            )
        seen.add(name)
        query: exp.Expression = item.this
        if not isinstance(query, exp.Query | exp.Values):
            known[name] = CommonTable(
                name, _written(item, name, names, owner, context, known, recursive=recursive)
            )
            continue
        materialized = item.args.get("materialized")
        if recursive and _namings(item.this, name):
            bound = _recursive(item, name, names, frame, context, known, queries)
            shared = True
        else:
            try:
                bound = queries(item.this, frame, context, known)
            except UndefinedTable as error:
                raise error if recursive else _of_later(error, tree, known) from None
            _refuse_rounds(item)
            bound = Bound(bound.node, _renamed(bound.columns, name, names, item))
            count = _namings(owner, name)
            shared = count > 1 if materialized is None else bool(materialized)
            shared = shared or _volatile(bound.node)
        if shared:
            operator = Shared(
                name, physical(optimise(bound.node, context.planning), context.planning), bound.node.types
            )
            bound = Bound(Leaf(operator), bound.columns)
        known[name] = CommonTable(name, bound)
    return known


def _in_order(items: Sequence[exp.CTE]) -> list[exp.CTE]:
    """The parts of a WITH RECURSIVE, each behind those that it names. Raises FeatureNotSupported."""
    by_name = {item.alias: item for item in items}
    if len(by_name) < len(items):
        return list(items)
    done: dict[str, exp.CTE] = {}
    open_names: list[str] = []

    def visit(name: str) -> None:
        if name in open_names:
            first = min((by_name[n] for n in open_names[open_names.index(name) :]), key=position_of)
            raise FeatureNotSupported(
                "mutual recursion between WITH items is not implemented", position=position_of(first)
            )
        if name in done:
            return
        open_names.append(name)
        for other in by_name:
            if other != name and _namings(by_name[name].this, other):
                visit(other)
        open_names.pop()
        done[name] = by_name[name]

    for name in by_name:
        visit(name)
    return list(done.values())


def _of_later(error: UndefinedTable, tree: exp.With, known: Mapping[str, CommonTable]) -> UndefinedTable:
    """The error, with what may be meant: a part of the WITH clause that is not to be seen yet."""
    for item in tree.expressions:
        if item.alias not in known and error.message == f'relation "{item.alias}" does not exist':
            error.detail = (
                f'There is a WITH item named "{item.alias}", but it cannot be referenced from this part '
                "of the query."
            )
            error.hint = "Use WITH RECURSIVE, or re-order the WITH items to remove forward references."
    return error


def _refuse_rounds(item: exp.CTE) -> None:
    """SEARCH and CYCLE of a query that is not recursive."""
    if item.args.get("search") is not None or item.args.get("cycle") is not None:
        raise SqlSyntaxError("WITH query is not recursive", position=position_of(item))


def _written(
    item: exp.CTE,
    name: str,
    names: list[str],
    owner: exp.Expression,
    context: BindContext,
    tables: Mapping[str, CommonTable],
    *,
    recursive: bool,
) -> Bound | None:
    """A part that writes: what it returns, if it does. It runs once, whoever reads it."""
    if owner is not context.top:
        raise FeatureNotSupported(
            "WITH clause containing a data-modifying statement must be at the top level",
            position=position_of(item),
        )
    if recursive and _namings(item.this, name):
        raise InvalidRecursion(
            f'recursive query "{name}" must not contain data-modifying statements', position=position_of(item)
        )
    operator, fields = bind_change(item.this, context, tables)
    shared = Shared(name, operator, operator.types)
    context.writers.append(shared)
    if item.this.args.get("returning") is None:
        return None
    columns = tuple(ScopeColumn(f.name, f.type, f.table, f.number) for f in fields)
    return Bound(Leaf(shared), _renamed(columns, name, names, item))


def _name_of(item: exp.CTE) -> tuple[str, list[str]]:
    alias = item.args["alias"]
    if any(v for k, v in item.args.items() if k not in _KNOWN):
        raise FeatureNotSupported("this form of WITH is not supported", position=position_of(item))
    name = alias.this.this
    names = [column.this for column in alias.args.get("columns") or ()]
    if not isinstance(name, str) or not all(isinstance(n, str) for n in names):
        raise SqlSyntaxError("syntax error", position=position_of(item))
    return name, names


def _namings(tree: exp.Expression, name: str) -> int:
    """How often a query names the table."""
    return sum(1 for _ in references(tree, name))


def _renamed(
    columns: tuple[ScopeColumn, ...], name: str, names: list[str], item: exp.CTE
) -> tuple[ScopeColumn, ...]:
    if len(names) > len(columns):
        raise InvalidColumnReference(
            f'WITH query "{name}" has {len(columns)} columns available but {len(names)} columns specified',
            position=position_of(item),
        )
    return tuple(replace(c, name=names[i]) if i < len(names) else c for i, c in enumerate(columns))


def _volatile(node: Node) -> bool:
    if isinstance(node, LockRows) or (
        isinstance(node, Project) and any(is_volatile(e) for e in node.expressions)
    ):
        return True
    return any(_volatile(child) for child in node.children)


def _recursive(
    item: exp.CTE,
    name: str,
    names: list[str],
    frame: Frame,
    context: BindContext,
    tables: Mapping[str, CommonTable],
    queries: QueryBinder,
) -> Bound:
    """initial UNION [ALL] step, where step names the table itself."""
    query = item.this.unnest() if isinstance(item.this, exp.Subquery) else item.this
    position = position_of(item)
    if not isinstance(query, exp.Union):
        raise InvalidRecursion(
            f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term',
            position=position,
        )
    check_recursion(name, query)
    if query.args.get("with_") is not None:
        tables = bind_with(query.args["with_"], query, frame, context, tables, queries)
    given = queries(query.this, frame, context, tables, resolve=False)
    initial = resolved(given, context)
    own = tuple(replace(c, table=0, number=0) for c in _renamed(initial.columns, name, names, item))
    cycles = Cycles(item, own, context)
    key = f"{name} {next(_NUMBERS)}"

    def recursive_term(columns: tuple[ScopeColumn, ...], work: Node) -> Bound:
        inner = {**tables, name: CommonTable(name, Bound(work, columns), len(cycles))}
        return queries(query.expression, frame, context, inner, resolve=False)

    try:
        cycles.check(query)
    except DatabaseError:
        columns = (*own, *cycles.placeholders())
        recursive_term(columns, Leaf(WorkTable(key, tuple(c.type for c in columns))))  # its errors come first
        raise
    initial = cycles.started(initial)
    columns = (*own, *initial.columns[len(own) :])
    work = cycles.worked(Leaf(WorkTable(key, initial.node.types)), columns)
    with cycles.selecting(query.expression):
        step = recursive_term(columns, work)
    if len(step.columns) != len(columns):
        raise SqlSyntaxError(
            "each UNION query must have the same number of columns", position=position_of(query.expression)
        )
    _must_keep_types(name, query, own, given.columns, step.columns)
    stepped = retyped(cycles.continued(step, columns), [c.type for c in columns], context)
    operator = RecursiveUnion(
        physical(optimise(initial.node, context.planning), context.planning),
        physical(optimise(stepped, context.planning), context.planning),
        bool(query.args.get("distinct")),
        key,
    )
    return Bound(Leaf(operator), columns)


def _must_keep_types(
    name: str,
    query: exp.Union,
    own: Sequence[ScopeColumn],
    given: Sequence[ScopeColumn],
    step: Sequence[ScopeColumn],
) -> None:
    """Raise DatatypeMismatch where both terms together have other types than the first one alone.

    `given`: the first term's columns, of which some may have no type yet.
    """
    behind = position_of(query.expression)
    items = query.this.expressions if isinstance(query.this, exp.Select) else []
    for number, (column, first, second) in enumerate(zip(own, given, step, strict=False), 1):
        overall = common_type((first.type, second.type), "UNION", (0, behind))
        if overall.oid not in (column.type.oid, UNKNOWN.oid):
            item = items[number - 1] if len(items) == len(given) else query.this
            raise DatatypeMismatch(
                f'recursive query "{name}" column {number} has type {column.type} in non-recursive term '
                f"but type {overall} overall",
                hint="Cast the output of the non-recursive term to the correct type.",
                position=position_of(item),
            )
