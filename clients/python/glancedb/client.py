"""The client: a connection to GlanceDB that loads feature vectors and finds the rows like one.

A table of pictures holds one row a file:

    id bigint AUTO_INCREMENT, path text, digest text (of the file's bytes), image binary(4 * dimensions)

`image` is the little-endian float32 feature vector, so DOT_PRODUCT(image, $1) of two vectors of length 1
is the cosine of the angle between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

USER = DATABASE = "glancedb"
PORT = 5454
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_COPY_ROWS = 2048


@dataclass(frozen=True)
class Found:
    """A row like the one asked for: what the table calls it, and its score."""

    id: int
    name: str
    score: float


@dataclass(frozen=True)
class Item:
    """A picture to load."""

    path: str
    digest: str
    vector: Vectors


def quote(name: str) -> str:
    """A name as SQL spells it, part by part: public.my table -> "public"."my table"."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def digest(path: Path) -> str:
    """What tells one file's content from another's."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Client:
    """A connection. `connection` is asyncpg's own, for any other SQL."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self.connection.close()

    async def create(self, table: str, dimensions: int) -> None:
        """Create a table of pictures unless it is there."""
        await self.connection.execute(
            f"CREATE TABLE IF NOT EXISTS {quote(table)} (id bigint NOT NULL AUTO_INCREMENT, "
            f"path text NOT NULL, digest text NOT NULL, image binary({4 * dimensions}), SORT KEY (id))"
        )

    async def digests(self, table: str) -> dict[str, str]:
        """The digest of each path in a table of pictures."""
        rows = await self.connection.fetch(f"SELECT path, digest FROM {quote(table)}")
        return {row["path"]: row["digest"] for row in rows}

    async def load(self, table: str, items: Sequence[Item]) -> None:
        """Add pictures, each replacing the row of its path, in one transaction."""
        async with self.connection.transaction():
            await self.connection.execute(
                f"DELETE FROM {quote(table)} WHERE path = ANY($1)", [item.path for item in items]
            )
            await self.connection.copy_records_to_table(
                table.split(".")[-1],
                schema_name=table.split(".")[0] if "." in table else None,
                columns=["path", "digest", "image"],
                records=[(item.path, item.digest, item.vector.tobytes()) for item in items],
            )

    async def copy_vectors(
        self, table: str, vectors: AsyncIterator[Vectors] | Iterable[Vectors], column: str = "image"
    ) -> None:
        """Binary COPY of blocks of vectors, (rows, dimensions) float32, into one column of a table."""

        async def stream() -> AsyncIterator[bytes]:
            yield _COPY_HEADER
            if isinstance(vectors, AsyncIterator):
                async for block in vectors:
                    for part in _copy_parts(block):
                        yield part
            else:
                for block in vectors:
                    for part in _copy_parts(block):
                        yield part
            yield _COPY_END

        schema, _, name = table.rpartition(".")
        await self.connection.copy_to_table(
            name, source=stream(), columns=[column], schema_name=schema or None, format="binary"
        )

    async def find(
        self,
        table: str,
        vector: Vectors,
        *,
        above: float | None = None,
        top: int | None = None,
        column: str = "image",
    ) -> list[Found]:
        """The rows whose dot product with `vector` is above a threshold, or the `top` best; best first."""
        label = "path" if await self._has_column(table, "path") else "id::text"
        score = f"DOT_PRODUCT({quote(column)}, $1)"
        where = f" WHERE {score} > {float(above)!r}" if above is not None else ""
        limit = f" LIMIT {int(top)}" if top is not None else ""
        rows = await self.connection.fetch(
            f"SELECT id, {label} AS name, {score} AS score FROM {quote(table)}{where} "
            f"ORDER BY {score} DESC{limit}",
            np.ascontiguousarray(vector, "<f4").tobytes(),
        )
        return [Found(row["id"], row["name"], row["score"]) for row in rows if row["score"] is not None]

    async def back_up(self, folder: Path) -> asyncpg.Record:
        """Back the database up into a folder of the server's machine: files, bytes, copied, copied_bytes."""
        text = str(folder.absolute()).replace("'", "''")
        return await self.connection.fetchrow(f"BACKUP DATABASE TO '{text}'")

    async def _has_column(self, table: str, column: str) -> bool:
        schema, _, name = table.rpartition(".")
        found = await self.connection.fetchval(
            "SELECT count(*) FROM information_schema.columns "
            "WHERE table_name = $1 AND column_name = $2 AND table_schema = coalesce($3, current_schema())",
            name,
            column,
            schema or None,
        )
        return bool(found)


def _copy_parts(vectors: Vectors) -> Iterable[bytes]:
    """Binary COPY's rows of one column each: count 1, length, bytes; built by numpy, not row by row."""
    width = vectors.shape[1] * 4
    row = np.dtype([("fields", ">i2"), ("length", ">i4"), ("value", "<f4", (vectors.shape[1],))])
    for start in range(0, len(vectors), _COPY_ROWS):
        block = vectors[start : start + _COPY_ROWS]
        rows = np.empty(len(block), row)
        rows["fields"], rows["length"], rows["value"] = 1, width, block
        yield rows.tobytes()


async def connect(
    host: str = "127.0.0.1",
    port: int = PORT,
    user: str = USER,
    password: str | None = None,
    database: str = DATABASE,
    **options: Any,
) -> Client:
    """Connect; `options` are asyncpg.connect's."""
    connection = await asyncpg.connect(
        host=host, port=port, user=user, password=password, database=database, **options
    )
    return Client(connection)
