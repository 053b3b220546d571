"""Our tokens to those of the parser, with everything it would misread rewritten.

What it reads by rules of its own (constants, function names, types, most operators) becomes an
identifier that stands for a mark (see sql.marks); what PostgreSQL spells in a grammar of its own becomes
a plain form:

    v <*> q > 0.7                v & <*> & q > 0.7       (operators of one precedence, left to right)
    ~ q | 7                      {} & ~ & q & | & 7      (before their only operand: behind an empty one)
    CAST(x AS int[])             (x) :: int[]
    date '2026-01-01'            '2026-01-01' :: date
    x COLLATE "C"                x :: C                  (a collation's mark)
    EXTRACT(year FROM d)         extract('year', d)
    SUBSTRING(s FROM 2 FOR 3)    substring(s, 2, 3)
    TRIM(LEADING 'x' FROM s)     trim('leading', 'x', s)
    POSITION(a IN b)             position(a, b)
    OVERLAY(s PLACING t FROM 2)  overlay(s, t, 2)
    current_user                 current_user()
    pg_catalog.f(x)              f(x)                    (the mark knows the schema)
    IS UNKNOWN                   IS NULL
    FETCH FIRST 3 ROWS ONLY      LIMIT 3
    LIMIT ALL, SELECT ALL, ONLY  (nothing)

Every token of the parser has as its line the index of ours plus 2, so an error finds its place; 1 is
the end of the text. Names go through with a prefix, so that no column called "nulls" is read as grammar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot.tokenizer_core import Token as ParserToken

from sql.marks import Mark
from sql.rewriting import MARK, NAME, Writer
from sql.rewriting.commontables import Cycle, Search
from sql.tokens import Token, near

__all__ = ["MARK", "NAME", "Rewritten", "rewrite"]


@dataclass
class Rewritten:
    """The parser's tokens and the marks that they name."""

    tokens: list[ParserToken]
    marks: list[Mark]
    complete: bool  # the last thing written may end a statement
    closed: bool  # every parenthesis and CASE is, and no comma ends the statement
    overriding: Mapping[int, str]  # 'system' or 'user', by the number of the INSERT
    clauses: Mapping[int, tuple[Search | Cycle, ...]]  # by the number of the query of WITH
    prefixes: bool  # an operator stands before its only operand: see sql.prefixes


def rewrite(tokens: list[Token], text: str) -> Rewritten:
    """The tokens of one statement for the parser. Raises SqlSyntaxError, FeatureNotSupported."""
    writer = Writer(tokens, text)
    writer.run()
    if writer.goes_on():
        raise near(text, None)
    open_end = writer.comma is not None or len(writer.frames) > 1 or writer.cases > 0
    return Rewritten(
        writer.out,
        writer.marks,
        writer.operand,
        not open_end,
        writer.overriding,
        writer.clauses,
        writer.prefixes,
    )
