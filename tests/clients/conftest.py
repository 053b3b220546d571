"""A server in a process of its own, with an empty database, for all clients of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import trustme

PASSWORD = "open sesame, péché"


@dataclass(frozen=True)
class Reached:
    """A running server. `authority` is the PEM file that clients check its certificate with."""

    port: int
    authority: Path

    def url(self, user: str = "glancedb") -> str:
        """A connection URL."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/glancedb"


@pytest.fixture(scope="session")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    """A server with TLS, and beside glancedb the role ann, who has a password."""
    folder = tmp_path_factory.mktemp("server")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    identity = authority.issue_cert("localhost", "127.0.0.1")
    identity.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    command = [sys.executable, "-m", "server", "serve", "--data", str(folder / "data"), "--port", "0"]
    command += ["--tls-certificate", str(folder / "server.pem")]
    with (
        (folder / "log").open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "log").read_text()
        reached = Reached(int(line.split(",")[0].rpartition(":")[2]), folder / "authority.pem")
        try:
            with psycopg.connect(reached.url()) as connection:
                connection.execute(f"create role ann superuser login password '{PASSWORD}'")
            yield reached
        finally:
            process.terminate()
            assert process.wait(20) == 0
            assert process.stdout.read().splitlines()[-1] == "stopped"
    assert (folder / "log").read_text() == ""
