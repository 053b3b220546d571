"""Inner joins in the order that costs least, the smaller side of each being held.

    FROM a, b, c WHERE a.x = c.x AND c.y = b.y     a with c, then with b: no product of a and b

The inputs of a tree of inner joins and all its conditions are taken apart. Every set of inputs that
conditions tie together gets its cheapest plan from those of its halves (dynamic programming over subsets); of
more than MOST inputs, the two whose join is smallest are joined until one is left. Columns that must be equal
are a class (sql.rules.classes): two sets are joined by one equality of each class that has members in both.

A join costs the rows that are probed, those that are held, which cost more, and those that come out. An order
as written stays where another would hardly be better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from engine.expressions import Expression, Reference
from sql import logical
from sql.expressions import conjunction, conjuncts, is_volatile, references, remap, shift
from sql.logical import Node
from sql.planning import Planning
from sql.rules.classes import Classes, column_equality
from sql.rules.estimates import Estimates, key_count
from sql.rules.push_filters import push

MOST = 10
_HELD = 2.0  # what a held row costs, where a probed one costs 1
_SMALL = 20_000.0  # a tree that costs no more is as good as any other
_BETTER = 0.8  # the share of the written order's cost from which on another is taken


def order_joins(node: Node, planning: Planning) -> Node:
    """The tree with its inner joins in a better order."""
    return _order(node, Estimates(planning))


def _order(node: Node, estimates: Estimates) -> Node:
    if isinstance(node, logical.Join) and node.kind == "inner":
        graph = _Graph(node, estimates)
        if graph.fit:
            return graph.ordered()
    if isinstance(node, logical.Join) and node.kind in ("semi", "anti"):
        sunk = _sunk(node, estimates)
        if sunk is not None:
            return _order(sunk, estimates)
    children = tuple(_order(child, estimates) for child in node.children)
    if any(a is not b for a, b in zip(children, node.children, strict=True)):
        node = node.with_children(children)
    return _held_smaller(node, estimates) if isinstance(node, logical.Join) else node


def _least(counts: list[float | None]) -> float | None:
    return min((count for count in counts if count is not None), default=None)


def _sunk(node: logical.Join, estimates: Estimates) -> Node | None:
    """The joins with a semi join in their midst: where its rows come from, if it makes them few there."""
    below, width = node.left, len(node.left.types)
    if isinstance(below, logical.Project):
        return _under(below, node)
    if not isinstance(below, logical.Join) or below.kind != "inner":
        return None
    middle = len(below.left.types)
    own = {i for i in references(node.condition) if i < width}
    on_left = all(i < middle for i in own)
    if not own or not (on_left or all(i >= middle for i in own)):
        return None
    side, by = (below.left, middle - width) if on_left else (below.right, -middle)
    places = {i: i if on_left else i - middle for i in own}
    places |= {i: i + (by if on_left else -middle) for i in references(node.condition) if i >= width}
    condition = None if node.condition is None else remap(node.condition, places)
    inner = logical.Join(node.kind, side, node.right, condition)
    if estimates.rows(inner) >= estimates.rows(below):
        return None
    return replace(below, left=inner) if on_left else replace(below, right=inner)


def _under(project: logical.Project, node: logical.Join) -> Node | None:
    """A semi join of a choice of columns as a choice of columns of the semi join."""
    columns = [e.index for e in project.expressions if isinstance(e, Reference)]
    if project.sets or len(columns) < len(project.expressions):
        return None
    more = len(project.child.types)
    places = dict(enumerate(columns))
    places |= {len(columns) + i: more + i for i in range(len(node.right.types))}
    condition = None if node.condition is None else remap(node.condition, places)
    return replace(project, child=logical.Join(node.kind, project.child, node.right, condition))


def _held_smaller(node: logical.Join, estimates: Estimates) -> Node:
    """A join that is no inner one with the smaller side held: the sides change places."""
    if node.kind not in _FLIPPED:
        return node
    left, right = estimates.rows(node.left), estimates.rows(node.right)
    if right < _SMALL or left * _MUCH > right:
        return node
    width, more = len(node.left.types), len(node.right.types)
    places = {i: i + more if i < width else i - width for i in range(width + more)}
    condition = None if node.condition is None else remap(node.condition, places)
    flipped = logical.Join(_FLIPPED[node.kind], node.right, node.left, condition)
    if node.kind in ("semi", "anti"):
        return flipped
    types = node.types
    return logical.Project(flipped, tuple(Reference(places[i], types[i]) for i in range(width + more)))


_FLIPPED: dict[logical.JoinKind, logical.JoinKind] = {
    "left": "right",
    "right": "left",
    "semi": "right semi",
    "anti": "right anti",
}
_MUCH = 2.0  # times as many rows on the held side, and the sides change places


@dataclass(frozen=True)
class _Tree:
    """A plan of some inputs: one input, or a join of two plans. `inputs` is a set as bits."""

    inputs: int
    rows: float
    cost: float
    left: _Tree | None = None
    right: _Tree | None = None

    def leaves(self) -> Iterator[int]:
        """The bits of its inputs, from left to right."""
        if self.left is None or self.right is None:
            yield self.inputs
        else:
            yield from self.left.leaves()
            yield from self.right.leaves()


class _Graph:
    """A tree of inner joins, taken apart: inputs, and what ties them.

    A column is known by its place in the row of all inputs, one after another.
    """

    def __init__(self, node: logical.Join, estimates: Estimates) -> None:
        self._node = node
        self._estimates = estimates
        self._inputs: list[Node] = []
        self._offsets: list[int] = []
        self._classes = Classes()
        self._others: list[tuple[Expression, int]] = []  # conditions, and the inputs that they read
        self._width = 0
        self.fit = True
        self._columns, self._written = self._collect(node)
        self._known: dict[int, _Tree] = {}
        self._shares: dict[int, float] = {}

    def _collect(self, node: Node) -> tuple[tuple[int, ...], _Tree]:
        """Where a node's columns stand, and the plan that it is."""
        if isinstance(node, logical.Join) and node.kind == "inner":
            left, one = self._collect(node.left)
            right, other = self._collect(node.right)
            columns = (*left, *right)
            for condition in conjuncts(node.condition):
                self._add(remap(condition, dict(enumerate(columns))))
            return columns, _Tree(one.inputs | other.inputs, 0, 0, one, other)
        if isinstance(node, logical.Project) and not node.sets and isinstance(node.child, logical.Join):
            renamed = [e.index for e in node.expressions if isinstance(e, Reference)]
            if node.child.kind == "inner" and len(renamed) == len(node.expressions):
                columns, plan = self._collect(node.child)
                return tuple(columns[index] for index in renamed), plan
        bit = 1 << len(self._inputs)
        self._inputs.append(_order(node, self._estimates))
        self._offsets.append(self._width)
        places = tuple(range(self._width, self._width + len(node.types)))
        self._width += len(node.types)
        return places, _Tree(bit, 0, 0)

    def _add(self, condition: Expression) -> None:
        if is_volatile(condition):
            self.fit = False
        pair = column_equality(condition)
        if pair is None or not self._classes.join(*pair):
            self._others.append((condition, self._reading(condition)))

    def _reading(self, condition: Expression) -> int:
        """The inputs that a condition reads, as bits."""
        used = references(condition)
        return sum(
            1 << number
            for number, (offset, node) in enumerate(zip(self._offsets, self._inputs, strict=True))
            if any(offset <= index < offset + len(node.types) for index in used)
        )

    def ordered(self) -> Node:
        """The joins in their new order, with the columns of the old one."""
        count = len(self._inputs)
        self._offsets.append(self._width)
        self._of_class = [self._by_input(members) for members in self._classes.sets()]
        constant = self._put_down()
        self._leaves = [_Tree(1 << i, self._estimates.rows(node), 0.0) for i, node in enumerate(self._inputs)]
        written = self._measured(self._written)
        has_product = self._has_product(written)
        best = written
        if has_product or written.cost > _SMALL:
            found = self._searched(count)
            if has_product or found.cost < _BETTER * written.cost:
                best = found
        node, places = self._built(best)
        if constant is not None:
            node = logical.Filter(node, constant)
        columns = [places[column] for column in self._columns]
        if columns == list(range(len(node.types))):
            return node
        types = self._node.types
        return logical.Project(node, tuple(Reference(c, types[i]) for i, c in enumerate(columns)))

    def _by_input(self, members: list[Reference]) -> dict[int, Reference]:
        """A class's column of each input; of several in one input the others must be equal to it."""
        found: dict[int, Reference] = {}
        for column in members:
            bit = self._input(column.index)
            if bit in found:
                self._others.append((self._classes.equality(found[bit], column), bit))
            found.setdefault(bit, column)
        return found

    def _put_down(self) -> Expression | None:
        """Filter inputs by the conditions that read them alone; the condition that reads none."""
        nothing = [condition for condition, reads in self._others if not reads]
        for number, node in enumerate(self._inputs):
            own = [shift(c, -self._offsets[number]) for c, reads in self._others if reads == 1 << number]
            condition = conjunction(own)
            if condition is not None:
                self._inputs[number] = push(node, [condition])
        self._others = [(c, reads) for c, reads in self._others if reads & (reads - 1)]
        return conjunction(nothing)

    def _input(self, column: int) -> int:
        """The bit of the input that a column stands in."""
        number = next(i for i in range(len(self._inputs)) if column < self._offsets[i + 1])
        return 1 << number

    def _measured(self, plan: _Tree) -> _Tree:
        """The plan as written, with rows and cost."""
        if plan.left is None or plan.right is None:
            return self._leaves[plan.inputs.bit_length() - 1]
        return self._joined(self._measured(plan.left), self._measured(plan.right))

    def _has_product(self, plan: _Tree) -> bool:
        if plan.left is None or plan.right is None:
            return False
        if not self._tied(plan.left.inputs, plan.right.inputs):
            return True
        return self._has_product(plan.left) or self._has_product(plan.right)

    def _searched(self, count: int) -> _Tree:
        best = self._by_subsets(count) if count <= MOST else None
        return self._by_size() if best is None else best

    def _by_subsets(self, count: int) -> _Tree | None:
        """The cheapest plan of all inputs; None where conditions do not tie them all."""
        best: dict[int, _Tree] = {leaf.inputs: leaf for leaf in self._leaves}
        for inputs in range(3, 1 << count):
            if inputs & (inputs - 1) == 0:
                continue
            lowest, chosen = inputs & -inputs, None
            half = (inputs - 1) & inputs
            while half:
                if half & lowest:  # each pair of halves once
                    one, other = best.get(half), best.get(inputs ^ half)
                    if one is not None and other is not None and self._tied(half, inputs ^ half):
                        for plan in (self._joined(one, other), self._joined(other, one)):
                            if chosen is None or plan.cost < chosen.cost:
                                chosen = plan
                half = (half - 1) & inputs
            if chosen is not None:
                best[inputs] = chosen
        return best.get((1 << count) - 1)

    def _by_size(self) -> _Tree:
        """Greedily: the two plans whose join is smallest, those first that a condition ties."""
        plans = list(self._leaves)
        while len(plans) > 1:
            pairs = list(combinations(plans, 2))
            tied = [(a, b) for a, b in pairs if self._tied(a.inputs, b.inputs)]
            joined = [self._joined(*sorted(pair, key=lambda plan: -plan.rows)) for pair in tied or pairs]
            smallest = min(joined, key=lambda plan: plan.rows)
            plans = [plan for plan in plans if not plan.inputs & smallest.inputs] + [smallest]
        return plans[0]

    def _joined(self, left: _Tree, right: _Tree) -> _Tree:
        inputs = left.inputs | right.inputs
        known = self._known.get(inputs)
        rows = known.rows if known is not None else self._rows(left, right)
        cost = left.cost + right.cost + left.rows + _HELD * right.rows + rows
        if not self._tied(left.inputs, right.inputs):
            cost += left.rows * right.rows
        plan = _Tree(inputs, rows, cost, left, right)
        self._known.setdefault(inputs, plan)
        return plan

    def _tied(self, one: int, other: int) -> bool:
        """Whether an equality, or a condition on both and no others, joins two sets of inputs."""
        both = one | other
        return any(
            any(bit & one for bit in members) and any(bit & other for bit in members)
            for members in self._of_class
        ) or any(reads & one and reads & other and not reads & ~both for _, reads in self._others)

    def _rows(self, left: _Tree, right: _Tree) -> float:
        """About how many rows a join of two plans gives."""
        keys, share = 1.0, 1.0
        for members in self._of_class:
            one = [self._distinct(column, left.rows) for bit, column in members.items() if bit & left.inputs]
            other = [
                self._distinct(column, right.rows) for bit, column in members.items() if bit & right.inputs
            ]
            if one and other:
                keys *= key_count([_least(one), _least(other)], [left.rows, right.rows])
        both = left.inputs | right.inputs
        for condition, reads in self._others:
            if reads & left.inputs and reads & right.inputs and not reads & ~both:
                share *= self._estimates.guess(condition)
        most = max(self._largest(left), self._largest(right))
        return max(left.rows * right.rows * share / min(keys, max(most, 1.0)), 1.0)

    def _largest(self, plan: _Tree) -> float:
        """The rows of the largest table in a plan: keys of several columns are not more than those."""
        return max(self._table_rows(bit) for bit in plan.leaves())

    def _table_rows(self, bit: int) -> float:
        if bit not in self._shares:
            node = self._inputs[bit.bit_length() - 1]
            table = isinstance(node, logical.Get)
            self._shares[bit] = (
                self._estimates.table_rows(node)
                if table and isinstance(node, logical.Get)
                else self._estimates.rows(node)
            )
        return self._shares[bit]

    def _distinct(self, column: Reference, rows: float) -> float | None:
        """About how many values a column has among so many rows."""
        number = self._input(column.index).bit_length() - 1
        node = self._inputs[number]
        place = Reference(column.index - self._offsets[number], column.type)
        found = self._estimates.distinct(place, node)
        return None if found is None else min(found, rows)

    def _built(self, plan: _Tree) -> tuple[Node, dict[int, int]]:
        """A plan as joins, and where each column of its inputs stands."""
        if plan.left is None or plan.right is None:
            number = plan.inputs.bit_length() - 1
            first, end = self._offsets[number], self._offsets[number + 1]
            return self._inputs[number], {column: column - first for column in range(first, end)}
        left, places = self._built(plan.left)
        right, more = self._built(plan.right)
        width = len(left.types)
        places = places | {column: width + place for column, place in more.items()}
        conditions = self._conditions(plan.left.inputs, plan.right.inputs)
        return logical.Join("inner", left, right, conjunction([remap(c, places) for c in conditions])), places

    def _conditions(self, left: int, right: int) -> list[Expression]:
        """What joins two sets of inputs."""
        found: list[Expression] = []
        for members in self._of_class:
            one = next((column for bit, column in members.items() if bit & left), None)
            other = next((column for bit, column in members.items() if bit & right), None)
            if one is not None and other is not None:
                found.append(self._classes.equality(one, other))
        both = left | right
        for condition, reads in self._others:
            if not reads & ~both and reads & left and reads & right:
                found.append(condition)
        return found
