"""Text and CSV out: a batch's fields are put where they belong in its lines, column by column."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine import forms
from engine.formats.options import CopyFormat
from engine.formats.tuples import Fields, arrow_fields, fields_by_value
from engine.forms.style import Style
from storage import kernels
from storage.batch import Batch
from storage.column import Array, Column
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
        plain = LineWriter(replace(self._format, force_quote=frozenset()), self._style)
        return plain.framed(Batch(tuple(names), 1), 0)[0].tobytes()

    def write(self, batch: Batch) -> bytes:
        """A line a row."""
        return self.framed(batch, 0)[0].tobytes()

    def framed(self, batch: Batch, prefix: int) -> tuple[Array, Array, Array]:
        """(bytes, where each row begins, how long it is): `prefix` bytes of the caller's, then the line."""
        fields = [self._fields(position, column) for position, column in enumerate(batch.columns)]
        sizes = np.full(batch.rows, prefix + max(len(fields), 1), np.int64)
        for _, _, lengths in fields:
            sizes += lengths
        ends = np.cumsum(sizes)
        begins = ends - sizes
        # delimiters and breaks stand where no field does
        out = np.full(int(ends[-1]) if len(ends) else 0, ord(self._format.delimiter), np.uint8)
        out[ends - 1] = ord("\n")
        places = begins + prefix
        for content, starts, lengths in fields:
            kernels.scatter_bytes(out, places, content, starts, lengths)
            places = places + (lengths + 1)
        return out, begins, sizes

    def trailer(self) -> bytes:
        """Nothing."""
        return b""

    def _fields(self, position: int, column: Column) -> Fields:
        """The column's fields as they stand in the lines, each distinct value of a coded one made once."""
        content, starts, lengths = fields_by_value(column, partial(self._written, position))
        missing = lengths < 0
        if not missing.any():
            return content, starts, lengths
        null = np.frombuffer(self._format.null.encode(), np.uint8)
        starts, lengths = np.where(missing, len(content), starts), np.where(missing, len(null), lengths)
        return np.concatenate([content, null]), starts, lengths

    def _written(self, position: int, column: Column) -> Fields:
        """The fields of values; a length of -1 is a null."""
        values = forms.text_of(column, self._style).values
        if not (self._csv and position in self._format.force_quote) and not self._odd(values):
            return arrow_fields(values)
        return arrow_fields(self._quoted(position, values) if self._csv else self._escaped(values))

    def _odd(self, values: pa.Array) -> bool:
        """Whether any text may have to be quoted or escaped: most columns hold none, and a look is cheap."""
        format = self._format
        content, starts, lengths = arrow_fields(values)
        if not len(starts):
            return False
        content = content[starts[0] : starts[-1] + max(int(lengths[-1]), 0)]
        special = (
            f"{format.delimiter}{format.quote}\n\r" if self._csv else f"{format.delimiter}\\\b\f\n\r\t\v"
        )
        if self._csv and len(format.columns) == 1:
            special += "\\"
        if any(kernels.count_byte(content, ord(char)) for char in special):
            return True
        return self._csv and bool((lengths == len(format.null.encode())).any())

    def _escaped(self, values: pa.Array) -> pa.Array:
        values = pc.replace_substring(values, "\\", "\\\\")
        for char, letter in (("\b", "b"), ("\f", "f"), ("\n", "n"), ("\r", "r"), ("\t", "t"), ("\v", "v")):
            values = pc.replace_substring(values, char, "\\" + letter)
        if self._format.delimiter not in "\b\f\n\r\t\v":
            values = pc.replace_substring(values, self._format.delimiter, "\\" + self._format.delimiter)
        return values

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
        return pc.if_else(needs.fill_null(False), quoted, values)
