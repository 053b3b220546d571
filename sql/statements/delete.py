"""DELETE FROM ... USING ... WHERE ... RETURNING."""

from __future__ import annotations

from sqlglot import exp

from engine.operators import Delete
from sql.context import BindContext, Plan
from sql.statements import writing
from sql.statements.update import TargetRows, refuse_others

_KNOWN = frozenset(("this", "using", "where", "returning", "with_"))


def plan_delete(tree: exp.Delete, context: BindContext) -> Plan:
    """The plan of a DELETE; its fields are those of RETURNING."""
    refuse_others(tree, _KNOWN, "DELETE")
    target = writing.target_of(tree.this, "delete from", context)
    using = tree.args.get("using") or []
    rows = TargetRows(target, list(using), context, writing.common_tables(tree, context))
    old = tuple(rows.scope.column(rows.relation, i) for i in range(rows.width))
    child = rows.child(tree.args.get("where"), old)
    returned = writing.returning(tree.args.get("returning"), rows.scope, rows.shown, context)
    expressions = None if returned is None else tuple(rows.moved(e) for e in returned.expressions)
    fields = () if returned is None else returned.fields
    rules = writing.rules_for_delete(target.table, context)
    return context.plan(Delete(target.table.oid, child, expressions, rules, rows.beside), fields)
