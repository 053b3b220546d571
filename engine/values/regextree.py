"""PostgreSQL's regular expressions (AREs) read into a tree.

The tree says what the text means and no more: letters are sets of code points (case and newlines are
already in them), groups have their numbers, a repetition knows whether it prefers to be long or short.
Classes are ASCII, as under collation C. What is no expression is InvalidRegularExpression, in PostgreSQL's
words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from storage.errors import InvalidRegularExpression

Ranges = tuple[tuple[int, int], ...]  # sorted, apart from each other, both ends in
HIGHEST = 0x10FFFF
LONGER, SHORTER = 1, 2


@dataclass(frozen=True, slots=True)
class Letter:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; none: the empty text."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of two or more."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """low to high times (None: no end), high > 0.

    prefers: LONGER, SHORTER, or 0 for what the item prefers ({m}).
    """

    item: Node
    low: int
    high: int | None
    prefers: int


@dataclass(frozen=True, slots=True)
class Group:
    """A part whose place is asked for; numbers count from 1."""

    number: int
    item: Node


@dataclass(frozen=True, slots=True)
class Back:
    """What a group has taken, once more; `item` is what that group takes."""

    number: int
    item: Node
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A place: the text's start or end, a line's, a word's start, end, either (y) or neither (Y)."""

    kind: Literal["start", "end", "line start", "line end", "m", "M", "y", "Y"]


@dataclass(frozen=True, slots=True)
class Look:
    """A place before which (behind which) something stands, or does not."""

    item: Node
    ahead: bool
    negative: bool


Node = Letter | Sequence | Choice | Repeat | Group | Back | Edge | Look


@dataclass(frozen=True, slots=True)
class Options:
    """What flags say of a pattern."""

    ignore_case: bool = False
    anchors: bool = False  # ^ and $ stand at line ends, too
    dots: bool = False  # . and [^...] take no line end
    expanded: bool = False
    literal: bool = False


def wrong(words: str) -> InvalidRegularExpression:
    return InvalidRegularExpression(f"invalid regular expression: {words}")


def too_complex() -> InvalidRegularExpression:
    return wrong("regular expression is too complex")


# --- sets of code points --------------------------------------------------------------------------


def united(ranges: list[tuple[int, int]]) -> Ranges:
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def complement(ranges: Ranges) -> Ranges:
    out, start = [], 0
    for low, high in ranges:
        if low > start:
            out.append((start, low - 1))
        start = high + 1
    return (*out, (start, HIGHEST)) if start <= HIGHEST else tuple(out)


def disjoint(one: Ranges, other: Ranges) -> bool:
    return all(b < c or d < a for a, b in one for c, d in other)


def _both_cases(ranges: Ranges) -> Ranges:
    more = list(ranges)
    for low, high in ranges:
        for first, last, shift in ((65, 90, 32), (97, 122, -32)):
            if low <= last and high >= first:
                more.append((max(low, first) + shift, min(high, last) + shift))
    return united(more)


def _of(text: str) -> Ranges:
    """The ranges that pairs of characters are."""
    return united([(ord(a), ord(b)) for a, b in zip(text[::2], text[1::2], strict=True)])


_CLASSES = {
    "alpha": _of("azAZ"),
    "alnum": _of("azAZ09"),
    "digit": _of("09"),
    "xdigit": _of("09AFaf"),
    "lower": _of("az"),
    "upper": _of("AZ"),
    "space": _of("  \t\r"),
    "blank": _of("  \t\t"),
    "cntrl": _of("\x00\x1f\x7f\x7f"),
    "graph": _of("!~"),
    "print": _of(" ~"),
    "punct": _of("!/:@[`{~"),
    "word": _of("azAZ09__"),
    "ascii": _of("\x00\x7f"),
}
_SHORTHANDS = {"d": _CLASSES["digit"], "s": _CLASSES["space"], "w": _CLASSES["word"]}
# POSIX's names of characters that are no letters, with their codes
_NAMES = """
    NUL:0 SOH:1 STX:2 ETX:3 EOT:4 ENQ:5 ACK:6 alert:7 BEL:7 backspace:8 BS:8 tab:9 HT:9
    newline:10 LF:10 vertical-tab:11 VT:11 form-feed:12 FF:12 carriage-return:13 CR:13 SO:14 SI:15 DLE:16
    DC1:17 DC2:18 DC3:19 DC4:20 NAK:21 SYN:22 ETB:23 CAN:24 EM:25 SUB:26 ESC:27 IS4:28 FS:28 IS3:29 GS:29
    IS2:30 RS:30 IS1:31 US:31 space:32 exclamation-mark:33 quotation-mark:34 number-sign:35 dollar-sign:36
    percent-sign:37 ampersand:38 apostrophe:39 left-parenthesis:40 right-parenthesis:41 asterisk:42
    plus-sign:43 comma:44 hyphen:45 hyphen-minus:45 period:46 full-stop:46 slash:47 solidus:47 zero:48
    one:49 two:50 three:51 four:52 five:53 six:54 seven:55 eight:56 nine:57 colon:58 semicolon:59
    less-than-sign:60 equals-sign:61 greater-than-sign:62 question-mark:63 commercial-at:64
    left-square-bracket:91 backslash:92 reverse-solidus:92 right-square-bracket:93 circumflex:94
    circumflex-accent:94 underscore:95 low-line:95 grave-accent:96 left-brace:123 left-curly-bracket:123
    vertical-line:124 right-brace:125 right-curly-bracket:125 tilde:126 DEL:127
"""
_ELEMENTS = {name: chr(int(code)) for name, code in (pair.split(":") for pair in _NAMES.split())}
_CONTROLS = {"a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "B": 92}
_EDGES = {"A": "start", "Z": "end", "m": "m", "M": "M", "y": "y", "Y": "Y"}
_LOOKS = {"?=": (True, False), "?!": (True, True), "?<=": (False, False), "?<!": (False, True)}
# of {m,n}; PostgreSQL's own limit of the counts
_COUNTS, _UNCLOSED, _MOST = re.compile(r"(\d+)(,(\d*))?\}"), re.compile(r"\d+(,\d*)?\Z"), 255


def read(pattern: str, options: Options) -> tuple[Node, int]:
    """(the tree, how many groups it has)"""
    if options.literal:
        return Sequence(tuple(_letter(options, ((ord(c), ord(c)),)) for c in pattern)), 0
    reader = _Reader(pattern, options)
    try:
        node = reader.choice(within_look=False)
    except RecursionError:
        raise too_complex() from None
    if reader.at < len(pattern):  # only a closing parenthesis stops it before the end
        raise wrong("parentheses () not balanced")
    return node, reader.groups


def _letter(options: Options, ranges: Ranges) -> Letter:
    return Letter(_both_cases(ranges) if options.ignore_case else ranges)


class _Reader:
    """One pass over a pattern: choices of sequences of atoms with their quantifiers."""

    def __init__(self, pattern: str, options: Options) -> None:
        self.pattern = pattern
        self.options = options
        self.at = 0
        self.groups = 0
        self.closed: dict[int, Node] = {}  # what back references can mean

    def choice(self, within_look: bool) -> Node:
        branches = [self._sequence(within_look)]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            branches.append(self._sequence(within_look))
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self, within_look: bool) -> Node:
        items: list[Node] = []
        while self._next() and self.pattern[self.at] not in "|)":
            atom = self._atom(within_look)
            items.append(atom if isinstance(atom, Edge | Look) else self._quantified(atom))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _next(self) -> bool:
        """Over comments, and spaces where they mean nothing; whether there is more."""
        pattern = self.pattern
        while self.at < len(pattern):
            if pattern.startswith("(?#", self.at):
                end = pattern.find(")", self.at)
            elif self.options.expanded and pattern[self.at].isspace():
                end = self.at
            elif self.options.expanded and pattern[self.at] == "#":
                end = pattern.find("\n", self.at)
            else:
                return True
            self.at = len(pattern) if end < 0 else end + 1
        return False

    def _quantified(self, atom: Node) -> Node:
        if not self._next():
            return atom
        counts = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self.pattern[self.at])
        if counts is not None:
            self.at += 1
            low, high, varies = *counts, True
        elif self.pattern[self.at] == "{" and self.pattern[self.at + 1 : self.at + 2].isdecimal():
            self.at += 1
            low, high, varies = self._counts()
        else:
            return atom
        short = self.pattern.startswith("?", self.at)
        self.at += short
        if high == 0:
            return Sequence(())
        return Repeat(atom, low, high, (SHORTER if short else LONGER) if varies else 0)

    def _counts(self) -> tuple[int, int | None, bool]:
        """Of {m}, {m,} or {m,n}: least, most, and whether it says what it prefers."""
        rest = self.pattern[self.at :]
        found = _COUNTS.match(rest)
        if not found:
            raise wrong("braces {} not balanced" if _UNCLOSED.match(rest) else "invalid repetition count(s)")
        low, high = int(found[1]), int(found[3] or found[1])
        if max(low, high) > _MOST or high < low:
            raise wrong("invalid repetition count(s)")
        self.at += found.end()
        return low, None if found[2] == "," else high, found[2] is not None

    def _atom(self, within_look: bool) -> Node:
        letter = self.pattern[self.at]
        self.at += 1
        if letter == "(":
            return self._group(within_look)
        if letter == "[":
            return self._bracket()
        if letter == "\\":
            return self._escape(within_look)
        if letter == "^":
            return Edge("line start" if self.options.anchors else "start")
        if letter == "$":
            return Edge("line end" if self.options.anchors else "end")
        if letter == ".":
            return Letter(complement(((10, 10),) if self.options.dots else ()))
        if letter in "*+?" or (letter == "{" and self.pattern[self.at : self.at + 1].isdecimal()):
            raise wrong("quantifier operand invalid")
        return _letter(self.options, ((ord(letter), ord(letter)),))

    def _group(self, within_look: bool) -> Node:
        rest = self.pattern[self.at : self.at + 3]
        opening = next((word for word in ("?:", *_LOOKS) if rest.startswith(word)), "")
        if rest.startswith("?") and not opening:
            raise wrong("quantifier operand invalid")
        self.at += len(opening)
        number = 0
        if not opening and not within_look:
            self.groups += 1
            number = self.groups
        node = self.choice(within_look or opening in _LOOKS)
        if not self.pattern.startswith(")", self.at):
            raise wrong("parentheses () not balanced")
        self.at += 1
        if opening in _LOOKS:
            return Look(node, *_LOOKS[opening])
        if number:
            self.closed[number] = node
            return Group(number, node)
        return Sequence((node,)) if isinstance(node, Edge | Look) else node  # which may be repeated

    def _escape(self, within_look: bool) -> Node:
        if self.at >= len(self.pattern):
            raise wrong("invalid escape \\ sequence")
        letter = self.pattern[self.at]
        self.at += 1
        if letter in _EDGES:
            return Edge(_EDGES[letter])  # type: ignore[arg-type]
        if letter.lower() in _SHORTHANDS:
            ranges = _SHORTHANDS[letter.lower()]
            return Letter(complement(ranges) if letter.isupper() else ranges)
        if letter in "123456789":
            digits = re.compile(r"\d*").match(self.pattern, self.at)
            assert digits
            number = int(letter + digits[0])
            if not digits[0] or number <= self.groups:
                self.at = digits.end()
                if within_look or number not in self.closed:
                    raise wrong("invalid backreference number")
                return Back(number, self.closed[number], self.options.ignore_case)
        code = self._character(letter)
        return _letter(self.options, ((code, code),))

    def _character(self, letter: str) -> int:
        """The code of an escape that stands for one character."""
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter in "01234567":
            self.at -= 1
            code = self._digits("[0-7]{1,3}", 8)
            if code > 255:
                self.at -= 1
                code >>= 3
            return code
        if letter in "xuU":
            return self._digits(r"[0-9a-fA-F]" + {"x": "+", "u": "{4}", "U": "{8}"}[letter], 16)
        if letter == "c" and self.at < len(self.pattern):
            self.at += 1
            return ord(self.pattern[self.at - 1]) & 31
        if letter.isalnum():
            raise wrong("invalid escape \\ sequence")
        return ord(letter)

    def _digits(self, form: str, base: int) -> int:
        digits = re.compile(form).match(self.pattern, self.at)
        if not digits or int(digits[0], base) > HIGHEST:
            raise wrong("invalid escape \\ sequence")
        self.at = digits.end()
        return int(digits[0], base)

    def _bracket(self) -> Node:
        pattern = self.pattern
        for word, edge in (("[:<:]]", "m"), ("[:>:]]", "M")):
            if pattern.startswith(word, self.at):
                self.at += len(word)
                return Edge(edge)  # type: ignore[arg-type]
        negative = pattern.startswith("^", self.at)
        self.at += negative
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not pattern.startswith("]", self.at):
            ranges += self._bracket_item(first)
            first = False
        self.at += 1
        made = united(ranges)
        if self.options.ignore_case:
            made = _both_cases(made)
        if negative:
            made = complement(united([*made, (10, 10)] if self.options.dots else list(made)))
        return Letter(made)

    def _bracket_item(self, first: bool) -> Ranges:
        """A class, a character or a range of characters."""
        start = self._bracket_part(first)
        pattern = self.pattern
        if not pattern.startswith("-", self.at) or pattern.startswith("]", self.at + 1):
            return ((start, start),) if isinstance(start, int) else start
        self.at += 1
        last = self._bracket_part(first=True)
        if not isinstance(start, int) or not isinstance(last, int) or last < start:
            raise wrong("invalid character range")
        return ((start, last),)

    def _bracket_part(self, first: bool) -> int | Ranges:
        pattern = self.pattern
        if self.at >= len(pattern):
            raise wrong("brackets [] not balanced")
        special = re.compile(r"\[([:.=])(.*?)\1\]", re.DOTALL).match(pattern, self.at)
        if special:
            self.at = special.end()
            return _named(special[1], special[2])
        if re.compile(r"\[[:.=]").match(pattern, self.at):
            raise wrong("brackets [] not balanced")
        letter = pattern[self.at]
        self.at += 1
        if letter == "\\" and self.at < len(pattern):
            letter = pattern[self.at]
            self.at += 1
            if letter.lower() in _SHORTHANDS:
                ranges = _SHORTHANDS[letter.lower()]
                return complement(ranges) if letter.isupper() else ranges
            if letter in "89":
                raise wrong("invalid escape \\ sequence")
            if letter in "1234567" and not pattern[self.at : self.at + 1].isdecimal():
                raise wrong("invalid escape \\ sequence")
            return self._character(letter)
        if letter == "-" and not first and not pattern.startswith("]", self.at):
            raise wrong("invalid character range")
        return ord(letter)


def _named(kind: str, name: str) -> int | Ranges:
    """What [:class:], [.element.] or [=equals=] names."""
    if kind == ":":
        if name not in _CLASSES:
            raise wrong("invalid character class")
        return _CLASSES[name]
    element = _ELEMENTS.get(name, name)
    if len(element) != 1:
        raise wrong("invalid collating element")
    return ord(element)


def prefers(node: Node) -> int:
    """LONGER, SHORTER or 0: a sequence as its first item that cares, a choice LONGER."""
    match node:
        case Choice():
            return LONGER
        case Sequence(items):
            return next(filter(None, map(prefers, items)), 0)
        case Repeat(item, _, _, own):
            return own or prefers(item)
        case Group(_, item) | Back(_, item):
            return prefers(item)
    return 0
