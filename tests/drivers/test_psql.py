"""psql and its backslash commands, where it is installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")


@pytest.fixture
def psql(dsn: str):  # type: ignore[no-untyped-def]
    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["psql", "-X", "-At", dsn, *arguments], input=text, capture_output=True, text=True, timeout=60
        )

    return run


def test_describe(psql) -> None:  # type: ignore[no-untyped-def]
    described = psql("-c", r"\d features")
    assert described.stderr == ""
    assert described.stdout.splitlines() == [
        "id|bigint||not null|nextval('features_id_seq'::regclass)",
        "image|binary(16)|||",
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (r"\d", "public|features|table|glancedb"),
        (r"\dt", "public|features|table|glancedb"),
        (r"\ds", "public|features_id_seq|sequence|glancedb"),
        (r"\l", "glancedb|glancedb|UTF8"),
        (r"\du", "glancedb|Superuser"),
        (r"\dn", "public|"),
        (r"\df lower", "lower"),
        (r"\dT vector", "vector"),
        (r"\dv", ""),
        (r"\di", ""),
    ],
)
def test_backslash_commands(psql, command: str, said: str) -> None:  # type: ignore[no-untyped-def]
    done = psql("-c", command)
    assert done.stderr == "" or "Did not find any" in done.stderr
    assert said in done.stdout


def test_errors_show_their_caret(psql) -> None:  # type: ignore[no-untyped-def]
    failed = psql("-c", "SELECT id, nothing FROM features")
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        'ERROR:  column "nothing" does not exist',
        "LINE 1: SELECT id, nothing FROM features",
        "                   ^",
    ]


def test_copy_through_psql(psql) -> None:  # type: ignore[no-untyped-def]
    assert psql("-c", "CREATE TABLE csvs (a int, b text)").returncode == 0
    loaded = psql("-c", r"\copy csvs FROM pstdin WITH (FORMAT csv, HEADER)", text='a,b\n1,"x, y"\n2,\n')
    assert loaded.stdout == "COPY 2\n", loaded.stderr
    out = psql("-c", r"\copy (SELECT * FROM csvs ORDER BY a) TO pstdout CSV HEADER")
    assert out.stdout == 'a,b\n1,"x, y"\n2,\n'
