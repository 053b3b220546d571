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
    with tempfile.TemporaryDirectory(prefix="glancedb-bench-") as temporary:
        data = folder or Path(temporary) / "data"
        command = [sys.executable, "-m", "server", "serve", "--data", str(data), "--port", "0"]
        environment = {**os.environ, "GLANCEDB_KERNELS": "compiled"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            try:
                yield f"postgresql://glancedb@127.0.0.1:{int(line.split(',')[0].rpartition(':')[2])}/glancedb"
            finally:
                process.terminate()
