"""A disk that remembers what was done to it, and what a power cut at any moment may leave of that.

POSIX promises less than most file systems keep. What was written and not fsynced may be there, or not, or
some sectors of it, whatever was written later; a name that was made, moved or removed may be there or not
until its folder was fsynced, but the names of one folder change in order.

    cut(operations[:n], choose)  one folder out of all that a cut after n operations may leave
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

from storage.durability.files import Buffer, Disk

SECTOR = 512
Loss = Literal["nothing", "everything", "some"]
"""What a cut takes of what is not durable; 'nothing' is a process that is killed."""


@dataclass(frozen=True)
class Operation:
    """One call: its name, the file (a number that outlives its names) or path, and more by the name."""

    name: str
    target: Any
    more: tuple[Any, ...] = ()

    def __str__(self) -> str:
        shown = [f"{len(item)} bytes" if isinstance(item, bytes) else str(item) for item in self.more]
        return f"{self.name} {self.target} {' '.join(shown)}"


class Unsynced(Disk):
    """A disk that does not wait: for tests whose machine does not fail."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""

    def sync_folder(self, folder: Path) -> None:
        """Nothing."""


class Remembering(Unsynced):
    """Does it, and remembers it; paths are kept relative to `root`.

    With `fail_at` the operation of that number, and the `more - 1` after it that change files, raise `error`.
    """

    def __init__(self, root: Path, fail_at: int = -1, more: int = 1, error: int = 0) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self.failed: list[Operation] = []
        self.tried = 0
        self._fail = range(fail_at, fail_at + more) if fail_at >= 0 else range(0)
        self._error = error
        self._lock = threading.RLock()
        self._files: dict[int, tuple[int, int]] = {}  # descriptor: (file, position)
        self._next = 0
        self._names: dict[str, int] = {}

    def mark(self, *label: Any) -> None:
        """Remember a moment."""
        with self._lock:
            self.operations.append(Operation("mark", label))

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def _begin(self, operation: Operation) -> None:
        """Raises OSError where it is to fail."""
        self.tried += 1
        if self.tried - 1 in self._fail:
            self.failed.append(operation)
            raise OSError(self._error, os.strerror(self._error))

    def _done(self, operation: Operation) -> None:
        self.operations.append(operation)

    def create(self, path: Path) -> int:
        with self._lock:
            operation = Operation("create", self._relative(path), (self._next,))
            self._begin(operation)
            descriptor = super().create(path)
            self._names[operation.target] = self._next
            self._files[descriptor] = (self._next, 0)
            self._next += 1
            self._done(operation)
            return descriptor

    def open(self, path: Path) -> int:
        with self._lock:
            name = self._relative(path)
            descriptor = super().open(path)
            if name not in self._names:  # it was there before
                self._names[name] = self._next
                self._done(Operation("found", name, (self._next, path.read_bytes())))
                self._next += 1
            self._files[descriptor] = (self._names[name], 0)
            return descriptor

    def close(self, descriptor: int) -> None:
        with self._lock:
            self._files.pop(descriptor, None)
            super().close(descriptor)

    def write(self, descriptor: int, data: Buffer) -> int:
        with self._lock:
            file, at = self._files[descriptor]
            operation = Operation("write", file, (at, bytes(data)))
            self._begin(operation)
            done = super().write(descriptor, data)
            assert done == len(data)
            self._files[descriptor] = (file, at + done)
            self._done(operation)
            return done

    def allocate(self, descriptor: int, start: int, length: int) -> None:
        self._change("allocate", descriptor, super().allocate, start, length)

    def truncate(self, descriptor: int, length: int) -> None:
        self._change("truncate", descriptor, super().truncate, length)

    def sync(self, descriptor: int) -> None:
        self._change("sync", descriptor, super().sync)

    def _change(self, name: str, descriptor: int, call: Any, *more: Any) -> None:
        with self._lock:
            operation = Operation(name, self._files[descriptor][0], more)
            self._begin(operation)
            call(descriptor, *more)
            self._done(operation)

    def rename(self, old: Path, new: Path) -> None:
        with self._lock:
            operation = Operation("rename", self._relative(old), (self._relative(new),))
            self._begin(operation)
            super().rename(old, new)
            self._names[self._relative(new)] = self._names.pop(self._relative(old))
            self._done(operation)

    def unlink(self, path: Path) -> None:
        with self._lock:
            operation = Operation("unlink", self._relative(path))
            self._begin(operation)
            super().unlink(path)
            self._names.pop(operation.target, None)
            self._done(operation)

    def link(self, old: Path, new: Path) -> None:
        with self._lock:
            operation = Operation("link", self._relative(old), (self._relative(new),))
            self._begin(operation)
            super().link(old, new)
            self._names[self._relative(new)] = self._names[self._relative(old)]
            self._done(operation)

    def mkdir(self, path: Path) -> None:
        with self._lock:
            operation = Operation("mkdir", self._relative(path))
            self._begin(operation)
            super().mkdir(path)
            self._done(operation)

    def sync_folder(self, folder: Path) -> None:
        with self._lock:
            operation = Operation("sync_folder", self._relative(folder))
            self._begin(operation)
            self._done(operation)


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def apply(self, operation: Operation) -> None:
        data = self.durable
        match operation.name:
            case "write":
                at, written = operation.more
                data.extend(bytes(max(at + len(written) - len(data), 0)))
                data[at : at + len(written)] = written
            case "allocate":
                start, length = operation.more
                data.extend(bytes(max(start + length - len(data), 0)))
            case "truncate":
                (length,) = operation.more
                data.extend(bytes(max(length - len(data), 0)))
                del data[length:]

    def settle(self) -> None:
        for operation in self.pending:
            self.apply(operation)
        self.pending = []

    def lose(self, choose: Random) -> None:
        """Keep some of what is pending, and of writes some sectors."""
        for operation in self.pending:
            if operation.name != "write":
                if choose.random() < 0.5:
                    self.apply(operation)
                continue
            at, data = operation.more
            keep = choose.choice((0.0, 0.5, 1.0))
            start = at
            while start < at + len(data):
                end = min((start // SECTOR + 1) * SECTOR, at + len(data))
                if choose.random() < keep:
                    self.apply(Operation("write", 0, (start, data[start - at : end - at])))
                start = end
        self.pending = []


class _Names:
    """The names in all folders: those that a cut cannot take, and what was done since, by folder."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}
        self.folders: set[str] = set()
        self.pending: dict[str, list[Operation]] = {}

    def add(self, operation: Operation) -> None:
        path = operation.more[0] if operation.name in ("rename", "link") else operation.target
        self.pending.setdefault(str(Path(path).parent), []).append(operation)

    def settle(self, folder: str, count: int | None = None) -> None:
        pending = self.pending.pop(folder, [])
        for operation in pending[: len(pending) if count is None else count]:
            match operation.name:
                case "create":
                    self.files[operation.target] = operation.more[0]
                case "mkdir":
                    self.folders.add(operation.target)
                case "unlink":
                    self.files.pop(operation.target, None)
                case "rename" | "link":
                    file = self.files.get(operation.target)
                    if operation.name == "rename":
                        self.files.pop(operation.target, None)
                    if file is not None:
                        self.files[operation.more[0]] = file


@dataclass(frozen=True)
class Cut:
    """What is left: the bytes of files, by path, and the folders."""

    files: dict[str, bytes]
    folders: set[str]

    def write(self, to: Path) -> Path:
        """Put it on a real disk."""
        to.mkdir()
        for folder in sorted(self.folders):
            (to / folder).mkdir()
        for path, data in self.files.items():
            (to / path).write_bytes(data)
        return to


def cut(operations: Iterable[Operation], choose: Random, loss: Loss) -> Cut:
    """See the module's text. The last operation, if it is a write, may have been cut short."""
    files: dict[int, _File] = {}
    names = _Names()
    done = list(operations)
    if done and done[-1].name == "write" and choose.random() < 0.5:
        at, data = done[-1].more
        done[-1] = Operation("write", done[-1].target, (at, data[: choose.randrange(len(data))]))
    for operation in done:
        match operation.name:
            case "found":
                files[operation.more[0]] = _File(bytearray(operation.more[1]))
                names.files[operation.target] = operation.more[0]
            case "create":
                files[operation.more[0]] = _File()
                names.add(operation)
            case "mkdir" | "rename" | "unlink" | "link":
                names.add(operation)
            case "sync":
                files[operation.target].settle()
            case "sync_folder":
                names.settle(operation.target)
            case "write" | "allocate" | "truncate":
                files[operation.target].pending.append(operation)
    for file in files.values():
        if loss == "nothing":
            file.settle()
        elif loss == "some":
            file.lose(choose)
    for folder in list(names.pending):
        some = choose.randint(0, len(names.pending[folder])) if loss == "some" else 0
        names.settle(folder, None if loss == "nothing" else some)
    left = {
        path: bytes(files[file].durable)
        for path, file in names.files.items()
        if str(Path(path).parent) in names.folders | {"."}
    }
    return Cut(left, names.folders)
