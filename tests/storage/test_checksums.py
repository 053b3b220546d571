"""Checksums of many rows, by both twins, and of parts put together, against crc32c's own."""

from __future__ import annotations

from types import ModuleType

import crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import checksums
from storage.kernels.compiled import checksums as compiled
from storage.kernels.plain import checksums as plain

TWINS = [twin for twin in (plain, compiled) if hasattr(twin, "checksum_rows")]


def test_the_known_value() -> None:
    nine = np.frombuffer(b"123456789", np.uint8).reshape(1, 9)
    assert [twin.checksum_rows(nine).tolist() for twin in TWINS] == [[0xE3069283]] * len(TWINS)


@pytest.mark.parametrize("twin", TWINS)
@given(st.integers(0, 11), st.integers(0, 40), st.integers(0, 3), st.randoms())
def test_rows(twin: ModuleType, count: int, width: int, gap: int, random: object) -> None:
    rng = np.random.default_rng(random.randrange(1 << 32))  # type: ignore[attr-defined]
    rows = rng.integers(0, 256, (count, width + gap), np.uint8)[:, :width]
    rows.flags.writeable = False
    found = twin.checksum_rows(rows)
    assert found.dtype == np.uint32
    assert found.tolist() == [crc32c.crc32c(row.tobytes()) for row in rows]


@given(st.integers(0, 70), st.integers(0, 20), st.binary(max_size=50))
def test_parts_put_together(count: int, width: int, rest: bytes) -> None:
    rows = np.random.default_rng(count + 71 * width).integers(0, 256, (count, width), np.uint8)
    whole = checksums.joined(plain.checksum_rows(rows), width)
    assert whole == crc32c.crc32c(rows.tobytes())
    assert checksums.appended(whole, crc32c.crc32c(rest), len(rest)) == crc32c.crc32c(rows.tobytes() + rest)
