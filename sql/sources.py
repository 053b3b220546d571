"""FROM: tables, views, subqueries, functions and their joins, to a logical plan and a scope of names.

Items and joins are chained from the left, so every relation's columns stand at its offset in the row of
the query level. A join whose right side must not be chained (RIGHT, FULL, parentheses) is built apart,
over a row that begins at its first relation, and joined as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from engine.expressions import Coalesce, Expression
from engine.operators import OneRow
from sql import databases, systemcolumns
from sql.binding import Binding, routines
from sql.bound import Bound, QueryBinder
from sql.coerce import common_type
from sql.context import BindContext
from sql.expressions import conjunction, references, shift
from sql.functionsources import bind_rows, definitions, function_node, outside, plain_name, spread
from sql.logical import Apply, Get, Join, JoinKind, Leaf, Node, Project
from sql.marks import FunctionMark, mark_of, opening_of, position_of
from sql.notation import Result
from sql.relations import find_relation
from sql.resolved import TableName
from sql.sampling import not_a_table, sampled
from sql.scope import Frame, Merged, Relation, Scope, ScopeColumn, missing, unreachable
from sql.viewtexts import bind_stored, bind_view
from storage.definitions import Table, View
from storage.errors import (
    AmbiguousColumn,
    FeatureNotSupported,
    InvalidColumnReference,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedTable,
)
from storage.types import INT8, RECORD, Type


@dataclass(frozen=True, slots=True)
class StarColumn:
    """A column as `*` shows it."""

    name: str
    expression: Expression
    column: ScopeColumn


@dataclass
class Item:
    """A part of FROM: its plan over a row that begins at column `start`, and what `*` shows of it."""

    node: Node
    start: int
    stars: list[StarColumn]
    relations: list[Relation] = field(default_factory=list)


class Sources:
    """Binds the FROM clause of one query level into `scope`."""

    def __init__(
        self, scope: Scope, context: BindContext, queries: QueryBinder, system: tuple[int, ...] = ()
    ) -> None:
        """`system`: the system columns (attnums) that the query level names, of whichever table."""
        self.scope = scope
        self.system = system
        self.context = context
        self.queries = queries

    def bind(self, first: exp.Expression | None, joins: Sequence[exp.Join]) -> tuple[Node, list[StarColumn]]:
        """The plan of FROM with all its joins; OneRow where there is none."""
        if first is None:
            return Leaf(OneRow()), []
        groups: list[tuple[exp.Expression, list[exp.Join]]] = [(first, [])]
        for join in joins:
            if _is_comma(join):
                groups.append((join.this, []))
            else:
                groups[-1][1].append(join)
        whole: Item | None = None
        stars: list[StarColumn] = []
        for tree, inner in groups:
            apart = any(str(j.args.get("side") or "").upper() in ("RIGHT", "FULL") for j in inner)
            if whole is None or apart:
                item = self._chain(tree, inner, None)
                stars += item.stars
                if whole is not None:
                    item = replace(whole, node=self._cross(whole, item))
                whole = replace(item, start=0)
            else:
                item = self._chain(tree, inner, whole)
                stars += item.stars
                whole = item
        assert whole is not None
        return whole.node, stars

    def _cross(self, left: Item, right: Item) -> Node:
        return Join("inner", left.node, right.node, None)

    def _chain(self, tree: exp.Expression, joins: Sequence[exp.Join], before: Item | None) -> Item:
        """An item with its joins; with `before`, chained to all that stands before it."""
        item = self._item(tree, before, "inner")
        if before is not None and item.start != before.start:
            item = replace(item, node=self._cross(before, item), start=before.start)
        for join in [*(tree.args.get("joins") or ()), *joins]:
            item = self._join(item, join)
        return item

    # joins

    def _join(self, left: Item, tree: exp.Join) -> Item:
        kind = _join_kind(tree)
        right = self._item(tree.this, left, kind)
        joined_already = right.start == left.start
        if tree.this.args.get("joins"):
            raise FeatureNotSupported(
                "nested joins are supported in parentheses only", position=position_of(tree)
            )
        relations = [*left.relations, *right.relations]
        if kind in ("left", "full"):
            _make_optional(right.relations)
        if kind in ("right", "full"):
            _make_optional(left.relations)
        condition, stars = self._condition(left, right, tree, kind)
        if condition is not None:
            condition = shift(condition, -left.start)
        if joined_already:
            node = right.node
            assert isinstance(node, Apply)
            return Item(replace(node, condition=condition), left.start, stars, relations)
        return Item(Join(kind, left.node, right.node, condition), left.start, stars, relations)

    def _condition(
        self, left: Item, right: Item, tree: exp.Join, kind: JoinKind
    ) -> tuple[Expression | None, list[StarColumn]]:
        using = tree.args.get("using")
        if str(tree.args.get("method") or "").upper() == "NATURAL":
            names = {s.name for s in right.stars}
            shared = [s.name for s in left.stars if s.name in names]
            return self._using(left, right, list(dict.fromkeys(shared)), kind, tree)
        if using:
            return self._using(left, right, [plain_name(u) for u in using], kind, tree)
        on = tree.args.get("on")
        stars = left.stars + right.stars
        if on is None:
            if str(tree.args.get("kind") or "").upper() != "CROSS":
                raise SqlSyntaxError("syntax error: JOIN needs ON or USING", position=position_of(tree))
            return None, stars
        view = self._narrowed([*left.relations, *right.relations])
        binding = Binding(self.context, view, "JOIN conditions")
        return binding.condition(on, "JOIN/ON"), stars

    def _narrowed(self, relations: list[Relation]) -> Scope:
        """The level with these relations only, at their places."""
        scope = Scope(self.scope.frame, self.scope.tables)
        scope.relations = relations
        scope.merged = [m for m in self.scope.merged if m.relations & {id(r) for r in relations}]
        scope.width = self.scope.width
        others = {r.name for r in self.scope.relations} - {r.name for r in relations}
        scope.unreachable = self.scope.unreachable | others
        return scope

    def _using(
        self, left: Item, right: Item, names: list[str], kind: JoinKind, tree: exp.Join
    ) -> tuple[Expression | None, list[StarColumn]]:
        """Columns that both sides have: compared, and shown once."""
        position = position_of(tree)
        if self.context.resolved is not None:
            self.context.resolved.using[id(tree)] = tuple(names)
        parts: list[Expression] = []
        merged: list[StarColumn] = []
        binding = Binding(self.context, self.scope, "JOIN/USING")
        for name in names:
            a = _star_named(left.stars, name, "left")
            b = _star_named(right.stars, name, "right")
            if self.context.resolved is not None:
                self.context.resolved.joined |= {(s.column.table, s.column.number) for s in (a, b)}
            for side in (*left.relations, *right.relations):
                side.read(*(i for i, c in enumerate(side.columns) if c.name == name))
            parts.append(binding.operator("=", a.expression, b.expression, position=position))
            type = common_type([a.expression.type, b.expression.type], "JOIN/USING", (0, position))
            la = binding.coerced(a.expression, type, position)
            lb = binding.coerced(b.expression, type, position)
            expression: Expression = lb if kind == "right" else la
            if kind == "full":
                expression = Coalesce((la, lb), type)
            origin = b.column if kind == "right" else a.column
            merged.append(StarColumn(name, expression, origin))
            self._hide(left.relations, name)
            self._hide(right.relations, name)
            ids = {id(r) for r in [*left.relations, *right.relations]}
            self.scope.merged = [m for m in self.scope.merged if m.name != name or not (m.relations & ids)]
            self.scope.merged.append(Merged(name, expression, frozenset(ids), origin))
        hidden = set(names)
        rest = [s for s in left.stars + right.stars if s.name not in hidden]
        return conjunction(parts), merged + rest

    @staticmethod
    def _hide(relations: list[Relation], name: str) -> None:
        for relation in relations:
            relation.hidden |= {i for i, c in enumerate(relation.columns) if c.name == name}

    # items

    def _item(self, tree: exp.Expression, left: Item | None, kind: JoinKind) -> Item:
        match tree:
            case exp.Table() if isinstance(tree.this, exp.Anonymous):
                _only(tree, "this alias ordinality joins")
                return self._function(tree, tree.this, left, kind)
            case exp.Table():
                _only(tree, "this db catalog alias joins sample")
                return self._table(tree)
            case exp.Lateral():
                _only(tree, "this alias ordinality")
                if isinstance(tree.this, exp.Anonymous):
                    return self._function(tree, tree.this, left, kind)
                return self._lateral(tree, left, kind)
            case exp.Subquery() if isinstance(tree.this, exp.Table) or _is_join(tree.this):
                _only(tree, "this alias joins")
                return self._chain(tree.this, (), None) if tree.alias == "" else self._named_join(tree)
            case exp.Subquery():
                _only(tree, "this alias with_ order limit offset joins")
                return self._subquery(tree)
            case exp.Values():
                _only(tree, "expressions alias with_ order limit offset")
                return self._subquery(tree)
        raise FeatureNotSupported(f"{tree.key.upper()} in FROM is not supported", position=position_of(tree))

    def _add(self, node: Node, name: str, columns: Sequence[ScopeColumn], **more: object) -> Item:
        start = self.scope.width
        relation = Relation(name, tuple(columns), **more)  # type: ignore[arg-type]
        self.scope.add(relation)
        stars = [
            StarColumn(column.name, self.scope.column(relation, i), column)
            for i, column in enumerate(relation.shown)
        ]
        return Item(node, start, stars, [relation])

    def _table(self, tree: exp.Table) -> Item:
        name = plain_name(tree.this)
        schema = tree.args.get("db")
        alias, names = _alias(tree)
        position = position_of(tree)
        common = self.scope.tables.get(name) if schema is None else None
        if common is not None:
            if tree.args.get("sample") is not None:
                raise not_a_table(position)
            bound = common.reference(position)
            columns = _renamed(bound.columns, names, alias or name)
            return self._add(bound.node, alias or name, columns, common=True, apart=common.apart)
        databases.of_table(tree, self.context)
        found = find_relation(self.context, name, "" if schema is None else plain_name(schema), position)
        more: dict[str, object] = {}
        if isinstance(found.source, Table | View):
            more["need"] = need = self.context.need(found.source)
            need.want("r")
        elif found.source.private:
            self.context.need_private(found.source.oid, found.source.word, name)
        if isinstance(found.source, Table):
            table = found.source
            if table.materialized is not None and not table.materialized.populated:
                self.context.unpopulated.append(table.name)
            columns = tuple(ScopeColumn(c.name, c.type, table.oid, c.number) for c in table.columns)
            node: Node = Get(table, (*range(len(columns)), *self.system))
            more["system"] = systemcolumns.columns(table.oid, self.system)
            oid = table.oid
        elif isinstance(found.source, View):
            bound = bind_stored(found.source, self.context, self.queries)
            node, columns, oid = bound.node, bound.columns, found.source.oid
        elif found.source.text:
            bound = self._expanded(found.source.schema, found.source.name)
            node, columns, oid = bound.node, bound.columns, found.source.oid
        else:
            view = found.source
            columns = tuple(ScopeColumn(n, t, view.oid, i) for i, (n, t) in enumerate(view.columns, 1))
            node, oid = Get(view, tuple(range(len(columns)))), view.oid
            more["fixed"] = systemcolumns.of_view(view.oid, self.context) if self.system else {}
        sample = tree.args.get("sample")
        if sample is not None:
            node = sampled(node, sample, position, self.context, self.scope)
        columns = _renamed(columns, names, alias or name)
        if self.context.resolved is not None:
            self.context.resolved.tables[id(tree)] = TableName(oid, found.schema, name, alias or name)
        return self._add(
            node,
            alias or name,
            columns,
            renamed=len(names),
            schema="" if alias else found.schema,
            table=oid,
            behind=name if alias else "",
            **more,
        )

    def _expanded(self, schema: str, name: str) -> Bound:
        """A view that is SQL, like a subquery with the catalog's own search path."""
        return bind_view(schema, name, self.context, self.queries)

    def _subquery(self, tree: exp.Expression) -> Item:
        alias, names = self._must_alias(tree, tree)
        try:
            bound = self.queries(tree, self.scope.frame, self.context, self.scope.tables)
        except UndefinedTable as error:
            for relation in self.scope.relations:
                if error.message == missing(relation.name, error.position).message:
                    raise unreachable(relation.name, error.position) from None
            raise
        columns = _renamed(bound.columns, names, alias)
        return self._add(bound.node, alias, columns)

    def _named_join(self, tree: exp.Subquery) -> Item:
        """(a JOIN b ...) AS x: its columns under one name, those of its parts unseen."""
        alias, names = _alias(tree)
        inner = Scope(self.scope.frame, self.scope.tables)
        node, stars = Sources(inner, self.context, self.queries).bind(tree.this, ())
        for relation in inner.relations:
            relation.read(*range(len(relation.columns)))
        self.scope.unreachable |= {relation.name for relation in inner.relations}
        shown = [replace(star.column, name=star.name, type=star.expression.type) for star in stars]
        columns = _renamed(shown, names, alias, "join expression")
        node = Project(node, tuple(star.expression for star in stars))
        return self._add(node, alias, columns)

    def _must_alias(self, tree: exp.Expression, query: exp.Expression) -> tuple[str, list[str]]:
        """The alias of a query in FROM, and of its columns. Raises SqlSyntaxError where it has none."""
        alias, names = _alias(tree)
        if not alias:
            what = "VALUES" if isinstance(query, exp.Values) else "subquery"
            example = "VALUES" if isinstance(query, exp.Values) else "SELECT"
            raise SqlSyntaxError(
                f"{what} in FROM must have an alias",
                hint=f"For example, FROM ({example} ...) [AS] foo.",
                position=opening_of(query, self.context.text),
            )
        return alias, names

    def _lateral(self, tree: exp.Lateral, left: Item | None, kind: JoinKind) -> Item:
        """LATERAL (SELECT ...): in a frame of its own, whose outer row is what stands before it."""
        alias, names = self._must_alias(tree, tree.this)
        frame = Frame(self.scope)
        bound = self.queries(tree.this, frame, self.context, self.scope.tables)
        columns = _renamed(bound.columns, names, alias)
        item = self._add(bound.node, alias, columns)
        return self._applied(item, frame, left, kind, position_of(tree))

    def _applied(self, item: Item, frame: Frame, left: Item | None, kind: JoinKind, position: int) -> Item:
        """An item that reads the row before it, joined to it."""
        if not frame.arguments:
            return item
        if left is None:
            left = Item(Leaf(OneRow()), item.start, [])
        if kind not in ("inner", "left"):
            read = (self.scope.origin(index) for index in sorted(references(*frame.arguments)))
            name = next((found[0].name for found in read if found is not None), "")
            raise InvalidColumnReference(
                f'invalid reference to FROM-clause entry for table "{name}"',
                detail="The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
                position=position,
            )
        if any(i < left.start for i in references(*frame.arguments)):
            raise FeatureNotSupported(
                "LATERAL references to items outside a RIGHT or FULL JOIN are not supported",
                position=position,
            )
        arguments = tuple(shift(a, -left.start) for a in frame.arguments)
        node = Apply("left" if kind == "left" else "inner", left.node, item.node, arguments, None)
        return replace(item, node=node, start=left.start)

    def _function(
        self, tree: exp.Expression, inner: exp.Anonymous, left: Item | None, kind: JoinKind
    ) -> Item:
        """A function in FROM; its arguments may read what stands before it."""
        defined = definitions(tree, self.context)
        alias, names = _alias(tree, defined=bool(defined))
        mark = mark_of(inner.this, FunctionMark)
        assert mark is not None
        frame = Frame(self.scope)
        inside = Scope(frame, self.scope.tables)
        binding = Binding(self.context, inside, "functions in FROM", sets=True)
        if not mark.form and routines.is_special(binding, mark, inner.expressions):
            found = routines.invocation(binding, mark, inner)
            if isinstance(found, routines.Invocation):
                return self._routine(tree, found, defined, frame, left, kind)
        bound = bind_rows(binding, inner, defined)
        plain = mark.names[0] if mark.form == "keyword" else mark.name
        columns = list(bound.columns) or [ScopeColumn(alias or plain, bound.expression.type)]
        ordinality = bool(tree.args.get("ordinality"))
        if ordinality:
            columns.append(ScopeColumn("ordinality", INT8))
        columns = list(_renamed(columns, names, alias or plain))
        calls = [bound.expression, *bound.beside]
        if not references(*frame.arguments):
            calls = [outside(expression, frame) for expression in calls]
            frame.arguments = []
        node = function_node(calls, bound.columns, ordinality, bound.fields)
        single = len(columns) == 1
        item = self._add(node, alias or plain, columns, function=single)
        return self._applied(item, frame, left, kind, mark.position)

    def _routine(
        self,
        tree: exp.Expression,
        found: routines.Invocation,
        defined: Sequence[tuple[str, Type]],
        frame: Frame,
        left: Item | None,
        kind: JoinKind,
    ) -> Item:
        """A function of the catalog in FROM: its query, as if it stood there LATERAL, or what it gives."""
        alias, names = _alias(tree, defined=bool(defined))
        function, result, position = found.function, found.result, found.position
        if (result.columns[0][1].oid == RECORD.oid) != bool(defined):
            word = "only allowed" if defined else "required"
            raise SqlSyntaxError(
                f'a column definition list is {word} for functions returning "record"', position=position
            )
        if defined:
            result = Result(tuple(defined), False)
            found = replace(found, result=result)
        plain = function.name
        columns = [ScopeColumn(name, type) for name, type in result.columns]
        row = columns[0].type if result.scalar and columns[0].type.is_composite else None
        if row is not None:
            columns = [ScopeColumn(each.name, each.type) for each in row.attributes or ()]
        elif result.scalar and not function.outputs and not defined:
            columns = [replace(columns[0], name=alias or plain)]
        ordinality = bool(tree.args.get("ordinality"))
        if ordinality:
            columns.append(ScopeColumn("ordinality", INT8))
        columns = list(_renamed(columns, names, alias or plain))
        values = tuple(outside(value, frame) for value in found.values)
        rows = None
        if not ordinality and not defined:
            rows = routines.BODIES[0].rows_of(function, values, result, self.context, position)
        if rows is not None:
            node, frame.arguments = rows[0], list(rows[1])
        else:
            alone = not references(*frame.arguments)
            arguments = values if alone else found.values
            frame.arguments = [] if alone else frame.arguments
            node = Leaf(replace(found.scan(), arguments=arguments, ordinality=ordinality))
        if row is not None:
            node = spread(node, row, ordinality)
        item = self._add(node, alias or plain, columns, function=len(columns) == 1)
        if rows is not None and frame.arguments and not references(*frame.arguments):
            return self._applied(item, frame, None, "inner", position)
        return self._applied(item, frame, left, kind, position)


def _is_join(tree: exp.Expression) -> bool:
    """(a JOIN b ...) inside parentheses, whose names are seen outside."""
    if isinstance(tree, exp.Subquery):
        return bool(tree.args.get("joins")) or isinstance(tree.this, exp.Table) or _is_join(tree.this)
    return False


def _make_optional(relations: Sequence[Relation]) -> None:
    for relation in relations:
        relation.optional = True


def _is_comma(join: exp.Join) -> bool:
    return not any(join.args.get(name) for name in ("side", "kind", "method", "on", "using"))


def _join_kind(tree: exp.Join) -> JoinKind:
    _only(tree, "this side kind method on using")
    side, kind = str(tree.args.get("side") or "").upper(), str(tree.args.get("kind") or "").upper()
    method = str(tree.args.get("method") or "").upper()
    if kind not in ("", "INNER", "OUTER", "CROSS") or method not in ("", "NATURAL"):
        raise FeatureNotSupported(f"{method or kind} JOIN is not supported", position=position_of(tree))
    kinds: dict[str, JoinKind] = {"LEFT": "left", "RIGHT": "right", "FULL": "full", "": "inner"}
    return kinds[side]


def _only(tree: exp.Expression, known: str) -> None:
    """Refuse an argument of the node that nobody reads."""
    names = known.split()
    for name, value in tree.args.items():
        if value and name not in names:
            raise FeatureNotSupported(
                f"{name.rstrip('_')} of {tree.key.upper()} is not supported", position=position_of(tree)
            )


def _alias(tree: exp.Expression, *, defined: bool = False) -> tuple[str, list[str]]:
    """(alias or '', names for the columns); where these are defined, none."""
    alias = tree.args.get("alias")
    if alias is None:
        return "", []
    _only(alias, "this columns")
    names = []
    for column in () if defined else alias.args.get("columns") or ():
        if not isinstance(column, exp.Identifier):
            raise FeatureNotSupported(
                "a column definition list is not supported", position=position_of(column)
            )
        names.append(plain_name(column))
    this = alias.args.get("this")
    return ("" if this is None else plain_name(this)), names


def _renamed(
    columns: Sequence[ScopeColumn], names: list[str], table: str, what: str = "table"
) -> tuple[ScopeColumn, ...]:
    if len(names) > len(columns):
        raise InvalidColumnReference(
            f'{what} "{table}" has {len(columns)} columns available but {len(names)} columns specified'
        )
    return tuple(
        replace(column, name=names[i]) if i < len(names) else column for i, column in enumerate(columns)
    )


def _star_named(stars: list[StarColumn], name: str, side: str) -> StarColumn:
    found = [s for s in stars if s.name == name]
    if len(found) > 1:
        raise AmbiguousColumn(f'common column name "{name}" appears more than once in {side} table')
    if not found:
        raise UndefinedColumn(f'column "{name}" specified in USING clause does not exist in {side} table')
    return found[0]
