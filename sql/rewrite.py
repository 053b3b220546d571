"""Our tokens to those of the parser, with everything it would misread rewritten.

What it reads by rules of its own (constants, function names, types, most operators) becomes an
identifier that stands for a mark (see sql.marks); what PostgreSQL spells in a grammar of its own becomes
a plain form:

    v <*> q > 0.7                v & <*> & q > 0.7       (operators of one precedence, left to right)
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

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot.tokenizer_core import Token as ParserToken
from sqlglot.tokenizer_core import TokenType as T

from sql.keywords import RESERVED, TYPE_OR_FUNCTION, words
from sql.marks import CollationMark, FunctionMark, Literal, Mark, OperatorMark, ParameterMark, TypeName
from sql.tokens import Kind, Token, near
from sql.typenames import read_interval_fields, read_type, starts_type
from storage.errors import DatabaseError, FeatureNotSupported, SqlSyntaxError

NAME, MARK = "\x02", "\x01"

_CONSTANTS = (Kind.STRING, Kind.NUMBER, Kind.HEX, Kind.BITS)
_NATIVE = {
    "+": T.PLUS,
    "-": T.DASH,
    "*": T.STAR,
    "/": T.SLASH,
    "%": T.MOD,
    "^": T.CARET,
    "=": T.EQ,
    "<": T.LT,
    ">": T.GT,
    "<=": T.LTE,
    ">=": T.GTE,
    "<>": T.NEQ,
}
_PUNCTUATION = {
    "(": T.L_PAREN,
    ")": T.R_PAREN,
    "[": T.L_BRACKET,
    "]": T.R_BRACKET,
    ",": T.COMMA,
    ".": T.DOT,
    ":": T.COLON,
}
# Words that mean the same to the parser wherever they stand unquoted.
_WORDS = {
    word: getattr(T, word.upper())
    for word in words("""and any array asc case cross desc distinct else end except false from full having in
    inner intersect into is join lateral left like ilike limit natural not null offset on or outer returning
    right select table then true union using when where window with as isnull notnull""")
    if hasattr(T, word.upper())
}
_WORDS |= {"as": T.ALIAS, "isnull": T.ISNULL, "notnull": T.NOTNULL}
_NO_PARENTHESES = words(
    """current_catalog current_date current_role current_time current_timestamp current_user localtime
    localtimestamp session_user user"""
)
# Words of the grammar that begin no operand: nothing but these may follow a list's end.
_ENDS = words(
    """from where group having order limit offset fetch union intersect except for window returning on using
    join inner left right full cross natural as when then else end and or is in like ilike asc desc into
    to"""
)
_UNSUPPORTED = {
    "overlaps": "OVERLAPS",
    "tablesample": "TABLESAMPLE",
    "grouping": "GROUPING",
    "xmlelement": "xmlelement",
    "xmlforest": "xmlforest",
    "xmltable": "xmltable",
    "treat": "TREAT",
}


@dataclass
class _Frame:
    """An open parenthesis: what it belongs to, and what to write when it closes."""

    kind: str = ""
    bracket: bool = False
    closing: Callable[[], None] | None = None
    offset: bool = False  # an OFFSET clause is being read: ROWS may follow
    fetched: bool = False


@dataclass
class Rewritten:
    """The parser's tokens and the marks that they name."""

    tokens: list[ParserToken]
    marks: list[Mark]
    complete: bool  # the last thing written may end a statement
    closed: bool  # every parenthesis is, and no comma ends the statement


def rewrite(tokens: list[Token], text: str) -> Rewritten:
    """The tokens of one statement for the parser. Raises SqlSyntaxError, FeatureNotSupported."""
    rewriter = _Rewriter(tokens, text)
    rewriter.run()
    open_end = rewriter.comma is not None or len(rewriter.frames) > 1
    return Rewritten(rewriter.out, rewriter.marks, rewriter.operand, not open_end)


class _Rewriter:
    def __init__(self, tokens: list[Token], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.index = 0
        self.out: list[ParserToken] = []
        self.marks: list[Mark] = []
        self.frames: list[_Frame] = [_Frame()]
        self.operand = False  # the last thing written ends an operand
        self.comma: Token | None = None  # the last thing written is a comma or an opening
        first = tokens[0].text if tokens and tokens[0].kind is Kind.WORD else ""
        self.statement = first

    def run(self) -> None:
        while self.index < len(self.tokens):
            self._step(self.tokens[self.index])

    # writing

    def emit(self, type: T, text: str, token: Token, *, operand: bool = False) -> None:
        line = self.index + 2
        self.out.append(ParserToken(type, text, line, 1, token.start, token.end - 1))
        self.operand = operand
        self.comma = None

    def emit_mark(self, mark: Mark, token: Token) -> None:
        """A mark, as an identifier of its own."""
        self.emit(T.IDENTIFIER, f"{MARK}{len(self.marks)}", token, operand=True)
        self.marks.append(mark)

    def emit_name(self, token: Token) -> None:
        self.emit(T.IDENTIFIER, NAME + token.text, token, operand=True)

    def emit_open(self, token: Token, frame: _Frame) -> None:
        self.emit(T.L_BRACKET if frame.bracket else T.L_PAREN, "(", token)
        self.frames.append(frame)

    # reading

    def peek(self, ahead: int = 1) -> Token | None:
        place = self.index + ahead
        return self.tokens[place] if 0 <= place < len(self.tokens) else None

    def word_at(self, ahead: int, *words: str) -> bool:
        token = self.peek(ahead)
        return token is not None and token.is_word(*words)

    def mark_at(self, ahead: int, mark: str) -> bool:
        token = self.peek(ahead)
        return token is not None and token.is_mark(mark)

    def unsupported(self, what: str, token: Token) -> DatabaseError:
        return FeatureNotSupported(f"{what} is not supported", position=token.position)

    # one token, or what belongs together

    def _step(self, token: Token) -> None:
        match token.kind:
            case Kind.WORD:
                self._word(token)
            case Kind.QUOTED:
                self._name(token)
            case Kind.OPERATOR:
                self._operator(token)
            case Kind.PUNCTUATION:
                self._punctuation(token)
            case Kind.PARAMETER:
                self._before_operand(token)
                self.emit_mark(ParameterMark(int(token.text), token.position), token)
                self.index += 1
            case _:
                self._before_operand(token)
                self._constant(token)
                self.index += 1

    def _constant(self, token: Token) -> None:
        previous = self.peek(-1)
        if previous is not None and previous.is_word("escape"):
            # the only place where the grammar wants a string and no expression
            self.emit(T.STRING, f"{MARK}{len(self.marks)}", token, operand=True)
            self.marks.append(Literal(token))
            return
        self.emit_mark(Literal(token), token)

    def _before_operand(self, token: Token) -> None:
        """A constant behind a finished operand is an error that the parser would take for an alias."""
        if self.operand:
            raise near(self.text, token)

    def _punctuation(self, token: Token) -> None:
        match token.text:
            case "(":
                self.emit_open(token, _Frame())
                self.comma = token
            case "[":
                self.emit_open(token, _Frame(bracket=True))
                self.comma = token
                if self.mark_at(1, ":"):  # a[:2], which the parser would take for a placeholder
                    self.emit_mark(FunctionMark(("",), token.position, "bound"), token)
            case ")" | "]":
                self._close(token)
            case ",":
                if self.comma is not None or not self.out or not self._may_end():
                    raise near(self.text, token)
                self.emit(T.COMMA, ",", token)
                self.comma = token
            case "::" | ":>":
                self._cast(token)
                return
            case ":" if self.frames[-1].bracket:
                self.emit(T.COLON, ":", token)
            case ".":
                self.emit(T.DOT, ".", token)
            case "=>" | ":=":
                raise self.unsupported("named argument notation", token)
            case _:
                raise near(self.text, token)
        self.index += 1

    def _may_end(self) -> bool:
        """Whether what was written last may stand before a comma or a closing parenthesis."""
        return self.operand or self.out[-1].token_type in (T.STAR, T.ASC, T.DESC, T.VAR, T.COLON)

    def _close(self, token: Token) -> None:
        frame = self.frames[-1]
        opened = self.comma is not None and not self.comma.is_mark(",")
        if len(self.frames) == 1 or frame.bracket is not (token.text == "]"):
            raise near(self.text, token)
        if not opened and not self._may_end():
            raise near(self.text, token)
        if frame.kind == "cast" or (opened and self.word_at(-2, "in")):
            raise near(self.text, token)
        self.frames.pop()
        if frame.closing is not None:
            frame.closing()
            return
        self.emit(T.R_BRACKET if frame.bracket else T.R_PAREN, token.text, token, operand=True)

    def _cast(self, token: Token) -> None:
        self.emit(T.DCOLON, "::", token)
        name, after = read_type(self.tokens, self.index + 1, self.text)
        self.emit_mark(name, self.tokens[self.index + 1])
        self.index = after

    def _operator(self, token: Token) -> None:
        symbol = token.text
        if symbol == "!" and self.mark_at(1, ":>"):
            raise self.unsupported("the operator !:>", token)
        if symbol in _NATIVE:
            if self.comma is not None and self.comma.is_mark(",") and symbol not in "+-*":
                raise near(self.text, token)
            binary = self.operand
            self.emit(_NATIVE[symbol], symbol, token)
            if binary:
                self.out[-1] = _with_place(self.out[-1], token)
        elif self.operand:
            self._binary(OperatorMark(symbol, token.position), token)
        elif symbol == "~":
            self.emit(T.TILDE, symbol, token)
        else:
            raise self.unsupported(f"the prefix operator {symbol}", token)
        self.index += 1

    def _binary(self, mark: OperatorMark, token: Token) -> None:
        self.emit(T.AMP, "&", token)
        self.emit_mark(mark, token)
        self.emit(T.AMP, "&", token)

    # words

    def _word(self, token: Token) -> None:
        previous = self.peek(-1)
        word = token.text
        if previous is not None and previous.is_mark("."):
            self._name(token)
            return
        if previous is not None and previous.is_word("as") and not self._is_as_grammar(token):
            self._label(token)
            return
        handler = _HANDLERS.get(word)
        if handler is not None and handler(self, token):
            return
        if word == "grouping" and self.word_at(1, "sets"):
            raise self.unsupported("GROUP BY GROUPING SETS", token)
        if word in _UNSUPPORTED and (word in TYPE_OR_FUNCTION or self.mark_at(1, "(")):
            raise self.unsupported(_UNSUPPORTED[word], token)
        native = _WORDS.get(word)
        if native is not None:
            self._native(native, token)
            return
        if word in RESERVED:
            raise near(self.text, token)
        if starts_type(token) and self._typed_constant(token):
            return
        self._name(token)

    def _native(self, type: T, token: Token) -> None:
        if token.text in _ENDS and self.comma is not None and self.comma.is_mark(","):
            raise near(self.text, token)
        self.emit(type, token.text.upper(), token, operand=token.text in ("null", "true", "false", "end"))
        if token.text == "end":
            self.operand = True
        if token.text in ("isnull", "notnull"):
            self.operand = True
        self.index += 1

    def _is_as_grammar(self, token: Token) -> bool:
        """AS MATERIALIZED ( and AS NOT MATERIALIZED (, of WITH."""
        if token.is_word("materialized"):
            return self.mark_at(1, "(")
        return token.is_word("not") and self.word_at(1, "materialized") and self.mark_at(2, "(")

    def _label(self, token: Token) -> None:
        """The name behind AS, which may be any word."""
        self.emit_name(token)
        self.index += 1

    def _name(self, token: Token) -> None:
        """A name: of a column, a table or, where a parenthesis follows, a function."""
        names, after = [token.text], self.index + 1
        place = self.index
        while after + 1 < len(self.tokens) and self.tokens[after].is_mark("."):
            part = self.tokens[after + 1]
            if part.kind not in (Kind.WORD, Kind.QUOTED):
                break
            names.append(part.text)
            after += 2
        called = after < len(self.tokens) and self.tokens[after].is_mark("(")
        previous = self.peek(-1)
        if called and previous is not None and previous.is_word("into"):
            called = False  # INSERT INTO t (a, b)
        dotted = previous is not None and previous.is_mark(".")
        if self.operand and previous is not None and previous.is_mark(")") and token.is_word("over"):
            nearest = self.peek()
            if nearest is not None and (nearest.is_mark("(") or nearest.kind in (Kind.WORD, Kind.QUOTED)):
                raise FeatureNotSupported("window functions are not supported", position=token.position)
        if called and not dotted:
            self.emit_mark(FunctionMark(tuple(names), token.position), token)
            self.index = after
            if len(names) == 1 and token.kind is Kind.WORD and token.text in _CALLS:
                _CALLS[token.text](self, place)
            return
        self.emit_name(token)
        self.index += 1

    def _typed_constant(self, token: Token) -> bool:
        """date '...' and its kin, as a cast."""
        if self.operand:
            return False
        try:
            name, after = read_type(self.tokens, self.index, self.text)
        except SqlSyntaxError:
            return False
        if after >= len(self.tokens) or self.tokens[after].kind is not Kind.STRING or name.arrays:
            return False
        constant = self.tokens[after]
        self.index = after
        if name.names == ("interval",):
            fields, after_fields = read_interval_fields(self.tokens, after + 1)
            if fields:
                name = TypeName(name.names, name.position, (fields, *name.modifiers), 0)
                after = after_fields - 1
        self.emit_mark(Literal(constant), constant)
        self.emit(T.DCOLON, "::", constant)
        self.emit_mark(name, token)
        self.index = after + 1
        return True

    # words with a grammar of their own: true where they have been dealt with

    def _keyword_call(self, token: Token) -> bool:
        """current_date and its kin, with and without parentheses."""
        if self.operand:
            raise near(self.text, token)
        form = "" if self.mark_at(1, "(") else "keyword"
        name = "current_user" if token.text in ("user", "current_role") and form else token.text
        names = (name,) if name == token.text else (name, token.text)
        self.emit_mark(FunctionMark((*names[1:], name), token.position, form), token)
        if form:
            self.emit(T.L_PAREN, "(", token)
            self.emit(T.R_PAREN, ")", token, operand=True)
        self.index += 1
        return True

    def _default(self, token: Token) -> bool:
        if self.word_at(1, "values"):
            self.emit(T.DEFAULT, "DEFAULT", token)
        else:
            self.emit_mark(FunctionMark(("default",), token.position, "default"), token)
            self.emit(T.L_PAREN, "(", token)
            self.emit(T.R_PAREN, ")", token, operand=True)
        self.index += 1
        return True

    def _all(self, token: Token) -> bool:
        previous = self.peek(-1)
        if self.mark_at(1, "(") and not (
            previous and previous.is_word("union", "intersect", "except", "select")
        ):
            return self._quantifier(token)
        if previous is not None and previous.is_word("limit"):
            self.out.pop()  # LIMIT ALL is no limit
            self.operand = True
        elif previous is None or not previous.is_word("select"):
            if previous is None or not (
                previous.is_word("union", "intersect", "except") or previous.is_mark("(")
            ):
                raise near(self.text, token)
            if not previous.is_mark("("):
                self.emit(T.ALL, "ALL", token)
        self.index += 1
        return True

    def _quantifier(self, token: Token) -> bool:
        if not self.mark_at(1, "("):
            return False
        self.emit_mark(FunctionMark((token.text,), token.position, "quantifier"), token)
        self.index += 1
        return True

    def _exists(self, token: Token) -> bool:
        if not self.mark_at(1, "("):
            return False
        self.emit_mark(FunctionMark(("exists",), token.position, "exists"), token)
        self.index += 1
        return True

    def _array(self, token: Token) -> bool:
        if self.mark_at(1, "("):
            self.emit_mark(FunctionMark(("array",), token.position, "array"), token)
            self.index += 1
            return True
        if not self.mark_at(1, "["):
            raise near(self.text, self.peek())
        return False

    def _row(self, token: Token) -> bool:
        if self._after_offset(token):
            return True
        if self.mark_at(1, "(") and not self.operand:
            self.emit_mark(FunctionMark(("row",), token.position, "row"), token)
            self.index += 1
            return True
        return False

    def _after_offset(self, token: Token) -> bool:
        """OFFSET n ROWS: the word says nothing."""
        frame = self.frames[-1]
        if frame.offset and self.operand:
            frame.offset = False
            self.index += 1
            return True
        return False

    def _offset(self, token: Token) -> bool:
        self.frames[-1].offset = True
        return False

    def _values(self, token: Token) -> bool:
        previous = self.peek(-1)
        if self.mark_at(1, "(") or (previous is not None and previous.is_word("default")):
            self.emit(T.VALUES, "VALUES", token)
            self.index += 1
            return True
        return False

    def _by_pair(self, token: Token) -> bool:
        """GROUP BY, ORDER BY, PARTITION BY."""
        if not self.word_at(1, "by"):
            if token.is_word("partition"):
                return False
            raise near(self.text, self.peek())
        if self.comma is not None and self.comma.is_mark(","):
            raise near(self.text, token)
        kinds = {"group": T.GROUP_BY, "order": T.ORDER_BY, "partition": T.PARTITION_BY}
        self.emit(kinds[token.text], f"{token.text.upper()} BY", token)
        self.index += 2
        return True

    def _nulls(self, token: Token) -> bool:
        if not self.word_at(1, "first", "last"):
            return False
        self.emit(T.VAR, "NULLS", token)
        self.index += 1
        self.emit(T.VAR, self.tokens[self.index].text.upper(), self.tokens[self.index])
        self.index += 1
        return True

    def _with(self, token: Token) -> bool:
        if self.word_at(1, "ordinality"):
            self.emit(T.WITH, "WITH", token)
            self.emit(T.ORDINALITY, "ORDINALITY", self.tokens[self.index + 1])
            self.operand = True
            self.index += 2
            return True
        if self.word_at(1, "recursive"):
            self.emit(T.WITH, "WITH", token)
            self.emit(T.RECURSIVE, "RECURSIVE", self.tokens[self.index + 1])
            self.index += 2
            return True
        return False

    def _join(self, token: Token) -> bool:
        """JOIN alone says INNER: without a word, the parser takes it for a comma."""
        if not self.word_at(-1, "inner", "left", "right", "full", "outer", "cross", "natural"):
            self.emit(T.INNER, "INNER", token)
        return False

    def _materialized(self, token: Token) -> bool:
        previous = self.peek(-1)
        if previous is not None and previous.is_word("as", "not") and self.mark_at(1, "("):
            self.emit(T.VAR, "MATERIALIZED", token)
            self.index += 1
            return True
        return False

    def _only(self, token: Token) -> bool:
        self.index += 1  # no table has children
        return True

    def _fetch(self, token: Token) -> bool:
        """FETCH FIRST n ROWS ONLY, as LIMIT n."""
        if not self.word_at(1, "first", "next"):
            raise near(self.text, self.peek())
        self.emit(T.LIMIT, "LIMIT", token)
        self.index += 2
        if self.word_at(0, "row", "rows"):
            one = Token(Kind.NUMBER, "1", token.start, token.end)
            self.emit_mark(Literal(one), token)
        while not self.word_at(0, "row", "rows"):
            here = self.peek(0)
            if here is None:
                raise near(self.text, None)
            self._step(here)
        if self.word_at(1, "with"):
            raise self.unsupported("FETCH ... WITH TIES", token)
        if not self.word_at(1, "only"):
            raise near(self.text, self.peek())
        self.index += 2
        self.operand = True
        return True

    def _unknown(self, token: Token) -> bool:
        previous = self.peek(-1)
        if previous is not None and (
            previous.is_word("is") or (previous.is_word("not") and self.word_at(-2, "is"))
        ):
            self.emit(T.NULL, "NULL", token, operand=True)
            self.index += 1
            return True
        return False

    def _is_kind(self, token: Token) -> bool:
        previous = self.peek(-1)
        if previous is not None and (
            previous.is_word("is") or (previous.is_word("not") and self.word_at(-2, "is"))
        ):
            raise self.unsupported(f"IS {token.text.upper()}", token)
        return False

    def _collate(self, token: Token) -> bool:
        names, after = [], self.index + 1
        while after < len(self.tokens) and self.tokens[after].kind in (Kind.WORD, Kind.QUOTED):
            names.append(self.tokens[after].text)
            after += 1
            if after >= len(self.tokens) or not self.tokens[after].is_mark("."):
                break
            after += 1
        if not names or not self.operand:
            raise near(self.text, self.tokens[after] if after < len(self.tokens) else None)
        self.emit(T.DCOLON, "::", token)
        self.emit_mark(CollationMark(tuple(names), token.position), token)
        self.index = after
        return True

    def _at(self, token: Token) -> bool:
        if not (self.operand and self.word_at(1, "time") and self.word_at(2, "zone")):
            return False
        for word in ("AT", "TIME", "ZONE"):
            self.emit(T.VAR, word, self.tokens[self.index])
            self.index += 1
        return True

    def _between(self, token: Token) -> bool:
        self.emit(T.BETWEEN, "BETWEEN", token)
        self.index += 1
        if self.word_at(0, "symmetric", "asymmetric"):
            here = self.tokens[self.index]
            self.emit(T.VAR, here.text.upper(), here)
            self.index += 1
        return True

    def _similar(self, token: Token) -> bool:
        if not self.word_at(1, "to"):
            raise near(self.text, self.peek())
        self.emit(T.SIMILAR_TO, "SIMILAR TO", token)
        self.index += 2
        return True

    def _escape(self, token: Token) -> bool:
        if not self.operand:
            return False
        following = self.peek()
        if following is None or following.kind is not Kind.STRING:
            raise self.unsupported("ESCAPE with anything but a string constant", token)
        self.emit(T.ESCAPE, "ESCAPE", token)
        self.index += 1
        return True

    def _operator_word(self, token: Token) -> bool:
        """OPERATOR(schema.symbol)."""
        if not self.mark_at(1, "("):
            return False
        place, schema = 2, ""
        while self.mark_at(place + 1, "."):
            part = self.peek(place)
            schema = part.text if part is not None else ""
            place += 2
        symbol = self.peek(place)
        if symbol is None or symbol.kind is not Kind.OPERATOR or not self.mark_at(place + 1, ")"):
            raise near(self.text, symbol)
        if not self.operand:
            raise self.unsupported("a prefix operator written with OPERATOR()", token)
        self._binary(OperatorMark(symbol.text, symbol.position, schema), token)
        self.index += place + 2
        return True

    def _filter(self, token: Token) -> bool:
        previous = self.peek(-1)
        if (
            self.operand
            and previous is not None
            and previous.is_mark(")")
            and self.mark_at(1, "(")
            and self.word_at(2, "where")
        ):
            self.emit(T.FILTER, "FILTER", token)
            self.index += 1
            return True
        return False

    def _within(self, token: Token) -> bool:
        if self.operand and self.word_at(1, "group"):
            raise self.unsupported("WITHIN GROUP", token)
        return False

    def _for(self, token: Token) -> bool:
        if self.frames[-1].kind in ("substring", "overlay"):
            self._separate(token)
            return True
        raise self.unsupported("SELECT ... FOR UPDATE or SHARE", token)

    def _from(self, token: Token) -> bool:
        """The separator inside EXTRACT, SUBSTRING, TRIM and OVERLAY; else the clause."""
        if self.frames[-1].kind in ("substring", "trim", "overlay"):
            self._separate(token)
            return True
        return False

    def _in(self, token: Token) -> bool:
        if self.frames[-1].kind == "position":
            self._separate(token)
            return True
        return False

    def _placing(self, token: Token) -> bool:
        if self.frames[-1].kind != "overlay":
            raise near(self.text, token)
        self._separate(token)
        return True

    def _separate(self, token: Token) -> None:
        if not self.operand:
            raise near(self.text, token)
        self.emit(T.COMMA, ",", token)
        self.comma = Token(Kind.PUNCTUATION, ",", token.start, token.end)
        self.index += 1

    def _cast_word(self, token: Token) -> bool:
        """CAST(x AS type)."""
        if not self.mark_at(1, "("):
            return False
        self.index += 1
        self.emit_open(self.tokens[self.index], _Frame("cast"))
        self.comma = self.tokens[self.index]
        self.index += 1
        return True

    def _as(self, token: Token) -> bool:
        if self.frames[-1].kind != "cast":
            return False
        if not self.operand:
            raise near(self.text, token)
        self.frames.pop()
        self.emit(T.R_PAREN, ")", token, operand=True)
        self._cast(token)
        if not self.mark_at(0, ")"):
            raise near(self.text, self.peek(0))
        self.index += 1
        return True

    def _statement_word(self, token: Token) -> bool:
        """INSERT, UPDATE, DELETE, SET where they are verbs."""
        kinds = {"insert": T.INSERT, "update": T.UPDATE, "delete": T.DELETE, "set": T.SET}
        previous = self.peek(-1)
        verb = previous is None or (token.text != "set" and (previous.is_mark("(") or previous.is_word("do")))
        if token.is_word("insert"):
            verb = verb and self.word_at(1, "into")
        elif token.is_word("delete"):
            verb = verb and self.word_at(1, "from")
        elif token.is_word("set"):
            verb = self.statement in ("update", "insert", "with") and self._sets(token)
        if not verb:
            return False
        self.emit(kinds[token.text], token.text.upper(), token)
        self.index += 1
        return True

    def _sets(self, token: Token) -> bool:
        following = self.peek()
        behind = self.peek(2)
        if following is None:
            return True
        if following.is_mark("("):
            return True
        named = following.kind in (Kind.WORD, Kind.QUOTED)
        return named and behind is not None and (behind.text in ("=", ".", "["))

    def _do(self, token: Token) -> bool:
        self.emit(T.VAR, "DO", token)
        self.index += 1
        if self.word_at(0, "nothing"):
            self.emit(T.VAR, "NOTHING", self.tokens[self.index], operand=True)
            self.index += 1
        return True

    def _conflict(self, token: Token) -> bool:
        previous = self.peek(-1)
        if previous is not None and previous.is_word("on") and self.statement == "insert":
            raise self.unsupported("ON CONFLICT", token)
        return False

    def _overriding(self, token: Token) -> bool:
        if self.statement == "insert" and self.word_at(2, "value") and self.word_at(1, "system", "user"):
            raise self.unsupported("OVERRIDING", token)
        return False

    # calls with a grammar of their own: the mark of the name is written, the parenthesis comes next

    def _call_extract(self, place: int) -> None:
        """extract(field FROM x): the field becomes a string."""
        field = self.peek(1)
        if (
            field is None
            or not self.word_at(2, "from")
            or field.kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING)
        ):
            raise near(self.text, self.peek(2))
        self.emit_open(self.tokens[self.index], _Frame())
        self.index += 1
        self.emit_mark(Literal(Token(Kind.STRING, field.text, field.start, field.end)), field)
        self.index += 1
        self._separate(self.tokens[self.index])

    def _call_framed(self, kind: str) -> None:
        self.emit_open(self.tokens[self.index], _Frame(kind))
        self.comma = self.tokens[self.index]
        self.index += 1

    def _call_substring(self, place: int) -> None:
        self._call_framed("substring")
        if self._inside_has("for") and not self._inside_has("from"):
            self._form("substring for", place)
        elif self._inside_has("similar"):
            raise self.unsupported("SUBSTRING ... SIMILAR", self.tokens[place])

    def _call_position(self, place: int) -> None:
        self._form("position", place)
        self._call_framed("position")

    def _call_overlay(self, place: int) -> None:
        self._call_framed("overlay")

    def _call_trim(self, place: int) -> None:
        """trim([LEADING|TRAILING|BOTH] [characters] FROM x): side and characters come first."""
        self._call_framed("trim")
        token = self.tokens[self.index] if self.index < len(self.tokens) else None
        side = "both"
        if token is not None and token.is_word("leading", "trailing", "both"):
            side = token.text
            self.index += 1
        elif not self._inside_has("from"):
            return
        self._form(f"trim {side}", place)
        if self.word_at(0, "from"):
            self.index += 1

    def _inside_has(self, word: str) -> bool:
        """Whether this word stands inside the parenthesis that was just opened, and in no inner one."""
        depth, place = 0, self.index
        while place < len(self.tokens):
            token = self.tokens[place]
            if token.kind is Kind.PUNCTUATION:
                depth += (token.text in "([") - (token.text in ")]")
                if depth < 0:
                    return False
            elif depth == 0 and token.is_word(word):
                return True
            place += 1
        return False

    def _form(self, form: str, place: int) -> None:
        """Say in the mark of the function, written last, how it was spelled."""
        for number in range(len(self.marks) - 1, -1, -1):
            mark = self.marks[number]
            if isinstance(mark, FunctionMark):
                self.marks[number] = FunctionMark(mark.names, mark.position, form)
                return


def _with_place(written: ParserToken, token: Token) -> ParserToken:
    """An operator whose node remembers where it stood, in the one field that the parser keeps."""
    place = [str(token.position)]
    return ParserToken(written.token_type, written.text, written.line, 1, written.start, written.end, place)


_Handler = Callable[[_Rewriter, Token], bool]
_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(_NO_PARENTHESES, _Rewriter._keyword_call),
    "all": _Rewriter._all,
    "any": _Rewriter._quantifier,
    "array": _Rewriter._array,
    "as": _Rewriter._as,
    "at": _Rewriter._at,
    "between": _Rewriter._between,
    "cast": _Rewriter._cast_word,
    "collate": _Rewriter._collate,
    "conflict": _Rewriter._conflict,
    "default": _Rewriter._default,
    "delete": _Rewriter._statement_word,
    "do": _Rewriter._do,
    "document": _Rewriter._is_kind,
    "escape": _Rewriter._escape,
    "exists": _Rewriter._exists,
    "fetch": _Rewriter._fetch,
    "filter": _Rewriter._filter,
    "for": _Rewriter._for,
    "from": _Rewriter._from,
    "group": _Rewriter._by_pair,
    "in": _Rewriter._in,
    "insert": _Rewriter._statement_word,
    "join": _Rewriter._join,
    "json": _Rewriter._is_kind,
    "materialized": _Rewriter._materialized,
    "normalized": _Rewriter._is_kind,
    "nulls": _Rewriter._nulls,
    "offset": _Rewriter._offset,
    "only": _Rewriter._only,
    "operator": _Rewriter._operator_word,
    "order": _Rewriter._by_pair,
    "overriding": _Rewriter._overriding,
    "partition": _Rewriter._by_pair,
    "placing": _Rewriter._placing,
    "row": _Rewriter._row,
    "rows": _Rewriter._row,
    "set": _Rewriter._statement_word,
    "similar": _Rewriter._similar,
    "some": _Rewriter._quantifier,
    "unknown": _Rewriter._unknown,
    "update": _Rewriter._statement_word,
    "values": _Rewriter._values,
    "with": _Rewriter._with,
    "within": _Rewriter._within,
}
_CALLS: dict[str, Callable[[_Rewriter, int], None]] = {
    "extract": _Rewriter._call_extract,
    "overlay": _Rewriter._call_overlay,
    "position": _Rewriter._call_position,
    "substring": _Rewriter._call_substring,
    "trim": _Rewriter._call_trim,
}
