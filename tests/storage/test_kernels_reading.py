"""Rows of files read in one call, by both twins: cut files, files that cannot be read, and hints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from storage.kernels.compiled import reading as compiled
from storage.kernels.plain import reading as plain

TWINS = pytest.mark.parametrize("twin", [plain, compiled])
BYTES = np.random.default_rng(1).integers(0, 256, 10_000, np.uint8)


@pytest.fixture
def descriptors(tmp_path: Path) -> Iterator[list[int]]:
    """Of three files: all of BYTES, its first half, nothing."""
    opened = []
    for name, content in (("whole", BYTES), ("half", BYTES[:5000]), ("empty", BYTES[:0])):
        (tmp_path / name).write_bytes(content.tobytes())
        opened.append(os.open(tmp_path / name, os.O_RDONLY))
    yield opened
    for descriptor in opened:
        os.close(descriptor)


@TWINS
@pytest.mark.parametrize("width", [1, 7, 256, 4096])
def test_rows_come_from_their_places(twin: ModuleType, descriptors: list[int], width: int) -> None:
    chosen = np.random.default_rng(width)
    places = chosen.integers(0, 5000 - width, 50)
    out = np.zeros((50, width), np.uint8)
    of = np.array(descriptors[:2], np.int32)[chosen.integers(0, 2, 50)]
    twin.expect_rows(of, places, width)
    assert twin.read_rows(of, places, out) == 50
    assert out.tolist() == [BYTES[place : place + width].tolist() for place in places.tolist()]


@TWINS
def test_reading_ends_at_the_first_row_that_is_not_there(twin: ModuleType, descriptors: list[int]) -> None:
    whole, half, empty = descriptors
    out = np.zeros((3, 100), np.uint8)
    for second, place in ((half, 4901), (half, 5000), (empty, 0), (-1, 0)):
        of, places = np.array([whole, second, whole], np.int32), np.array([9900, place, 0])
        assert twin.read_rows(of, places, out) == 1
        assert out[0].tolist() == BYTES[9900:].tolist()
    nothing = np.zeros(0, np.int64)
    assert twin.read_rows(nothing.astype(np.int32), nothing, out[:0]) == 0
