"""Words of clauses and statements: WITH, GROUP BY, LIMIT, FETCH, VALUES, JOIN, INSERT, UPDATE."""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType as T

from sql.marks import FunctionMark, Literal
from sql.rewriting.operands import quantifier
from sql.rewriting.place import Frame
from sql.rewriting.writer import Writer, closing, word
from sql.tokens import Kind, Token, near
from storage.errors import SqlSyntaxError


@closing("distinct")
def behind_distinct(w: Writer, frame: Frame) -> None:
    """Behind DISTINCT ON (...) the select list begins."""
    w.operand = False
    w.listing = w.index


@word("default")
def default(w: Writer, token: Token) -> bool:
    if w.word_at(1, "values"):
        if w.mark_at(-1, ")"):
            raise near(w.text, token)
        w.emit(T.DEFAULT, "DEFAULT", token)
    else:
        w.emit_mark(FunctionMark(("default",), token.position, "default"), token)
        w.emit(T.L_PAREN, "(", token)
        w.emit(T.R_PAREN, ")", token, operand=True)
    w.index += 1
    return True


@word("all")
def on_all(w: Writer, token: Token) -> bool:
    previous = w.peek(-1)
    if w.mark_at(1, "(") and not (previous and previous.is_word("union", "intersect", "except", "select")):
        return quantifier(w, token)
    if previous is not None and previous.is_word("limit"):
        w.out.pop()  # LIMIT ALL is no limit
        w.operand = True
    elif w.word_at(-1, "by") and w.word_at(-2, "group"):
        pass  # GROUP BY ALL is what GROUP BY is
    elif previous is None or not previous.is_word("select"):
        if previous is None or not (
            previous.is_word("union", "intersect", "except") or previous.is_mark("(")
        ):
            raise near(w.text, token)
        if not previous.is_mark("("):
            w.emit(T.ALL, "ALL", token)
    w.index += 1
    return True


@word("row", "rows")
def row(w: Writer, token: Token) -> bool:
    if after_offset(w, token):
        return True
    if token.is_word("rows") and w.word_at(1, "from") and w.mark_at(2, "("):
        raise w.unsupported("ROWS FROM", token)
    if w.mark_at(1, "(") and not w.operand:
        w.emit_mark(FunctionMark(("row",), token.position, "row"), token)
        w.index += 1
        return True
    return False


def after_offset(w: Writer, token: Token) -> bool:
    """OFFSET n ROWS: the word says nothing."""
    frame = w.frames[-1]
    if frame.offset and w.operand:
        frame.offset = False
        w.index += 1
        return True
    return False


@word("offset")
def offset(w: Writer, token: Token) -> bool:
    w.frames[-1].offset = True
    return False


@word("values")
def values(w: Writer, token: Token) -> bool:
    previous = w.peek(-1)
    if w.duplicate and w.mark_at(1, "(") and w.mark_at(3, ")"):
        w.emit_name(Token(Kind.WORD, "excluded", token.start, token.end))
        w.emit(T.DOT, ".", w.tokens[w.index + 1])
        w.emit_name(w.tokens[w.index + 2])
        w.index += 4
        return True
    if w.mark_at(1, "(") or (previous is not None and previous.is_word("default")):
        w.emit(T.VALUES, "VALUES", token)
        w.index += 1
        return True
    return False


@word("group", "order", "partition")
def by_pair(w: Writer, token: Token) -> bool:
    """GROUP BY, ORDER BY, PARTITION BY."""
    if not w.word_at(1, "by"):
        if token.is_word("partition"):
            return False
        raise near(w.text, w.peek())
    if w.comma is not None and w.comma.is_mark(","):
        raise near(w.text, token)
    kinds = {"group": T.GROUP_BY, "order": T.ORDER_BY, "partition": T.PARTITION_BY}
    w.emit(kinds[token.text], f"{token.text.upper()} BY", token)
    w.index += 2
    return True


@word("grouping")
def grouping(w: Writer, token: Token) -> bool:
    """GROUPING SETS (...), as a call of a function that has no other name."""
    if not (w.word_at(1, "sets") and w.mark_at(2, "(")):
        return False
    w.emit_mark(FunctionMark(("grouping sets",), token.position, "sets"), token)
    w.index += 2
    return True


@word("nulls")
def nulls(w: Writer, token: Token) -> bool:
    if not w.word_at(1, "first", "last"):
        return False
    w.emit(T.VAR, "NULLS", token)
    w.index += 1
    w.emit(T.VAR, w.tokens[w.index].text.upper(), w.tokens[w.index])
    w.index += 1
    return True


@word("join")
def join(w: Writer, token: Token) -> bool:
    """JOIN alone says INNER: without a word, the parser takes it for a comma."""
    if not w.word_at(-1, "inner", "left", "right", "full", "outer", "cross", "natural"):
        w.emit(T.INNER, "INNER", token)
    return False


@word("using")
def ordered_by(w: Writer, token: Token) -> bool:
    """ORDER BY x USING <, which is ASC, or >, which is DESC."""
    following = w.peek(1)
    if following is not None and following.is_mark("("):
        _refuse_alias(w)
    if following is None or following.kind is not Kind.OPERATOR or not w.operand:
        return False
    if following.text not in ("<", ">"):
        raise w.unsupported(f"ORDER BY ... USING {following.text}", following)
    ascending = following.text == "<"
    w.emit(T.ASC if ascending else T.DESC, "ASC" if ascending else "DESC", token)
    w.index += 2
    return True


def _refuse_alias(w: Writer) -> None:
    """JOIN ... USING (a, b) AS x."""
    end = w.index + 2
    while end < len(w.tokens) and not w.tokens[end].is_mark(")"):
        end += 1
    if end + 1 < len(w.tokens) and w.tokens[end + 1].is_word("as"):
        raise w.unsupported("JOIN ... USING (...) AS", w.tokens[end + 1])


@word("current")
def current(w: Writer, token: Token) -> bool:
    if w.word_at(1, "of") and w.word_at(-1, "where"):
        raise w.unsupported("WHERE CURRENT OF", token)
    return False


@word("collation")
def collation_for(w: Writer, token: Token) -> bool:
    """COLLATION FOR (x), as a call."""
    if not w.word_at(1, "for"):
        return False
    if not w.mark_at(2, "("):
        raise near(w.text, w.peek(2))
    w.emit_mark(FunctionMark(("pg_collation_for",), token.position, "collation"), token)
    w.index += 2
    return True


@word("only")
def only(w: Writer, token: Token) -> bool:
    w.index += 1  # no table has children
    return True


@word("tablesample")
def tablesample(w: Writer, token: Token) -> bool:
    """TABLESAMPLE method (n) REPEATABLE (seed), as TABLESAMPLE x ((method(n), repeatable(seed)))."""
    method = w.peek()
    if not w.operand or method is None or method.kind not in (Kind.WORD, Kind.QUOTED):
        raise near(w.text, method)
    w.emit(T.TABLE_SAMPLE, "TABLESAMPLE", token)
    w.emit(T.VAR, "X", token)
    w.emit(T.L_PAREN, "(", token)
    w.emit(T.L_PAREN, "(", token)
    names = [method.text]
    w.index += 2
    while w.mark_at(0, "."):
        part = w.peek(1)
        if part is None or part.kind not in (Kind.WORD, Kind.QUOTED):
            raise near(w.text, part)
        names.append(part.text)
        w.index += 2
    _sampling(w, tuple(names), method)
    if w.word_at(0, "repeatable"):
        word = w.tokens[w.index]
        w.emit(T.COMMA, ",", word)
        w.index += 1
        _sampling(w, ("repeatable",), word)
    last = w.tokens[w.index - 1]
    w.emit(T.R_PAREN, ")", last)
    w.emit(T.R_PAREN, ")", last, operand=True)
    return True


def _sampling(w: Writer, names: tuple[str, ...], token: Token) -> None:
    """The parentheses of a sampling method or of its seed, with something in them."""
    if not w.mark_at(0, "(") or w.mark_at(1, ")"):
        raise near(w.text, w.peek(1 if w.mark_at(0, "(") else 0))
    w.emit_mark(FunctionMark(names, token.position, "sample"), token)
    depth = len(w.frames)
    while True:
        here = w.peek(0)
        if here is None:
            raise near(w.text, None)
        w.step(here)
        if len(w.frames) == depth:
            return


@word("fetch")
def fetch(w: Writer, token: Token) -> bool:
    """FETCH FIRST n ROWS ONLY, as LIMIT n; WITH TIES as LIMIT ties(n)."""
    if not w.word_at(1, "first", "next"):
        raise near(w.text, w.peek())
    w.emit(T.LIMIT, "LIMIT", token)
    behind = len(w.out)
    w.index += 2
    if w.word_at(0, "row", "rows"):
        one = Token(Kind.NUMBER, "1", token.start, token.end)
        w.emit_mark(Literal(one), token)
    while not w.word_at(0, "row", "rows"):
        here = w.peek(0)
        if here is None:
            raise near(w.text, None)
        w.step(here)
    if w.word_at(1, "with") and w.word_at(2, "ties"):
        counted = w.out[behind:]
        del w.out[behind:]
        w.emit_mark(FunctionMark(("ties",), token.position, "ties"), token)
        w.emit(T.L_PAREN, "(", token)
        w.out += counted
        w.emit(T.R_PAREN, ")", token)
        w.index += 1
    elif not w.word_at(1, "only"):
        raise near(w.text, w.peek(2 if w.word_at(1, "with") else 1))
    w.index += 2
    w.operand = True
    return True


@word("for")
def on_for(w: Writer, token: Token) -> bool:
    if w.frames[-1].kind in ("substring", "overlay"):
        w.separate(token)
        return True
    if w.comma is not None or not w.may_end():
        raise near(w.text, token)
    return locking(w, token)


_STRENGTHS = (("update",), ("no", "key", "update"), ("share",), ("key", "share"))


def locking(w: Writer, token: Token) -> bool:
    """FOR UPDATE OF a, b SKIP LOCKED."""
    if w.word_at(1, "read") and w.word_at(2, "only"):
        w.index += 3  # what every query is
        return True
    for words in _STRENGTHS:
        if all(w.word_at(at, each) for at, each in enumerate(words, 1)):
            break
    else:
        raise near(w.text, w.peek())
    w.emit(T.FOR, "FOR", token)
    w.index += 1
    for each in words:
        w.emit(T.VAR, each.upper(), w.tokens[w.index], operand=True)
        w.index += 1
    if w.word_at(0, "of"):
        w.emit(T.VAR, "OF", w.tokens[w.index])
        w.index += 1
        _locked_names(w)
    for words in (("nowait",), ("skip", "locked")):
        if all(w.word_at(at, each) for at, each in enumerate(words)):
            for each in words:
                w.emit(T.VAR, each.upper(), w.tokens[w.index], operand=True)
                w.index += 1
    if w.word_at(0, "skip", "wait"):
        raise near(w.text, w.peek(1 if w.word_at(0, "skip") else 0))
    return True


def _locked_names(w: Writer) -> None:
    while True:
        name = w.peek(0)
        if name is None or name.kind not in (Kind.WORD, Kind.QUOTED):
            raise near(w.text, name)
        if w.mark_at(1, "."):
            raise SqlSyntaxError("FOR UPDATE must specify unqualified relation names", position=name.position)
        w.emit_name(name)
        w.index += 1
        comma = w.peek(0)
        if comma is None or not comma.is_mark(","):
            return
        w.emit(T.COMMA, ",", comma)
        w.index += 1


@word("delete", "insert", "set", "update")
def statement_word(w: Writer, token: Token) -> bool:
    """INSERT, UPDATE, DELETE, SET where they are verbs."""
    kinds = {"insert": T.INSERT, "update": T.UPDATE, "delete": T.DELETE, "set": T.SET}
    previous = w.peek(-1)
    verb = previous is None or (token.text != "set" and (previous.is_mark("(") or previous.is_word("do")))
    verb = verb or (token.text != "set" and w.index == w.begins)
    if token.is_word("insert"):
        verb = verb and w.word_at(1, "into")
    elif token.is_word("delete"):
        verb = verb and w.word_at(1, "from")
    elif token.is_word("set"):
        verb = w.statement in ("update", "insert", "with") and sets(w, token)
    if not verb:
        return False
    w.emit(kinds[token.text], token.text.upper(), token)
    w.inserts += token.text == "insert"
    w.index += 1
    return True


def sets(w: Writer, token: Token) -> bool:
    following = w.peek()
    behind = w.peek(2)
    if following is None:
        return True
    if following.is_mark("("):
        return True
    named = following.kind in (Kind.WORD, Kind.QUOTED)
    return named and behind is not None and (behind.text in ("=", ".", "["))


@word("variadic")
def variadic(w: Writer, token: Token) -> bool:
    """f(VARIADIC array): the last argument is all that follow, as one array."""
    previous = w.peek(-1)
    if previous is None or not (previous.is_mark("(") or previous.is_mark(",")):
        return False
    w.emit_mark(FunctionMark(("variadic",), token.position, "variadic"), token)
    w.emit(T.FARROW, "=>", token)
    w.index += 1
    return True


@word("do")
def do(w: Writer, token: Token) -> bool:
    w.emit(T.VAR, "DO", token)
    w.index += 1
    if w.word_at(0, "nothing"):
        w.emit(T.VAR, "NOTHING", w.tokens[w.index], operand=True)
        w.index += 1
    return True


@word("conflict")
def conflict(w: Writer, token: Token) -> bool:
    if not _on(w):
        return False
    w.emit(T.VAR, "CONFLICT", token)
    w.index += 1
    if w.word_at(0, "on") and w.word_at(1, "constraint"):
        w.emit(T.ON, "ON", w.tokens[w.index])
        w.emit(T.VAR, "CONSTRAINT", w.tokens[w.index + 1])
        w.index += 2
    elif not (w.mark_at(0, "(") or w.word_at(0, "do")):
        raise near(w.text, w.peek(0))
    return True


def _on(w: Writer) -> bool:
    previous = w.peek(-1)
    return previous is not None and previous.is_word("on") and w.statement in ("insert", "with")


@word("duplicate")
def duplicate(w: Writer, token: Token) -> bool:
    """ON DUPLICATE KEY UPDATE, in which VALUES(a) is excluded.a."""
    if not (_on(w) and w.word_at(1, "key") and w.word_at(2, "update")):
        return False
    for type, text in ((T.VAR, "DUPLICATE"), (T.VAR, "KEY"), (T.UPDATE, "UPDATE")):
        w.emit(type, text, w.tokens[w.index])
        w.index += 1
    w.duplicate = True
    return True


@word("overriding")
def overriding(w: Writer, token: Token) -> bool:
    """OVERRIDING SYSTEM | USER VALUE: the tree gets it from the writer."""
    if not (w.statement in ("insert", "with") and w.word_at(2, "value") and w.word_at(1, "system", "user")):
        return False
    w.overriding[w.inserts] = w.tokens[w.index + 1].text
    w.index += 3
    return True
