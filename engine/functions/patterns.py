"""LIKE, SIMILAR TO and regular expressions: the operators and the regexp functions.

A constant pattern over a column is looked for by a kernel where only `%` is special in it, else it runs in
Arrow (RE2); everything else a text at a time (`engine.values.regex`), one pattern read a distinct text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.functions.compare import truth
from engine.functions.registry import operator, scalar
from engine.functions.text import each
from engine.values.regex import Match, Pattern, translate
from storage import kernels
from storage.column import Column, Mask
from storage.errors import (
    FeatureNotSupported,
    InvalidEscapeSequence,
    InvalidParameterValue,
    InvalidUseOfEscapeCharacter,
)
from storage.types import BOOL, BPCHAR, BYTEA, INT4, NAME, TEXT, array_of

TEXTS = array_of(TEXT)


@lru_cache(1_000)
def like_regex(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """A LIKE pattern, whose last character is no escape, for Python's fullmatch."""
    return re.compile(_like_body(pattern), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _like_body(pattern: str) -> str:
    out = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            out.append(re.escape(next(letters)))
        else:
            out.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return "".join(out)


def _ends_in_escape(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _is_like(text: str, pattern: str, ignore_case: bool) -> bool:
    """Whether all of a text is as a pattern says. Raises InvalidEscapeSequence.

    A pattern that ends in an escape is like nothing, and an error for a text that gets as far.
    """
    if not _ends_in_escape(pattern):
        return like_regex(pattern, ignore_case).fullmatch(text) is not None
    if like_regex(pattern[:-1] + "_%", ignore_case).fullmatch(text):
        raise InvalidEscapeSequence("LIKE pattern must not end with escape character")
    return False


def _like(column: Column, pattern: Column, ignore_case: bool) -> Mask:
    text = pattern.values[0].as_py() if pattern.constant and not column.constant else None
    if text is not None and not _ends_in_escape(text):
        if not ignore_case and "%" in text and not {*text} & {"_", "\\"}:
            return _has_parts(column.values, text)
        if "\\" not in text:
            return truth(pc.match_like(column.values, pattern=text, ignore_case=ignore_case))
        body = f"(?s{'i' if ignore_case else ''})\\A{_like_body(text)}\\z"
        return truth(pc.match_substring_regex(column.values, pattern=body))
    rows = max(len(column), len(pattern))
    pairs = zip(column.spread(rows).tolist(), pattern.spread(rows).tolist(), strict=True)
    return np.array([_is_like(t, p, ignore_case) for t, p in pairs], np.bool_)


def _has_parts(texts: pa.Array, pattern: str) -> Mask:
    """LIKE by a pattern whose only special characters are `%`; any mask under nulls."""
    first, *middle, last = (part.encode() for part in pattern.split("%"))
    parts = [first, *filter(None, middle), last]
    _, ends, content = texts.buffers()
    offsets = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
    sizes = np.cumsum([len(part) for part in parts])
    return kernels.match_parts(offsets, data, np.frombuffer(b"".join(parts), np.uint8), sizes)


def _matches(column: Column, pattern: Column, flags: str) -> Mask:
    if pattern.constant and not column.constant:
        translated = translate(pattern.values[0].as_py(), flags)
        if translated.re2 is not None:
            try:
                return truth(pc.match_substring_regex(column.values, pattern=translated.re2))
            except pa.ArrowInvalid:  # beyond RE2's limits (repetition counts, size)
                pass
        return np.array([translated.test(t) for t in column.tolist()], np.bool_)
    rows = max(len(column), len(pattern))
    pairs = zip(column.spread(rows).tolist(), pattern.spread(rows).tolist(), strict=True)
    found = [translate(p, flags).test(t) for t, p in pairs]
    return np.array(found, np.bool_)


def _tester(
    test: Callable[[Column, Column, Any], Mask], option: Any, negated: bool
) -> Callable[[Column, Column], Column]:
    def apply(column: Column, pattern: Column) -> Column:
        mask = test(column, pattern, option)
        constant = column.constant and pattern.constant
        return Column(BOOL, ~mask if negated else mask, constant=constant)

    return apply


for _type in (TEXT, NAME, BPCHAR):
    for _symbol, _test, _option, _negated in (
        ("~~", _like, False, False),
        ("!~~", _like, False, True),
        ("~~*", _like, True, False),
        ("!~~*", _like, True, True),
        ("~", _matches, "", False),
        ("!~", _matches, "", True),
        ("~*", _matches, "i", False),
        ("!~*", _matches, "i", True),
    ):
        operator(_symbol, [_type, TEXT], BOOL, constants=True)(_tester(_test, _option, _negated))
scalar("like", [TEXT, TEXT], BOOL, constants=True)(_tester(_like, False, False))
scalar("notlike", [TEXT, TEXT], BOOL, constants=True)(_tester(_like, False, True))


@operator("@@", [TEXT, TEXT], BOOL)
def text_search(text: Column, query: Column) -> Column:
    """Whether a text has what a query of text search asks for; there is none."""
    raise FeatureNotSupported("text search is not supported")


def _bytes_like(column: Column, pattern: Column, _: Any) -> Mask:
    """LIKE over bytes: each byte a character."""
    rows = max(len(column), len(pattern))
    pairs = zip(column.spread(rows).tolist(), pattern.spread(rows).tolist(), strict=True)
    found = [_is_like(t.decode("latin1"), p.decode("latin1"), False) for t, p in pairs]
    return np.array(found, np.bool_)


operator("~~", [BYTEA, BYTEA], BOOL, constants=True)(_tester(_bytes_like, None, False))
operator("!~~", [BYTEA, BYTEA], BOOL, constants=True)(_tester(_bytes_like, None, True))


@scalar("like_escape", [TEXT, TEXT], TEXT)
def like_escape(pattern: Column, escape: Column) -> Column:
    """A LIKE pattern with its own escape character as one with a backslash."""
    return each(_like_escape, pattern, escape)


def _like_escape(pattern: str, escape: str) -> str:
    if len(escape) > 1:
        raise InvalidEscapeSequence(
            "invalid escape string", hint="Escape string must be empty or one character."
        )
    if escape == "\\":
        return pattern
    out, after = [], False
    for letter in pattern:
        if escape and letter == escape and not after:
            out.append("\\")
            after = True
        elif letter == "\\":
            out.append("\\" if after else "\\\\")
            after = False
        else:
            out.append(letter)
            after = False
    return "".join(out)


@scalar("similar_to_escape", [TEXT], TEXT)
@scalar("similar_to_escape", [TEXT, TEXT], TEXT)
def similar_to_escape(pattern: Column, *escape: Column) -> Column:
    """A SIMILAR TO pattern as a regular expression."""
    return each(_similar, pattern, *escape)


@scalar("similar_escape", [TEXT, TEXT], TEXT, strict=False)
def similar_escape(pattern: Column, escape: Column) -> Column:
    """A SIMILAR TO pattern as a regular expression; an escape of null is a backslash."""
    return each(lambda p, e: None if p is None else _similar(p, "\\" if e is None else e), pattern, escape)


def _similar(pattern: str, escape: str = "\\") -> str:
    parts = similar_parts(pattern, escape)
    if len(parts) == 1:
        return f"^(?:{parts[0]})$"
    before, wanted, *behind = parts
    return f"^(?:{before}){{1,1}}?({wanted}" + (f"){{1,1}}(?:{behind[0]}" if behind else "") + ")$"


@lru_cache(1_000)
def similar_parts(pattern: str, escape: str) -> tuple[str, ...]:
    """A SIMILAR TO pattern as regular expressions: one, or the two or three that escaped quotes part."""
    if len(escape) > 1:
        raise InvalidEscapeSequence(
            "invalid escape string", hint="Escape string must be empty or one character."
        )
    parts: list[str] = []
    out: list[str] = []
    inside = after = False
    for letter in pattern:
        if after:
            if letter != '"' or inside:
                out.append("\\" + letter)
            elif len(parts) == 2:
                raise InvalidUseOfEscapeCharacter(
                    "SQL regular expression may not contain more than two escape-double-quote separators"
                )
            else:
                parts.append("".join(out))
                out = []
            after = False
        elif escape and letter == escape:
            after = True
        elif inside:
            out.append("\\\\" if letter == "\\" else letter)
            inside = letter != "]"
        elif letter == "[":
            out.append(letter)
            inside = True
        else:
            out.append({"%": ".*", "_": ".", "(": "(?:"}.get(letter) or _plain(letter))
    return (*parts, "".join(out))


@scalar("substring", [TEXT, TEXT, TEXT], TEXT)
def substring_similar(column: Column, pattern: Column, escape: Column) -> Column:
    """What a text has between the escaped quotes of a SIMILAR TO pattern; null where it is not like it."""
    return each(_similar_substring, column, pattern, escape)


def _similar_substring(text: str, pattern: str, escape: str) -> str | None:
    """The shortest start that fits the first part, then the longest that fits the second."""
    translated = translate(_similar(pattern, escape))
    match = translated.search(text)
    return None if match is None else match[1 if translated.groups else 0]


def _plain(letter: str) -> str:
    return "\\" + letter if letter in "\\.^$" else letter


def replaced(text: str, pattern: Pattern, new: str, start: int, number: int) -> str:
    """With the match of a number from a place on replaced; number 0: with every match."""
    literals = _pieces_of(new)
    found: Iterable[Match | None] = (
        pattern.finditer(text, start) if number != 1 else [pattern.search(text, start)]
    )
    if number > 1:
        found = islice(found, number - 1, number)
    out, end = [], 0
    for match in found:
        if match is None:
            return text
        out += [text[end : match.start()], literals[0]]
        for code, rest in zip(literals[1::2], literals[2::2], strict=True):
            out += [_meant(code, match, pattern.groups), rest]
        end = match.end()
    return "".join([*out, text[end:]])


@lru_cache(1_000)
def _pieces_of(new: str) -> list[str]:
    """A replacement's text, and between its pieces the letters that stand behind a backslash."""
    return re.split(r"\\(.)", new, flags=re.DOTALL)


def _meant(code: str, match: Match, groups: int) -> str:
    if code == "&":
        return match[0] or ""
    if code in "123456789":
        return (match[int(code)] or "") if int(code) <= groups else ""
    return "\\" if code == "\\" else "\\" + code


def _replace(text: str, pattern: str, new: str, flags: str = "") -> str:
    if flags[:1].isdigit():
        raise InvalidParameterValue(
            f'invalid regular expression option: "{flags[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter, "
            "cast the fourth argument to integer explicitly.",
        )
    translated = translate(pattern, flags)
    return replaced(text, translated, new, 0, 0 if translated.every else 1)


@scalar("regexp_replace", [TEXT, TEXT, TEXT], TEXT)
@scalar("regexp_replace", [TEXT, TEXT, TEXT, TEXT], TEXT)
def regexp_replace(column: Column, pattern: Column, new: Column, *flags: Column) -> Column:
    """With the first match (flag g: every match) replaced."""
    return each(_replace, column, pattern, new, *flags)


def _groups(match: Match, groups: int) -> list[str | None]:
    return [match[number] for number in range(1, groups + 1)] or [match[0]]


def no_g(flags: str, function: str) -> None:
    if "g" in flags:
        raise InvalidParameterValue(
            f'{function}() does not support the "global" option',
            hint="Use the regexp_matches function instead." if function == "regexp_match" else "",
        )


def _match(text: str, pattern: str, flags: str = "") -> list[str | None] | None:
    no_g(flags, "regexp_match")
    translated = translate(pattern, flags)
    match = translated.search(text)
    return None if match is None else _groups(match, translated.groups)


@scalar("regexp_match", [TEXT, TEXT], TEXTS)
@scalar("regexp_match", [TEXT, TEXT, TEXT], TEXTS)
def regexp_match(column: Column, pattern: Column, *flags: Column) -> Column:
    """The parts of the first match in parentheses, or the whole match."""
    return each(_match, column, pattern, *flags, type=TEXTS)


@scalar("regexp_matches", [TEXT, TEXT], TEXTS, returns_set=True)
@scalar("regexp_matches", [TEXT, TEXT, TEXT], TEXTS, returns_set=True)
def regexp_matches(column: Column, pattern: Column, *flags: Column) -> Column:
    """A row for the first match (flag g: for every match)."""
    translated = translate(*(c.tolist()[0] for c in (pattern, *flags)))
    found = translated.finditer(column.tolist()[0])
    rows = [_groups(match, translated.groups) for match in found]
    return Column.of(TEXTS, rows if translated.every else rows[:1])


def _pieces(text: str, pattern: Pattern) -> Iterator[str]:
    start = 0
    for match in pattern.finditer(text):
        if match.end() == match.start() and match.start() in (0, len(text)):
            continue
        if match.end() == match.start() == start:
            continue
        yield text[start : match.start()]
        start = match.end()
    yield text[start:]


def _split(text: str, pattern: str, flags: str = "", *, function: str = "regexp_split_to_array") -> list[str]:
    no_g(flags, function)
    return list(_pieces(text, translate(pattern, flags)))


@scalar("regexp_split_to_array", [TEXT, TEXT], TEXTS)
@scalar("regexp_split_to_array", [TEXT, TEXT, TEXT], TEXTS)
def regexp_split_to_array(column: Column, pattern: Column, *flags: Column) -> Column:
    """The pieces between the matches."""
    return each(_split, column, pattern, *flags, type=TEXTS)


@scalar("regexp_split_to_table", [TEXT, TEXT], TEXT, returns_set=True)
@scalar("regexp_split_to_table", [TEXT, TEXT, TEXT], TEXT, returns_set=True)
def regexp_split_to_table(column: Column, pattern: Column, *flags: Column) -> Column:
    """The pieces between the matches, a row each."""
    given = (c.tolist()[0] for c in (column, pattern, *flags))
    return Column.of(TEXT, _split(*given, function="regexp_split_to_table"))


def _substring(text: str, pattern: str) -> str | None:
    translated = translate(pattern)
    match = translated.search(text)
    return None if match is None else match[1 if translated.groups else 0]


@scalar("substring", [TEXT, TEXT], TEXT)
def substring_matching(column: Column, pattern: Column) -> Column:
    """The first match, or its first part in parentheses."""
    return each(_substring, column, pattern)


@scalar("regexp_like", [TEXT, TEXT], BOOL)
@scalar("regexp_like", [TEXT, TEXT, TEXT], BOOL)
def regexp_like(column: Column, pattern: Column, *flags: Column) -> Column:
    """Whether there is a match."""

    def one(text: str, pattern: str, flags: str = "") -> bool:
        no_g(flags, "regexp_like")
        return translate(pattern, flags).test(text)

    return each(one, column, pattern, *flags, type=BOOL)


@scalar("regexp_count", [TEXT, TEXT], INT4)
@scalar("regexp_count", [TEXT, TEXT, INT4], INT4)
@scalar("regexp_count", [TEXT, TEXT, INT4, TEXT], INT4)
def regexp_count(column: Column, pattern: Column, *rest: Column) -> Column:
    """How many matches there are, from a position on."""

    def one(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
        if start <= 0:
            raise InvalidParameterValue(f'invalid value for parameter "start": {start}')
        no_g(flags, "regexp_count")
        return sum(1 for _ in translate(pattern, flags).finditer(text, start - 1))

    return each(one, column, pattern, *rest, type=INT4)
