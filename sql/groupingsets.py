"""GROUP BY's list: keys, and the grouping sets that ROLLUP, CUBE and GROUPING SETS make of them.

    GROUP BY a, ROLLUP (b, c)       the sets (a, b, c), (a, b), (a)

An item is a list of sets: one of one key, those of a rollup or cube, those of GROUPING SETS one behind
the other. The list's sets are every choice of one set an item. A row in parentheses counts as one key
where a rollup or cube takes it apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from sqlglot import exp

from engine.expressions import Expression
from sql.marks import FunctionMark, mark_of, position_of
from sql.sortable import must_equal
from storage.errors import SqlSyntaxError, StatementTooComplex, TooManyColumns

_MOST_SETS = 4096
_MOST_OF_CUBE = 12

Set = tuple[int, ...]
Bind = Callable[[exp.Expression], Expression]


@dataclass(frozen=True)
class GroupedBy:
    """The distinct keys, and the sets as places of these; no sets: one of all keys."""

    keys: list[Expression]
    sets: tuple[Set, ...]


def read(clause: exp.Group, bind: Bind) -> GroupedBy:
    """What a GROUP BY says. `bind` makes an expression of a key's tree."""
    reader = _Reader(bind)
    sets: list[Set] = [()]
    for item in clause.expressions:
        mine = reader.item(item)
        if len(sets) * len(mine) > _MOST_SETS:
            raise StatementTooComplex(
                f"too many grouping sets present (maximum {_MOST_SETS})", position=position_of(clause)
            )
        sets = [_joined((first, second)) for first in sets for second in mine]
    if clause.args.get("all") is False:  # GROUP BY DISTINCT
        sets = list({frozenset(each): each for each in reversed(sets)}.values())[::-1]
    if len(sets) == 1:
        return GroupedBy([reader.keys[i] for i in sets[0]], ())
    return GroupedBy(reader.keys, tuple(sets))


class _Reader:
    """The keys so far, and what gives the sets of an item."""

    def __init__(self, bind: Bind) -> None:
        self._bind = bind
        self.keys: list[Expression] = []

    def item(self, tree: exp.Expression) -> list[Set]:
        """The sets of an item of GROUP BY or GROUPING SETS."""
        mark = mark_of(tree.this, FunctionMark) if isinstance(tree, exp.Anonymous) else None
        if mark is not None and mark.form == "sets":
            return [each for part in tree.expressions for each in self.item(part)]
        if mark is None or mark.form or mark.names not in (("rollup",), ("cube",)):
            return [self._key(tree)]
        parts = [self._key(part) for part in tree.expressions]
        if not all(parts) or not parts:
            raise SqlSyntaxError('syntax error at or near ")"', position=mark.position)
        if mark.name == "rollup":
            return [_joined(parts[:count]) for count in range(len(parts), -1, -1)]
        if len(parts) > _MOST_OF_CUBE:
            raise TooManyColumns(f"CUBE is limited to {_MOST_OF_CUBE} elements", position=mark.position)
        sizes = range(len(parts), -1, -1)
        return [_joined(chosen) for size in sizes for chosen in combinations(parts, size)]

    def _key(self, tree: exp.Expression) -> Set:
        """The keys of one expression, or of a row of them."""
        while isinstance(tree, exp.Paren):
            tree = tree.this
        if isinstance(tree, exp.Tuple):
            return _joined([self._key(part) for part in tree.expressions])
        key = self._bind(tree)
        must_equal(key.type, position_of(tree))
        if key not in self.keys:
            self.keys.append(key)
        return (self.keys.index(key),)


def _joined(sets: Sequence[Set]) -> Set:
    """The keys of several sets, each once."""
    return tuple(dict.fromkeys(key for each in sets for key in each))
