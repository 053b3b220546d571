"""The search for a difference: tables, queries, answers, and the smallest query that still shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from server.listener import Config, Server
from sql.planning import SWITCHES
from sql.session import Session
from storage.database import Database
from storage.definitions import Table as Stored
from tests.generator.grammar import Grammar
from tests.generator.peers import Answer, Duck, Peer, Wire
from tests.generator.tables import Table, tables
from tests.generator.trees import Node, shrunk

QUERIES_A_ROUND = 100
_TRIES = 3_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A query that a peer answers otherwise, and the tables that it is asked over."""

    query: str
    tables: list[Table]
    settings: list[str]
    peer: str
    ours: Answer
    theirs: Answer

    def __str__(self) -> str:
        setup = [statement for table in self.tables for statement in table.statements()]
        answers = [f"ours: {_told(self.ours)}", f"{self.peer}: {_told(self.theirs)}"]
        return "\n".join([*(f"{s};" for s in (*self.settings, *setup)), f"{self.query};", *answers])


def _told(answer: Answer) -> str:
    if answer.error:
        return f"{answer.error} {answer.message}"
    shown = "; ".join("|".join("NULL" if v is None else v for v in row) for row in answer.rows[:8])
    return f"{len(answer.rows)} rows of {answer.types}: {shown}"


@dataclass(slots=True)
class Report:
    """Counts of a search: of queries, of rows in our answers, of what each peer answered."""

    queries: int = 0
    rows: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unsupported: Counter[str] = field(default_factory=Counter)


@contextmanager
def ours(folder: Path) -> Iterator[tuple[Database, str]]:
    """A server of ours in this process, and its address."""
    database = Database.open(folder / "data")
    try:
        sessions = lambda user, name, given: Session(database, user, name, given)  # noqa: E731
        with Server(database, Config(port=0), sessions=sessions) as server:
            yield database, f"host=127.0.0.1 port={server.port} user=glancedb dbname=glancedb"
    finally:
        database.close()


def search(
    seed: int, queries: int, folder: Path, postgres: str | None, report: Report
) -> Iterator[Difference]:
    """The differences that so many queries show. `postgres`: the address of a database for it."""
    with ours(folder) as (database, address):
        wire = Wire("GlanceDB", address)
        peer = Wire("PostgreSQL", postgres) if postgres else None
        for number in range(-(-queries // QUERIES_A_ROUND)):
            random = Random(f"{seed} {number}")
            given = tables(random)
            others: list[Peer] = [Duck(), *([peer] if peer else [])]
            for asked in (wire, *others):
                _prepare(asked, given)
            if random.random() < 0.5:
                _seal(database)
            settings = _settings(random)
            for statement in ("RESET ALL", *settings):
                wire.ask(statement)
            for _ in range(min(QUERIES_A_ROUND, queries - number * QUERIES_A_ROUND)):
                yield from _try(random, given, settings, wire, others, report)
        wire.connection.close()
        if peer is not None:
            peer.connection.close()


def _prepare(peer: Peer, given: Sequence[Table]) -> None:
    for table in given:
        for statement in (f"DROP TABLE IF EXISTS {table.name}", *table.statements()):
            answer = peer.ask(statement)
            if answer.error:
                raise RuntimeError(f"{peer.name}: {answer.message}: {statement}")


def _settings(random: Random) -> list[str]:
    """How we are to answer in a round: half of them with some rules of the planner off, and little memory."""
    if random.random() < 0.5:
        return []
    off = [f"SET enable_{rule} = off" for rule in SWITCHES if random.random() < 0.4]
    tight = ["SET work_mem = '64kB'", "SET hash_mem_multiplier = 1"] if random.random() < 0.5 else []
    return [*off, *tight, f"SET interpreter_mode = {random.choice(('interpret_first', 'interpret'))}"]


def _seal(database: Database) -> None:
    for relation in list(database.catalog.relations.values()):
        if isinstance(relation, Stored):
            database.optimize(relation.oid, "flush")


def _try(
    random: Random, given: list[Table], settings: list[str], wire: Wire, others: list[Peer], report: Report
) -> Iterator[Difference]:
    """Ask one query of everybody who means the same by it."""
    strict = [peer for peer in others if isinstance(peer, Wire)]
    common = not strict or random.random() < 0.5
    tree = Grammar(random, given, common).query()
    answer = wire.ask(str(tree))
    report.queries += 1
    report.rows += len(answer.rows)
    if answer.error == "0A000":
        report.unsupported[answer.message] += 1
        return
    for peer in others if common else strict:
        theirs = peer.ask(str(tree))
        (report.refused if theirs.error else report.answered)[peer.name] += 1
        if not peer.agrees(answer, theirs, _ordered(tree)):
            yield replace(_smallest(tree, wire, peer, given), settings=settings)
            return


def _ordered(tree: Node) -> bool:
    return " ORDER BY 1 " in "".join(part for part in tree.parts if isinstance(part, str))


def _smallest(tree: Node, wire: Wire, peer: Peer, given: list[Table]) -> Difference:
    """The difference with a query and tables that are as small as they can be made."""

    def differs(node: Node) -> bool:
        mine, theirs = wire.ask(str(node)), peer.ask(str(node))
        # an error that both have tells nothing of what was found
        return not (mine.error and theirs.error) and not peer.agrees(mine, theirs, _ordered(node))

    used = given
    if differs(tree):
        tree = shrunk(tree, differs, _TRIES)
        used = [table for table in given if f" {table.name} " in str(tree)]
        for table in used:
            rows = _fewest(table, lambda less: _prepare_both(wire, peer, less) or differs(tree))
            used = [rows if each is table else each for each in used]
    found = Difference(str(tree), used, [], peer.name, wire.ask(str(tree)), peer.ask(str(tree)))
    for asked in (wire, peer):
        _prepare(asked, given)
    return found


def _prepare_both(wire: Wire, peer: Peer, table: Table) -> None:
    for asked in (wire, peer):
        _prepare(asked, [table])


def _fewest(table: Table, differs: Callable[[Table], bool | None]) -> Table:
    """A table with runs of its rows left out, for which `differs` still holds; it is left prepared."""
    run = len(table.rows)
    while run:
        at = 0
        while at < len(table.rows):
            less = replace(table, rows=table.rows[:at] + table.rows[at + run :])
            if differs(less):
                table = less
            else:
                at += run
        run //= 2
    differs(table)
    return table
