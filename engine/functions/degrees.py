"""Trigonometric functions of degrees, exact where the degrees are: sind(30) is 0.5.

As PostgreSQL does it: angles are brought into the first quadrant, and each half of it is scaled by the value
that the C library gives for its end, so that rounding cancels there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.functions.registry import scalar
from storage.column import Array, Column
from storage.errors import NumericValueOutOfRange
from storage.types import FLOAT8

_RADIANS = np.pi / 180.0
_SIN_30 = np.sin(30.0 * _RADIANS)
_UP_TO_60 = 1.0 - np.cos(60.0 * _RADIANS)
_ASIN_HALF, _ACOS_HALF, _ATAN_1 = np.arcsin(0.5), np.arccos(0.5), np.arctan(1.0)


def _small_sine(x: Array) -> Array:
    """Up to 30 degrees."""
    sine: Array = np.sin(x * _RADIANS) / _SIN_30 / 2.0
    return sine


def _large_cosine(x: Array) -> Array:
    """Up to 60 degrees."""
    cosine: Array = 1.0 - (1.0 - np.cos(x * _RADIANS)) / _UP_TO_60 / 2.0
    return cosine


def _sine(x: Array) -> Array:
    """In the first quadrant."""
    return np.where(x <= 30, _small_sine(x), _large_cosine(90.0 - x))


def _cosine(x: Array) -> Array:
    return np.where(x <= 60, _large_cosine(x), _small_sine(90.0 - x))


_TAN_45 = float(_sine(np.float64(45.0)) / _cosine(np.float64(45.0)))  # type: ignore[arg-type]
_COT_45 = float(_cosine(np.float64(45.0)) / _sine(np.float64(45.0)))  # type: ignore[arg-type]


def _quadrant(x: Array) -> tuple[Array, Array, Array, Array]:
    """(the angle in the first quadrant, whether it was negative, beyond 180, then beyond 90 degrees)."""
    turned = np.fmod(x, 360.0)
    negative = turned < 0
    turned = np.abs(turned)
    beyond = turned > 180
    turned = np.where(beyond, 360.0 - turned, turned)
    left = turned > 90
    return np.where(left, 180.0 - turned, turned), negative, beyond, left


def _sind(x: Array) -> Array:
    angle, negative, beyond, _ = _quadrant(x)
    return np.where(negative ^ beyond, -_sine(angle), _sine(angle))


def _cosd(x: Array) -> Array:
    angle, _, _, left = _quadrant(x)
    return np.where(left, -_cosine(angle), _cosine(angle))


def _tand(x: Array) -> Array:
    angle, negative, beyond, left = _quadrant(x)
    tangent = _sine(angle) / _cosine(angle) / _TAN_45
    return np.asarray(np.where(negative ^ beyond ^ left, -tangent, tangent) + 0.0)


def _cotd(x: Array) -> Array:
    angle, negative, beyond, left = _quadrant(x)
    cotangent = _cosine(angle) / _sine(angle) / _COT_45
    return np.asarray(np.where(negative ^ beyond ^ left, -cotangent, cotangent) + 0.0)


def _asin(x: Array) -> Array:
    """Of 0 to 1."""
    small, large = np.arcsin(x) / _ASIN_HALF * 30.0, 90.0 - np.arccos(x) / _ACOS_HALF * 60.0
    return np.asarray(np.where(x <= 0.5, small, large))


def _asind(x: Array) -> Array:
    return np.where(x >= 0, _asin(np.abs(x)), -_asin(np.abs(x)))


def _acosd(x: Array) -> Array:
    positive = np.where(x <= 0.5, 90.0 - np.arcsin(x) / _ASIN_HALF * 30.0, np.arccos(x) / _ACOS_HALF * 60.0)
    return np.asarray(np.where(x >= 0, positive, 90.0 + _asin(np.abs(x))))


def _atand(x: Array) -> Array:
    angle: Array = np.arctan(x) / _ATAN_1 * 45.0
    return angle


def _declare(name: str, function: Callable[[Array], Array], within: float, doc: str) -> None:
    @scalar(name, [FLOAT8], FLOAT8)
    def degrees(column: Column) -> Column:
        values = column.values
        if (np.abs(values) > within).any():
            raise NumericValueOutOfRange("input is out of range")
        with np.errstate(all="ignore"):
            return Column(FLOAT8, np.asarray(function(values), np.float64))

    degrees.__doc__ = doc


_FINITE = np.finfo(np.float64).max
_declare("sind", _sind, _FINITE, "Sine of degrees.")
_declare("cosd", _cosd, _FINITE, "Cosine of degrees.")
_declare("tand", _tand, _FINITE, "Tangent of degrees.")
_declare("cotd", _cotd, _FINITE, "Cotangent of degrees.")
_declare("asind", _asind, 1.0, "The angle in degrees whose sine this is.")
_declare("acosd", _acosd, 1.0, "The angle in degrees whose cosine this is.")
_declare("atand", _atand, np.inf, "The angle in degrees whose tangent this is.")


@scalar("atan2d", [FLOAT8, FLOAT8], FLOAT8)
def atan2d(y: Column, x: Column) -> Column:
    """The angle in degrees of a point."""
    return Column(FLOAT8, np.arctan2(y.values, x.values) / _ATAN_1 * 45.0)


@scalar("atanh", [FLOAT8], FLOAT8)
def atanh(column: Column) -> Column:
    """Inverse hyperbolic tangent."""
    if (np.abs(column.values) > 1).any():
        raise NumericValueOutOfRange("input is out of range")
    found = [value * math.inf if abs(value) == 1 else math.atanh(value) for value in column.values.tolist()]
    return Column(FLOAT8, np.array(found, np.float64))
