"""Clients that write, each in its own way, and know what they were told.

A writer notes each transaction before it begins and after it was told of its commit, in its journal outside
the server. After a crash it looks at what is there: what it was told of is whole, and what was under way is
whole or absent. What it finds is then the truth that it goes on from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import psycopg

Connection = psycopg.Connection
Wrong = Iterator[str]

SETUP = """
CREATE TABLE singles (writer int, n bigint, word text, PRIMARY KEY (writer, n));
CREATE TABLE batches (writer int, batch bigint, n int, word text, image binary(256)) COLUMNSTORE;
CREATE TABLE counters (id int PRIMARY KEY, w0 bigint NOT NULL, w1 bigint NOT NULL);
INSERT INTO counters SELECT i, 0, 0 FROM generate_series(1, 5) g(i);
CREATE TABLE savings (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE loans (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE transfers (id text PRIMARY KEY, source int, target int, amount bigint);
INSERT INTO savings SELECT i, 1000 FROM generate_series(1, 8) g(i);
INSERT INTO loans SELECT i, 1000 FROM generate_series(1, 8) g(i);
CREATE TABLE passing (n bigint, word text);
CREATE TABLE generations (generation bigint, n int);
CREATE SEQUENCE values_given;
CREATE TABLE serials (id serial PRIMARY KEY, writer int, n bigint);
CREATE TABLE copies (writer int, copy bigint, n bigint, word text);
CREATE TABLE late (writer int, n bigint);
"""


class Writer:
    """One client; see the module's text. `turn` is one transaction, `check` yields what is wrong."""

    def __init__(self, number: int, choose: Random, journal: Path) -> None:
        self.number = number
        self.choose = choose
        self.turns = 0
        self.pending: Any = None
        self._journal = journal.open("a", buffering=1)

    def intend(self, what: Any) -> None:
        """A transaction begins."""
        self.pending = what
        self._journal.write(f"begin {what!r}\n")

    def told(self) -> Any:
        """The server has told of its commit."""
        what, self.pending = self.pending, None
        self.turns += 1
        self._journal.write(f"told {what!r}\n")
        return what

    def turn(self, connection: Connection) -> None:
        raise NotImplementedError

    def check(self, connection: Connection) -> Wrong:
        raise NotImplementedError

    def close(self) -> None:
        """End the journal."""
        self._journal.close()

    def _settle(self, known: set[Any], found: set[Any]) -> Wrong:
        """Known things are found, and nothing but what was pending besides; then found is what is known."""
        if lost := known - found:
            yield f"lost {sorted(lost)[:5]}"
        if extra := found - known - {self.pending}:
            yield f"never written {sorted(extra)[:5]}"
        self.pending = None
        known.clear()
        known.update(found)


class Singles(Writer):
    """One row a transaction."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[int] = set()

    def turn(self, connection: Connection) -> None:
        self.intend(max(self.known, default=0) + 1)
        word = "x" * self.choose.choice((0, 10, 2000))
        connection.execute("INSERT INTO singles VALUES (%s, %s, %s)", (self.number, self.pending, word))
        self.known.add(self.told())

    def check(self, connection: Connection) -> Wrong:
        found = connection.execute("SELECT n FROM singles WHERE writer = %s", (self.number,)).fetchall()
        if len(found) != len(set(found)):
            yield "a row twice"
        yield from self._settle(self.known, {n for (n,) in found})


class Batches(Writer):
    """Many rows in one statement, of which some are deleted or updated later, all of a batch at once."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[tuple[int, int, int]] = set()  # (batch, rows, sum of n)
        self.next = 0

    def turn(self, connection: Connection) -> None:
        if len(self.known) > 20 or (self.known and self.choose.random() < 0.3):
            return self._change(connection, self.choose.choice(sorted(self.known)))
        self.next += 1
        batch, rows = self.next, self.choose.choice((2, 30, 3000))
        self.intend((batch, rows, rows * (rows + 1) // 2))
        connection.execute(
            "INSERT INTO batches SELECT %s, %s, i, 'word ' || i %% 10,"
            " CAST(CAST(repeat(chr(65 + i %% 26), 256) AS bytea) AS binary(256))"
            " FROM generate_series(1, %s) g(i)",
            (self.number, batch, rows),
        )
        self.known.add(self.told())
        return None

    def _change(self, connection: Connection, old: tuple[int, int, int]) -> None:
        batch, rows, total = old
        self.known.remove(old)
        where = f"writer = {self.number} AND batch = {batch}"
        if self.choose.random() < 0.5:
            self.intend(("replaces", old, None))
            connection.execute(f"DELETE FROM batches WHERE {where}")
            self.told()
        else:
            new = (batch, rows, total + rows)
            self.intend(("replaces", old, new))
            connection.execute(f"UPDATE batches SET n = n + 1 WHERE {where}")
            self.told()
            self.known.add(new)

    def check(self, connection: Connection) -> Wrong:
        query = "SELECT batch, count(*), sum(n) FROM batches WHERE writer = %s GROUP BY batch"
        found = {tuple(map(int, row)) for row in connection.execute(query, (self.number,))}
        cut = "SELECT count(*) FROM batches WHERE writer = %s AND octet_length(CAST(image AS bytea)) <> 256"
        if connection.execute(cut, (self.number,)).fetchone() != (0,):
            yield "an image is not whole"
        if self.pending is not None and self.pending[0] == "replaces":
            _, old, new = self.pending
            self.known.add(old) if old in found else None
            self.pending = new
            if new is None and old not in found and any(row[0] == old[0] for row in found):
                yield f"half of {old} deleted"
        yield from self._settle(self.known, found)


class Counters(Writer):
    """Adds to its own column of rows that the other one of its kind updates, too."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.column = f"w{self.number % 2}"
        self.known = dict.fromkeys(range(1, 6), 0)

    def turn(self, connection: Connection) -> None:
        self.intend(self.choose.randint(1, 5))
        query = f"UPDATE counters SET {self.column} = {self.column} + 1 WHERE id = %s"
        connection.execute(query, (self.pending,))
        self.known[self.told()] += 1

    def check(self, connection: Connection) -> Wrong:
        found = dict(connection.execute(f"SELECT id, {self.column} FROM counters").fetchall())
        for key, value in self.known.items():
            if found.get(key) not in (value, value + (key == self.pending)):
                yield f"counter {key} is {found.get(key)}, not {value}"
        self.pending, self.known = None, found


class Transfers(Writer):
    """Moves amounts between two tables and notes it in a third, with a savepoint that is rolled back."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[str] = set()
        self.next = 0

    def turn(self, connection: Connection) -> None:
        self.next += 1
        source, target, amount = (
            self.choose.randint(1, 8),
            self.choose.randint(1, 8),
            self.choose.randint(1, 9),
        )
        self.intend(f"{self.number}.{self.next}")
        note = (self.pending, source, target, amount)
        with connection.transaction():
            connection.execute("UPDATE savings SET amount = amount - %s WHERE id = %s", (amount, source))
            connection.execute("SAVEPOINT before")
            connection.execute("UPDATE loans SET amount = amount - 77 WHERE id = %s", (target,))
            connection.execute("INSERT INTO transfers VALUES ('never', 0, 0, 0)")
            connection.execute("ROLLBACK TO before")
            connection.execute("UPDATE loans SET amount = amount + %s WHERE id = %s", (amount, target))
            connection.execute("INSERT INTO transfers VALUES (%s, %s, %s, %s)", note)
        self.known.add(self.told())
        if self.choose.random() < 0.2:
            total = "SELECT (SELECT sum(amount) FROM savings) + (SELECT sum(amount) FROM loans)"
            assert connection.execute(total).fetchone() == (16_000,), "the sum changed under way"

    def check(self, connection: Connection) -> Wrong:
        rows = connection.execute("SELECT id, source, target, amount FROM transfers").fetchall()
        yield from self._settle(self.known, {r[0] for r in rows if r[0].startswith(f"{self.number}.")})
        if any(row[0] == "never" for row in rows):
            yield "what a savepoint's rollback took back is there"
        for table, sign, column in (("savings", -1, 1), ("loans", 1, 2)):
            expected = dict.fromkeys(range(1, 9), 1000)
            for row in rows:
                expected[row[column]] += sign * row[3]
            found = dict(connection.execute(f"SELECT id, amount FROM {table}").fetchall())
            if found != expected:
                yield f"{table} are {found}, by the transfers {expected}"


class Passing(Writer):
    """Rows that come and go, each in a transaction of its own."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[int] = set()
        self.next = 0

    def turn(self, connection: Connection) -> None:
        if len(self.known) > 30 or (self.known and self.choose.random() < 0.45):
            key = self.choose.choice(sorted(self.known))
            self.known.remove(key)
            self.intend(key)
            connection.execute("DELETE FROM passing WHERE n = %s", (key,))
            self.told()
            return
        self.next += 1
        self.intend(self.number * 10**9 + self.next)
        connection.execute("INSERT INTO passing VALUES (%s, 'x')", (self.pending,))
        self.known.add(self.told())

    def check(self, connection: Connection) -> Wrong:
        low = self.number * 10**9
        query = "SELECT n FROM passing WHERE n BETWEEN %s AND %s"
        found = connection.execute(query, (low, low + 10**9 - 1)).fetchall()
        yield from self._settle(self.known, {n for (n,) in found})


class Tables(Writer):
    """Makes tables with rows in one transaction, and drops them; keeps the last few."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[str] = set()
        self.next = 0

    def turn(self, connection: Connection) -> None:
        if len(self.known) > 3:
            name = min(self.known, key=lambda name: int(name.split("_")[2]))
            self.known.remove(name)
            self.intend(name)
            connection.execute(f"DROP TABLE {name}")
            self.told()
            return
        self.next += 1
        self.intend(f"made_{self.number}_{self.next}")
        with connection.transaction():
            connection.execute(f"CREATE TABLE {self.pending} (id serial PRIMARY KEY, word text UNIQUE)")
            connection.execute(
                f"INSERT INTO {self.pending} (word) SELECT 'w' || i FROM generate_series(1, 10) g(i)"
            )
        self.known.add(self.told())

    def check(self, connection: Connection) -> Wrong:
        query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s"
        found = {name for (name,) in connection.execute(query, (f"made\\_{self.number}\\_%",))}
        yield from self._settle(self.known, found)
        for name in sorted(found):
            if connection.execute(f"SELECT count(*), count(DISTINCT word) FROM {name}").fetchone() != (
                10,
                10,
            ):
                yield f"{name} has other rows"


class Generations(Writer):
    """Truncates and fills again in one transaction."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known = 0

    def turn(self, connection: Connection) -> None:
        self.intend(self.known + 1)
        with connection.transaction():
            connection.execute("TRUNCATE generations")
            query = "INSERT INTO generations SELECT %s, i FROM generate_series(1, 40) g(i)"
            connection.execute(query, (self.pending,))
        self.known = self.told()

    def check(self, connection: Connection) -> Wrong:
        found = connection.execute("SELECT generation, n FROM generations ORDER BY 1, 2").fetchall()
        generations = {generation for generation, _ in found} or {0}
        if not generations <= {self.known, self.pending}:
            yield f"generations {generations}, not {self.known}"
        (generation,) = generations if len(generations) == 1 else (self.known,)
        if generation and found != [(generation, n) for n in range(1, 41)]:
            yield f"{len(found)} rows, of generations {generations}"
        self.known, self.pending = generation, None


class Values(Writer):
    """Draws from a sequence, with and without a row that keeps the value; also in what is rolled back."""

    given: ClassVar[set[int]] = set()
    lock = threading.Lock()

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[int] = set()
        self.repeated: list[int] = []

    def turn(self, connection: Connection) -> None:
        if self.choose.random() < 0.5:
            query = "INSERT INTO serials (writer, n) VALUES (%s, %s) RETURNING id"
            self.intend("a row")
            ((key,),) = connection.execute(query, (self.number, self.turns)).fetchall()
            self.told()
            self.known.add(key)
            return
        self.intend("a value")
        if self.choose.random() < 0.3:
            connection.execute("BEGIN")
            ((value,),) = connection.execute("SELECT nextval('values_given')").fetchall()
            connection.execute("ROLLBACK")
        else:
            ((value,),) = connection.execute("SELECT nextval('values_given')").fetchall()
        self.told()
        with self.lock:
            if value in self.given:
                self.repeated.append(value)
            self.given.add(value)

    def check(self, connection: Connection) -> Wrong:
        if self.repeated:
            yield f"values given twice: {self.repeated}"
        self.repeated = []
        found = {i for (i,) in connection.execute("SELECT id FROM serials WHERE writer = %s", (self.number,))}
        extra = found - self.known
        if len(extra) <= (self.pending == "a row"):
            self.known |= extra
        self.pending = None
        yield from self._settle(self.known, found)


class Copies(Writer):
    """COPY, small and big; what was copied is deleted again now and then."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.known: set[tuple[int, int, int]] = set()
        self.next = 0

    def turn(self, connection: Connection) -> None:
        if len(self.known) > 6:
            old = min(self.known)
            self.intend(old)
            self.known.remove(old)
            query = "DELETE FROM copies WHERE writer = %s AND copy = %s"
            connection.execute(query, (self.number, old[0]))
            self.told()
            return
        rows = self.choose.choice((1, 100, 5000, 40_000))
        self.next += 1
        copy = self.next
        self.intend((copy, rows, rows * (rows - 1) // 2))
        text = "".join(f"{self.number}\t{copy}\t{n}\tword {n % 100}\n" for n in range(rows))
        with connection.cursor().copy("COPY copies FROM STDIN") as stream:
            for start in range(0, len(text), 1 << 18):
                stream.write(text[start : start + (1 << 18)])
        self.known.add(self.told())

    def check(self, connection: Connection) -> Wrong:
        query = "SELECT copy, count(*), sum(n) FROM copies WHERE writer = %s GROUP BY copy"
        found = {tuple(map(int, row)) for row in connection.execute(query, (self.number,))}
        yield from self._settle(self.known, found)


class Late(Writer):
    """Commits that do not wait for the disk: the last may be lost, but none before one that is not."""

    def __init__(self, *more: Any) -> None:
        super().__init__(*more)
        self.durable = self.next = 0

    def turn(self, connection: Connection) -> None:
        waits = self.choose.random() < 0.1
        connection.execute(f"SET synchronous_commit = {'on' if waits else 'off'}")
        self.next += 1
        self.intend(self.next)
        connection.execute("INSERT INTO late VALUES (%s, %s)", (self.number, self.next))
        self.durable = self.told() if waits else (self.told(), self.durable)[1]

    def check(self, connection: Connection) -> Wrong:
        query = "SELECT n FROM late WHERE writer = %s ORDER BY n"
        found = [n for (n,) in connection.execute(query, (self.number,))]
        if found != list(range(1, len(found) + 1)):
            yield f"a gap before {found[-1]}"
        if not self.durable <= len(found) <= self.next:
            yield f"{len(found)} rows, of {self.next}, {self.durable} of them durable"
        self.durable = self.next = len(found)
        self.pending = None


class Maintenance(Writer):
    """Makes segments anew, and checkpoints."""

    TABLES = (
        "singles",
        "batches",
        "counters",
        "savings",
        "loans",
        "passing",
        "generations",
        "copies",
        "late",
    )

    def turn(self, connection: Connection) -> None:
        chance = self.choose.random()
        if chance < 0.25:
            connection.execute("CHECKPOINT")
        elif chance < 0.35:
            folder = Path(self._journal.name).with_name("backup")
            connection.execute(f"BACKUP DATABASE TO '{folder}'")
        else:
            connection.execute(f"OPTIMIZE TABLE {self.choose.choice(self.TABLES)}")
        self.turns += 1

    def check(self, connection: Connection) -> Wrong:
        return iter(())


EVERY: tuple[Callable[..., Writer], ...] = (
    Singles,
    Singles,
    Batches,
    Counters,
    Counters,
    Transfers,
    Transfers,
    Passing,
    Tables,
    Generations,
    Values,
    Values,
    Copies,
    Late,
    Maintenance,
)
"""The clients that write at once."""
