"""The writer: our tokens in, the parser's out; parentheses, operands, operators, names, types.

A word that PostgreSQL's grammar treats specially has a handler in WORDS, which returns whether it has
dealt with it; a function whose arguments have a grammar has one in CALLS. `operand` and `comma` say what
was written last, so that what the parser would let pass (two operands side by side, a comma too many) is
refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from sqlglot.tokenizer_core import Token as ParserToken
from sqlglot.tokenizer_core import TokenType as T

from sql.keywords import GOING_ON, RESERVED, TYPE_OR_FUNCTION, words
from sql.marks import PREFIX, FunctionMark, Literal, OperatorMark, ParameterMark, PartMark, TypeName
from sql.rewriting.place import MARK, Frame, Place
from sql.tokens import Kind, Token, near
from sql.typenames import read_interval_modifiers, read_type, starts_type
from storage.errors import SqlSyntaxError

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
_CLAUSES = words(
    """select from where group having window union intersect except order limit offset fetch for returning
    values set on using insert update delete into"""
)
_LABELS = (RESERVED | TYPE_OR_FUNCTION) - words(
    """array as create except fetch for from grant group having intersect into isnull limit notnull offset
    on order overlaps returning to union where window with"""
)
"""Words that are labels without AS where an item of a select list ends, END where it ends no CASE."""
# Words that mean the same to the parser wherever they stand unquoted.
_GRAMMAR = {
    word: getattr(T, word.upper())
    for word in words("""and any array asc case cross desc distinct else end except false from full having in
    inner intersect into is join lateral left like ilike limit natural not null offset on or outer returning
    right select table then true union using when where window with as isnull notnull""")
    if hasattr(T, word.upper())
}
_GRAMMAR |= {"as": T.ALIAS, "isnull": T.ISNULL, "notnull": T.NOTNULL}
# Words of the grammar that begin no operand: nothing but these may follow a list's end.
_ENDS = words(
    """from where group having order limit offset fetch union intersect except for window returning on using
    join inner left right full cross natural as when then else end and or is in like ilike asc desc into
    to"""
)
# Words that begin an operand of which nothing else may tell its place.
_TELLING = words("case false null true")
_QUERIES = words("select with values table insert update delete")
_UNSUPPORTED = {
    "xmlelement": "xmlelement",
    "xmlforest": "xmlforest",
    "xmltable": "xmltable",
    "treat": "TREAT",
}


class Writer(Place):
    """Writes the tokens of one statement: see the module's text."""

    def run(self) -> None:
        while self.index < len(self.tokens):
            token = self.tokens[self.index]
            for refuse in CHECKS:
                refuse(self, token)
            self.step(token)

    def step(self, token: Token) -> None:
        arrow = self.peek(1)
        named = arrow is not None and arrow.kind is Kind.PUNCTUATION and arrow.text in ("=>", ":=")
        if arrow is not None and named and token.kind in (Kind.WORD, Kind.QUOTED):
            self._argument_name(token, arrow)
            return
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
                self._parameter(token)
                self.index += 1
            case _:
                self._before_operand(token)
                self._constant(token)
                self.index += 1

    def _parameter(self, token: Token) -> None:
        """$1; in parentheses where a field of it is named."""
        mark = ParameterMark(int(token.text), token.position)
        if not self.mark_at(1, "."):
            self.emit_mark(mark, token)
            return
        self.emit(T.L_PAREN, "(", token)
        self.emit_mark(mark, token)
        self.emit(T.R_PAREN, ")", token, operand=True)

    def _argument_name(self, token: Token, arrow: Token) -> None:
        """name => value, name := value: the value of an argument by its name."""
        previous = self.peek(-1)
        if previous is None or not (previous.is_mark("(") or previous.is_mark(",")):
            raise near(self.text, arrow)
        self.emit_name(token)
        self.index += 1
        self.emit(T.FARROW, "=>", arrow)
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
            case "(" if self._begins_definitions():
                self._columns()
                return
            case "(":
                self._refuse_called(token)
                self.emit_open(token, Frame(self._opens()))
                self.out[-1] = _with_place(self.out[-1], token)
                self.comma = token
            case "[":
                if not self.operand and not (self.frames[-1].bracket or self.word_at(-1, "array")):
                    raise near(self.text, token)
                self.emit_open(token, Frame("array" if self.word_at(-1, "array") else "", bracket=True))
                self.comma = token
                if self.mark_at(1, ":"):  # a[:2], which the parser would take for a placeholder
                    self.emit_mark(FunctionMark(("",), token.position, "bound"), token)
            case ")" | "]":
                frame = self._close(token)
                if frame.kind in CLOSINGS:
                    self.index += 1
                    CLOSINGS[frame.kind](self, frame)
                    return
            case ",":
                if self.comma is not None or not self.out or not self.may_end():
                    raise near(self.text, token)
                self.emit(T.COMMA, ",", token)
                self.comma = token
            case "::" | ":>":
                self.cast(token, token.position)
                return
            case ":" if self.frames[-1].bracket:
                self.emit(T.COLON, ":", token)
            case ".":
                self.emit(T.DOT, ".", token)
            case _:
                raise near(self.text, token)
        self.index += 1

    def _opens(self) -> str:
        """The kind of the parenthesis here."""
        if self.word_at(-1, "on") and self.word_at(-2, "distinct") and not self.word_at(-3, "is"):
            return "distinct"
        return "columns" if self._lists_columns() else ""

    def _lists_columns(self) -> bool:
        """Whether the parenthesis here opens the columns of an INSERT: INTO t (, INTO s.t AS a (."""
        at = self.index - 1
        if at >= 2 and self.tokens[at - 1].is_word("as"):
            at -= 2
        while at >= 2 and self.tokens[at - 1].is_mark("."):
            at -= 2
        if at < 1 or not self.tokens[at - 1].is_word("into") or self.statement not in ("insert", "with"):
            return False
        return not self.word_at(1, "select", "with", "values", "table") and not self.mark_at(1, "(")

    def _refuse_called(self, token: Token) -> None:
        """A constant or a type is not called; the parser would drop what is in the parentheses."""
        written = self.out[-1].text if self.operand else ""
        if written.startswith(MARK) and not isinstance(self.marks[int(written[1:])], FunctionMark):
            raise near(self.text, token)

    def may_end(self) -> bool:
        """Whether what was written last may stand before a comma or a closing parenthesis."""
        if self.word_at(-1, "select") and self.mark_at(0, ")"):  # (SELECT): a row of no columns
            return True
        if self.goes_on():
            return False
        return self.operand or self.out[-1].token_type in (T.STAR, T.ASC, T.DESC, T.VAR, T.COLON)

    def goes_on(self) -> bool:
        """Whether the word before this place, which is no name, wants something behind it."""
        if self.listing == self.index:
            return True
        if self.operand or self.word_at(-2, "exclude"):
            return False
        return self.word_at(-1, *GOING_ON)

    def _close(self, token: Token) -> Frame:
        frame = self.frames[-1]
        opened = self.comma is not None and not self.comma.is_mark(",")
        if len(self.frames) == 1 or frame.bracket is not (token.text == "]"):
            raise near(self.text, token)
        if not opened and not self.may_end():
            raise near(self.text, token)
        if frame.kind == "cast" or (opened and self.word_at(-2, "in")):
            raise near(self.text, token)
        self.frames.pop()
        if frame.kind == "array":
            self.constructed = self.index + 1
        self.emit(T.R_BRACKET if frame.bracket else T.R_PAREN, token.text, token, operand=True)
        return frame

    def cast(self, token: Token, position: int) -> None:
        """The type behind :: or AS; an error of the cast itself is at `position`."""
        self.emit(T.DCOLON, "::", token)
        name, after = read_type(self.tokens, self.index + 1, self.text)
        self.emit_mark(replace(name, written=position), self.tokens[self.index + 1])
        self.index = after

    def _operator(self, token: Token) -> None:
        symbol = token.text
        if symbol == "!" and self.mark_at(1, ":>"):
            raise self.unsupported("the operator !:>", token)
        if symbol in _NATIVE:
            if self.comma is not None and self.comma.is_mark(",") and symbol not in "+-*":
                raise near(self.text, token)
            binary = self.operand
            # the parser forgets a sign +, and has a node for ~, which stands nowhere else: see OperatorMark
            self.emit(T.TILDE if symbol == "+" and not binary else _NATIVE[symbol], symbol, token)
            if binary:
                self.out[-1] = _with_place(self.out[-1], token)
        else:
            self.other_operator(OperatorMark(symbol, token.position), token)
        self.index += 1

    def other_operator(self, mark: OperatorMark, token: Token) -> None:
        """Any operator that is not the parser's; before its only operand it stands behind an empty one."""
        if not self.operand:
            self.emit_mark(FunctionMark(("",), token.position, PREFIX), token)
            self.prefixes = True
        self.binary(mark, token)

    def binary(self, mark: OperatorMark, token: Token) -> None:
        self.emit(T.AMP, "&", token)
        self.emit_mark(mark, token)
        self.emit(T.AMP, "&", token)

    def _word(self, token: Token) -> None:
        previous = self.peek(-1)
        word = token.text
        if previous is not None and previous.is_mark("."):
            self._name(token)
            return
        if (previous is not None and previous.is_word("as")) or self.is_label(token):
            self._label(token)
            return
        if word in _CLAUSES:
            self.frames[-1].clause = word
        handler = WORDS.get(word)
        if handler is not None and handler(self, token):
            return
        if word in _UNSUPPORTED and (word in TYPE_OR_FUNCTION or self.mark_at(1, "(")):
            raise self.unsupported(_UNSUPPORTED[word], token)
        native = _GRAMMAR.get(word)
        if native is not None and not self._is_call(word):
            self._native(native, token)
            return
        if word in RESERVED:
            raise near(self.text, token)
        if starts_type(token) and self._typed_constant(token):
            return
        self._name(token)

    def is_label(self, token: Token) -> bool:
        """Whether a reserved word names an item of a select list: SELECT a user, b all FROM t."""
        listed = self.operand and self.frames[-1].clause in ("select", "returning")
        if not listed or token.text not in _LABELS or (token.text == "end" and self.cases > 0):
            return False
        after = self.peek(1)
        return after is None or after.is_mark(",") or after.is_mark(")") or after.is_word("from", "into")

    def _is_call(self, word: str) -> bool:
        """left(x, 2) and right(x, 2): functions whose names begin joins elsewhere."""
        return word in ("left", "right") and self.mark_at(1, "(") and not self.operand

    def _native(self, type: T, token: Token) -> None:
        if token.text in _ENDS and self.comma is not None and self.comma.is_mark(","):
            raise near(self.text, token)
        self.emit(type, token.text.upper(), token, operand=token.text in ("null", "true", "false", "end"))
        if token.text in _TELLING:
            self.out[-1] = _with_place(self.out[-1], token)
        self.cases += (token.text == "case") - (token.text == "end")
        if token.text == "end":
            self.operand = True
        if token.text in ("isnull", "notnull"):
            self.operand = True
        self.index += 1

    def _label(self, token: Token) -> None:
        """The name behind AS, which may be any word."""
        place = -2 if self.word_at(-1, "as") else -1
        defines = self.mark_at(place, ")") and self._defines_columns()
        self.emit_name(token)
        self.index += 1
        if defines:
            self._columns()

    def _defines_columns(self) -> bool:
        """Whether a list of names with types stands behind the name: f(...) AS t(a int, b text)."""
        kinds = [None if token is None else token.kind for token in (self.peek(2), self.peek(3))]
        names = (Kind.WORD, Kind.QUOTED)
        return self.mark_at(1, "(") and kinds[0] in names and kinds[1] in names

    def _begins_definitions(self) -> bool:
        """Whether the parenthesis here opens such a list without a name: f(...) AS (a int, b text)."""
        kinds = [None if token is None else token.kind for token in (self.peek(1), self.peek(2))]
        return (
            self.word_at(-1, "as")
            and self.mark_at(-2, ")")
            and all(kind in (Kind.WORD, Kind.QUOTED) for kind in kinds)
            and not self.word_at(1, *_QUERIES)
        )

    def _columns(self) -> None:
        """A list of names with types, each type as its mark."""
        self.emit_open(self.tokens[self.index], Frame())
        self.index += 1
        while True:
            token = self.peek(0)
            if token is None or token.kind not in (Kind.WORD, Kind.QUOTED):
                raise near(self.text, token)
            self.emit_name(token)
            name, after = read_type(self.tokens, self.index + 1, self.text)
            self.emit_mark(name, self.tokens[self.index + 1])
            self.index = after
            if not self.mark_at(0, ","):
                break
            self.emit(T.COMMA, ",", self.tokens[self.index])
            self.index += 1
        if not self.mark_at(0, ")"):
            raise near(self.text, self.peek(0))
        self.frames.pop()
        self.emit(T.R_PAREN, ")", self.tokens[self.index], operand=True)
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
        if after < len(self.tokens) and self.tokens[after].kind is Kind.STRING and self._typed(token):
            return
        if self.frames[-1].kind == "columns" and (len(names) > 1 or self.mark_at(1, "[")):
            self._part(token)
            return
        if called and previous is not None and previous.is_word("into"):
            called = False  # INSERT INTO t (a, b)
        dotted = previous is not None and previous.is_mark(".")
        if called and previous is not None and previous.is_mark(")") and self._defines_columns():
            self._label(token)
            return
        if called and not dotted:
            self.emit_mark(FunctionMark(tuple(names), token.position), token)
            self.index = after
            if len(names) == 1 and token.kind is Kind.WORD and token.text in CALLS:
                CALLS[token.text](self, place)
            return
        self.emit_name(token)
        self.index += 1

    def _part(self, token: Token) -> None:
        """A part of a column that an INSERT writes: a[1], b.c, up to the next comma of the list."""
        start, depth = self.index, 0
        while (here := self.peek(0)) is not None:
            if here.is_mark("(") or here.is_mark("["):
                depth += 1
            elif (here.is_mark(")") or here.is_mark(",")) and not depth:
                break
            elif here.is_mark(")") or here.is_mark("]"):
                depth -= 1
            self.index += 1
        self.emit_mark(PartMark(token.text, token.position, tuple(self.tokens[start : self.index])), token)

    def _typed(self, token: Token) -> bool:
        """A name and a string behind it: a constant of that type."""
        if self.operand:
            return False
        name, after = read_type(self.tokens, self.index, self.text)
        constant = self.tokens[after]
        self.index = after
        self.emit_mark(Literal(constant), constant)
        self.emit(T.DCOLON, "::", constant)
        self.emit_mark(name, token)
        self.index = after + 1
        return True

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
            modifiers, behind = read_interval_modifiers(self.tokens, after + 1, self.text)
            if modifiers and self.tokens[after + 1].kind is Kind.WORD:
                name = TypeName(name.names, name.position, (*modifiers, *name.modifiers), 0)
                after = behind - 1
        self.emit_mark(Literal(constant), constant)
        self.emit(T.DCOLON, "::", constant)
        self.emit_mark(name, token)
        self.index = after + 1
        return True

    def separate(self, token: Token) -> None:
        if not self.operand:
            raise near(self.text, token)
        self.emit(T.COMMA, ",", token)
        self.comma = Token(Kind.PUNCTUATION, ",", token.start, token.end)
        self.index += 1

    def set_form(self, form: str) -> None:
        """Say in the mark of the function, written last, how it was spelled."""
        for number in range(len(self.marks) - 1, -1, -1):
            mark = self.marks[number]
            if isinstance(mark, FunctionMark):
                self.marks[number] = FunctionMark(mark.names, mark.position, form)
                return

    def set_names(self, *names: str) -> None:
        """Qualify the function, written last."""
        for number in range(len(self.marks) - 1, -1, -1):
            mark = self.marks[number]
            if isinstance(mark, FunctionMark):
                self.marks[number] = replace(mark, names=names)
                return

    def inside_has(self, word: str) -> bool:
        """Whether this word stands inside the parenthesis that was just opened, and in no inner one."""
        return self.inside_at(word) >= 0

    def inside_at(self, word: str) -> int:
        """The place of a word inside the parenthesis that was just opened, and in no inner one; -1: none."""
        depth, place = 0, self.index
        while place < len(self.tokens):
            token = self.tokens[place]
            if token.kind is Kind.PUNCTUATION:
                depth += (token.text in "([") - (token.text in ")]")
                if depth < 0:
                    return -1
            elif depth == 0 and token.is_word(word):
                return place
            place += 1
        return -1


def _with_place(written: ParserToken, token: Token) -> ParserToken:
    """A token whose node remembers where it stood, in the one field that the parser keeps."""
    place = [str(token.position)]
    return ParserToken(written.token_type, written.text, written.line, 1, written.start, written.end, place)


WordHandler = Callable[[Writer, Token], bool]
CallHandler = Callable[[Writer, int], None]
WORDS: dict[str, WordHandler] = {}

CHECKS: list[Callable[[Writer, Token], None]] = []
"""What may not stand at the writer's place: see sql.rewriting.neighbours."""
CALLS: dict[str, CallHandler] = {}
CLOSINGS: dict[str, Callable[[Writer, Frame], None]] = {}
H = TypeVar("H", bound=WordHandler)
C = TypeVar("C", bound=CallHandler)
F = TypeVar("F", bound=Callable[[Writer, Frame], None])


def word(*names: str) -> Callable[[H], H]:
    """Declare what deals with these words; it returns false to have them taken as they are."""

    def declare(handler: H) -> H:
        WORDS.update(dict.fromkeys(names, handler))
        return handler

    return declare


def call(name: str) -> Callable[[C], C]:
    """Declare what deals with the arguments of a function; its name has been written."""

    def declare(handler: C) -> C:
        CALLS[name] = handler
        return handler

    return declare


def closing(kind: str) -> Callable[[F], F]:
    """Declare what reads on behind the parenthesis that closes a frame of this kind."""

    def declare(handler: F) -> F:
        CLOSINGS[kind] = handler
        return handler

    return declare
