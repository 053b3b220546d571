"""SET, SHOW, RESET and DISCARD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.forms.intervals import read_interval
from engine.forms.style import Style
from sql.commands.base import Command, Name, name_list, value_or_default
from sql.commands.maintaining import MergeStatus, ShowPlancache
from sql.commands.transactions import TransactionModes, modes
from sql.reading import Reader
from storage.errors import FeatureNotSupported, InvalidParameterValue, SqlSyntaxError
from storage.types import INTERVAL

_HOURS, _MINUTES = 1 << 10, 1 << 11  # in an interval's modifier


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
    if not reader.word("interval"):
        return value_or_default(reader)
    text = reader.string()
    behind = reader.token
    fields = _HOURS if reader.word("hour") else 0
    if fields and reader.word("to", "minute"):
        fields |= _MINUTES
    if behind is not None and reader.token is not None:
        raise SqlSyntaxError("time zone interval must be HOUR or HOUR TO MINUTE", position=behind.position)
    type = INTERVAL.of((fields << 16) | 0xFFFF) if fields else INTERVAL
    ((months, days, micros),) = read_interval(type, [text], Style())
    for count, what in ((months, "months"), (days, "days")):
        if count:
            raise InvalidParameterValue(
                f'invalid value for parameter "TimeZone": "INTERVAL \'{text}\'"',
                detail=f"Cannot specify {what} in time zone interval.",
            )
    return (repr(micros / 3_600_000_000),)


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
