"""PREPARE, EXECUTE, DEALLOCATE, and cursors: DECLARE, FETCH, MOVE, CLOSE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from sql.commands.base import Command
from sql.reading import Reader
from sql.tokens import Kind, Token
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class Prepare(Command):
    name: str
    types: tuple[tuple[Token, ...], ...]
    body: tuple[Token, ...]


@dataclass(frozen=True)
class Execute(Command):
    name: str
    arguments: tuple[tuple[Token, ...], ...]


@dataclass(frozen=True)
class Deallocate(Command):
    name: str | None  # None: ALL


@dataclass(frozen=True)
class Declare(Command):
    name: str
    hold: bool
    scroll: bool
    binary: bool
    body: tuple[Token, ...]


class Direction(Enum):
    """Where FETCH and MOVE go: so many rows on or back, or to one row, counted from an end or from here."""

    FORWARD = "forward"
    BACKWARD = "backward"
    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@dataclass(frozen=True)
class Fetch(Command):
    """FETCH and MOVE. `count` of None: ALL."""

    name: str
    direction: Direction
    count: int | None
    move: bool = False


@dataclass(frozen=True)
class CloseCursor(Command):
    name: str | None  # None: ALL


def _list(reader: Reader) -> tuple[tuple[Token, ...], ...]:
    """Expressions or types between parentheses."""
    found = []
    while True:
        found.append(reader.until())
        if not found[-1]:
            raise reader.wrong()
        if not reader.mark(","):
            reader.must_mark(")")
            return tuple(found)


def _prepare(reader: Reader) -> Command:
    if reader.word("transaction"):
        raise FeatureNotSupported("PREPARE TRANSACTION is not supported")
    name = reader.name()
    types = _list(reader) if reader.mark("(") else ()
    reader.must_word("as")
    return Prepare(name, types, reader.rest())


def read_execute(reader: Reader) -> Execute:
    """EXECUTE, from the name on."""
    name = reader.name()
    return Execute(name, _list(reader) if reader.mark("(") else ())


def _deallocate(reader: Reader) -> Command:
    reader.word("prepare")
    return Deallocate(None if reader.word("all") else reader.name())


def read_declare(reader: Reader) -> Declare:
    """DECLARE, from the name on."""
    name = reader.name()
    scroll = hold = binary = False
    while not reader.word("cursor"):
        if reader.word("no", "scroll"):
            scroll = False
        elif reader.word("scroll"):
            scroll = True
        elif reader.word("binary"):
            binary = True
        elif not reader.one_of("insensitive", "asensitive"):
            raise reader.wrong()
    said = reader.one_of("with", "without")
    if said:
        hold = said == "with"
        reader.must_word("hold")
    reader.must_word("for")
    return Declare(name, hold, scroll, binary, reader.rest())


def _fetch(reader: Reader) -> Command:
    return _fetched(reader, move=False)


def _move(reader: Reader) -> Command:
    return _fetched(reader, move=True)


_ONE = {
    "next": (Direction.FORWARD, 1),
    "prior": (Direction.BACKWARD, 1),
    "first": (Direction.ABSOLUTE, 1),
    "last": (Direction.ABSOLUTE, -1),
}


def _fetched(reader: Reader, move: bool) -> Command:
    direction, count = Direction.FORWARD, _counted(reader)
    if count == ():
        word = reader.one_of(*_ONE)
        if word:
            direction, number = _ONE[word]
            count = (number,)
        else:
            word = reader.one_of("absolute", "relative", "forward", "backward")
            direction = Direction(word) if word else direction
            count = _counted(reader, all=direction in (Direction.FORWARD, Direction.BACKWARD))
            if count == () and word in ("absolute", "relative"):
                raise reader.wrong()
    reader.one_of("from", "in")
    rows = count[0] if count else 1
    if rows is not None and rows < 0 and direction in (Direction.FORWARD, Direction.BACKWARD):
        back = direction is Direction.FORWARD
        direction, rows = Direction.BACKWARD if back else Direction.FORWARD, -rows
    return Fetch(reader.name(), direction, rows, move)


def _counted(reader: Reader, *, all: bool = True) -> tuple[int | None, ...]:
    """A number of rows, (None,) for ALL, () where there is none."""
    if all and reader.word("all"):
        return (None,)
    token = reader.token
    signed = token is not None and (token.kind is Kind.NUMBER or token.text in ("-", "+"))
    return (reader.integer(),) if signed else ()


def _close(reader: Reader) -> Command:
    return CloseCursor(None if reader.word("all") else reader.name())


READERS: dict[str, Callable[[Reader], Command]] = {
    "prepare": _prepare,
    "execute": read_execute,
    "deallocate": _deallocate,
    "declare": read_declare,
    "fetch": _fetch,
    "move": _move,
    "close": _close,
}
