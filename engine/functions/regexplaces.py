"""regexp_instr, regexp_substr, and regexp_replace from a place on: matches by number."""

from __future__ import annotations

from itertools import islice

from engine.functions.patterns import no_g, replaced
from engine.functions.registry import scalar
from engine.functions.text import each
from engine.values.regex import Match, Pattern, translate
from storage.column import Column
from storage.errors import InvalidParameterValue
from storage.types import INT4, TEXT


def _checked(name: str, value: int, lowest: int, highest: int | None = None) -> None:
    if value < lowest or (highest is not None and value > highest):
        raise InvalidParameterValue(f'invalid value for parameter "{name}": {value}')


def _nth(function: str, text: str, pattern: Pattern, start: int, number: int, flags: str) -> Match | None:
    """The match of this number from a place on."""
    _checked("start", start, 1)
    _checked("n", number, 1)
    no_g(flags, function)
    return next(islice(pattern.finditer(text, start - 1), number - 1, None), None)


@scalar("regexp_instr", [TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4], INT4, defaults=5)
def regexp_instr(column: Column, pattern: Column, *options: Column) -> Column:
    """Where a match, or a part of it in parentheses, begins, or behind it; 0 without one."""

    def one(
        text: str, pattern: str, start: int = 1, number: int = 1, end: int = 0, flags: str = "", part: int = 0
    ) -> int:
        _checked("start", start, 1)
        _checked("n", number, 1)
        _checked("endoption", end, 0, 1)
        _checked("subexpr", part, 0)
        translated = translate(pattern, flags)
        match = _nth("regexp_instr", text, translated, start, number, flags)
        if match is None or part > translated.groups or match.start(part) < 0:
            return 0
        return (match.end(part) if end else match.start(part)) + 1

    return each(one, column, pattern, *options, type=INT4)


@scalar("regexp_substr", [TEXT, TEXT, INT4, INT4, TEXT, INT4], TEXT, defaults=4)
def regexp_substr(column: Column, pattern: Column, *options: Column) -> Column:
    """A match, or a part of it in parentheses; null without one."""

    def one(
        text: str, pattern: str, start: int = 1, number: int = 1, flags: str = "", part: int = 0
    ) -> str | None:
        _checked("start", start, 1)
        _checked("n", number, 1)
        _checked("subexpr", part, 0)
        translated = translate(pattern, flags)
        match = _nth("regexp_substr", text, translated, start, number, flags)
        return None if match is None or part > translated.groups else match[part]

    return each(one, column, pattern, *options)


@scalar("regexp_replace", [TEXT, TEXT, TEXT, INT4, INT4, TEXT], TEXT, defaults=2)
def regexp_replace_from(column: Column, pattern: Column, new: Column, *options: Column) -> Column:
    """With the match of a number from a place on replaced; number 0: with every match."""

    def one(text: str, pattern: str, new: str, start: int, number: int | None = None, flags: str = "") -> str:
        _checked("start", start, 1)
        wanted = (0 if "g" in flags else 1) if number is None else number
        _checked("n", wanted, 0)
        return replaced(text, translate(pattern, flags.replace("g", "")), new, start - 1, wanted)

    return each(one, column, pattern, new, *options)
