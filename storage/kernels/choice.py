"""Plain or compiled: which kernels a process runs, and how compiling stays out of everybody's way.

GLANCEDB_KERNELS chooses: `plain` (numpy only), `compiled` (at import, waiting for the compiler), `auto`
(the default: plain at once; `warm` has a helper process compile into a cache folder, then a thread of
this process loads the machine code and puts the twins in place).

The cache folder is named by a hash of every kernel source, of numba, llvmlite and Python, and of the
processor: numba's own cache does not notice a change in a file that a kernel only calls into. A helper
process compiles because the compiler would hold the interpreter lock of a server in long slices.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PLAIN, _COMPILED = (Path(__file__).parent / folder for folder in ("plain", "compiled"))
FAMILIES = tuple(sorted({p.stem for p in _PLAIN.glob("[!_]*.py")} & {p.stem for p in _COMPILED.glob("*.py")}))
"""The families that have compiled twins: a file here and one there."""

_COMPLETE = "complete"
_started = threading.Lock()
_thread: threading.Thread | None = None


def mode() -> str:
    """plain, compiled or auto. Raises ValueError for another GLANCEDB_KERNELS."""
    chosen = os.environ.get("GLANCEDB_KERNELS", "auto")
    if chosen not in ("plain", "compiled", "auto"):
        raise ValueError(f"GLANCEDB_KERNELS is {chosen!r}; it may be plain, compiled or auto")
    return chosen


def cache_folder() -> Path:
    """Where this version's machine code for this processor is kept."""
    named = os.environ.get("GLANCEDB_CACHE")
    root = (
        Path(named)
        if named
        else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glancedb"
    )
    digest = hashlib.sha256(f"{sys.version} {_processor()}".encode())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(importlib.metadata.version(package).encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return root / "kernels" / digest.hexdigest()[:24]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    named = (line for line in lines if line.startswith(("model name", "flags", "Features")))
    return " ".join(dict.fromkeys(named))


def compile_all() -> None:
    """Compile every family into the cache: what the helper process does."""
    _load()
    (cache_folder() / _COMPLETE).touch()


def _load() -> dict[str, Any]:
    """The compiled kernels by name, out of the cache or freshly compiled."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    config = importlib.import_module("numba").config
    config.CACHE_DIR = str(folder)
    found: dict[str, Any] = {}
    for family in FAMILIES:
        plain = importlib.import_module(f"storage.kernels.plain.{family}")
        compiled = importlib.import_module(f"storage.kernels.compiled.{family}")
        shared = {
            name for name in vars(plain) if getattr(vars(plain)[name], "__module__", "") == plain.__name__
        }
        found |= {name: getattr(compiled, name) for name in shared if hasattr(compiled, name)}
        _prepare(vars(compiled).values())
    return found


def _prepare(things: Iterable[Any]) -> None:
    """Have numba know that kernels which only read an array take any.

    It would find that at a kernel's first call, and tell another thread that calls it meanwhile that there is
    no such kernel (TypeError: No matching definition).
    """
    arrays = importlib.import_module("numba").types.Array
    for thing in things:
        for signature in getattr(thing, "nopython_signatures", ()):
            given = [
                type.copy(readonly=False) if isinstance(type, arrays) else type for type in signature.args
            ]
            thing.typingctx.install_possible_conversions(given, signature.args)


def plain_kernels() -> dict[str, Any]:
    """The numpy twins of all kernels."""
    names = vars(importlib.import_module("storage.kernels"))
    found: dict[str, Any] = {}
    for family in FAMILIES:
        plain = importlib.import_module(f"storage.kernels.plain.{family}")
        own = {
            name for name in names if getattr(getattr(plain, name, None), "__module__", "") == plain.__name__
        }
        found |= {name: getattr(plain, name) for name in own}
    return found


def warm(names: dict[str, Any], wait: bool) -> None:
    """Put the compiled kernels into the module namespace `names` once they are there."""
    global _thread
    if mode() == "plain":
        return
    with _started:
        if _thread is None:
            _thread = threading.Thread(target=_take_over, args=(names,), name="kernels", daemon=True)
            _thread.start()
    if wait:
        _thread.join()


def run_helper(*arguments: str) -> str:
    """Wait for a Python that has plain kernels; '' where it did what it was asked, else its last word."""
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "GLANCEDB_KERNELS": "plain", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if not done.returncode:
        return ""
    return next(reversed(done.stderr.strip().splitlines()), f"exit status {done.returncode}")


def _take_over(names: dict[str, Any]) -> None:
    folder = cache_folder()
    if not (folder / _COMPLETE).exists():
        failed = run_helper("-c", "from storage.kernels.choice import compile_all; compile_all()")
        if failed:
            # the plain kernels go on; the reason is worth a line to whoever runs the server
            print(f"kernels stay plain: {failed}", file=sys.stderr)
            return
    names.update({name: kernel for name, kernel in _load().items() if name in names})
