"""Functions and operators of inet and cidr: parts, masks, containment, arithmetic."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from engine.forms.network import Address, host, parsed, shown, whole
from engine.functions.registry import operator, scalar
from engine.functions.text import each
from storage.column import Column
from storage.errors import InvalidParameterValue, NumericValueOutOfRange
from storage.types import BOOL, CIDR, INET, INT4, INT8, TEXT, Type


def _read(text: str) -> Address:
    return parsed(INET, text)


def _made(like: Address, number: int, length: int | None = None) -> Address:
    """An address of the same family by its number. Raises NumericValueOutOfRange."""
    if not 0 <= number < 1 << like.max_prefixlen:
        raise NumericValueOutOfRange("result is out of range")
    kept = like.network.prefixlen if length is None else length
    if isinstance(like, ipaddress.IPv4Interface):
        return ipaddress.IPv4Interface((number, kept))
    return ipaddress.IPv6Interface((number, kept))


def _full(like: Address, number: int) -> str:
    return shown(INET, _made(like, number, like.max_prefixlen))


def _about(name: str, result: Type, answer: Callable[[Address], Any], doc: str) -> None:
    @scalar(name, [INET], result)
    def about(column: Column) -> Column:
        return each(lambda text: answer(_read(text)), column, type=result)

    about.__doc__ = doc


def _mask(address: Address) -> int:
    return int(address.network.netmask)


_about("host", TEXT, host, "The address alone.")
_about("text", TEXT, whole, "The address and the length of its mask.")
_about("masklen", INT4, lambda a: a.network.prefixlen, "The length of the mask.")
_about("family", INT4, lambda a: a.version, "4 or 6.")
_about("netmask", INET, lambda a: _full(a, _mask(a)), "The mask.")
_about("hostmask", INET, lambda a: _full(a, int(a.network.hostmask)), "The bits that the mask leaves out.")
_about(
    "broadcast",
    INET,
    lambda a: shown(INET, _made(a, int(a.network.broadcast_address))),
    "The last address of the network.",
)
_about(
    "network", CIDR, lambda a: shown(CIDR, _made(a, int(a.network.network_address))), "The network it is in."
)
_about("abbrev", TEXT, lambda a: shown(INET, a), "The text that is shown.")


@scalar("abbrev", [CIDR], TEXT)
def abbrev(column: Column) -> Column:
    """The network, without octets behind its mask."""

    def one(text: str) -> str:
        address = parsed(CIDR, text)
        length = address.network.prefixlen
        if address.version == 6:
            return whole(address).replace("::/", "/") if length else whole(address)
        octets = str(address.ip).split(".")[: max(-(-length // 8), 1)]
        return ".".join(octets) + f"/{length}"

    return each(one, column)


def _resized(type: Type) -> None:
    @scalar("set_masklen", [type, INT4], type)
    def set_masklen(column: Column, length: Column) -> Column:
        """With a mask of another length; of cidr without the bits behind it."""

        def one(text: str, length: int) -> str:
            address = parsed(type, text)
            size = address.max_prefixlen if length == -1 else length
            if not 0 <= size <= address.max_prefixlen:
                raise InvalidParameterValue(f"invalid mask length: {length}")
            made = _made(address, int(address.ip), size)
            if type is CIDR:
                made = _made(made, int(made.network.network_address))
            return shown(type, made)

        return each(one, column, length, type=type)


_resized(INET)
_resized(CIDR)


@scalar("inet_same_family", [INET, INET], BOOL)
def inet_same_family(left: Column, right: Column) -> Column:
    """Whether both are IPv4, or both IPv6."""
    return each(lambda a, b: _read(a).version == _read(b).version, left, right, type=BOOL)


@scalar("inet_merge", [INET, INET], CIDR)
def inet_merge(left: Column, right: Column) -> Column:
    """The smallest network that holds both."""

    def one(left: str, right: str) -> str:
        a, b = _read(left), _read(right)
        if a.version != b.version:
            raise InvalidParameterValue("cannot merge addresses from different families")
        differing = (int(a.ip) ^ int(b.ip)).bit_length()
        length = min(a.network.prefixlen, b.network.prefixlen, a.max_prefixlen - differing)
        made = _made(a, int(a.ip), length)
        return shown(CIDR, _made(made, int(made.network.network_address)))

    return each(one, left, right, type=CIDR)


def _inside(inner: Address, outer: Address, *, equal: bool) -> bool:
    if inner.version != outer.version:
        return False
    longer = inner.network.prefixlen - outer.network.prefixlen
    if longer < 0 or (longer == 0 and not equal):
        return False
    return int(inner.ip) & _mask(outer) == int(outer.network.network_address)


def _relation(symbol: str, name: str, test: Callable[[Address, Address], bool], doc: str) -> None:
    @operator(symbol, [INET, INET], BOOL)
    @scalar(name, [INET, INET], BOOL)
    def related(left: Column, right: Column) -> Column:
        return each(lambda a, b: test(_read(a), _read(b)), left, right, type=BOOL)

    related.__doc__ = doc


_relation("<<", "network_sub", lambda a, b: _inside(a, b, equal=False), "Whether the first is in the second.")
_relation("<<=", "network_subeq", lambda a, b: _inside(a, b, equal=True), "In it, or the same network.")
_relation(">>", "network_sup", lambda a, b: _inside(b, a, equal=False), "Whether the first holds the second.")
_relation(">>=", "network_supeq", lambda a, b: _inside(b, a, equal=True), "Holds it, or the same network.")
_relation(
    "&&",
    "network_overlap",
    lambda a, b: _inside(a, b, equal=True) or _inside(b, a, equal=True),
    "Whether one holds the other.",
)


@operator("~", [INET], INET)
def inet_not(column: Column) -> Column:
    """Every bit turned."""

    def one(text: str) -> str:
        address = _read(text)
        return shown(INET, _made(address, int(address.ip) ^ ((1 << address.max_prefixlen) - 1)))

    return each(one, column, type=INET)


def _bits(symbol: str, word: str, combine: Callable[[int, int], int]) -> None:
    @operator(symbol, [INET, INET], INET)
    def both(left: Column, right: Column) -> Column:
        """The bits of two addresses together."""

        def one(left: str, right: str) -> str:
            a, b = _read(left), _read(right)
            if a.version != b.version:
                raise InvalidParameterValue(f"cannot {word} inet values of different sizes")
            length = max(a.network.prefixlen, b.network.prefixlen)
            return shown(INET, _made(a, combine(int(a.ip), int(b.ip)), length))

        return each(one, left, right, type=INET)


_bits("&", "AND", lambda a, b: a & b)
_bits("|", "OR", lambda a, b: a | b)


@operator("+", [INET, INT8], INET)
def inet_plus(column: Column, step: Column) -> Column:
    """An address so many further."""
    return each(lambda text, n: shown(INET, _made(a := _read(text), int(a.ip) + n)), column, step, type=INET)


@operator("+", [INT8, INET], INET)
def plus_inet(step: Column, column: Column) -> Column:
    """An address so many further."""
    return inet_plus(column, step)


@operator("-", [INET, INT8], INET)
def inet_less(column: Column, step: Column) -> Column:
    """An address so many before."""
    return each(lambda text, n: shown(INET, _made(a := _read(text), int(a.ip) - n)), column, step, type=INET)


@operator("-", [INET, INET], INT8)
def inet_distance(left: Column, right: Column) -> Column:
    """How many addresses lie between two."""

    def one(left: str, right: str) -> int:
        a, b = _read(left), _read(right)
        if a.version != b.version:
            raise InvalidParameterValue("cannot subtract inet values of different sizes")
        distance = int(a.ip) - int(b.ip)
        if not -(2**63) <= distance < 2**63:
            raise NumericValueOutOfRange("result is out of range")
        return distance

    return each(one, left, right, type=INT8)
