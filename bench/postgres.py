"""A PostgreSQL of its own for benches and tests: started in a temporary folder, gone afterwards.

`running()` gives its connection URL, or None where none is installed. It listens on loopback only, trusts
who connects, and is set up as its package sets it up; `initdb` refuses to run as root, so as root the user
`postgres` owns it.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 15


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, of version 15 where there are several; None: not installed."""
    found = shutil.which("initdb")
    folders = [Path(path).parent for path in sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))]
    wanted = [folder for folder in folders if folder.parent.name == str(VERSION)]
    return next(iter([*wanted, *([Path(found).parent] if found else []), *folders]), None)


@contextmanager
def running(**settings: str) -> Iterator[str | None]:
    """A server while the context lasts: its URL. `settings` go into its configuration."""
    folder = programs()
    owner = "postgres" if os.geteuid() == 0 else None
    if folder is None or (owner is not None and not _exists(owner)):
        yield None
        return
    root = Path(tempfile.mkdtemp(prefix="glancedb-postgres-"))
    try:
        if owner is not None:
            shutil.chown(root, owner)
        with _server(folder, root, owner, settings) as url:
            yield url
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _server(folder: Path, root: Path, owner: str | None, settings: dict[str, str]) -> Iterator[str]:
    data, port = root / "data", _free_port()
    given = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(root),
        **settings,
    }
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    _run(
        [str(folder / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"], owner, root
    )
    control = [str(folder / "pg_ctl"), "-D", str(data), "-w", "-l", str(root / "log")]
    _run([*control, "-o", " ".join(options), "start"], owner, root)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        _run([*control, "-m", "fast", "stop"], owner, root)


def _run(command: list[str], owner: str | None, root: Path) -> None:
    """Run a program of PostgreSQL's as its owner, or raise with what it said."""
    identity = {} if owner is None else {"user": owner, "group": owner, "extra_groups": []}
    # pg_ctl's server keeps what it is given for output open: a file, not a pipe
    with (root / "said").open("w+") as said:
        done = subprocess.run(command, cwd=root, stdout=said, stderr=said, **identity)  # type: ignore[call-overload]
        if done.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {said.read()}")


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
