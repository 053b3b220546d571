"""What a statement may ask of its session and server: users, settings, sequences, sleep, signals."""

from __future__ import annotations

import platform
import time
from functools import lru_cache
from importlib import metadata

import numpy as np

from engine.functions.registry import scalar
from engine.functions.text import each
from engine.run import Run
from engine.seams import SessionInfo
from storage.column import Column
from storage.errors import UndefinedObject
from storage.types import (
    BOOL,
    FLOAT8,
    INET,
    INT4,
    INT8,
    INTERVAL,
    NAME,
    OID,
    REGCLASS,
    TEXT,
    TIMESTAMPTZ,
    VOID,
    XID,
    array_of,
)

EPOCH_SECONDS = 946_684_800  # 2000-01-01 in Unix time
_STARTED = time.time_ns() // 1000 - EPOCH_SECONDS * 1_000_000


def session_of(run: Run) -> SessionInfo:
    """The session of a run."""
    session: SessionInfo = run.session
    return session


def clock() -> int:
    """Now, in microseconds since 2000-01-01 UTC."""
    return time.time_ns() // 1000 - EPOCH_SECONDS * 1_000_000


def _void(rows: int) -> Column:
    return Column.of(VOID, [""] * rows)


for _name in ("current_user", "user", "current_role", "getpgusername"):

    @scalar(_name, [], NAME, volatility="s", run=True)
    def current_user(run: Run) -> Column:
        """The user whose rights count."""
        return Column.of(NAME, [session_of(run).user])


@scalar("session_user", [], NAME, volatility="s", run=True)
def session_user(run: Run) -> Column:
    """The user who logged in."""
    return Column.of(NAME, [session_of(run).session_user])


@scalar("current_database", [], NAME, volatility="s", run=True)
@scalar("current_catalog", [], NAME, volatility="s", run=True)
def current_database(run: Run) -> Column:
    """The database's name."""
    return Column.of(NAME, [session_of(run).database])


@scalar("current_schema", [], NAME, volatility="s", run=True)
def current_schema(run: Run) -> Column:
    """The schema in which new objects are made."""
    path = session_of(run).search_path(False)
    return Column.of(NAME, [path[0] if path else None])


@scalar("current_query", [], TEXT, volatility="v", run=True)
def current_query(run: Run) -> Column:
    """The text that the client has sent, of several statements all."""
    return Column.of(TEXT, [session_of(run).query])


@scalar("current_schemas", [BOOL], array_of(NAME), volatility="s", run=True)
def current_schemas(implicit: Column, run: Run) -> Column:
    """The schemas that are searched; true: with pg_catalog."""
    return each(lambda i: session_of(run).search_path(i), implicit, type=array_of(NAME))


@lru_cache(1)
def product_version() -> str:
    """The server's own version."""
    return metadata.version("glancedb-server")


@scalar("version", [], TEXT, volatility="s", run=True)
def version(run: Run) -> Column:
    """PostgreSQL's version that clients should take this for, and what it really is."""
    spoken = session_of(run).setting("server_version")
    machine = f"{platform.machine()}-{platform.system().lower()}"
    text = f"PostgreSQL {spoken} (GlanceDB {product_version()}) on {machine}, 64-bit"
    return Column.of(TEXT, [text])


@scalar("current_setting", [TEXT], TEXT, volatility="s", run=True)
def current_setting(name: Column, run: Run) -> Column:
    """The value of a setting."""
    return each(lambda n: _setting(run, n, False), name)


@scalar("current_setting", [TEXT, BOOL], TEXT, volatility="s", run=True)
def current_setting_or_null(name: Column, missing_ok: Column, run: Run) -> Column:
    """The value of a setting; null where there is none, if the second argument says so."""
    return each(lambda n, m: _setting(run, n, m), name, missing_ok)


def _setting(run: Run, name: str, missing_ok: bool) -> str | None:
    value = session_of(run).setting(name)
    if value is None and not missing_ok:
        raise UndefinedObject(f'unrecognized configuration parameter "{name}"')
    return value


@scalar("set_config", [TEXT, TEXT, BOOL], TEXT, volatility="v", strict=False, run=True)
def set_config(name: Column, value: Column, local: Column, run: Run) -> Column:
    """SET, or SET LOCAL, as a function; returns the new value."""

    def one(name: str | None, value: str | None, local: bool | None) -> str | None:
        if name is None:
            raise UndefinedObject("SET requires parameter name")
        return session_of(run).set_setting(name, value or "", bool(local))

    return each(one, name, value, local)


@scalar("pg_backend_pid", [], INT4, volatility="s", run=True)
def pg_backend_pid(run: Run) -> Column:
    """This session's number."""
    return Column.of(INT4, [session_of(run).backend_pid])


@scalar("pg_cancel_backend", [INT4], BOOL, volatility="v", run=True)
def pg_cancel_backend(pid: Column, run: Run) -> Column:
    """Cancel another session's statement."""
    return each(lambda p: session_of(run).signal(p, False), pid, type=BOOL)


@scalar("pg_terminate_backend", [INT4], BOOL, volatility="v", run=True)
@scalar("pg_terminate_backend", [INT4, INT8], BOOL, volatility="v", run=True)
def pg_terminate_backend(pid: Column, *timeout: Column, run: Run) -> Column:
    """End another session."""
    return each(lambda p: session_of(run).signal(p, True), pid, type=BOOL)


@scalar("pg_notify", [TEXT, TEXT], VOID, volatility="v", run=True)
def pg_notify(channel: Column, payload: Column, run: Run) -> Column:
    """NOTIFY as a function."""
    for name, text in zip(channel.tolist(), payload.tolist(), strict=True):
        session_of(run).notify(name, text)
    return _void(len(channel))


@scalar("pg_sleep", [FLOAT8], VOID, volatility="v", run=True)
def pg_sleep(seconds: Column, run: Run) -> Column:
    """Wait so many seconds; a cancel request wakes it."""
    for wanted in seconds.tolist():
        until = time.monotonic() + wanted
        while (left := until - time.monotonic()) > 0:
            if run.deadline is not None:
                left = min(left, max(run.deadline - time.monotonic(), 0) + 0.001)
            run.cancel.wait(left)
            run.check()
    return _void(len(seconds))


@scalar("pg_sleep_for", [INTERVAL], VOID, volatility="v", run=True)
def pg_sleep_for(length: Column, run: Run) -> Column:
    """Wait for an interval."""
    values = length.values
    seconds = (values["months"] * 30 + values["days"]) * 86_400.0 + values["micros"] / 1e6
    return pg_sleep(Column(FLOAT8, seconds), run=run)


@scalar("pg_sleep_until", [TIMESTAMPTZ], VOID, volatility="v", run=True)
def pg_sleep_until(moment: Column, run: Run) -> Column:
    """Wait until a time."""
    now = time.time() - EPOCH_SECONDS
    return pg_sleep(Column(FLOAT8, np.maximum(moment.values / 1e6 - now, 0)), run=run)


@scalar("pg_notification_queue_usage", [], FLOAT8, volatility="v")
def pg_notification_queue_usage() -> Column:
    """How full the queue of notifications is: it grows as it has to."""
    return Column.of(FLOAT8, [0.0])


@scalar("pg_postmaster_start_time", [], TIMESTAMPTZ, volatility="s")
@scalar("pg_conf_load_time", [], TIMESTAMPTZ, volatility="s")
def pg_postmaster_start_time() -> Column:
    """When the server started."""
    return Column.of(TIMESTAMPTZ, [_STARTED])


@scalar("pg_is_in_recovery", [], BOOL, volatility="s")
@scalar("pg_is_wal_replay_paused", [], BOOL, volatility="s")
@scalar("pg_jit_available", [], BOOL, volatility="s")
def never() -> Column:
    """False here, always."""
    return Column.of(BOOL, [False])


@scalar("pg_trigger_depth", [], INT4, volatility="s")
def pg_trigger_depth() -> Column:
    """How deep in triggers: there are none."""
    return Column.of(INT4, [0])


@scalar("pg_blocking_pids", [INT4], array_of(INT4), volatility="v", run=True)
def pg_blocking_pids(pid: Column, run: Run) -> Column:
    """The sessions a session waits for."""
    return each(session_of(run).blockers, pid, type=array_of(INT4))


@scalar("pg_my_temp_schema", [], OID, volatility="s", run=True)
def pg_my_temp_schema(run: Run) -> Column:
    """The OID of this session's schema of temporary tables, 0 without one."""
    own = next((s.oid for s in run.snapshot.catalog.schemas.values() if s.temporary), 0)
    return Column.of(OID, [own])


@scalar("pg_is_other_temp_schema", [OID], BOOL, volatility="s", run=True)
def pg_is_other_temp_schema(oid: Column, run: Run) -> Column:
    """Whether a schema holds another session's temporary tables: those are nowhere to be seen."""
    return each(lambda o: False, oid, type=BOOL)


@scalar("inet_server_addr", [], INET, volatility="s")
@scalar("inet_client_addr", [], INET, volatility="s")
def no_address() -> Column:
    """The connection's address; null, as over a local socket: sessions do not know their connection."""
    return Column.of(INET, [None])


@scalar("inet_server_port", [], INT4, volatility="s")
@scalar("inet_client_port", [], INT4, volatility="s")
def no_port() -> Column:
    """The connection's port; null, as over a local socket."""
    return Column.of(INT4, [None])


@scalar("getdatabaseencoding", [], NAME, volatility="s")
@scalar("pg_client_encoding", [], NAME, volatility="s")
def encoding() -> Column:
    """UTF8."""
    return Column.of(NAME, ["UTF8"])


_ENCODINGS = {0: "SQL_ASCII", 6: "UTF8", 8: "LATIN1", 16: "LATIN9"}


@scalar("pg_reload_conf", [], BOOL, volatility="v")
def pg_reload_conf() -> Column:
    """Read the configuration file again: false, for settings are read at start."""
    return Column.of(BOOL, [False])


@scalar("nextval", [REGCLASS], INT8, volatility="v", run=True)
def nextval(sequence: Column, run: Run) -> Column:
    """The sequence's next value; of rows that follow one another and name one sequence, all at once."""
    oids = sequence.values.astype(np.int64)
    starts = np.flatnonzero(np.diff(oids, prepend=-1))
    counts = np.diff(starts, append=len(oids))
    drawn = [
        np.asarray(session_of(run).next_values(oid, count), np.int64)
        for oid, count in zip(oids[starts].tolist(), counts.tolist(), strict=True)
    ]
    return Column(INT8, np.concatenate([np.zeros(0, np.int64), *drawn]))


@scalar("pg_sequence_last_value", [REGCLASS], INT8, volatility="v", run=True)
def pg_sequence_last_value(sequence: Column, run: Run) -> Column:
    """The last value that the sequence gave to anybody, null before its first."""
    return each(session_of(run).sequence_value, sequence, type=INT8)


@scalar("currval", [REGCLASS], INT8, volatility="v", run=True)
def currval(sequence: Column, run: Run) -> Column:
    """The value that nextval last gave this session."""
    return each(session_of(run).current_value, sequence, type=INT8)


@scalar("lastval", [], INT8, volatility="v", run=True, rows=True)
def lastval(run: Run, rows: int) -> Column:
    """The value that the session's last nextval gave."""
    return Column.of(INT8, [session_of(run).last_value()] * rows)


@scalar("setval", [REGCLASS, INT8], INT8, volatility="v", run=True)
@scalar("setval", [REGCLASS, INT8, BOOL], INT8, volatility="v", run=True)
def setval(sequence: Column, value: Column, *called: Column, run: Run) -> Column:
    """Set where the sequence goes on: behind the value, or at it where `called` is false."""
    return each(lambda s, v, c=True: session_of(run).set_value(s, v, c), sequence, value, *called, type=INT8)


@scalar("age", [XID], INT4, volatility="s")
def age_of_transaction(xid: Column) -> Column:
    """How many transactions ago: rows are never frozen here, so none."""
    return Column.of(INT4, [0] * len(xid))
