"""COPY's formats: what was written is read again however it is cut, and errors say where they are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import formats, forms
from engine.formats import CopyFormat, fields, lines
from engine.formats.rows import copy_frames, row_frames
from storage import types as t
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatabaseError
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import INT4, TEXT, Type

TYPES = (INT4, TEXT, t.binary(2), t.array_of(TEXT), t.FLOAT8)
NAMES = ("a", "b", "c", "d", "e")
texts = st.text(
    st.sampled_from('ab\\\n\r\t",;N.é') | st.characters(exclude_categories=["Cs", "Cc"]), max_size=8
)
rows = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5),
        st.none() | texts,
        st.none() | st.binary(min_size=2, max_size=2),
        st.none() | st.lists(st.none() | texts, max_size=3),
        st.none() | st.floats(),
    ),
    max_size=20,
)


def _format(name: str, **options: object) -> CopyFormat:
    defaults: dict[str, object] = {"columns": TYPES, "names": NAMES, "table": "t"}
    if name == "csv":
        defaults |= {"delimiter": ",", "null": ""}
    return CopyFormat(name, **(defaults | options))  # type: ignore[arg-type]


FORMATS = [
    _format("text"),
    _format("text", delimiter="|", null="NULL"),
    _format("csv"),
    _format("csv", delimiter=";", null="\\N", header="true"),
    _format("csv", quote="'", escape="\\"),
    _format("csv", force_quote=frozenset(range(5))),
    _format("binary"),
]


def _read(format: CopyFormat, data: bytes, step: int, block: int = 1 << 20) -> list[tuple[object, ...]]:
    with patch.object(lines, "BLOCK_BYTES", block):
        reader = formats.reader(format, forms.PLAIN)
        batches = [b for at in range(0, len(data), step) for b in reader.feed(data[at : at + step])]
        return [row for batch in [*batches, *reader.finish()] for row in batch.tuples()]


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.format}-{f.delimiter!r}-{f.quote!r}")
@given(rows=rows, step=st.sampled_from([1, 3, 1000]), block=st.sampled_from([1, 40, 1 << 20]))
def test_what_is_written_is_read_however_it_is_cut(
    format: CopyFormat, rows: list[tuple[object, ...]], step: int, block: int
) -> None:
    columns = [Column.of(type, [row[i] for row in rows]) for i, type in enumerate(TYPES)]
    writer = formats.writer(format, forms.PLAIN)
    data = writer.header() + writer.write(Batch(tuple(columns), len(rows))) + writer.trailer()
    expected = list(Batch(tuple(columns), len(rows)).tuples())
    assert repr(_read(format, data, step, block)) == repr(expected)


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.format}-{f.delimiter!r}-{f.quote!r}")
@given(data=st.binary(max_size=60), step=st.sampled_from([1, 1000]), block=st.sampled_from([1, 1 << 20]))
def test_garbage_is_an_error_and_nothing_worse(
    format: CopyFormat, data: bytes, step: int, block: int
) -> None:
    with suppress(DatabaseError):
        _read(format, data, step, block)


TWO = {"columns": (INT4, TEXT), "names": ("a", "b")}


@pytest.mark.parametrize(
    ("format", "data", "message", "where"),
    [
        ("text", b"1\tx\n2\n", 'missing data for column "b"', 'COPY t, line 2: "2"'),
        ("text", b"1\tx\ty\n", "extra data after last expected column", 'COPY t, line 1: "1\tx\ty"'),
        (
            "text",
            b"1\tx\nfoo\tb\n",
            'invalid input syntax for type integer: "foo"',
            'COPY t, line 2, column a: "foo"',
        ),
        ("csv", b'1,"x\n', "unterminated CSV quoted field", 'COPY t, line 1: "1,"x\n"'),
        (
            "binary",
            b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1",
            "row field count is 1, expected 2",
            "COPY t, line 1",
        ),
        ("binary", b"nothing of the kind", "COPY file signature not recognized", ""),
    ],
)
def test_errors_say_where_they_are(format: str, data: bytes, message: str, where: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        _read(_format(format, **TWO), data, 1000)
    assert (raised.value.message, raised.value.where) == (message, where)


def test_a_backslash_and_a_point_end_the_data() -> None:
    assert _read(_format("text", **TWO), b"1\tx\n\\.\nrubbish\n", 1000) == [(1, "x")]


def test_csv_tells_null_from_empty() -> None:
    assert _read(_format("csv", **TWO), b'1,\n2,""\n', 1000) == [(1, None), (2, "")]
    forced = _format("csv", **TWO, force_null=frozenset([1]))
    assert _read(forced, b'1,""\n', 1000) == [(1, None)]
    kept = _format("csv", **TWO, force_not_null=frozenset([1]))
    assert _read(kept, b"1,\n", 1000) == [(1, "")]


@pytest.mark.parametrize(
    "type", [t.vector(3), t.vector(-1), t.binary(2), t.UUID, t.INTERVAL, t.BOOL, t.NUMERIC], ids=str
)
@given(data=st.data())
def test_tuples_that_lie_alike_are_read_as_others(type: Type, data: st.DataObject) -> None:
    """A null ends the run of tuples of one width: the rows before it are read in one piece."""
    items = {
        t.VECTOR.oid: st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3),
        t.BINARY.oid: st.binary(min_size=2, max_size=2),
        t.UUID.oid: st.binary(min_size=16, max_size=16),
        t.INTERVAL.oid: st.tuples(*[st.integers(-9, 9)] * 3),
        t.BOOL.oid: st.booleans(),
        t.NUMERIC.oid: st.decimals(-99, 99, places=2),
    }[type.oid]
    rows = data.draw(st.lists(items, min_size=1, max_size=5)) + data.draw(
        st.lists(st.none() | items, max_size=2)
    )
    columns = (Column.of(INT4, list(range(len(rows)))), Column.of(type, rows))
    format = _format("binary", columns=(INT4, type), names=("a", "b"))
    writer = formats.writer(format, forms.PLAIN)
    body = writer.header() + writer.write(Batch(columns, len(rows))) + writer.trailer()
    assert _read(format, body, len(body)) == list(Batch(columns, len(rows)).tuples())


def test_an_error_in_binary_names_its_row() -> None:
    format = _format("binary", columns=(INT4,), names=("a",))
    writer = formats.writer(format, forms.PLAIN)
    body = writer.header() + b"\0\1\0\0\0\4\0\0\0\1" * 2 + b"\0\1\0\0\0\2\0\1" + writer.trailer()
    with pytest.raises(DatabaseError) as raised:
        _read(format, body, len(body))
    assert raised.value.where == "COPY t, line 3, column a"


numbers = st.lists(
    st.none()
    | st.decimals(-(10**9), 10**9, places=2).map(str)
    | st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["1.", ".5", "1e3", "-0", "-0.00", "NaN", "16777217", "16777219", "0.1", "1.10", "7"]),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("type", [t.NUMERIC, t.numeric(12, 2), t.FLOAT4, t.FLOAT8], ids=str)
@given(numbers | st.lists(st.decimals(-(10**9), 10**9, places=3).map(str), min_size=1))
def test_numbers_are_read_as_their_input_function_reads_them(type: Type, items: list[str | None]) -> None:
    format = _format("text", columns=(INT4, type), names=("a", "b"))
    data = "".join(f"1\t{item or chr(92) + 'N'}\n" for item in items).encode()
    try:
        wanted = forms.parse_text(type, Column.of(TEXT, items)).tolist()
    except DatabaseError as error:
        with pytest.raises(DatabaseError, match=error.message):
            _read(format, data, len(data))
        return
    assert repr([b for _, b in _read(format, data, len(data))]) == repr(wanted)


@pytest.mark.parametrize("type", [TEXT, replace(t.BPCHAR, modifier=6), replace(t.VARCHAR, modifier=6)])
@given(data=st.data(), csv=st.booleans())
def test_texts_of_few_values_are_read_as_others(type: Type, data: st.DataObject, csv: bool) -> None:
    value = st.sampled_from(["", "a", "b ", "a ", "é", '"', "\\", "ab", "   "]) | st.just("cd   ")
    items: list[str | None] = data.draw(st.lists(st.none() | value, min_size=1, max_size=12))
    format = _format("csv" if csv else "text", columns=(type,), names=("a",), null="NIL")
    writer = formats.writer(format, forms.PLAIN)
    text = writer.write(Batch.of(Column.of(TEXT, items * 7)))
    outcomes = []
    for many in (1, 1 << 30):
        with patch.object(fields, "_MANY", many):
            try:
                outcomes.append(_read(format, text, 1000))
            except DatabaseError as error:
                outcomes.append([(error.sqlstate, str(error), error.where)])
    assert outcomes[0] == outcomes[1]


@given(
    items=st.lists(st.sampled_from([None, "", "a", 'b"', "c,\n", "\\N", "é"]), min_size=1, max_size=40),
    format=st.sampled_from(FORMATS),
)
def test_coded_texts_are_written_as_others(items: list[str | None], format: CopyFormat) -> None:
    values = sorted({item for item in items if item is not None} | {""})
    codes = np.array([values.index(item or "") for item in items], np.int64)
    valid = np.array([item is not None for item in items])
    coded = CodedColumn(TEXT, Dictionary(Column.of(TEXT, values), distinct=True), codes, valid)
    writer = formats.writer(replace(format, columns=(TEXT, TEXT), names=("a", "b")), forms.PLAIN)
    plain = Column.of(TEXT, items)
    assert writer.write(Batch.of(coded, plain)) == writer.write(Batch.of(plain, plain))
    texts = [
        row_frames((column, plain), (code, 0), len(items), forms.PLAIN)
        for column in (coded, plain)
        for code in (0, 1)
    ]
    assert texts[:2] == texts[2:]
    assert copy_frames(writer, Batch.of(coded)) == copy_frames(writer, Batch.of(plain))
