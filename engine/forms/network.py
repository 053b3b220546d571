"""Forms of inet and cidr: 10.1.2.3/8, ::1, 10.0.0.0/8. A value lies in its column as the text that is shown.

An inet shows the length of its mask where that is not all of the address, a cidr always; a cidr has no bits
behind its mask. IPv4 addresses may end early: 10.1/16, of cidr also without a mask, whose length then follows
from the class.
"""

from __future__ import annotations

import ipaddress
import re

from engine.forms.numbers import BLANKS, invalid
from engine.forms.style import Style
from storage.errors import InvalidBinaryRepresentation, InvalidTextRepresentation, ProtocolViolation
from storage.types import CIDR, INET, Type

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface
_FOUR = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,3})\.?(?:/(\d{1,2}))?")
_FAMILIES = {4: 2, 6: 3}
_CLASSES = ((128, 8), (192, 16), (224, 24), (256, 32))


def parsed(type: Type, text: str) -> Address:
    """An address with its mask. Raises InvalidTextRepresentation."""
    word = text.strip(BLANKS)
    if "%" in word:  # a scope, which ipaddress knows
        raise invalid(type, text)
    try:
        if ":" in word:
            address: Address = ipaddress.IPv6Interface(word)
        else:
            address = ipaddress.IPv4Interface(_completed(type, word))
    except ValueError:
        raise invalid(type, text) from None
    if type.oid == CIDR.oid and address.ip != address.network.network_address:
        raise InvalidTextRepresentation(
            f'invalid cidr value: "{text}"', detail="Value has bits set to right of mask."
        )
    return address


def _completed(type: Type, word: str) -> str:
    """An IPv4 address with what it left out. Raises ValueError."""
    found = _FOUR.fullmatch(word)
    if found is None:
        raise ValueError(word)
    octets = [int(part) for part in found[1].split(".")]
    mask = found[2]
    if mask is None and len(octets) < 4:
        if type.oid != CIDR.oid:
            raise ValueError(word)
        by_class = next(bits for below, bits in _CLASSES if octets[0] < below)
        mask = str(max(by_class, 8 * len(octets)))
    octets += [0] * (4 - len(octets))
    return ".".join(map(str, octets)) + f"/{32 if mask is None else mask}"


def host(address: Address) -> str:
    """The address alone."""
    ip = address.ip
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(ip) if mapped is None else f"::ffff:{mapped}"


def whole(address: Address) -> str:
    """The address and the length of its mask."""
    return f"{host(address)}/{address.network.prefixlen}"


def shown(type: Type, address: Address) -> str:
    """As output shows it."""
    full = address.network.prefixlen == address.max_prefixlen
    return host(address) if full and type.oid != CIDR.oid else whole(address)


def read_network(type: Type, texts: list[str], style: Style) -> list[str]:
    """Raises what PostgreSQL's input functions raise."""
    return [shown(type, parsed(type, text)) for text in texts]


def write_wire(text: str, *, cidr: bool) -> bytes:
    """A value's binary form: family, length of the mask, whether it is a cidr, length, the address."""
    address = parsed(CIDR if cidr else INET, text)
    raw = address.ip.packed
    return bytes((_FAMILIES[address.version], address.network.prefixlen, cidr, len(raw))) + raw


def read_wire(type: Type, item: bytes, excess: str) -> str:
    """The inverse of `write_wire`. Raises ProtocolViolation, InvalidBinaryRepresentation."""
    if len(item) < 4:
        raise ProtocolViolation("insufficient data left in message")
    family, length, _, size = item[:4]
    if family not in _FAMILIES.values():
        raise InvalidBinaryRepresentation(f'invalid address family in external "{type.name}" value')
    raw = item[4 : 4 + size]
    if length > 8 * size:
        raise InvalidBinaryRepresentation(f'invalid bits in external "{type.name}" value')
    if size != (4 if family == _FAMILIES[4] else 16):
        raise InvalidBinaryRepresentation(f'invalid length in external "{type.name}" value')
    if len(raw) < size:
        raise ProtocolViolation("insufficient data left in message")
    if len(item) > 4 + size:
        raise InvalidBinaryRepresentation(excess)
    made = ipaddress.IPv4Interface((raw, length)) if size == 4 else ipaddress.IPv6Interface((raw, length))
    return shown(type, parsed(type, whole(made)))
