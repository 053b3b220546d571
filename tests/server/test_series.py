"""Messages answered as one say, byte for byte, what they say one by one.

Two sides get the same messages; one has them answered as a series where the connection offers it, the other
takes each for itself. Statements are named and unnamed, parsed anew each time as many drivers do, and between
them comes what makes plans stale: definitions, settings, transactions, statements that are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import sql.shortstatements
import sql.transactions
from server.messages import Bind, Describe, Execute, Parse, Query, Sync
from tests.server.test_single import Side
from tests.server.wire import split, tags

TEXTS = (
    "SELECT name FROM plain WHERE id = $1",
    "SELECT * FROM plain WHERE id = $1",
    "SELECT $1::int8, now() IS NULL",
    "INSERT INTO plain VALUES ($1, 'new')",
    "UPDATE plain SET name = name || '!' WHERE id = $1 RETURNING name",
    "DELETE FROM plain WHERE id = $1",
    "SELECT id FROM plain WHERE id > $1 ORDER BY id LIMIT 3",
    "SELECT 1 / $1::int8",
)
BETWEEN = (
    *("BEGIN", "COMMIT", "ROLLBACK", "DISCARD ALL", "DEALLOCATE ALL", "SELECT 1", ""),
    *(
        "ALTER TABLE plain ADD COLUMN IF NOT EXISTS more int DEFAULT 7",
        "ALTER TABLE plain DROP COLUMN IF EXISTS more",
    ),
    *("SET search_path = other, public", "RESET search_path", "SET datestyle = german", "TRUNCATE plain"),
    *(
        "VACUUM plain",
        "INSERT INTO plain SELECT x, 'row ' || x FROM generate_series(100, 140) x ON CONFLICT DO NOTHING",
    ),
    "SET enable_join_ordering = off",
)
VALUES = (*(b"%d" % n for n in range(12)), b"100", b"120", b"0", b"x", b"99999999999999999999", None)


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Side, Side]]:
    """One that answers as one, and one that does not; a schema with a table of the same name beside."""
    for module in (sql.shortstatements, sql.transactions):
        monkeypatch.setattr(module, "clock", lambda: 762_000_000_000_000)
    found = Side(tmp_path / "one"), Side(tmp_path / "other")
    for side in found:
        side.answer(Query("CREATE SCHEMA other"))
        side.answer(Query("CREATE TABLE other.plain (id bigint PRIMARY KEY, name varchar(9), flag bool)"))
        side.answer(Query("INSERT INTO other.plain SELECT x, 'o' || x, x > 4 FROM generate_series(1, 9) x"))
        side.series = 0
    found[1].as_one = False
    try:
        yield found
    finally:
        for side in found:
            side.database.close()


@pytest.mark.parametrize("seed", range(4))
def test_as_one_is_one_by_one(sides: tuple[Side, Side], seed: int) -> None:
    choose = Random(seed)
    for step in range(250):
        if choose.random() < 0.08:
            messages: tuple[Parse | Bind | Describe | Execute | Query | Sync, ...] = (
                Query(choose.choice(BETWEEN)),
            )
        else:
            text = choose.choice(TEXTS[: choose.choice((2, len(TEXTS)))])
            name = choose.choice(("", "", f"s{TEXTS.index(text)}"))
            parse = (Parse(name, text, choose.choice(((), (), (20,)))),) if choose.random() < 0.8 else ()
            results = choose.choice(((), (), (1,), (0,)))
            described = (Describe("P", ""),) if choose.random() < 0.5 else ()
            bind = Bind("", name, (), (choose.choice(VALUES),), results)
            messages = (*parse, bind, *described, Execute(""), Sync())
        said = [side.answer(*messages) for side in sides]
        assert said[0] == said[1], (seed, step, messages, [split(data) for data in said])
    assert sides[0].series > 40
    assert sides[1].series == 0


def test_an_unnamed_statement_is_answered_as_one_from_the_second_time_on(sides: tuple[Side, Side]) -> None:
    side = sides[0]
    messages = Parse("", TEXTS[0]), Bind("", "", (), (b"3",)), Describe("P", ""), Execute(""), Sync()
    assert tags(split(side.answer(*messages))) == "12TCZ"
    side.series = 0
    assert tags(split(side.answer(*messages))) == "12TCZ"
    assert side.series == 1
    other = (Parse("", TEXTS[5]), *messages[1:])
    assert tags(split(side.answer(*other))) == "12nCZ"
    assert tags(split(side.answer(*messages))) == "12TCZ"
    side.answer(Query("SELECT 1"))  # which ends the unnamed statement
    assert tags(split(side.answer(*messages[1:]))) == "EZ"
    assert tags(split(side.answer(*messages))) == "12TCZ"
