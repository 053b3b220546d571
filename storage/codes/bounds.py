"""Bounds of a score from a row's sign code, and the proof that they hold in floating point.

**The mathematics.** x is a row, q the query, both rotated by an orthogonal R into m dimensions (which keeps
products and norms); d is the cell's centroid, any vector, z = x - d and p = q - d. Then

    q.x = q.d + d.z + p.z            |q - x|^2 = P^2 + N^2 - 2 p.z          |x|^2 = |d|^2 + 2 d.z + N^2

with P = |p|, N = |z|. Let u be a unit vector that the row's code stands for, s / sqrt m with s the signs of z
or v / |v| with the digits v of more planes; k = z.u / N the cosine of the angle between z and u, and
beta = p.u / P that between p and u. The angle between p and z is at least the difference and at most the sum
of the two, so

    k beta - S <= p.z / (N P) <= k beta + S,            S = sqrt((1 - k^2) (1 - beta^2))

k and N are factors of the row. beta is known only within an interval J = [b - delta, b + delta], because the
query is rounded to a few bit planes: p is replaced by p~, whose digits are odd multiples of a step, which
makes p~.u a matter of XOR and popcount, and |p.u - p~.u| <= |p - p~|_1 / sqrt m = delta P, each |u_i| being
1 / sqrt m (for digits: <= |p - p~|_2). As a function of beta the right side is cos(phi - phi*), with one
peak, at beta = k. Its largest value over J is therefore at v = k clamped to J: **not** at an end of J.
(Taking b + delta puts the "upper bound" below the truth whenever the row is near the query: for a query equal
to a row, always.) Likewise the least value of the left side over J is at -k clamped to J. J need not be cut
to [-1, 1]: the true beta lies in both, so v lies between -1 and 1 whenever k does.

**Rounding.** unit = 2^-24, the largest relative error of a float32 operation. Factors are stored in float32:
N, k and c = d.z, each within 1 unit (k absolutely) of the float64 value. The kernel computes in float32

    U = A c + N (P (k v + sqrt((E - k k) (E - v v))) + G + B N) - T X,      E = 1 + 2^-20

and the lower value with the sign of the root, of G and of the slack of B and X turned round.

1. b. The count is an integer below m 2^bits <= 2^22, exact in float32; b = k0 - k1 count has numbers up to
   2 k0, rounded five times, so it is within 8 units (1 + k0); delta is widened by 2^-20 (1 + k0), 16 units,
   and rounded up. J as computed holds the true beta.
2. v. k is within 1 unit, so the clamped v is, too, or nearer. If v moves by epsilon, the peak falls by at
   most epsilon: with k = cos phi*, v = cos phi, epsilon >= |cos phi - cos phi*| = 2 sin((phi + phi*) / 2)
   |sin((phi - phi*) / 2)| >= 2 sin^2((phi - phi*) / 2) = 1 - cos(phi - phi*). Where v is an end of J both
   before and after, J is the same. So this costs N P units.
3. The root. E is 16 units above 1; E - k k as computed differs by rounding by at most 3 units, and by 2
   because k was rounded, so it is above the true 1 - k^2 by 8 units at least, as a ratio, too, as that is
   at most 1. The same for v. The product and the root lose 1 unit each: the root is never below the true one.
   For the lower value the root is subtracted: the same holds.
4. k v is within 2 units, the sum within 1, P and N within 1 each, two products with 1 each: 7 units N P. The
   sum with G and B N: 1 unit of its parts, and again with N: in all below 12 units (N P + N G + |B| N^2).
5. c is within 1 unit of |d| N, the sum with it within 1 unit of |d| N + N P: 3 units |d| N.

So G = 2^-19 (P + |d|) (32 units) covers 2 to 5, for the distances with B = -1/2 -+ 2^-20 (16 units of N^2).
The error of every row is measured by its own norm: one long row blinds nobody but itself.

6. Float64. R is applied with an error of at most (log2 m + 2) 2^-53 of a vector's norm a transform, sums of m
   terms with at most m 2^-53: for m <= 2^14 all is below 2^-38 of |q| |x| <= |q| |d| + N (P + |d|). The same
   covers the score's reference (products summed in float64 in any order) and a threshold rewritten in
   float64 by whoever asks (1 - similarity for a distance). The N part is in G; the rest is in g below. For
   distances the vectors q - x as computed and as they are differ by epsilon = 2^-38 (|q| + |x|), the squares
   by 2 |q - x| epsilon + epsilon^2: P^2, P |d| and 2^-36 |d|^2 are in g, what has an N is in G and B.
7. Cosine. q.x > t |q| |x| is tested with X a bound of |x|, X^2 = E1 |d|^2 + 2 c + E1 N^2, E1 = 1 -+ 2^-19, 0
   if that is below 0. Rounding costs at most 8 units (|d|^2 + N^2), E1 gives 32, and |x|^2 is at most
   2 (|d|^2 + N^2): X is off by 6 units of |x| to the safe side, of which its root, T, T X and its subtraction
   cost 4. A vector of zeros is never decided: its q.x and |x| are 0, so U >= 0 >= L hold for any threshold.
   X^2 is moved by 2^-120 as well, as its parts may underflow.
8. The threshold t becomes limits of U and L in float64, moved by g = 2^-36 (sizes of what was added) +
   2^-120 (1 + P), and is rounded away to float32. 2^-120 covers underflow: rows and queries are below 2^60,
   and a norm or |q| is 0 or at least 2^-100, so that its float32 is right.
9. The digits of more planes are tested in float64 with the same constants: b = (k0 - k1 count) / |v|, with
   1 / |v| within 1 unit, and delta is widened by 2^-19; all else is as above, with less rounding.

A row is dropped where U is below its limit, and taken where L is above: strictly, so that > and >= need not
be told apart; equality is left to the score itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import numpy.typing as npt

from storage import kernels
from storage.codes.metric import Metric, Question, near
from storage.kernels.plain import promises
from storage.kernels.plain import signs as form
from storage.kernels.plain.rotation import PLANES
from storage.predicate import Comparison

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int32]

_LOOSE = 2.0**-20
_GUARD = 2.0**-19
_EXACT = 2.0**-36
_UNDERFLOW = 2.0**-120
_MOST_SINGLE = float(np.finfo(np.float32).max)
_LEAST_NORM = 2.0**-60
"""A p shorter than this has no digits: its beta may be anything."""


@dataclass(frozen=True, slots=True)
class Digits:
    """p in a few bits: beta lies within `delta` of `start - slope * count`."""

    planes: Words
    """(W, bits)."""
    start: np.float32
    slope: np.float32
    delta: np.float32
    deep: Floats
    """(PLANES + 1, 3) float64, of the code of so many planes of a row: beta lies within the last of
    (the first - the second * count) / |v|."""

    @classmethod
    def of(cls, turned: Floats, norm: float, bits: int) -> Digits:
        """(m,) p and its norm."""
        planes, step, error, distance = kernels.quantise(turned, bits)
        m = len(turned)
        if norm < _LEAST_NORM:
            blind = np.tile([0.0, 0.0, 2.0], (PLANES + 1, 1))
            return cls(planes, np.float32(0), np.float32(0), np.float32(2), blind)
        unit = step / (sqrt(m) * norm)
        start = np.float32(unit * m * ((1 << bits) - 1))
        delta = error / (sqrt(m) * norm) + _LOOSE * (1 + float(start))
        tops = (np.exp2(np.arange(PLANES + 1)) - 1) * ((1 << bits) - 1)
        deep = np.empty((PLANES + 1, 3))
        deep[:, 0] = tops * (m * step / norm)
        deep[:, 1] = 2 * step / norm
        deep[:, 2] = distance / norm + 2 * _LOOSE
        return cls(planes, start, np.float32(2 * unit), _up(delta), deep)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A question seen from one centroid."""

    question: Question
    norm: float
    """P."""
    centroid: float
    """|d|."""
    offset: float
    """q.d."""
    coarse: Digits
    fine: Digits

    @classmethod
    def of(cls, question: Question, centroid: Singles) -> Frame:
        """The question seen from a (m,) centroid."""
        wide = centroid.astype(np.float64)
        turned = question.rotated - wide
        norm, length = sqrt(float(turned @ turned)), sqrt(float(wide @ wide))
        coarse, fine = (Digits.of(turned, norm, bits) for bits in (form.COARSE, form.FINE))
        return cls(question, norm, length, float(question.rotated @ wide), coarse, fine)

    def constants(self, op: Comparison, threshold: float) -> Singles:
        """(CONSTANTS,) float32 of `score op threshold`, a finite threshold. Raises nothing."""
        question = self.question
        metric = question.metric
        if metric is Metric.COSINE:
            # distances are 0 to 2: what is beyond may as well be nearer
            threshold = min(max(threshold, -1.0), 3.0)
        sign = 1.0 if near(metric, op) else -1.0
        drop, take = _limits(self, threshold, sign)
        guard = _GUARD * (self.norm + self.centroid)
        square = -sign / 2 if metric in DISTANCES else 0.0
        length = sign * (1 - threshold) * question.norm if metric is Metric.COSINE else 0.0
        values = []
        for digits in (self.coarse, self.fine):
            values += [sign * float(digits.start), sign * float(digits.slope), float(digits.delta)]
        values += [self.norm, 0.0 if metric in DISTANCES else sign]
        for root, limit in ((1.0, drop), (-1.0, take)):
            loose = 1 - root * (1 if length >= 0 else -1) * _GUARD
            slack = square + root * _LOOSE if square else 0.0
            least = loose * self.centroid**2 + (loose - 1) / _GUARD * _UNDERFLOW
            values += [root * guard, slack, length, least, loose, limit]
        return np.array(values, np.float32)

    def guesses(self, sign: float) -> Singles:
        """(GUESSES,) float32 of storage.kernels.plain.promises; `sign` -1 where far rows promise most."""
        metric, away = self.question.metric, self.question.metric in DISTANCES
        values = [0.0] * promises.GUESSES
        values[promises.GUESS_START] = sign * self.norm * float(self.coarse.start)
        values[promises.GUESS_SLOPE] = sign * self.norm * float(self.coarse.slope)
        values[promises.GUESS_CENTRE] = 0.0 if away else sign
        values[promises.GUESS_SQUARE] = -sign / 2 if away else 0.0
        values[promises.GUESS_OFFSET] = sign * (-self.norm * self.norm / 2 if away else self.offset)
        values[promises.GUESS_LENGTH] = self.centroid**2 if metric is Metric.COSINE else -1.0
        return np.array(values, np.float32)


DISTANCES = (Metric.L2, Metric.L1)


def _up(value: float) -> np.float32:
    """The least float32 that is not less."""
    if abs(value) > _MOST_SINGLE:
        return np.float32(inf if value > 0 else -_MOST_SINGLE)
    single = np.float32(value)
    return single if float(single) >= value else np.nextafter(single, np.float32(inf))


def _down(value: float) -> np.float32:
    return -_up(-value)


def _limits(frame: Frame, threshold: float, sign: float) -> tuple[float, float]:
    """What U must reach for a row to stay, and L must pass for it to be sure: float32 values."""
    p, c, q, t = frame.norm, frame.centroid, frame.question.norm, threshold
    tiny = _UNDERFLOW * (1 + p)
    match frame.question.metric:
        case Metric.DOT:
            reach = keep = sign * (t - frame.offset)
            slack = _EXACT * (q * c + abs(t)) + tiny
        case Metric.COSINE:
            reach = keep = -sign * frame.offset
            slack = _EXACT * (1 + abs(1 - t)) * q * c + tiny
        case Metric.L2 | Metric.L1:
            reach, keep = (_squared(p, t), _squared(p, t))
            if frame.question.metric is Metric.L1:
                # |x|_2 <= |x|_1 <= sqrt n |x|_2
                short = _squared(p, t / sqrt(frame.question.dimensions))
                reach, keep = (reach, short) if sign > 0 else (short, reach)
            reach, keep = sign * reach, sign * keep
            slack = _EXACT * (p * p + p * c + t * t + _EXACT * c * c) + tiny
    return float(_down(reach - slack)), float(_up(keep + slack))


def _squared(p: float, t: float) -> float:
    """What p.z - N^2 / 2 is compared with for |q - x| against t; beyond all where t < 0."""
    return inf if t < 0 else (p * p - t * t) / 2


def intervals(frame: Frame, beta: Floats, delta: float, factors: Singles) -> tuple[Floats, Floats]:
    """(rows,) float64 bounds of the score: beta within delta, and (3, rows) factors: norm, cosine, centre."""
    question = frame.question
    p, c, q = frame.norm, frame.centroid, question.norm
    norms, cosines, centres = factors.astype(np.float64)
    guard = norms * (_GUARD * (p + c)) + _UNDERFLOW * (1 + p)

    def product(root: float) -> Floats:
        """A bound of p.z."""
        v = np.minimum(np.maximum(root * cosines, beta - delta), beta + delta)
        spread = np.sqrt((1 + _LOOSE - cosines**2) * (1 + _LOOSE - v * v))
        bound: Floats = norms * p * (cosines * v + root * spread) + root * guard
        return bound

    high, low = product(1.0), product(-1.0)
    if question.metric in DISTANCES:
        slack = 2 * _LOOSE * norms**2 + _EXACT * (p * p + p * c + _EXACT * c * c) + _UNDERFLOW
        near_, far = p * p + norms**2 - 2 * high - slack, p * p + norms**2 - 2 * low + slack
        least, most = np.sqrt(np.maximum(near_, 0)), np.sqrt(np.maximum(far, 0))
        if question.metric is Metric.L1:
            most = most * sqrt(question.dimensions)
        return least * (1 - _EXACT), most * (1 + _EXACT)
    slack = _EXACT * q * c
    low, high = low + frame.offset + centres - slack, high + frame.offset + centres + slack
    if question.metric is Metric.DOT:
        return low, high
    return _distances(low, high, q, c, norms, centres)


def _distances(
    low: Floats, high: Floats, q: float, c: float, norms: Floats, centres: Floats
) -> tuple[Floats, Floats]:
    """Bounds of the cosine distance from those of the product; without bounds where |x| may be 0."""
    middle, loose = c * c + 2 * centres + norms**2, _GUARD * (c * c + norms**2) + _UNDERFLOW
    short, long = np.sqrt(np.maximum(middle - loose, 0)) * q, np.sqrt(np.maximum(middle + loose, 0)) * q
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        most = np.where(high >= 0, high / short, high / long)
        least = np.where(low >= 0, low / long, low / short)
    known = short > 0
    nearest: Floats = np.where(known, 1 - np.minimum(most, 1) - _EXACT, 0.0)
    farthest: Floats = np.where(known, 1 - np.maximum(least, -1) + _EXACT, inf)
    return np.maximum(nearest, 0.0), farthest
