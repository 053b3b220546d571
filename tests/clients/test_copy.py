"""COPY as clients see it: errors with PostgreSQL's words and context, files on the server, parquet.

With PG_URI set, what PostgreSQL has too is asked of that server instead: the answers here are its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.clients.conftest import Reached

PG_URI = os.environ.get("PG_URI")
only_here = pytest.mark.skipif(PG_URI is not None, reason="not of PostgreSQL")


@pytest.fixture
def db(reached: Reached) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(PG_URI or reached.url(), autocommit=True) as connection:
        connection.execute("drop table if exists cf")
        connection.execute("drop role if exists cf_role")
        yield connection
        connection.execute("drop table if exists cf")


def told(error: psycopg.Error) -> str:
    """What a client is told: message, detail, hint, context, one a line."""
    diag = error.diag
    parts = (f"{diag.sqlstate}: {diag.message_primary}", diag.message_detail, diag.message_hint, diag.context)
    return "\n".join(part for part in parts if part)


def failed(db: psycopg.Connection[tuple[object, ...]], statement: str, data: str | None = None) -> str:
    """The error of a statement that has to fail."""
    with pytest.raises(psycopg.Error) as raised:
        if data is None:
            db.execute(statement)
        else:
            with db.cursor().copy(statement) as copy:
                copy.write(data)
    return told(raised.value)


TABLE = """create table cf (a int primary key, b text not null, c int check (c > 0), d varchar(3),
                           e numeric(4,2), f date)"""
ERRORS = {
    "null": (
        "1,x\n2,\n",
        '23502: null value in column "b" of relation "cf" violates not-null constraint\n'
        'Failing row contains (2, null, null, null, null, null).\nCOPY cf, line 2: "2,"',
    ),
    "doubled": (
        '1,x\n2,y\n"1","a\nb"\n',
        '23505: duplicate key value violates unique constraint "cf_pkey"\n'
        "Key (a)=(1) already exists.\nCOPY cf, line 4",
    ),
    "check": (
        '1,x,1\n2,"y\ny",0\n',
        '23514: new row for relation "cf" violates check constraint "cf_c_check"\n'
        'Failing row contains (2, y\ny, 0, null, null, null).\nCOPY cf, line 3: "2,"y\ny",0"',
    ),
    "long": (
        "1,x,1,abc\n2,y,1,abcd\n",
        '22001: value too long for type character varying(3)\nCOPY cf, line 2, column d: "abcd"',
    ),
    "numeric": (
        "1,x,1,abc,99.994\n2,y,1,abc,99.995\n",
        "22003: numeric field overflow\n"
        "A field with precision 4, scale 2 must round to an absolute value less than 10^2.\n"
        'COPY cf, line 2, column e: "99.995"',
    ),
    "integer": (
        "1,x\n2147483648,y\n",
        '22003: value "2147483648" is out of range for type integer\nCOPY cf, line 2, column a: "2147483648"',
    ),
    "word": (
        "1,x\nx,y\n",
        '22P02: invalid input syntax for type integer: "x"\nCOPY cf, line 2, column a: "x"',
    ),
    "date": (
        "1,x,1,,,2024-02-29\n2,y,1,,,2023-02-29\n",
        '22008: date/time field value out of range: "2023-02-29"\nCOPY cf, line 2, column f: "2023-02-29"',
    ),
    "missing": ("1,x\n2\n", '22P04: missing data for column "b"\nCOPY cf, line 2: "2"'),
    "extra": (
        "1,x,1,a,1,2024-01-01\n2,y,1,a,1,2024-01-01,z\n",
        '22P04: extra data after last expected column\nCOPY cf, line 2: "2,y,1,a,1,2024-01-01,z"',
    ),
    "first": (
        "1,x,0\n2,y,z\n",
        '23514: new row for relation "cf" violates check constraint "cf_c_check"\n'
        'Failing row contains (1, x, 0, null, null, null).\nCOPY cf, line 1: "1,x,0"',
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_says_where_it_is_and_nothing_is_left(
    db: psycopg.Connection[tuple[object, ...]], case: str
) -> None:
    data, answer = ERRORS[case]
    width = max(line.count(",") for line in data.split("\n")) + 1
    db.execute(TABLE)
    listed = ", ".join("abcdef"[: 6 if width > 6 else width])
    if case == "missing":
        listed = "a, b"
    assert failed(db, f"copy cf ({listed}) from stdin (format csv)", data) == answer
    assert db.execute("select count(*) from cf").fetchone() == (0,)


def test_where_chooses_among_the_rows_that_come(db: psycopg.Connection[tuple[object, ...]]) -> None:
    db.execute("create table cf (a int, b text default 'd', c int not null)")
    with db.cursor().copy("copy cf (a, c) from stdin where b = 'd' and a > 1") as copy:
        copy.write("1\t\\N\n2\t5\n3\t6\n")
    assert db.execute("select a, b, c from cf order by a").fetchall() == [(2, "d", 5), (3, "d", 6)]
    assert failed(db, "copy cf from stdin where a > (select 1)") == (
        "0A000: cannot use subquery in COPY FROM WHERE condition"
    )
    assert failed(db, "copy cf from stdin where count(*) > 1") == (
        "42803: aggregate functions are not allowed in COPY FROM WHERE conditions"
    )
    assert failed(db, "copy cf from stdin where a") == (
        "42804: argument of WHERE must be type boolean, not type integer"
    )
    assert failed(db, "copy cf to stdout where a > 1") == "42601: WHERE clause not allowed with COPY TO"
    assert failed(db, "copy cf from stdin where b <> 'd' or a = 2", "1\tx\t\\N\n") == (
        '23502: null value in column "c" of relation "cf" violates not-null constraint\n'
        'Failing row contains (1, x, null).\nCOPY cf, line 1: "1	x	\\N"'
    )


def test_generated_columns_are_no_part_of_it(db: psycopg.Connection[tuple[object, ...]]) -> None:
    db.execute("create table cf (a int, g int generated always as (a * 2) stored check (g < 100), b text)")
    with db.cursor().copy("copy cf from stdin") as copy:
        copy.write("1\tx\n2\ty\n")
    assert db.execute("select a, g, b from cf order by a").fetchall() == [(1, 2, "x"), (2, 4, "y")]
    with db.cursor().copy("copy cf to stdout") as copy:
        assert b"".join(bytes(data) for data in copy) == b"1\tx\n2\ty\n"
    for statement in ("copy cf (a, g) from stdin", "copy cf (g) to stdout"):
        assert failed(db, statement) == (
            '42P10: column "g" is a generated column\nGenerated columns cannot be used in COPY.'
        )
    assert failed(db, "copy cf from stdin", "3\tz\n50\tw\n") == (
        '23514: new row for relation "cf" violates check constraint "cf_g_check"\n'
        "Failing row contains (50, 100, w).\n"
        'COPY cf, line 2: "50\tw"'
    )


def test_files_are_opened_in_the_words_of_postgresql(db: psycopg.Connection[tuple[object, ...]]) -> None:
    db.execute("create table cf (a int)")
    hint = (
        "COPY {} instructs the PostgreSQL server process to {} a file. "
        "You may want a client-side facility such as psql's \\copy."
    )
    assert failed(db, "copy cf from '/nonexistent/x'") == (
        '58P01: could not open file "/nonexistent/x" for reading: No such file or directory\n'
        + hint.format("FROM", "read")
    )
    assert failed(db, "copy cf from 'nonexistent'") == (
        '58P01: could not open file "nonexistent" for reading: No such file or directory\n'
        + hint.format("FROM", "read")
    )
    assert failed(db, "copy cf to '/nonexistent/x'") == (
        '58P01: could not open file "/nonexistent/x" for writing: No such file or directory\n'
        + hint.format("TO", "write")
    )
    assert failed(db, "copy cf to 'x'") == "42602: relative path not allowed for COPY to file"
    assert failed(db, "copy cf from '/tmp'") == '42809: "/tmp" is a directory'
    assert failed(db, "copy cf to '/tmp'") == '42809: could not open file "/tmp" for writing: Is a directory'


def test_files_are_for_superusers(reached: Reached, db: psycopg.Connection[tuple[object, ...]]) -> None:
    db.execute("create role cf_role login")
    anyone = "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone."
    uri = PG_URI.replace("postgres@", "cf_role@") if PG_URI else reached.url("cf_role")
    try:
        with psycopg.connect(uri, autocommit=True) as theirs:
            assert failed(theirs, "copy (select 1) to '/tmp/x'") == (
                "42501: must be superuser or have privileges of the pg_write_server_files role "
                "to COPY to a file\n" + anyone
            )
    finally:
        db.execute("drop role cf_role")


FILES = ["text", "csv", "binary", pytest.param("parquet", marks=only_here)]


@pytest.mark.parametrize("format", FILES)
def test_a_file_on_the_server_goes_out_and_comes_in(
    db: psycopg.Connection[tuple[object, ...]], format: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    path = tmp_path / "rows"
    db.execute(
        "create table cf (a int, b text, c numeric(12,2), d date, e timestamptz, f bytea, g float8, h int[],"
        " i bool, j numeric, k uuid, l jsonb, m time, n timestamp, o interval, p timetz, q macaddr,"
        " r macaddr8)"
    )
    db.execute(
        "insert into cf select x, 'r' || x, x / 7.0, date '2024-01-01' + x, '2024-01-01 00:00:00+00',"
        " '\\x01ff', x / 3.0, array[x, null], x > 5, x * 1.10, '00112233-4455-6677-8899-aabbccddeeff',"
        " '{\"a\": 1}',"
        " '01:02:03.5', '1999-01-01 00:00:00.000001', '1 mon 2 days', '10:00:00.5-03:30',"
        " '08:00:2b:01:02:03', 'f8:00:2b:01:02:03:04:05'"
        " from generate_series(1, 10) x"
    )
    db.execute("insert into cf values (11)")
    rows = db.execute("select * from cf order by a").fetchall()
    assert db.execute(f"copy cf to '{path}' (format {format})").statusmessage == "COPY 11"
    db.execute("truncate cf")
    assert db.execute(f"copy cf from '{path}' (format {format}) where a <> 11").statusmessage == "COPY 10"
    assert repr(db.execute("select * from cf order by a").fetchall()) == repr(rows[:10])
    assert db.execute(
        f"copy (select a, b from cf where a = 1) to '{path}' (format {format})"
    ).statusmessage == ("COPY 1")
    assert db.execute(f"copy cf (a, b) from '{path}' (format {format})").statusmessage == "COPY 1"


@only_here
def test_vectors_in_parquet(db: psycopg.Connection[tuple[object, ...]], tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    db.execute("create table cf (id int, v vector(3), b binary(2))")
    db.execute("insert into cf values (1, '[1,2,3]', '\\x0102'), (2, null, null), (3, '[4,5,6]', '\\x0304')")
    rows = db.execute("select id, v::text, b::text from cf order by id").fetchall()
    db.execute(f"copy cf to '{path}' (format parquet)")
    assert parquet.read_table(path).column("v").to_pylist() == [[1, 2, 3], None, [4, 5, 6]]
    db.execute("truncate cf")
    db.execute(f"copy cf from '{path}' (format parquet)")
    assert db.execute("select id, v::text, b::text from cf order by id").fetchall() == rows


@only_here
def test_parquet_of_others(db: psycopg.Connection[tuple[object, ...]], tmp_path: Path) -> None:
    path = tmp_path / "o.parquet"
    db.execute("create table cf (n numeric(5,1), i bigint, s text, d date, t timestamp, e real[], w text)")
    table = pa.table(
        {
            "e": pa.array([[1.5, None], None], pa.list_(pa.float64())),
            "s": pa.array(["a", None]).dictionary_encode(),
            "i": pa.array([1, 2], pa.uint32()),
            "n": pa.array([Decimal("1.25"), None], pa.decimal128(30, 2)),
            "d": pa.array(["2024-01-01", "1999-12-31"]),
            "t": pa.array([0, 1_500], pa.timestamp("ns")),
            "w": pa.array(["long enough not to stand inline", None], pa.string_view()),
        }
    )
    parquet.write_table(table, path)
    db.execute(f"copy cf from '{path}' (format parquet)")
    assert db.execute("select n::text, i, s, d::text, t::text, e::text, w from cf order by i").fetchall() == [
        ("1.3", 1, "a", "2024-01-01", "1970-01-01 00:00:00", "{1.5,NULL}", "long enough not to stand inline"),
        (None, 2, None, "1999-12-31", "1970-01-01 00:00:00.000001", None, None),
    ]
    assert failed(db, f"copy cf (n) from '{path}' (format parquet, header)") == (
        "0A000: cannot specify HEADER in PARQUET mode"
    )
    db.execute("drop table cf")
    db.execute("create table cf (n numeric, i bigint, s text, d date, t timestamp)")
    assert failed(db, f"copy cf from '{path}' (format parquet)") == (
        f'22P04: file "{path}" has column "e", which table "cf" has not\n'
        "Name the columns that are to be read: COPY table (column, ...) FROM."
    )
    db.execute("drop table cf")
    db.execute("create table cf (x int)")
    assert (
        failed(db, f"copy cf (x) from '{path}' (format parquet)") == f'22P04: file "{path}" has no column "x"'
    )
    path.write_bytes(b"PAR1 is not enough")
    assert failed(db, f"copy cf from '{path}' (format parquet)").startswith(
        f'22P04: could not read file "{path}" as parquet'
    )
    assert failed(db, "copy cf from stdin (format parquet)").startswith(
        "0A000: COPY of parquet is supported with files on the server only"
    )


@only_here
def test_an_unfinished_file_goes_away(db: psycopg.Connection[tuple[object, ...]], tmp_path: Path) -> None:
    path = tmp_path / "gone"
    assert failed(db, f"copy (select 1 / (3 - x) from generate_series(1, 5) x) to '{path}'").startswith(
        "22012"
    )
    assert not path.exists()
