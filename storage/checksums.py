"""CRC32C of bytes put together, from those of the parts: no second pass over the bytes.

A checksum is the rest of a polynomial over GF(2), so that of A and B is that of A times x^(8 |B|), plus that
of B. Polynomials are reflected: the highest bit is the coefficient of 1. The arithmetic is Mark Adler's, in
zlib's crc32_combine.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from storage.kernels.plain.checksums import Checksums

_POLYNOMIAL = 0x82F63B78
_ONE = 1 << 31


def joined(checksums: Checksums, nbytes: int) -> int:
    """The CRC32C of parts of `nbytes` bytes each, one after another, from (n,) uint32 theirs."""
    shift = _power(nbytes)
    while len(checksums) > 1:
        if len(checksums) % 2:
            checksums = np.concatenate([np.zeros(1, np.uint32), checksums])  # that of no bytes
        checksums = _times(checksums[0::2], shift) ^ checksums[1::2]
        shift = _square(shift)
    return int(checksums[0]) if len(checksums) else 0


def appended(before: int, behind: int, nbytes: int) -> int:
    """The CRC32C of two parts, from theirs and the length of the second."""
    return _product(before, _power(nbytes)) ^ behind


def _multiples(factor: int) -> list[int]:
    """`factor` times 1, x, x^2, up to x^31."""
    found = []
    for _ in range(32):
        found.append(factor)
        factor = (factor >> 1) ^ (_POLYNOMIAL if factor & 1 else 0)
    return found


def _times(checksums: Checksums, factor: int) -> Checksums:
    bytes_of = checksums.astype("<u4").view(np.uint8).reshape(-1, 4)
    product: Checksums = np.bitwise_xor.reduce(_table(factor)[np.arange(4), bytes_of], axis=1)
    return product


@lru_cache(256)
def _table(factor: int) -> Checksums:
    """(4, 256): `factor` times each value of each byte of a checksum, the lowest byte first."""
    multiples = np.array(_multiples(factor)[::-1], np.uint32).reshape(4, 1, 8)  # of the lowest bit first
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    table: Checksums = np.bitwise_xor.reduce(np.where(bits, multiples, np.uint32(0)), axis=2)
    return table


@lru_cache(256)
def _square(factor: int) -> int:
    return _product(factor, factor)


def _product(one: int, other: int) -> int:
    product = 0
    for place, multiple in enumerate(_multiples(other)):
        if one >> (31 - place) & 1:
            product ^= multiple
    return product


@lru_cache(64)
def _power(nbytes: int) -> int:
    """x^(8 nbytes)."""
    power, square = _ONE, _ONE >> 8
    while nbytes:
        if nbytes & 1:
            power = _product(power, square)
        square = _product(square, square)
        nbytes >>= 1
    return power
