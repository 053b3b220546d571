"""SELECT ... FOR UPDATE, NO KEY UPDATE, SHARE, KEY SHARE: which tables of a query are locked, and how.

The row ids of the tables behind FROM are carried up through joins, filters and plain subqueries, beside the
columns that are there: `carry` gives the plan with them, and where each old column stands now. The select
list takes them along, and LockRows, above ORDER BY and in the place of LIMIT, reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.operators import LockTarget
from sql.context import BindContext
from sql.expressions import remap
from sql.logical import (
    Aggregate,
    Append,
    Apply,
    Barrier,
    Distinct,
    Filter,
    Get,
    Join,
    Limit,
    Node,
    Project,
    SetOperation,
    Sort,
    Window,
)
from sql.marks import position_of
from sql.scope import Relation, Scope
from storage.definitions import Table
from storage.errors import DatabaseError, FeatureNotSupported, UndefinedTable, WrongObjectType
from storage.transactions.locks import Policy, RowMode
from storage.types import INT8

Places = dict[int, int]


@dataclass(frozen=True)
class Clause:
    """One FOR clause. `names` with their places in the text; empty: everything in FROM."""

    mode: RowMode
    policy: Policy
    names: tuple[tuple[str, int], ...]

    @property
    def words(self) -> str:
        """As it is written."""
        return f"FOR {self.mode.name.replace('_', ' ')}"


def clauses(tree: exp.Expression) -> list[Clause]:
    """The FOR clauses of a query."""
    found = []
    for lock in tree.args.get("locks") or ():
        key = bool(lock.args.get("key"))
        if lock.args["update"]:
            mode = RowMode.NO_KEY_UPDATE if key else RowMode.UPDATE
        else:
            mode = RowMode.KEY_SHARE if key else RowMode.SHARE
        wait = lock.args.get("wait")
        policy: Policy = "wait" if wait is None else "nowait" if wait else "skip"
        names = tuple((name.this.this, position_of(name)) for name in lock.args.get("expressions") or ())
        found.append(Clause(mode, policy, names))
    return found


def refused(clause: Clause, what: str, position: int = 0) -> DatabaseError:
    """The error for a query whose rows are not a table's."""
    return FeatureNotSupported(f"{clause.words} is not allowed with {what}", position=position)


def check(
    tree: exp.Expression,
    clause: Clause,
    *,
    aggregated: bool = False,
    windows: bool = False,
    sets: bool = False,
) -> None:
    """Raise where the rows of a query are not those of its tables."""
    if isinstance(tree, exp.SetOperation):
        raise refused(clause, "UNION/INTERSECT/EXCEPT")
    if isinstance(tree, exp.Values):
        raise FeatureNotSupported(f"{clause.words} cannot be applied to VALUES")
    for name, words in (
        ("distinct", "DISTINCT clause"),
        ("group", "GROUP BY clause"),
        ("having", "HAVING clause"),
    ):
        if tree.args.get(name) is not None:
            raise refused(clause, words)
    if aggregated:
        raise refused(clause, "aggregate functions")
    if windows:
        raise refused(clause, "window functions")
    if sets:
        raise refused(clause, "set-returning functions in the target list")


@dataclass(frozen=True)
class Carried:
    """A table's row id: where it stands, and the place that the table's columns begin at as written.

    Where `refusal` says something, the rows there are not a table's: there is no row id.
    """

    column: int
    start: int
    table: int = 0
    slot: int = 0
    nullable: bool = False  # an outer join may find no row of it
    refusal: str = ""
    unlocked: str = ""  # what it is, where that is nothing whose rows are locked: sequence "s"


Carry = tuple[Node, Places, list[Carried]]


def carry(node: Node, context: BindContext) -> Carry:
    """The node with the row ids of its tables beside its columns."""
    match node:
        case Get() if isinstance(node.source, Table) and not node.row_ids:
            width, slot = len(node.types), context.next_slot()
            places = {i: i for i in range(width)}
            stored = "" if node.source.materialized is None else f'materialized view "{node.source.name}"'
            found = [Carried(width, 0, node.source.oid, slot, unlocked=stored)]
            return replace(node, row_ids=True, slot=slot), places, found
        case Get() if not isinstance(node.source, Table) and node.source.kind == "S":
            found = [Carried(-1, 0, unlocked=f'sequence "{node.source.name}"')]
            return node, {i: i for i in range(len(node.types))}, found
        case Filter():
            child, places, found = carry(node.child, context)
            return Filter(child, remap(node.condition, places)), places, found
        case Project() if not node.sets:
            return _project(node, context)
        case Barrier():
            child, places, found = carry(node.child, context)
            return Barrier(child), places, found
        case Sort():
            child, places, found = carry(node.child, context)
            return replace(node, child=child, keys=remap(node.keys, places)), places, found
        case Limit():
            child, places, found = carry(node.child, context)
            return replace(node, child=child), places, found
        case Join():
            return _join(node, context)
        case Apply():
            return _apply(node, context)
    refusal = _refusal(node)
    found = [Carried(-1, 0, refusal=refusal)] if refusal else []
    return node, {i: i for i in range(len(node.types))}, found


def _refusal(node: Node) -> str:
    match node:
        case Aggregate():
            return "GROUP BY clause" if node.keys else "aggregate functions"
        case Window():
            return "window functions"
        case Get() if node.row_ids:
            return "TABLESAMPLE"
        case Distinct():
            return "DISTINCT clause"
        case Append() | SetOperation():
            return "UNION/INTERSECT/EXCEPT"
        case Project():
            return "set-returning functions in the target list"
    return ""


def _project(node: Project, context: BindContext) -> Carry:
    child, places, found = carry(node.child, context)
    width = len(node.expressions)
    ids = row_ids(found)
    expressions = (*remap(node.expressions, places), *ids)
    carried = [
        replace(each, column=width + ids.index(Reference(each.column, INT8)), start=0)
        for each in found
        if each.table
    ]
    refusals = [replace(each, start=0) for each in found if not each.table]
    return Project(child, expressions), {i: i for i in range(width)}, [*carried, *refusals]


def row_ids(found: Sequence[Carried]) -> tuple[Expression, ...]:
    """The carried row ids as expressions."""
    return tuple(Reference(each.column, INT8) for each in found if each.table)


def _sides(left: Carry, right: Carry, old_width: int) -> tuple[Places, list[Carried]]:
    width = len(left[0].types)
    places = dict(left[1])
    places |= {old_width + old: width + new for old, new in right[1].items()}
    moved = [replace(each, column=width + each.column, start=old_width + each.start) for each in right[2]]
    return places, [*left[2], *moved]


def _join(node: Join, context: BindContext) -> Carry:
    left, right = carry(node.left, context), carry(node.right, context)
    if node.kind in ("left", "full"):
        right = (*right[:2], [replace(each, nullable=True) for each in right[2]])
    if node.kind in ("right", "full"):
        left = (*left[:2], [replace(each, nullable=True) for each in left[2]])
    places, found = _sides(left, right, len(node.left.types))
    condition = None if node.condition is None else remap(node.condition, places)
    return Join(node.kind, left[0], right[0], condition), places, found


def _apply(node: Apply, context: BindContext) -> Carry:
    left, right = carry(node.left, context), carry(node.right, context)
    if node.kind == "left":
        right = (*right[:2], [replace(each, nullable=True) for each in right[2]])
    places, found = _sides(left, right, len(node.left.types))
    condition = None if node.condition is None else remap(node.condition, places)
    arguments = tuple(remap(argument, left[1]) for argument in node.arguments)
    return Apply(node.kind, left[0], right[0], arguments, condition), places, found


def targets(
    wanted: Sequence[Clause], scope: Scope, found: Sequence[Carried], first: int
) -> tuple[LockTarget, ...]:
    """What LockRows locks, of row ids that stand from column `first` on in the order of `found`."""
    locked: dict[int, tuple[RowMode, Policy]] = {}
    found = sorted(found, key=lambda each: not each.table)  # in the order of `row_ids`
    for clause in wanted:
        for relation in _relations(clause, scope):
            if relation.need is not None:
                relation.need.want("w")
            for at, each in enumerate(found):
                if not relation.offset <= each.start < relation.offset + max(len(relation.columns), 1):
                    continue
                if each.refusal:
                    raise refused(clause, each.refusal)
                if each.unlocked:
                    raise WrongObjectType(f"cannot lock rows in {each.unlocked}")
                if each.nullable:
                    raise FeatureNotSupported(
                        f"{clause.words} cannot be applied to the nullable side of an outer join"
                    )
                mode, policy = locked.get(at, (clause.mode, clause.policy))
                locked[at] = max(mode, clause.mode), max(policy, clause.policy, key=_POLICIES.index)
    if not locked:
        return ()
    return tuple(
        LockTarget(first + at, each.table, each.slot, *locked.get(at, (None, "wait")))
        for at, each in enumerate(found)
        if each.table
    )


_POLICIES: tuple[Policy, ...] = ("wait", "skip", "nowait")  # of several for one table the last counts


def _relations(clause: Clause, scope: Scope) -> list[Relation]:
    """The items of FROM that a clause means. Raises UndefinedTable."""
    if not clause.names:
        return [relation for relation in scope.relations if not relation.common]
    chosen = []
    for name, position in clause.names:
        relation = next((r for r in scope.relations if r.name == name), None)
        if relation is None:
            raise UndefinedTable(
                f'relation "{name}" in {clause.words} clause not found in FROM clause', position=position
            )
        if relation.function:
            raise FeatureNotSupported(f"{clause.words} cannot be applied to a function", position=position)
        if relation.common:
            raise FeatureNotSupported(f"{clause.words} cannot be applied to a WITH query", position=position)
        chosen.append(relation)
    return chosen
