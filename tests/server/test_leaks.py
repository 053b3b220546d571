"""Statements that fail, thousands of them: the connection goes on, and nothing is left of them."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from server.config import Config
from server.listener import Server
from sql.session import Session
from storage import kernels
from storage.database import Database
from storage.memory import reservations

ROUNDS, LONG = 72, 400
TABLES = """
create table t as select i, i % 7 as k, 'text ' || i as s from generate_series(1, 3000) i;
create table keyed (id int primary key, n int not null check (n > 0));
insert into keyed values (1, 1)
"""
FAILING = {
    "selekt 1": "42601",
    "select nothing from t": "42703",
    "select * from nowhere": "42P01",
    "select nofunction(1)": "42883",
    "select 2147483647 + k from t": "22003",
    "select 1 / (k - k) from t": "22012",
    "select sum(1 / (k - 3)) from t group by s": "22012",
    "select a.i from t a join t b on a.i = b.i where 1 / (b.i - 2999) > 0": "22012",
    "select i from t order by 1 / (i - 3000)": "22012",
    "select row_number() over (partition by k order by 1 / (i - 3000)) from t": "22012",
    "select s::int from t": "22P02",
    "select 'tomorrow or so'::date": "22007",
    "select (select i from t)": "21000",
    "insert into keyed values (1, 1)": "23505",
    "insert into keyed values (2, null)": "23502",
    "insert into keyed values (2, 0)": "23514",
    "insert into keyed select i, i - 3000 from t": "23514",
    "update keyed set n = n - 1": "23514",
    "create table t (i int)": "42P07",
    "drop table nowhere": "42P01",
    "set nothing = 1": "42704",
    "begin; select 1 / 0": "22012",
    "set local statement_timeout = 1; select pg_sleep(1)": "57014",
    "set local statement_timeout = 2; select count(*) from t a, t b, t c where a.i + b.i = c.i - 1": "57014",
    "set local work_mem = '64kB'; set local hash_mem_multiplier = 1; set local temp_file_limit = 10; "
    "select count(*) from t a join t b on a.s = b.s and a.i < b.i": "53400",
    "set local work_mem = '64kB'; set local hash_mem_multiplier = 1; set local temp_file_limit = 10; "
    "select s from t order by s desc": "53400",
    "select repeat(s, 1000000000) from t": "54000",
}
OVER_THE_BUDGET = "select array_agg(repeat(s, 20)) over () from t"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    kernels.warm(wait=True)  # they take memory
    database = Database.open(tmp_path / "data")
    sessions = lambda user, name, given: Session(database, user, name, given)  # noqa: E731
    with Server(database, Config(port=0), sessions=sessions) as server:
        yield f"host=127.0.0.1 port={server.port} user=glancedb dbname=glancedb"
    database.close()


def left() -> tuple[int, int, int]:
    """Threads, descriptors of temporary files and sockets, bytes that statements have reserved."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # others close theirs
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return threading.active_count(), sum("deleted" in x or "socket" in x for x in links), reservations.held


def more(now: tuple[int, int, int], then: tuple[int, int, int]) -> bool:
    """Whether there is more of anything."""
    return any(a > b for a, b in zip(now, then, strict=True))


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def fail(connection: psycopg.Connection, text: str, sqlstate: str) -> None:
    """One statement that fails as it should, and one that does not."""
    with pytest.raises(psycopg.Error) as error:
        connection.execute(text)  # type: ignore[call-overload]
    connection.rollback()
    assert error.value.sqlstate == sqlstate, (text, str(error.value))
    assert connection.execute("select 1").fetchone() == (1,)
    connection.rollback()


def one_round(connection: psycopg.Connection, other: psycopg.Connection) -> None:
    """Every statement that fails, by itself; then one that another connection cancels."""
    for text, sqlstate in FAILING.items():
        fail(connection, text, sqlstate)
    over = threading.Event()
    canceller = threading.Thread(target=_cancel, args=(connection.info.backend_pid, other, over))
    canceller.start()
    try:
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(20)")
    finally:
        over.set()
        canceller.join()
    connection.rollback()
    assert connection.execute("select 1").fetchone() == (1,)
    connection.rollback()


def _cancel(pid: int, other: psycopg.Connection, over: threading.Event) -> None:
    """Cancel a backend's pg_sleep until it is over."""
    asked = "select pg_cancel_backend(pid) from pg_stat_activity where pid = %s and query like '%%pg_sleep%%'"
    while not over.is_set():
        other.execute(asked, (pid,))


def rounds(url: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(url) as connection, psycopg.connect(url, autocommit=True) as other:
        other.execute(TABLES)  # type: ignore[arg-type]
        for _ in range(10):
            one_round(connection, other)
        _over_the_budget(connection, 5, monkeypatch)
        gc.collect()
        before, memory = left(), resident()
        for _ in range(count):
            one_round(connection, other)
        _over_the_budget(connection, count, monkeypatch)
        end = time.monotonic() + 10
        while more(left(), before) and time.monotonic() < end:  # threads that are about to end
            gc.collect()
        after = left()
        assert not more(after, before), (before, after)
        grown = resident() - memory
        assert grown < 16 << 20, f"{grown} bytes more after {count * len(FAILING)} failures"


def _over_the_budget(connection: psycopg.Connection, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs more memory than the server has for statements, and cannot put it aside."""
    with monkeypatch.context() as patch:
        patch.setattr(reservations, "limit", 100_000)
        for _ in range(count):
            fail(connection, OVER_THE_BUDGET, "53200")


def test_failing_statements_leave_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds(url, ROUNDS, monkeypatch)


@pytest.mark.slow
def test_failing_statements_leave_nothing_in_the_long_run(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds(url, LONG, monkeypatch)
