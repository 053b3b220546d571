"""A database's life as a seeded list of SQL texts, and what stands in it after each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from sql.outcome import Done, Rows
from sql.session import Session
from storage.database import Database
from storage.definitions import Sequence
from storage.durability import log
from storage.errors import DatabaseError, InFailedSqlTransaction
from storage.segments import bulk
from tests.storage.rows import rows

TABLES = ("a", "b")
_IMAGE = "CAST(CAST(repeat(chr(65 + i % 26), 256) AS bytea) AS binary(256))"
"""A wide value, which goes into a vector file when its row is sealed."""
SETUP = (
    "CREATE TABLE a (id bigint PRIMARY KEY, n int NOT NULL, word text, image binary(256))",
    "CREATE TABLE b (id bigint PRIMARY KEY, n int NOT NULL, word text, image binary(256),"
    " twice bigint GENERATED ALWAYS AS (n * 2) STORED) COLUMNSTORE",
    "CREATE UNIQUE INDEX a_twice ON a ((id * 2)) WHERE n > 5",
    "CREATE SEQUENCE s",
    f"INSERT INTO a SELECT i, 100, 'first', {_IMAGE} FROM generate_series(1, 20) g(i)",
    "INSERT INTO b SELECT i, 100, NULL FROM generate_series(1, 20) g(i)",
)


@dataclass(frozen=True)
class Step:
    """Statements that commit once, if at all. `waits`: the commit is durable when it is told."""

    texts: tuple[str, ...]
    waits: bool = True


def steps(choose: Random, count: int) -> Iterator[Step]:
    """Steps of every kind; the same for the same seed."""
    for text in SETUP:
        yield Step((text,))
    kinds = list(_KINDS)
    weights = [weight for _, weight in kinds]
    state: dict[str, int] = {"key": 1000, "table": 0}
    for _ in range(count):
        ((make, _),) = choose.choices(kinds, weights)
        step = make(choose, state)
        if choose.random() < 0.15:
            step = Step(("SET synchronous_commit = off", *step.texts, "RESET synchronous_commit"), False)
        yield step


def _keys(state: dict[str, int], count: int) -> range:
    state["key"] += count
    return range(state["key"] - count, state["key"])


def _insert(choose: Random, state: dict[str, int]) -> Step:
    (key,) = _keys(state, 1)
    word = "x" * choose.choice((0, 1, 60, 600, 3000))
    return Step((f"INSERT INTO {choose.choice(TABLES)} VALUES ({key}, {choose.randrange(99)}, '{word}')",))


def _batch(choose: Random, state: dict[str, int]) -> Step:
    keys = _keys(state, choose.choice((3, 50, 400)))
    table = choose.choice(TABLES)
    source = f"generate_series({keys[0]}, {keys[-1]}) g(i)"
    word = "CASE WHEN i % 3 > 0 THEN 'w' || i END"
    return Step((f"INSERT INTO {table} SELECT i, i % 7, {word}, {_IMAGE} FROM {source}",))


def _bulk(choose: Random, state: dict[str, int]) -> Step:
    """Rows enough for files of their own, of which some are taken back."""
    keys, lost = _keys(state, 300), _keys(state, 300)
    table = choose.choice(TABLES)
    text = f"INSERT INTO {table} SELECT i, i % 5, 'bulk', {_IMAGE} FROM generate_series({{}}, {{}}) g(i)"
    more = (f"DELETE FROM {table} WHERE id % 4 = 1 AND id >= {keys[0]}",) if choose.random() < 0.5 else ()
    end = choose.choice(("COMMIT", "COMMIT", "ROLLBACK"))
    first = text.format(keys[0], keys[-1]), *more, "SAVEPOINT p", text.format(lost[0], lost[-1])
    return Step(("BEGIN", *first, "ROLLBACK TO p", end))


def _update(choose: Random, state: dict[str, int]) -> Step:
    key = choose.randint(1, 20)
    return Step((f"UPDATE {choose.choice(TABLES)} SET n = n + 1, word = 'u' WHERE id = {key}",))


def _update_many(choose: Random, state: dict[str, int]) -> Step:
    table, left = choose.choice(TABLES), choose.randrange(5)
    return Step((f"UPDATE {table} SET n = n + 1 WHERE id % 5 = {left}",))


def _delete(choose: Random, state: dict[str, int]) -> Step:
    table, left = choose.choice(TABLES), choose.randrange(9)
    return Step((f"DELETE FROM {table} WHERE id >= 1000 AND id % 9 = {left}",))


def _transfer(choose: Random, state: dict[str, int]) -> Step:
    source, target = choose.randint(1, 20), choose.randint(1, 20)
    (key,) = _keys(state, 1)
    return Step(
        (
            "BEGIN",
            f"UPDATE a SET n = n - 5 WHERE id = {source}",
            "SAVEPOINT p",
            f"INSERT INTO a VALUES ({key}, 0, 'not kept')",
            f"UPDATE b SET n = n - 99 WHERE id = {target}",
            "ROLLBACK TO p",
            f"UPDATE b SET n = n + 5 WHERE id = {target}",
            "COMMIT",
        )
    )


def _rolled_back(choose: Random, state: dict[str, int]) -> Step:
    return Step(("BEGIN", "DELETE FROM a", "UPDATE b SET n = 0", "SELECT nextval('s')", "ROLLBACK"))


def _truncate(choose: Random, state: dict[str, int]) -> Step:
    keep = "INSERT INTO b SELECT i, 100, 'again' FROM generate_series(1, 20) g(i)"
    return Step(("BEGIN", "TRUNCATE b", keep, "COMMIT"))


def _tables(choose: Random, state: dict[str, int]) -> Step:
    if state["table"] and choose.random() < 0.4:
        state["table"] -= 1
        return Step((f"DROP TABLE t{state['table']}",))
    name = f"t{state['table']}"
    state["table"] += 1
    make = f"CREATE TABLE {name} (id serial, word text UNIQUE)"
    return Step(("BEGIN", make, f"INSERT INTO {name} (word) VALUES ('a'), ('b'), (NULL)", "COMMIT"))


def _serial(choose: Random, state: dict[str, int]) -> Step:
    if not state["table"]:
        return _tables(choose, state)
    return Step((f"INSERT INTO t{state['table'] - 1} (word) VALUES (NULL), (NULL)",))


def _index(choose: Random, state: dict[str, int]) -> Step:
    """What a unique index on an expression has as its key comes, with all rows made anew, and goes."""
    made = "CREATE UNIQUE INDEX IF NOT EXISTS b_word ON b (lower(word || id)) WHERE word IS NOT NULL"
    return Step((made if choose.random() < 0.7 else "DROP INDEX IF EXISTS b_word",))


def _draw(choose: Random, state: dict[str, int]) -> Step:
    return Step(tuple("SELECT nextval('s')" for _ in range(choose.choice((1, 40)))))


def _optimize(choose: Random, state: dict[str, int]) -> Step:
    return Step((f"OPTIMIZE TABLE {choose.choice(TABLES)}",))


def _checkpoint(choose: Random, state: dict[str, int]) -> Step:
    return Step(("CHECKPOINT",))


_KINDS = (
    (_insert, 6),
    (_batch, 2),
    (_bulk, 1),
    (_update, 3),
    (_update_many, 1),
    (_delete, 2),
    (_transfer, 3),
    (_rolled_back, 1),
    (_truncate, 1),
    (_tables, 1),
    (_serial, 1),
    (_index, 1),
    (_draw, 1),
    (_optimize, 2),
    (_checkpoint, 1),
)

Contents = dict[str, Any]


def contents(database: Database) -> Contents:
    """What a new snapshot sees: the rows of every table."""
    return {table.name: rows(database, table.oid) for table in database.catalog.tables()}


def drawn(database: Database) -> dict[str, int]:
    """How far each sequence's values have been given out."""
    transaction = database.begin()
    try:
        return {
            item.name: transaction.next_value(item.oid)[0]
            for item in database.catalog.relations.values()
            if isinstance(item, Sequence)
        }
    finally:
        transaction.rollback()


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything happen that comes with size: log files grow often, few rows are bulk."""
    monkeypatch.setattr(log, "_STEP", 4096)
    monkeypatch.setattr(bulk, "BUDGET", 3000)
    monkeypatch.setattr(bulk, "REST", 500)


class Script:
    """Runs steps in one session."""

    def __init__(self, database: Database) -> None:
        self._session = Session(database, "glancedb", "glancedb", {})
        self.values: list[int] = []  # that sequence s gave, durably

    def run(self, step: Step) -> list[DatabaseError]:
        """The errors that it met, without those of a transaction that has failed already."""
        errors = []
        for text in step.texts:
            try:
                for outcome in self._session.simple(text):
                    found = (
                        [row for batch in outcome.batches for row in batch.tuples()]
                        if isinstance(outcome, Rows)
                        else []
                    )
                    if isinstance(outcome, Rows | Done):
                        outcome.complete()
                    if step.waits and "nextval" in text:
                        self.values += [value for (value,) in found]
            except DatabaseError as error:
                if not isinstance(error, InFailedSqlTransaction):
                    errors.append(error)
            self._session.notices()
        return errors

    def end(self) -> None:
        """Give the session up, not the database."""
        self._session.close()
