"""Expressions of the parser's tree to bound ones, one file a family of nodes.

`base` holds the state of binding and the table of handlers; the other files fill it. None of them knows
how a query is planned: `subqueries` is told by sql.query.
"""

from sql.binding import arrays, calls, conditions, literals, names, operators, subqueries
from sql.binding.base import Binding

__all__ = ["Binding", "arrays", "calls", "conditions", "literals", "names", "operators", "subqueries"]
