"""Text to tokens, by PostgreSQL's lexical rules: what a name, a constant and an operator is.

Words come folded to lower case, quoted names as they are, strings decoded (plain, E'', U&'', dollar
quotes; neighbours on several lines joined), operators as the longest run of operator characters that
PostgreSQL would read. Two things are MySQL's: `0x3f80` and X'3f80' are bytes.

    >>> [(t.kind.name, t.text) for t in lex("SELECT v <*> $1, E'\\\\n' FROM T -- all")]
    [('WORD', 'select'), ('WORD', 'v'), ('OPERATOR', '<*>'), ('PARAMETER', '1'), ('PUNCTUATION', ','),
     ('STRING', '\\n'), ('WORD', 'from'), ('WORD', 't')]

Offsets are in characters from 0; errors count from 1.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from storage.errors import DatabaseError, InvalidEscapeSequence, SqlSyntaxError

NAME_BYTES = 63


class Kind(Enum):
    """What a token is; `Token.text` holds its meaning."""

    WORD = "word"  # folded: a keyword or a name
    QUOTED = "quoted"  # a quoted name
    STRING = "string"  # decoded
    HEX = "hex"  # 0x..: hex digits, of bytes
    BITS = "bits"  # B'..' and X'..': b or x, and the digits
    NUMBER = "number"  # as written
    PARAMETER = "parameter"  # $1: its digits
    OPERATOR = "operator"
    PUNCTUATION = "punctuation"  # ( ) [ ] , ; . : :: := =>


class Token(NamedTuple):
    """A token and where it stands: text[start:end]."""

    kind: Kind
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these unquoted words."""
        return self.kind is Kind.WORD and self.text in words

    def is_mark(self, mark: str) -> bool:
        """Whether it is this punctuation."""
        return self.kind is Kind.PUNCTUATION and self.text == mark

    @property
    def position(self) -> int:
        """Where an error points: from 1."""
        return self.start + 1


_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<string>'[^']*(?:''[^']*)*')
    | (?P<prefixed>(?:[eE]'(?:[^'\\]|''|\\.)*|[bBxXnN]'[^']*(?:''[^']*)*|[uU]&'[^']*(?:''[^']*)*)')
    | (?P<unicode>[uU]&"[^"]*(?:""[^"]*)*")
    | (?![eEbBxXnN]'|[uU]&['"])(?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    | (?P<quoted>"[^"]*(?:""[^"]*)*")
    | (?P<hex>0[xX][0-9A-Fa-f]+)
    | (?P<number>\d+(?:\.(?!\.)\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<parameter>\$\d+)
    | (?P<dollar>\$(?:[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*)?\$)
    | (?P<mark>::|:=|=>|:>|[()\[\],;.:])
    | (?P<operator>[-~!@\#^&|`?+*/%<>=]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# An operator may end in + or - only if it holds one of these: so `a=-1` is `a = -1`.
_SPECIAL = frozenset("~!@#%^&|`?")
_MARKS = frozenset(("=>",))


def lex(text: str) -> list[Token]:
    """The tokens of a text, without comments. Raises SqlSyntaxError as PostgreSQL does."""
    tokens: list[Token] = []
    position, length = 0, len(text)
    match = _TOKEN.match
    while position < length:
        found = match(text, position)
        if found is None:
            raise _unreadable(text, position)
        end = found.end()
        group = found.lastgroup
        if group == "word":
            tokens.append(Token(Kind.WORD, _name(found[0].translate(_UPPER)), position, end))
        elif group == "mark":
            tokens.append(Token(Kind.PUNCTUATION, found[0], position, end))
        elif group != "space":
            end = _other(text, position, group or "", found[0], end, tokens)
        position = end
    return _merged(tokens, text)


def _other(text: str, start: int, group: str, raw: str, end: int, tokens: list[Token]) -> int:
    """A token of the rarer groups; returns where it ends."""
    match group:
        case "comment":
            return _comment_end(text, start)
        case "operator":
            symbol = _operator(raw)
            mark = symbol in _MARKS
            tokens.append(
                Token(Kind.PUNCTUATION if mark else Kind.OPERATOR, symbol, start, start + len(symbol))
            )
            return start + len(symbol)
        case "string":
            tokens.append(Token(Kind.STRING, raw[1:-1].replace("''", "'"), start, end))
        case "number":
            _check_number(text, start, end)
            tokens.append(Token(Kind.NUMBER, raw, start, end))
        case "hex":
            tokens.append(Token(Kind.HEX, raw[2:], start, end))
        case "parameter":
            tokens.append(Token(Kind.PARAMETER, raw[1:], start, end))
        case "quoted":
            tokens.append(Token(Kind.QUOTED, _quoted(raw[1:-1], text, start), start, end))
        case "dollar":
            stop = text.find(raw, end)
            if stop < 0:
                raise _at("unterminated dollar-quoted string", text, start)
            tokens.append(Token(Kind.STRING, text[end:stop], start, stop + len(raw)))
            return stop + len(raw)
        case "prefixed":
            tokens.append(_prefixed(raw, text, start, end))
        case _:
            tokens.append(Token(Kind.QUOTED, _unicode(raw[3:-1].replace('""', '"'), "\\", start), start, end))
    return end


def _operator(raw: str) -> str:
    """The operator that PostgreSQL reads at the start of a run of operator characters."""
    for opening in ("--", "/*"):
        place = raw.find(opening)
        if place > 0:
            raw = raw[:place]
    if len(raw) > 1 and raw[-1] in "+-" and _SPECIAL.isdisjoint(raw):
        raw = raw.rstrip("+-") or raw[0]
    return "<>" if raw == "!=" else raw


def _comment_end(text: str, start: int) -> int:
    """Past the comment, which may hold others."""
    depth, position = 1, start + 2
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            raise _at("unterminated /* comment", text, start)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def _check_number(text: str, start: int, end: int) -> None:
    if end < len(text) and (text[end].isalpha() or text[end] == "_"):
        word = re.compile(r"\w*").match(text, end)
        tail = word[0] if word else ""
        message = f'trailing junk after numeric literal at or near "{text[start : end + len(tail)]}"'
        raise SqlSyntaxError(message, position=start + 1)


def _prefixed(raw: str, text: str, start: int, end: int) -> Token:
    prefix = raw[0].lower()
    if prefix == "e":
        return Token(Kind.STRING, _unescaped(raw[2:-1], start), start, end)
    if prefix == "u":
        return Token(Kind.STRING, _unicode(raw[3:-1].replace("''", "'"), "\\", start), start, end)
    body = raw[2:-1].replace("''", "'")
    if prefix == "n":
        return Token(Kind.STRING, body, start, end)
    return Token(Kind.BITS, prefix + body, start, end)


def _unescaped(body: str, start: int) -> str:
    """The string that an E'' constant stands for."""
    if "\\" not in body:
        return body.replace("''", "'")
    pieces: list[bytes | str] = []
    position = 0
    for found in _ESCAPE.finditer(body):
        pieces.append(body[position : found.start()].replace("''", "'"))
        octal, hexadecimal, short, long, letter = found.groups()
        if octal is not None:
            pieces.append(bytes([int(octal, 8) & 0xFF]))
        elif hexadecimal is not None:
            pieces.append(bytes([int(hexadecimal, 16)]))
        elif letter is not None:
            if letter in "uU":
                raise InvalidEscapeSequence(
                    "invalid Unicode escape",
                    hint="Unicode escapes must be \\uXXXX or \\UXXXXXXXX.",
                    position=start + 1,
                )
            pieces.append(_LETTERS.get(letter, letter))
        else:
            pieces.append(_character(short or long, start))
        position = found.end()
    pieces.append(body[position:].replace("''", "'"))
    return _text(pieces, start)


def _text(pieces: list[bytes | str], start: int) -> str:
    raw = b"".join(p if isinstance(p, bytes) else p.encode("utf-8", "surrogatepass") for p in pieces)
    try:
        # \uD83D\uDE00 is one character: surrogates that meet are joined by way of UTF-16.
        return raw.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise SqlSyntaxError("invalid Unicode surrogate pair", position=start + 1) from None


def _character(digits: str, start: int) -> str:
    code = int(digits, 16)
    if code == 0 or code > 0x10FFFF:
        raise SqlSyntaxError("invalid Unicode escape value", position=start + 1)
    return chr(code)


def _unicode(body: str, escape: str, start: int) -> str:
    """The text of U&'' and U&"" with its \\XXXX and \\+XXXXXX."""
    sign = re.escape(escape)
    pattern = re.compile(rf"{sign}(?:({sign})|([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|(.|$))", re.DOTALL)

    def character(found: re.Match[str]) -> str:
        if found[1]:
            return escape
        if found[4] is not None:
            raise SqlSyntaxError("invalid Unicode escape", position=start + 1)
        return _character(found[2] or found[3], start)

    return _text([pattern.sub(character, body)], start)


def _quoted(body: str, text: str, start: int) -> str:
    if not body:
        raise _at("zero-length delimited identifier", text, start)
    return _name(body.replace('""', '"'))


def _name(name: str) -> str:
    """A name cut to PostgreSQL's length."""
    if len(name) <= NAME_BYTES // 4:
        return name
    raw = name.encode("utf-8", "surrogatepass")
    return name if len(raw) <= NAME_BYTES else raw[:NAME_BYTES].decode("utf-8", "ignore")


_CONTINUED = (Kind.STRING, Kind.BITS)


def _merged(tokens: list[Token], text: str) -> list[Token]:
    """Strings that stand on several lines as one; UESCAPE applied."""
    if not any(t.kind is Kind.STRING for t in tokens):
        return tokens
    merged: list[Token] = []
    for token in tokens:
        last = merged[-1] if merged else None
        if token.kind is Kind.STRING and last is not None:
            gap = text[last.end : token.start]
            if last.kind in _CONTINUED and "\n" in gap and text[token.start] == "'":
                merged[-1] = Token(last.kind, last.text + token.text, last.start, token.end)
                continue
            if last.is_word("uescape") and len(merged) > 1:
                merged[-2:] = [_escaped_again(merged[-2], token, text)]
                continue
        merged.append(token)
    return merged


def _escaped_again(token: Token, escape: Token, text: str) -> Token:
    raw = text[token.start : token.end]
    if raw[:2].lower() != "u&" or len(escape.text) != 1:
        raise _at("invalid Unicode escape character", text, escape.start)
    quote = raw[2]
    body = raw[3:-1].replace(quote * 2, quote)
    return Token(token.kind, _unicode(body, escape.text, token.start), token.start, escape.end)


def _unreadable(text: str, start: int) -> DatabaseError:
    """What is wrong at a place where no token begins."""
    head = text[start : start + 2].lower()
    if head[:1] == "'" or head in ("e'", "n'"):
        return _at("unterminated quoted string", text, start)
    if head == "x'":
        return _at("unterminated hexadecimal string literal", text, start)
    if head == "b'":
        return _at("unterminated bit string literal", text, start)
    if head[:1] == '"':
        return _at("unterminated quoted identifier", text, start)
    return SqlSyntaxError(f'syntax error at or near "{text[start]}"', position=start + 1)


def _at(message: str, text: str, start: int) -> SqlSyntaxError:
    return SqlSyntaxError(f'{message} at or near "{text[start:]}"', position=start + 1)


def near(text: str, token: Token | None) -> SqlSyntaxError:
    """PostgreSQL's error for a token that may not stand there; None: the end of the text."""
    if token is None:
        return SqlSyntaxError("syntax error at end of input", position=len(text) + 1)
    return SqlSyntaxError(
        f'syntax error at or near "{text[token.start : token.end]}"', position=token.position
    )
