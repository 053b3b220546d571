"""Message sequences are answered as PostgreSQL answers them: tests/server/sequences/*.txt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from server.config import Config
from server.listener import Server
from storage.database import Database
from tests.conftest import postgres_database
from tests.server import conversation
from tests.server.conversation import Peer, Sequence

FOLDER = Path(__file__).parent / "sequences"
READ = {path.stem: conversation.read(path) for path in sorted(FOLDER.glob("*.txt"))}
ALL = [pytest.param(stem, s, id=f"{stem}: {s.name}") for stem, found in READ.items() for s in found]

# what each sequence finds
SCRIPT = """
    drop table if exists t;
    create table t (a int primary key, b text);
    insert into t values (1, 'one'), (2, 'two'), (3, null);
"""


@pytest.fixture(scope="module")
def ours() -> Iterator[Peer]:
    """This server."""
    database = Database.open(None)
    try:
        with Server(database, Config(port=0)) as server:
            yield Peer("127.0.0.1", server.port, "glancedb", "glancedb")
    finally:
        database.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Peer]:
    """PG_URI's."""
    with postgres_database(os.environ["PG_URI"]) as address:
        found = conninfo_to_dict(address)
        yield Peer(str(found["host"]), int(found["port"] or 5432), str(found["user"]), str(found["dbname"]))


def answer(peer: Peer, sequence: Sequence) -> list[str]:
    address = f"host={peer.host} port={peer.port} user={peer.user} dbname={peer.database}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(SCRIPT)
    return peer.run(sequence)


@pytest.mark.parametrize(("stem", "sequence"), ALL)
def test_a_sequence(ours: Peer, stem: str, sequence: Sequence, request: pytest.FixtureRequest) -> None:
    got = answer(ours, sequence)
    if request.config.getoption("--complete"):
        if sequence.ours is not None and not os.environ.get("PG_URI"):
            sequence.ours = got
            conversation.write(FOLDER / f"{stem}.txt", READ[stem])
        return
    assert got == sequence.expected


@pytest.mark.parametrize(("stem", "sequence"), [p for p in ALL if p.values[1].ours is not None])
def test_what_differs_does_differ(stem: str, sequence: Sequence) -> None:
    assert sequence.ours != sequence.answer


@pytest.mark.skipif(not os.environ.get("PG_URI"), reason="PG_URI names no PostgreSQL")
@pytest.mark.parametrize(("stem", "sequence"), ALL)
def test_postgres_answers_so(
    postgres: Peer, stem: str, sequence: Sequence, request: pytest.FixtureRequest
) -> None:
    got = answer(postgres, sequence)
    if request.config.getoption("--complete"):
        sequence.answer = got
        conversation.write(FOLDER / f"{stem}.txt", READ[stem])
    assert got == sequence.answer
