"""A selector: a conjunction as the encoded columns of one segment take it, made once for many morsels.

What lies in packed blocks becomes terms, which one kernel tries together; of everything else the encoding
gives a mask. A selector holds the encoded columns that it asks, so the buffer cache is not asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from storage import kernels
from storage.column import Mask
from storage.encodings.base import Encoded, Packing
from storage.kernels.plain.terms import Term
from storage.predicate import Comparison

Loaded = tuple[Encoded, Mask | None]
"""A segment column's encoded values, and where there are values at all."""
Asked = tuple[Loaded | None, Comparison, Any]
"""A column, None where the segment does not have it, and what it is compared with."""


class Selector:
    """`exact` says that `select` is true just of the rows that meet the conjunction, None meaning all."""

    def __init__(self, conjunction: Iterable[Asked]) -> None:
        self.exact = True
        self._terms: list[Term] = []
        self._masks: list[Mask] = []
        self._others: list[tuple[Encoded, Comparison, Any]] = []
        for loaded, op, value in conjunction:
            if loaded is None:
                self.exact = False
            else:
                self._add(*loaded, op, value)

    def _add(self, encoded: Encoded, valid: Mask | None, op: Comparison, value: Any) -> None:
        if op is Comparison.IS_NULL:
            self.exact = self.exact and valid is not None
            if valid is not None:
                self._masks.append(~valid)
            return
        if valid is not None and all(valid is not mask for mask in self._masks):
            self._masks.append(valid)
        if op is Comparison.IS_NOT_NULL:
            return
        self.exact = self.exact and encoded.exact
        term = cast(Packing, encoded).term(op, value) if hasattr(encoded, "term") else None
        if term is None:
            self._others.append((encoded, op, value))
        elif not any(_narrowed(known, term) for known in self._terms):
            self._terms.append(term)

    def select(self, start: int, stop: int) -> Mask | None:
        """(stop - start,) false where the encoded form rules a row out; None: no help."""
        masks = self._masks_of(start, stop)
        if self._terms:
            out = np.empty(max(stop - start, 0), np.bool_)
            kernels.select_terms(self._terms, masks, start, out)
            return out
        if len(masks) < 2:
            return masks[0] if masks else None
        return cast(Mask, np.logical_and.reduce(masks))

    def count(self, start: int, stop: int, visible: Mask | None) -> int:
        """How many rows of start to stop the encoded form leaves, of those that are (None: all) visible."""
        masks = self._masks_of(start, stop)
        if visible is not None:
            masks.append(visible)
        return kernels.count_terms(self._terms, masks, start, stop) if self._terms or masks else stop - start

    def _masks_of(self, start: int, stop: int) -> list[Mask]:
        """What is said of rows start to stop besides the terms."""
        found = (encoded.select(op, value, start, stop) for encoded, op, value in self._others)
        masks = [mask[start:stop] for mask in self._masks]
        return [*masks, *(mask for mask in found if mask is not None)]


def _narrowed(known: Term, term: Term) -> bool:
    """Whether both are ranges of one column, which are one then."""
    if known.words is not term.words or known.bases is not term.bases:
        return False
    if not (known.inside and term.inside) or known.table is not None or term.table is not None:
        return False
    known.low, known.high = max(known.low, term.low), min(known.high, term.high)
    return True
