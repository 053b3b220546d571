"""Numerics as units: whole numbers that count 10^-scale, for values of one scale that fit int64."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.types import NUMERIC, Type, numeric_modifier

Units = npt.NDArray[np.int64]
Objects = npt.NDArray[Any]

MAX_SCALE = 18
"""The finest scale that units are kept at."""
_DIGITS = 18  # a numeric(p, s) of so many digits fits int64 whatever its values
_EXACT = Context(prec=64)


def is_narrow(type: Type) -> bool:
    """Whether every number of the type counts in int64 units: numeric(p, s) with p and s up to 18."""
    if type.oid != NUMERIC.oid or type.modifier == -1:
        return False
    precision, scale = numeric_modifier(type)
    return precision <= _DIGITS and 0 <= scale <= MAX_SCALE


def objects_of(units: Units, scale: int) -> Objects:
    """Units as Decimals."""
    values = np.empty(len(units), object)
    values[:] = [Decimal(unit).scaleb(-scale, _EXACT) for unit in units.tolist()]
    return values


def units_of(values: Objects, valid: npt.NDArray[np.bool_] | None) -> tuple[Units, int] | None:
    """(units, scale) of Decimals; None where they have not all one scale, or one does not fit."""
    there = values if valid is None else values[valid]
    if not len(there):
        return None
    exponent = there[0].as_tuple().exponent
    if not isinstance(exponent, int) or not -MAX_SCALE <= exponent <= 0:
        return None
    found = [value.as_tuple() for value in there.tolist()]
    if any(value.exponent != exponent or len(value.digits) > _DIGITS for value in found):
        return None
    units = np.zeros(len(values), np.int64)
    units[slice(None) if valid is None else valid] = [
        int(value.scaleb(-exponent, _EXACT)) for value in there.tolist()
    ]
    return units, -exponent
