"""WITH: the heads of its queries, SEARCH and CYCLE behind them, and the statement that they are for.

    WITH RECURSIVE t (a) AS (...) SEARCH DEPTH FIRST BY a SET s CYCLE a SET c TO 'Y' DEFAULT 'N' USING p

The parser knows the two clauses in a form of its own only, so they do not reach it: the tree gets them
from the writer, by the number of the query.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.tokenizer_core import TokenType as T

from sql.keywords import NO_NAMES
from sql.reading import Reader
from sql.rewriting.place import Frame
from sql.rewriting.writer import Writer, closing, word
from sql.tokens import Kind, Token, near
from sql.typenames import read_interval_modifiers, read_type
from storage.errors import SqlSyntaxError

_STATEMENTS = ("select", "values", "table", "insert", "update", "delete", "merge")


@dataclass(frozen=True)
class Search:
    """SEARCH DEPTH | BREADTH FIRST BY columns SET column, as written."""

    columns: tuple[str, ...]
    sequence: str
    breadth: bool
    position: int


@dataclass(frozen=True)
class Cycle:
    """CYCLE columns SET mark [TO value DEFAULT other] USING path, as written; () of tokens: true, false."""

    columns: tuple[str, ...]
    mark: str
    path: str
    value: tuple[Token, ...]
    default: tuple[Token, ...]
    position: int


@word("with")
def on_with(w: Writer, token: Token) -> bool:
    if w.word_at(1, "ordinality"):
        w.emit(T.WITH, "WITH", token)
        w.emit(T.ORDINALITY, "ORDINALITY", w.tokens[w.index + 1])
        w.operand = True
        w.index += 2
        return True
    if not _may_begin(w):
        raise near(w.text, token)
    w.emit(T.WITH, "WITH", token)
    w.index += 1
    if w.word_at(0, "recursive"):
        w.emit(T.RECURSIVE, "RECURSIVE", w.tokens[w.index])
        w.index += 1
    _head(w)
    return True


def _may_begin(w: Writer) -> bool:
    """Whether a query may begin here: at the start, in parentheses, as the rows of an INSERT."""
    previous = w.peek(-1)
    if previous is None:
        return True
    if previous.is_mark("("):
        _refuse_second(w)
        return True
    depth = 0
    for token in reversed(w.tokens[: w.index]):
        if token.is_mark("("):
            depth -= 1
        elif token.is_mark(")"):
            depth += 1
        if depth < 0:
            return False
        if depth == 0 and token.is_word("into"):
            return not previous.is_word("into")
    return False


def _refuse_second(w: Writer) -> None:
    """Raises SqlSyntaxError where the parentheses opened here are all that a WITH before them is for."""
    first = w.index
    while first and w.tokens[first - 1].is_mark("("):
        first -= 1
    if first != w.begins:
        return
    depth, opened = 0, w.index - first
    for at in range(w.index, len(w.tokens)):
        depth += w.tokens[at].is_mark("(") - w.tokens[at].is_mark(")")
        if depth < 0:
            depth, opened = 0, opened - 1
            after = w.tokens[at + 1] if at + 1 < len(w.tokens) else None
            if after is not None and after.is_word("union", "intersect", "except"):
                return
            if not opened:
                break
    position = w.tokens[w.index].position
    raise SqlSyntaxError("multiple WITH clauses not allowed", position=position)


def _head(w: Writer) -> None:
    """name (columns) AS [NOT] MATERIALIZED (, of the query whose text is next."""
    w.common += 1
    _named(w)
    if w.mark_at(0, "("):
        w.emit(T.L_PAREN, "(", w.tokens[w.index])
        w.index += 1
        _named(w)
        while w.mark_at(0, ","):
            w.emit(T.COMMA, ",", w.tokens[w.index])
            w.index += 1
            _named(w)
        _take(w, T.R_PAREN, ")")
    _take(w, T.ALIAS, "as")
    if w.word_at(0, "not"):
        _take(w, T.NOT, "not")
        _take(w, T.VAR, "materialized")
    elif w.word_at(0, "materialized"):
        _take(w, T.VAR, "materialized")
    opening = w.peek(0)
    _take(w, T.L_PAREN, "(")
    w.frames.append(Frame("common", number=w.common))
    w.comma = opening
    if not (w.word_at(0, "with", *_STATEMENTS) or w.mark_at(0, "(")):
        raise near(w.text, w.peek(0))


def _named(w: Writer) -> None:
    w.emit_name(_column(Reader(w.tokens, w.text, w.index)))
    w.index += 1


def _take(w: Writer, type: T, text: str) -> None:
    """This word or punctuation, for the parser as a token of this type. Raises SqlSyntaxError."""
    token = w.peek(0)
    if token is None or token.text != text or token.kind not in (Kind.WORD, Kind.PUNCTUATION):
        raise near(w.text, token)
    w.emit(type, text.upper(), token)
    w.index += 1


@closing("common")
def behind(w: Writer, frame: Frame) -> None:
    """What stands behind the parenthesis of a query of WITH; the next is its statement, or another query."""
    reader = Reader(w.tokens, w.text, w.index)
    clauses: list[Search | Cycle] = []
    if w.word_at(0, "search"):
        clauses.append(_search(reader))
    if reader.token is not None and reader.token.is_word("cycle"):
        clauses.append(_cycle(reader))
    w.clauses[frame.number] = tuple(clauses)
    w.index = reader.index
    if w.mark_at(0, ","):
        w.emit(T.COMMA, ",", w.tokens[w.index])
        w.index += 1
        _head(w)
        return
    if not (w.word_at(0, *_STATEMENTS) or w.mark_at(0, "(")):
        raise near(w.text, w.peek(0))
    w.begins = w.index


def _search(reader: Reader) -> Search:
    start = reader.index
    reader.must_word("search")
    way = reader.one_of("depth", "breadth")
    if not way:
        raise reader.wrong()
    reader.must_word("first", "by")
    columns = _columns(reader)
    reader.must_word("set")
    position = reader.tokens[start].position
    return Search(columns, _column(reader).text, way == "breadth", position)


def _cycle(reader: Reader) -> Cycle:
    start = reader.index
    reader.must_word("cycle")
    columns = _columns(reader)
    reader.must_word("set")
    mark = _column(reader).text
    value: tuple[Token, ...] = ()
    default: tuple[Token, ...] = ()
    if reader.word("to"):
        value = _constant(reader)
        reader.must_word("default")
        default = _constant(reader)
    reader.must_word("using")
    return Cycle(columns, mark, _column(reader).text, value, default, reader.tokens[start].position)


def _column(reader: Reader) -> Token:
    """A name that a column may have. Raises SqlSyntaxError."""
    token = reader.token
    if token is None or token.is_word(*NO_NAMES):
        raise reader.wrong()
    reader.name()
    return token


def _columns(reader: Reader) -> tuple[str, ...]:
    found = [_column(reader).text]
    while reader.mark(","):
        found.append(_column(reader).text)
    return tuple(found)


def _constant(reader: Reader) -> tuple[Token, ...]:
    """A constant, perhaps of a type: 1, 'a', true, point '(1,1)'. Raises SqlSyntaxError."""
    start, token = reader.index, reader.token
    if token is not None and (
        token.kind not in (Kind.WORD, Kind.QUOTED, Kind.PUNCTUATION, Kind.OPERATOR, Kind.PARAMETER)
        or token.is_word("true", "false", "null")
    ):
        reader.index += 1
        return (token,)
    name, reader.index = read_type(reader.tokens, reader.index, reader.text)
    reader.string()
    if name.names == ("interval",):
        reader.index = read_interval_modifiers(reader.tokens, reader.index, reader.text)[1]
    return tuple(reader.tokens[start : reader.index])
