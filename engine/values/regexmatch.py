"""Where a regular expression matches by PostgreSQL's rules: the earliest start, then the longest end (the
shortest, if the expression prefers that), then the parts, each as long (short) as it prefers, from left to
right.

The whole is found first and taken apart afterwards, as Spencer's library does (Tcl's and PostgreSQL's): a
part is given its stretch, and shares it out among its own. Only back references make a part fail that its
automaton has taken; then the next way to share is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

from engine.values.automaton import Automaton
from engine.values.regextree import (
    SHORTER,
    Back,
    Choice,
    Group,
    Node,
    Repeat,
    Sequence,
    prefers,
)

Spans = dict[int, tuple[int, int]]  # of groups, by their numbers


class Match(Protocol):
    """Of a text: the whole has the number 0; a group that took no part is at -1, and None."""

    def start(self, number: int = 0, /) -> int: ...
    def end(self, number: int = 0, /) -> int: ...
    def __getitem__(self, number: int, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Places:
    """A match by the places of its groups."""

    text: str
    spans: Spans

    def start(self, number: int = 0, /) -> int:
        return self.spans.get(number, (-1, -1))[0]

    def end(self, number: int = 0, /) -> int:
        return self.spans.get(number, (-1, -1))[1]

    def __getitem__(self, number: int, /) -> str | None:
        span = self.spans.get(number)
        return None if span is None else self.text[span[0] : span[1]]


class Expression:
    """A tree with its automata."""

    def __init__(self, node: Node) -> None:
        self._whole = Automaton(node)
        self._anywhere = Automaton(node, anywhere=True)
        self._shortest = prefers(node) == SHORTER
        self._compares = has_backs(node)
        self._part = part_of(node) if self._compares or groups_in(node) else None

    def test(self, text: str) -> bool:
        """Whether there is a match."""
        if self._compares:
            return self.find(text, 0) is not None
        return bool(self._anywhere.ends(text, 0, len(text), earliest=True))

    def find(self, text: str, start: int) -> Places | None:
        """The first match that begins at `start` or behind it."""
        earliest = self._anywhere.ends(text, start, len(text), earliest=True)
        if not earliest:
            return None
        for begin in range(start, (len(text) if self._compares else earliest[0]) + 1):
            for end in _preferred(self._whole, text, begin, len(text), self._shortest):
                spans: Spans = {}
                if self._part is None or self._part.share(text, begin, end, spans):
                    spans[0] = (begin, end)
                    return Places(text, spans)
        return None


def _preferred(automaton: Automaton, text: str, begin: int, limit: int, shortest: bool) -> Iterable[int]:
    """The ends of stretches from a place on, the preferred one first."""
    ends = automaton.ends(text, begin, limit)
    return ends if shortest else reversed(ends)


def groups_in(node: Node) -> set[int]:
    match node:
        case Sequence(items) | Choice(items):
            return set().union(*map(groups_in, items))
        case Repeat(item, _, _, _):
            return groups_in(item)
        case Group(number, item):
            return {number} | groups_in(item)
    return set()


def has_backs(node: Node) -> bool:
    match node:
        case Sequence(items) | Choice(items):
            return any(map(has_backs, items))
        case Repeat(item, _, _, _) | Group(_, item):
            return has_backs(item)
    return isinstance(node, Back)


def _matters(node: Node) -> bool:
    """Whether something within has a place of its own."""
    return bool(groups_in(node)) or has_backs(node)


@dataclass
class Part:
    """A part that is given a stretch; this one has nothing within."""

    node: Node

    @cached_property
    def automaton(self) -> Automaton:
        return Automaton(self.node)

    @cached_property
    def shortest(self) -> bool:
        return prefers(self.node) == SHORTER

    @cached_property
    def groups(self) -> set[int]:
        return groups_in(self.node)

    def share(self, text: str, begin: int, end: int, spans: Spans) -> bool:
        """Place the groups within a stretch that the automaton takes; False if a comparison fails."""
        return True

    def forget(self, spans: Spans) -> None:
        for number in self.groups:
            spans.pop(number, None)


@dataclass
class _Compared(Part):
    """A back reference, so and so many times."""

    number: int
    ignore_case: bool
    low: int
    high: int | None

    def share(self, text: str, begin: int, end: int, spans: Spans) -> bool:
        span = spans.get(self.number)
        if span is None:
            return False
        wanted, found = text[span[0] : span[1]], text[begin:end]
        if not wanted or not found:
            return not found and (not wanted or self.low == 0)
        times, rest = divmod(len(found), len(wanted))
        if rest or times < self.low or (self.high is not None and times > self.high):
            return False
        wanted *= times
        return wanted == found or (self.ignore_case and _folded(wanted) == _folded(found))


def _folded(text: str) -> str:
    return "".join([c.lower() if c.isascii() else c for c in text])


@dataclass
class _Grouped(Part):
    number: int
    inner: Part

    def share(self, text: str, begin: int, end: int, spans: Spans) -> bool:
        if not self.inner.share(text, begin, end, spans):
            return False
        spans[self.number] = (begin, end)
        return True


@dataclass
class _Chosen(Part):
    branches: list[Part]

    def share(self, text: str, begin: int, end: int, spans: Spans) -> bool:
        for branch in self.branches:
            if branch.automaton.takes(text, begin, end) and branch.share(text, begin, end, spans):
                return True
        return False


@dataclass
class _Joined(Part):
    """Two, one behind the other: the left one has its way."""

    left: Part
    right: Part

    def share(self, text: str, begin: int, end: int, spans: Spans) -> bool:
        for middle in _preferred(self.left.automaton, text, begin, end, self.left.shortest):
            if self.right.automaton.takes(text, middle, end):
                if self.left.share(text, begin, middle, spans) and self.right.share(text, middle, end, spans):
                    return True
                self.forget(spans)
        return False


@dataclass
class _Repeated(Part):
    """An item low to high times; each time has its way before the next."""

    item: Part
    low: int
    high: int | None

    def share(self, text: str, begin: int, end: int, spans: Spans) -> bool:
        none_will_do = begin == end and self.low == 0
        if none_will_do and self.item.shortest:
            return True
        least = max(self.low, 1)
        most = max(end - begin, least)  # nothing is taken several times only to make up the number
        if self.high is not None:
            most = min(self.high, most)
        # a stack of the ways still open, one for each time, and where these times begin
        ways, begins = [self._ways(text, begin, end, least - 1)], [begin]
        while ways:
            reached = next(ways[-1], None)
            times = len(ways)
            if reached is None:
                ways.pop()
                begins.pop()
            elif reached < end and times < most:
                begins.append(reached)
                ways.append(self._ways(text, reached, end, least - times - 1))
            elif reached == end and times >= least and self._each(text, [*begins, end], spans):
                return True
        return none_will_do

    def _ways(self, text: str, begin: int, end: int, missing: int) -> Iterator[int]:
        """Where one time can end. It may take nothing if more times are missing than there is text."""
        for reached in _preferred(self.item.automaton, text, begin, end, self.item.shortest):
            if reached > begin or begin == end or (missing > 0 and missing >= end - begin):
                yield reached

    def _each(self, text: str, ends: list[int], spans: Spans) -> bool:
        for begin, end in pairwise(ends):
            self.item.forget(spans)
            if not self.item.share(text, begin, end, spans):
                return False
        return True


def part_of(node: Node) -> Part:
    """What shares out a stretch among the groups of a node."""
    if not _matters(node):
        return Part(node)
    match node:
        case Group(number, item):
            return _Grouped(node, number, part_of(item))
        case Back(number, _, ignore_case):
            return _Compared(node, number, ignore_case, 1, 1)
        case Choice(branches):
            return _Chosen(node, [part_of(branch) for branch in branches])
        case Sequence(items):
            return _sequence(items)
        case Repeat():
            return _repetition(node)
    raise AssertionError(node)


def _sequence(items: tuple[Node, ...]) -> Part:
    """One part up to an item that has groups or another preference; then that one; then the rest."""
    run: list[Node] = []
    prefer = 0
    for at, item in enumerate(items):
        own = prefers(item)
        if _matters(item) or (prefer and own and own != prefer):
            rest = items[at + 1 :]
            tail = part_of(item)
            if rest:
                tail = _Joined(Sequence(items[at:]), tail, _sequence(rest))
            return _Joined(Sequence(items), Part(Sequence(tuple(run))), tail) if run else tail
        prefer = prefer or own
        run.append(item)
    return Part(Sequence(tuple(run)))


def _repetition(node: Repeat) -> Part:
    item, low, high, own = node.item, node.low, node.high, node.prefers
    inner = prefers(item)
    if isinstance(item, Back):
        return _Compared(node, item.number, item.ignore_case, low, high)
    if low == high == 1 and own in (0, inner):
        return part_of(item)
    if low > 0 and not has_backs(item):  # only the last time's groups are asked for
        before = Repeat(item, low - 1, None if high is None else high - 1, own)
        before_part = Part(before)
        before_part.shortest = (own or inner) == SHORTER
        return _Joined(node, before_part, part_of(item))
    return _Repeated(node, part_of(item), low, high)
