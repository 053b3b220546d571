"""Plain and compiled kernels as a process has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from numba import types

from storage import kernels
from storage.kernels import choice


def test_every_kernel_has_a_plain_meaning() -> None:
    plain = choice.plain_kernels()
    assert {"scan_signs", "promise_signs", "deepen_signs", "dot", "count_byte"} <= set(plain)
    assert all(callable(kernel) for kernel in plain.values())
    assert set(plain) <= set(vars(kernels))


def test_no_thread_finds_a_kernel_that_numba_does_not_know_yet() -> None:
    """Numba looks for conversions at a first call, and refuses other threads' calls meanwhile."""
    kernels.warm(wait=True)
    compiled = choice._load()
    seen = 0
    for function in compiled.values():
        for thing in vars(__import__(function.__module__, fromlist=["_"])).values():
            for signature in getattr(thing, "nopython_signatures", ()):
                for formal in signature.args:
                    if isinstance(formal, types.Array):
                        assert thing.typingctx.tm.check_compatible(formal.copy(readonly=False), formal)
                seen += 1
    assert seen > 20


def test_a_family_is_compiled_anew_with_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "kernels"
    shutil.copytree(choice._HERE, here, ignore=shutil.ignore_patterns("__pycache__"))
    for name, path in {"_HERE": here, "_PLAIN": here / "plain", "_COMPILED": here / "compiled"}.items():
        monkeypatch.setattr(choice, name, path)
    before = {family: choice.family_folder(family) for family in choice.FAMILIES}
    with (here / "compiled" / "lanes.py").open("a") as file:
        file.write("# changed\n")
    changed = {family for family in choice.FAMILIES if choice.family_folder(family) != before[family]}
    assert {"packing", "floats", "runs", "totals"} <= changed
    assert not {"texts", "signs", "group"} & changed
