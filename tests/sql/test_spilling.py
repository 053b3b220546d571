"""Statements over their budget: the answers of statements that have room, and nothing left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sql.outcome import Rows
from sql.session import Session
from storage.database import Database
from storage.errors import ConfigurationLimitExceeded, OutOfMemory, QueryCanceled
from storage.memory import reservations
from storage.segments.merger import Merger

ROWS, BATCH = 30_000, 2_000
TABLES = f"""
create table t as select i, i % 10007 as k, (i * 7919) % 100003 as v, 'text ' || i % 5003 as s,
    case when i % 11 = 0 then null else i % 997 end as n, i::numeric / 4 as d
    from generate_series(1, {ROWS}) i;
create table u as select k, k * 2 as w, 'text ' || k as s from generate_series(-500, 19000) k
"""

FEWER = (
    "(select i, k, v, n, repeat(s, 40) as s from t where i <= 2000) t {} "
    "(select k, repeat(s, 40) as s from u where k between 0 and 2000) u"
)

SPILLING = {
    "groups": "select k, count(*), sum(v), min(s), avg(d) from t group by k",
    "groups of text": "select s, n, count(*) filter (where v > 500), max(v) from t group by s, n",
    "groups of rows": (
        "select k, array_agg(v), string_agg(s, ',' order by v desc), count(distinct n) from t group by k"
    ),
    "groups with their median": "select k, percentile_cont(0.5) within group (order by v) from t group by k",
    "large groups": (
        "select i % 3, count(*), avg(d), count(distinct k), array_agg(distinct n order by n desc), "
        "percentile_cont(0.25) within group (order by v), string_agg(s, ',' order by v, i) from t group by 1"
    ),
    "one group": (
        "select count(distinct v), sum(distinct n), max(s), count(distinct s) filter (where k > 10), "
        "percentile_cont(array[0, 0.3, 0.5, 1]) within group (order by d desc), "
        "percentile_disc(0.9) within group (order by s), mode() within group (order by n desc), "
        "rank(500, 'text 7') within group (order by n, s desc), dense_rank(500) within group (order by n), "
        "percent_rank('text 5') within group (order by s), cume_dist(17) within group (order by v) from t"
    ),
    "rollup": "select k, n, count(*), sum(v), grouping(k, n) from t group by rollup (k, n)",
    "cube": "select k, s, count(distinct n), min(d) from t group by cube (k, s)",
    "grouping sets": (
        "select k, n, i % 2, array_agg(s order by i), count(*), "
        "percentile_disc(0.5) within group (order by v) "
        "from t group by grouping sets ((k), (n, i % 2), (), (k), (n))"
    ),
    "join": "select t.i, u.w from t join u on t.k = u.k",
    "join on text with a condition": "select t.i, u.k from t join u on t.s = u.s and t.n < u.w",
    "left join": "select t.i, u.w from u left join t on t.n = u.k",
    "right join": "select t.i, u.w from u right join t on t.k = u.k and t.n > 5",
    "full join": "select t.i, u.k from t full join u on t.k = u.k and u.w > 50",
    "semi join": "select k from u where exists (select from t where t.v = u.k + 500 and t.i > u.w)",
    "nested loop": f"select t.i, u.k, u.s, t.s from {FEWER} on u.k < t.k and t.k < u.k + 3".format("join"),
    "nested loop, left": f"select t.s, u.s from {FEWER} on u.k > t.v".format("left join"),
    "nested loop, right": f"select t.s, u.s from {FEWER} on u.k > t.v".format("right join"),
    "nested loop, full": f"select t.i, u.s from {FEWER} on u.k > t.v and t.n > 900".format("full join"),
    "distinct": "select distinct k, s from t",
    "distinct on": "select distinct on (k) k, i from t order by k, v",
    "intersect": "select k, k * 2 from t intersect select k, w from u",
    "intersect all": "select k, s from u intersect all select k, 'text ' || k from t",
    "except": "select k, v from t except select k, w from u",
    "except all": "select k, s from t except all select k, s from t where i % 3 = 0",
    "windows": (
        "select i, row_number() over w, sum(v) over (partition by k) from t "
        "window w as (partition by k order by v)"
    ),
    "windows of different partitions": (
        "select i, rank() over (partition by n order by v), sum(v) over (partition by k), "
        "count(s) over (partition by n), lag(i) over (partition by k, n order by i) from t where i < 9000"
    ),
    "windows at a distance": (
        "select i, lead(s) over w, lag(v, 3000, -1) over w, lead(d, k) over w, ntile(7) over w, "
        "nth_value(n, i % 900 + 1) over (w rows between 500 preceding and 4000 following), "
        "last_value(s) over (w groups between 9 preceding and 90 following exclude ties) "
        "from t where i < 12000 window w as (order by v)"
    ),
    "frames that slide": (
        "select i, sum(v) over w, stddev(v) over w, min(s) over w, count(n) filter (where k > 99) over w, "
        "avg(n) over (order by v range between 900 preceding and 20000 following exclude current row), "
        "string_agg(s, ',') over (order by v, i rows between 2 preceding and 1 preceding) "
        "from t where i < 7000 window w as (order by v, i rows between 1500 preceding and 7 following)"
    ),
    "one partition that is large": (
        "select i, sum(v) over w, lead(i, 2) over w, rank() over w from t "
        "window w as (partition by greatest(k, 5000) order by v)"
    ),
    "places without partitions": (
        "select i, row_number() over (order by i), rank() over w, dense_rank() over w, "
        "percent_rank() over w, cume_dist() over w from t where i < 5000 "
        "window w as (order by n desc, v / 1000)"
    ),
    "running sums": (
        "select i, sum(v) over w, avg(d) over w, min(s) over w, max(n) over w, stddev(v::float8) over w, "
        "count(n) filter (where k > 50) over (order by i rows unbounded preceding), sum(n) over () "
        "from t where i < 3000 window w as (order by n desc, v / 1000)"
    ),
    "windows with and without partitions": (
        "select i, bool_or(v > 99990) over (order by i), sum(k) over (partition by n order by i) "
        "from t where i < 4000"
    ),
    "sort": "select i, s, d from t order by n desc, s, i",
    "sort by text": 'select s, k, i from t order by s collate "C" desc, v % 10',
    "sort by numeric": "select d, n, i from t order by n nulls first, d desc",
    "anti join": "select k from u where not exists (select from t where t.k = u.k and t.v > u.w)",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with pytest.MonkeyPatch.context() as patch:
        # a copy: a thread may be importing compiled kernels
        for module in [m for m in list(sys.modules.values()) if getattr(m, "BATCH_ROWS", None) is not None]:
            patch.setattr(module, "BATCH_ROWS", BATCH)
        patch.setattr(Merger, "start", lambda _: None)  # sealed rows would come in fewer, larger batches
        database = Database.open(tmp_path_factory.mktemp("spilling") / "data")
        run(Session(database, "glancedb", "glancedb"), TABLES)
        yield database
        database.close()


def run(session: Session, text: str) -> list[tuple[object, ...]]:
    """The rows of a text's last statement."""
    rows: list[tuple[object, ...]] = []
    for outcome in session.simple(text):
        if isinstance(outcome, Rows):
            rows = [row for batch in outcome.batches for row in batch.tuples()]
        outcome.complete()  # type: ignore[union-attr]
    return rows


def files_open() -> int:
    """How many temporary files are open."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # others close theirs
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return sum("/temporary/" in link for link in links)


def squeezed(database: Database, size: str = "128kB") -> Session:
    """A session whose operators may hold next to nothing."""
    session = Session(database, "glancedb", "glancedb")
    run(session, f"set work_mem = '{size}'; set hash_mem_multiplier = 1")
    return session


def spilled(session: Session, text: str) -> int:
    """The bytes that EXPLAIN ANALYZE says were put aside."""
    lines = [str(line) for (line,) in run(session, f"explain (analyze, timing off) {text}")]
    return sum(int(line.split(":")[1]) for line in lines if "Spilled Bytes" in line)


@pytest.mark.parametrize("name", SPILLING)
def test_answers_are_the_same_over_the_budget(database: Database, name: str) -> None:
    text = SPILLING[name]
    roomy = Session(database, "glancedb", "glancedb")
    nbytes, descriptors, held = database.scratch.nbytes, files_open(), reservations.held
    expected = run(roomy, text)
    assert database.scratch.nbytes == nbytes
    found = run(squeezed(database), text)
    assert database.scratch.nbytes > nbytes + (128 << 10)
    if "order by" not in text.rpartition(")")[2]:
        expected, found = sorted(expected, key=repr), sorted(found, key=repr)
    assert found == expected
    assert (files_open(), reservations.held) == (descriptors, held)


@pytest.mark.parametrize("name", ["groups", "one group", "join", "distinct", "windows", "sort"])
def test_explain_tells_what_was_put_aside(database: Database, name: str) -> None:
    nbytes = database.scratch.nbytes
    told = spilled(squeezed(database), SPILLING[name])
    assert told == database.scratch.nbytes - nbytes > 128 << 10
    assert spilled(Session(database, "glancedb", "glancedb"), SPILLING[name]) == 0


@pytest.mark.parametrize("name", SPILLING)
def test_temporary_files_are_limited(database: Database, name: str) -> None:
    session = squeezed(database)
    run(session, "set temp_file_limit = '100kB'")
    descriptors, held = files_open(), reservations.held
    with pytest.raises(ConfigurationLimitExceeded) as error:
        run(session, SPILLING[name])
    assert error.value.message == "temporary file size exceeds temp_file_limit (100kB)"
    del error
    assert (files_open(), reservations.held) == (descriptors, held)
    assert run(session, "select 1") == [(1,)]


@pytest.mark.parametrize("name", SPILLING)
def test_a_cancelled_statement_leaves_no_files(database: Database, name: str) -> None:
    session = squeezed(database)
    descriptors, held = files_open(), reservations.held
    outcome = next(iter(session.simple(SPILLING[name])))
    assert isinstance(outcome, Rows)
    next(outcome.batches)
    session.cancel()
    with pytest.raises(QueryCanceled):
        list(outcome.batches)
    session.fail()
    assert (files_open(), reservations.held) == (descriptors, held)


def test_a_closed_statement_leaves_no_files(database: Database) -> None:
    session = squeezed(database)
    descriptors = files_open()
    run(session, "begin; declare c cursor for " + SPILLING["groups"] + "; fetch 1 from c")
    assert files_open() == descriptors + 1
    run(session, "close c")
    assert files_open() == descriptors
    run(session, "rollback")


def test_what_cannot_be_put_aside_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "limit", 1 << 20)
    session = Session(database, "glancedb", "glancedb")
    with pytest.raises(OutOfMemory) as error:
        run(session, "select array_agg(repeat(s, 10) order by k, i) from t")
    assert error.value.message == "out of memory"
    assert "max_query_memory" in (error.value.hint or "")
    assert run(session, "select count(*) from (select k, v, count(*) from t group by k, v) g") == [(ROWS,)]


def test_a_part_that_stays_too_large_is_grouped_at_last(database: Database) -> None:
    session = squeezed(database, "64kB")
    text = "select n is null, array_agg(distinct v % 50 order by v % 50), count(*) from t group by 1, n % 1"
    assert sorted(run(session, text), key=repr) == sorted(
        run(Session(database, "glancedb", "glancedb"), text), key=repr
    )


def test_what_a_crash_left_goes_at_the_next_start(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    left = tmp_path / "temporary" / "tmpabc"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"rows")
    Database.open(tmp_path).close()
    assert not left.exists()
