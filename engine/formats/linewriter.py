"""Text and CSV out: a batch's lines put together column by column."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import forms
from engine.formats.options import CopyFormat
from engine.forms.style import Style
from storage.batch import Batch
from storage.column import Column
from storage.types import TEXT


class LineWriter:
    """COPY ... TO in text and csv."""

    def __init__(self, format: CopyFormat, style: Style) -> None:
        self._format = format
        self._style = style
        self._csv = format.format == "csv"

    def header(self) -> bytes:
        """The names, if the options ask for them."""
        if not self._format.header:
            return b""
        names = [Column.of(TEXT, [name]) for name in self._format.names]
        return _joined(self._lines(names, 1))

    def write(self, batch: Batch) -> bytes:
        """A line a row."""
        return _joined(self.lines(batch))

    def lines(self, batch: Batch) -> pa.Array:
        """The line of each row, its break included."""
        return self._lines([forms.text_of(column, self._style) for column in batch.columns], batch.rows)

    def trailer(self) -> bytes:
        """Nothing."""
        return b""

    def _lines(self, texts: list[Column], rows: int) -> pa.Array:
        if not texts:
            return pa.array(["\n"] * rows, pa.large_string())
        escape = self._quoted if self._csv else self._escaped
        fields = [escape(position, column.values) for position, column in enumerate(texts)]
        fields[-1] = pc.binary_join_element_wise(fields[-1], _large("\n"), _large(""))
        return pc.binary_join_element_wise(*fields, _large(self._format.delimiter))

    def _escaped(self, position: int, values: pa.Array) -> pa.Array:
        values = pc.replace_substring(values, "\\", "\\\\")
        for char, letter in (("\b", "b"), ("\f", "f"), ("\n", "n"), ("\r", "r"), ("\t", "t"), ("\v", "v")):
            values = pc.replace_substring(values, char, "\\" + letter)
        if self._format.delimiter not in "\b\f\n\r\t\v":
            values = pc.replace_substring(values, self._format.delimiter, "\\" + self._format.delimiter)
        return values.fill_null(self._format.null)

    def _quoted(self, position: int, values: pa.Array) -> pa.Array:
        format = self._format
        if position in format.force_quote:
            needs = values.is_valid()
        else:
            special = "[" + re.escape(format.delimiter + format.quote) + "\\n\\r]"
            needs = pc.or_(
                pc.match_substring_regex(values, special),
                pc.equal(values, pa.scalar(format.null, pa.large_string())),
            )
            if len(format.columns) == 1:
                needs = pc.or_(needs, pc.equal(values, pa.scalar("\\.", pa.large_string())))
        doubled = values
        if format.escape != format.quote:
            doubled = pc.replace_substring(doubled, format.escape, format.escape * 2)
        doubled = pc.replace_substring(doubled, format.quote, format.escape + format.quote)
        mark = pa.scalar(format.quote, pa.large_string())
        quoted = pc.binary_join_element_wise(mark, doubled, mark, pa.scalar("", pa.large_string()))
        return pc.if_else(needs.fill_null(False), quoted, values).fill_null(format.null)


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _joined(lines: pa.Array) -> bytes:
    """The lines one after another: the array's own bytes."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int64)[[lines.offset, lines.offset + len(lines)]]
    return data[int(ends[0]) : int(ends[1])].to_pybytes() if data is not None else b""
