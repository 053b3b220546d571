"""The folder of segment files, and the names that files there get.

    <table>-<number>.segment                  a segment
    <table>-<number>.segment.<commit>.gone    its rows deleted by that commit

Numbers count up over all tables and are never used twice while a file of that number may be named: by the
manifest, or by the log after it. Older files have names of another form, <table>-<log>-<row id>.segment.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

NAME = "segments"
_FORM = re.compile(r"\d+-(\d+)\.segment")


class SegmentFolder:
    """See the module's text."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is there; None: segments stay in memory."""
        self.folder = folder
        self._lock = threading.Lock()
        found = [] if folder is None else [_FORM.match(path.name) for path in folder.iterdir()]
        self._next = max([int(form[1]) for form in found if form], default=0) + 1

    def name(self, table: int) -> str:
        """A file name for a segment of the table with this OID."""
        with self._lock:
            number = self._next
            self._next += 1
        return f"{table}-{number}.segment"
