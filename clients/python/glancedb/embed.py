"""From pictures to feature vectors: Pillow on threads, onnxruntime in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from glancedb import images

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Embedded:
    """One file's feature vector, or why there is none."""

    path: Path
    vector: Vectors | None
    error: str = ""


class Embedder:
    """An image model: ONNX with one input, uint8 [N, side, side, 3] or float32 [N, 3, side, side].

    A float32 input is given RGB scaled to 0..1. The first output, flattened to a row a picture and scaled
    to length 1, is the feature vector.
    """

    def __init__(self, model: Path, threads: int | None = None, batch: int = 16) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._threads = threads or os.cpu_count() or 1
        self._batch = batch
        first = self._session.get_inputs()[0]
        self._input, self._kind = first.name, first.type
        sizes = [n for n in first.shape[1:] if isinstance(n, int) and n > 3]
        if len(first.shape) != 4 or not sizes:
            raise ValueError(f"{model}: input {first.name} {first.shape} is not a batch of pictures")
        self.side: int = sizes[0]
        self._channels_first = first.shape[1] == 3
        self.dimensions: int = self.vectors(np.zeros((1, self.side, self.side, 3), np.uint8)).shape[1]

    def vectors(self, pictures: npt.NDArray[np.uint8]) -> Vectors:
        """(N, side, side, 3) uint8 to (N, dimensions) float32 of length 1."""
        feed: npt.NDArray[np.generic] = pictures
        if self._kind == "tensor(float)":
            feed = pictures.astype(np.float32) / np.float32(255)
        if self._channels_first:
            feed = np.ascontiguousarray(feed.transpose(0, 3, 1, 2))
        output = np.asarray(self._session.run(None, {self._input: feed})[0], np.float32)
        output = output.reshape(len(pictures), -1)
        norms = np.linalg.norm(output, axis=1, keepdims=True)
        return np.ascontiguousarray(output / np.maximum(norms, 1e-12))

    def picture(self, picture: Image.Image) -> Vectors:
        """One picture's feature vector."""
        vectors = self.vectors(images.crop(picture, self.side)[None])
        return vectors.reshape(-1)

    def file(self, path: Path) -> Vectors:
        """One file's feature vector. Raises OSError for a file that is no picture."""
        vectors = self.vectors(images.read(path, self.side)[None])
        return vectors.reshape(-1)

    def files(self, paths: Iterable[Path]) -> Iterator[Embedded]:
        """The files' vectors in order, decoded ahead on threads. Broken files come with their error."""
        with ThreadPoolExecutor(self._threads) as pool:
            waiting = iter(paths)
            ahead = [(path, pool.submit(images.read, path, self.side)) for path in islice(waiting, 64)]
            while ahead:
                group, ahead = ahead[: self._batch], ahead[self._batch :]
                more = islice(waiting, len(group))
                ahead += [(path, pool.submit(images.read, path, self.side)) for path in more]
                yield from self._group(group)

    def _group(self, group: Sequence[tuple[Path, Future[npt.NDArray[np.uint8]]]]) -> Iterator[Embedded]:
        pictures, failures = [], {}
        for path, future in group:
            try:
                pictures.append(future.result())
            except OSError as error:
                failures[path] = str(error)
        vectors = iter(self.vectors(np.stack(pictures)) if pictures else ())
        for path, _ in group:
            if path in failures:
                yield Embedded(path, None, failures[path])
            else:
                yield Embedded(path, next(vectors))
