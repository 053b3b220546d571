"""Queries as trees of text, and how a tree is made smaller.

A node has a kind, which says what may stand in its place: a type for an expression ("int4"), a part of the
grammar otherwise ("source", "where"). It is smaller with a part of the same kind in its place, or with
the simplest text of its kind. Whether what comes out still is a query need not be known: one that none of
the peers takes shows no difference, so it is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

_HOLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Node:
    """One piece of a query. `simplest`: what can stand for it at the least; None: nothing can."""

    kind: str
    parts: tuple[str | Node, ...]
    simplest: str | None = None

    def __str__(self) -> str:
        return "".join(str(part) for part in self.parts)

    @property
    def size(self) -> int:
        """How many nodes it has."""
        return 1 + sum(part.size for part in self.parts if isinstance(part, Node))

    def below(self, kind: str) -> Iterator[Node]:
        """The nodes of a kind below it, the nearest first."""
        nearest = [part for part in self.parts if isinstance(part, Node)]
        yield from (node for node in nearest if node.kind == kind)
        for node in nearest:
            yield from node.below(kind)


def filled(kind: str, template: str, fill: Callable[[str], str | Node], simplest: str | None = None) -> Node:
    """A node of a template in whose place for each {name} stands what `fill` makes of the name."""
    parts: list[str | Node] = []
    for at, piece in enumerate(_HOLE.split(template)):
        parts.append(fill(piece) if at % 2 else piece)
    return Node(kind, tuple(parts), simplest)


def smaller(node: Node) -> Iterator[Node]:
    """Trees with one node made smaller, those that lose most first."""
    if node.simplest is not None and str(node) != node.simplest:
        yield Node(node.kind, (node.simplest,), node.simplest)
    yield from node.below(node.kind)
    for at, part in enumerate(node.parts):
        if isinstance(part, Node):
            for less in smaller(part):
                yield replace(node, parts=(*node.parts[:at], less, *node.parts[at + 1 :]))


def shrunk(node: Node, differs: Callable[[Node], bool], tries: int) -> Node:
    """The smallest tree found that `differs` holds for, asking it at most `tries` times."""
    while True:
        for less in smaller(node):
            if tries <= 0:
                return node
            tries -= 1
            if differs(less):
                node = less
                break
        else:
            return node
