"""Extensions that can be made: names of what the server has by itself, for those who ask for them."""

from __future__ import annotations

from dataclasses import dataclass

from storage.types import HALFVEC, SPARSEVEC, VECTOR, Type


@dataclass(frozen=True, slots=True)
class Available:
    """An extension; its types are in schema public."""

    name: str
    version: str
    comment: str
    types: tuple[Type, ...]


AVAILABLE: dict[str, Available] = {
    extension.name: extension
    for extension in (
        Available(
            "vector",
            "0.8.6",
            "vector data type and ivfflat and hnsw access methods",
            (VECTOR, HALFVEC, SPARSEVEC),
        ),
    )
}
"""Extensions by name; `vector` is pgvector, of the version whose interface is kept."""
