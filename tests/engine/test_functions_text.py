"""Texts, patterns, quoting and bytes; the answers are PostgreSQL 15's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.functions.quoting import format_text, quote_identifier, quote_string, split_identifiers
from engine.values.regex import translate
from engine.values.regexagreement import agrees
from engine.values.regexmatch import Expression
from engine.values.regextext import python_text
from engine.values.regextree import Options, read
from storage.column import Column
from storage.errors import DatabaseError, InvalidEscapeSequence, InvalidRegularExpression
from storage.types import BYTEA, INT4, TEXT, Type
from tests.engine.calls import apply, one, rows_of


def text(id: str, *values: Any) -> Any:
    """The function of texts and integers."""
    types: list[Type] = [INT4 if isinstance(v, int) else TEXT for v in values]
    return one(f"{id}({','.join(t.name for t in types)})", *zip(types, values, strict=True))


@pytest.mark.parametrize(
    ("id", "values", "answer"),
    [
        ("strpos", ("abc", "c"), 3),
        ("position", ("abc", ""), 1),
        ("substr", ("hello", 0, 3), "he"),
        ("substr", ("hello", -1, 3), "h"),
        ("substring", ("abcdef", 2, 3), "bcd"),
        ("substring", ("foobar", "o(.)b"), "o"),
        ("left", ("hello", -2), "hel"),
        ("right", ("hello", -2), "llo"),
        ("lpad", ("hi", 5, "xy"), "xyxhi"),
        ("lpad", ("hello", 3), "hel"),
        ("rpad", ("hi", 5, "xy"), "hixyx"),
        ("split_part", ("a.b.c", ".", 2), "b"),
        ("split_part", ("a.b.c", ".", -1), "c"),
        ("split_part", ("a.b.c", ".", 9), ""),
        ("initcap", ("hi THOMAS o'brien x_y",), "Hi Thomas O'Brien X_Y"),
        ("translate", ("12345", "143", "ax"), "a2x5"),
        ("ascii", ("",), 0),
        ("overlay", ("Txxxxas", "hom", 2, 4), "Thomas"),
        ("btrim", ("xyxtrimyyx", "xyz"), "trim"),
        ("regexp_replace", ("foobarbaz", "b(..)", r"X\1Y", "g"), "fooXarYXazY"),
        ("regexp_match", ("foobarbequebaz", "(bar)(beque)"), ["bar", "beque"]),
        ("regexp_split_to_array", ("the quick  fox", r"\s+"), ["the", "quick", "fox"]),
        ("like_escape", ("a!%", "!"), "a\\%"),
        ("similar_to_escape", ("a%",), "^(?:a.*)$"),
        ("md5", ("abc",), "900150983cd24fb0d6963f7d28e17f72"),
        ("parse_ident", ('"Foo".bar',), ["Foo", "bar"]),
    ],
)
def test_texts(id: str, values: tuple[Any, ...], answer: Any) -> None:
    assert text(id, *values) == answer


@pytest.mark.parametrize(
    ("id", "values", "state", "words"),
    [
        ("substr", ("hello", 1, -1), "22011", "negative substring length not allowed"),
        ("split_part", ("a", ".", 0), "22023", "field position must not be zero"),
        ("operator ~", ("abc", "b("), "2201B", "invalid regular expression: parentheses () not balanced"),
        ("operator ~", ("abc", "[a"), "2201B", "invalid regular expression: brackets [] not balanced"),
        ("operator ~", ("abc", "*a"), "2201B", "invalid regular expression: quantifier operand invalid"),
        ("operator ~~", ("ab", "a\\"), "22025", "LIKE pattern must not end with escape character"),
        ("decode", ("zz", "hex"), "22023", 'invalid hexadecimal digit: "z"'),
        ("parse_ident", ("a.b c",), "22023", 'string is not a valid identifier: "a.b c"'),
    ],
)
def test_errors(id: str, values: tuple[Any, ...], state: str, words: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        text(id, *values)
    assert (caught.value.sqlstate, caught.value.message) == (state, words)


@pytest.mark.parametrize(
    ("value", "pattern", "found"),
    [
        ("features", "^(features)$", True),
        ("features\n", "^(features)$", False),
        ("a\nb", "a.b", True),
        ("abc", r"\mabc\M", True),
        ("xabc", r"\mabc", False),
        ("abc", r"\yabc\y", True),
        ("a1", "[[:alpha:]][[:digit:]]", True),
        ("a]", "[]]", True),
        ("a-b", "[a-]-", True),
        ("aa", r"(.)\1", True),
        ("ab", r"(.)\1", False),
        ("x{y", "x{y", True),
        ("a.b", "***=a.b", True),
        ("axb", "***=a.b", False),
        ("ABC", "(?i)abc", True),
        ("tab\t", r"\t", True),
        ("é", "é", True),
        ("pg_toast", "^pg_", True),
        ("foo", "(?=o)o", True),
    ],
)
def test_regular_expressions(value: str, pattern: str, found: bool) -> None:
    assert text("operator ~", value, pattern) is found
    column = Column.of(TEXT, [value, None])
    assert apply("operator ~(text,text)", column, (TEXT, pattern), rows=2) == [found, None]
    assert apply("operator !~(text,text)", column, (TEXT, pattern), rows=2) == [not found, None]
    patterns = Column.of(TEXT, [pattern, pattern])
    assert apply("operator ~(text,text)", column, patterns, rows=2) == [found, None]


def test_case_insensitive_and_global() -> None:
    assert text("operator ~*", "FEATURES", "feat") is True
    assert text("operator !~*", "FEATURES", "feat") is False
    assert rows_of("regexp_matches(text,text,text)", (TEXT, "foobarbaz"), (TEXT, "ba."), (TEXT, "g")) == [
        ["bar"],
        ["baz"],
    ]
    assert text("regexp_count", "ababab", "ab") == 3


def _is_like(value: str, pattern: str) -> bool:
    """What LIKE means, letter by letter. Raises InvalidEscapeSequence."""
    if not pattern:
        return not value
    first, rest = pattern[0], pattern[1:]
    if first == "%":
        return any(_is_like(value[start:], rest) for start in range(len(value) + 1))
    if not value:
        return False
    if first == "\\":
        if not rest:
            raise InvalidEscapeSequence("LIKE pattern must not end with escape character")
        return value[0] == rest[0] and _is_like(value[1:], rest[1:])
    return first in ("_", value[0]) and _is_like(value[1:], rest)


@given(st.text("ab_%\\", max_size=6), st.text("ab_%\\", max_size=5))
def test_like_is_the_same_for_columns_and_values(value: str, pattern: str) -> None:
    column = Column.of(TEXT, [value] * 2)
    for patterns in ((TEXT, pattern), Column.of(TEXT, [pattern] * 2)):
        try:
            wanted = [_is_like(value, pattern)] * 2
        except InvalidEscapeSequence:
            with pytest.raises(InvalidEscapeSequence):
                apply("operator ~~(text,text)", column, patterns, rows=2)
        else:
            assert apply("operator ~~(text,text)", column, patterns, rows=2) == wanted


@given(st.text(alphabet="ab.*+?()[]{}|^$\\1d-", max_size=8))
def test_any_pattern_translates_or_is_refused(pattern: str) -> None:
    try:
        translated = translate(pattern)
    except InvalidRegularExpression:
        return
    column = Column.of(TEXT, ["ab", "a.b"])
    by_row = [translated.test(t) for t in ("ab", "a.b")]
    assert apply("operator ~(text,text)", column, (TEXT, pattern), rows=2) == by_row


_LETTERS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "^", "$", "\\y"])
_PATTERNS = st.recursive(
    _LETTERS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda part: f"({part})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?", "+?", "??"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(_PATTERNS, st.text("ab", max_size=8))
def test_where_a_pattern_matches_is_the_same_for_re_and_for_the_automata(pattern: str, value: str) -> None:
    node, groups = read(pattern, Options())
    found = Expression(node).find(value, 0)
    assert (found is not None) == (re.search(python_text(node), value, re.DOTALL) is not None)
    if not agrees(node):
        return
    compiled = re.search(python_text(node), value, re.DOTALL)
    if found is not None and compiled is not None:
        places = [(found.start(n), found.end(n)) for n in range(groups + 1)]
        assert places == [compiled.span(n) for n in range(groups + 1)]


def test_quoting() -> None:
    assert [quote_identifier(n) for n in ("Foo", "foo", "select", 'a"b', "1a", "int")] == [
        '"Foo"', "foo", '"select"', '"a""b"', '"1a"', '"int"',
    ]  # fmt: skip
    assert quote_string("a\\b'c") == "E'a\\\\b''c'"
    assert split_identifiers('a . "b""c"') == ["a", 'b"c']


def test_format() -> None:
    assert format_text("%s %I %L %%", ["a", "B c", None]) == 'a "B c" NULL %'
    assert format_text("%5s|%-5s|%2$s", ["a", "b"]) == "    a|b    |b"
    with pytest.raises(DatabaseError, match=r"too few arguments for format\(\)"):
        format_text("%s", [])
    with pytest.raises(DatabaseError, match='unrecognized format\\(\\) type specifier "q"'):
        format_text("%q", ["1"])


@given(st.binary(max_size=200))
def test_encodings_read_back(raw: bytes) -> None:
    for name in ("hex", "base64", "escape"):
        encoded = one("encode(bytea,text)", (BYTEA, raw), (TEXT, name))
        assert one("decode(text,text)", (TEXT, encoded), (TEXT, name)) == raw


def test_keywords() -> None:
    words = {row[0]: row for row in rows_of("pg_get_keywords()")}
    assert words["select"][3] == "reserved"
    assert words["abort"][2:] == (True, "unreserved", "can be bare label")
