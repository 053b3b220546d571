"""A path's text as PostgreSQL writes it: keys quoted, operators in parentheses where these may be needed."""

from __future__ import annotations

import json
from decimal import Decimal

from engine.jsonpath.items import (
    COMPARISONS,
    LAST,
    AnyElement,
    AnyMember,
    Binary,
    Chain,
    Current,
    Descendants,
    Elements,
    Exists,
    Filter,
    IsUnknown,
    Item,
    Last,
    LikeRegex,
    Member,
    Not,
    Path,
    Root,
    Scalar,
    Step,
    Unary,
    Variable,
)

_PRIORITIES = {"||": 0, "&&": 1, "starts with": 2, "+": 3, "-": 3, "*": 4, "/": 4, "%": 4} | dict.fromkeys(
    COMPARISONS, 2
)


def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


def text(path: Path) -> str:
    """The whole path."""
    return ("" if path.lax else "strict ") + _shown(path.item, True)


def _priority(item: Item) -> int:
    if isinstance(item, Binary):
        return _PRIORITIES[item.symbol]
    return 5 if isinstance(item, Unary) else 6


def _operand(item: Item, priority: int) -> str:
    return _shown(item, _priority(item) <= priority)


def _shown(item: Item, brackets: bool) -> str:
    match item:
        case Root():
            return "$"
        case Current():
            return "@"
        case Last():
            return "last"
        case Variable(name):
            return "$" + quoted(name)
        case Scalar(value):
            return _scalar(value)
        case Unary(sign, operand):
            shown = sign + _operand(operand, 5)
            return f"({shown})" if brackets else shown
        case Binary(symbol, left, right):
            priority = _PRIORITIES[symbol]
            shown = f"{_operand(left, priority)} {symbol} {_operand(right, priority)}"
            return f"({shown})" if brackets else shown
        case LikeRegex(operand, pattern, flags):
            shown = f"{_operand(operand, 6)} like_regex {quoted(pattern)}" + (
                f' flag "{flags}"' if flags else ""
            )
            return f"({shown})" if brackets else shown
        case Not(operand):
            return f"!({_shown(operand, False)})"
        case IsUnknown(operand):
            return f"({_shown(operand, False)}) is unknown"
        case Exists(operand):
            return f"exists ({_shown(operand, False)})"
        case Chain(first, steps):
            shown = _shown(first, True)
            if isinstance(first, Scalar) and isinstance(first.value, Decimal):
                shown = f"({shown})"
            return shown + "".join(map(_step, steps))


def _scalar(value: Decimal | str | bool | None) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value) if isinstance(value, str) else f"{value:f}"


def _step(step: Step) -> str:
    match step:
        case Member(key):
            return "." + quoted(key)
        case AnyMember():
            return ".*"
        case AnyElement():
            return "[*]"
        case Elements(subscripts):
            return "[" + ",".join(_subscript(first, last) for first, last in subscripts) + "]"
        case Descendants(first, last):
            return ".**" + _levels(first, last)
        case Filter(predicate):
            return f"?({_shown(predicate, False)})"
        case _:
            return f".{step.name}({'' if step.template is None else quoted(step.template)})"


def _subscript(first: Item, last: Item | None) -> str:
    shown = _shown(first, False)
    return shown if last is None else f"{shown} to {_shown(last, False)}"


def _levels(first: int, last: int) -> str:
    if first == 0 and last == LAST:
        return ""
    ends = ["last" if level == LAST else str(level) for level in (first, last)]
    return f"{{{ends[0]}}}" if first == last else f"{{{ends[0]} to {ends[1]}}}"
