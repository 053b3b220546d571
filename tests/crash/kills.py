"""The server is killed at random moments while clients of every kind write; each time it must be as told.

`kill_often` is one run: start, let the writers write, SIGKILL, start again (which may itself be killed),
look. What is wrong comes as lines, none if all is well.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg

from storage.durability.check import check
from tests.crash.server import Running
from tests.crash.writers import EVERY, SETUP, Writer

# small, so that checkpoints run all the time
SETTINGS = 'max_wal_size = "200kB"\ncheckpoint_timeout = 1\n'


@dataclass
class Report:
    """What a run did, and what was wrong."""

    kills: int = 0
    kills_at_start: int = 0
    turns: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_often(work: Path, seed: int, kills: int, report: Report) -> None:
    """See the module's text; `work` is an empty folder, and what happens goes into the report."""
    choose = Random(seed)
    folder = work / "data"
    running = Running(folder, work, SETTINGS)
    with running.connect() as connection:
        connection.execute(SETUP)
    writers = [
        make(number, Random(choose.random()), work / f"journal{number}") for number, make in enumerate(EVERY)
    ]
    try:
        while report.kills + report.kills_at_start < kills and len(report.wrong) < 20:
            _write_until(running, writers, choose.uniform(0, 0.5), report)
            report.kills += 1
            while choose.random() < 0.2:
                running = Running(folder, work, SETTINGS)
                threading.Event().wait(choose.uniform(0, 0.2))
                running.kill()
                report.kills_at_start += 1
            report.wrong += [
                f"kill {report.kills}: {finding.path.name}: {finding.text}"
                for finding in check(folder)
                if finding.level == "damaged"
            ]
            running = Running(folder, work, SETTINGS)
            _check(running, writers, report)
        if running.stop() != 0:
            report.wrong.append(f"kill {report.kills}: the server did not stop cleanly")
    finally:
        for writer in writers:
            writer.close()
        report.turns = sum(writer.turns for writer in writers)


def _write_until(running: Running, writers: list[Writer], seconds: float, report: Report) -> None:
    """Let all write for so long, then kill the server."""
    killing = threading.Event()
    connections = [running.connect() for _ in writers]

    def work(writer: Writer, connection: psycopg.Connection) -> None:
        try:
            while not killing.is_set():
                writer.turn(connection)
        except psycopg.OperationalError as error:
            if not killing.is_set() or (error.sqlstate or "57P01") != "57P01":
                report.wrong.append(f"kill {report.kills}: {type(writer).__name__}: {error!r}")
        except Exception as error:
            report.wrong.append(f"kill {report.kills}: {type(writer).__name__}: {error!r}")

    threads = [threading.Thread(target=work, args=pair) for pair in zip(writers, connections, strict=True)]
    for thread in threads:
        thread.start()
    killing.wait(seconds)
    killing.set()
    running.kill()
    for thread in threads:
        thread.join(60)
    for connection in connections:
        connection.close()


def _check(running: Running, writers: list[Writer], report: Report) -> None:
    """Look at everything."""
    with running.connect() as connection:
        for writer in writers:
            for wrong in writer.check(connection):
                report.wrong.append(f"kill {report.kills}: {type(writer).__name__} {writer.number}: {wrong}")
