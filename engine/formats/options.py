"""What COPY is told, and the seams of its readers and writers.

A reader takes bytes cut anywhere: `feed` gives the batches that are complete, `finish` the rest. A writer
gives `header()`, the bytes of each batch, `trailer()`. Errors carry PostgreSQL's context line:
`COPY t, line 3, column a: "x"`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from storage.batch import Batch
from storage.types import Type


@dataclass(frozen=True, slots=True)
class CopyFormat:
    """COPY's options, checked: see PostgreSQL's COPY. `columns` are the types, in order."""

    format: Literal["text", "csv", "binary", "parquet"]
    columns: tuple[Type, ...]
    names: tuple[str, ...] = ()
    delimiter: str = "\t"
    null: str = "\\N"
    header: Literal["", "true", "match"] = ""
    quote: str = '"'
    escape: str = '"'
    force_quote: frozenset[int] = frozenset()
    force_not_null: frozenset[int] = frozenset()
    force_null: frozenset[int] = frozenset()
    table: str = ""  # for the context line of errors


class Source(Protocol):
    """Where batches come from."""

    def locate(self, row: int, shown: bool) -> str:
        """The context of an error about a row of the batch that was given last, its text `shown` or not."""


class Reader(Source, Protocol):
    """COPY ... FROM in text, csv and binary."""

    def feed(self, data: bytes) -> Iterator[Batch]: ...

    def finish(self) -> Iterator[Batch]: ...

    @property
    def where(self) -> str:
        """The line or row that would come next, as the context of an error."""


class Writer(Protocol):
    """COPY ... TO."""

    def header(self) -> bytes: ...

    def write(self, batch: Batch) -> bytes: ...

    def trailer(self) -> bytes: ...
