"""Leaders of partitions: no row that is among the first is ruled out, whatever keys and memory are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import leaders
from engine.leaders import Leaders
from engine.memory import Memory
from storage.column import Column
from storage.memory import Reservations
from storage.types import INT4, INT8, TEXT, Type

KEYS: dict[str, tuple[Type, st.SearchStrategy[object]]] = {
    "near": (INT4, st.one_of(st.none(), st.integers(-3, 3))),
    "far": (INT8, st.one_of(st.none(), st.integers(-(1 << 63), (1 << 63) - 1))),
    "wider": (INT4, st.sampled_from([0, 5, -2000, 3000, 1 << 30])),
    "text": (TEXT, st.one_of(st.none(), st.sampled_from(["", "a", "b"]))),
}


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data(), count=st.integers(1, 3), ties=st.booleans())
def test_the_first_rows_lead(kind: str, data: st.DataObject, count: int, ties: bool) -> None:
    type, values = KEYS[kind]
    batches = data.draw(st.lists(st.lists(st.tuples(values, st.integers(0, 4)), max_size=9), max_size=4))
    held = Leaders([type], count, Memory().grant())
    rows: list[tuple[object, int, int]] = []
    for number, batch in enumerate(batches):
        start = number << 32
        mine = [(key, word, start + i) for i, (key, word) in enumerate(batch)]
        rows += mine
        column = Column.of(type, [key for key, _ in batch])
        words = np.array([word for _, word in batch], np.uint64)
        found = held.lead([column], words, None if ties else start)
        first = _first(rows, count, ties)
        exact = [row in first for row in mine]
        if found is None:  # where keys are told apart in another way, what was known is lost
            continue
        assert all(kept for kept, leads in zip(found.tolist(), exact, strict=True) if leads)
        if kind in ("near", "text"):
            assert found.tolist() == exact


def _first(rows: list[tuple[object, int, int]], count: int, ties: bool) -> set[tuple[object, int, int]]:
    """The rows among the first of their partition."""
    first = set()
    for key in {row[0] for row in rows}:
        mine = sorted((row for row in rows if row[0] == key), key=lambda row: row[1:])
        first |= {row for row in mine if ties and row[1] <= mine[min(count, len(mine)) - 1][1]}
        first |= set(mine[:count])
    return first


def test_nothing_is_ruled_out_without_memory_for_it() -> None:
    grant = Memory({"work_mem": "1kB"}, server=Reservations(1 << 40)).grant()
    held = Leaders([INT4], 1, grant)
    key = Column(INT4, np.zeros(3, np.int32))
    assert held.lead([key], np.arange(3, dtype=np.uint64), 0) is None
    assert grant.held == 0


def test_partitions_of_a_row_each_are_not_looked_at_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "_TRIED", 8)
    held = Leaders([INT4], 1, Memory().grant())
    words = np.zeros(6, np.uint64)
    for start in (0, 6):
        assert (
            held.lead([Column(INT4, np.arange(start, start + 6, dtype=np.int32))], words, start) is not None
        )
    assert held.lead([Column(INT4, np.zeros(6, np.int32))], words, 12) is None
