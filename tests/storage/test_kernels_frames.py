"""Twins of frames copy fields from where they lie, whether or not that memory may be written."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from storage.kernels.compiled import frames as compiled
from storage.kernels.plain import frames as plain

DATA = np.frombuffer(b"onetwothree", np.uint8)
STARTS, LENGTHS = np.array([3, 0, 6, 0]), np.array([3, 3, 5, -1])


def fixed(array: np.ndarray) -> np.ndarray:
    """The array as memory of a file or of Arrow comes."""
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("twin", [plain, compiled])
@pytest.mark.parametrize("form", [np.copy, fixed])
def test_fields_are_written_behind_their_lengths(twin: ModuleType, form: type) -> None:
    out = np.zeros(4 * 4 + 11, np.uint8)
    places = form(np.array([0, 7, 14, 23]))
    twin.put_fields(out, places, form(DATA), form(STARTS), form(LENGTHS))
    minus_one = b"\xff\xff\xff\xff"
    assert out.tobytes() == b"\0\0\0\3two\0\0\0\3one\0\0\0\5three" + minus_one


@pytest.mark.parametrize("twin", [plain, compiled])
@pytest.mark.parametrize("form", [np.copy, fixed])
def test_bytes_are_gathered_and_scattered(twin: ModuleType, form: type) -> None:
    assert twin.gather_bytes(form(DATA), form(STARTS), form(LENGTHS)).tobytes() == b"twoonethree"
    out = np.full(12, ord("."), np.uint8)
    twin.scatter_bytes(out, form(np.array([1, 4, 7, 0])), form(DATA), form(STARTS), form(LENGTHS))
    assert out.tobytes() == b".twoonethree"
