"""Short statements on the event loop, and commits that wait for the log without a thread.

`House.threads` counts the statements that were given to a thread, so a test can tell that one was not.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from server.config import Config
from server.listener import Server
from server.messages import Bind, Execute, Parse, Query, Sync
from storage.database import Database
from storage.durability import files
from storage.durability.files import Disk
from tests.server.wire import Client, Said, error, row, tags, whole


class Gate(Disk):
    """A disk whose fsync of files waits to be let through while the gate is shut, and may then fail."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Semaphore(0)
        self.fails = False
        self.syncs = 0

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        if not self.open.is_set():
            self.reached.release()
            assert self.open.wait(60)
        if self.fails:
            raise OSError(5, os.strerror(5))
        super().sync(descriptor)

    def shut(self) -> None:
        """From now on."""
        self.open.clear()
        self.reached = threading.Semaphore(0)

    def arrived(self) -> None:
        """Wait until somebody stands before it."""
        assert self.reached.acquire(timeout=60)


class House:
    """A server on a folder, its disk, and how many statements it gave to threads."""

    def __init__(self, folder: Path, disk: Gate) -> None:
        self.disk = disk
        self.database = Database.open(folder)
        self.server = Server(self.database, Config(port=0))
        self.threads = 0
        threads = self.server._hub.threads
        start = threads.start

        def counted(work: Callable[[], None]) -> None:
            self.threads += 1
            start(work)

        threads.start = counted  # type: ignore[method-assign]

    def client(self) -> Client:
        """A connection of raw messages."""
        return Client(self.server.port)

    def connect(self) -> psycopg.Connection:
        """One of psycopg's."""
        where = f"host=127.0.0.1 port={self.server.port} user=glancedb dbname=glancedb"
        return psycopg.connect(where, autocommit=True)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    disk = Gate()
    monkeypatch.setattr(files, "disk", disk)
    house = House(tmp_path / "data", disk)
    try:
        with house.server:
            with house.connect() as connection:
                connection.execute("CREATE TABLE t (id int8 PRIMARY KEY, word text)")
            yield house
    finally:
        disk.open.set()
        house.database.close()


def series(*executions: tuple[str, tuple[bytes | None, ...]]) -> bytes:
    """Bind and Execute of prepared statements, and a Sync."""
    parts = [(Bind("", name, (), values), Execute("")) for name, values in executions]
    return whole([message for pair in parts for message in pair] + [Sync()])


def prepare(client: Client) -> None:
    """ins, get and upd, each run once: their plans are kept."""
    texts = {
        "ins": "INSERT INTO t VALUES ($1, $2)",
        "get": "SELECT word FROM t WHERE id = $1",
        "upd": "UPDATE t SET word = $2 WHERE id = $1",
    }
    client.write(whole([*(Parse(name, text) for name, text in texts.items()), Sync()]))
    client.until("Z")
    for name, values in (("ins", (b"0", b"zero")), ("get", (b"0",)), ("upd", (b"0", b"nought"))):
        client.write(series((name, values)))
        assert "E" not in tags(client.until("Z"))


def failure(said: Said) -> dict[str, str]:
    """The error in an answer."""
    return error(next(body for tag, body in said if tag == "E"))


def test_short_statements_take_no_thread(house: House) -> None:
    with house.client() as client:
        prepare(client)
        before = house.threads
        client.write(series(("ins", (b"1", b"one"))))
        assert tags(client.until("Z")) == "2CZ"
        client.write(series(("upd", (b"1", b"first"))))
        assert tags(client.until("Z")) == "2CZ"
        client.write(series(("get", (b"1",))))
        said = client.until("Z")
        assert tags(said) == "2DCZ"
        assert row(said[1][1]) == [b"first"]
        client.query("BEGIN")
        client.query("SET LOCAL statement_timeout = '5s'")
        client.query("SAVEPOINT a")
        client.write(series(("ins", (b"1", b"again"))))
        assert failure(client.until("Z"))["C"] == "23505"
        client.query("ROLLBACK TO a")
        client.write(series(("ins", (b"2", b"two"))))
        client.until("Z")
        client.query("COMMIT")
        client.write(series(("get", (b"2",))))
        assert row(client.until("Z")[1][1]) == [b"two"]
        assert house.threads == before
        client.query("SELECT count(*) FROM t")
        assert house.threads == before + 1


def test_simple_queries_that_differ_in_constants_take_no_thread(house: House) -> None:
    with house.client() as client:
        for number in range(20):
            if number == 2:
                before = house.threads
            client.query("BEGIN")
            client.query(f"INSERT INTO t VALUES ({number}, 'n{number}')")
            client.query(f"UPDATE t SET word = word || '!' WHERE id = {number}")
            said = client.query(f"SELECT word FROM t WHERE id = {number}")
            assert row(said[1][1]) == [f"n{number}!".encode()]
            client.query("END")
        assert house.threads == before


def test_a_query_on_the_loop_ends_the_unnamed_statement_too(house: House) -> None:
    with house.client() as client:
        for _ in range(2):  # the second finds the plan of the first
            client.query("SELECT word FROM t WHERE id = 0")
        client.write(whole([Parse("", "SELECT 1"), Sync()]))
        assert tags(client.until("Z")) == "1Z"
        client.query("SELECT word FROM t WHERE id = 1")
        client.write(series(("", ())))
        assert failure(client.until("Z"))["C"] == "26000"


def test_what_one_session_has_planned_the_others_have(house: House) -> None:
    with house.client() as first, house.client() as second, house.client() as third:
        prepare(first)
        first.query("UPDATE t SET word = 'one' WHERE id = 1")
        before = house.threads
        second.write(whole([Parse("get", "SELECT word FROM t WHERE id = $1"), Sync()]))
        assert tags(second.until("Z")) == "1Z"
        second.write(series(("get", (b"0",))))
        assert row(second.until("Z")[1][1]) == [b"nought"]
        assert tags(second.query("UPDATE t SET word = 'two' WHERE id = 0")) == "CZ"
        assert house.threads == before
        second.query("CREATE TEMP TABLE t (id int8 PRIMARY KEY, word text)")  # stands before the other
        second.query("INSERT INTO t VALUES (0, 'its own')")
        second.write(series(("get", (b"0",))))
        assert row(second.until("Z")[1][1]) == [b"its own"]
        first.write(series(("get", (b"0",))))
        assert row(first.until("Z")[1][1]) == [b"two"]
        first.query("ALTER TABLE t RENAME TO old")
        first.query("CREATE TABLE t (id int8 PRIMARY KEY, word int)")
        third.write(whole([Parse("get", "SELECT word FROM t WHERE id = $1"), Sync()]))
        assert tags(third.until("Z")) == "1Z"
        third.write(series(("get", (b"0",))))
        assert tags(third.until("Z")) == "2CZ"
        first.write(series(("get", (b"0",))))
        assert failure(first.until("Z"))["M"] == "cached plan must not change result type"


def test_show_plancache_tells_how_often_plans_ran(house: House) -> None:
    with house.client() as first, house.client() as second:
        for client, times in ((first, 2), (second, 3)):
            for number in range(times):
                client.query(f"SELECT word || '!' FROM t WHERE id = {number} AND word < 'a{number}'")
        client.query("CREATE TEMP TABLE mine (id int)")
        client.query("SELECT id FROM mine WHERE id = 5")
        said = client.query("SHOW PLANCACHE")
        told = [row(body)[1:] for tag, body in said if tag == "D"]
        plan = b"SELECT word || '!' FROM t WHERE id = $1 AND word < $2"
        assert [b"glancedb", plan, b"5"] in told
        assert not any(b"mine" in (text or b"") for _, text, _ in told)


def test_what_meets_an_uncommitted_key_waits_on_a_thread(house: House) -> None:
    for end, expected in (("COMMIT", "23505"), ("ROLLBACK", "")):
        with house.client() as first, house.client() as second:
            prepare_again(first)
            prepare_again(second)
            first.query("BEGIN")
            first.write(series(("ins", (b"7", b"first"))))
            first.until("Z")
            before = house.threads
            second.write(series(("ins", (b"7", b"second"))))
            until_waiting(house)
            assert house.threads > before
            assert tags(first.query("SELECT 1")) == "TDCZ"  # the loop serves others
            first.query(end)
            said = second.until("Z")
            assert ("E" in tags(said)) == bool(expected)
            if expected:
                assert failure(said)["C"] == expected
            second.query("DELETE FROM t WHERE id = 7")


def prepare_again(client: Client) -> None:
    """`prepare` where its row may be there already."""
    client.query("DELETE FROM t WHERE id = 0")
    prepare(client)


def until_waiting(house: House) -> None:
    """Until a session waits for another."""
    end = threading.Event()
    for _ in range(6000):
        if house.database.waits.waiting():
            return
        end.wait(0.01)
    raise AssertionError("nobody waits")


def test_what_was_done_before_a_wait_is_done_once(house: House) -> None:
    """Of two rows the second is held by another: the first is not changed twice, nor is what came before."""
    with house.client() as first, house.client() as second:
        first.query("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        text = "UPDATE t SET word = word || '+' WHERE id IN (1, 2)"
        second.query(text)  # keeps its plan
        first.query("BEGIN")
        first.query("UPDATE t SET word = word || '*' WHERE id = 2")
        second.query("BEGIN")
        second.query("UPDATE t SET word = word || '+' WHERE id = 3")
        second.write(Query(text).write())
        until_waiting(house)
        first.query("COMMIT")
        assert tags(second.until("Z")) == "CZ"
        second.query("COMMIT")
        said = first.query("SELECT word FROM t ORDER BY id")
        assert [row(body) for tag, body in said if tag == "D"] == [[b"a++"], [b"b+*+"], [b"c+"]]


def test_statement_timeout_ends_a_wait_that_began_on_the_loop(house: House) -> None:
    with house.client() as first, house.client() as second:
        prepare(first)
        prepare_again(second)
        second.query("SET statement_timeout = 50")
        first.query("BEGIN")
        first.write(series(("ins", (b"7", b"first"))))
        first.until("Z")
        second.write(series(("ins", (b"7", b"second"))))
        found = failure(second.until("Z"))
        assert (found["C"], found["M"]) == ("57014", "canceling statement due to statement timeout")
        first.query("COMMIT")
        second.write(series(("ins", (b"8", b"second"))))
        assert tags(second.until("Z")) == "2CZ"


def test_a_commit_that_waits_for_the_disk_holds_no_thread_and_nobody_up(house: House) -> None:
    with house.client() as first, house.client() as second:
        prepare(first)
        prepare_again(second)
        before = house.threads
        house.disk.shut()
        first.write(series(("ins", (b"1", b"one"))))
        house.disk.arrived()
        second.write(series(("get", (b"0",))))
        assert tags(second.until("Z")) == "2DCZ"
        second.write(series(("get", (b"1",))))
        assert tags(second.until("Z")) == "2CZ", "a commit is seen that may still be lost"
        assert house.threads == before
        cancel_all(house)
        house.disk.open.set()
        assert tags(first.until("Z")) == "2CZ", "a commit that is in the log cannot be cancelled"
        second.write(series(("get", (b"1",))))
        assert tags(second.until("Z")) == "2DCZ"


def cancel_all(house: House) -> None:
    """Cancel whatever any session runs."""
    for link in list(house.server._hub.links):
        if link._runner is not None:
            link._runner.cancel()


def test_commits_that_wait_share_an_fsync(house: House) -> None:
    clients = [house.client() for _ in range(8)]
    for client in clients:
        prepare_again(client)
    before = house.disk.syncs
    house.disk.shut()
    clients[0].write(series(("ins", (b"100", b"x"))))
    house.disk.arrived()
    assert house.database._log is not None
    position = house.database._log.written
    for number, client in enumerate(clients[1:], 101):
        client.write(series(("ins", (str(number).encode(), b"x"))))
    tick = threading.Event()
    while house.database._log.written < position + 7:
        tick.wait(0.005)
    house.disk.open.set()
    for client in clients:
        assert tags(client.until("Z")) == "2CZ"
        client.close()
    assert house.disk.syncs - before == 2


def test_a_failed_fsync_fails_all_that_wait_for_it(house: House) -> None:
    clients = [house.client() for _ in range(4)]
    for client in clients:
        prepare_again(client)
    house.disk.shut()
    for number, client in enumerate(clients, 100):
        client.write(series(("ins", (str(number).encode(), b"x"))))
    house.disk.arrived()
    house.disk.fails = True
    house.disk.open.set()
    for client in clients:
        said = client.until("Z")
        assert tags(said) == "2CEZ"
        assert failure(said)["C"] == "58030"
        assert said[-1][1] == b"I"
    house.disk.fails = False
    client = clients[0]
    client.write(series(("ins", (b"200", b"x"))))
    assert failure(client.until("Z"))["C"] == "58030"
    client.write(series(("get", (b"100",))))
    assert tags(client.until("Z")) == "2CZ"
    for client in clients:
        client.close()


def test_a_client_that_leaves_while_its_commit_waits_has_committed(house: House) -> None:
    with house.client() as stays:
        leaves = house.client()
        prepare(leaves)
        prepare_again(stays)
        house.disk.shut()
        leaves.write(series(("ins", (b"1", b"one"))))
        house.disk.arrived()
        leaves.close()
        house.disk.open.set()
        stays.write(series(("upd", (b"1", b"changed"))))
        said = stays.until("Z")
        while said[1][1] == b"UPDATE 0\0":  # it is durable, and about to be visible
            stays.write(series(("upd", (b"1", b"changed"))))
            said = stays.until("Z")
        assert said[1][1] == b"UPDATE 1\0"


def test_pipelined_series_are_answered_in_order(house: House) -> None:
    with house.client() as client:
        prepare(client)
        sent = []
        for number in range(1, 200):
            key = str(number).encode()
            sent.append(series(("ins", (key, b"w" + key)), ("get", (key,))))
            if number % 50 == 0:  # one that takes a thread
                sent.append(Query("SELECT count(*) FROM t WHERE id > 0").write())
        client.write(b"".join(sent))
        for number in range(1, 200):
            said = client.until("Z")
            assert tags(said) == "2C2DCZ"
            assert row(said[3][1]) == [f"w{number}".encode()]
            if number % 50 == 0:
                assert row(client.until("Z")[1][1]) == [str(number).encode()]


def test_a_series_with_an_error_in_the_middle(house: House) -> None:
    with house.client() as client:
        prepare(client)
        first, twice, never = ("ins", (b"1", b"a")), ("ins", (b"1", b"b")), ("ins", (b"2", b"c"))
        client.write(series(first, twice, never) + series(("get", (b"1",))))
        said = client.until("Z")
        assert tags(said) == "2C2EZ"
        assert failure(said)["C"] == "23505"
        assert tags(client.until("Z")) == "2CZ"  # all of the series was one transaction


def test_a_client_that_does_not_read_stops_itself_alone(house: House) -> None:
    with house.client() as slow, house.client() as quick:
        prepare(slow)
        prepare_again(quick)
        quick.query(f"INSERT INTO t VALUES (1, '{'x' * 8000}')")
        count = 1000
        writer = threading.Thread(target=slow.write, args=(series(("get", (b"1",))) * count,))
        writer.start()
        for number in range(50):
            quick.write(series(("upd", (b"0", str(number).encode()))))
            assert tags(quick.until("Z")) == "2CZ"
        for _ in range(count):
            said = slow.until("Z")
            assert tags(said) == "2DCZ"
            assert len(said[1][1]) == 8000 + 6
        writer.join(60)


def test_values_of_all_sizes_come_back(house: House) -> None:
    """Messages that are short enough for the loop, and those that are not."""
    with house.client() as client:
        prepare(client)
        for number, size in enumerate((0, 1, 1000, 16_000, 17_000, 100_000), 1):
            key = str(number).encode()
            client.write(series(("ins", (key, b"z" * size)), ("get", (key,))))
            said = client.until("Z")
            assert struct.unpack_from(">i", said[3][1], 2)[0] == size
