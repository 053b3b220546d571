"""SET, SHOW, RESET and DISCARD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command, Name, name_list, value_or_default
from sql.commands.maintaining import MergeStatus, ShowPlancache
from sql.commands.transactions import TransactionModes, modes
from sql.reading import Reader
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class SetTransaction(Command):
    modes: TransactionModes
    session: bool


@dataclass(frozen=True)
class SetSetting(Command):
    """SET name = values; None: DEFAULT."""

    name: str
    values: tuple[str, ...] | None
    local: bool = False


@dataclass(frozen=True)
class Show(Command):
    name: str  # 'all' for SHOW ALL


@dataclass(frozen=True)
class Reset(Command):
    name: str  # 'all' for RESET ALL


@dataclass(frozen=True)
class Discard(Command):
    what: str


@dataclass(frozen=True)
class SetConstraints(Command):
    """SET CONSTRAINTS; no names: ALL."""

    names: tuple[Name, ...]
    deferred: bool


def _set_constraints(reader: Reader) -> Command:
    names = () if reader.word("all") else name_list(reader)
    when = reader.one_of("deferred", "immediate")
    if not when:
        raise reader.wrong()
    return SetConstraints(names, when == "deferred")


def read_set(reader: Reader) -> Command:
    """SET, from what stands behind it."""
    if reader.word("transaction"):
        if reader.word("snapshot"):
            raise FeatureNotSupported("SET TRANSACTION SNAPSHOT is not supported")
        return SetTransaction(modes(reader), False)
    if reader.word("session", "characteristics", "as", "transaction"):
        return SetTransaction(modes(reader), True)
    if reader.word("constraints"):
        return _set_constraints(reader)
    if reader.word("session", "authorization"):
        return SetSetting("session_authorization", value_or_default(reader))
    local = reader.one_of("local", "session") == "local"
    if reader.word("time", "zone"):
        return SetSetting("timezone", _zone(reader), local)
    if reader.word("names"):
        return SetSetting("client_encoding", value_or_default(reader), local)
    if reader.word("role"):
        values = None if reader.word("none") else value_or_default(reader)
        return SetSetting("role", values, local)
    name = ".".join(reader.dotted())
    if not (reader.word("to") or reader.mark("=")):
        raise reader.wrong()
    return SetSetting(name, value_or_default(reader), local)


def _zone(reader: Reader) -> tuple[str, ...] | None:
    if reader.one_of("local"):
        return None
    if reader.word("interval"):
        value = reader.string()
        if reader.word("hour"):
            reader.must_word("to", "minute")
        return (value,)
    return value_or_default(reader)


def setting_name(reader: Reader) -> str:
    """The name of a setting, which may be several words."""
    if reader.word("time", "zone"):
        return "timezone"
    if reader.word("transaction", "isolation", "level"):
        return "transaction_isolation"
    if reader.word("session", "authorization"):
        return "session_authorization"
    return ".".join(reader.dotted())


def _show(reader: Reader) -> Command:
    if reader.word("columnar", "merge", "status", "for"):
        return MergeStatus(reader.qualified())
    if reader.word("plancache"):
        return ShowPlancache()
    return Show(setting_name(reader))


def _reset(reader: Reader) -> Command:
    return Reset(setting_name(reader))


def _discard(reader: Reader) -> Command:
    what = reader.one_of("all", "plans", "sequences", "temp", "temporary")
    if not what:
        raise reader.wrong()
    return Discard(what.replace("temporary", "temp"))


READERS: dict[str, Callable[[Reader], Command]] = {
    "set": read_set,
    "show": _show,
    "reset": _reset,
    "discard": _discard,
}
