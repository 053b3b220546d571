"""Interleaved transactions as .slt text: a statement of one session may wait for another session.

    run @b
    UPDATE t SET n = 2 WHERE id = 1
    ----
    (waits)

    run @a
    COMMIT
    ----
    COMMIT

    answer @b
    ----
    UPDATE 1

`run` gives `(waits)` where the server says that the session waits for a lock; `answer` gives what came of
it in the end, or `(waits)` where it waits again. `run @b patient` does not look: what waits there ends by
itself, by a timeout or as a deadlock. Nothing is timed: pg_blocking_pids is asked, of us as of
PostgreSQL. Processes are written as the names of their sessions, transactions and OIDs as N.
"""

from __future__ import annotations

import re
import select

import psycopg
from psycopg import pq

from tests import slt

WAITS = "(waits)"
_LOOK = 0.002  # seconds that an answer has before the server is asked whether it waits
_PATIENCE = 30_000  # looks before a test that hangs is given up


class Interleaved(slt.Wire):
    """Connections to a server, whose statements may wait for each other."""

    def __init__(self, conninfo: str, extended: bool = False) -> None:
        super().__init__(conninfo, extended)
        self._open: dict[str, list[str]] = {}  # lines so far of the statements that wait
        self._monitor = psycopg.connect(conninfo, autocommit=True)

    def run(self, session: str, text: str, words: tuple[str, ...]) -> list[str]:
        """See tests.slt.Runner."""
        assert session not in self._open, f"@{session} waits: it can run nothing"
        self.send(session, text)
        self._open[session] = []
        return self._collected(session, words)

    def answer(self, session: str, words: tuple[str, ...]) -> list[str]:
        """What comes of a statement that waited."""
        assert session in self._open, f"@{session} does not wait"
        return self._collected(session, words)

    def _collected(self, session: str, words: tuple[str, ...]) -> list[str]:
        connection = self.connection(session)
        for _ in range(_PATIENCE):
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    lines = self.take_notices() + self._open.pop(session)
                    return [self._anonymous(line) for line in lines]
                self._open[session] += slt.result_lines(result, "header" in words)
            if select.select([connection.socket], [], [], _LOOK)[0]:
                connection.consume_input()
            elif "patient" not in words and self._waits(connection):
                return [WAITS]
        raise AssertionError(f"@{session}: no answer, and it does not wait")

    def _waits(self, connection: pq.abc.PGconn) -> bool:
        query = "SELECT cardinality(pg_blocking_pids(%s::int)) > 0"
        row = self._monitor.execute(query, [connection.backend_pid]).fetchone()
        return row is not None and bool(row[0])

    def _anonymous(self, line: str) -> str:
        names = {c.backend_pid: f"@{name}" for name, c in self.connections()}
        line = re.sub(r"([Pp]rocess) (\d+)", lambda m: f"{m[1]} {names.get(int(m[2]), m[2])}", line)
        line = re.sub(r"advisory lock \[\d+,", "advisory lock [N,", line)
        return re.sub(r"\b(transaction|relation|database|tuple) (\d+|\(\d+,\d+\))", r"\1 N", line)

    def close(self) -> None:
        """See tests.slt.Runner."""
        super().close()
        self._monitor.close()
