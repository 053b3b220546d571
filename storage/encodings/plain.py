"""Plain: the values as they are. Numpy forms are one buffer, Arrow forms one Arrow stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from storage import codec
from storage.batch import Batch
from storage.column import Column, Mask, Positions
from storage.encodings.base import Bytes, compare, flat
from storage.order import is_integer
from storage.predicate import Comparison
from storage.segments.coded import written_out
from storage.types import Form, Type


class Plain:
    """Any column."""

    tag: ClassVar[str] = "plain"
    weight: ClassVar[float] = 1.0

    def __init__(self, column: Column) -> None:
        self._column = column

    @property
    def nbytes(self) -> int:
        """See Encoded; an Arrow stream's own head is not counted."""
        if self._column.type.form is Form.DECIMAL:
            return 8 * len(self._column) + sum(len(str(value)) for value in self._column.values)
        return self._column.nbytes

    def decode(self, start: int, stop: int, rows: Positions | None) -> Column:
        """See Encoded."""
        column = self._column.slice(start, stop)
        return column if rows is None else column.take(rows)

    def item(self, row: int) -> Any:
        """See Encoded."""
        return self._column.item(row)

    def select(self, op: Comparison, value: Any, start: int, stop: int) -> Mask | None:
        """See Encoded."""
        type = self._column.type
        if type.form is not Form.FIXED or self._column.values.dtype.names:
            return None
        return compare(self._column.values[start:stop], op, value)

    @property
    def exact(self) -> bool:
        """See Encoded."""
        return is_integer(self._column.type)

    def head(self) -> dict[str, Any]:
        """See Encoded."""
        if self._numpy:
            return {"shape": list(self._column.values.shape)}
        return {}

    @property
    def _numpy(self) -> bool:
        return self._column.type.form in (Form.FIXED, Form.ROWS)

    def buffers(self) -> Sequence[Bytes]:
        """See Encoded."""
        if self._numpy:
            return [flat(self._column.values)]
        return [np.frombuffer(codec.encode_batch(Batch.of(self._column)), np.uint8)]

    @classmethod
    def encode(cls, column: Column) -> Plain:
        """See Encoding."""
        return cls(written_out(column))

    @classmethod
    def estimate(cls, sample: Column, rows: int) -> float:
        """See Encoding."""
        return cls(sample).nbytes * rows / max(len(sample), 1)

    @classmethod
    def read(cls, type: Type, head: dict[str, Any], buffers: Sequence[Bytes]) -> Plain:
        """See Encoding."""
        if "shape" in head:
            assert type.dtype is not None
            return cls(Column(type, buffers[0].view(type.dtype).reshape(head["shape"])))
        return cls(codec.decode_batch((type,), buffers[0].data).columns[0])
