"""ANALYZE, VACUUM, REINDEX, CLUSTER, OPTIMIZE TABLE and TRUNCATE."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import ClassVar, Literal

from sql.commands.base import Command, Name, name_list, value
from sql.keywords import words
from sql.reading import Reader
from storage.errors import FeatureNotSupported, SqlSyntaxError


@dataclass(frozen=True)
class Maintain(Command):
    """ANALYZE and VACUUM of tables (none named: all) with the columns that are named of each."""

    tag: Literal["ANALYZE", "VACUUM"]
    tables: tuple[tuple[Name, tuple[str, ...]], ...]
    analyze: bool


@dataclass(frozen=True)
class Optimize(Command):
    """OPTIMIZE TABLE; `mode` is what follows the name, in lower case, if anything does."""

    name: Name
    mode: Literal["", "flush", "full"]


@dataclass(frozen=True)
class Reindex(Command):
    """REINDEX; `kind` is index, table, schema, database or system, whose name may be left out."""

    kind: str
    name: Name
    concurrently: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Cluster(Command):
    """CLUSTER; without a name all tables that were clustered before, without an index by the same one."""

    name: Name
    index: str = ""


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
    if not _switches(reader, "ANALYZE", ("verbose", "skip_locked")):
        reader.word("verbose")
    return Maintain("ANALYZE", _maintained(reader), True)


_VACUUM = words(
    """analyze disable_page_skipping freeze full index_cleanup parallel process_toast skip_locked truncate
    verbose"""
)


def _vacuum(reader: Reader) -> Command:
    said = set(_switches(reader, "VACUUM", _VACUUM, valued=("index_cleanup", "parallel")))
    while word := reader.one_of("full", "freeze", "verbose", "analyze"):
        said.add(word)
    return Maintain("VACUUM", _maintained(reader), "analyze" in said)


def _optimize(reader: Reader) -> Command:
    reader.must_word("table")
    name = reader.qualified()
    if reader.word("flush"):
        return Optimize(name, "flush")
    return Optimize(name, "full" if reader.word("full") else "")


def _reindex(reader: Reader) -> Command:
    """REINDEX [(options)] kind [CONCURRENTLY] name."""
    chosen = _switches(reader, "REINDEX", ("concurrently", "verbose", "tablespace"))
    kind = reader.one_of("index", "table", "schema", "database", "system")
    if not kind:
        raise reader.wrong()
    concurrently = reader.word("concurrently") or "concurrently" in chosen
    name = () if kind in ("database", "system") and reader.token is None else reader.qualified()
    return Reindex(kind, name, concurrently, "verbose" in chosen)


def _cluster(reader: Reader) -> Command:
    """CLUSTER [(options) | VERBOSE] [table [USING index]], or CLUSTER index ON table."""
    if not _switches(reader, "CLUSTER", ("verbose",)):
        reader.word("verbose")
    if reader.token is None:
        return Cluster(())
    name = reader.qualified()
    if reader.word("on"):
        return Cluster(reader.qualified(), name[-1])
    return Cluster(name, reader.name() if reader.word("using") else "")


def _switches(
    reader: Reader, command: str, known: Container[str], valued: Container[str] = ()
) -> frozenset[str]:
    """Options in parentheses: those that are on. Raises SqlSyntaxError for others, 0A000 for TABLESPACE.

    `valued`: those of which more can be said than whether they are on.
    """
    found: set[str] = set()
    if not reader.mark("("):
        return frozenset()
    while True:
        token, name = reader.token, reader.label()
        position = 0 if token is None else token.position
        if name not in known:
            raise SqlSyntaxError(f'unrecognized {command} option "{name}"', position=position)
        if name == "tablespace":
            raise FeatureNotSupported(f"{command} (TABLESPACE) is not supported", position=position)
        ends = reader.token is None or reader.token.is_mark(",") or reader.token.is_mark(")")
        said = "true" if ends else value(reader).lower()
        if said not in _SWITCHES and name not in valued:
            raise SqlSyntaxError(f"{name} requires a Boolean value", position=position)
        if _SWITCHES.get(said, True):
            found.add(name)
        if not reader.mark(","):
            break
    reader.must_mark(")")
    return frozenset(found)


_SWITCHES = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def _maintained(reader: Reader) -> tuple[tuple[Name, tuple[str, ...]], ...]:
    found: list[tuple[Name, tuple[str, ...]]] = []
    while reader.token is not None and (not found or reader.mark(",")):
        name = reader.qualified()
        columns = reader.names() if reader.token is not None and reader.token.is_mark("(") else ()
        found.append((name, columns))
    return tuple(found)


READERS: dict[str, Callable[[Reader], Command]] = {
    "truncate": _truncate,
    "analyze": _analyze,
    "analyse": _analyze,
    "vacuum": _vacuum,
    "optimize": _optimize,
    "reindex": _reindex,
    "cluster": _cluster,
}
