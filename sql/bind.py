"""Expressions: a parser's tree to a bound expression."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Expression
from sql.context import BindContext
from sql.scope import Scope
from storage.errors import FeatureNotSupported


def bind_expression(tree: exp.Expression, scope: Scope, context: BindContext) -> Expression:
    """The tree over the rows of `scope`. Its type may still be `unknown`: coerce it."""
    raise FeatureNotSupported(f"{type(tree).__name__} is not supported")
