"""For which regular expressions Python's `re` finds what PostgreSQL finds.

`re` tries the ways to match in an order and takes the first that fits to the end; PostgreSQL takes the
earliest start (so does `re`), then the longest end (the shortest, if the expression as a whole prefers
that), then shares the stretch out, part by part. The two are the same where one of these holds; what none
covers goes to `engine.values.regexmatch`.

1. *One way*: at most one part can end at more than one place, given where it begins, and `re` meets its ends
   from the longest down (non-greedy: from the shortest up). All behind it ends the further on, the further on
   it begins. So the first way that fits is the one wanted. Repeated letters that a letter of another set must
   follow are *settled*: they have one end. So has a choice of which one branch at most can fit, but not
   further on from further on.
2. *Chains* of repeated letters of one preference. Say `re` takes g, and another way l ends further on. Let i
   be the first item that ends further on in l. It could begin where it begins in g and end where it ends in
   l, and the rest go on as in l: a way that `re` would have met before g. The same holds of every group of
   the chain.
3. *Fixed ends*: every match must end at the text's end, so that only sharing out is left, which goes from
   left to right in both, if each part meets its ends in the order that it prefers. PostgreSQL takes
   neighbours without groups as one part: only one of them may have more than one end, unless they are a
   chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.values.regexmatch import groups_in, has_backs
from engine.values.regextree import (
    HIGHEST,
    LONGER,
    Choice,
    Edge,
    Group,
    Letter,
    Look,
    Node,
    Ranges,
    Repeat,
    Sequence,
    complement,
    disjoint,
    prefers,
)


@dataclass(frozen=True, slots=True)
class _Ends:
    """Of a part from one place on. least: the fewest characters; fixed: always that many.

    order: 0 for one end, LONGER if `re` meets them from the longest down, SHORTER if from the shortest up.
    """

    least: int
    order: int
    fixed: bool


def agrees(node: Node) -> bool:
    """Whether `re` is sure to find PostgreSQL's match, with all its groups."""
    if has_backs(node) or not _simple_looks(node):
        return False
    items, whole = _flat(node), prefers(node)
    if _is_chain(items) and not _orders(items) - {whole}:
        return True
    ends = _ends(node)
    if ends is not None and ends.order in (0, whole):
        return True
    return _fixed_end(items, whole) and _shared_in_order(node)


def _flat(node: Node) -> list[Node]:
    """The items of a sequence; of groups that are not repeated, too."""
    match node:
        case Sequence(items):
            return [inner for item in items for inner in _flat(item)]
        case Group(_, item):
            return _flat(item)
    return [node]


def _is_chain(items: list[Node]) -> bool:
    """Whether all are letters, repeated or not, and places."""
    return all(isinstance(i.item if isinstance(i, Repeat) else i, Letter | Edge | Look) for i in items)


def _orders(items: list[Node]) -> set[int]:
    """What the items of a chain that have more than one end prefer."""
    return {item.prefers for item in items if isinstance(item, Repeat) and item.low != item.high}


def _simple_looks(node: Node) -> bool:
    """Whether lookaround is such as `re` can do: behind only over a fixed length."""
    match node:
        case Sequence(items) | Choice(items):
            return all(map(_simple_looks, items))
        case Repeat(item, _, _, _) | Group(_, item):
            return _simple_looks(item)
        case Look(item, ahead, _):
            ends = _ends(item)
            return _simple_looks(item) and (ahead or (ends is not None and ends.fixed))
    return True


def _ends(node: Node) -> _Ends | None:
    """The ends of a part; None if `re` meets them in no order that the part prefers."""
    match node:
        case Letter():
            return _Ends(1, 0, True)
        case Edge() | Look():
            return _Ends(0, 0, True)
        case Group(_, item):
            return _ends(item)
        case Sequence(items):
            ends = _sequence_ends(items)
        case Choice(branches):
            ends = _choice_ends(branches)
        case Repeat():
            ends = _repeat_ends(node)
        case _:
            return None
    return None if ends is None or ends.order not in (0, prefers(node)) else ends


def _sequence_ends(items: tuple[Node, ...]) -> _Ends | None:
    least, order, fixed = 0, 0, True
    for at, item in enumerate(items):
        ends = _ends(item)
        if ends is None:
            return None
        settled = _settled(item, items[at + 1 :])
        if order and not (ends.fixed or settled):
            return None
        least += ends.least
        fixed = fixed and ends.fixed
        if not settled:
            order = order or ends.order
    return _Ends(least, order, fixed)


def _settled(item: Node, behind: tuple[Node, ...]) -> bool:
    """Whether what follows leaves a repeated letter one end."""
    while isinstance(item, Group):
        item = item.item
    if not (isinstance(item, Repeat) and isinstance(item.item, Letter)) or not behind:
        return False
    following = _first_letter(behind[0])
    return following is not None and disjoint(following, item.item.ranges)


def _first_letter(node: Node) -> Ranges | None:
    """The set that a part's first letter is of; None if it need not have one."""
    head = _head(node)
    return head[0] if head else None


def _head(node: Node) -> list[Ranges]:
    """The sets of the letters that a part begins with, as far as they are sure."""
    match node:
        case Letter(ranges):
            return [ranges]
        case Group(_, item):
            return _head(item)
        case Repeat(Letter(ranges), low, _, _):
            return [ranges] * low
        case Sequence(items):
            out: list[Ranges] = []
            for item in items:
                before = len(out)
                out += _head(item)
                ends = _ends(item)
                if ends is None or not ends.fixed:
                    break
                out += [complement(())] * (ends.least - len(out) + before)
            return out
    return []


def _choice_ends(branches: tuple[Node, ...]) -> _Ends | None:
    all_ends = [_ends(branch) for branch in branches]
    ends = [each for each in all_ends if each is not None]
    if len(ends) < len(all_ends):
        return None
    least = min(each.least for each in ends)
    if all(each.fixed and each.least == least for each in ends):
        return _Ends(least, 0, True)
    heads = [_head(branch) for branch in branches]
    for at, one in enumerate(heads):
        for other in heads[:at]:
            if not any(disjoint(a, b) for a, b in zip(one, other, strict=False)):
                return None
    orders = {each.order for each in ends} - {0}
    return _Ends(least, orders.pop() if orders else 0, False) if len(orders) < 2 else None


def _repeat_ends(node: Repeat) -> _Ends | None:
    ends = _ends(node.item)
    if ends is None or (groups_in(node.item) and not _same_each_time(node.item)):
        return None
    if node.low == node.high == 1 and node.prefers == 0:
        return ends
    if ends.fixed and ends.least > 0:
        fixed = node.low == node.high
        return _Ends(node.low * ends.least, 0 if fixed else node.prefers, fixed)
    if (node.low, node.high) == (0, 1) and ends.least > 0 and ends.order in (0, node.prefers):
        return _Ends(0, node.prefers, False)
    return None


def _same_each_time(node: Node) -> bool:
    """Whether all groups take part whenever the part is repeated, so that none is left over from before."""
    match node:
        case Sequence(items):
            return all(map(_same_each_time, items))
        case Group(_, item):
            return _same_each_time(item)
    return not groups_in(node)


def _fixed_end(items: list[Node], whole: int) -> bool:
    last = items[-1] if items else None
    if last == Edge("end"):
        return True
    match last:
        case Repeat(Letter(((0, high),)), _, None, own):
            return high == HIGHEST and own == LONGER == whole
    return False


def _shared_in_order(node: Node) -> bool:
    """Whether each part of a sequence meets its ends in order."""
    while isinstance(node, Group):
        node = node.item
    items = node.items if isinstance(node, Sequence) else (node,)
    run: list[Node] = []
    for item in items:
        if not groups_in(item):
            run.append(item)
            continue
        inner = _flat(item)
        chain = _is_chain(inner) and not _orders(inner) - {prefers(item)}
        if not (_run_in_order(run) and (chain or _ends(item) is not None)):
            return False
        run = []
    return _run_in_order(run)


def _run_in_order(run: list[Node]) -> bool:
    return (
        _is_chain([inner for item in run for inner in _flat(item)]) or _sequence_ends(tuple(run)) is not None
    )
