"""Expressions of the parser's tree to bound ones, one file a family of nodes.

`base` holds the state of binding and the table of handlers; the other files fill it. None of them knows
how a query is planned: `subqueries` is told by sql.query.
"""

import sql.binding.arrays
import sql.binding.calls
import sql.binding.conditions
import sql.binding.domains
import sql.binding.names
import sql.binding.operators
import sql.binding.orderedsets
import sql.binding.subqueries
import sql.binding.windows  # noqa: F401 - imported for what they declare
from sql.binding.base import Binding

__all__ = ["Binding"]
