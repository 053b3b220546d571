"""Windows: OVER, the WINDOW clause, and frames, whose grammar is checked here word for word.

The parser keeps no place of a window's parenthesis, which PostgreSQL's errors point at: the OVER token's text
is that place, and a name of the WINDOW clause is a mark that knows it.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType as T

from sql.keywords import RESERVED
from sql.marks import WindowMark
from sql.rewriting.place import Frame
from sql.rewriting.writer import Writer, word
from sql.tokens import Kind, Token, near
from storage.errors import WindowingError

# the parser takes a word of any other kind for the name of a window
_MODES = {"rows": T.ROWS, "range": T.RANGE, "groups": T.ROWS}
_EXCLUSIONS = (("current", "row"), ("group",), ("ties",), ("no", "others"))


@word("over")
def over(w: Writer, token: Token) -> bool:
    """OVER (window) and OVER name, behind a call."""
    previous = w.peek(-1)
    behind = w.peek()
    if not w.operand or previous is None or not previous.is_mark(")"):
        return False
    if behind is None or not (behind.is_mark("(") or _is_name(behind)):
        raise near(w.text, behind)
    w.emit(T.OVER, str(behind.position), token)
    w.index += 1
    if behind.is_mark("("):
        _definition(w)
    else:
        w.emit_name(behind)
        w.index += 1
    return True


@word("window")
def window_clause(w: Writer, token: Token) -> bool:
    """WINDOW name AS (window), ..."""
    if not w.out or not w.may_end():
        return False
    w.emit(T.WINDOW, "WINDOW", token)
    while True:
        w.index += 1
        name = w.peek(0)
        if name is None or not _is_name(name):
            raise near(w.text, name)
        for ahead, found in ((1, w.word_at(1, "as")), (2, w.mark_at(2, "("))):
            if not found:
                raise near(w.text, w.peek(ahead))
        opening = w.tokens[w.index + 2]
        w.emit_mark(WindowMark(name.text, opening.position), name)
        w.emit(T.ALIAS, "AS", w.tokens[w.index + 1])
        w.index += 2
        _definition(w)
        if not w.mark_at(0, ","):
            return True
        w.emit(T.COMMA, ",", w.tokens[w.index])


def _is_name(token: Token) -> bool:
    return token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.text not in RESERVED)


def _definition(w: Writer) -> None:
    """( [name] [PARTITION BY ...] [ORDER BY ...] [frame] )"""
    opening = w.tokens[w.index]
    w.emit_open(opening, Frame("over"))
    w.comma = opening
    w.index += 1
    if not (_at_clause(w) or w.mark_at(0, ")")):
        name = w.peek(0)
        if name is None or not _is_name(name):
            raise near(w.text, name)
        w.emit_name(name)
        w.index += 1
        if not (_at_clause(w) or w.mark_at(0, ")")):
            raise near(w.text, w.peek(0))
    depth = len(w.frames)
    while len(w.frames) >= depth:
        token = w.peek(0)
        if token is None:
            raise near(w.text, None)
        if len(w.frames) == depth and token.is_word(*_MODES) and _at_frame(w):
            _frame(w)
        else:
            w.step(token)


def _at_clause(w: Writer) -> bool:
    return (w.word_at(0, "partition", "order") and w.word_at(1, "by")) or _at_frame(w)


def _at_frame(w: Writer) -> bool:
    """Whether a frame begins here: the words are names elsewhere."""
    behind = w.peek()
    previous = w.peek(-1)
    assert previous is not None
    if not w.word_at(0, *_MODES) or behind is None or behind.is_mark(")") or behind.is_mark(","):
        return False
    return w.operand or previous.is_mark("(") or previous.is_word("asc", "desc", "first", "last")


def _frame(w: Writer) -> None:
    """ROWS | RANGE | GROUPS bound, or BETWEEN bound AND bound; EXCLUDE what."""
    token = w.tokens[w.index]
    w.emit(_MODES[token.text], token.text.upper(), token)
    w.index += 1
    if w.word_at(0, "between"):
        w.emit(T.BETWEEN, "BETWEEN", w.tokens[w.index])
        w.index += 1
        start, end = _bound(w), None
        if not w.word_at(0, "and"):
            raise near(w.text, w.peek(0))
        w.emit(T.AND, "AND", w.tokens[w.index])
        w.index += 1
        end = _bound(w)
    else:
        start, end = _bound(w), None
    _check(start, end)
    if w.word_at(0, "exclude"):
        _exclusion(w)
    if not w.mark_at(0, ")"):
        raise near(w.text, w.peek(0))


_Side = tuple[str, int]  # the words of a bound without its offset, and where it begins


def _bound(w: Writer) -> _Side:
    """UNBOUNDED PRECEDING, CURRENT ROW, offset FOLLOWING and their kin."""
    token = w.peek(0)
    if token is None:
        raise near(w.text, None)
    position = token.position
    if w.word_at(0, "unbounded") and w.word_at(1, "preceding", "following"):
        words = [token.text, w.tokens[w.index + 1].text]
    elif w.word_at(0, "current") and w.word_at(1, "row"):
        words = ["current", "row"]
    else:
        words = [_offset(w)]
    for each in words:
        w.emit(T.VAR, each.upper(), w.tokens[w.index])
        w.index += 1
    return " ".join(words), position


def _offset(w: Writer) -> str:
    """The expression before PRECEDING or FOLLOWING; the word."""
    depth = len(w.frames)
    w.emit(T.L_PAREN, "(", w.tokens[w.index])
    while True:
        token = w.peek(0)
        if token is None:
            raise near(w.text, None)
        if len(w.frames) == depth:
            if w.operand and token.is_word("preceding", "following"):
                w.emit(T.R_PAREN, ")", token)
                return token.text
            if token.is_mark(")") or token.is_mark(","):
                raise near(w.text, token)
        w.step(token)


def _exclusion(w: Writer) -> None:
    """EXCLUDE CURRENT ROW, GROUP, TIES, NO OTHERS."""
    w.emit(T.VAR, "EXCLUDE", w.tokens[w.index])
    w.index += 1
    for words in _EXCLUSIONS:
        if all(w.word_at(ahead, each) for ahead, each in enumerate(words)):
            for each in words:
                w.emit(T.VAR, each.upper(), w.tokens[w.index])
                w.index += 1
            return
    raise near(w.text, w.peek(1 if w.word_at(0, "current", "no") else 0))


def _check(start: _Side, end: _Side | None) -> None:
    """Refuse frames that end before they start, as far as their words tell."""
    first, position = start
    last, behind = end or ("current row", position)
    if first == "unbounded following":
        raise WindowingError("frame start cannot be UNBOUNDED FOLLOWING", position=position)
    if last == "unbounded preceding":
        raise WindowingError("frame end cannot be UNBOUNDED PRECEDING", position=behind)
    if end is None and first == "following":
        raise WindowingError(
            "frame starting from following row cannot end with current row", position=position
        )
    if first == "current row" and last == "preceding":
        raise WindowingError("frame starting from current row cannot have preceding rows", position=behind)
    if first == "following" and last in ("preceding", "current row"):
        raise WindowingError("frame starting from following row cannot have preceding rows", position=behind)
