"""Windows to text: OVER, the WINDOW clause and frames, as PostgreSQL's ruleutils lays them out.

`write` makes text of an expression: see sql.unparse, whose trees these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

from sql.marks import WindowMark, mark_of
from sql.names import quoted

Write = Callable[[Any], str]


def over(tree: exp.Window, write: Write) -> str:
    """A call with its window: function(...) OVER (...), or OVER name."""
    named = tree.args.get("alias") is not None and "spec" not in tree.args
    window = quoted(tree.args["alias"].this) if named else _definition(tree, write)
    return f"{write(tree.this)} OVER {window}"


def window_clause(trees: Sequence[exp.Window], write: Write) -> str:
    """The definitions of a WINDOW clause."""
    parts = []
    for tree in trees:
        mark = mark_of(tree.this, WindowMark)
        assert mark is not None
        parts.append(f"{quoted(mark.name)} AS {_definition(tree, write)}")
    return ", ".join(parts)


def _definition(tree: exp.Window, write: Write) -> str:
    parts = []
    alias, order, spec = (tree.args.get(name) for name in ("alias", "order", "spec"))
    if alias is not None:
        parts.append(quoted(alias.this))
    for word, trees in (
        ("PARTITION BY", tree.args.get("partition_by")),
        ("ORDER BY", None if order is None else order.expressions),
    ):
        if trees:
            parts.append(f"{word} {', '.join(map(write, trees))}")
    if spec is not None:
        parts.append(_frame(spec, write))
    return f"({' '.join(parts)})"


def _frame(spec: exp.WindowSpec, write: Write) -> str:
    start = _bound(spec.args["start"], spec.args.get("start_side"), write)
    end = spec.args.get("end")
    text = start if end is None else f"BETWEEN {start} AND {_bound(end, spec.args.get('end_side'), write)}"
    exclude = spec.args.get("exclude")
    without = "" if exclude is None or exclude.name == "NO OTHERS" else f" EXCLUDE {exclude.name}"
    return f"{spec.args['kind']} {text}{without}"


def _bound(value: Any, side: str | None, write: Write) -> str:
    if isinstance(value, exp.Paren):  # which the writer of tokens puts around every offset
        value = write(value.this)
    return value if side is None else f"{value} {side}"
