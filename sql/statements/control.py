"""Transaction control, settings, and what pools send to make a connection fresh."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from sql import commands
from sql.outcome import Done, Field, Outcome, Rows
from sql.settings import SETTINGS
from sql.statements import removing
from sql.statements.host import Host
from storage.batch import Batch
from storage.column import Column
from storage.errors import (
    ActiveSqlTransaction,
    InvalidSavepoint,
    NoActiveSqlTransaction,
)
from storage.types import TEXT
from storage.waiting import about_to_wait


def done(tag: str) -> Done:
    """A statement that has run."""
    return Done(lambda: tag)


def table(fields: tuple[str, ...], rows: Sequence[tuple[str | None, ...]], tag: str) -> Rows:
    """A small result of text."""
    columns = [
        Column(TEXT, pa.array([row[i] for row in rows], pa.large_string())) for i in range(len(fields))
    ]
    batches = iter([Batch(tuple(columns), len(rows))])
    return Rows(tuple(Field(name, TEXT) for name in fields), batches, lambda: tag)


def begin(host: Host, command: commands.Begin) -> Outcome:
    """BEGIN, START TRANSACTION."""
    if host.explicit:
        host.notice("WARNING", "25001", "there is already a transaction in progress")
    modes = command.modes
    host.set_modes(modes.isolation, modes.read_only, modes.deferrable)
    host.explicit = True
    return done(command.tag)


def commit(host: Host, command: commands.Commit) -> Outcome:
    """COMMIT, END. In a failed transaction it is a ROLLBACK."""
    chained = _modes(host) if command.chain else None
    failed = host.status == "E"
    if not host.explicit:
        _refuse_chain(command.chain, "COMMIT")
        host.notice("WARNING", "25P01", "there is no transaction in progress")
    if failed:
        host.rollback()
    elif chained is None:
        host.conclude()
    else:
        about_to_wait()
        host.commit()
    _chain(host, chained)
    return done("ROLLBACK" if failed else "COMMIT")


def rollback(host: Host, command: commands.Rollback) -> Outcome:
    """ROLLBACK, ABORT."""
    chained = _modes(host) if command.chain else None
    if not host.explicit:
        _refuse_chain(command.chain, "ROLLBACK")
        host.notice("WARNING", "25P01", "there is no transaction in progress")
    host.rollback()
    _chain(host, chained)
    return done("ROLLBACK")


def _refuse_chain(chain: bool, verb: str) -> None:
    if chain:
        raise NoActiveSqlTransaction(f"{verb} AND CHAIN can only be used in transaction blocks")


def _modes(host: Host) -> tuple[str, bool, bool]:
    deferrable = host.settings.values["transaction_deferrable"] == "on"
    return host.transaction.isolation, host.transaction.read_only, deferrable


def _chain(host: Host, modes: tuple[str, bool, bool] | None) -> None:
    if modes is not None:
        host.set_modes(*modes)
        host.explicit = True


def savepoint(host: Host, command: commands.Savepoint) -> Outcome:
    """SAVEPOINT. A name may be used again: it hides the older one."""
    if not host.explicit:
        raise NoActiveSqlTransaction("SAVEPOINT can only be used in transaction blocks")
    host.savepoints.append((command.name, host.transaction.savepoint(), host.settings.layers))
    return done("SAVEPOINT")


def _find(host: Host, name: str, verb: str) -> int:
    if not host.explicit:
        raise NoActiveSqlTransaction(f"{verb} can only be used in transaction blocks")
    for place in reversed(range(len(host.savepoints))):
        if host.savepoints[place][0] == name:
            return place
    raise InvalidSavepoint(f'savepoint "{name}" does not exist')


def release(host: Host, command: commands.Release) -> Outcome:
    """RELEASE SAVEPOINT."""
    del host.savepoints[_find(host, command.name, "RELEASE SAVEPOINT") :]
    host.mailbox.released(len(host.savepoints))
    host.released()
    return done("RELEASE")


def rollback_to(host: Host, command: commands.RollbackTo) -> Outcome:
    """ROLLBACK TO SAVEPOINT: the transaction lives again, if it had failed."""
    place = _find(host, command.name, "ROLLBACK TO SAVEPOINT")
    _, number, layers = host.savepoints[place]
    host.transaction.rollback_to(number)
    host.settings.restore(layers)
    del host.savepoints[place + 1 :]
    host.mailbox.rolled_back_to(len(host.savepoints))
    host.recovered()
    return done("ROLLBACK")


def set_transaction(host: Host, command: commands.SetTransaction) -> Outcome:
    """SET TRANSACTION, SET SESSION CHARACTERISTICS AS TRANSACTION."""
    modes = command.modes
    if command.session:
        for name, value in (
            ("default_transaction_isolation", modes.isolation),
            ("default_transaction_read_only", _flag(modes.read_only)),
            ("default_transaction_deferrable", _flag(modes.deferrable)),
        ):
            if value is not None:
                host.settings.set(name, value)
        return done("SET")
    if not host.explicit:
        host.notice("WARNING", "25P01", "SET TRANSACTION can only be used in transaction blocks")
        return done("SET")
    host.set_modes(modes.isolation, modes.read_only, modes.deferrable)
    return done("SET")


def _flag(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def set_setting(host: Host, command: commands.SetSetting) -> Outcome:
    """SET name = value, SET LOCAL."""
    local = command.local
    if local and not host.explicit:
        host.notice("WARNING", "25P01", "SET LOCAL can only be used in transaction blocks")
    if command.values is None:
        return reset(host, commands.Reset(command.name), "SET")
    host.set_setting(command.name, listed(command.name, command.values), local)
    return done("SET")


def listed(setting: str, values: Sequence[str]) -> str:
    """The values of a SET as one text."""
    return ", ".join(map(_listed, values) if setting.lower() == "search_path" else values)


def _listed(name: str) -> str:
    plain = name.replace("_", "a").isalnum() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'


def show(host: Host, command: commands.Show) -> Outcome:
    """SHOW name, SHOW ALL."""
    if command.name == "all":
        rows = [
            (row.name, host.settings.values[key], row.description) for key, row in sorted(SETTINGS.items())
        ]
        return table(("name", "setting", "description"), rows, "SHOW")
    value = host.settings.get(command.name)
    if value is None:
        host.settings.checked(command.name, "")  # raises that there is none
        value = ""
    known = SETTINGS.get(command.name.lower())
    return table((known.name if known is not None else command.name,), [(value,)], "SHOW")


def reset(host: Host, command: commands.Reset, tag: str = "RESET") -> Outcome:
    """RESET name, RESET ALL, SET name TO DEFAULT."""
    name = command.name.lower()
    if name == "all":
        host.settings.reset_all(_KEPT)
    elif name == "session_authorization":
        host.set_setting(name, host.login, False)
    elif name == "role":
        host.set_setting(name, "none", False)
    else:
        host.settings.reset(name)
    return done(tag)


# what belongs to the transaction and the login, and is not a setting that RESET ALL resets
_KEPT = frozenset(
    (
        "transaction_isolation",
        "transaction_read_only",
        "transaction_deferrable",
        "session_authorization",
        "role",
        "is_superuser",
    )
)


def discard(host: Host, command: commands.Discard) -> Outcome:
    """DISCARD ALL, PLANS, SEQUENCES, TEMP."""
    if command.what == "all":
        if host.explicit:
            raise ActiveSqlTransaction("DISCARD ALL cannot run inside a transaction block")
        for name in list(host.portals):
            host.close_portal(name)
        host.prepared.clear()
        reset(host, commands.Reset("session_authorization"))
        host.settings.reset_all(_KEPT)
        host.store.advisory.release(host.backend_pid)
        host.mailbox.unlisten(None, 0)
    if command.what in ("all", "temp"):
        removing.drop_temporary(host)
    if command.what in ("all", "plans"):
        host.planner.forget()
    if command.what in ("all", "sequences"):
        host.forget_sequences()
    return done(f"DISCARD {command.what.upper()}")


def listen(host: Host, command: commands.Listen) -> Outcome:
    """LISTEN: from the commit on."""
    host.mailbox.listen(command.channel, len(host.savepoints))
    return done("LISTEN")


def unlisten(host: Host, command: commands.Unlisten) -> Outcome:
    """UNLISTEN: from the commit on."""
    host.mailbox.unlisten(command.channel, len(host.savepoints))
    return done("UNLISTEN")


def notify(host: Host, command: commands.Notify) -> Outcome:
    """NOTIFY: told at the commit."""
    host.notify(command.channel, command.payload)
    return done("NOTIFY")
