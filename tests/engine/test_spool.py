"""Rows that may be read again, in memory and in a temporary file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pytest

from engine.memory import Memory
from engine.spool import Spool
from storage.batch import Batch
from storage.column import Column
from storage.scratch import Scratch
from storage.types import INT8, TEXT


def _batches() -> Iterator[Batch]:
    for start in range(0, 5000, 700):
        numbers = list(range(start, min(start + 700, 5000)))
        texts = [None if n % 7 == 0 else f"row {n}" for n in numbers]
        yield Batch((Column.of(INT8, numbers), Column.of(TEXT, texts)), len(numbers))


def _rows(batches: Iterator[Batch]) -> list[tuple[object, ...]]:
    return list(chain.from_iterable(zip(*(c.tolist() for c in b.columns), strict=True) for b in batches))


@pytest.mark.parametrize("work_mem", ["64kB", "4MB"])
def test_rows_come_again_from_either_end(work_mem: str) -> None:
    scratch = Scratch(None)
    spool = Spool(_batches(), Memory({"work_mem": work_mem, "hash_mem_multiplier": "1"}, scratch))
    everything = _rows(_batches())
    assert spool.reach(10)
    assert spool.rows == 700
    assert not spool.reach(5001)
    assert (spool.rows, spool.ended) == (5000, True)
    assert bool(scratch.files) == (work_mem == "64kB")
    for first, last in ((1, 5000), (1, 1), (699, 1402), (5000, 5000), (3, 2)):
        assert _rows(spool.forward(first, last)) == everything[first - 1 : last]
        assert _rows(spool.backward(last, first)) == everything[first - 1 : last][::-1]
    spool.close()
    assert not _rows(spool.forward(1, 5000))
