"""Where the writer is: a place in our tokens, the parentheses that are open, and what has been written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot.tokenizer_core import Token as ParserToken
from sqlglot.tokenizer_core import TokenType as T

from sql.marks import Mark
from sql.tokens import Kind, Token
from storage.errors import DatabaseError, FeatureNotSupported

NAME, MARK = "\x02", "\x01"


@dataclass
class Frame:
    """An open parenthesis: what it belongs to."""

    kind: str = ""  # 'cast', 'substring', 'trim', 'position', 'overlay', 'over',
    # 'columns': words inside mean something; 'common': a query of WITH; 'distinct': of DISTINCT ON
    number: int = 0  # of the query of WITH
    bracket: bool = False
    clause: str = ""  # the word that began the clause here
    offset: bool = False  # an OFFSET clause is being read: ROWS may follow
    position: int = 0  # of CAST


class Place:
    """A place in our tokens, and what has been written so far."""

    def __init__(self, tokens: list[Token], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.index = 0
        self.out: list[ParserToken] = []
        self.marks: list[Mark] = []
        self.frames: list[Frame] = [Frame()]
        self.operand = False  # the last thing written ends an operand
        self.comma: Token | None = None  # the last thing written is a comma or an opening
        self.duplicate = False  # behind ON DUPLICATE KEY UPDATE
        self.inserts = 0  # INSERTs so far
        self.overriding: dict[int, str] = {}  # OVERRIDING, by the INSERT's number: 'system', 'user'
        self.common = 0  # queries of WITH so far
        self.clauses: dict[int, tuple[Any, ...]] = {}  # SEARCH and CYCLE, by the query's number
        self.prefixes = False  # whether an operator stands before its only operand
        self.constructed = -1  # the place behind the last ARRAY[...]
        self.cases = 0  # CASEs that have no END yet
        self.listing = -1  # the place behind the last DISTINCT ON (...)
        self.begins = -1  # where the statement stands that the last WITH is for
        first = tokens[0].text if tokens and tokens[0].kind is Kind.WORD else ""
        self.statement = first

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

    def emit_open(self, token: Token, frame: Frame) -> None:
        self.emit(T.L_BRACKET if frame.bracket else T.L_PAREN, "(", token)
        self.frames.append(frame)

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
