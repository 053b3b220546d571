"""SELECT: its clauses in the order in which they mean something, to a logical plan.

FROM gives rows, WHERE keeps some, GROUP BY makes groups of them, the select list computes, DISTINCT and
ORDER BY look at what it computed. Keys of ORDER BY that are not in the list are computed beside it and
cut off at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlglot import exp

from engine.expressions import Call, Expression, Reference
from engine.operators import FunctionScan, SortKey
from sql.binding import Binding, routines, rows
from sql.binding.base import Aggregates, Windows, WindowValue
from sql.binding.calls import gives_columns, key_of
from sql.binding.windows import check_definitions, definitions_of
from sql.bound import Bound, QueryBinder
from sql.context import BindContext
from sql.expressions import is_set, remap, transform
from sql.functionsources import bind_rows
from sql.grouping import Apart, Grouping, is_grouped
from sql.groupingsets import GroupedBy, read
from sql.labels import label
from sql.locking import Carried, carry, check, clauses, row_ids
from sql.locking import targets as targets_of
from sql.logical import Apply, Distinct, Filter, Leaf, Limit, LockRows, Node, Project, Sort, Window
from sql.marks import FunctionMark, Literal, mark_of, position_of
from sql.ordering import bare_name, bind_limits
from sql.resolved import ColumnName
from sql.scope import Frame, Scope, ScopeColumn
from sql.sortable import must_equal
from sql.sources import Sources, StarColumn
from sql.systemcolumns import named
from sql.tokens import Kind
from storage.errors import (
    AmbiguousColumn,
    FeatureNotSupported,
    InvalidColumnReference,
    SqlSyntaxError,
)
from storage.types import Type

_KNOWN = frozenset(
    (
        "expressions",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "offset",
        "distinct",
        "with_",
        "locks",
        "windows",
    )
)


@dataclass
class Target:
    """An item of the select list."""

    name: str
    tree: exp.Expression | None  # None: one of the columns of *
    expression: Expression
    table: int = 0
    number: int = 0
    named: bool = False  # by AS


def bind_select(
    tree: exp.Select,
    frame: Frame,
    context: BindContext,
    tables: Mapping[str, Any],
    queries: QueryBinder,
    *,
    resolve: bool,
) -> Bound:
    """A SELECT with its ORDER BY and LIMIT, without its WITH."""
    for name, value in tree.args.items():
        if value and name == "into":
            raise _misplaced_into(tree, value)
        if value and name not in _KNOWN:
            raise FeatureNotSupported(f"{name} is not supported", position=position_of(tree))
    return _Select(tree, frame, context, tables, queries).bind(resolve=resolve)


def _misplaced_into(tree: exp.Select, into: exp.Expression) -> SqlSyntaxError:
    """The error for INTO in a query that is no statement: of that, sql.commands has made CREATE TABLE AS."""
    words = "SELECT ... INTO is not allowed here"
    if isinstance(tree.parent, exp.SetOperation) and tree.arg_key == "expression":
        words = "INTO is only allowed on first SELECT of UNION/INTERSECT/EXCEPT"
    return SqlSyntaxError(words, position=position_of(into))


class _Select:
    def __init__(
        self,
        tree: exp.Select,
        frame: Frame,
        context: BindContext,
        tables: Mapping[str, Any],
        queries: QueryBinder,
    ) -> None:
        self.tree = tree
        self.context = context
        self.queries = queries
        self.scope = Scope(frame, tables)
        self.stars: list[StarColumn] = []
        self.pending: list[tuple[Frame, Leaf]] = []
        self.locks = clauses(tree)

    def bind(self, *, resolve: bool) -> Bound:
        node = self._from()
        node = self._where(node)
        self.binding = Binding(
            self.context, self.scope, "SELECT", Aggregates(), Windows(), sets=True, rows=self._row_function
        )
        self.binding.definitions = definitions_of(self.tree)
        targets = self._targets()
        if resolve:
            for target in targets:
                target.expression = self.binding.known(target.expression, self._place(target))
        windows = [] if self.binding.windows is None else self.binding.windows.calls
        grouped = self.tree.args.get("group") is not None
        having = self._having()
        orders = self._orders(targets)
        by = self._group_keys(targets)
        if any(isinstance(target.expression, Apart) for target in targets):
            orders = self._orders(targets)
        on = self._distinct_on(targets)
        check_definitions(self.binding)
        aggregated = is_grouped(by.keys, self.binding, having)
        sets = bool(self.pending) or any(is_set(t.expression) for t in targets)
        for lock in self.locks:
            check(self.tree, lock, aggregated=aggregated, windows=bool(windows), sets=sets)
        node = self._with_functions(node)
        if grouped or aggregated:
            if self.pending:
                raise FeatureNotSupported("a function that gives rows is not supported beside aggregates")
            grouping = Grouping(self.binding, by.keys, by.sets)
            expressions = [grouping.over_groups(t.expression) for t in targets]
            orders = [grouping.over_groups(o) for o in orders]
            on = None if on is None else [grouping.over_groups(o) for o in on]
            kept = None if having is None else grouping.over_groups(having)
            windows = [grouping.over_groups(w) for w in windows]
            node = grouping.node(node)
            for target, expression in zip(targets, expressions, strict=True):
                target.expression = grouping.finish(expression)
            orders = [grouping.finish(o) for o in orders]
            on = None if on is None else [grouping.finish(o) for o in on]
            if kept is not None:
                node = Filter(node, grouping.finish(kept))
            windows = [grouping.finish(w) for w in windows]
        if windows:
            place = partial(_window_column, width=len(node.types))
            node = Window(node, tuple(windows))
            for target in targets:
                target.expression = transform(target.expression, place)
            orders = list(transform(tuple(orders), place))
            on = None if on is None else list(transform(tuple(on), place))
        node = self._output(node, targets, orders, on)
        columns = tuple(ScopeColumn(t.name, t.expression.type, t.table, t.number) for t in targets)
        return Bound(node, columns)

    # clauses

    def _from(self) -> Node:
        clause = self.tree.args.get("from_")
        first = None if clause is None else clause.this
        sources = Sources(self.scope, self.context, self.queries, named(self.tree))
        node, self.stars = sources.bind(first, self.tree.args.get("joins") or ())
        return node

    def _where(self, node: Node) -> Node:
        clause = self.tree.args.get("where")
        if clause is None:
            return node
        aliases = {
            item.args["alias"].this: item.this
            for item in self.tree.expressions
            if isinstance(item, exp.Alias) and isinstance(item.args["alias"].this, str)
        }
        binding = Binding(self.context, self.scope, "WHERE", aliases=aliases)
        return Filter(node, binding.condition(clause.this, "WHERE"))

    def _targets(self) -> list[Target]:
        targets: list[Target] = []
        for item in self.tree.expressions:
            if isinstance(item, exp.Star):
                self._note_star(item, "")
                targets += self._star(item, None)
            elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
                self._note_star(item, item.args["table"].this)
                targets += self._star(item.this, item)
            elif isinstance(item, exp.Dot) and isinstance(item.expression, exp.Star):
                targets += self._row_star(item)
            elif isinstance(item, exp.Alias):
                name = item.args["alias"].this
                if not isinstance(name, str):
                    raise SqlSyntaxError("syntax error", position=position_of(item))
                targets.append(self._target(item.this, name, named=True))
            else:
                targets.append(self._target(item, label(item)))
        if len(targets) > 1664:
            raise FeatureNotSupported("target lists can have at most 1664 entries")
        return targets

    def _note_star(self, item: exp.Expression, name: str) -> None:
        """Remember what a star stands for, where that is wanted."""
        if self.context.resolved is None:
            return
        found: list[ColumnName] = []
        if name:
            relation = self.scope.find_relation(name)
            if relation is not None:
                found = [relation[0].column_name(i) for i in range(len(relation[0].shown))]
        else:
            found = [self._star_name(star) for star in self.stars]
        self.context.resolved.stars[id(item)] = tuple(found)

    def _star_name(self, star: StarColumn) -> ColumnName:
        column = star.expression
        if isinstance(column, Reference) and all(m.expression != column for m in self.scope.merged):
            origin = self.scope.origin(column.index)
            if origin is not None:
                return origin[0].column_name(column.index - origin[0].offset)
        return ColumnName("", star.name)

    def _target(self, tree: exp.Expression, name: str, *, named: bool = False) -> Target:
        expression = self.binding.bind(tree)
        target = Target(name, tree, expression, named=named)
        if isinstance(expression, Reference) and isinstance(tree.unnest(), exp.Column):
            found = self.scope.origin(expression.index)
            if found is not None:
                target.table, target.number = found[1].table, found[1].number
        return target

    def _star(self, star: exp.Star, qualified: exp.Column | None) -> list[Target]:
        if any(value for value in star.args.values()):
            raise FeatureNotSupported(
                "* with EXCEPT, REPLACE or RENAME is not supported", position=position_of(star)
            )
        if qualified is None:
            if not self.scope.relations:
                raise SqlSyntaxError(
                    "SELECT * with no tables specified is not valid", position=position_of(self.tree)
                )
            for relation in self.scope.relations:
                relation.read(*range(len(relation.columns)))
            for shown in self.stars:
                self.binding.remember(shown.expression, position_of(star))
            return [Target(s.name, None, s.expression, s.column.table, s.column.number) for s in self.stars]
        name = qualified.args["table"].this
        schema = qualified.args.get("db")
        place = "" if schema is None else schema.this
        found = self.scope.find_relation(name, place)
        if found is None:
            raise self.scope.no_entry(name, place, position_of(qualified))
        relation, scope = found
        relation.read(*range(len(relation.columns)))
        columns = (self.scope.lift(scope.column(relation, i), scope) for i in range(len(relation.shown)))
        return [
            Target(c.name, None, self.binding.remember(e, position_of(qualified)), c.table, c.number)
            for c, e in zip(relation.shown, columns, strict=True)
        ]

    def _row_star(self, item: exp.Dot) -> list[Target]:
        """(relation).*, (function(...)).* and (row).*"""
        inner = item.this.unnest()
        if gives_columns(inner, self.context):
            return [Target(name, None, e) for name, e in self._row_function(inner)]
        if isinstance(inner, exp.Column) and inner.args.get("table") is None:
            name = inner.this.args.get("this")
            if isinstance(name, str) and self.scope.find_relation(name) is not None:
                column = exp.Column(this=exp.Star(), table=inner.this)
                self._note_star(item, name)
                return self._star(column.this, column)
        row = rows.must_be_row(self.binding.bind(inner), "*", position_of(item))
        rows.note_fields(self.binding, item, row.type)
        return [Target(field.name, None, field.expression) for field in rows.fields(row)]

    def _row_function(self, tree: exp.Expression) -> tuple[tuple[str, Expression], ...]:
        """A function with several columns, called in the select list: as if it stood in FROM, LATERAL."""
        assert isinstance(tree, exp.Anonymous)
        frame = Frame(self.scope)
        inside = Binding(self.context, Scope(frame, self.scope.tables), "SELECT", sets=True)
        mark = mark_of(tree.this, FunctionMark)
        if mark is not None and not mark.form and routines.is_special(inside, mark, tree.expressions):
            found = routines.invocation(inside, mark, tree)
            if isinstance(found, routines.Invocation) and not found.result.scalar:
                return self._pending(frame, Leaf(found.scan()), found.result.columns)
        bound = bind_rows(inside, tree)
        if not bound.columns or not isinstance(bound.expression, Call):
            name = "" if mark is None else mark.name
            raise FeatureNotSupported(
                f"function {name} does not give rows with several columns", position=position_of(tree)
            )
        types = tuple(c.type for c in bound.columns)
        leaf = Leaf(FunctionScan(bound.expression.function, bound.expression.arguments, types))
        return self._pending(frame, leaf, [(c.name, c.type) for c in bound.columns])

    def _pending(
        self, frame: Frame, leaf: Leaf, columns: Sequence[tuple[str, Type]]
    ) -> tuple[tuple[str, Expression], ...]:
        """The columns of a leaf that is to stand behind FROM, once however often it is written."""
        offset = self.scope.width
        for known, other in self.pending:
            if other == leaf and known.arguments == frame.arguments:
                break
            offset += len(other.types)
        else:
            self.pending.append((frame, leaf))
        return tuple((name, Reference(offset + i, type, name)) for i, (name, type) in enumerate(columns))

    def _with_functions(self, node: Node) -> Node:
        for frame, leaf in self.pending:
            node = Apply("inner", node, leaf, tuple(frame.arguments), None)
        return node

    def _group_keys(self, targets: list[Target]) -> GroupedBy:
        clause = self.tree.args.get("group")
        if clause is None:
            return GroupedBy([], ())
        binding = self.binding.within(clause="GROUP BY", aggregates=None, windows=None, sets=False, rows=None)
        meant: list[Target] = []
        by = read(clause, lambda tree: self._group_key(tree, targets, binding, meant))
        if by.sets and _apart(targets, meant):
            by = read(clause, lambda tree: self._group_key(tree, targets, binding, meant))
        return by

    def _group_key(
        self, tree: exp.Expression, targets: list[Target], binding: Binding, meant: list[Target]
    ) -> Expression:
        """A key; the target that it means, by place or name, is added to `meant`."""
        target = self._ordinal(tree, targets, "GROUP BY")
        if target is None:
            name = bare_name(tree)
            if name is not None and self.scope.find(name, 0) is None:
                target = _named(targets, name, "GROUP BY", position_of(tree))
        if target is None:
            return binding.value(tree)
        meant.append(target)
        if target.tree is not None:
            # once more, for the rule that no aggregate may stand in a key
            binding.bind(target.tree)
        return binding.known(target.expression)

    def _having(self) -> Expression | None:
        clause = self.tree.args.get("having")
        if clause is None:
            return None
        binding = self.binding.within(clause="HAVING", windows=None, sets=False, rows=None)
        return binding.condition(clause.this, "HAVING")

    def _ordinal(self, tree: exp.Expression, targets: list[Target], clause: str) -> Target | None:
        """The target that a whole number in ORDER BY or GROUP BY means."""
        constant = _constant(tree)
        if constant is None:
            return None
        literal, sign = constant
        position = position_of(tree)
        text = "" if literal is None or literal.token.kind is not Kind.NUMBER else literal.token.text
        if not text.isdigit() or int(text) >= 1 << 31:
            raise SqlSyntaxError(f"non-integer constant in {clause}", position=position)
        number = sign * int(text)
        if not 1 <= number <= len(targets):
            raise InvalidColumnReference(
                f"{clause} position {number} is not in select list", position=position
            )
        return targets[number - 1]

    def _ordered(self, tree: exp.Expression, targets: list[Target], clause: str) -> Expression:
        """An expression of ORDER BY or DISTINCT ON: an ordinal, a target's name, or anything else."""
        target = self._ordinal(tree, targets, clause)
        name = bare_name(tree)
        if target is None and name is not None:
            target = _named(targets, name, clause, position_of(tree))
        if target is not None:
            return self.binding.known(target.expression)
        return self.binding.within(clause=clause).value(tree)

    def _orders(self, targets: list[Target]) -> list[SortKey]:
        clause = self.tree.args.get("order")
        if clause is None:
            return []
        keys = []
        for item in clause.expressions:
            if not isinstance(item, exp.Ordered):
                raise FeatureNotSupported(
                    "this form of ORDER BY is not supported", position=position_of(item)
                )
            keys.append(key_of(item, self._ordered(item.this, targets, "ORDER BY")))
        return keys

    def _distinct_on(self, targets: list[Target]) -> list[Expression] | None:
        clause = self.tree.args.get("distinct")
        on = None if clause is None else clause.args.get("on")
        if on is None:
            return None
        trees = on.expressions if isinstance(on, exp.Tuple) else [on.unnest()]
        keys = [self._ordered(tree, targets, "DISTINCT ON") for tree in trees]
        for key, tree in zip(keys, trees, strict=True):
            must_equal(key.type, position_of(tree))
        return keys

    # putting it together

    def _output(
        self, node: Node, targets: list[Target], orders: list[SortKey], on: list[Expression] | None
    ) -> Node:
        values = [t.expression for t in targets]
        distinct = self.tree.args.get("distinct")
        if distinct is not None and on is None:
            for target in targets:
                must_equal(target.expression.type, self._place(target))
            self._check_distinct_order(values, orders)
        if on is not None:
            _check_distinct_on(on, orders, self.tree)
        columns = list(values)
        keys = tuple(replace(key, expression=_column_for(key.expression, columns)) for key in orders)
        on_columns = None if on is None else tuple(_column_for(e, columns) for e in on)
        found: list[Carried] = []
        if self.locks:
            node, places, found = carry(node, self.context)
            columns = [*remap(tuple(columns), places), *row_ids(found)]
        node = Project(node, tuple(columns), sets=any(is_set(e) for e in columns))
        if distinct is not None and on_columns is None:
            node = Distinct(node)
        if keys:
            node = Sort(node, keys)
        if on_columns is not None:
            node = Distinct(node, on_columns)
        node = bind_limits(node, self.tree, self.context, self.scope, keys)
        locked = targets_of(self.locks, self.scope, found, len(columns) - len(row_ids(found)))
        if locked:
            cut = node if isinstance(node, Limit) else Limit(node, None, None)
            if cut.ties and any(lock.policy == "skip" for lock in self.locks):
                raise SqlSyntaxError("SKIP LOCKED and WITH TIES options cannot be used together")
            if cut.ties:
                raise FeatureNotSupported(f"FETCH ... WITH TIES with {self.locks[0].words} is not supported")
            node = LockRows(cut.child, locked, cut.count, cut.offset)
        if len(columns) > len(values):
            node = Project(node, tuple(Reference(i, e.type) for i, e in enumerate(values)))
        return node

    def _check_distinct_order(self, values: Sequence[Expression], orders: Sequence[SortKey]) -> None:
        for key, item in zip(orders, self._order_trees(), strict=True):
            if key.expression not in values:
                raise InvalidColumnReference(
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    position=position_of(item),
                )

    def _order_trees(self) -> list[exp.Expression]:
        clause = self.tree.args.get("order")
        return [] if clause is None else list(clause.expressions)

    def _place(self, target: Target) -> int:
        return 0 if target.tree is None else position_of(target.tree)


def _check_distinct_on(on: list[Expression], orders: Sequence[SortKey], tree: exp.Select) -> None:
    wanted = list(on)
    for key in orders:
        if key.expression in wanted:
            wanted.remove(key.expression)
        elif wanted:
            raise InvalidColumnReference(
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                position=position_of(tree.args["distinct"]),
            )
        else:
            return


def _column_for(expression: Expression, columns: list[Expression]) -> Expression:
    """The place of an expression among the computed columns, where it is put if it is not there."""
    for index, column in enumerate(columns):
        if column == expression:
            return Reference(index, expression.type)
    columns.append(expression)
    return Reference(len(columns) - 1, expression.type)


def _window_column(expression: Expression, width: int) -> Expression | None:
    """The column of a window function's value, behind the `width` columns of its input."""
    if isinstance(expression, WindowValue):
        return Reference(width + expression.index, expression.type)
    return None


def _apart(targets: list[Target], meant: list[Target]) -> bool:
    """Tell targets apart that are alike and that grouping sets mean one by one: each is null by itself.

    The first of those that are alike is also what a key means that is no target. Whether there are any.
    """
    found = False
    for number, target in enumerate(targets):
        first = next(other for other in targets if other.expression == target.expression)
        if target is not first and any(target is other for other in meant):
            target.expression = Apart(target.expression, number)
            found = True
    return found


def _named(targets: list[Target], name: str, clause: str, position: int) -> Target | None:
    """The target of this name; several are one if they compute the same."""
    found = [t for t in targets if t.name == name]
    if any(t.expression != found[0].expression for t in found):
        raise AmbiguousColumn(f'{clause} "{name}" is ambiguous', position=position)
    return found[0] if found else None


def _constant(tree: exp.Expression) -> tuple[Literal | None, int] | None:
    """A written constant (TRUE, FALSE and NULL: None) and its sign, in parentheses or not."""
    sign = 1
    while isinstance(tree, exp.Paren | exp.Neg):
        sign = -sign if isinstance(tree, exp.Neg) else sign
        tree = tree.this
    literal = mark_of(tree, Literal)
    if literal is None and isinstance(tree, exp.Boolean | exp.Null):
        return None, sign
    return None if literal is None else (literal, sign)
