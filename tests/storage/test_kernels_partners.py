"""Partners: both twins against Python, of packed keys and of plain ones, with misses on all sides."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.encodings.packed import Packed
from storage.kernels.compiled import partners as compiled
from storage.kernels.plain import members
from storage.kernels.plain import partners as plain
from storage.kernels.plain.packing import BLOCK
from storage.kernels.plain.partners import Lookup

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@settings(max_examples=60)
@given(st.data())
def test_partners_are_found(twin: ModuleType, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    low = data.draw(st.sampled_from([LOWEST, -1000, 0, 5, HIGHEST - 64 * 40]))
    keys = np.unique(random.integers(0, 64 * 40, data.draw(st.integers(1, 500))))
    words = np.zeros(40, np.uint64)
    members.set_bits(keys + low, low, words)
    held = random.permutation(len(keys)) if data.draw(st.booleans()) else None
    partners = {low + int(key): int(rank if held is None else held[rank]) for rank, key in enumerate(keys)}

    rows = data.draw(st.integers(1, 2 * BLOCK + 100))
    first, last = max(low - 100, LOWEST), min(low + 64 * 40 + 100, HIGHEST)
    values = random.integers(first, last, rows, endpoint=True)
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    source = Packed.of(values).blocks(start) if data.draw(st.booleans(), "packed") else values[start:]
    out, met = np.full(stop - start, -7), np.zeros(stop - start, np.bool_)
    ranks = members.count_bits(words)
    found = twin.find_partners(source, Lookup.of(low, words, ranks, held), out, met)
    wanted = [partners.get(value) for value in values[start:stop].tolist()]
    assert found == sum(each is not None for each in wanted)
    assert met.tolist() == [each is not None for each in wanted]
    assert out.tolist() == [each or 0 for each in wanted]

    table = np.full(int(keys[-1]) + 2, -1)
    table[keys] = np.arange(len(keys)) if held is None else held
    again, there = np.full(stop - start, -7), np.zeros(stop - start, np.bool_)
    assert twin.find_partners(source, Lookup.of(low, words, ranks, held, table), again, there) == found
    assert twin.look_up_partners(source, low, table, again, there) == found
    assert again.tolist() == out.tolist()
    assert there.tolist() == met.tolist()
