"""A regular expression's tree as text for Python's `re` and for RE2. Back references are in neither."""

from __future__ import annotations

import re
from typing import assert_never

from engine.values.regextree import (
    HIGHEST,
    SHORTER,
    Back,
    Choice,
    Edge,
    Group,
    Letter,
    Look,
    Node,
    Ranges,
    Repeat,
    Sequence,
    complement,
)

_WORD = "[0-9A-Za-z_]"
_PYTHON_EDGES = {
    "start": "\\A",
    "end": "\\Z",
    "line start": "(?m:^)",
    "line end": "(?=\\n|\\Z)",
    "m": f"(?<!{_WORD})(?={_WORD})",
    "M": f"(?<={_WORD})(?!{_WORD})",
    "y": f"(?:(?<!{_WORD})(?={_WORD})|(?<={_WORD})(?!{_WORD}))",
    "Y": f"(?:(?<!{_WORD})(?!{_WORD})|(?<={_WORD})(?={_WORD}))",
}
_RE2_EDGES = {
    "start": "\\A",
    "end": "\\z",
    "line start": "(?m:^)",
    "line end": "(?m:$)",
    "y": "\\b",
    "Y": "\\B",
}


def python_text(node: Node) -> str:
    """For re.compile with re.DOTALL."""
    return _text(node, _PYTHON_EDGES)


def re2_text(node: Node) -> str | None:
    """For RE2; None if RE2 cannot say it."""
    return "(?s)" + _text(node, _RE2_EDGES) if _portable(node) else None


def _portable(node: Node) -> bool:
    match node:
        case Sequence(items) | Choice(items):
            return all(map(_portable, items))
        case Repeat(item, _, _, _) | Group(_, item):
            return _portable(item)
        case Edge(kind):
            return kind in _RE2_EDGES
    return isinstance(node, Letter)


def _text(node: Node, edges: dict[str, str]) -> str:
    match node:
        case Letter(ranges):
            return _class(ranges)
        case Sequence(items):
            return "".join(
                [_text(i, edges) if not isinstance(i, Choice) else f"(?:{_text(i, edges)})" for i in items]
            )
        case Choice(branches):
            return "|".join([_text(branch, edges) for branch in branches])
        case Group(_, item):
            return f"({_text(item, edges)})"
        case Repeat(item, low, high, prefers):
            inner = _text(item, edges) if isinstance(item, Letter | Group) else f"(?:{_text(item, edges)})"
            return f"{inner}{_counts(low, high)}{'?' if prefers == SHORTER else ''}"
        case Edge(kind):
            return edges[kind]
        case Look(item, ahead, negative):
            return f"(?{'' if ahead else '<'}{'!' if negative else '='}{_text(item, edges)})"
        case Back():
            raise AssertionError(node)
    assert_never(node)


def _counts(low: int, high: int | None) -> str:
    if high is None:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    return "?" if (low, high) == (0, 1) else f"{{{low},{high}}}"


def _class(ranges: Ranges) -> str:
    if ranges == ((0, HIGHEST),):
        return "."
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return re.escape(chr(ranges[0][0]))
    negative = bool(ranges) and ranges[-1][1] == HIGHEST
    inner = "".join([_range(*pair) for pair in (complement(ranges) if negative else ranges)])
    return f"[^{inner}]" if negative else f"[{inner}]" if inner else f"[^{_range(0, HIGHEST)}]"


def _range(low: int, high: int) -> str:
    first, last = (("\\" if chr(c) in "\\[]^&~|-" else "") + chr(c) for c in (low, high))
    return first if low == high else f"{first}-{last}"
