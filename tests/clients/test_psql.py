"""psql, where it is installed: what it prints and how it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.clients.conftest import PASSWORD, Reached

PSQL = shutil.which("psql")
pytestmark = pytest.mark.skipif(PSQL is None, reason="psql is not installed")


def psql(
    reached: Reached, script: str, *flags: str, target: str = "", password: str = "", code: int = 0
) -> str:
    """What psql prints for a script, its errors included."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    environment |= {"PGPASSWORD": password, "LC_ALL": "C.UTF-8"}
    assert PSQL is not None
    done = subprocess.run(
        [PSQL, "-X", "-q", *flags, target or reached.url()], input=script, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def test_a_table(reached: Reached) -> None:
    assert psql(reached, "select 1 as a, null as b, 'x' as c;") == (
        " a | b | c \n---+---+---\n 1 |   | x\n(1 row)\n\n"
    )


def test_the_caret_of_an_error(reached: Reached) -> None:
    assert psql(reached, "select 1,\n  nothing from pg_class;") == (
        'ERROR:  column "nothing" does not exist\nLINE 2:   nothing from pg_class;\n          ^\n'
    )


def test_errors_decide_the_exit_code(reached: Reached) -> None:
    psql(reached, "select 1/0; select 1;", "-v", "ON_ERROR_STOP=1", code=3)


@pytest.mark.parametrize("format", ["text", "csv", "binary"])
def test_copy_through_files(reached: Reached, format: str, tmp_path: object) -> None:
    script = f"""
        create table backed (a int8, b text);
        insert into backed select n, 'row ' || n from generate_series(1, 3000) as g(n);
        \\copy backed to '{tmp_path}/file' (format {format})
        truncate backed;
        \\copy backed from '{tmp_path}/file' (format {format})
        select count(*), sum(a), max(b) from backed;
        drop table backed;
    """
    assert psql(reached, script, "-At") == "3000|4501500|row 999\n"


def test_copy_in_a_script(reached: Reached) -> None:
    script = "create table c (a int8);\ncopy c from stdin;\n1\n2\n\\.\ncopy c to stdout;\ndrop table c;\n"
    assert psql(reached, script) == "1\n2\n"


def test_copy_of_what_is_piped_in(reached: Reached, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text('a,b\n1,"x, y"\n2,\n')
    script = f"""
        create table piped (a int, b text);
        \\copy piped from program 'cat {data}' with (format csv, header)
        \\copy (select * from piped order by a) to pstdout csv header
        drop table piped;
    """
    assert psql(reached, script) == 'a,b\n1,"x, y"\n2,\n'


def test_transaction_prompt_states(reached: Reached) -> None:
    script = "begin; select 1/0; select 1; rollback; select 2;"
    assert psql(reached, script, "-At") == (
        "ERROR:  division by zero\n"
        "ERROR:  current transaction is aborted, commands ignored until end of transaction block\n"
        "2\n"
    )


def test_notices(reached: Reached) -> None:
    assert psql(reached, "drop table if exists nowhere;") == (
        'NOTICE:  table "nowhere" does not exist, skipping\n'
    )


def test_cursors_by_fetch_count(reached: Reached) -> None:
    script = "\\set FETCH_COUNT 10\nselect n from generate_series(1, 35) as g(n);"
    assert psql(reached, script, "-At").split() == [str(n) for n in range(1, 36)]


def test_gdesc_describes_without_running(reached: Reached) -> None:
    assert (
        psql(reached, "select 1 as a, now() as b \\gdesc", "-At") == "a|integer\nb|timestamp with time zone\n"
    )


def test_conninfo_under_tls(reached: Reached) -> None:
    target = (
        f"host=localhost port={reached.port} user=ann dbname=glancedb sslmode=verify-full "
        f"sslrootcert={reached.authority} channel_binding=require"
    )
    shown = psql(reached, "\\conninfo", target=target, password=PASSWORD)
    assert 'connected to database "glancedb" as user "ann"' in shown
    assert "SSL connection (protocol: TLSv1.3" in shown


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("user=nobody dbname=glancedb", 'FATAL:  role "nobody" does not exist'),
        ("user=glancedb dbname=else", 'FATAL:  database "else" does not exist'),
        ("user=ann dbname=glancedb password=no", 'FATAL:  password authentication failed for user "ann"'),
        (
            "user=glancedb dbname=glancedb options='-c nonsense=1'",
            'unrecognized configuration parameter "nonsense"',
        ),
    ],
)
def test_refusals(reached: Reached, target: str, said: str) -> None:
    assert said in psql(reached, "", target=f"host=127.0.0.1 port={reached.port} {target}", code=2)


DESCRIBED = "create table if not exists described (id bigserial primary key, v vector(3) not null);"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("\\d", "public|described|table|glancedb"),
        ("\\dt", "public|described|table|glancedb"),
        ("\\ds", "public|described_id_seq|sequence|glancedb"),
        ("\\di", "public|described_pkey|index|glancedb|described"),
        ("\\d described", "id|bigint||not null|nextval('described_id_seq'::regclass)"),
        ("\\d described", "v|vector(3)||not null|"),
        ("\\d described", '"described_pkey" PRIMARY KEY, btree (id)'),
        ("\\l", "glancedb|glancedb|UTF8"),
        ("\\du", "glancedb|Superuser"),
        ("\\dn", "public|"),
        ("\\df lower", "lower"),
        ("\\dT vector", "vector"),
        ("\\dv nosuch", ""),
    ],
)
def test_describing(reached: Reached, command: str, said: str) -> None:
    psql(reached, DESCRIBED)
    shown = psql(reached, command, "-A")
    assert "ERROR" not in shown
    assert said in shown


@pytest.mark.slow
def test_describing_is_quick(reached: Reached) -> None:
    """Each \\d takes less than 30 ms; measured by psql itself, the best of some."""
    psql(reached, DESCRIBED)
    assert PSQL is not None
    for command in ("\\d", "\\dt", "\\d described", "\\l", "\\du"):
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            psql(reached, "\n".join([command] * 11))
            eleven = time.perf_counter() - begun
            begun = time.perf_counter()
            psql(reached, command)
            times.append((eleven - (time.perf_counter() - begun)) / 10)
        assert min(times) < 0.03, f"{command} takes {min(times) * 1000:.0f} ms"


def test_what_definitions_look_like(reached: Reached) -> None:
    """definitions.out is what PostgreSQL 15 answers, its superuser called glancedb."""
    folder = Path(__file__).parent
    shown = psql(reached, (folder / "definitions.sql").read_text())
    expected = (folder / "definitions.out").read_text()
    assert shown.rstrip() == expected.rstrip()
