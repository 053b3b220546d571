"""DELETE FROM ... USING ... WHERE ... RETURNING."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from engine.operators import Delete, Operator
from sql.changes import writing
from sql.changes.update import TargetRows, refuse_others
from sql.commontables import CommonTable
from sql.context import BindContext
from sql.outcome import Field

_KNOWN = frozenset(("this", "using", "where", "returning", "with_"))


def bind_delete(
    tree: exp.Delete, context: BindContext, tables: Mapping[str, CommonTable]
) -> tuple[Operator, tuple[Field, ...]]:
    """The operator of a DELETE, and the columns of its RETURNING; it may name `tables`."""
    refuse_others(tree, _KNOWN, "DELETE")
    target = writing.target_of(tree.this, "delete from", context)
    target.want("d")
    using = tree.args.get("using") or []
    rows = TargetRows(tree, target, list(using), context, writing.common_tables(tree, context, tables))
    old = tuple(rows.scope.column(rows.relation, i) for i in range(rows.width))
    child = rows.child(tree.args.get("where"), old)
    returned = writing.returning(tree.args.get("returning"), rows.scope, rows.shown, context)
    expressions = None if returned is None else tuple(rows.moved(e) for e in returned.expressions)
    rules = writing.rules_for_delete(target.table, context)
    operator = Delete(target.table.oid, child, expressions, rules, rows.beside)
    return operator, () if returned is None else returned.fields
