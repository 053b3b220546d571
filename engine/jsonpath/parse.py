"""Reading a path. Raises SqlSyntaxError as PostgreSQL's jsonpath_in does: 'syntax error at or near "x"'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from engine.jsonpath.items import (
    COMPARISONS,
    LAST,
    AnyElement,
    AnyMember,
    Binary,
    Chain,
    Current,
    Descendants,
    Elements,
    Exists,
    Filter,
    IsUnknown,
    Item,
    Last,
    LikeRegex,
    Member,
    Method,
    Not,
    Path,
    Root,
    Scalar,
    Step,
    Unary,
    Variable,
    is_predicate,
)
from storage.errors import DatabaseError, FeatureNotSupported, InvalidTextRepresentation, SqlSyntaxError

METHODS = frozenset(("type", "size", "double", "ceiling", "floor", "abs", "keyvalue"))
_WORDS = "is to lax flag last with exists starts strict datetime unknown like_regex"
_KEYWORDS = METHODS.union(_WORDS.split(" "))
_EXACT = frozenset(("true", "false", "null"))
_TOKEN = re.compile(
    r"""(?P<blank>\s+|/\*.*?\*/)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<number>(?:(?:0|[1-9]\d*+)(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?\d++)?+)
    |(?P<mark>&&|\|\||==|!=|<>|<=|>=|\*\*|[?%$.\[\]{}()!<>@,*\-+/])
    |(?P<name>(?:[^\s?%$.\[\]{}()|&!=<>@\#,*:\-+/"\\]|\\.)+)""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r'[^\s?%$.\[\]{}()|&!=<>@#,*:\-+/"]')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # string, number, mark, name, keyword, variable, end
    text: str
    raw: str


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code is None:
            return _LETTERS.get(found[4], found[4])
        if int(code, 16) == 0 or int(code, 16) > 0x10FFFF:
            raise InvalidTextRepresentation(
                "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text."
            )
        return chr(int(code, 16))

    joined = _ESCAPE.sub(one, text)
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            what = "unterminated quoted string" if text[at] == '"' else "syntax error"
            raise _wrong(text[at:] if text[at] == '"' else text[at], what)
        at, kind, raw = found.end(), found.lastgroup or "", found[0]
        if kind == "blank":
            continue
        if kind == "number" and _NAME.match(text, at):
            raise _wrong(text[found.start() : at + 1], "trailing junk after numeric literal")
        if kind == "mark" and raw == "$":
            name = _TOKEN.match(text, at)
            if name is not None and name.lastgroup in ("name", "string", "number") and at == name.start():
                at = name.end()
                yield _Token("variable", _unescaped(name[0].strip('"')), raw + name[0])
                continue
        if kind == "string":
            yield _Token("string", _unescaped(raw[1:-1]), raw)
        elif kind == "name":
            word = _unescaped(raw)
            low = word.lower()
            known = (low in _KEYWORDS or word in _EXACT) and "\\" not in raw
            yield _Token("keyword" if known else "name", low if known else word, raw)
        else:
            yield _Token(kind, raw, raw)
    yield _Token("end", "", "")


def _wrong(near: str, what: str = "syntax error") -> SqlSyntaxError:
    if not near:
        return SqlSyntaxError(f"{what} at end of jsonpath input")
    return SqlSyntaxError(f'{what} at or near "{near}" of jsonpath input')


@lru_cache(1024)
def path(text: str) -> Path:
    """A path from its text."""
    return _Reader(text).path()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.at = 0
        self.filters = 0  # how many are open: @ stands inside one
        self.subscripts = 0  # so does `last`

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def is_mark(self, *marks: str) -> bool:
        return self.token.kind == "mark" and self.token.text in marks

    def is_word(self, *words: str) -> bool:
        return self.token.kind == "keyword" and self.token.text in words

    def step(self) -> _Token:
        token = self.token
        self.at += 1
        return token

    def expect(self, mark: str) -> None:
        if not self.is_mark(mark):
            raise self.refused()
        self.at += 1

    def refused(self) -> DatabaseError:
        return _wrong(self.token.raw)

    def path(self) -> Path:
        if self.token.kind == "end":
            raise InvalidTextRepresentation(f'invalid input syntax for type jsonpath: "{self.text}"')
        lax = True
        if self.is_word("strict", "lax"):
            lax = self.step().text == "lax"
        item = self.expression(0)
        if self.token.kind != "end":
            raise self.refused()
        return Path(lax, item)

    def predicate(self) -> Item:
        """An expression that says true or false."""
        item = self.expression(0)
        if not is_predicate(item):
            raise self.refused()
        return item

    def expression(self, level: int) -> Item:
        """Binary operators from this level up: || && comparisons +- */%."""
        if level == len(_LEVELS):
            return self.unary()
        item = self.expression(level + 1)
        while (symbol := self.operator(level)) is not None:
            wants = level < 2
            if wants != is_predicate(item):
                raise self.refused()
            self.at += 1
            item = self.compared(item, symbol) if level == 2 else self.combined(item, symbol, level)
            if level == 2:
                break
        return item

    def operator(self, level: int) -> str | None:
        if level == 2 and self.is_word("starts", "like_regex"):
            return self.token.text
        if not self.is_mark(*_LEVELS[level]):
            return None
        return {"<>": "!="}.get(self.token.text, self.token.text)

    def combined(self, left: Item, symbol: str, level: int) -> Item:
        right = self.expression(level + 1)
        if (level < 2) != is_predicate(right):
            raise self.refused()
        return Binary(symbol, left, right)

    def compared(self, left: Item, symbol: str) -> Item:
        if symbol == "starts":
            if not self.is_word("with"):
                raise self.refused()
            self.at += 1
            if self.token.kind == "string":
                return Binary("starts with", left, Scalar(self.step().text))
            if self.token.kind == "variable":
                return Binary("starts with", left, Variable(self.step().text))
            raise self.refused()
        if symbol == "like_regex":
            return self.like_regex(left)
        right = self.expression(3)
        if is_predicate(right):
            raise self.refused()
        return Binary(symbol, left, right)

    def like_regex(self, left: Item) -> Item:
        if self.token.kind != "string":
            raise self.refused()
        pattern, flags = self.step().text, ""
        if self.is_word("flag"):
            self.at += 1
            if self.token.kind != "string":
                raise self.refused()
            flags = self.step().text
        for flag in flags:
            if flag not in "ismxq":
                raise SqlSyntaxError(
                    "invalid input syntax for type jsonpath",
                    detail=f'Unrecognized flag character "{flag}" in LIKE_REGEX predicate.',
                )
        if "x" in flags and "q" not in flags:
            raise FeatureNotSupported('XQuery "x" flag (expanded regular expressions) is not implemented')
        return LikeRegex(left, pattern, "".join(flag for flag in "ismxq" if flag in flags))

    def unary(self) -> Item:
        if self.is_mark("+", "-"):
            sign = self.step().text
            operand = self.unary()
            if is_predicate(operand):
                raise self.refused()
            return Unary(sign, operand)
        if self.is_mark("!"):
            self.at += 1
            if not self.is_mark("(") and not self.is_word("exists"):
                raise self.refused()
            inner = self.delimited()
            if not is_predicate(inner):
                raise self.refused()
            return Not(inner)
        return self.accessed()

    def delimited(self) -> Item:
        """(predicate), exists (expression)."""
        if self.is_word("exists"):
            self.at += 1
            self.expect("(")
            item = self.expression(0)
            if is_predicate(item):
                raise self.refused()
            self.expect(")")
            return Exists(item)
        self.expect("(")
        item = self.expression(0)
        self.expect(")")
        return item

    def accessed(self) -> Item:
        if self.is_mark("(") or self.is_word("exists"):
            item = self.delimited()
            if self.is_word("is") and is_predicate(item) and not isinstance(item, Exists):
                self.at += 1
                if not self.is_word("unknown"):
                    raise self.refused()
                self.at += 1
                return IsUnknown(item)
            if isinstance(item, Exists):
                return item
        else:
            item = self.primary()
        steps = list(self.steps())
        if not steps:
            return item
        if isinstance(item, Chain):
            return Chain(item.first, item.steps + tuple(steps))
        return Chain(item, tuple(steps))

    def primary(self) -> Item:
        token = self.step()
        match token.kind, token.text:
            case "mark", "$":
                return Root()
            case "mark", "@":
                if not self.filters:
                    raise SqlSyntaxError("@ is not allowed in root expressions")
                return Current()
            case "variable", name:
                return Variable(name)
            case "string", text:
                return Scalar(text)
            case "number", text:
                return Scalar(Decimal(format(Decimal(text), "f")))
            case "keyword", "last":
                if not self.subscripts:
                    raise SqlSyntaxError("LAST is allowed only in array subscripts")
                return Last()
            case "keyword", ("true" | "false" | "null") as word:
                return Scalar({"true": True, "false": False, "null": None}[word])
        self.at -= 1
        raise self.refused()

    def steps(self) -> Iterator[Step]:
        while True:
            if self.is_mark("."):
                self.at += 1
                yield self.member()
            elif self.is_mark("["):
                self.at += 1
                yield self.elements()
            elif self.is_mark("?"):
                self.at += 1
                self.expect("(")
                self.filters += 1
                yield Filter(self.predicate())
                self.filters -= 1
                self.expect(")")
            else:
                return

    def member(self) -> Step:
        token = self.step()
        if token.kind == "mark" and token.text == "*":
            return AnyMember()
        if token.kind == "mark" and token.text == "**":
            return self.descendants()
        if token.kind in ("name", "keyword", "string"):
            known = token.kind == "keyword" and token.text in METHODS | {"datetime"}
            if not known or not self.is_mark("("):
                return Member(token.text if token.kind != "keyword" else token.raw)
            self.at += 1
            template = None
            if token.text == "datetime" and self.token.kind == "string":
                template = self.step().text
            self.expect(")")
            return Method(token.text, template)
        self.at -= 1
        raise self.refused()

    def descendants(self) -> Step:
        if not self.is_mark("{"):
            return Descendants(0, LAST)
        self.at += 1
        first = last = self.level()
        if self.is_word("to"):
            self.at += 1
            last = self.level()
        self.expect("}")
        return Descendants(first, last)

    def level(self) -> int:
        if self.is_word("last"):
            self.at += 1
            return LAST
        if self.token.kind == "number" and self.token.text.isdigit():
            return int(self.step().text)
        raise self.refused()

    def elements(self) -> Step:
        if self.is_mark("*"):
            self.at += 1
            self.expect("]")
            return AnyElement()
        self.subscripts += 1
        found: list[tuple[Item, Item | None]] = []
        while True:
            first = self.expression(3)
            second = None
            if self.is_word("to"):
                self.at += 1
                second = self.expression(3)
            found.append((first, second))
            if not self.is_mark(","):
                break
            self.at += 1
        self.subscripts -= 1
        self.expect("]")
        return Elements(tuple(found))


_LEVELS = (("||",), ("&&",), (*sorted(COMPARISONS), "<>"), ("+", "-"), ("*", "/", "%"))
