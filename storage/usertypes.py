"""Types of the catalog: enums, composite types, domains.

A composite type stands in pg_class too, as `relation`, for its attributes' sake. What columns of it hold
knows attributes by their numbers, so rows need not be written anew when attributes come and go. A domain's
values are those of the type under it, perhaps a domain itself; constraints are SQL text over VALUE.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from storage.types import Attribute, Domain, Type, composite, enum, refreshed

BOOTSTRAP_ROLE = 10


class Label(NamedTuple):
    """One value of an enum: `place` is what columns hold, and says where it stands among the others."""

    oid: int
    place: int
    text: str


@dataclass(frozen=True, slots=True)
class EnumType:
    """CREATE TYPE ... AS ENUM: its labels in their order.

    A value is kept as its label's place. Places ascend and lie PLACES apart at first, so that there is room
    for labels between them: rows need not be written anew, whatever labels come or are renamed.
    """

    oid: int
    schema: int
    name: str
    array_oid: int
    labels: tuple[Label, ...] = ()
    owner: int = BOOTSTRAP_ROLE
    comment: str = ""
    version: int = 1

    @property
    def type(self) -> Type:
        """The type of its values."""
        return enum(self.name, self.oid, self.array_oid)

    def retyped(self, type: Type) -> EnumType:
        """It, with `type` in place of what has its OID: there is nothing."""
        return self


PLACES = 1 << 40
"""How far the labels of a new enum are apart."""


@dataclass(frozen=True, slots=True)
class CompositeType:
    """CREATE TYPE ... AS (...): attributes in their order, with numbers that are never used again."""

    oid: int
    schema: int
    name: str
    array_oid: int
    relation: int
    attributes: tuple[Attribute, ...] = ()
    highest: int = 0  # the greatest number of an attribute that was dropped
    owner: int = BOOTSTRAP_ROLE
    comment: str = ""
    version: int = 1

    @property
    def type(self) -> Type:
        """The type of its values."""
        return composite(self.name, self.oid, self.array_oid, self.attributes)

    @property
    def last_number(self) -> int:
        """The greatest number that an attribute has or had."""
        return max([self.highest, *(attribute.number for attribute in self.attributes)])

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, if there is one."""
        return next((a for a in self.attributes if a.name == name), None)

    def retyped(self, type: Type) -> CompositeType:
        """It, with `type` in place of what has its OID in its attributes."""
        attributes = tuple(a._replace(type=refreshed(a.type, type)) for a in self.attributes)
        return self if attributes == self.attributes else replace(self, attributes=attributes)


class DomainCheck(NamedTuple):
    """A CHECK of a domain: `expression` is SQL text over VALUE."""

    oid: int
    name: str
    expression: str
    validated: bool = True


@dataclass(frozen=True, slots=True)
class DomainType:
    """CREATE DOMAIN: `base` is the type under it, with its modifier."""

    oid: int
    schema: int
    name: str
    array_oid: int
    base: Type
    not_null: bool = False
    default: str | None = None  # SQL text of an expression
    checks: tuple[DomainCheck, ...] = ()
    owner: int = BOOTSTRAP_ROLE
    comment: str = ""
    version: int = 1

    @property
    def type(self) -> Type:
        """The type of its values."""
        return replace(self.base, domain=Domain(self.name, self.oid, self.array_oid))

    def retyped(self, type: Type) -> DomainType:
        """It, with `type` in place of what has its OID under it."""
        base = refreshed(self.base, type)
        return self if base == self.base else replace(self, base=base)


UserType = EnumType | CompositeType | DomainType
