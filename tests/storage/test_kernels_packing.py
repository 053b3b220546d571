"""The packing and floats families: compiled against plain, and plain against Python's integers."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.encodings.packed import Packed
from storage.kernels.compiled import floats as compiled_floats
from storage.kernels.compiled import packing as compiled
from storage.kernels.plain import floats as plain_floats
from storage.kernels.plain import packing as plain

TWINS = [plain, compiled]
FORMS = [np.uint8, np.int16, np.int32, np.uint32, np.int64]


quick = settings(max_examples=50)


@st.composite
def packed(draw: st.DrawFn) -> tuple[np.ndarray, Packed]:
    """Integers of up to four blocks, each block of another width."""
    rows = draw(st.integers(1, 4 * plain.BLOCK))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    blocks = -(-rows // plain.BLOCK)
    some = st.one_of(st.integers(0, 64), st.sampled_from([0, 1, 2, 63, 64]))
    widths = draw(st.lists(some, min_size=blocks, max_size=blocks))
    words = random.integers(0, 2**64, rows, np.uint64, endpoint=False)
    parts = [
        (words[i * plain.BLOCK : (i + 1) * plain.BLOCK] >> np.uint64(64 - width if width else 63))
        * np.uint64(bool(width))
        for i, width in enumerate(widths)
    ]
    bases = random.integers(-(2**63), 2**63, blocks)
    values = np.concatenate(parts) + np.repeat(bases, plain.BLOCK)[:rows].view(np.uint64)
    return values.view(np.int64), Packed.packed(values.view(np.int64), bases, np.array(widths, np.uint8))


def _arrays(some: Packed) -> tuple[np.ndarray, ...]:
    return some.words, some.offsets, some.widths, some.bases


@quick
@given(packed())
def test_twins_pack_alike(drawn: tuple[np.ndarray, Packed]) -> None:
    values, some = drawn
    words = [twin.pack_blocks(values, some.bases, some.widths, some.offsets) for twin in TWINS]
    assert (words[0] == words[1]).all()


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(packed(), st.sampled_from(FORMS), st.data())
def test_what_is_packed_is_unpacked(
    twin: ModuleType, drawn: tuple[np.ndarray, Packed], form: type, data: st.DataObject
) -> None:
    values, some = drawn
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    out = np.empty(stop - start, form)
    twin.unpack_blocks(*_arrays(some), start, out)
    assert (out == values[start:stop].astype(form)).all()
    rows = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), max_size=9)), np.int64)
    found = np.empty(len(rows), form)
    twin.unpack_at(*_arrays(some), rows, found)
    assert (found == values[rows].astype(form)).all()


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(st.integers(1, 3000), st.sampled_from([np.int64, np.float32, np.int16, np.bool_]), st.data())
def test_packed_codes_are_looked_up(twin: ModuleType, count: int, form: type, data: st.DataObject) -> None:
    random = np.random.default_rng(count)
    table = random.integers(0, 2**16, count).astype(form)
    codes = random.integers(0, count, data.draw(st.integers(1, 4 * plain.BLOCK)))
    some = Packed.of(codes)
    start = data.draw(st.integers(0, len(codes)))
    out = np.empty(data.draw(st.integers(0, len(codes) - start)), form)
    twin.unpack_table(*_arrays(some), start, table, out)
    assert (out == table[codes[start : start + len(out)]]).all()
    beyond = Packed.of(np.append(codes, count))
    with pytest.raises(IndexError):
        twin.unpack_table(*_arrays(beyond), 0, table, np.empty(len(codes) + 1, form))


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(packed(), st.data())
def test_packed_values_are_summed(
    twin: ModuleType, drawn: tuple[np.ndarray, Packed], data: st.DataObject
) -> None:
    values, some = drawn
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    high, low = twin.total_blocks(*_arrays(some), start, stop)
    assert (high << 32) + low == sum(values[start:stop].tolist())


@pytest.mark.parametrize("twin", TWINS)
@quick
@given(packed(), st.sampled_from(FORMS), st.data())
def test_deltas_are_summed(
    twin: ModuleType, drawn: tuple[np.ndarray, Packed], form: type, data: st.DataObject
) -> None:
    steps, some = drawn
    steps = steps.copy()
    steps[:: plain.BLOCK] = some.bases
    some = Packed.packed(steps, some.bases, some.widths)
    firsts = np.random.default_rng(1).integers(-(2**63), 2**63, len(some.bases))
    sums = steps.copy()
    for block, first in enumerate(firsts):
        part = sums[block * plain.BLOCK : (block + 1) * plain.BLOCK]
        part[0] = first
        part[:] = np.cumsum(part)
    start = data.draw(st.integers(0, len(steps)))
    stop = data.draw(st.integers(start, len(steps)))
    out = np.empty(stop - start, form)
    twin.undelta_blocks(*_arrays(some), firsts, start, out)
    assert (out == sums[start:stop].astype(form)).all()
    rows = np.array(data.draw(st.lists(st.integers(0, len(steps) - 1), max_size=9)), np.int64)
    found = np.empty(len(rows), form)
    twin.undelta_at(*_arrays(some), firsts, rows, found)
    assert (found == sums[rows].astype(form)).all()


@quick
@given(packed(), st.sampled_from([np.float32, np.float64]), st.data())
def test_twins_unpack_floats_alike(drawn: tuple[np.ndarray, Packed], form: type, data: st.DataObject) -> None:
    values, some = drawn
    exponents = np.random.default_rng(2).integers(0, 23, len(some.bases)).astype(np.uint8)
    start = data.draw(st.integers(0, len(values)))
    found = []
    for twin in (plain_floats, compiled_floats):
        out = np.empty(len(values) - start, form)
        twin.unpack_floats(*_arrays(some), exponents, start, out)
        found.append(out)
    assert found[0].tobytes() == found[1].tobytes()
