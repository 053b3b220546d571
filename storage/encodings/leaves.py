"""Leaves: the encodings that hold no others, and the choice of the smallest of some encodings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from storage.column import Column
from storage.encodings.base import Bytes, Encoded, Encoding
from storage.encodings.blocks import Blocks
from storage.encodings.deltas import Deltas
from storage.encodings.floats import Floats
from storage.encodings.frames import Frames
from storage.encodings.plain import Plain
from storage.segments.coded import written_out
from storage.types import Type

LEAVES: tuple[type[Encoding], ...] = (Frames, Deltas, Floats, Blocks, Plain)

BY_TAG = {encoding.tag: encoding for encoding in LEAVES}

# A sample is some stretches of neighbouring rows, so that runs and steps show.
STRETCH = 1024
STRETCHES = 16
SAMPLE_BYTES = 8 << 20


def encode(column: Column) -> Encoded:
    """The column in the leaf that makes it smallest."""
    return smallest(column, LEAVES)


def read(type: Type, described: dict[str, Any], buffers: Sequence[Bytes]) -> Encoded:
    """What base.describe tells of."""
    return BY_TAG[described["encoding"]].read(type, described["head"], buffers[: described["buffers"]])


def smallest(column: Column, encodings: Sequence[type[Encoding]]) -> Encoded:
    """The column, which holds no nulls, in the encoding that makes it smallest, weights counted.

    Long columns are judged by a sample; of two encodings that are equally small the earlier wins. The
    last one fits every column.
    """
    if len(column) <= 2 * STRETCH * STRETCHES:
        column = written_out(column)
        answers = [answer for encoding in encodings if (answer := encoding.encode(column)) is not None]
        weights = {encoding.tag: encoding.weight for encoding in encodings}
        return min(answers, key=lambda encoded: encoded.nbytes * weights[encoded.tag])
    sample = written_out(sampled(column))
    ranking = []
    for place, encoding in enumerate(encodings):
        estimate = encoding.estimate(sample, len(column))
        if estimate is not None:
            ranking.append((estimate * encoding.weight, place, encoding))
    ranking.sort(key=lambda ranked: ranked[:2])
    for (_, _, encoding), (following, _, other) in zip(ranking, [*ranking[1:], ranking[-1]], strict=True):
        encoded = encoding.encode(column)
        if encoded is None:
            continue
        if encoded.nbytes * encoding.weight > following and other is not encoding:
            # the sample was wrong about this one
            second = other.encode(column)
            if second is not None and second.nbytes * other.weight < encoded.nbytes * encoding.weight:
                return second
        return encoded
    raise AssertionError("no encoding fits")


def sampled(column: Column) -> Column:
    """Up to STRETCHES stretches of a long column, fewer of wide rows."""
    room = SAMPLE_BYTES // (STRETCH * max(column.nbytes // len(column), 1))
    starts = np.linspace(0, len(column) - STRETCH, min(max(room, 1), STRETCHES)).astype(np.int64)
    return column.take((starts[:, None] + np.arange(STRETCH)).reshape(-1))
