"""Searches by certified codes give the plain scan's rows: the same ones, in the same order, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.forms import text_of
from engine.operators import nearest, searching
from sql.outcome import Rows
from sql.session import Session
from storage.codes import together
from storage.database import Database
from storage.definitions import Table
from storage.errors import DatabaseError
from storage.segments.coding import codes_of

DIMENSIONS = 40
Array = np.ndarray[Any, np.dtype[np.float32]]


class Client:
    """A session of a database in memory."""

    def __init__(self) -> None:
        self.database = Database.open(None)
        self.session = Session(self.database, "glancedb", "glancedb", {})

    def run(self, text: str, session: Session | None = None) -> list[tuple[Any, ...]]:
        """The rows as texts, or the error as one."""
        rows: list[tuple[Any, ...]] = []
        session = session or self.session
        try:
            for outcome in session.simple(text):
                if isinstance(outcome, Rows):
                    for batch in outcome.batches:
                        texts = [text_of(c, session.style).tolist() for c in batch.columns]
                        rows += zip(*texts, strict=True) if texts else [()] * batch.rows
                outcome.complete()
        except DatabaseError as error:
            return [(error.sqlstate, error.message)]
        return rows

    def table(self, name: str) -> Table:
        return next(
            r for r in self.database.catalog.relations.values() if isinstance(r, Table) and r.name == name
        )

    def seal(self, name: str) -> None:
        self.database.optimize(self.table(name).oid, "flush")

    def searched(self, name: str) -> int:
        """Rows of a table that codes have decided so far."""
        return sum(self.database.store(self.table(name).oid).tallies.sum.decided)

    def both(self, text: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """The answers with and without codes."""
        found = []
        for setting in ("on", "off"):
            self.run(f"SET enable_certified_scan = {setting}")
            opened = self.session.status == "T"
            if opened:
                self.run("SAVEPOINT before")
            found.append(self.run(text))
            if opened:
                self.run("ROLLBACK TO before")
        return found[0], found[1]

    def close(self) -> None:
        self.session.close()
        self.database.close()


def text(vector: Array) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def vectors(random: np.random.Generator, rows: int) -> Array:
    """Clusters, with what is hard among them: equal ones, zeros, long, short and far ones."""
    centers = random.normal(size=(4, DIMENSIONS))
    found = centers[random.integers(0, 4, rows)] + random.choice([0.01, 0.3, 1.0]) * random.normal(
        size=(rows, DIMENSIONS)
    )
    if random.random() < 0.5:
        found /= np.linalg.norm(found, axis=1, keepdims=True)
    kinds = random.integers(0, 12, rows)
    found[kinds == 0] = found[0]
    found[kinds == 1] = 0
    found[kinds == 2] *= random.choice([1e-30, 1e-3, 1e3, 1e25])
    found[kinds == 3] = np.round(found[kinds == 3])
    return found.astype(np.float32)


def insert(client: Client, random: np.random.Generator, first: int, rows: int) -> Array:
    made = vectors(random, rows)
    values = []
    for number, vector in enumerate(made, first):
        shown = "NULL" if random.random() < 0.06 else f"'{text(vector)}'"
        packed = "NULL" if shown == "NULL" else f"JSON_ARRAY_PACK({shown})"
        values.append(f"({number}, {number % 5}, 't{number % 7}', {shown}, {packed})")
    answer = client.run("INSERT INTO f VALUES " + ", ".join(values))
    assert answer == [], answer
    return made


def history(client: Client, random: np.random.Generator) -> Array:
    """A table with sealed, unsealed, deleted and updated rows; some of its vectors."""
    client.run(f"CREATE TABLE f (id int, k int, t text, v vector({DIMENSIONS}), b binary({4 * DIMENSIONS}))")
    made, first = [], 0
    for _ in range(int(random.integers(1, 4))):
        rows = int(random.integers(1, 60))
        made.append(insert(client, random, first, rows))
        first += rows
        step = int(random.integers(0, 4))
        if step:
            client.seal("f")
        if step == 2:
            client.run(f"DELETE FROM f WHERE id % 7 = {random.integers(0, 7)}")
        if step == 3:
            client.run(f"UPDATE f SET k = k + 10 WHERE id % 5 = {random.integers(0, 5)}")
    return np.concatenate(made)


SCORES = {
    "dot_product(v, {q})": 1,
    "v <*> {q}": 1,
    "DOT_PRODUCT(b, JSON_ARRAY_PACK({q}))": 1,
    "v <-> {q}": -1,
    "{q} <-> v": -1,
    "EUCLIDEAN_DISTANCE(b, JSON_ARRAY_PACK({q}))": -1,
    "v <=> {q}": -1,
    "1 - (v <=> {q})": 1,
    "v <#> {q}": -1,
    "-(v <#> {q})": 1,
    "(v <#> {q}) * -1": 1,
    "v <+> {q}": -1,
    "(v <-> {q}) / 3 + 1": -1,
    "(v <=> {q})::float4": -1,
    "(v <-> {q})::numeric": -1,
}
"""Scores, and which ones are near: large (1) or small (-1)."""
OTHERS = ("", "", " AND k = 3", " AND id < 20", " AND t LIKE '%1'", " AND v IS NOT NULL", " AND id % 3 = 1")


def query(random: np.random.Generator, made: Array) -> str:
    """A stored vector, one near it, or another; as a literal."""
    base = made[random.integers(0, len(made))]
    kind = random.integers(0, 4)
    if kind == 1:
        base = base + (0.1 * random.normal(size=DIMENSIONS)).astype(np.float32)
    elif kind == 2:
        base = random.normal(size=DIMENSIONS).astype(np.float32)
    return f"'{text(base)}'"


def threshold(client: Client, random: np.random.Generator, score: str) -> str:
    """A score that a row has, or the next number to it."""
    client.run("SET enable_certified_scan = off")
    there = [row[0] for row in client.run(f"SELECT {score} FROM f WHERE v IS NOT NULL")]
    if not there or "numeric" in score:
        return repr(float(np.round(random.normal(), 2)))
    value = float(there[random.integers(0, len(there))])
    moved = (value, float(np.nextafter(value, np.inf)), float(np.nextafter(value, -np.inf)))
    return f"'{moved[random.integers(0, 3)]!r}'::float8"


def questions(client: Client, random: np.random.Generator, made: Array) -> Iterator[str]:
    """Statements that codes may answer."""
    for _ in range(6):
        score = list(SCORES)[random.integers(0, len(SCORES))].format(q=query(random, made))
        limit = threshold(client, random, score)
        op = random.choice(["<", "<=", ">", ">="])
        condition = f"{score} {op} {limit}"
        if random.random() < 0.2:
            condition = f"NOT {condition}"
        if random.random() < 0.2:
            condition += f" AND {limit} <> {score}"
        other = random.choice(OTHERS)
        shown = random.choice(["id, k", "count(*)", "id, v", f"id, {score}"])
        yield f"SELECT {shown} FROM f WHERE {condition}{other}"
        order = random.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST", ", id DESC", " DESC, k"])
        count, skip = random.integers(1, 12), random.integers(0, 4)
        yield (
            f"SELECT {'id' if shown == 'count(*)' else shown} FROM f WHERE true{other}"
            f" ORDER BY {score}{order} LIMIT {count} OFFSET {skip}"
        )


PAIRS = (
    "a.v <*> b.v > {t}",
    "a.v <-> b.v <= {t}",
    "{t} > b.v <=> a.v AND a.id < b.id",
    "1 - (a.v <=> b.v) >= {t} AND b.k = 3",
    "a.v <-> b.v < {t} AND a.k <> b.k AND b.id < 30",
)


def joins(random: np.random.Generator) -> Iterator[str]:
    """Statements that join a table with itself, and with few rows of it, by similarity."""
    for condition in PAIRS:
        on = condition.format(t=repr(float(np.round(random.choice([0.5, 1, 3, 8]) * random.random(), 3))))
        kind = random.choice(["JOIN", "LEFT JOIN"])
        yield f"SELECT a.id, b.id FROM f a {kind} f b ON {on} ORDER BY 1, 2"
        few = f"(SELECT id, k, v FROM f ORDER BY id LIMIT {random.integers(0, 5)})"
        yield f"SELECT a.id, b.id, a.v <-> b.v FROM {few} a {kind} f b ON {on} ORDER BY 1, 2"
        yield f"SELECT a.id, b.id FROM f b JOIN {few} a ON {on} ORDER BY 1, 2"
        yield f"SELECT id FROM f b WHERE EXISTS (SELECT 1 FROM {few} a WHERE {on}) ORDER BY 1"
    near = "SELECT id FROM f b ORDER BY a.v <-> b.v, id LIMIT 2"
    yield f"SELECT a.id, x.id FROM f a, LATERAL ({near}) x ORDER BY 1, 2"


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_answers_are_those_of_the_plain_scan(seed: int) -> None:
    random = np.random.default_rng(seed)
    client, patch = Client(), pytest.MonkeyPatch()
    try:
        if random.random() < 0.5:
            patch.setattr(searching, "_LEAST_ROWS", 16)  # several tasks, as a large table has
        made = history(client, random)
        client.seal("f")
        if random.random() < 0.5:
            insert(client, random, 1000, 5)
        if random.random() < 0.5:
            client.run("BEGIN")
            insert(client, random, 2000, 5)
            client.run("DELETE FROM f WHERE id % 4 = 1")
            client.run("UPDATE f SET k = 3 WHERE id % 6 = 2")
        for statement in questions(client, random, made):
            certified, plain = client.both(statement)
            assert certified == plain, statement
    finally:
        patch.undo()
        client.close()


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_pairs_are_those_of_the_plain_join(seed: int) -> None:
    random = np.random.default_rng(seed)
    client = Client()
    try:
        history(client, random)
        if random.random() < 0.5:
            client.run("BEGIN")
            insert(client, random, 2000, 5)
            client.run("DELETE FROM f WHERE id % 4 = 1")
        for statement in joins(random):
            certified, plain = client.both(statement)
            assert certified == plain, statement
    finally:
        client.close()


def test_codes_are_asked() -> None:
    random = np.random.default_rng(1)
    client = Client()
    try:
        client.run(
            f"CREATE TABLE f (id int, k int, t text, v vector({DIMENSIONS}), b binary({4 * DIMENSIONS}))"
        )
        made = insert(client, random, 0, 300)
        client.seal("f")
        before = 0
        for statement in (
            f"SELECT id FROM f WHERE v <-> '{text(made[3])}' < 1",
            f"SELECT id FROM f ORDER BY v <-> '{text(made[3])}' LIMIT 3",
            "SELECT a.id, b.id FROM f a JOIN f b ON a.v <-> b.v < 1",
        ):
            client.run(statement)
            assert client.searched("f") > before + 200
            before = client.searched("f")
        (row,) = client.run(
            "SELECT table_name, scans, segments_searched, rows_decided, rows_without_codes"
            " FROM information_schema.columnar_vector_scans"
        )
        assert row == ("f", "3", "3", str(before), "0")
        statement = f"SELECT id FROM f WHERE v <-> '{text(made[3])}' < 1"
        lines = [line for (line,) in client.run(f"EXPLAIN (ANALYZE) {statement}")]
        assert lines[0].startswith("Certified Scan on f (actual time=")
        shown = dict(line.strip().split(": ", 1) for line in lines[1:])
        assert shown["Certificate"] == "exact"
        assert shown["Segments Searched"] == "1"
        depths = [int(rows) for name, rows in shown.items() if name.startswith("Rows Decided at Depth")]
        assert sum(depths) + int(shown["Rows Read in Full"]) == int(shown["Rows Searched"])
        assert "GB per Second" in shown
        assert "Rows per Second" in shown
        (plan,) = client.run(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        assert json.loads(plan[0])[0]["Plan"]["Rows Searched"] == int(shown["Rows Searched"])
        client.run("SET enable_certified_scan = off")
        lines = [line for (line,) in client.run(f"EXPLAIN (ANALYZE) {statement}")]
        assert lines[0].startswith("Seq Scan on f (actual time=")
    finally:
        client.close()


def test_codes_that_do_not_pay_are_given_up_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_LEAST_ROWS", 16)
    monkeypatch.setattr(
        nearest, "_FORESEEN", 0
    )  # no limit before codes are asked, by which they could be judged
    random = np.random.default_rng(2)
    client = Client()
    try:
        client.run(
            f"CREATE TABLE f (id int, k int, t text, v vector({DIMENSIONS}), b binary({4 * DIMENSIONS}))"
        )
        for first in range(0, 2400, 100):
            made = insert(client, random, first, 100)
            client.seal("f")
        client.run(f"UPDATE f SET v = '{text(made[0])}' WHERE id % 2 = 0")
        client.seal("f")
        for statement in (
            f"SELECT id FROM f WHERE v <+> '{text(made[0])}' < 8",  # sums of absolute differences: loose
            f"SELECT id FROM f ORDER BY v <-> '{text(made[0])}' LIMIT 3",  # a tie of half the rows
        ):
            lines = [line for (line,) in client.run(f"EXPLAIN (ANALYZE) {statement}")]
            shown = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
            assert shown["Certificate"] == "exact"
            assert int(shown["Rows Searched"]) > 0
            assert int(shown["Rows Without Codes"]) > 0
            certified, plain = client.both(statement)
            assert certified == plain
            client.run("SET enable_certified_scan = on")
    finally:
        client.close()


def test_statements_at_once_share_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its own answer, whoever asked the codes for it."""
    monkeypatch.setattr(searching, "_LEAST_ROWS", 64)
    taken: list[int] = []
    decide = together.decide_together
    monkeypatch.setattr(
        together,
        "decide_together",
        lambda codes, asked, cells: taken.append(len(asked)) or decide(codes, asked, cells),
    )
    client = Client()
    random = np.random.default_rng(11)
    try:
        client.run(f"CREATE TABLE f (id int, v vector({DIMENSIONS}))")
        made = random.normal(size=(3000, DIMENSIONS)).astype(np.float32)
        for first in range(0, 3000, 500):
            rows = ", ".join(f"({n}, '{text(made[n])}')" for n in range(first, first + 500))
            client.run(f"INSERT INTO f VALUES {rows}")
            client.seal("f")
        statements = [
            f"SELECT id FROM f WHERE v {metric} '{text(made[n])}' < {bound} ORDER BY id"
            for n in range(6)
            for metric, bound in (("<->", 5 + n / 2), ("<#>", -20 + n), ("<->", 6))
        ]
        client.run("SET enable_certified_scan = off")
        wanted = [client.run(statement) for statement in statements]

        def ask(number: int) -> list[list[tuple[Any, ...]]]:
            session = Session(client.database, "glancedb", "glancedb", {})
            try:
                mine = statements[number:] + statements[:number]
                found = [client.run(statement, session) for statement in mine]
                return found[len(found) - number :] + found[: len(found) - number]
            finally:
                session.close()

        with ThreadPoolExecutor(6) as pool:
            for found in pool.map(ask, range(6)):
                assert found == wanted
        assert sum(taken) > len(taken)  # some pass had several
        assert not any(
            waiting
            for part in client.database.store(client.table("f").oid).parts
            for codes in [codes_of(part, client.table("f").columns[1])]
            for waiting in codes.__dict__.get("_requests", {}).values()
        )
    finally:
        client.close()


def test_an_order_that_codes_cannot_decide_is_seen_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest, "_SMALL", 16)
    client = Client()
    try:
        one, half = (f"[{','.join([number] * DIMENSIONS)}]" for number in ("1", "0.5"))
        client.run(f"CREATE TABLE f (id int, v vector({DIMENSIONS}))")
        client.run(f"INSERT INTO f SELECT g, '{one}' FROM generate_series(1, 999) g")
        client.run(f"INSERT INTO f VALUES (1000, '{half}')")
        client.seal("f")
        for key in (f"v <-> '{one}'", f"v <#> '{one}'", f"v <=> '{one}' DESC"):
            statement = f"SELECT id FROM f ORDER BY {key} LIMIT 3"
            lines = [line for (line,) in client.run(f"EXPLAIN (ANALYZE) {statement}")]
            shown = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
            assert (shown["Rows Searched"], shown["Rows Without Codes"]) == ("0", "1000")
            assert client.run(statement) == [("1",), ("2",), ("3",)]
    finally:
        client.close()


def test_vectors_that_are_all_alike_have_no_codes_and_one_score() -> None:
    client = Client()
    try:
        one = f"[{','.join(['1'] * DIMENSIONS)}]"
        client.run(f"CREATE TABLE f (id int, v vector({DIMENSIONS}))")
        client.run(f"INSERT INTO f SELECT g, '{one}' FROM generate_series(1, 1000) g")
        client.seal("f")
        (part,) = client.database.store(client.table("f").oid).parts
        assert codes_of(part, client.table("f").columns[1]) is None
        for text in (
            f"SELECT id FROM f ORDER BY v <#> '{one}' LIMIT 3",
            f"SELECT count(*) FROM f WHERE v <-> '{one}' < 1",
            f"SELECT count(*) FROM f WHERE v <*> '{one}' > {DIMENSIONS}",
        ):
            certified, plain = client.both(text)
            assert certified == plain
    finally:
        client.close()


def test_a_vector_without_a_score_may_meet_a_condition() -> None:
    client = Client()
    try:
        zeros, one = f"[{','.join(['0'] * DIMENSIONS)}]", f"[{','.join(['1'] * DIMENSIONS)}]"
        client.run(f"CREATE TABLE f (id int, v vector({DIMENSIONS}))")
        client.run(f"INSERT INTO f VALUES (1, '{zeros}'), (2, '{one}'), (3, NULL)")
        client.seal("f")
        for condition in ("> 5", ">= 'nan'", "< 5", "<= 'nan'", "= 'nan'"):
            certified, plain = client.both(f"SELECT id FROM f WHERE 1 - (v <=> '{one}') {condition}")
            assert certified == plain
        for order in ("", " DESC", " DESC NULLS LAST"):
            certified, plain = client.both(f"SELECT id FROM f ORDER BY v <=> '{one}'{order} LIMIT 1")
            assert certified == plain
    finally:
        client.close()
