"""The folder of segment files, and the names that files there get.

    <table>-<number>.segment                  a segment
    <table>-<number>.segment.<commit>.gone    its rows deleted by that commit
    <table>-<number>.<attnum>.<n>.vectors     rows of a wide column that were new when it was made

Later segments may refer to vector files of earlier ones, which outlive those then. Numbers count up over all
tables. The manifest says where they go on, so none that it has ever named is used for another file: a backup
knows by the name which files it has. Older files have names of another form,
<table>-<log>-<row id>.segment.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from storage.column import Array
from storage.durability import files
from storage.segments.segmentfile import VECTORS, in_use

NAME = "segments"
_FORM = re.compile(r"\d+-(\d+)\.")


def stem(name: str) -> str:
    """What the names of all files begin with that were made together with a segment."""
    return name.partition(".")[0]


def vectors_path(segment: Path, column: int, number: int) -> Path:
    """The path of the vector file `number` of a column that is made together with a segment."""
    return segment.with_name(f"{stem(segment.name)}.{column}.{number}{VECTORS}")


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
        self.centroids: dict[tuple[int, int], Array] = {}
        """The newest of each vector column, by its table's OID and its number: see Coding."""

    @contextmanager
    def making(self, table: int) -> Iterator[str]:
        """A file name for a segment of the table with this OID.

        While it and what belongs to it are being made nobody removes them; where that fails they go.
        """
        with self._lock:
            made = f"{table}-{self.next}"
            self.next += 1
            self._making.add(made)
        try:
            yield f"{made}.segment"
        except BaseException:
            self._discard(made)
            raise
        finally:
            with self._lock:
                self._making.discard(made)

    def _discard(self, made: str) -> None:
        for path in () if self.folder is None else self.folder.glob(f"{made}.*"):
            files.remove(path)

    def logged(self, log: int, names: Iterable[str]) -> None:
        """The log names files, in its file `log`."""
        with self._lock:
            self._logged += [(log, name) for name in names]

    def forget(self, table: int) -> None:
        """The table with this OID is gone: nothing will be like its vectors."""
        for key in [key for key in list(self.centroids) if key[0] == table]:
            self.centroids.pop(key, None)

    def collect(self, named: Set[str], log: int) -> None:
        """Remove what nobody needs: neither a manifest that names these files and says that the log is
        replayed from file `log` on, nor the log from there on, nor who reads or writes a file now."""
        if self.folder is None:
            return
        with self._lock:
            self._logged = [(number, name) for number, name in self._logged if number >= log]
            kept = {*named, *(name for _, name in self._logged)}
            kept |= {path.name for path in in_use() if path.parent == self.folder}
            for path in self.folder.iterdir():
                if path.name not in kept and stem(path.name) not in self._making:
                    files.remove(path)
