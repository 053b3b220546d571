"""Statements of a text, and errors that point where PostgreSQL's do."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from sql.marks import Literal, mark_of
from sql.parse import parse, parse_expression
from storage.errors import DatabaseError, FeatureNotSupported, SqlSyntaxError, StatementTooComplex


def test_statements_keep_their_places() -> None:
    text = "SELECT 1;; /* ping */ ; SELECT 'a;b' -- end"
    assert [s.text for s in parse(text)] == ["SELECT 1", "SELECT 'a;b'"]
    assert [text[s.start : s.end] for s in parse(text)] == ["SELECT 1", "SELECT 'a;b'"]


@pytest.mark.parametrize("text", ["", ";;", "-- nothing", "/* ping */", " \n"])
def test_nothing_is_no_statement(text: str) -> None:
    assert parse(text) == []


@pytest.mark.parametrize(
    ("text", "near", "position"),
    [
        ("selec 1", '"selec"', 1),
        ("select * from t where a = = 1", '"="', 27),
        ("select a from t where", None, 22),
        ("select (a from t", '"from"', 11),
        ("select 1; select 2 3", '"3"', 20),
        ("select a b c", '"c"', 12),
    ],
)
def test_errors_point_at_a_token(text: str, near: str | None, position: int) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(text)
    where = "at end of input" if near is None else f"at or near {near}"
    assert (caught.value.message, caught.value.position) == (f"syntax error {where}", position)


def test_a_lone_expression() -> None:
    tree = parse_expression("1 + 2")
    assert isinstance(tree, exp.Add)
    literal = mark_of(tree.this, Literal)
    assert literal is not None
    assert literal.token.text == "1"
    for text in ("1, 2", "1 as a", "1 from t", "", "select 1"):
        with pytest.raises(DatabaseError):
            parse_expression(text)


def test_names_with_our_prefixes_are_only_names() -> None:
    (statement,) = parse('select "\x010" from "\x02t"')
    assert [i.this for i in statement.tree.find_all(exp.Identifier)]  # type: ignore[union-attr]


def test_deep_nesting_is_refused_not_fatal() -> None:
    with pytest.raises((StatementTooComplex, SqlSyntaxError)):
        parse("select " + "(" * 5000 + "1" + ")" * 4999)


_TEXT = """select from where a b t ( ) , 1 'x' $1 = <*> :: int [ ] and or not in is null case when then end
    group by order limit join on union all values with as exists array . * - cast distinct having"""
_WORDS = st.sampled_from(_TEXT.split())


@given(st.lists(_WORDS, max_size=14))
def test_any_words_are_parsed_or_refused(words: list[str]) -> None:
    with contextlib.suppress(SqlSyntaxError, FeatureNotSupported, StatementTooComplex):
        parse("select " + " ".join(words))
