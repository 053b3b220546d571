"""A path as a tree: what is evaluated to a sequence of JSON values, and the steps that follow it.

`Chain(first, steps)` is an expression with accessors behind it; everything else is an expression or a
predicate by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

LAST = -1
"""The level of `last` in .**{}."""


@dataclass(frozen=True, slots=True)
class Root:
    """$"""


@dataclass(frozen=True, slots=True)
class Current:
    """@"""


@dataclass(frozen=True, slots=True)
class Last:
    """last"""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A constant: None, bool, Decimal or str."""

    value: Decimal | str | bool | None


@dataclass(frozen=True, slots=True)
class Variable:
    """$name"""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """+ or - before every value."""

    sign: str
    operand: Item


@dataclass(frozen=True, slots=True)
class Binary:
    """+ - * / % of two values; or a predicate: == != < <= > >=, && ||, `starts with`."""

    symbol: str
    left: Item
    right: Item


@dataclass(frozen=True, slots=True)
class LikeRegex:
    """operand like_regex "pattern" flag "flags"."""

    operand: Item
    pattern: str
    flags: str


@dataclass(frozen=True, slots=True)
class Not:
    """!(predicate)"""

    operand: Item


@dataclass(frozen=True, slots=True)
class IsUnknown:
    """(predicate) is unknown"""

    operand: Item


@dataclass(frozen=True, slots=True)
class Exists:
    """exists (expression)"""

    operand: Item


@dataclass(frozen=True, slots=True)
class Member:
    """.key"""

    key: str


@dataclass(frozen=True, slots=True)
class AnyMember:
    """.*"""


@dataclass(frozen=True, slots=True)
class AnyElement:
    """[*]"""


@dataclass(frozen=True, slots=True)
class Elements:
    """[a, b to c]: each subscript's ends, the second None where it is alone."""

    subscripts: tuple[tuple[Item, Item | None], ...]


@dataclass(frozen=True, slots=True)
class Descendants:
    """.**{first to last}: LAST is the deepest level."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Filter:
    """?(predicate)"""

    predicate: Item


@dataclass(frozen=True, slots=True)
class Method:
    """.name(), of datetime perhaps with a template."""

    name: str
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """An expression and the steps behind it."""

    first: Item
    steps: tuple[Step, ...]


Step = Member | AnyMember | AnyElement | Elements | Descendants | Filter | Method
Item = (
    Root | Current | Last | Scalar | Variable | Unary | Binary | LikeRegex | Not | IsUnknown | Exists | Chain
)


@dataclass(frozen=True, slots=True)
class Path:
    """A whole path; `lax` forgives what does not fit the structure of the value."""

    lax: bool
    item: Item


COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
PREDICATES = COMPARISONS | {"&&", "||", "starts with"}


def is_predicate(item: Any) -> bool:
    """Whether it says true, false or unknown."""
    if isinstance(item, Binary):
        return item.symbol in PREDICATES
    return isinstance(item, LikeRegex | Not | IsUnknown | Exists)
