"""Tokens: PostgreSQL's lexical rules, one line each, and texts that are no SQL."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql.tokens import Kind, lex
from storage.errors import DatabaseError, SqlSyntaxError

W, Q, S, H, B = Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.HEX, Kind.BITS
N, P, O, M = Kind.NUMBER, Kind.PARAMETER, Kind.OPERATOR, Kind.PUNCTUATION  # noqa: E741

CASES: list[tuple[str, list[tuple[Kind, str]]]] = [
    ("SELECT Straße ÄÖ", [(W, "select"), (W, "straße"), (W, "ÄÖ")]),
    ('"A b""c"', [(Q, 'A b"c')]),
    ("'it''s'", [(S, "it's")]),
    ("'a'\n  'b'", [(S, "ab")]),
    ("'a' 'b'", [(S, "a"), (S, "b")]),
    (r"E'\t\x41\101\u00e4\'\\'", [(S, "\tAAä'\\")]),
    (r"'\n'", [(S, r"\n")]),
    (r"U&'d\0061t\+000061'", [(S, "data")]),
    (r"U&'d!0061' UESCAPE '!'", [(S, "da")]),
    (r"""U&"d\0061" """, [(Q, "da")]),
    (r"E'\uD83D\uDE00'", [(S, "😀")]),
    ("$$it's$$ $x$ $$ $x$", [(S, "it's"), (S, " $$ ")]),
    ("X'3F80' 0x3f80 B'01' N'x'", [(B, "x3F80"), (H, "3f80"), (B, "b01"), (S, "x")]),
    ("1 1.5 .5 5. 1e3 1.5E-3", [(N, t) for t in ("1", "1.5", ".5", "5.", "1e3", "1.5E-3")]),
    ("$1 $23", [(P, "1"), (P, "23")]),
    ("a=-1", [(W, "a"), (O, "="), (O, "-"), (N, "1")]),
    ("a<-1", [(W, "a"), (O, "<"), (O, "-"), (N, "1")]),
    ("a@-1", [(W, "a"), (O, "@-"), (N, "1")]),
    ("v <*> q <=> r <#> s <+> t", [(W, "v"), (O, "<*>"), (W, "q"), (O, "<=>"), (W, "r"), (O, "<#>"),
                                   (W, "s"), (O, "<+>"), (W, "t")]),
    ("a != b", [(W, "a"), (O, "<>"), (W, "b")]),
    ("x::oid[] :> y", [(W, "x"), (M, "::"), (W, "oid"), (M, "["), (M, "]"), (M, ":>"), (W, "y")]),
    ("a--b\n+c", [(W, "a"), (O, "+"), (W, "c")]),
    ("a/*x/*y*/z*/b", [(W, "a"), (W, "b")]),
    ("1<--x\n2", [(N, "1"), (O, "<"), (N, "2")]),
    ("/* ping */", []),
    ("-- only a comment", []),
    ("j->>'a' #>> '{b}'", [(W, "j"), (O, "->>"), (S, "a"), (O, "#>>"), (S, "{b}")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[c[0][:20] for c in CASES])
def test_tokens(text: str, expected: list[tuple[Kind, str]]) -> None:
    assert [(t.kind, t.text) for t in lex(text)] == expected


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("select 'abc", 'unterminated quoted string at or near "\'abc"', 8),
        ('select "abc', 'unterminated quoted identifier at or near ""abc"', 8),
        ("select /* x", 'unterminated /* comment at or near "/* x"', 8),
        ("select $$x", 'unterminated dollar-quoted string at or near "$$x"', 8),
        ("select x'ab", 'unterminated hexadecimal string literal at or near "x\'ab"', 8),
        ("select 1abc", 'trailing junk after numeric literal at or near "1abc"', 8),
        ('select ""', 'zero-length delimited identifier at or near """"', 8),
        ("select {", 'syntax error at or near "{"', 8),
    ],
)
def test_errors(text: str, message: str, position: int) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        lex(text)
    assert (caught.value.message, caught.value.position) == (message, position)


def test_names_are_cut_to_63_bytes() -> None:
    assert lex("x" * 80)[0].text == "x" * 63
    assert lex('"' + "ä" * 40 + '"')[0].text == "ä" * 31


@given(st.text(alphabet="aE'\"$1.x0-+*/<>=@#:;()[]{}, \n\\uU&é_", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tokens = lex(text)
    except DatabaseError:
        return
    places = [(t.start, t.end) for t in tokens]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(a[1] <= b[0] for a, b in pairwise(places))


def test_a_long_hex_constant_is_one_token() -> None:
    (token,) = lex("0x" + "3f" * 4096)
    assert (token.kind, len(token.text)) == (Kind.HEX, 8192)
