"""Which stretches of a text a regular expression can take: a nondeterministic automaton, determined as it
runs.

One pass over the text, a step a character, whatever the expression is; nothing is tried twice. What holds
at a place only (edges, lookaround) is asked of the place before its states are followed. A back reference
counts as what its group can take: whoever has one has to compare as well.

The construction is Thompson's (Regular Expression Search Algorithm, 1968), the sets of states are made
when a text first leads to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.values.regextree import (
    Back,
    Choice,
    Edge,
    Group,
    Letter,
    Look,
    Node,
    Ranges,
    Repeat,
    Sequence,
    too_complex,
)

_MOST_STATES = 150_000  # of one automaton
_MOST_KEPT = 5_000  # sets of states, before all are forgotten

Place = Callable[[str, int], bool]


def size(node: Node) -> int:
    """About how many states an expression takes."""
    match node:
        case Sequence(items) | Choice(items):
            return 2 + sum(map(size, items))
        case Repeat(item, low, high, _):
            return 2 + size(item) * max(1, low if high is None else high)
        case Group(_, item) | Back(_, item, _) | Look(item, _, _):
            return size(item)
    return 2


class _States(dict[str, "_States | None"]):
    """A set of states, by the next character the set behind it (none: nothing fits any more)."""

    __slots__ = ("final", "members")

    def __init__(self, members: frozenset[int], final: bool) -> None:
        super().__init__()
        self.members = members
        self.final = final


class Automaton:
    """Of one expression. With `anywhere` the match begins anywhere behind the place that is given."""

    def __init__(self, node: Node, anywhere: bool = False) -> None:
        if size(node) > _MOST_STATES:
            raise too_complex()
        self._letters: list[tuple[Ranges, int] | None] = []  # of each state: what it takes, and where to
        self._onward: list[list[tuple[int, int | None]]] = []  # without a character, if a place holds
        self._places: list[Place] = []
        self._kept: dict[tuple[frozenset[int], tuple[bool, ...]], _States] = {}
        self._end = self._state()
        self._start = self._build(node, self._end)
        self._anywhere = anywhere
        if not self._places:
            self._first = self._set({self._start}, ())

    # --- building: each part is given the state behind it, and gives the one before it

    def _state(self, letter: tuple[Ranges, int] | None = None) -> int:
        self._letters.append(letter)
        self._onward.append([])
        return len(self._letters) - 1

    def _build(self, node: Node, after: int) -> int:
        match node:
            case Letter(ranges):
                return self._state((ranges, after))
            case Sequence(items):
                for item in reversed(items):
                    after = self._build(item, after)
                return after
            case Choice(branches):
                return self._fork([self._build(branch, after) for branch in branches])
            case Group(_, item):
                return self._build(item, after)
            case Back(_, item, _):
                return self._build(_anywhere(item), after)
            case Repeat(item, low, high, _):
                return self._repeat(item, low, high, after)
            case Edge() | Look():
                state = self._state()
                self._onward[state].append((after, len(self._places)))
                self._places.append(_looking(node) if isinstance(node, Look) else _EDGES[node.kind])
                return state

    def _repeat(self, item: Node, low: int, high: int | None, after: int) -> int:
        if high is None:
            again = self._fork([after])
            self._onward[again].append((self._build(item, again), None))
            after = again
        else:
            end = after
            for _ in range(high - low):
                after = self._fork([self._build(item, after), end])
        for _ in range(low):
            after = self._build(item, after)
        return after

    def _fork(self, states: list[int]) -> int:
        state = self._state()
        self._onward[state] = [(other, None) for other in states]
        return state

    # --- running

    def _set(self, members: Iterable[int], holds: tuple[bool, ...]) -> _States:
        """The states that are reached from others without a character, where these places hold."""
        key = (frozenset(members), holds)
        found = self._kept.get(key)
        if found is None:
            reached, open_ = set(key[0]), list(key[0])
            while open_:
                for other, place in self._onward[open_.pop()]:
                    if other not in reached and (place is None or holds[place]):
                        reached.add(other)
                        open_.append(other)
            taking = frozenset(state for state in reached if self._letters[state] is not None)
            found = _States(taking, self._end in reached)
            if len(self._kept) >= _MOST_KEPT:
                self._forget()
            self._kept[key] = found
        return found

    def _forget(self) -> None:
        """Sets that a run still holds stay right, but lead to new ones."""
        for states in list(self._kept.values()):
            states.clear()
        self._kept.clear()

    def _behind(self, states: _States, letter: str) -> set[int]:
        code, reached = ord(letter), set()
        for state in states.members:
            taken = self._letters[state]
            assert taken is not None
            if any(low <= code <= high for low, high in taken[0]):
                reached.add(taken[1])
        if self._anywhere:
            reached.add(self._start)
        return reached

    def _step(self, states: _States, letter: str) -> _States | None:
        reached = self._behind(states, letter)
        found = states[letter] = self._set(reached, ()) if reached else None
        return found

    def ends(self, text: str, start: int, limit: int, earliest: bool = False) -> list[int]:
        """Where stretches from `start` on end, at most at `limit`, the shortest first (or alone)."""
        if self._places:
            return self._ends_by_place(text, start, limit, earliest)
        states: _States | None = self._first
        assert states is not None
        found = [start] if states.final else []
        if found and earliest:
            return found
        for at in range(start, limit):
            letter = text[at]
            try:
                states = states[letter]
            except KeyError:
                states = self._step(states, letter)  # type: ignore[arg-type]
            if states is None:
                break
            if states.final:
                found.append(at + 1)
                if earliest:
                    break
        return found

    def _ends_by_place(self, text: str, start: int, limit: int, earliest: bool) -> list[int]:
        found, members = [], {self._start}
        for at in range(start, limit + 1):
            states = self._set(members, tuple([place(text, at) for place in self._places]))
            if states.final:
                found.append(at)
                if earliest:
                    break
            if at == limit:
                break
            members = self._behind(states, text[at])
            if not members:
                break
        return found

    def takes(self, text: str, start: int, end: int) -> bool:
        """Whether a stretch is one."""
        return self.ends(text, start, end)[-1:] == [end]


def _is_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isascii() and (text[at].isalnum() or text[at] == "_")


_EDGES: dict[str, Place] = {
    "start": lambda text, at: at == 0,
    "end": lambda text, at: at == len(text),
    "line start": lambda text, at: at == 0 or text[at - 1] == "\n",
    "line end": lambda text, at: at == len(text) or text[at] == "\n",
    "m": lambda text, at: not _is_word(text, at - 1) and _is_word(text, at),
    "M": lambda text, at: _is_word(text, at - 1) and not _is_word(text, at),
    "y": lambda text, at: _is_word(text, at - 1) != _is_word(text, at),
    "Y": lambda text, at: _is_word(text, at - 1) == _is_word(text, at),
}


def _anywhere(node: Node) -> Node:
    """What a part can take, wherever it stands."""
    match node:
        case Sequence(items):
            return Sequence(tuple(map(_anywhere, items)))
        case Choice(branches):
            return Choice(tuple(map(_anywhere, branches)))
        case Repeat(item, low, high, own):
            return Repeat(_anywhere(item), low, high, own)
        case Group(_, item) | Back(_, item, _):
            return _anywhere(item)
        case Edge() | Look():
            return Sequence(())
    return node


def _looking(look: Look) -> Place:
    if look.ahead:
        ahead = Automaton(look.item)
        return lambda text, at: bool(ahead.ends(text, at, len(text), True)) != look.negative
    behind = Automaton(look.item, anywhere=True)
    return lambda text, at: behind.takes(text, 0, at) != look.negative
