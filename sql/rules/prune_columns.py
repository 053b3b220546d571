"""Columns that nobody reads are not read.

    SELECT id FROM features WHERE score > 1    a scan of id and score, not of the image

A projection under another loses its unused expressions, a scan its unused columns. Expressions that do
something (volatile ones) or multiply rows stay.
"""

from __future__ import annotations

from dataclasses import replace

from engine.expressions import Expression, Reference
from sql import logical
from sql.expressions import is_set, is_volatile, references, remap
from sql.logical import Node
from sql.planning import Planning

Places = dict[int, int]


def prune_columns(node: Node, planning: Planning) -> Node:
    """The tree with the same columns at its top and fewer below."""
    return _whole(node)


def _whole(node: Node) -> Node:
    wanted = set(range(len(node.types)))
    pruned, places = _prune(node, wanted)
    return _exactly(pruned, places, node, sorted(wanted))


def _exactly(pruned: Node, places: Places, node: Node, wanted: list[int]) -> Node:
    """The pruned node with the wanted columns of the old one, in order and no others."""
    if [places[i] for i in wanted] == list(range(len(pruned.types))):
        return pruned
    types = node.types
    return logical.Project(pruned, tuple(Reference(places[i], types[i]) for i in wanted))


def _moved(expression: Expression | None, places: Places) -> Expression | None:
    return None if expression is None else remap(expression, places)


def _prune(node: Node, wanted: set[int]) -> tuple[Node, Places]:
    """The node with at least the wanted columns, and where each of them now stands."""
    match node:
        case logical.Get():
            return _get(node, wanted)
        case logical.Project():
            return _project(node, wanted)
        case logical.Barrier():
            child, places = _prune(node.child, wanted)
            return logical.Barrier(child), places
        case logical.Filter():
            child, places = _prune(node.child, wanted | references(node.condition))
            return logical.Filter(child, remap(node.condition, places)), places
        case logical.Join():
            return _join(node, wanted)
        case logical.Apply():
            return _apply(node, wanted)
        case logical.Aggregate():
            return _aggregate(node, wanted)
        case logical.Window():
            return _window(node, wanted)
        case logical.Sort() | logical.Top():
            child, places = _prune(node.child, wanted | references(*(k.expression for k in node.keys)))
            return replace(node, child=child, keys=remap(node.keys, places)), places
        case logical.Limit():
            child, places = _prune(node.child, wanted | references(*(k.expression for k in node.ties)))
            return replace(node, child=child, ties=remap(node.ties, places)), places
        case logical.Distinct() if node.keys is not None:
            child, places = _prune(node.child, wanted | references(*node.keys))
            return replace(node, child=child, keys=remap(node.keys, places)), places
        case logical.Append():
            return _append(node, wanted)
        case _:
            children = tuple(_whole(child) for child in node.children)
            same = {i: i for i in range(len(node.types))}
            return (node.with_children(children) if children else node), same


def _get(node: logical.Get, wanted: set[int]) -> tuple[Node, Places]:
    width = len(node.positions)
    used = wanted | references(node.condition)
    kept = [i for i in range(width) if i in used]
    places = {old: new for new, old in enumerate(kept)}
    if node.row_ids:
        places[width] = len(kept)
    positions = tuple(node.positions[i] for i in kept)
    unread = frozenset(places[i] for i in kept if i not in wanted)
    condition = _moved(node.condition, places)
    return replace(node, positions=positions, condition=condition, unread=unread), places


def _project(node: logical.Project, wanted: set[int]) -> tuple[Node, Places]:
    kept = [i for i, e in enumerate(node.expressions) if i in wanted or is_set(e) or is_volatile(e)]
    expressions = tuple(node.expressions[i] for i in kept)
    child, places = _prune(node.child, references(*expressions))
    moved = tuple(remap(e, places) for e in expressions)
    return replace(node, child=child, expressions=moved), {old: new for new, old in enumerate(kept)}


def _sides(node: logical.Join | logical.Apply, used: set[int]) -> tuple[Node, Node, Places]:
    """Both sides pruned, and where the columns of their row now stand."""
    width = len(node.left.types)
    left, left_places = _prune(node.left, {i for i in used if i < width})
    right, right_places = _prune(node.right, {i - width for i in used if i >= width})
    new_width = len(left.types)
    places = dict(left_places)
    places.update({width + old: new_width + new for old, new in right_places.items()})
    return left, right, places


def _join(node: logical.Join, wanted: set[int]) -> tuple[Node, Places]:
    used = wanted | references(node.condition)
    if node.kind in ("right semi", "right anti"):
        width = len(node.left.types)
        used = references(node.condition) | {width + i for i in wanted}
    left, right, places = _sides(node, used)
    pruned = replace(node, left=left, right=right, condition=_moved(node.condition, places))
    if node.kind in ("right semi", "right anti"):
        places = {i: places[width + i] - len(left.types) for i in wanted}
    return pruned, places


def _apply(node: logical.Apply, wanted: set[int]) -> tuple[Node, Places]:
    used = wanted | references(node.condition, *node.arguments)
    left, right, places = _sides(node, used)
    condition = _moved(node.condition, places)
    arguments = tuple(remap(a, places) for a in node.arguments)
    return replace(node, left=left, right=right, arguments=arguments, condition=condition), places


def _aggregate(node: logical.Aggregate, wanted: set[int]) -> tuple[Node, Places]:
    keys = len(node.keys)
    behind = keys + len(node.calls)
    kept = [i for i in range(len(node.calls)) if keys + i in wanted]
    calls = tuple(node.calls[i] for i in kept)
    asked = [i for i in range(len(node.groupings)) if behind + i in wanted]
    used = references(*node.keys)
    for call in calls:
        used |= references(*call.arguments, call.filter, *(k.expression for k in call.order))
    child, places = _prune(node.child, used)
    pruned = replace(
        node,
        child=child,
        keys=remap(node.keys, places),
        calls=remap(calls, places),
        groupings=tuple(node.groupings[i] for i in asked),
    )
    left = [*range(keys), *(keys + i for i in kept), *(behind + i for i in asked)]
    return pruned, {old: new for new, old in enumerate(left)}


def _window(node: logical.Window, wanted: set[int]) -> tuple[Node, Places]:
    width = len(node.child.types)
    kept = [i for i in range(len(node.calls)) if width + i in wanted]
    calls = tuple(node.calls[i] for i in kept)
    used = {i for i in wanted if i < width}
    used |= references(*(expression for call in calls for expression in call.expressions))
    child, places = _prune(node.child, used)
    if not calls:
        return child, places
    new_width = len(child.types)
    numbers = {width + old: new_width + new for new, old in enumerate(kept)}
    return logical.Window(child, remap(calls, places)), places | numbers


def _append(node: logical.Append, wanted: set[int]) -> tuple[Node, Places]:
    order = sorted(wanted)
    parts = []
    for part in node.parts:
        pruned, places = _prune(part, wanted)
        parts.append(_exactly(pruned, places, part, order))
    types = tuple(node.types[i] for i in order)
    return logical.Append(tuple(parts), types), {old: new for new, old in enumerate(order)}
