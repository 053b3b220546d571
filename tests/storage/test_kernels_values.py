"""The values family: both twins against a dict."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import values as compiled
from storage.kernels.plain import values as plain
from storage.kernels.plain.values import LONGEST

field = st.one_of(st.none(), st.sampled_from([b"", b"a", b"b", b"a\0"]), st.binary(max_size=LONGEST + 2))


@pytest.mark.parametrize("twin", [plain, compiled])
@given(st.lists(field, max_size=40), st.integers(1, 30), st.integers(0, 3))
def test_fields_are_numbered_as_they_come(
    twin: ModuleType, fields: list[bytes | None], most: int, gap: int
) -> None:
    sizes = np.array([-1 if item is None else len(item) for item in fields], np.int64)
    steps = np.maximum(sizes, 0) + gap
    data = np.frombuffer(b"".join((item or b"") + b"x" * gap for item in fields), np.uint8)
    found = twin.number_fields(data, np.cumsum(steps) - steps, sizes, most)
    known: dict[bytes, int] = {}
    numbers = [0 if item is None else known.setdefault(item, len(known)) for item in fields]
    if len(known) > most or any(len(item) > LONGEST for item in known):
        assert found is None
        return
    assert found is not None
    assert found[0].tolist() == numbers
    assert [fields[row] for row in found[1].tolist()] == list(known)
    assert [fields.index(item) for item in known] == found[1].tolist()
