"""What the parser is given for what was written: marks in braces, names as they are."""

from __future__ import annotations

import pytest
from sqlglot.tokenizer_core import TokenType

from sql.marks import CollationMark, FunctionMark, Literal, Mark, OperatorMark, ParameterMark, TypeName
from sql.rewrite import MARK, NAME, rewrite
from sql.tokens import lex
from storage.errors import DatabaseError, FeatureNotSupported, SqlSyntaxError


def _shown(mark: Mark) -> str:
    match mark:
        case Literal():
            return repr(mark.token.text)
        case ParameterMark():
            return f"${mark.number}"
        case FunctionMark():
            return ".".join(mark.names) + (f"<{mark.form}>" if mark.form else "")
        case OperatorMark():
            return f"{mark.schema}.{mark.symbol}" if mark.schema else mark.symbol
        case TypeName():
            return f"type {mark}"
        case CollationMark():
            return f"collate {'.'.join(mark.names)}"


def written(text: str) -> str:
    """The rewritten tokens as a line."""
    rewritten = rewrite(lex(text), text)
    words = []
    for token in rewritten.tokens:
        if token.text[:1] == MARK:
            words.append("{" + _shown(rewritten.marks[int(token.text[1:])]) + "}")
        elif token.text[:1] == NAME:
            words.append(token.text[1:])
        elif token.token_type in (TokenType.L_BRACKET, TokenType.L_PAREN):
            words.append("[" if token.token_type is TokenType.L_BRACKET else "(")
        else:
            words.append(token.text)
    return " ".join(words)


CASES = [
    ("v <*> q > 0.7", "v & {<*>} & q > {'0.7'}"),
    ("v <=> $1", "v & {<=>} & {$1}"),
    ("a || b LIKE 'x%' ESCAPE '!'", "a & {||} & b LIKE {'x%'} ESCAPE {'!'}"),
    ("a !~* 'x'", "a & {!~*} & {'x'}"),
    ("a OPERATOR(pg_catalog.~) 'x'", "a & {pg_catalog.~} & {'x'}"),
    ("x::oid[]", "x :: {type oid[]}"),
    ("x :> vector(4, F32)", "x :: {type vector(4,f32)}"),
    ("CAST(x AS numeric(10,2))", "( x ) :: {type numeric(10,2)}"),
    ("date '2026-01-01'", "{'2026-01-01'} :: {type date}"),
    ("timestamp with time zone 'now'", "{'now'} :: {type timestamp with time zone}"),
    ("interval '1' day", "{'1'} :: {type interval(day)}"),
    ('x COLLATE pg_catalog."default"', "x :: {collate pg_catalog.default}"),
    ("EXTRACT(year FROM d)", "{pg_catalog.extract} ( {'year'} , d )"),
    ("SUBSTRING(s FROM 2 FOR 3)", "{substring<substring from for>} ( s , {'2'} , {'3'} )"),
    ("substring(s for 3)", "{substring<substring for>} ( s , {'3'} )"),
    ("TRIM(LEADING 'x' FROM s)", "{trim<trim leading from>} ( {'x'} , s )"),
    ("trim(s)", "{trim} ( s )"),
    ("POSITION('a' IN b)", "{position<position>} ( {'a'} , b )"),
    ("overlay(s placing t from 2 for 1)", "{pg_catalog.overlay} ( s , t , {'2'} , {'1'} )"),
    ("current_user, user", "{current_user<keyword>} ( ) , {user.current_user<keyword>} ( )"),
    ("pg_catalog.version()", "{pg_catalog.version} ( )"),
    ('"Lower"(x)', "{Lower} ( x )"),
    ("x IS NOT UNKNOWN", "x IS NOT {unknown<unknown>}"),
    ("a = ANY(ARRAY[1,2])", "a = {any<quantifier>} ( ARRAY [ {'1'} , {'2'} ] )"),
    ("ARRAY(SELECT 1)", "{array<array>} ( SELECT {'1'} )"),
    ("EXISTS (SELECT 1)", "{exists<exists>} ( SELECT {'1'} )"),
    ("a[:2]", "a [ {<bound>} : {'2'} ]"),
    ("SELECT a AS select, b AS update", "SELECT a AS select , b AS update"),
    ("SELECT ALL a FROM ONLY t", "SELECT a FROM t"),
    ("SELECT a FROM t LIMIT ALL", "SELECT a FROM t"),
    ("FROM a JOIN b ON true", "FROM a INNER JOIN b ON TRUE"),
    ("FETCH FIRST 3 ROWS ONLY", "LIMIT {'3'}"),
    ("FETCH NEXT ROW ONLY", "LIMIT {'1'}"),
    ("OFFSET 2 ROWS", "OFFSET {'2'}"),
    ("ORDER BY a NULLS LAST", "ORDER BY a NULLS LAST"),
    ("SELECT nulls, first, value, date, key FROM t", "SELECT nulls , first , value , date , key FROM t"),
    ("x AT TIME ZONE 'utc'", "x AT TIME ZONE {'utc'}"),
    ("0x3f80", "{'3f80'}"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[c[0][:24] for c in CASES])
def test_rewriting(text: str, expected: str) -> None:
    assert written(text) == expected


@pytest.mark.parametrize(
    ("text", "position"),
    [("SELECT 1 2", 10), ("SELECT a,,b", 10), ("SELECT a, FROM t", 11), ("SELECT f(,a)", 10),
     ("SELECT a IN ()", 14), ("SELECT (a]", 10), ("SELECT $1 $2", 11), ("SELECT 'a' 'b'", 12)],
)  # fmt: skip
def test_what_the_parser_would_let_pass(text: str, position: int) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        rewrite(lex(text), text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SELECT a IS JSON", "IS JSON"),
    ],
)
def test_what_is_not_there_says_so(text: str, what: str) -> None:
    with pytest.raises(FeatureNotSupported) as caught:
        rewrite(lex(text), text)
    assert what in caught.value.message
    assert isinstance(caught.value, DatabaseError)
