"""Queries: a SELECT, VALUES, WITH or set operation to a plan."""

from __future__ import annotations

from sqlglot import exp

from sql.context import BindContext, Plan
from storage.errors import FeatureNotSupported


def plan_query(tree: exp.Expression, context: BindContext) -> Plan:
    """The plan of a query."""
    raise FeatureNotSupported(f"{type(tree).__name__} is not supported")
