"""WITH: common table expressions, recursive ones among them.

One that is named once is put where it is named, like a subquery, so that filters reach into it; one that
is named more often, or is MATERIALIZED, is run once a statement (the operator Shared).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.operators import RecursiveUnion, Shared, WorkTable
from sql.bound import Bound, QueryBinder
from sql.context import BindContext
from sql.expressions import is_volatile
from sql.logical import Leaf, LockRows, Node, Project
from sql.marks import position_of
from sql.physical import physical
from sql.recursion import check_recursion, references
from sql.rules import optimise
from sql.scope import Frame, ScopeColumn
from sql.setoperations import retyped
from storage.errors import (
    DatatypeMismatch,
    DuplicateAlias,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidRecursion,
    SqlSyntaxError,
)

_NUMBERS = itertools.count(1)


@dataclass
class CommonTable:
    """A common table expression: its columns, and the plan that stands for each naming of it."""

    name: str
    bound: Bound

    def reference(self) -> Bound:
        """The plan and columns where it is named."""
        return self.bound


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
    for item in tree.expressions:
        name, names = _name_of(item)
        if name in seen:
            raise DuplicateAlias(
                f'WITH query name "{name}" specified more than once', position=position_of(item)
            )
        seen.add(name)
        query: exp.Expression = item.this
        if not isinstance(query, exp.Query | exp.Values):
            raise FeatureNotSupported(
                "data-modifying statements in WITH are not supported", position=position_of(item)
            )
        materialized = item.args.get("materialized")
        if recursive and _namings(item.this, name):
            bound = _recursive(item, name, names, frame, context, known, queries)
            shared = True
        else:
            bound = queries(item.this, frame, context, known)
            bound = Bound(bound.node, _renamed(bound.columns, name, names, item))
            count = _namings(owner, name)
            shared = count > 1 if materialized is None else bool(materialized)
            shared = shared or _volatile(bound.node)
        if shared:
            operator = Shared(name, physical(optimise(bound.node)), bound.node.types)
            bound = Bound(Leaf(operator), bound.columns)
        known[name] = CommonTable(name, bound)
    return known


def _name_of(item: exp.CTE) -> tuple[str, list[str]]:
    alias = item.args["alias"]
    if any(v for k, v in item.args.items() if k not in ("this", "alias", "materialized")):
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
    if not isinstance(query, exp.Union) or query.args.get("with_") is not None:
        raise InvalidRecursion(
            f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term',
            position=position,
        )
    check_recursion(name, query)
    initial = queries(query.this, frame, context, tables)
    columns = tuple(replace(c, table=0, number=0) for c in _renamed(initial.columns, name, names, item))
    key = f"{name} {next(_NUMBERS)}"
    work = Leaf(WorkTable(key, initial.node.types))
    inner = {**tables, name: CommonTable(name, Bound(work, columns))}
    step = queries(query.expression, frame, context, inner, resolve=False)
    if len(step.columns) != len(columns):
        raise SqlSyntaxError("each UNION query must have the same number of columns", position=position)
    for number, (a, b) in enumerate(zip(columns, step.columns, strict=True), 1):
        if a.type.oid != b.type.oid and b.type.name != "unknown":
            raise DatatypeMismatch(
                f'recursive query "{name}" column {number} has type {a.type} in non-recursive term '
                f"but type {b.type} overall",
                hint="Cast the output of the non-recursive term to the correct type.",
                position=position,
            )
    stepped = retyped(step, [c.type for c in columns], context)
    operator = RecursiveUnion(
        physical(optimise(initial.node)),
        physical(optimise(stepped)),
        bool(query.args.get("distinct")),
        key,
    )
    return Bound(Leaf(operator), columns)
