"""pgjdbc, where Java and the driver's jar are: Jdbc.java runs against the server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Reached

JAVA = shutil.which("java")
SOURCE = Path(__file__).parent / "Jdbc.java"


def jar() -> Path | None:
    """The driver: PGJDBC_JAR, Debian's, or Maven's."""
    named = os.environ.get("PGJDBC_JAR")
    if named:
        return Path(named)
    maven = Path.home() / ".m2/repository/org/postgresql/postgresql"
    found = sorted([*Path("/usr/share/java").glob("postgresql*.jar"), *maven.glob("*/postgresql-*.jar")])
    return found[-1] if found else None


@pytest.mark.skipif(JAVA is None or shutil.which("javac") is None, reason="no Java with a compiler")
@pytest.mark.skipif(jar() is None, reason="no jar of pgjdbc: set PGJDBC_JAR")
@pytest.mark.parametrize("mode", ["extended", "simple"])
def test_jdbc(reached: Reached, mode: str) -> None:
    assert JAVA is not None
    url = f"jdbc:postgresql://127.0.0.1:{reached.port}/glancedb?user=glancedb&preferQueryMode={mode}"
    done = subprocess.run(
        [JAVA, "-cp", str(jar()), str(SOURCE), url],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "fine\n"
