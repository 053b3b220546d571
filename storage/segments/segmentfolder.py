"""The folder of segment files, and the names that files there get.

    <table>-<number>.segment                  a segment
    <table>-<number>.segment.<commit>.gone    its rows deleted by that commit

Numbers count up over all tables. The manifest says where they go on, so none that it has ever named is used
for another file: a backup knows by the name which files it has. Older files have names of another form,
<table>-<log>-<row id>.segment.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from storage.durability import files
from storage.segments.segmentfile import in_use

NAME = "segments"
_FORM = re.compile(r"\d+-(\d+)\.segment")


class SegmentFolder:
    """See the module's text."""

    def __init__(self, folder: Path | None, first: int = 1) -> None:
        """`folder` is there; None: segments stay in memory. Numbers below `first` were used."""
        self.folder = folder
        self._lock = threading.Lock()
        found = [] if folder is None else [_FORM.match(path.name) for path in folder.iterdir()]
        self.next = max([first, *(int(form[1]) + 1 for form in found if form)])
        self._making: set[str] = set()
        self._logged: list[tuple[int, str]] = []  # (log file, segment file)

    @contextmanager
    def making(self, table: int) -> Iterator[str]:
        """A file name for a segment of the table with this OID; while it is being made, nobody removes it."""
        with self._lock:
            name = f"{table}-{self.next}.segment"
            self.next += 1
            self._making.add(name)
        try:
            yield name
        finally:
            with self._lock:
                self._making.discard(name)

    def logged(self, log: int, name: str) -> None:
        """The log names a segment file, in its file `log`."""
        with self._lock:
            self._logged.append((log, name))

    def collect(self, named: Set[str], log: int) -> None:
        """Remove what nobody needs: neither a manifest that names these files and says that the log is
        replayed from file `log` on, nor the log from there on, nor who reads or writes a file now."""
        if self.folder is None:
            return
        with self._lock:
            self._logged = [(number, name) for number, name in self._logged if number >= log]
            kept = {*named, *(name for _, name in self._logged)}
            kept |= {path.name for path in in_use() if path.parent == self.folder}
            kept |= self._making | {name + files.PART for name in self._making}
            for path in self.folder.iterdir():
                if path.name not in kept:
                    files.remove(path)
