"""Quoting and building of SQL text: quote_ident and its kin, format, concat, and the key words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from engine import forms
from engine.casts import convert
from engine.functions.registry import scalar
from engine.functions.text import each
from engine.run import Run
from storage.column import Column
from storage.errors import InvalidParameterValue, NullValueNotAllowed, NumericValueOutOfRange
from storage.types import ANY, ANYELEMENT, BOOL, CHAR, INT4, NAME, TEXT, array_of

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
_HIGHEST = (1 << 31) - 1
_KINDS = {
    "U": "unreserved",
    "C": "unreserved (cannot be function or type name)",
    "T": "reserved (can be function or type name)",
    "R": "reserved",
}


@lru_cache(1)
def keywords() -> dict[str, tuple[str, bool]]:
    """PostgreSQL's key words: (category U, C, T or R; whether it may be a label without AS)."""
    text = resources.files("engine.functions").joinpath("keywords.txt").read_text()
    words = (line.split() for line in text.splitlines())
    return {word[0]: (word[1], len(word) == 3) for word in words}


@lru_cache(10_000)
def quote_identifier(name: str) -> str:
    """A name as SQL needs it: in double quotes unless it is plain lower case and no key word."""
    if _PLAIN.match(name) and keywords().get(name, ("U", True))[0] == "U":
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_string(text: str) -> str:
    """A text as a literal, E'...' where it holds a backslash."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return "E" + quoted if "\\" in text else quoted


@scalar("quote_ident", [TEXT], TEXT)
def quote_ident(column: Column) -> Column:
    """The text as an identifier, quoted where needed."""
    return each(quote_identifier, column)


@scalar("quote_literal", [TEXT], TEXT)
def quote_literal(column: Column) -> Column:
    """The text as a literal."""
    return each(quote_string, column)


@scalar("quote_literal", [ANYELEMENT], TEXT, volatility="s", run=True)
def quote_any(column: Column, run: Run) -> Column:
    """The value as a literal, by its cast to text."""
    return each(quote_string, convert(column, TEXT, run))


@scalar("quote_nullable", [TEXT], TEXT, strict=False)
@scalar("quote_nullable", [ANYELEMENT], TEXT, volatility="s", strict=False, run=True)
def quote_nullable(column: Column, run: Run | None = None) -> Column:
    """The value as a literal, NULL for null."""
    texts = column if run is None else convert(column, TEXT, run)
    return each(lambda t: "NULL" if t is None else quote_string(t), texts)


def _texts(columns: Sequence[Column], run: Run) -> list[list[str | None]]:
    return [forms.text_of(column, run).tolist() for column in columns]


@scalar("concat", [ANY], TEXT, variadic=True, strict=False, volatility="s", run=True, empty="")
def concat(*columns: Column, run: Run) -> Column:
    """The texts of all values one behind the other; nulls are left out."""
    rows = zip(*_texts(columns, run), strict=True)
    return Column.of(TEXT, ["".join(t for t in row if t is not None) for row in rows])


@scalar("concat_ws", [TEXT, ANY], TEXT, variadic=True, strict=False, volatility="s", run=True)
def concat_ws(separator: Column, *columns: Column, run: Run) -> Column:
    """The texts of all values that are not null, with a separator between them."""
    rows = zip(separator.tolist(), *_texts(columns, run), strict=True)
    return Column.of(
        TEXT, [None if s is None else s.join(t for t in row if t is not None) for s, *row in rows]
    )


_SPECIFIER = re.compile(r"%(?:(\d+)\$)?(-*)(\d+|\*(?:(\d+)\$)?)?(.)?", re.DOTALL)


def format_text(template: str, values: Sequence[str | None]) -> str:
    """format(): %s %I %L %%, with positions and widths."""
    out: list[str] = []
    start, following = 0, 0
    for match in _SPECIFIER.finditer(template):
        out.append(template[start : match.start()])
        start = match.end()
        number, minus, width, width_number, kind = match.groups()
        if kind == "%" and match[0] == "%%":
            out.append("%")
            continue
        if kind is None:
            raise InvalidParameterValue(
                "unterminated format() type specifier", hint='For a single "%" use "%%".'
            )
        size = 0
        if width is not None and width.startswith("*"):
            at = _place(width_number) if width_number else following
            following = at + 1
            text = _argument(values, at)
            size = 0 if text is None else _width(text)
        elif width is not None:
            size = _number(width)
        if kind not in "sIL":
            raise InvalidParameterValue(
                f'unrecognized format() type specifier "{kind}"', hint='For a single "%" use "%%".'
            )
        at = _place(number) if number else following
        following = at + 1
        text = _formatted(kind, _argument(values, at))
        left = bool(minus) or size < 0
        out.append(text.ljust(abs(size)) if left else text.rjust(size))
    out.append(template[start:])
    return "".join(out)


def _number(digits: str) -> int:
    """A width or an argument's number in a template."""
    if int(digits) > _HIGHEST:
        raise NumericValueOutOfRange("number is out of range")
    return int(digits)


def _place(digits: str) -> int:
    """Which argument a number means, from 0."""
    number = _number(digits)
    if number == 0:
        raise InvalidParameterValue("format specifies argument 0, but arguments are numbered from 1")
    return number - 1


def _width(text: str) -> int:
    """A width that an argument gives, as an integer's text."""
    size = int(convert(Column.of(TEXT, [text]), INT4, None).values[0])
    if size < -_HIGHEST:
        raise NumericValueOutOfRange("number is out of range")
    return size


def _argument(values: Sequence[str | None], at: int) -> str | None:
    if at >= len(values):
        raise InvalidParameterValue("too few arguments for format()")
    return values[at]


def _formatted(kind: str, text: str | None) -> str:
    if kind == "s":
        return text or ""
    if kind == "L":
        return "NULL" if text is None else quote_string(text)
    if text is None:
        raise NullValueNotAllowed("null values cannot be formatted as an SQL identifier")
    return quote_identifier(text)


@scalar("format", [TEXT], TEXT)
@scalar("format", [TEXT, ANY], TEXT, variadic=True, strict=False, volatility="s", run=True)
def format(template: Column, *columns: Column, run: Run | None = None) -> Column:
    """A text with values in the places of %s, %I and %L."""
    texts = [] if run is None else _texts(columns, run)
    rows = zip(template.tolist(), *texts, strict=True)
    return Column.of(TEXT, [None if t is None else format_text(t, row) for t, *row in rows])


NAMES = array_of(TEXT)


def split_identifiers(text: str, strict: bool = True) -> list[str]:
    """The parts of a qualified name as it would be written in SQL; InvalidParameterValue if it is none."""

    def wrong(detail: str = "") -> InvalidParameterValue:
        return InvalidParameterValue(f'string is not a valid identifier: "{text}"', detail=detail)

    parts: list[str] = []
    rest = text.strip()
    while True:
        match = re.match(r'"((?:[^"]|"")*)"|([^\W\d][\w$]*)', rest)
        if not match:
            if rest.startswith('"'):
                raise wrong("String has unclosed double quotes.")
            if rest.startswith("."):
                raise wrong('No valid identifier before ".".')
            raise wrong('No valid identifier after ".".' if parts else "")
        if match[1] == "":
            raise wrong("Quoted identifier must not be empty.")
        parts.append(match[2].lower() if match[1] is None else match[1].replace('""', '"'))
        rest = rest[match.end() :].lstrip()
        if not rest.startswith("."):
            break
        rest = rest[1:].lstrip()
    if rest and strict:
        raise wrong()
    return parts


@scalar("parse_ident", [TEXT], NAMES)
@scalar("parse_ident", [TEXT, BOOL], NAMES)
def parse_ident(column: Column, *strict: Column) -> Column:
    """The parts of a qualified name."""
    return each(split_identifiers, column, *strict, type=NAMES)


@scalar(
    "pg_get_keywords",
    [],
    TEXT,
    returns_set=True,
    columns=(("word", TEXT), ("catcode", CHAR), ("barelabel", BOOL), ("catdesc", TEXT), ("baredesc", TEXT)),
)
def pg_get_keywords() -> list[Column]:
    """PostgreSQL's key words and what they are."""
    rows: list[Any] = list(keywords().items())
    return [
        Column.of(TEXT, [word for word, _ in rows]),
        Column.of(CHAR, [ord(kind) for _, (kind, _) in rows]),
        Column.of(BOOL, [bare for _, (_, bare) in rows]),
        Column.of(TEXT, [_KINDS[kind] for _, (kind, _) in rows]),
        Column.of(TEXT, ["can be bare label" if b else "requires AS" for _, (_, b) in rows]),
    ]


@scalar("name", [TEXT], NAME)
def name(column: Column) -> Column:
    """The text cut to a name's 63 bytes."""
    return each(lambda t: t.encode()[:63].decode(errors="ignore"), column, type=NAME)


def called(expression: str) -> str:
    """The function that an expression, as SQL text, is a call of; '' where it is anything else."""
    front, _, rest = expression.partition("(")
    name = front.rpartition(".")[2]
    depth, inside = 1, False
    for at, letter in enumerate(rest if name.isidentifier() else "", 1):
        inside ^= letter == "'"
        if not inside:
            depth += (letter == "(") - (letter == ")")
        if not depth:
            return name.lower() if at == len(rest) else ""
    return ""


_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_INSIDE = re.compile(r"\([^()]*\)|\[[^][]*\]")
_AS_TYPE = re.compile(r"::[\w .]+$")


def operation(expression: str) -> bool:
    """Whether an expression, as SQL text, is an operator's: PostgreSQL writes such a one in parentheses."""
    text, before = _QUOTED.sub("q", expression), ""
    while text != before:
        text, before = _INSIDE.sub("", text), text
    return not text.startswith("CASE") and " " in _AS_TYPE.sub("", text).strip()
