"""ANALYZE, VACUUM, OPTIMIZE TABLE and TRUNCATE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from sql.commands.base import Command, Name, name_list
from sql.reading import Reader


@dataclass(frozen=True)
class Maintain(Command):
    """ANALYZE and VACUUM of tables (none named: all)."""

    tag: Literal["ANALYZE", "VACUUM"]
    names: tuple[Name, ...]


@dataclass(frozen=True)
class Optimize(Command):
    """OPTIMIZE TABLE; `mode` is what follows the name, in lower case, if anything does."""

    name: Name
    mode: Literal["", "flush", "full"]


@dataclass(frozen=True)
class Truncate(Command):
    names: tuple[Name, ...]
    restart: bool
    cascade: bool = False


@dataclass(frozen=True)
class MergeStatus(Command):
    """SHOW COLUMNAR MERGE STATUS FOR a table."""

    COLUMNS: ClassVar = ("Merger", "State", "Plan", "Progress", "Partition")

    name: Name


@dataclass(frozen=True)
class ShowPlancache(Command):
    """SHOW PLANCACHE."""

    COLUMNS: ClassVar = ("PlanId", "Database", "QueryText", "Commits")


def _truncate(reader: Reader) -> Command:
    reader.word("table")
    reader.word("only")
    names = name_list(reader)
    restart = False
    if reader.one_of("restart", "continue") == "restart":
        restart = True
        reader.must_word("identity")
    elif reader.word("identity"):
        pass
    return Truncate(names, restart, reader.one_of("cascade", "restrict") == "cascade")


def _analyze(reader: Reader) -> Command:
    reader.word("verbose")
    return Maintain("ANALYZE", _maintained(reader))


def _vacuum(reader: Reader) -> Command:
    if reader.token is not None and reader.token.is_mark("("):
        reader.parenthesised()
    while reader.one_of("full", "freeze", "verbose", "analyze"):
        pass
    return Maintain("VACUUM", _maintained(reader))


def _optimize(reader: Reader) -> Command:
    reader.must_word("table")
    name = reader.qualified()
    if reader.word("flush"):
        return Optimize(name, "flush")
    return Optimize(name, "full" if reader.word("full") else "")


def _maintained(reader: Reader) -> tuple[Name, ...]:
    return name_list(reader) if reader.token is not None else ()


READERS: dict[str, Callable[[Reader], Command]] = {
    "truncate": _truncate,
    "analyze": _analyze,
    "analyse": _analyze,
    "vacuum": _vacuum,
    "optimize": _optimize,
}
