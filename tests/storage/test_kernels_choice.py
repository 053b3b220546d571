"""Plain and compiled kernels as a process has them."""

from __future__ import annotations

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
