"""Binds that come again: of what a client sends for one statement only the parameters change.

A shape is what one Bind has said of the unnamed portal: its bytes before and after the parameters, and what
was worked out of them. A Bind of the same bytes there is read by it, parameter by parameter; whatever else
comes, or is not plainly right, goes the general way (server.messages, server.parameters), which also words
the errors.

    body    head, then of each parameter int32 length (-1: null) and bytes, then tail
    head    portal, statement, formats of the parameters, how many there are
    tail    formats of the results
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from engine.formats.rows import framed
from engine.forms.single import column_reader, field_writer, value_reader
from server.messages import Bind
from server.parameters import spread
from sql.outcome import Short
from storage.rows import Row

_LENGTH = struct.Struct(">i")


class BindShape:
    """See the module's text. It holds for as long as `is_of` says."""

    __slots__ = ("_head", "_notes", "_readers", "_short", "_tail", "_writers", "formats", "statement")

    def __init__(self, bind: Bind, body: bytes, short: Short, formats: tuple[int, ...]) -> None:
        """`bind` was read from `body`; `formats` are those of the results, one each."""
        empty = Bind(bind.portal, bind.statement, bind.formats, (), bind.results).write()[5:]
        tail = 2 + 2 * len(bind.results)
        self._head = empty[: -tail - 2] + len(bind.parameters).to_bytes(2, "big")
        self._tail = body[len(body) - tail :]
        self._short, self._notes = short, short.notes
        reader: Callable[..., Callable[[bytes], Any]]
        reader = column_reader if short.single is None else value_reader
        given = spread(bind.formats, len(bind.parameters))
        self._readers = [reader(*each) for each in zip(short.parameters, given, strict=True)]
        types = [field.type for field in short.fields or ()]
        self._writers = [field_writer(*each) for each in zip(types, formats, strict=True)]
        self.formats = formats
        self.statement = bind.statement

    def is_of(self, short: Short | None) -> bool:
        """Whether it was made for this statement, as it is planned now."""
        return short is self._short and short is not None and short.notes is self._notes

    def read(self, body: bytes) -> list[Any] | None:
        """The parameters: plain values where the statement is `single`, else columns; None: not read here."""
        if not body.startswith(self._head) or not body.endswith(self._tail):
            return None
        at, end = len(self._head), len(body) - len(self._tail)
        found = []
        for read in self._readers:
            begin = at + 4
            if begin > end:
                return None
            length: int = _LENGTH.unpack_from(body, at)[0]
            at = begin + length
            if length < 0 or at > end:
                return None
            value = read(body[begin:at])
            if value is None:
                return None
            found.append(value)
        return found if at == end else None

    def frame(self, row: Row) -> bytes | None:
        """The DataRow of a row of plain values; None: not written here."""
        fields = []
        for write, value in zip(self._writers, row, strict=True):
            if write is None or value is None:
                return None
            fields.append(write(value))
        return framed(fields)
