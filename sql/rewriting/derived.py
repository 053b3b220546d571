"""VALUES in FROM with more than rows, which the parser reads as rows alone.

FROM (VALUES (1), (2) ORDER BY 1 LIMIT 1) x
FROM (SELECT * FROM (VALUES (1), (2)) AS "*VALUES*" ORDER BY 1 LIMIT 1) x
"""

from __future__ import annotations

from sql.keywords import words
from sql.tokens import Kind, Token

_MORE = words("union intersect except order limit offset fetch")


def values_as_queries(tokens: list[Token]) -> list[Token]:
    """The tokens with such a VALUES as the query that it is short for."""
    at = 2
    while at < len(tokens):
        end = _rows_end(tokens, at) if _is_derived(tokens, at) else 0
        if end:
            tokens = [
                *tokens[:at],
                *_before(tokens[at]),
                *tokens[at:end],
                *_behind(tokens[end - 1]),
                *tokens[end:],
            ]
        at += 1
    return tokens


def _is_derived(tokens: list[Token], at: int) -> bool:
    if not tokens[at].is_word("values") or not tokens[at - 1].is_mark("("):
        return False
    before = tokens[at - 2]
    return before.is_word("from", "join", "lateral") or before.is_mark(",")


def _rows_end(tokens: list[Token], at: int) -> int:
    """Where the rows end that begin here, if more than their parenthesis follows; else 0."""
    depth = 0
    for place in range(at + 1, len(tokens)):
        token = tokens[place]
        depth += token.is_mark("(") - token.is_mark(")")
        if depth < 0:
            return 0
        if not depth and token.is_word(*_MORE):
            return place
    return 0


def _before(token: Token) -> list[Token]:
    place = token.start
    word, mark = Kind.WORD, Kind.PUNCTUATION
    kinds = ((word, "select"), (Kind.OPERATOR, "*"), (word, "from"), (mark, "("))
    return [Token(kind, text, place, place) for kind, text in kinds]


def _behind(token: Token) -> list[Token]:
    kinds = ((Kind.PUNCTUATION, ")"), (Kind.WORD, "as"), (Kind.QUOTED, "*VALUES*"))
    return [Token(kind, text, token.end, token.end) for kind, text in kinds]
