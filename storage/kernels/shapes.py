"""Shapes of programs, each compiled to machine code of its own.

A program (storage.kernels.plain.programs) is at first run by a kernel that reads its instructions, block by
block. One that returns gets a kernel of its own: its source, written by storage.kernels.shapesource, is one
loop over the rows in which every register is a variable. A *shape* is what that source depends on: the code,
the element types of the columns, which have nulls and which are one value for all rows. Both kernels give the
same bits, or one of them no answer, which then the other may have.

Sources and machine code stay in the cache folder, so a shape is compiled once, not once a start. A helper
process compiles, at the lowest priority; `ready` is then filled in by a thread of this process.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from storage.kernels import choice
from storage.kernels.plain.programs import Array
from storage.kernels.shapesource import Shape, source

Kernel = Callable[[Array, int, int, int], bool]
"""f(loads (columns, 2) int64, rows, address of the values, of the mask or 0) -> whether there is an answer"""

RETURNS = 4_000_000
"""Rows that a shape has to have come by with, in two statements at least, before it is compiled."""


class Shapes:
    """The shapes that this process has met, and the kernels of those that are compiled."""

    def __init__(self) -> None:
        self.ready: dict[Shape, Kernel | None] = {}  # None: it cannot be compiled
        self._met: dict[Shape, tuple[int, Any]] = {}  # rows so far, the statement that brought the first
        self._asked: set[Shape] = set()
        self._queue: queue.SimpleQueue[Shape] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._compiling = threading.Lock()
        self._thread: threading.Thread | None = None

    @cached_property
    def folder(self) -> Path:
        """Where sources and machine code are kept."""
        folder = choice.cache_folder() / "shapes"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def returned(self, shape: Shape, rows: int, statement: object) -> None:
        """Count rows that a shape came by with; compile it in the background once they are many.

        One that an earlier process compiled is loaded at once. `statement`: an object that stands for it.
        """
        with self._lock:
            kept = shape not in self._met and _done(self.folder, shape).exists()
            before, first = self._met.get(shape, (0, id(statement)))
            self._met[shape] = before + rows, first
            few = before + rows < RETURNS or first == id(statement)
            if shape in self._asked or (few and not kept):
                return
            self._asked.add(shape)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="shapes", daemon=True)
                self._thread.start()
        self._queue.put(shape)

    def compile(self, shapes: Sequence[Shape]) -> None:
        """Compile shapes, or load what is compiled already, and wait for it."""
        with self._compiling:
            self._compile([shape for shape in shapes if shape not in self.ready])

    def _compile(self, shapes: Sequence[Shape]) -> None:
        folder = self.folder
        missing = [shape for shape in shapes if not _done(folder, shape).exists()]
        for shape in missing:
            _write(folder, shape)
        if missing:
            _compile(folder, missing)
        for shape in shapes:
            done = _done(folder, shape).exists()
            self.ready[shape] = _kernel(_source(folder, shape)) if done else None

    def _work(self) -> None:
        while True:
            shapes = [self._queue.get()]
            while not self._queue.empty():
                shapes.append(self._queue.get())
            self.compile(shapes)


SHAPES = Shapes()


def run_shape(
    kernel: Kernel, columns: Sequence[Array], valids: Sequence[Array | None], rows: int, dtype: Any
) -> tuple[Array, Array | None] | None:
    """What run_program gives, by the kernel of its shape."""
    columns = [np.ascontiguousarray(column) for column in columns]
    masks = [None if valid is None else np.ascontiguousarray(valid) for valid in valids]
    loads = np.empty((len(columns), 2), np.int64)
    for at, (column, mask) in enumerate(zip(columns, masks, strict=True)):
        loads[at] = column.ctypes.data, 0 if mask is None else mask.ctypes.data
    values = np.empty(rows, dtype)
    valid = None if all(mask is None for mask in masks) else np.empty(rows, np.bool_)
    done = kernel(loads, rows, values.ctypes.data, 0 if valid is None else valid.ctypes.data)
    return (values, valid) if done else None


def _source(folder: Path, shape: Shape) -> Path:
    return folder / f"shape_{shape.digest}.py"


def _done(folder: Path, shape: Shape) -> Path:
    return folder / f"shape_{shape.digest}.done"


def _write(folder: Path, shape: Shape) -> None:
    path = _source(folder, shape)
    if not path.exists():
        # another process may be about to do the same: both write the same bytes
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(source(shape))
        new.replace(path)


def _compile(folder: Path, shapes: Sequence[Shape]) -> None:
    """Have a helper process compile what is written; what fails leaves no mark."""
    failed = choice.run_helper("-m", "storage.kernels.shapes", *(str(_source(folder, s)) for s in shapes))
    if failed:
        print(f"shapes stay interpreted: {failed}", file=sys.stderr)


def _kernel(path: Path) -> Kernel:
    """The kernel of a source: out of the cache, or compiled now."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    # what numba keeps names the module, and looks it up among those that are imported
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    with choice.caching(choice.cache_folder()):
        spec.loader.exec_module(module)
    kernel: Kernel = module.run
    return kernel


def main(paths: Sequence[str]) -> None:
    """What the helper process does: compile each source, mark what is done."""
    if hasattr(os, "nice"):
        os.nice(19)
    for path in map(Path, paths):
        _kernel(path)
        path.with_suffix(".done").touch()


if __name__ == "__main__":
    main(sys.argv[1:])
