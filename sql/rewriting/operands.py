"""Words inside expressions: ANY, ARRAY, IS, LIKE, COLLATE, CAST, current_user and their kin."""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType as T

from sql.keywords import words
from sql.marks import CollationMark, FunctionMark, Literal, OperatorMark
from sql.rewriting.place import Frame
from sql.rewriting.writer import Writer, word
from sql.tokens import Kind, Token, near

NO_PARENTHESES = words(
    """current_catalog current_date current_role current_schema current_time current_timestamp current_user
    localtime localtimestamp session_user user"""
)
_PRECISE = words("current_time current_timestamp localtime localtimestamp")


@word(*NO_PARENTHESES)
def keyword_call(w: Writer, token: Token) -> bool:
    """current_date and its kin, with and without parentheses; a time's may hold its decimals' number."""
    if w.operand:
        raise near(w.text, token)
    form = "" if w.mark_at(1, "(") else "keyword"
    if token.text in _PRECISE and not form and not w.mark_at(2, ")"):
        digits, end = w.peek(2), w.peek(3)
        for place, fits in (
            (digits, digits is not None and digits.kind is Kind.NUMBER and digits.text.isdecimal()),
            (end, w.mark_at(3, ")")),
        ):
            if not fits:
                raise near(w.text, place)
    name = "current_user" if token.text in ("user", "current_role") and form else token.text
    names = (name,) if name == token.text else (name, token.text)
    w.emit_mark(FunctionMark((*names[1:], name), token.position, form), token)
    if form:
        w.emit(T.L_PAREN, "(", token)
        w.emit(T.R_PAREN, ")", token, operand=True)
    w.index += 1
    return True


@word("any", "some")
def quantifier(w: Writer, token: Token) -> bool:
    if not w.mark_at(1, "("):
        return False
    w.emit_mark(FunctionMark((token.text,), token.position, "quantifier"), token)
    w.index += 1
    return True


@word("exists")
def exists(w: Writer, token: Token) -> bool:
    if not w.mark_at(1, "("):
        return False
    w.emit_mark(FunctionMark(("exists",), token.position, "exists"), token)
    w.index += 1
    return True


@word("array")
def array(w: Writer, token: Token) -> bool:
    if w.mark_at(1, "("):
        w.emit_mark(FunctionMark(("array",), token.position, "array"), token)
        w.index += 1
        return True
    if not w.mark_at(1, "["):
        raise near(w.text, w.peek())
    return False


@word("unknown")
def unknown(w: Writer, token: Token) -> bool:
    if _behind_is(w):
        w.emit_mark(FunctionMark(("unknown",), token.position, "unknown"), token)
        w.index += 1
        return True
    return False


@word("document", "json")
def is_kind(w: Writer, token: Token) -> bool:
    if _behind_is(w):
        raise w.unsupported(f"IS {token.text.upper()}", token)
    return False


@word("normalized", "nfc", "nfd", "nfkc", "nfkd")
def is_normalized(w: Writer, token: Token) -> bool:
    """IS NORMALIZED, IS NFD NORMALIZED; in a call of normalize the form is an argument."""
    named = not token.is_word("normalized")
    if named and w.frames[-1].kind == "normalize" and w.mark_at(-1, ",") and w.mark_at(1, ")"):
        w.emit_mark(Literal(Token(Kind.STRING, token.text, token.start, token.end)), token)
        w.index += 1
        return True
    if not _behind_is(w) or (named and not w.word_at(1, "normalized")):
        return False
    form = token.text if named else "nfc"
    w.emit_mark(FunctionMark(("is_normalized", form), token.position, "normalized"), token)
    w.index += 1 + named
    return True


def _behind_is(w: Writer) -> bool:
    """Whether IS, or IS NOT, stands before the token."""
    return w.word_at(-1, "is") or (w.word_at(-1, "not") and w.word_at(-2, "is"))


@word("collate")
def collate(w: Writer, token: Token) -> bool:
    names, after = [], w.index + 1
    while after < len(w.tokens) and w.tokens[after].kind in (Kind.WORD, Kind.QUOTED):
        names.append(w.tokens[after].text)
        after += 1
        if after >= len(w.tokens) or not w.tokens[after].is_mark("."):
            break
        after += 1
    if not names or not w.operand:
        raise near(w.text, w.tokens[after] if after < len(w.tokens) else None)
    w.emit(T.DCOLON, "::", token)
    w.emit_mark(CollationMark(tuple(names), token.position), token)
    w.index = after
    return True


@word("at")
def at(w: Writer, token: Token) -> bool:
    if not (w.operand and w.word_at(1, "time") and w.word_at(2, "zone")):
        return False
    for part in ("AT", "TIME", "ZONE"):
        w.emit(T.VAR, part, w.tokens[w.index])
        w.index += 1
    return True


@word("between")
def between(w: Writer, token: Token) -> bool:
    w.emit(T.BETWEEN, "BETWEEN", token)
    w.index += 1
    if w.word_at(0, "symmetric", "asymmetric"):
        here = w.tokens[w.index]
        w.emit(T.VAR, here.text.upper(), here)
        w.index += 1
    return True


@word("similar")
def similar(w: Writer, token: Token) -> bool:
    if w.frames[-1].kind == "substring":
        w.separate(token)
        return True
    if not w.word_at(1, "to"):
        raise near(w.text, w.peek())
    w.emit(T.SIMILAR_TO, "SIMILAR TO", token)
    w.index += 2
    return True


@word("escape")
def escape(w: Writer, token: Token) -> bool:
    if not w.operand:
        return False
    if w.frames[-1].kind == "substring":
        w.separate(token)
        return True
    following = w.peek()
    if following is None or following.kind is not Kind.STRING:
        raise w.unsupported("ESCAPE with anything but a string constant", token)
    w.emit(T.ESCAPE, "ESCAPE", token)
    w.index += 1
    return True


@word("operator")
def operator_word(w: Writer, token: Token) -> bool:
    """OPERATOR(schema.symbol)."""
    if not w.mark_at(1, "("):
        return False
    place, schema = 2, ""
    while w.mark_at(place + 1, "."):
        part = w.peek(place)
        schema = part.text if part is not None else ""
        place += 2
    symbol = w.peek(place)
    if symbol is None or symbol.kind is not Kind.OPERATOR or not w.mark_at(place + 1, ")"):
        raise near(w.text, symbol)
    w.other_operator(OperatorMark(symbol.text, symbol.position, schema), token)
    w.index += place + 2
    return True


@word("overlaps")
def overlaps(w: Writer, token: Token) -> bool:
    """(a, b) OVERLAPS (c, d), as an operator of this name."""
    if not w.operand:
        return False
    w.binary(OperatorMark("overlaps", token.position), token)
    w.index += 1
    return True


@word("filter")
def on_filter(w: Writer, token: Token) -> bool:
    previous = w.peek(-1)
    if (
        w.operand
        and previous is not None
        and previous.is_mark(")")
        and w.mark_at(1, "(")
        and w.word_at(2, "where")
    ):
        w.emit(T.FILTER, "FILTER", token)
        w.index += 1
        return True
    return False


@word("within")
def within(w: Writer, token: Token) -> bool:
    """WITHIN GROUP (ORDER BY ...), behind a call."""
    if not (w.operand and w.mark_at(-1, ")") and w.word_at(1, "group")):
        return False
    for place, follows in ((2, w.mark_at(2, "(")), (3, w.word_at(3, "order"))):
        if not follows:
            raise near(w.text, w.peek(place))
    w.emit(T.VAR, "WITHIN", token)
    w.index += 1
    w.emit(T.VAR, "GROUP", w.tokens[w.index])
    w.index += 1
    return True


@word("from")
def on_from(w: Writer, token: Token) -> bool:
    """The separator inside EXTRACT, SUBSTRING, TRIM and OVERLAY; else the clause."""
    if w.word_at(-1, "distinct") and w.word_at(-2, "select"):
        raise near(w.text, token)
    if w.frames[-1].kind in ("substring", "trim", "overlay"):
        w.separate(token)
        return True
    return False


@word("in")
def on_in(w: Writer, token: Token) -> bool:
    if w.frames[-1].kind == "position":
        w.separate(token)
        return True
    return False


@word("placing")
def placing(w: Writer, token: Token) -> bool:
    if w.frames[-1].kind != "overlay":
        raise near(w.text, token)
    w.separate(token)
    return True


@word("cast")
def cast_word(w: Writer, token: Token) -> bool:
    """CAST(x AS type)."""
    if not w.mark_at(1, "("):
        return False
    w.index += 1
    w.emit_open(w.tokens[w.index], Frame("cast", position=token.position))
    w.comma = w.tokens[w.index]
    w.index += 1
    return True


@word("as")
def on_as(w: Writer, token: Token) -> bool:
    if w.frames[-1].kind != "cast":
        return False
    if not w.operand:
        raise near(w.text, token)
    place = w.frames.pop().position
    w.emit(T.R_PAREN, ")", token, operand=True)
    w.cast(token, place)
    if not w.mark_at(0, ")"):
        raise near(w.text, w.peek(0))
    w.index += 1
    return True
