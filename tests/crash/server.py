"""A server in a process of its own that can be killed at any moment, and is there again at once.

It is forked off a process that has imported everything already, so that hundreds of starts take minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.server", "server.main"])


def _serve(folder: str, errors: str, config: str, port: Connection) -> None:
    """In the new process: `glancedb serve`, which tells its port through `port`."""
    from server.main import main
    from storage.segments import bulk

    bulk.BUDGET, bulk.REST = 300_000, 50_000  # so that a COPY of a second's work is bulk
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)

    class Told:
        """Standard output: the first line names the port."""

        def write(self, text: str) -> int:
            if text.startswith("GlanceDB "):
                port.send(int(text.split(",")[0].rpartition(":")[2]))
            return len(text)

        def flush(self) -> None:
            pass

    sys.stdout = Told()  # type: ignore[assignment]  # as much of a file as click needs
    main(["serve", "--data", folder, "--port", "0", "--config", config])


class Running:
    """A server on a folder, started; `port` waits until it listens."""

    def __init__(self, folder: Path, work: Path, settings: str) -> None:
        os.environ["GLANCEDB_KERNELS"] = "plain"  # for the process that is forked; nothing is compiled
        config = work / "config.toml"
        config.write_text(settings)
        self.errors = work / "errors"
        self._told, port = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_serve, args=(str(folder), str(self.errors), str(config), port), daemon=True
        )
        self._process.start()
        port.close()

    def port(self) -> int:
        """The port it listens on. Raises RuntimeError where it does not start."""
        try:
            number: int = self._told.recv()
            return number
        except EOFError:
            self._process.join(60)
            text = self.errors.read_text() if self.errors.exists() else ""
            raise RuntimeError(
                f"the server did not start ({self._process.exitcode}): {text[-2000:]}"
            ) from None

    def connect(self) -> psycopg.Connection:
        """A connection that commits each statement unless told otherwise."""
        port = self.port_number
        return psycopg.connect(f"host=127.0.0.1 port={port} user=glancedb dbname=glancedb", autocommit=True)

    @property
    def port_number(self) -> int:
        """The port, asked for once."""
        if not hasattr(self, "_port"):
            self._port = self.port()
        return self._port

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._end()

    def stop(self) -> int | None:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        return self._end()

    def _end(self) -> int | None:
        self._process.join(60)
        code = self._process.exitcode
        self._process.close()
        self._told.close()
        return code
