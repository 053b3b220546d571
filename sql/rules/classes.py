"""Classes of columns that a conjunction says are equal: a = b AND b = c makes one of a, b and c.

Only columns of one type, or of whole numbers of any size, are put together: of those equality is transitive,
and there is an operator for any two.
"""

from __future__ import annotations

from engine.expressions import Call, Expression, Reference
from engine.functions.registry import BY_ID
from sql.access import comparison
from storage.types import BOOL, INTEGERS


def column_equality(condition: Expression) -> tuple[Reference, Reference] | None:
    """The two columns that a condition says are equal; None for any other condition."""
    if comparison(condition) != "=":
        return None
    assert isinstance(condition, Call)
    left, right = condition.arguments
    if not isinstance(left, Reference) or not isinstance(right, Reference) or left.index == right.index:
        return None
    return (left, right) if equal_id(left, right) == condition.function else None


def equal_id(left: Expression, right: Expression) -> str | None:
    """The id of `=` between values of two types over which it is transitive; None where there is none."""
    one, other = left.type.base, right.type.base
    if one != other and not (one in INTEGERS and other in INTEGERS):
        return None
    found = f"operator =({one.name},{other.name})"
    return found if found in BY_ID else None


class Classes:
    """Sets of columns that are equal to each other."""

    def __init__(self) -> None:
        self._sets: list[dict[int, Reference]] = []

    def join(self, left: Reference, right: Reference) -> bool:
        """Say that two columns are equal; false where they cannot be in one class with those they meet."""
        touched = [members for members in self._sets if left.index in members or right.index in members]
        merged = {left.index: left, right.index: right}
        for members in touched:
            merged |= members
        if any(equal_id(a, b) is None for a in merged.values() for b in merged.values()):
            return False
        self._sets = [members for members in self._sets if members not in touched] + [merged]
        return True

    def sets(self) -> list[list[Reference]]:
        """The classes, the columns of each in ascending order."""
        return [[members[index] for index in sorted(members)] for members in self._sets]

    def equality(self, left: Reference, right: Reference) -> Expression:
        """left = right, of two columns of one class."""
        equal = equal_id(left, right)
        assert equal is not None
        return Call(equal, (left, right), BOOL)
