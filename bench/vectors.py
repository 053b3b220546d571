"""Sets of vectors for benches: 1024 dimensions, length 1, in files that are read as they lie.

`clustered`: one cluster to eighty rows, of differing width: some queries have eighty answers at 0.9, most
have none, and every cluster's rows lie close below the threshold. `pictures`: all vectors of bench.pictures
as the model gave them, and, because packages hold no million pictures, further rows made of them: a picture's
vector mixed with up to as much of another one's of the same source, plus what an edit did to a third one,
scaled by up to 1, without negative features (the model has none), to length 1. So the mix has the photos'
spectrum and the size of real edits; how many neighbours a query has is the construction's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import pictures

Vectors = npt.NDArray[np.float32]
DIMENSIONS = 1024
QUERIES = 21
_BLOCK = 8192
_CLUSTER = 80


@dataclass(frozen=True)
class VectorSet:
    """`rows` (n, 1024) float32, read from a file; `queries` (21, 1024) float32 are none of the rows."""

    name: str
    rows: Vectors
    queries: Vectors


def made(name: str, rows: int, folder: Path) -> VectorSet:
    """The set of this name, written into the folder; the same at each call."""
    blocks, queries = SETS[name](rows)
    path = folder / f"{name}-{rows}.f32"
    with path.open("wb") as file:
        for block in blocks:
            file.write(block.tobytes())
    return VectorSet(name, np.memmap(path, np.float32, "r", shape=(rows, DIMENSIONS)), queries)


def unit(vectors: Vectors) -> Vectors:
    """(n, d) scaled to length 1, as float32."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-30)).astype(np.float32)


def _sizes(rows: int) -> Iterator[int]:
    yield from (min(_BLOCK, rows - start) for start in range(0, rows, _BLOCK))


def _clustered(rows: int) -> tuple[Iterator[Vectors], Vectors]:
    rng = np.random.default_rng(1)
    clusters = max(rows // _CLUSTER, QUERIES)
    # normal numbers are dear: every row takes its own stretch of a pool of them
    pool = rng.standard_normal(1 << 23, np.float32) / np.float32(np.sqrt(DIMENSIONS))
    stretches = np.lib.stride_tricks.sliding_window_view(pool, DIMENSIONS)
    centres, widths = rng.integers(len(stretches), size=clusters), rng.uniform(0.25, 0.6, clusters)

    def drawn(members: npt.NDArray[np.int64], rng: np.random.Generator) -> Vectors:
        noise = stretches[rng.integers(len(stretches), size=len(members))]
        return unit(stretches[centres[members]] + widths[members, None].astype(np.float32) * noise)

    queries = drawn(np.arange(QUERIES) * (clusters // QUERIES), rng)
    return (drawn(rng.integers(clusters, size=size), rng) for size in _sizes(rows)), queries


def _pictures(rows: int) -> tuple[Iterator[Vectors], Vectors]:
    rng = np.random.default_rng(2)
    found = [(versions, asked) for _, versions, asked in pictures.embeddings()]
    if not found:
        raise OSError("there are no pictures")
    asked = np.concatenate([asked for _, asked in found])
    queries = asked[rng.choice(len(asked), QUERIES, replace=len(asked) < QUERIES)]
    real = np.concatenate([versions.reshape(-1, DIMENSIONS) for versions, _ in found])
    # shuffled, so that every segment has some of each
    real = real[rng.permutation(len(real))[:rows]]
    starts = rng.permutation(rows) < len(real)
    share = np.array([len(versions) for versions, _ in found]) / sum(len(versions) for versions, _ in found)

    def blocks() -> Iterator[Vectors]:
        taken = 0
        for number, size in enumerate(_sizes(rows)):
            there = starts[number * _BLOCK : number * _BLOCK + size]
            block = _mixed(found[rng.choice(len(found), p=share)][0], size, rng)
            block[there] = real[taken : taken + int(there.sum())]
            taken += int(there.sum())
            yield block

    return blocks(), queries


def _mixed(versions: Vectors, rows: int, rng: np.random.Generator) -> Vectors:
    """See the module's text: (pictures, versions, 1024) to (rows, 1024) made of them."""
    one, other, third = rng.integers(len(versions), size=(3, rows))
    edit = rng.integers(1, versions.shape[1], rows)
    share, much = rng.uniform(0, 0.5, rows)[:, None], rng.uniform(0, 1, rows)[:, None]
    mixed = versions[one, 0] * (1 - share) + versions[other, 0] * share
    mixed += much * (versions[third, edit] - versions[third, 0])
    return unit(np.maximum(mixed, 0))


SETS: dict[str, Callable[[int], tuple[Iterator[Vectors], Vectors]]] = {
    "clustered": _clustered,
    "pictures": _pictures,
}
