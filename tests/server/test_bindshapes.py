"""Binds that come again: whatever a shape reads, and writes, the general way reads and writes alike."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.formats.rows import row_frames
from engine.forms.style import PLAIN
from server import messages, parameters
from server.bindshapes import BindShape
from server.messages import Bind
from sql.outcome import Field
from storage.column import Column
from storage.errors import DatabaseError
from storage.types import BOOL, DATE, FLOAT8, INT2, INT4, INT8, TEXT, TIMESTAMP, Type, varchar

TYPES = (BOOL, INT2, INT4, INT8, FLOAT8, TEXT, varchar(3), DATE, TIMESTAMP)


@dataclass
class Statement:
    """What a shape asks of a prepared statement."""

    parameters: tuple[Type, ...]
    fields: tuple[Field, ...] | None
    single: object | None
    notes: dict[Any, Any] = field(default_factory=dict)


_raw = st.one_of(
    st.none(),
    st.sampled_from([b"", b"1", b"-12", b"x", b"t", b"1.5", b"2024-02-29", b"\0", b"a\0", "é".encode()]),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: struct.pack(">i", n)),
    st.binary(min_size=8, max_size=8),
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Statement, list[bytes]]:
    """A statement, and bodies of Binds of it: some but the first with a byte changed, cut or added."""
    types = tuple(draw(st.lists(st.sampled_from(TYPES), max_size=3)))
    count = len(types)
    each = st.tuples(*[st.sampled_from([0, 1])] * count)
    formats = draw(st.one_of(st.just(()), st.just((1,)), each))
    statement = Statement(types, (), draw(st.sampled_from([None, "single"])))
    found = []
    for number in range(draw(st.integers(2, 6))):
        given = tuple(draw(st.lists(_raw, min_size=count, max_size=count)))
        body = Bind("", "s", formats, given, draw(st.sampled_from([(), (1,)]))).write()[5:]
        at = draw(st.integers(0, len(body) - 1))
        change = draw(st.sampled_from(["none", "none", "change", "cut", "add"])) if number else "none"
        if change == "change":
            body = body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
        elif change == "cut":
            body = body[:at]
        elif change == "add":
            body = body[:at] + b"\0" + body[at:]
        found.append(body)
    return statement, found


@given(bodies())
def test_what_a_shape_reads_the_general_way_reads_alike(drawn: tuple[Statement, list[bytes]]) -> None:
    statement, (first, *others) = drawn
    bind = messages.read(Bind.tag, first)
    assert isinstance(bind, Bind)
    shape = BindShape(bind, first, statement, ())
    assert shape.is_of(statement)
    for body in (first, *others):
        found = shape.read(body)
        try:
            told = messages.read(Bind.tag, body)
            assert isinstance(told, Bind)
            read = parameters.columns if statement.single is None else parameters.values
            wanted: list[Any] | None = [*read(told, statement, PLAIN)]  # type: ignore[operator]
        except DatabaseError:
            wanted = None
        if found is not None:
            assert wanted is not None
            assert (told.portal, told.statement, told.formats) == (bind.portal, bind.statement, bind.formats)
            assert told.results == bind.results
            assert repr(_plain(found)) == repr(_plain(wanted))


def _plain(values: list[Any]) -> list[Any]:
    return [(item.type, item.tolist()) if isinstance(item, Column) else item for item in values]


def test_a_plain_bind_is_read() -> None:
    bind = Bind("", "s", (1, 0), (struct.pack(">i", 7), b"text"), (1,))
    body = bind.write()[5:]
    shape = BindShape(bind, body, Statement((INT4, TEXT), (), "single"), ())
    assert shape.read(body) == [7, "text"]
    assert shape.read(Bind("", "s", (1, 0), (struct.pack(">i", 8), b""), (1,)).write()[5:]) == [8, ""]
    assert shape.read(Bind("p", "s", (1, 0), bind.parameters, (1,)).write()[5:]) is None
    assert shape.read(Bind("", "s", (1, 0), bind.parameters, ()).write()[5:]) is None
    assert shape.read(Bind("", "s", (1, 0), (None, b""), (1,)).write()[5:]) is None


def test_a_shape_is_of_a_statement_as_it_was_planned() -> None:
    bind, statement = Bind("", "s"), Statement((), (), None)
    shape = BindShape(bind, bind.write()[5:], statement, ())
    assert shape.is_of(statement)
    statement.notes = {}
    assert not shape.is_of(statement)
    assert not shape.is_of(None)


@given(st.integers(-(2**31), 2**31 - 1), st.text(max_size=9), st.tuples(*[st.sampled_from([0, 1])] * 3))
def test_rows_are_written_alike(number: int, text: str, formats: tuple[int, int, int]) -> None:
    types, row = (INT4, TEXT, INT8), (number, text, -number)
    statement = Statement((), tuple(Field("", type) for type in types), "single")
    bind = Bind("", "s", (), (), formats)
    found = BindShape(bind, bind.write()[5:], statement, formats).frame(row)
    columns = [Column.of(type, [value] * 2) for type, value in zip(types, row, strict=True)]
    assert found is not None
    assert found * 2 == row_frames(columns, formats, 2, PLAIN)
