"""Token rewriting in parts: the writer, and the words of the grammar that it asks about.

`writer` goes through the tokens, `place` is where it is; `operands`, `clauses`, `commontables`, `windows` and
`calls` fill its tables of words with what PostgreSQL writes in a way of its own; `neighbours` says what may
not stand side by side. See sql.rewrite for what becomes of what.
"""

import sql.rewriting.calls
import sql.rewriting.clauses
import sql.rewriting.commontables
import sql.rewriting.neighbours
import sql.rewriting.operands
import sql.rewriting.windows  # noqa: F401 - imported for what they declare
from sql.rewriting.place import MARK, NAME
from sql.rewriting.writer import Writer

__all__ = ["MARK", "NAME", "Writer"]
