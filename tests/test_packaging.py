"""The built wheels, installed into an empty environment, are the whole product."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWNERS = {"glancedb_server": {"storage", "engine", "sql", "server"}, "glancedb": {"glancedb"}}


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    # wheels are built from copies: setuptools leaves its build folder beside the source
    target = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "clients" / "python"):
        copy = tmp_path_factory.mktemp("source")
        listed = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=project)
        for name in filter(None, listed.split("\0")):
            if (project / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_bytes((project / name).read_bytes())
        _run(
            sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
            "--quiet", "--wheel-dir", target, ".", cwd=copy,
        )  # fmt: skip
    return sorted(target.glob("*.whl"))


def test_each_top_level_name_has_one_owner(wheels: list[Path]) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0] for name in archive.namelist()}
        tops = {top for top in tops if not top.endswith(".dist-info")}
        assert tops == OWNERS[wheel.name.split("-")[0]]


def test_the_wheels_work_in_an_empty_environment(wheels: list[Path], tmp_path: Path) -> None:
    _run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    lock = (ROOT / "requirements.lock").read_text()
    pins = "\n".join(re.findall(r"^[A-Za-z0-9_.-]+==[^\\\n]+", lock, re.MULTILINE))
    (tmp_path / "constraints.txt").write_text(pins)
    _run(
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", tmp_path / "constraints.txt", *wheels, cwd=tmp_path,
    )  # fmt: skip
    glancedb = tmp_path / "venv" / "bin" / "glancedb"
    assert re.search(r"\d+\.\d+", _run(glancedb, "--version", cwd=tmp_path))
    for command in ("serve", "load", "find", "demo"):
        assert "Usage:" in _run(glancedb, command, "--help", cwd=tmp_path)
    answer = _run(
        python, "-c",
        "from storage.database import Database\n"
        "from sql.session import Session\n"
        "session = Session(Database.open(None), 'glancedb', 'glancedb', {})\n"
        "outcome = next(session.simple('SELECT relname FROM pg_class WHERE oid = 1259'))\n"
        "print([row for batch in outcome.batches for row in batch.tuples()])",
        cwd=tmp_path,
    )  # fmt: skip
    assert answer.strip() == "[('pg_class',)]"
