"""A bound query, and the shape of what binds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlglot import exp

from sql.context import BindContext
from sql.logical import Node
from sql.scope import Frame, ScopeColumn


@dataclass(frozen=True)
class Bound:
    """A query's plan and its columns. Columns of constants may still be of type `unknown`."""

    node: Node
    columns: tuple[ScopeColumn, ...]


class QueryBinder(Protocol):
    """Binds a query in a frame; `tables` are the common table expressions it may name."""

    def __call__(
        self,
        tree: exp.Expression,
        frame: Frame,
        context: BindContext,
        tables: Mapping[str, Any],
        *,
        resolve: bool = True,
    ) -> Bound:
        """`resolve`: columns that are still unknown become text."""
