"""Neighbours that the grammar forbids and the parser takes or forgets: a word too many, one that is missing.

    FROM FROM t        WHERE a IN (1, SELECT 2)        UPDATE t SET SET a = 1        x NOT IS NULL

A rule is asked of the token at the writer's place, before it is written; it tells which token may not stand
where it does.
"""

from __future__ import annotations

from collections.abc import Callable

from sql.keywords import BEHIND_LIST, RESERVED, words
from sql.rewriting.operands import NO_PARENTHESES
from sql.rewriting.writer import CHECKS, Writer
from sql.tokens import Kind, Token, near

Rule = Callable[[Writer, Token], Token | None]
_BEHIND_ROWS = words("order limit offset fetch for union intersect except on returning when")
_SEPARATED = ("substring", "trim", "overlay", "position")
_FORBIDDEN: dict[str, Rule] = {}


def refuse(w: Writer, token: Token) -> None:
    """Raise SqlSyntaxError for a token that may not stand behind the one before it."""
    if w.mark_at(-1, ".") or w.word_at(-1, "as"):
        return  # any word may be a name here
    if token.kind is Kind.WORD or token.kind is Kind.PUNCTUATION:
        rule = _FORBIDDEN.get(token.text)
        if rule is not None:
            refused = rule(w, token)
            if refused is not None:
                raise near(w.text, refused)
    if _behind_row(w, token) or _no_list(w, token):
        raise near(w.text, token)
    named = w.operand  # the word before is a name
    if not named and w.word_at(-1, "from", "join", "into", "update", "only") and _no_relation(w, token):
        raise near(w.text, token)


CHECKS.append(refuse)


def _rule(*texts: str) -> Callable[[Rule], Rule]:
    """What is asked of tokens of these texts."""

    def put(rule: Rule) -> Rule:
        _FORBIDDEN.update(dict.fromkeys(texts, rule))
        return rule

    return put


def _no_list(w: Writer, token: Token) -> bool:
    """Whether the select list that DISTINCT wants has to begin where this token ends it."""
    wanting = w.listing == w.index or (w.word_at(-1, "distinct") and w.word_at(-2, "select"))
    return wanting and token.is_word("into", *BEHIND_LIST)


def _behind_row(w: Writer, token: Token) -> bool:
    """Whether a row of VALUES has something behind it that is no next row and no clause."""
    if w.frames[-1].clause != "values" or not w.mark_at(-1, ")") or w.duplicate:
        return False
    return not (token.is_word(*_BEHIND_ROWS) or token.is_mark(",") or token.is_mark(")"))


def _no_relation(w: Writer, token: Token) -> bool:
    """Whether the name of a relation has to stand where this token does, which begins none."""
    if w.word_at(-1, "update") and w.index != 1:
        return False
    if w.word_at(-1, "from") and not _is_clause(w):
        return False
    if w.word_at(-1, "only"):
        listed = w.mark_at(-2, ",") or w.word_at(-2, "from", "update", "into", "join")
        return listed and token.text in RESERVED
    if token.kind is Kind.WORD:
        called = w.word_at(-1, "from", "join") and token.is_word("cast", *NO_PARENTHESES)
        table = w.word_at(-1, "into") and token.is_word("table")
        allowed = token.is_word("only", "lateral") or called or table
        return token.text in RESERVED and not allowed
    if token.kind is Kind.PUNCTUATION:
        return not token.is_mark("(") or w.word_at(-1, "into", "update")
    return token.kind in (Kind.STRING, Kind.NUMBER)


def _is_clause(w: Writer) -> bool:
    """Whether the FROM before this place is a clause, and no separator."""
    return not (w.word_at(-2, "distinct") or w.frames[-1].kind in _SEPARATED or w.word_at(-4, "extract"))


@_rule("from")
def _from(w: Writer, token: Token) -> Token | None:
    opened = w.mark_at(-1, "(") and w.frames[-1].kind not in _SEPARATED
    wanting = not w.operand and w.word_at(-1, "union", "except", "intersect", "by", "on")
    return token if opened or wanting else None


@_rule("order", "partition", "limit")
def _clause(w: Writer, token: Token) -> Token | None:
    """Behind a parenthesis they stand in windows only, and in WITHIN GROUP."""
    window = w.frames[-1].kind == "over" or w.word_at(-2, "as", "over", "group")
    named = token.is_word("partition") and not w.word_at(1, "by")
    return token if w.mark_at(-1, "(") and not window and not named else None


@_rule("not")
def _not(w: Writer, token: Token) -> Token | None:
    """Between operands it belongs to the word behind it."""
    binary = w.word_at(1, "in", "like", "ilike", "between", "similar")
    return w.peek(1) if w.operand and not binary else None


@_rule("select")
def _select(w: Writer, token: Token) -> Token | None:
    return token if w.mark_at(-1, ",") else None


@_rule("set")
def _set(w: Writer, token: Token) -> Token | None:
    following = w.peek(1)
    assigned = following is not None and following.text in ("=", ".", "[")
    return following if w.word_at(-1, "set") and not assigned else None


@_rule("as")
def _as(w: Writer, token: Token) -> Token | None:
    return token if (w.word_at(-1, "select") and not w.operand) or w.mark_at(-1, ",") else None


@_rule("end")
def _end(w: Writer, token: Token) -> Token | None:
    """It ends a CASE, or is a label of an item of a select list; other names it is none of."""
    listed = w.frames[-1].clause in ("select", "returning")
    if not w.operand:
        return token
    return token if w.cases <= 0 and not listed else None


@_rule("is")
def _is(w: Writer, token: Token) -> Token | None:
    row = w.mark_at(-2, ".")  # t.* IS NULL
    return None if w.operand or row else token


@_rule("[")
def _bracket(w: Writer, token: Token) -> Token | None:
    """ARRAY[...] has to stand in parentheses to be taken apart."""
    return token if w.constructed == w.index else None


@_rule("only")
def _only(w: Writer, token: Token) -> Token | None:
    return token if w.operand and not w.word_at(-1, "row", "rows") else None


@_rule(
    *words(
        """any array both case cast check column constraint create current_date current_role current_time
        current_timestamp current_user false foreign grant leading localtime localtimestamp null primary
        references session_user some trailing true unique user variadic"""
    )
)
def _second(w: Writer, token: Token) -> Token | None:
    """What begins an operand, or has no place in a query, behind an operand: no name of it either."""
    return token if w.operand and not w.is_label(token) else None


@_rule("(")
def _opening(w: Writer, token: Token) -> Token | None:
    return token if w.word_at(-1, "into") else None


@_rule(")")
def _closing(w: Writer, token: Token) -> Token | None:
    return token if w.mark_at(-1, "(") and w.frames[-1].kind == "distinct" else None
