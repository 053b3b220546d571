"""Plain or compiled: which kernels a process runs, and how compiling stays out of everybody's way.

GLANCEDB_KERNELS chooses: `plain` (numpy only), `compiled` (at import, waiting for the compiler), `auto`
(the default: plain at once; `warm` has a helper process compile into a cache folder, then a thread of
this process loads the machine code and puts the twins in place).

Each family has a cache folder, named by a hash of its sources, with all that they import of the other
kernels, of numba, llvmlite and Python, and of the processor: numba's own cache does not notice a change in
a file that a kernel only calls into. So a change compiles anew what depends on it, and nothing else. A helper
process compiles because the compiler would hold the interpreter lock of a server in long slices.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_PLAIN, _COMPILED = _HERE / "plain", _HERE / "compiled"
FAMILIES = tuple(sorted({p.stem for p in _PLAIN.glob("[!_]*.py")} & {p.stem for p in _COMPILED.glob("*.py")}))
"""The families that have compiled twins: a file here and one there."""

_COMPLETE = "complete"
_IMPORT = re.compile(r"^from storage\.kernels\.(plain|compiled)\.(\w+) import", re.MULTILINE)
_caching = threading.Lock()  # numba has one cache folder a process
_started = threading.Lock()
_thread: threading.Thread | None = None


def mode() -> str:
    """plain, compiled or auto. Raises ValueError for another GLANCEDB_KERNELS."""
    chosen = os.environ.get("GLANCEDB_KERNELS", "auto")
    if chosen not in ("plain", "compiled", "auto"):
        raise ValueError(f"GLANCEDB_KERNELS is {chosen!r}; it may be plain, compiled or auto")
    return chosen


def cache_folder() -> Path:
    """Where this version's machine code for this processor is kept, of what depends on any kernel."""
    return _folder("all", sorted(_HERE.rglob("*.py")))


def family_folder(family: str) -> Path:
    """Where the machine code of a compiled module is kept."""
    return _folder(family, sorted(_sources(_COMPILED / f"{family}.py")))


def _folder(name: str, sources: Sequence[Path]) -> Path:
    """The cache folder of these sources: of this place and age of them, which numba looks at, too."""
    digest = hashlib.sha256(f"{sys.version} {_processor()} {_HERE}".encode())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(importlib.metadata.version(package).encode())
    for source in sources:
        digest.update(f"{source.name} {source.stat().st_mtime_ns}".encode())
        digest.update(source.read_bytes())
    named = os.environ.get("GLANCEDB_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glancedb"
    return (Path(named) if named else home) / "kernels" / f"{name}-{digest.hexdigest()[:24]}"


def _sources(path: Path) -> set[Path]:
    """A kernel source, and all that it imports of the others."""
    found, left = {path}, [path]
    while left:
        named = {_HERE / folder / f"{name}.py" for folder, name in _IMPORT.findall(left.pop().read_text())}
        left += named - found
        found |= named
    return found


@contextmanager
def caching(folder: Path) -> Iterator[None]:
    """Have numba keep the machine code of what is imported meanwhile in a folder."""
    with _caching:
        folder.mkdir(parents=True, exist_ok=True)
        importlib.import_module("numba").config.CACHE_DIR = str(folder)
        yield


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    named = (line for line in lines if line.startswith(("model name", "flags", "Features")))
    return " ".join(dict.fromkeys(named))


def compile_all() -> None:
    """Compile every family into its cache: what the helper process does."""
    _load()
    for family in FAMILIES:
        (family_folder(family) / _COMPLETE).touch()


def _load() -> dict[str, Any]:
    """The compiled kernels by name, out of the cache or freshly compiled."""
    for module in _in_order():
        with caching(family_folder(module)):
            importlib.import_module(f"storage.kernels.compiled.{module}")
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


def _in_order() -> list[str]:
    """The compiled modules, each behind those that it imports: one is kept in its own folder, not theirs."""
    needs = {
        path.stem: {source.stem for source in _sources(path) if source.parent == _COMPILED} - {path.stem}
        for path in _COMPILED.glob("[!_]*.py")
    }
    return list(TopologicalSorter({name: sorted(needs[name]) for name in sorted(needs)}).static_order())


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
    if not all((family_folder(family) / _COMPLETE).exists() for family in FAMILIES):
        failed = run_helper("-c", "from storage.kernels.choice import compile_all; compile_all()")
        if failed:
            # the plain kernels go on; the reason is worth a line to whoever runs the server
            print(f"kernels stay plain: {failed}", file=sys.stderr)
            return
    names.update({name: kernel for name, kernel in _load().items() if name in names})
