"""PostgreSQL's regular expressions, run by whoever gives its answers fastest.

Whether a text has a match is asked of RE2 (whole columns, in Arrow), which has no back references and no
lookaround. Where the match is, is asked of Python's `re` if that is sure to find what PostgreSQL finds
(`agrees`): `re` takes the first way that fits, PostgreSQL the longest (`engine.values.regexmatch`, which
answers all others). Both are given what the tree says, so case, newlines and classes are PostgreSQL's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from engine.values.automaton import size
from engine.values.regexagreement import agrees
from engine.values.regexmatch import Expression, groups_in
from engine.values.regexmatch import Match as Match
from engine.values.regextext import python_text, re2_text
from engine.values.regextree import Node, Options, read, too_complex, wrong
from storage.errors import FeatureNotSupported, InvalidParameterValue

_MOST_STATES = 100_000  # PostgreSQL's own limit is about that


@dataclass(frozen=True)
class Pattern:
    """A pattern that has been read. groups: how many parts in parentheses it has; every: the flag 'g'."""

    node: Node
    groups: int
    every: bool

    @cached_property
    def re2(self) -> str | None:
        """As RE2 text, where RE2 can do it."""
        return re2_text(self.node)

    @cached_property
    def _compiled(self) -> re.Pattern[str] | None:
        """For Python, where that finds what PostgreSQL finds."""
        if len(groups_in(self.node)) < self.groups or not agrees(self.node):
            return None
        try:
            return re.compile(python_text(self.node), re.DOTALL)
        except (OverflowError, RecursionError):
            raise too_complex() from None

    @cached_property
    def _expression(self) -> Expression:
        return Expression(self.node)

    def search(self, text: str, start: int = 0) -> Match | None:
        """The first match that begins at `start` or behind it."""
        compiled = self._compiled
        return self._expression.find(text, start) if compiled is None else compiled.search(text, start)

    def test(self, text: str) -> bool:
        """Whether there is a match."""
        compiled = self._compiled
        return self._expression.test(text) if compiled is None else compiled.search(text) is not None

    def finditer(self, text: str, start: int = 0) -> Iterator[Match]:
        """Matches one behind the other; behind an empty one the next begins a character on."""
        while start <= len(text):
            match = self.search(text, start)
            if match is None:
                return
            yield match
            start = match.end() + (match.end() == match.start())


@lru_cache(1_000)
def translate(pattern: str, flags: str = "") -> Pattern:
    """The pattern under PostgreSQL's flags; InvalidRegularExpression where it is none."""
    options, every = _flags(Options(), flags), "g" in flags
    if pattern.startswith("***="):
        pattern, options = pattern[4:], replace(options, literal=True)
    elif pattern.startswith("***:"):
        pattern = pattern[4:]
    embedded = None if options.literal else _EMBEDDED.match(pattern)
    if embedded:
        pattern = pattern[embedded.end() :]
        options = _flags(options, embedded[1], embedded=True)
    node, groups = read(pattern, options)
    try:
        if size(node) > _MOST_STATES:
            raise too_complex()
    except RecursionError:
        raise too_complex() from None
    return Pattern(node, groups, every)


_EMBEDDED = re.compile(r"\(\?([a-z]+)\)")
_FLAGS: dict[str, dict[str, bool]] = {
    "i": {"ignore_case": True},
    "c": {"ignore_case": False},
    "n": {"anchors": True, "dots": True},
    "m": {"anchors": True, "dots": True},
    "p": {"anchors": False, "dots": True},
    "w": {"anchors": True, "dots": False},
    "s": {"anchors": False, "dots": False},
    "x": {"expanded": True},
    "t": {"expanded": False},
    "q": {"literal": True},
}


def _flags(options: Options, flags: str, embedded: bool = False) -> Options:
    """The options that flags make of others."""
    for flag in flags:
        if flag in _FLAGS:
            options = replace(options, **_FLAGS[flag])
        elif flag in "be":  # e means a basic one as well: PostgreSQL takes both bits away
            raise FeatureNotSupported("basic regular expressions are not supported")
        elif embedded:
            raise wrong("invalid embedded option")
        elif flag != "g":
            raise InvalidParameterValue(f'invalid regular expression option: "{flag}"')
    return options
