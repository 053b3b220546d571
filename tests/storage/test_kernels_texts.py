"""The texts family: each twin against a search in Python."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.kernels.compiled import texts as compiled
from storage.kernels.plain import texts as plain

TEXTS = st.lists(
    st.one_of(
        st.text("ab", max_size=12),
        st.text("ab", min_size=30, max_size=90),
        st.text(max_size=10),
        st.builds(lambda a, b, c: "x" * a + "ab" * b + "x" * c, *[st.integers(0, 70)] * 3),
    ),
    max_size=12,
)
PARTS = st.lists(
    st.one_of(st.text("ab", max_size=3), st.just("aba" * 12), st.text(max_size=2)), min_size=2, max_size=4
)


def holds(text: bytes, first: bytes, middle: list[bytes], last: bytes) -> bool:
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, stop = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, stop)
        if at < 0:
            return False
        at += len(part)
    return True


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@given(TEXTS, PARTS, st.integers(0, 5))
def test_parts_in_their_order(twin: ModuleType, texts: list[str], parts: list[str], before: int) -> None:
    raw, (first, *middle, last) = [text.encode() for text in texts], [part.encode() for part in parts]
    offsets = before + np.cumsum([0, *map(len, raw)])
    data = np.frombuffer(b"a" * before + b"".join(raw) + b"b", np.uint8)
    pieces = [first, *middle, last]
    given_parts = np.frombuffer(b"".join(pieces), np.uint8)
    found = twin.match_parts(offsets, data, given_parts, np.cumsum([len(piece) for piece in pieces]))
    assert found.tolist() == [holds(text, first, middle, last) for text in raw]


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@given(TEXTS, st.integers(0, 5), st.data())
def test_texts_at_places(twin: ModuleType, texts: list[str], before: int, data: st.DataObject) -> None:
    raw = [text.encode() for text in texts]
    offsets = before + np.cumsum([0, *map(len, raw)])
    content = np.frombuffer(b"a" * before + b"".join(raw), np.uint8)
    rows = data.draw(st.lists(st.integers(-1, len(raw) - 1), max_size=40))
    ends, found = twin.take_texts(offsets, content, np.array(rows, np.int64))
    wanted = [raw[row] if row >= 0 else b"" for row in rows]
    assert (found.tobytes(), ends.tolist()) == (b"".join(wanted), np.cumsum([0, *map(len, wanted)]).tolist())


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@pytest.mark.parametrize("row", [-2, 2, 1 << 40])
def test_texts_that_are_not_there(twin: ModuleType, row: int) -> None:
    with pytest.raises(IndexError):
        twin.take_texts(np.array([0, 1, 2]), np.zeros(2, np.uint8), np.array([0, row]))


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@given(TEXTS, TEXTS, st.integers(0, 5), st.data())
def test_texts_that_are_alike(
    twin: ModuleType, texts: list[str], others: list[str], before: int, data: st.DataObject
) -> None:
    both, pairs = [], []
    for each in (texts, [*others, *texts]):
        raw = [text.encode() for text in each]
        content = np.frombuffer(b"a" * before + b"".join(raw), np.uint8)
        places = data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=30)) if raw else []
        both.append((before + np.cumsum([0, *map(len, raw)]), content, raw))
        pairs.append(places)
    count = min(map(len, pairs))
    rows, places = (np.array(each[:count], np.int64) for each in pairs)
    found = twin.same_texts(*both[0][:2], rows, *both[1][:2], places)
    wanted = [both[0][2][a] == both[1][2][b] for a, b in zip(rows, places, strict=True)]
    assert found.tolist() == wanted


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 16, 23, 80])
def test_texts_that_differ_in_one_byte(twin: ModuleType, size: int) -> None:
    texts = [b"x" * size, *(b"x" * at + b"y" + b"x" * (size - at - 1) for at in range(size))]
    offsets, content = np.cumsum([0, *map(len, texts)]), np.frombuffer(b"".join(texts), np.uint8)
    rows = np.arange(len(texts))
    found = twin.same_texts(offsets, content, rows, offsets, content, np.zeros(len(texts), np.int64))
    assert found.tolist() == [True, *[False] * size]
    assert twin.same_texts(offsets, content, rows, offsets, content, rows).all()


@pytest.mark.parametrize("twin", [plain, compiled], ids=["plain", "compiled"])
@pytest.mark.parametrize("row", [-1, 2, 1 << 40])
def test_alike_to_texts_that_are_not_there(twin: ModuleType, row: int) -> None:
    offsets, content, there = np.array([0, 1, 2]), np.zeros(2, np.uint8), np.array([0])
    for rows, places in ((there, np.array([row])), (np.array([row]), there)):
        with pytest.raises(IndexError):
            twin.same_texts(offsets, content, rows, offsets, content, places)
