"""UPDATE ... SET ... FROM ... WHERE ... RETURNING.

The row of the plan: the items of FROM, then the table's columns and the row's id, so that FROM stands as
in any query. A projection brings them into the order that the Update operator reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.operators import Beside, Operator, Update
from sql.binding import Binding
from sql.changes import writing
from sql.changes.assigning import new_row
from sql.changes.writing import Target
from sql.commontables import CommonTable
from sql.context import BindContext
from sql.expressions import remap
from sql.locking import carry, row_ids
from sql.logical import Filter, Get, Join, Node, Project
from sql.marks import position_of
from sql.outcome import Field
from sql.query import bind_query, finish
from sql.scope import Relation, Scope
from sql.sources import Sources
from sql.systemcolumns import named, of_written
from storage.errors import FeatureNotSupported
from storage.types import INT8

_KNOWN = frozenset(("this", "expressions", "from_", "where", "returning", "with_"))


def bind_update(
    tree: exp.Update, context: BindContext, tables: Mapping[str, CommonTable]
) -> tuple[Operator, tuple[Field, ...]]:
    """The operator of an UPDATE, and the columns of its RETURNING; it may name `tables`."""
    refuse_others(tree, _KNOWN, "UPDATE")
    target = writing.target_of(tree.this, "update", context)
    table = target.table
    clause = tree.args.get("from_")
    first = [] if clause is None else [clause.this]
    rows = TargetRows(tree, target, first, context, writing.common_tables(tree, context, tables))
    row = new_row(tree, rows.scope, rows.relation, target, context)
    target.want("w", row.assigned)
    child = rows.child(tree.args.get("where"), row.values)
    # of the new row, whose place and version are not there yet
    rows.relation.system, rows.relation.fixed = (), of_written(table.oid, context)
    returned = writing.returning(tree.args.get("returning"), rows.scope, rows.shown, context)
    expressions = None if returned is None else tuple(rows.moved(e) for e in returned.expressions)
    operator = Update(
        table.oid,
        child,
        expressions,
        target.invariants(context, row.changed),
        keeps_keys=row.keeps_keys,
        rules=writing.rules_for_update(table, row.changed, context),
        beside=rows.beside,
    )
    return operator, () if returned is None else returned.fields


def refuse_others(tree: exp.Expression, known: frozenset[str], verb: str) -> None:
    """Raise for a clause of the statement that nobody reads."""
    for name, value in tree.args.items():
        if value and name not in known:
            words = {"order": "ORDER BY"}.get(name, name.upper())
            raise FeatureNotSupported(f"{words} of {verb} is not supported", position=position_of(tree))


class TargetRows:
    """The rows that an UPDATE or DELETE means, joined with what else it names."""

    def __init__(
        self,
        tree: exp.Expression,
        target: Target,
        others: list[exp.Expression],
        context: BindContext,
        tables: Mapping[str, CommonTable],
    ) -> None:
        self.context = context
        self.scope = Scope(context.frame, tables)
        table = target.table
        system = named(tree)
        get: Node = Get(table, (*range(len(table.columns)), *system), row_ids=True)
        self.node = get
        if target.through is not None:
            target.through.read()
            get = self.node = target.through.rows(get)
        if others:
            joins = [exp.Join(this=other) for other in others[1:]]
            node, _ = Sources(self.scope, context, bind_query, system).bind(others[0], joins)
            self.node = Join("inner", node, get, None)
        self.others = self.scope.width
        before = list(self.scope.relations)
        self.relation: Relation = self.scope.add(target.relation(system))
        self.shown = [self.relation, *before]
        self.width = len(table.columns)
        behind = self.others + self.width
        self.system = tuple(Reference(behind + i, c.type) for i, c in enumerate(self.relation.system))
        self.beside: tuple[Beside, ...] = ()  # known once `child` is made

    def child(self, where: exp.Expression | None, row: tuple[Expression, ...]) -> Operator:
        """The row's columns, its id, the columns of the other items, and its system columns."""
        node = self.node
        if where is not None:
            binding = Binding(self.context, self.scope, "WHERE")
            node = Filter(node, binding.condition(where.this, "WHERE"))
        row_id = Reference(self.others + self.width + len(self.system), INT8, "")
        others = tuple(Reference(i, t, "") for i, t in enumerate(node.types[: self.others]))
        columns = (*row, row_id, *others, *self.system)
        if self.others:  # their rows stay the same when a target is looked at again
            node, places, found = carry(node, self.context)
            carried = [each for each in found if each.table]
            self.beside = tuple(Beside(len(columns) + at, each.slot) for at, each in enumerate(carried))
            columns = (*remap(columns, places), *row_ids(found))
        return finish(Project(node, columns), self.context)

    def moved(self, expression: Expression) -> Expression:
        """An expression over the scope, as one over the child's row."""
        places = {self.others + i: i for i in range(self.width)}
        places |= {i: self.width + 1 + i for i in range(self.others)}
        places |= {c.index: self.width + 1 + self.others + i for i, c in enumerate(self.system)}
        return remap(expression, places)
