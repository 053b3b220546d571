"""A server of ours in a process and a folder of its own, with its kernels compiled."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(folder: Path | None = None) -> Iterator[str]:
    """Its connection URL, while the context lasts. `folder`: an empty one for the data."""
    with process(folder) as (url, _):
        yield url


@contextmanager
def process(folder: Path | None = None, config: str = "") -> Iterator[tuple[str, int]]:
    """Its connection URL and process id, while the context lasts. `config`: what its TOML file says."""
    with tempfile.TemporaryDirectory(prefix="glancedb-bench-") as temporary:
        data, file = folder or Path(temporary) / "data", Path(temporary) / "glancedb.toml"
        file.write_text(config)
        command = [sys.executable, "-m", "server", "serve", "--data", str(data), "--port", "0"]
        command += ["--config", str(file)]
        environment = {**os.environ, "GLANCEDB_KERNELS": "compiled"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout is not None
            line = child.stdout.readline()
            port = int(line.split(",")[0].rpartition(":")[2])
            try:
                yield f"postgresql://glancedb@127.0.0.1:{port}/glancedb", child.pid
            finally:
                child.terminate()
