"""The table of encodings, and the choice of the smallest."""

from __future__ import annotations

from storage.column import Column
from storage.encodings.base import Encoded, Encoding
from storage.encodings.bits import Bits
from storage.encodings.constant import Constant
from storage.encodings.dictionary import Dictionary
from storage.encodings.plain import Plain
from storage.encodings.runs import Runs

ENCODINGS: tuple[type[Encoding], ...] = (Constant, Runs, Bits, Dictionary, Plain)
"""Every encoding; of two that are equally small the earlier wins."""

BY_TAG: dict[str, type[Encoding]] = {encoding.tag: encoding for encoding in ENCODINGS}


def encode(column: Column) -> Encoded:
    """The column, which holds no nulls, in the encoding that makes it smallest."""
    answers = [encoding.encode(column) for encoding in ENCODINGS]
    return min((answer for answer in answers if answer is not None), key=lambda encoded: encoded.nbytes)
