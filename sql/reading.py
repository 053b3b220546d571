"""A cursor over tokens, for the statements that we parse ourselves."""

from __future__ import annotations

from collections.abc import Sequence

from sql.keywords import NO_NAMES
from sql.tokens import Kind, Token, near
from sql.typenames import Lookup, read_type, type_of
from storage.errors import SqlSyntaxError
from storage.types import Type


class Reader:
    """Tokens of one statement, read from left to right. Errors are PostgreSQL's.

    `types` knows the types of the catalog, where names of types are asked for.
    """

    def __init__(
        self, tokens: Sequence[Token], text: str, index: int = 0, types: Lookup | None = None
    ) -> None:
        self.tokens = tokens
        self.text = text
        self.index = index
        self.types = types

    @property
    def token(self) -> Token | None:
        """The next token; None at the end."""
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    def peek(self, ahead: int = 1) -> Token | None:
        """The token after the next, or further on."""
        at = self.index + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    def wrong(self) -> SqlSyntaxError:
        """The error for the next token."""
        return near(self.text, self.token)

    def word(self, *words: str) -> bool:
        """Take the next tokens if they are these words in this order."""
        for offset, word in enumerate(words):
            token = self.peek(offset)
            if token is None or not token.is_word(word):
                return False
        self.index += len(words)
        return True

    def one_of(self, *words: str) -> str:
        """Take the next token if it is one of these words; '' if not."""
        token = self.token
        if token is not None and token.is_word(*words):
            self.index += 1
            return token.text
        return ""

    def must_word(self, *words: str) -> None:
        """Take these words. Raises SqlSyntaxError."""
        for word in words:
            if not self.word(word):
                raise self.wrong()

    def mark(self, mark: str) -> bool:
        """Take the next token if it is this punctuation (or operator)."""
        token = self.token
        if token is not None and token.text == mark and token.kind in (Kind.PUNCTUATION, Kind.OPERATOR):
            self.index += 1
            return True
        return False

    def must_mark(self, mark: str) -> None:
        """Take this punctuation. Raises SqlSyntaxError."""
        if not self.mark(mark):
            raise self.wrong()

    def name(self) -> str:
        """A name, quoted or not. Raises SqlSyntaxError for a word that is none."""
        token = self.token
        if token is not None and token.is_word(*NO_NAMES):
            raise self.wrong()
        return self.label()

    def role(self) -> str:
        """The name of a role, or a word that means one."""
        return self.one_of("current_role", "current_user", "session_user") or self.name()

    def label(self) -> str:
        """A name that may be any word. Raises SqlSyntaxError."""
        token = self.token
        if token is None or token.kind not in (Kind.WORD, Kind.QUOTED):
            raise self.wrong()
        self.index += 1
        return token.text

    def qualified(self) -> tuple[str, ...]:
        """A name with its schema in front, if there is one. Raises SqlSyntaxError for a reserved word."""
        token = self.token
        if token is not None and token.is_word(*NO_NAMES):
            raise self.wrong()
        return self.dotted()

    def dotted(self) -> tuple[str, ...]:
        """Names with dots between them, reserved words among them: of settings."""
        parts = [self.label()]
        while self.mark("."):
            parts.append(self.label())
        return tuple(parts)

    def names(self) -> tuple[str, ...]:
        """A list of names in parentheses."""
        self.must_mark("(")
        found = [self.name()]
        while self.mark(","):
            found.append(self.name())
        self.must_mark(")")
        return tuple(found)

    def options(self) -> tuple[tuple[str, str], ...]:
        """(name [= value], ...): storage parameters; a bare name means true."""
        return tuple((name, "true" if value is None else value) for name, value in self.parameters())

    def parameters(self) -> tuple[tuple[str, str | None], ...]:
        """The same; of a bare name None."""
        self.must_mark("(")
        found: list[tuple[str, str | None]] = []
        while True:
            name = ".".join(self.dotted())
            found.append((name, self._value() if self.mark("=") else None))
            if not self.mark(","):
                self.must_mark(")")
                return tuple(found)

    def _value(self) -> str:
        """A word, a string, or a number with its sign."""
        sign = "-" if self.mark("-") else ""
        token = self.token
        kinds = (Kind.NUMBER,) if sign else (Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.NUMBER)
        if token is None or token.kind not in kinds:
            raise self.wrong()
        self.index += 1
        return sign + token.text

    def string(self) -> str:
        """A string constant. Raises SqlSyntaxError."""
        token = self.token
        if token is None or token.kind is not Kind.STRING:
            raise self.wrong()
        self.index += 1
        return token.text

    def integer(self) -> int:
        """A whole number, perhaps with a sign. Raises SqlSyntaxError."""
        sign = -1 if self.mark("-") else 1
        self.mark("+")
        token = self.token
        if token is None or token.kind is not Kind.NUMBER or not token.text.isdigit():
            raise self.wrong()
        self.index += 1
        return sign * int(token.text)

    def type(self) -> Type:
        """A type name."""
        name, self.index = read_type(self.tokens, self.index, self.text)
        return type_of(name, self.types)

    def rest(self) -> tuple[Token, ...]:
        """All tokens that are left, taken."""
        left = tuple(self.tokens[self.index :])
        self.index = len(self.tokens)
        return left

    def parenthesised(self) -> tuple[Token, ...]:
        """The tokens between parentheses, which may be nested."""
        self.must_mark("(")
        return self._until_closed()

    def _until_closed(self) -> tuple[Token, ...]:
        start, depth = self.index, 1
        while self.token is not None:
            if self.token.is_mark("("):
                depth += 1
            elif self.token.is_mark(")"):
                depth -= 1
                if not depth:
                    self.index += 1
                    return tuple(self.tokens[start : self.index - 1])
            self.index += 1
        raise self.wrong()

    def until(self, *words: str) -> tuple[Token, ...]:
        """The tokens before the next comma, closing parenthesis or one of these words at this depth."""
        start, depth = self.index, 0
        while (token := self.token) is not None:
            if depth == 0 and (token.is_mark(",") or token.is_mark(")") or token.is_word(*words)):
                break
            if token.text in ("(", "[") and token.kind is Kind.PUNCTUATION:
                depth += 1
            elif token.text in (")", "]") and token.kind is Kind.PUNCTUATION:
                depth -= 1
            self.index += 1
        return tuple(self.tokens[start : self.index])

    def source(self, tokens: Sequence[Token]) -> str:
        """The text of neighbouring tokens."""
        return self.text[tokens[0].start : tokens[-1].end] if tokens else ""

    def end(self) -> None:
        """Nothing may be left. Raises SqlSyntaxError."""
        if self.token is not None:
            raise self.wrong()
