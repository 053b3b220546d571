"""BEGIN, COMMIT, ROLLBACK, savepoints, LOCK TABLE, and the modes of a transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command, Name, name_list
from sql.reading import Reader
from storage.errors import FeatureNotSupported
from storage.transactions.locks import TableMode


@dataclass(frozen=True)
class TransactionModes:
    """ISOLATION LEVEL, READ ONLY or READ WRITE, [NOT] DEFERRABLE; None: not said."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True)
class Begin(Command):
    modes: TransactionModes
    tag: str = "BEGIN"


@dataclass(frozen=True)
class Commit(Command):
    chain: bool = False


@dataclass(frozen=True)
class Rollback(Command):
    chain: bool = False


@dataclass(frozen=True)
class Savepoint(Command):
    name: str


@dataclass(frozen=True)
class Release(Command):
    name: str


@dataclass(frozen=True)
class RollbackTo(Command):
    name: str


@dataclass(frozen=True)
class LockTables(Command):
    names: tuple[Name, ...]
    mode: TableMode
    nowait: bool


def modes(reader: Reader) -> TransactionModes:
    """The modes that stand next; what is not said is None."""
    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    while True:
        if reader.word("isolation", "level"):
            if reader.word("serializable"):
                isolation = "serializable"
            elif reader.word("repeatable", "read"):
                isolation = "repeatable read"
            elif reader.word("read", "committed"):
                isolation = "read committed"
            elif reader.word("read", "uncommitted"):
                isolation = "read uncommitted"
            else:
                raise reader.wrong()
        elif reader.word("read", "only"):
            read_only = True
        elif reader.word("read", "write"):
            read_only = False
        elif reader.word("not", "deferrable"):
            deferrable = False
        elif reader.word("deferrable"):
            deferrable = True
        else:
            return TransactionModes(isolation, read_only, deferrable)
        reader.mark(",")


def _begin(reader: Reader) -> Command:
    reader.one_of("work", "transaction")
    return Begin(modes(reader))


def _start(reader: Reader) -> Command:
    reader.must_word("transaction")
    return Begin(modes(reader), "START TRANSACTION")


def _chain(reader: Reader) -> bool:
    reader.one_of("work", "transaction")
    if not reader.word("and"):
        return False
    chain = not reader.word("no")
    reader.must_word("chain")
    return chain


def _commit(reader: Reader) -> Command:
    if reader.word("prepared"):
        raise FeatureNotSupported("COMMIT PREPARED is not supported")
    return Commit(_chain(reader))


def _rollback(reader: Reader) -> Command:
    if reader.word("prepared"):
        raise FeatureNotSupported("ROLLBACK PREPARED is not supported")
    reader.one_of("work", "transaction")
    if reader.word("to"):
        reader.word("savepoint")
        return RollbackTo(reader.name())
    return Rollback(_chain(reader))


def _abort(reader: Reader) -> Command:
    return Rollback(_chain(reader))


def _savepoint(reader: Reader) -> Command:
    return Savepoint(reader.name())


def _release(reader: Reader) -> Command:
    reader.word("savepoint")
    return Release(reader.name())


_MODES = (
    (TableMode.AccessShareLock, ("access", "share")),
    (TableMode.RowShareLock, ("row", "share")),
    (TableMode.RowExclusiveLock, ("row", "exclusive")),
    (TableMode.ShareUpdateExclusiveLock, ("share", "update", "exclusive")),
    (TableMode.ShareRowExclusiveLock, ("share", "row", "exclusive")),
    (TableMode.ShareLock, ("share",)),
    (TableMode.ExclusiveLock, ("exclusive",)),
    (TableMode.AccessExclusiveLock, ("access", "exclusive")),
)


def _lock(reader: Reader) -> Command:
    reader.word("table")
    reader.word("only")
    names = name_list(reader)
    mode = TableMode.AccessExclusiveLock
    if reader.word("in"):
        found = next((mode for mode, words in _MODES if reader.word(*words, "mode")), None)
        if found is None:
            raise reader.wrong()
        mode = found
    return LockTables(names, mode, reader.word("nowait"))


READERS: dict[str, Callable[[Reader], Command]] = {
    "begin": _begin,
    "start": _start,
    "commit": _commit,
    "end": _commit,
    "rollback": _rollback,
    "abort": _abort,
    "savepoint": _savepoint,
    "release": _release,
    "lock": _lock,
}
