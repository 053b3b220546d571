"""Random queries: expressions from a table of templates, and the clauses around them.

In a template {int4} stands for an expression of that type, {any} for one of any type, {rows} for a
sub-select, {column:int4} for one of a single column, {partition} for PARTITION BY, {every} for an order by
all columns. Every query has one answer, whatever the order of its rows: a LIMIT comes with an order by all
columns of the answer, a window that counts rows is ordered by all columns of its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.generator.tables import COLUMNS, Table, value
from tests.generator.trees import Node, filled

TYPES = tuple(dict.fromkeys(COLUMNS.values()))
_LITERAL = {"date": "DATE {}", "timestamp": "TIMESTAMP {}", "float8": "CAST({} AS float8)"}
_LITERAL |= {"int8": "CAST({} AS int8)", "text": "CAST({} AS text)"}


@dataclass(frozen=True, slots=True)
class Form:
    """A template of a type. `common`: DuckDB means the same by it as PostgreSQL."""

    kind: str
    template: str
    common: bool = True


def _forms(kinds: str, template: str, common: bool = True) -> list[Form]:
    return [Form(kind, template.replace("{same}", f"{{{kind}}}"), common) for kind in kinds.split()]


_NUMBERS = "int4 int8 numeric float8"
_ORDERED = f"{_NUMBERS} text date timestamp"
_EVERY = f"{_ORDERED} bool"


def _alike(template: str) -> list[Form]:
    """Of every ordered type; DuckDB rounds decimals to what their common type can hold."""
    return [form for kind in _ORDERED.split() for form in _forms(kind, template, kind != "numeric")]


def _compared(template: str, common: bool = True) -> list[Form]:
    """Conditions on two operands of one type, whichever it is."""
    return [Form("bool", template.replace("{same}", f"{{{kind}}}"), common) for kind in _ORDERED.split()]


EXPRESSIONS = (
    *_forms(_NUMBERS, "({same} + {same})"),
    *_forms(_NUMBERS, "({same} - {same})"),
    *_forms("int4 int8 numeric", "({same} * 3)"),
    *_forms(_NUMBERS, "(- {same})"),
    *_forms(_NUMBERS, "abs({same})"),
    *_forms("int4 int8", "({same} % nullif({same}, 0))"),
    *_forms("int4 int8", "({same} / nullif({same}, 0))", common=False),
    *_forms("numeric", "({same} / nullif({same}, 0))", common=False),
    *_alike("CASE WHEN {bool} THEN {same} ELSE {same} END"),
    *_alike("CASE {int4} WHEN 1 THEN {same} WHEN {int4} THEN {same} END"),
    *_alike("coalesce({same}, {same})"),
    Form("bool", "coalesce({bool}, {bool})"),
    *_forms(_ORDERED, "nullif({same}, {same})"),
    *_alike("greatest({same}, {same})"),
    *_alike("least({same}, {same})"),
    Form("int4", "length({text})", common=False),
    Form("int4", "CAST({bool} AS int4)"),
    Form("int4", "CAST(extract(day FROM {date}) AS int4)"),
    Form("int4", "({date} - {date})", common=False),
    Form("int8", "CAST({int4} AS int8)"),
    Form("numeric", "round({numeric}, 1)"),
    Form("numeric", "CAST({int4} AS numeric)", common=False),
    Form("float8", "CAST({int4} AS float8)"),
    Form("float8", "({float8} * 0.5)"),
    Form("text", "upper({text})"),
    Form("text", "({text} || {text})"),
    Form("text", "substring({text} FROM 2 FOR 2)"),
    Form("text", "replace({text}, 'a', 'xy')"),
    Form("text", "CAST({int4} AS text)"),
    Form("text", "trim({text})"),
    Form("text", "concat({text}, {int4})"),
    Form("date", "({date} + {int4})"),
    Form("date", "CAST({timestamp} AS date)"),
    Form("timestamp", "CAST({date} AS timestamp)"),
    Form("timestamp", "date_trunc('hour', {timestamp})"),
    *_compared("({same} = {same})"),
    *_compared("({same} <> {same})"),
    *_compared("({same} < {same})"),
    *_compared("({same} >= {same})"),
    *_compared("({same} IS DISTINCT FROM {same})"),
    *_compared("({same} BETWEEN {same} AND {same})"),
    *_compared("({same} IN ({same}, {same}, {same}))"),
    *_compared("({same} NOT IN ({same}, {same}))"),
    Form("bool", "({int4} = {int8})"),
    Form("bool", "({int4} < {numeric})"),
    Form("bool", "({bool} AND {bool})"),
    Form("bool", "({bool} OR {bool})"),
    Form("bool", "(NOT {bool})"),
    Form("bool", "({any} IS NULL)"),
    Form("bool", "({any} IS NOT NULL)"),
    Form("bool", "({bool} IS NOT TRUE)"),
    Form("bool", "({text} LIKE 'a%')"),
    Form("bool", "({text} NOT LIKE '%b_')"),
    Form("bool", "({int4} = ANY (ARRAY[{int4}, {int4}, NULL]))", common=False),
)

SUBQUERIES = (
    Form("bool", "EXISTS ({rows})"),
    Form("bool", "(NOT EXISTS ({rows}))"),
    Form("bool", "({int4} IN ({column:int4}))"),
    Form("bool", "({text} IN ({column:text}))"),
    Form("bool", "({int4} NOT IN ({column:int4}))"),
    Form("bool", "({int4} > ALL ({column:int4}))"),
    Form("bool", "({date} <= ANY ({column:date}))"),
    Form("int4", "({scalar:max:int4})"),
    Form("numeric", "({scalar:min:numeric})"),
    Form("text", "({scalar:max:text})"),
    Form("int8", "({scalar:count:int4})"),
    Form("float8", "({scalar:sum:float8})"),
)

AGGREGATES = (
    Form("int8", "count(*)"),
    Form("int8", "count({any})"),
    Form("int8", "count(DISTINCT {int4})"),
    Form("int8", "count(DISTINCT {text})"),
    Form("int8", "sum({int4})"),
    Form("numeric", "sum({int8})"),
    Form("numeric", "sum({numeric})"),
    Form("numeric", "sum(DISTINCT {numeric})"),
    Form("float8", "sum({float8})"),
    Form("numeric", "avg({int4})"),
    Form("float8", "avg({float8})"),
    *_forms(_ORDERED, "min({same})"),
    *_forms(_ORDERED, "max({same})"),
    Form("bool", "bool_and({bool})"),
    Form("bool", "bool_or({bool})"),
    Form("int8", "count(*) FILTER (WHERE {bool})"),
    Form("int8", "sum({int4}) FILTER (WHERE {bool})"),
    Form("text", "string_agg({text}, ',' ORDER BY {every})", common=False),
    Form("text", "CAST(array_agg({int4} ORDER BY {every}) AS text)", common=False),
    Form("float8", "stddev_pop({float8})"),
    Form("float8", "corr({float8}, {float8})", common=False),
    Form("float8", "percentile_cont(0.5) WITHIN GROUP (ORDER BY {float8})", common=False),
    Form("int4", "percentile_disc(0.3) WITHIN GROUP (ORDER BY {int4})", common=False),
)

WINDOWS = (
    Form("int8", "row_number() OVER ({partition} ORDER BY {every})"),
    Form("int8", "rank() OVER ({partition} ORDER BY {int4} NULLS FIRST)"),
    Form("int8", "dense_rank() OVER ({partition} ORDER BY {text} NULLS LAST)"),
    Form("int8", "sum({int4}) OVER ({partition} ORDER BY {int4} NULLS FIRST)"),
    Form("int8", "count({any}) OVER ({partition})"),
    Form("int4", "max({int4}) OVER ({partition} ORDER BY {every} ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)"),
    Form("int4", "lag({int4}) OVER ({partition} ORDER BY {every})"),
    Form("text", "first_value({text}) OVER ({partition} ORDER BY {every})"),
    Form("numeric", "sum({numeric}) OVER (ORDER BY {every} ROWS UNBOUNDED PRECEDING)"),
)


@dataclass(frozen=True, slots=True)
class Relation:
    """What a name in FROM gives."""

    name: str
    types: dict[str, str]


class Grammar:
    """Makes queries over tables. `common`: only what DuckDB means as PostgreSQL does."""

    def __init__(self, random: Random, given: Sequence[Table], common: bool) -> None:
        self._random = random
        self._tables = given
        self._common = common
        self._names = 0

    def query(self) -> Node:
        """A whole query, with its order where one is needed."""
        body, types = self._body(3, (), None)
        if self._random.random() < 0.3:
            order = self._order(len(types))
            limit = filled("limit", f" LIMIT {self._random.randrange(1, 9)}", str, simplest="")
            offset = filled("limit", f" OFFSET {self._random.randrange(3)}", str, simplest="")
            return Node("statement", (body, f" ORDER BY {order}", limit, offset))
        return Node("statement", (body,))

    def _order(self, columns: int) -> str:
        directions = (" NULLS FIRST", " DESC NULLS LAST", " ASC NULLS LAST", " DESC NULLS FIRST")
        return ", ".join(f"{at + 1}{self._random.choice(directions)}" for at in range(columns))

    # a select ---------------------------------------------------------------------------------------------

    def _body(
        self, depth: int, outer: tuple[Relation, ...], wanted: list[str] | None
    ) -> tuple[Node, list[str]]:
        """A select or several, and the types of the columns. `wanted`: which types they must have."""
        types = wanted or self._random.choices(TYPES, k=self._random.randrange(1, 4))
        draw = self._random.random()
        if depth > 1 and draw < 0.12:
            word = self._random.choice(
                ("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL")
            )
            left, right = (self._select(depth - 1, outer, types) for _ in range(2))
            return Node("rows", ("(", left, f") {word} (", right, ")")), types
        if depth > 2 and draw < 0.22:
            return self._with(depth, outer, types), types
        return self._select(depth, outer, types), types

    def _with(self, depth: int, outer: tuple[Relation, ...], types: list[str]) -> Node:
        inner, shape = self._named(depth - 1, outer)
        word = self._random.choice(("", "", "MATERIALIZED ", "NOT MATERIALIZED "))
        names = ", ".join(shape.types)
        body = self._select(depth - 1, outer, types, shape)
        return Node("rows", (f"WITH {shape.name} ({names}) AS {word}(", inner, ") ", body))

    def _named(self, depth: int, outer: tuple[Relation, ...]) -> tuple[Node, Relation]:
        """A sub-select and what it gives under a new name."""
        body, types = self._body(depth, outer, None)
        return body, Relation(self._name(), {f"c{at}": kind for at, kind in enumerate(types)})

    def _name(self) -> str:
        self._names += 1
        return f"r{self._names}"

    def _select(
        self, depth: int, outer: tuple[Relation, ...], types: list[str], extra: Relation | None = None
    ) -> Node:
        source, here = self._source(depth, outer, extra)
        where = self._where(depth, here, outer)
        draw = self._random.random()
        if draw < 0.3:
            return self._grouped(depth, here, outer, types, source, where)
        distinct = Node("distinct", ("DISTINCT ",), "") if draw < 0.4 else ""
        # where rows can be told apart: of two that are the same, two windows may take either first
        windows = draw > 0.8 and all("id" in relation.types for relation in here)
        scope = Scope(self, depth, here, outer, windows=windows)
        return Node("rows", ("SELECT ", distinct, *self._listed(scope, types), " FROM ", source, where))

    def _listed(self, scope: Scope, types: Sequence[str]) -> list[str | Node]:
        parts: list[str | Node] = []
        for kind in types:
            parts += [", " if parts else "", scope.expression(kind)]
        return parts

    def _where(self, depth: int, here: tuple[Relation, ...], outer: tuple[Relation, ...]) -> Node | str:
        if self._random.random() < 0.4:
            return ""
        condition = Scope(self, depth, here, outer).expression("bool")
        return Node("where", (" WHERE ", condition), "")

    def _grouped(
        self,
        depth: int,
        here: tuple[Relation, ...],
        outer: tuple[Relation, ...],
        types: list[str],
        source: Node,
        where: Node | str,
    ) -> Node:
        """Keys come first in the list, so that GROUP BY can name their places."""
        keys = self._random.randrange(len(types) + 1)
        folding = Scope(self, depth, here, (), aggregates=True)
        sets = self._random.choice(("{}", "{}", "{}", "ROLLUP ({})", "CUBE ({})"))
        parts: list[str | Node] = []
        for at, kind in enumerate(types):
            parts.append(", " if parts else "")
            if at >= keys:
                parts.append(folding.expression(kind))
            elif sets == "{}":
                parts.append(Scope(self, min(depth, 1), here, ()).expression(kind))
            else:
                # PostgreSQL 15 does not make a constant null where it is not grouped by, and takes a key
                # that stands twice for two
                parts.append(self._column(here, kind, parts))
        places = ", ".join(str(at + 1) for at in range(keys))
        grouping = Node("group", (f" GROUP BY {sets.format(places)}",), f" GROUP BY {places}") if keys else ""
        having: str | Node = ""
        if self._random.random() < 0.25:
            having = Node("having", (" HAVING ", folding.expression("bool")), "")
        return Node("rows", ("SELECT ", *parts, " FROM ", source, where, grouping, having))

    def _column(self, here: tuple[Relation, ...], kind: str, taken: list[str | Node]) -> str:
        """A column of a type that is not taken yet, or what has one in it."""
        names = [(f"{r.name}.{column}", of) for r in here for column, of in r.types.items()]
        fitting = [name for name, of in names if of == kind and name not in taken]
        if fitting:
            return self._random.choice(fitting)
        name, _ = self._random.choice(names)
        return f"CASE WHEN {name} IS NULL THEN {_simplest(kind)} WHEN {len(taken)} = 0 THEN NULL END"

    # what it reads ----------------------------------------------------------------------------------------

    def _source(
        self, depth: int, outer: tuple[Relation, ...], extra: Relation | None
    ) -> tuple[Node, tuple[Relation, ...]]:
        node, here = self._one(depth, outer, extra)
        for _ in range(
            self._random.choice((0, 0, 0, 1, 1, 2)) if depth > 1 else self._random.choice((0, 0, 1))
        ):
            node, here = self._joined(depth, outer, node, here)
        return node, here

    def _one(
        self, depth: int, outer: tuple[Relation, ...], extra: Relation | None
    ) -> tuple[Node, tuple[Relation, ...]]:
        if extra is not None:
            name = self._name()
            return Node("source", (f"{extra.name} AS {name}",)), (Relation(name, extra.types),)
        if depth > 1 and self._random.random() < 0.2:
            inner, relation = self._named(depth - 1, outer)
            names = ", ".join(relation.types)
            return Node("source", ("(", inner, f") AS {relation.name} ({names})")), (relation,)
        # empty tables are rare, so that most queries have an answer
        table = self._random.choices(self._tables, weights=(4, 4, 4, 1, 1))[0]
        name = self._name()
        return Node("source", (f"{table.name} AS {name}",)), (Relation(name, table.types),)

    def _joined(
        self, depth: int, outer: tuple[Relation, ...], left: Node, here: tuple[Relation, ...]
    ) -> tuple[Node, tuple[Relation, ...]]:
        word = self._random.choice(("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"))
        if self._random.random() < 0.12 and depth > 1:
            inner, relation = self._named(depth - 1, (*here, *outer))
            names = ", ".join(relation.types)
            parts = (left, " LEFT JOIN LATERAL (", inner, f") AS {relation.name} ({names}) ON true")
            return Node("source", parts), (*here, relation)
        right, more = self._one(depth - 1, outer, None)
        if word == "CROSS JOIN":
            return Node("source", (left, " CROSS JOIN ", right)), (*here, *more)
        on = self._equal(here, more)
        if word != "FULL JOIN" and self._random.random() < 0.4:
            other = Scope(self, 1, (*here, *more), ()).expression("bool")
            on = Node("on", (on, " AND ", other), on)
        return Node("source", (left, f" {word} ", right, " ON ", on)), (*here, *more)

    def _equal(self, here: tuple[Relation, ...], more: tuple[Relation, ...]) -> str:
        pairs = [
            f"{a.name}.{x} = {b.name}.{y}"
            for a in here
            for b in more
            for x, kind in a.types.items()
            for y, other in b.types.items()
            if kind == other
        ]
        return self._random.choice(pairs) if pairs else "1 = 1"


class Scope:
    """Makes expressions of what can be named at one place.

    `here`: of this select; `outer`: of those around it; `aggregates`: columns stand only in aggregates.
    """

    def __init__(
        self,
        grammar: Grammar,
        depth: int,
        here: tuple[Relation, ...],
        outer: tuple[Relation, ...],
        *,
        aggregates: bool = False,
        windows: bool = False,
    ) -> None:
        self._grammar = grammar
        self._random = grammar._random
        self._depth = depth
        self._here = here
        self._outer = outer
        self._aggregates = aggregates
        self._windows = windows

    def expression(self, kind: str, depth: int = 2) -> Node:
        """An expression of a type, at most so deep."""
        if kind == "any":
            kind = self._random.choice(TYPES)
        draw = self._random.random()
        if self._aggregates and (depth == 0 or draw < 0.6):
            form = self._choose(AGGREGATES, kind)
            if form is not None:
                inner = Scope(self._grammar, 1, self._here, ())
                return self._formed(form, lambda hole: inner.hole(hole, 1))
        elif self._windows and draw < 0.5:
            form = self._choose(WINDOWS, kind)
            if form is not None:
                inner = Scope(self._grammar, 1, self._here, ())
                return self._formed(form, lambda hole: inner.hole(hole, 1))
        if depth == 0 or draw < 0.35:
            return self._leaf(kind)
        table = SUBQUERIES if self._depth > 1 and not self._aggregates and draw > 0.85 else EXPRESSIONS
        form = self._choose(table, kind)
        return (
            self._leaf(kind) if form is None else self._formed(form, lambda hole: self.hole(hole, depth - 1))
        )

    def _choose(self, forms: Sequence[Form], kind: str) -> Form | None:
        fitting = [f for f in forms if f.kind == kind and (f.common or not self._grammar._common)]
        return self._random.choice(fitting) if fitting else None

    def _formed(self, form: Form, fill: object) -> Node:
        return filled(form.kind, form.template, fill, _simplest(form.kind))  # type: ignore[arg-type]

    def hole(self, name: str, depth: int) -> Node | str:
        """What stands in the place of {name}."""
        what, _, rest = name.partition(":")
        around = (*self._here, *self._outer)
        match what:
            case "rows":
                return self._grammar._body(self._depth - 1, around, None)[0]
            case "column":
                return self._grammar._select(self._depth - 1, around, [rest])
            case "scalar":
                return self._scalar(*rest.split(":"), around)
            case "every":
                names = [f"{relation.name}.{column}" for relation in self._here for column in relation.types]
                return ", ".join(f"{column} NULLS FIRST" for column in names)
            case "partition":
                if self._random.random() < 0.3:
                    return ""
                return Node("partition", ("PARTITION BY ", self.expression("any", 1)), "")
        return self.expression(name, depth)

    def _scalar(self, function: str, kind: str, around: tuple[Relation, ...]) -> Node:
        """A sub-select that gives one row."""
        source, here = self._grammar._source(self._depth - 1, around, None)
        # DuckDB has another mind about whose aggregate one over outer columns is
        inside = Scope(self._grammar, 1, here, () if self._grammar._common else around)
        where = self._grammar._where(self._depth - 1, here, around)
        return Node("scalar", (f"SELECT {function}(", inside.expression(kind, 1), ") FROM ", source, where))

    def _leaf(self, kind: str) -> Node:
        """A column where one is to be had, a literal otherwise."""
        relations = () if self._aggregates else self._here
        if self._random.random() < 0.3 and not self._aggregates:
            relations = (*relations, *self._outer)
        names = [f"{r.name}.{column}" for r in relations for column, of in r.types.items() if of == kind]
        if names and self._random.random() < 0.8:
            return Node(kind, (self._random.choice(names),), _simplest(kind))
        if self._random.random() < 0.1:
            return Node(kind, (f"CAST(NULL AS {kind})",), _simplest(kind))
        return Node(kind, (literal(kind, value(self._random, kind)),), _simplest(kind))


def literal(kind: str, text: str) -> str:
    """A literal that has its type wherever it stands."""
    return _LITERAL.get(kind, "{}").format(text)


def _simplest(kind: str) -> str:
    simple = {"int4": "1", "int8": "1", "numeric": "1.5", "float8": "1", "text": "'a'", "bool": "true"}
    simple |= {"date": "'2024-02-29'", "timestamp": "'2024-02-29'"}
    return literal(kind, simple[kind])
