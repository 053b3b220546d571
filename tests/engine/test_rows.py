"""Rows as the wire frames them: the few and the many come out alike, with plain kernels and compiled ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import formats, forms
from engine.formats import CopyFormat, rows
from engine.forms import PLAIN
from storage import types as t
from storage.batch import Batch
from storage.column import Column
from storage.kernels.compiled import frames as compiled
from storage.kernels.compiled import stamps as compiled_stamps
from storage.kernels.plain import frames as plain
from storage.kernels.plain import stamps as plain_stamps
from storage.types import Type

TYPES: dict[Type, st.SearchStrategy[Any]] = {
    t.INT8: st.integers(-(2**63), 2**63 - 1),
    t.INT2: st.integers(-(2**15), 2**15 - 1),
    t.OID: st.integers(0, 2**32 - 1),
    t.BOOL: st.booleans(),
    t.FLOAT8: st.floats(),
    t.TEXT: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
    t.BYTEA: st.binary(max_size=9),
    t.binary(3): st.binary(min_size=3, max_size=3),
    t.TIMESTAMP: st.integers(-(10**15), 10**15),
    t.NUMERIC: st.decimals(allow_nan=False, allow_infinity=False, places=2),
}


def columns_of(data: st.DataObject, count: int) -> list[Column]:
    """A few columns of `count` values, nulls among them."""
    types = data.draw(st.lists(st.sampled_from(list(TYPES)), max_size=4))
    return [
        Column.of(type, data.draw(st.lists(st.none() | TYPES[type], min_size=count, max_size=count)))
        for type in types
    ]


def fields(message: bytes) -> list[bytes | None]:
    """The fields of a message, whose length must be right."""
    tag, length, count = struct.unpack_from(">BIH", message)
    assert (tag, length) == (ord("D"), len(message) - 1)
    at, found = 7, []
    for _ in range(count):
        size = struct.unpack_from(">i", message, at)[0]
        found.append(None if size < 0 else message[at + 4 : at + 4 + size])
        at += 4 + max(size, 0)
    assert at == len(message)
    return found


def messages(data: bytes) -> Iterator[bytes]:
    """The messages of a stream."""
    at = 0
    while at < len(data):
        length = struct.unpack_from(">I", data, at + 1)[0]
        yield data[at : at + 1 + length]
        at += 1 + length


@given(st.data(), st.integers(0, 12))
def test_rows_are_their_forms(data: st.DataObject, count: int) -> None:
    columns = columns_of(data, count)
    codes = data.draw(st.lists(st.integers(0, 1), min_size=len(columns), max_size=len(columns)))
    few = rows.row_frames(columns, codes, count, PLAIN)
    wanted = []
    for column, code in zip(columns, codes, strict=True):
        items = (forms.binary_of(column) if code else forms.text_of(column)).values.to_pylist()
        wanted.append([item.encode() if isinstance(item, str) else item for item in items])
    assert (
        [fields(m) for m in messages(few)] == [list(row) for row in zip(*wanted, strict=True)]
        if columns
        else True
    )
    many = pytest.MonkeyPatch()
    with many.context() as patched:
        patched.setattr(rows, "FEW", -1)
        assert rows.row_frames(columns, codes, count, PLAIN) == few


@pytest.mark.parametrize("format", ["text", "csv", "binary"])
def test_a_message_a_row(format: str) -> None:
    batch = Batch.of(Column.of(t.INT4, [1, None, 3]), Column.of(t.TEXT, ["a\nb", "", None]))
    null = "" if format == "csv" else "\\N"
    options = CopyFormat(format, (t.INT4, t.TEXT), ("a", "b"), null=null)  # type: ignore[arg-type]
    writer = formats.writer(options, PLAIN)
    found = list(messages(rows.copy_frames(writer, batch)))
    assert [m[:1] for m in found] == [b"d"] * 3
    assert b"".join(m[5:] for m in found) == writer.write(batch)
    assert [m[5:] for m in found] == [writer.write(batch.slice(row, row + 1)) for row in range(3)]


@given(st.lists(st.none() | st.binary(max_size=20), max_size=20))
def test_the_compiled_twins_agree(items: list[bytes | None]) -> None:
    data = np.frombuffer(b"".join(item or b"" for item in items) + b"x", np.uint8)
    lengths = np.array([-1 if item is None else len(item) for item in items], np.int64)
    sizes = np.maximum(lengths, 0)
    starts = np.cumsum(sizes) - sizes
    places = np.cumsum(sizes + 4) - (sizes + 4)
    out = [np.zeros(int(sizes.sum()) + 4 * len(items), np.uint8) for _ in range(2)]
    plain.put_fields(out[0], places, data, starts, lengths)
    compiled.put_fields(out[1], places, data, starts, lengths)
    assert out[0].tobytes() == out[1].tobytes()
    for kernels in (plain, compiled):
        kernels.put_int32(out[0], places, lengths)
    assert out[0].tobytes() == out[1].tobytes()


@given(st.lists(st.integers(-719_162, 2_932_896), max_size=20), st.data())
def test_stamps_agree_with_pythons_calendar(days: list[int], data: st.DataObject) -> None:
    """Years 1 to 9999, in both kernels."""
    first, day = datetime(2000, 1, 1), 86_400_000_000
    days = [max(d - 10_957, -730_119) for d in days]
    fractions = st.sampled_from([0, 1, 10, 500_000, 999_999, 86_399_999_999]) | st.integers(0, day - 1)
    micros = np.array([d * day + data.draw(fractions) for d in days], np.int64)
    wanted = []
    for value in micros.tolist():
        moment = first + timedelta(microseconds=value)
        text = moment.isoformat(" ")
        wanted.append(text.rstrip("0") if moment.microsecond else text)
    for kernel in (plain_stamps.stamp_texts, compiled_stamps.stamp_texts):
        texts, lengths = kernel(micros)
        rows = zip(texts, lengths.tolist(), strict=True)
        assert [row[:length].tobytes().decode() for row, length in rows] == wanted
