"""Where nodes stand that do not tell: NOT, LIKE, IN, BETWEEN, IS, AT, WHEN, ARRAY and signs.

The parser keeps a place of what has a name, and of operators that carry one (see sql.rewriting). Of the
others the operand behind them has one, and in our tokens the word stands before it: its place is kept in the
node's `meta`, for sql.marks.place_of. A NOT of x NOT LIKE y and its kin has none, but LIKE's is that NOT's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from sqlglot import exp

from sql.marks import position_of
from sql.tokens import Kind, Token


def _first(tree: exp.Expression) -> exp.Expression | None:
    return tree.args.get("query") or next(iter(tree.expressions), None)


_Behind = Callable[[exp.Expression], exp.Expression | None]
_WORDS: dict[type[exp.Expression], tuple[tuple[str, ...], _Behind]] = {
    exp.Like: (("like",), lambda tree: tree.expression),
    exp.ILike: (("ilike",), lambda tree: tree.expression),
    exp.SimilarTo: (("similar",), lambda tree: tree.expression),
    exp.In: (("in",), _first),
    exp.AtTimeZone: (("at",), lambda tree: tree.args["zone"]),
    exp.Between: (("between",), lambda tree: tree.args["low"]),
    exp.If: (("when",), lambda tree: tree.this),
    exp.NullSafeEQ: (("is",), lambda tree: tree.expression),
    exp.NullSafeNEQ: (("is",), lambda tree: tree.expression),
}
_PREFIXES: dict[type[exp.Expression], tuple[str, ...]] = {
    exp.Neg: ("-",),
    exp.BitwiseNot: ("+",),
    exp.Not: ("not",),
}
KINDS = (*_WORDS, *_PREFIXES, exp.Array)


def put(tree: exp.Expression, tokens: Sequence[Token]) -> exp.Expression:
    """The tree, in which these nodes know where they stand."""
    starts = [token.position for token in tokens]
    found: list[exp.Expression] = list(tree.find_all(*KINDS))
    for node in found[::-1]:  # the inner ones first
        place = _place(node, tokens, starts)
        if place:
            node.meta["place"] = place
    return tree


def _place(node: exp.Expression, tokens: Sequence[Token], starts: list[int]) -> int:
    if isinstance(node, exp.Array):
        return _array(node, tokens, starts)
    prefix = _PREFIXES.get(type(node))
    words, behind = (prefix, node.this) if prefix else _behind(node)
    begin = position_of(behind)
    at = bisect_left(starts, begin) - 1
    while at >= 0 and not _is(tokens[at], words):
        if prefix and not tokens[at].is_mark("("):
            return 0
        at -= 1
    if begin == 0 or at < 0:
        return 0
    if prefix is None and at and tokens[at - 1].is_word("not"):
        at -= 1
    return tokens[at].position


def _behind(node: exp.Expression) -> tuple[tuple[str, ...], exp.Expression | None]:
    words, behind = _WORDS[type(node)]
    return words, behind(node)


def _is(token: Token, words: tuple[str, ...]) -> bool:
    return token.kind in (Kind.WORD, Kind.OPERATOR) and token.text in words


def _array(node: exp.Array, tokens: Sequence[Token], starts: list[int]) -> int:
    """The word ARRAY, or of an array in another one its bracket."""
    at = bisect_left(starts, position_of(next(iter(node.expressions), None))) - 1
    while at >= 0 and tokens[at].is_mark("("):
        at -= 1
    if at < 0 or not tokens[at].is_mark("["):
        return 0
    return tokens[at - 1].position if at and tokens[at - 1].is_word("array") else tokens[at].position
