"""Trees to text: a query or expression that was bound, with every name as what it was found to be.

The layout is that of PostgreSQL's pg_get_viewdef(oid, true). Columns are written with their relation, `*`
as the columns that it stood for, relations with their schema unless `visible` says otherwise, items of a
select list with the name they give their column. What `names` renames is written under its new name, and
under an alias where others know it by the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from sql.binding import Binding
from sql.binding.literals import cast_mark
from sql.context import BindContext
from sql.labels import label
from sql.marks import CollationMark, FunctionMark, Literal, OperatorMark, ParameterMark, TypeName, mark_of
from sql.names import quoted
from sql.ordering import ties_of
from sql.parse import parse_expression
from sql.resolved import ColumnName, Resolved, TableName
from sql.sampling import sample_parts
from sql.scope import Scope
from sql.tokens import Kind
from sql.typenames import type_of
from sql.windowtexts import over, window_clause
from storage.catalog import Catalog
from storage.errors import FeatureNotSupported
from storage.types import Type, format_type

_SYMBOLS: dict[type, str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.Pow: "^", exp.EQ: "=",
    exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.And: "AND", exp.Or: "OR",
    exp.SimilarTo: "SIMILAR TO", exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Escape: "ESCAPE",
}  # fmt: skip
_OPERATIONS: dict[type, str] = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}


@dataclass(frozen=True)
class Renames:
    """New names: of columns by (table, attnum), of relations by OID as (schema, name)."""

    columns: Mapping[tuple[int, int], str] = field(default_factory=dict)
    relations: Mapping[int, tuple[str, str]] = field(default_factory=dict)


def constant(text: str) -> str:
    """A string as SQL's constant, on one line."""
    if text.isprintable() and "\\" not in text:
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\r", "\\r")
    return "E'" + escaped.replace("\t", "\\t") + "'"


class Unparser:
    """Writes one bound tree. Raises FeatureNotSupported for what it cannot write."""

    def __init__(
        self,
        resolved: Resolved,
        renames: Renames | None = None,
        visible: Callable[[int], bool] = lambda oid: False,
        *,
        catalog: Catalog | None = None,
        qualified: bool = True,
    ) -> None:
        self._resolved = resolved
        self._renames = renames or Renames()
        self._visible = visible
        self._catalog = catalog
        self._qualified = qualified
        self._outer: exp.Expression | None = None  # the SELECT whose columns are `_names`
        self._names: Sequence[str] = ()

    # queries

    def query(self, tree: exp.Expression) -> str:
        """A SELECT, VALUES, or set operation."""
        with_ = tree.args.get("with_")
        front = "" if with_ is None else self._with(with_)
        match tree:
            case exp.Select():
                body = self._values_of(tree) or self._select(tree)
            case exp.Values():
                body = self._values(tree)
            case exp.Subquery():
                body = f"({self.query(tree.this)})"
            case exp.Union() | exp.Intersect() | exp.Except():
                word = _OPERATIONS[type(tree)] + ("" if tree.args.get("distinct") else " ALL")
                body = f"{self.query(tree.this)}\n{word}\n{self.query(tree.expression)}"
            case _:
                raise _cannot(tree)
        return front + body + self._tail(tree)

    def named(self, tree: exp.Expression, names: Sequence[str]) -> str:
        """A query whose columns have these names, as far as its select list can say so."""
        first = tree
        while not isinstance(first, exp.Select | exp.Values):
            first = first.this
        self._outer, self._names = first, names
        return self.query(tree)

    def _with(self, tree: exp.With) -> str:
        parts = []
        for item in tree.expressions:
            materialized = item.args.get("materialized")
            word = {None: "", True: " MATERIALIZED", False: " NOT MATERIALIZED"}[materialized]
            parts.append(f"{self._alias(item.args['alias'])} AS{word} (\n{_deeper(self.query(item.this))}\n)")
        word = "WITH RECURSIVE " if tree.args.get("recursive") else "WITH "
        return word + ", ".join(parts) + "\n"

    def _select(self, tree: exp.Select) -> str:
        if any(value for name, value in tree.args.items() if name not in _SELECT):
            raise _cannot(next(v for n, v in tree.args.items() if v and n not in _SELECT))
        distinct = tree.args.get("distinct")
        word = " SELECT "
        if distinct is not None:
            on = distinct.args.get("on")
            trees = [] if on is None else on.expressions if isinstance(on, exp.Tuple) else [on.unnest()]
            word += f"DISTINCT ON ({self._list(trees)}) " if trees else "DISTINCT "
        items = self._items(tree.expressions, self._names if tree is self._outer else ())
        text = word + ",\n    ".join(items)
        clause = tree.args.get("from_")
        if clause is not None:
            text += "\n   FROM " + self._from(clause.this, tree.args.get("joins") or ())
        for name, word in (("where", "\n  WHERE "), ("group", "\n  GROUP BY "), ("having", "\n HAVING ")):
            clause = tree.args.get(name)
            if clause is not None:
                text += word + (self._group(clause) if name == "group" else self.expression(clause.this))
        windows = tree.args.get("windows")
        return text + (f"\n  WINDOW {window_clause(windows, self.expression)}" if windows else "")

    def _group(self, clause: exp.Group) -> str:
        word = "DISTINCT " if clause.args.get("all") is False else ""
        return word + self._list(clause.expressions)

    def _items(self, trees: Sequence[exp.Expression], names: Sequence[str]) -> list[str]:
        found: list[tuple[str, ColumnName | None, str]] = []
        for tree in trees:
            star = self._resolved.stars.get(id(tree))
            if star is not None:
                found += [(self._column(c), c, c.name) for c in star]
                continue
            alias = tree.args["alias"].this if isinstance(tree, exp.Alias) else None
            inner = tree.this if alias is not None else tree
            column = self._resolved.columns.get(id(inner))
            found.append((self.expression(inner), column, label(tree) if alias is None else alias))
        return [
            text if column is not None and self._name(column) == name else f"{text} AS {quoted(name)}"
            for (text, column, _), name in zip(found, _over([n for *_, n in found], names), strict=True)
        ]

    def _values_of(self, tree: exp.Select) -> str:
        """VALUES, which the parser makes a SELECT of where it stands alone; '' for others."""
        clause = tree.args.get("from_")
        values = None if clause is None else clause.this
        if not isinstance(values, exp.Values):
            return ""
        alias = values.args.get("alias")
        # the parser's own alias is the one that is not quoted: those that are written go through it quoted
        made = alias is not None and not alias.this.args.get("quoted")
        return self._values(values) if made else ""

    def _values(self, tree: exp.Values) -> str:
        rows = (f"({self._list(row.expressions)})" for row in tree.expressions)
        return " VALUES " + ", ".join(rows)

    def _tail(self, tree: exp.Expression) -> str:
        text = ""
        order = tree.args.get("order")
        if order is not None:
            text += "\n  ORDER BY " + self._list(order.expressions)
        limit, offset = (tree.args.get(name) for name in ("limit", "offset"))
        ties = None if limit is None else ties_of(limit.expression)
        if limit is not None and ties is None:
            text += "\n LIMIT " + self.expression(limit.expression)
        if offset is not None:
            text += "\n OFFSET " + self.expression(offset.expression)
        if limit is not None and ties is not None:
            text += (
                f"\n FETCH FIRST ({self.expression(limit.expression.expressions[0].unnest())}) ROWS WITH TIES"
            )
        return text

    # FROM

    def _from(self, first: exp.Expression, joins: Sequence[exp.Join]) -> str:
        text = self._item(first)
        for join in joins:
            text += self._join(join)
        return text

    def _join(self, tree: exp.Join) -> str:
        item = self._item(tree.this)
        using = self._resolved.using.get(id(tree))
        on = tree.args.get("on")
        side, kind = str(tree.args.get("side") or "").upper(), str(tree.args.get("kind") or "").upper()
        if on is None and using is None:
            return f"\n     CROSS JOIN {item}" if kind == "CROSS" or side else f",\n    {item}"
        word = f"\n     {side} JOIN " if side else "\n     JOIN "
        if using is not None:
            return f"{word}{item} USING ({', '.join(map(quoted, using))})"
        assert on is not None
        return f"{word}{item} ON {self.expression(on)}"

    def _item(self, tree: exp.Expression) -> str:
        joins = tree.args.get("joins") or ()
        match tree:
            case exp.Table() if isinstance(tree.this, exp.Anonymous):
                text = self._with_alias(self.expression(tree.this) + self._ordinality(tree), tree)
            case exp.Table():
                text = self._table(tree)
            case exp.Lateral():
                inner = tree.this
                if isinstance(inner, exp.Anonymous):
                    text = "LATERAL " + self.expression(inner) + self._ordinality(tree)
                else:
                    text = "LATERAL " + self._nested(inner)
                text = self._with_alias(text, tree)
            case exp.Subquery() if isinstance(tree.this, exp.Table) or _is_join(tree.this):
                return self._joined(f"({self._item(tree.this)})", joins)
            case exp.Subquery():
                text = self._with_alias(self._nested(tree), tree)
            case exp.Values():
                text = self._with_alias(f"({self._values(tree).strip()})", tree)
            case _:
                raise _cannot(tree)
        return self._joined(text, joins)

    def _joined(self, text: str, joins: Sequence[exp.Join]) -> str:
        return text + "".join(self._join(join) for join in joins)

    @staticmethod
    def _ordinality(tree: exp.Expression) -> str:
        return " WITH ORDINALITY" if tree.args.get("ordinality") else ""

    def _table(self, tree: exp.Table) -> str:
        found = self._resolved.tables.get(id(tree))
        alias = tree.args.get("alias")
        if found is None:  # a common table expression
            return self._with_alias(quoted(tree.this.this), tree)
        schema, name = self._renames.relations.get(found.oid, (found.schema, found.name))
        text = quoted(name) if self._visible(found.oid) else f"{quoted(schema)}.{quoted(name)}"
        if alias is not None and alias.args.get("columns"):
            text = self._with_alias(text, tree)
        elif found.alias != name:
            text = f"{text} {quoted(found.alias)}"
        sample = tree.args.get("sample")
        return text if sample is None else text + self._sample(sample)

    def _sample(self, tree: exp.TableSample) -> str:
        method, seed = sample_parts(tree)
        mark = mark_of(method.this, FunctionMark)
        assert mark is not None
        text = f" TABLESAMPLE {'.'.join(map(quoted, mark.names))} ({self._list(method.expressions)})"
        return text if seed is None else f"{text} REPEATABLE ({self._list(seed.expressions)})"

    def _with_alias(self, text: str, tree: exp.Expression) -> str:
        alias = tree.args.get("alias")
        return text if alias is None or alias.args.get("this") is None else f"{text} {self._alias(alias)}"

    def _alias(self, tree: exp.TableAlias) -> str:
        columns = [self._alias_column(column) for column in tree.args.get("columns") or ()]
        return quoted(tree.this.this) + (f"({', '.join(columns)})" if columns else "")

    def _alias_column(self, tree: exp.Expression) -> str:
        """A column's new name, or its definition in a list of these."""
        if not isinstance(tree, exp.ColumnDef):
            return quoted(tree.this)
        mark = mark_of(tree.args["kind"].args.get("kind"), TypeName)
        assert mark is not None
        made = self._resolved.types.get(id(tree))
        return f"{quoted(tree.this.this)} {format_type(type_of(mark)) if made is None else self._type(made)}"

    def _nested(self, tree: exp.Expression) -> str:
        while isinstance(tree, exp.Subquery) and not any(v for k, v in tree.args.items() if k not in _BARE):
            tree = tree.this
        return f"({_deeper(self.query(tree)).lstrip()})"

    # names

    def _name(self, column: ColumnName) -> str:
        return self._renames.columns.get((column.table, column.number), column.name)

    def _column(self, column: ColumnName) -> str:
        name = quoted(self._name(column))
        return f"{quoted(column.relation)}.{name}" if column.relation and self._qualified else name

    # expressions

    def expression(self, tree: exp.Expression) -> str:
        """An expression."""
        symbol = _SYMBOLS.get(type(tree))
        if symbol is not None:
            return self._chain(tree, symbol)
        writer = _WRITERS.get(type(tree))
        if writer is None:
            raise _cannot(tree)
        return writer(self, tree)

    def _chain(self, tree: exp.Expression, symbol: str) -> str:
        """left symbol right; long chains of AND and OR without recursion."""
        parts = []
        kind, node = type(tree), tree
        while type(node) is kind:
            parts.append(self.expression(node.expression))
            node = node.this
        parts.append(self.expression(node))
        return f" {symbol} ".join(reversed(parts))

    def _list(self, trees: Sequence[exp.Expression]) -> str:
        return ", ".join(self.expression(tree) for tree in trees)

    def _reference(self, tree: exp.Column) -> str:
        row = self._resolved.rows.get(id(tree))
        if row is not None:
            return f"{quoted(row.relation)}.*"
        mark = tree.this.args["this"] if isinstance(tree.this, exp.Identifier) else None
        match mark:
            case Literal():
                return self._literal(mark)
            case ParameterMark(number):
                return f"${number}"
            case str():
                found = self._resolved.columns.get(id(tree))
                if found is not None:
                    return self._column(found)
                table = tree.args.get("table")
                return quoted(mark) if table is None else f"{quoted(table.this)}.{quoted(mark)}"
        raise _cannot(tree)

    @staticmethod
    def _literal(mark: Literal) -> str:
        match mark.token.kind:
            case Kind.STRING:
                return constant(mark.token.text)
            case Kind.HEX:
                return f"X'{mark.token.text}'"
            case Kind.BITS:
                return f"B'{mark.token.text}'"
        return mark.token.text

    def _call(self, tree: exp.Anonymous) -> str:
        mark = mark_of(tree.this, FunctionMark)
        assert mark is not None
        arguments = tree.expressions
        form, _, side = mark.form.partition(" ")
        match form:
            case "keyword":
                return mark.names[0].upper() if mark.names[0] == mark.name else mark.names[0]
            case "exists" | "array" if arguments:
                return f"{mark.name.upper()}{self._nested(arguments[0])}"
            case "quantifier":
                inner = arguments[0]
                query = isinstance(inner, exp.Query | exp.Values)
                inside = self._nested(inner) if query else f"({self.expression(inner)})"
                return mark.name.upper() + inside
            case "sets":
                return f"GROUPING SETS ({self._list(arguments)})"
            case "row":
                return f"ROW({self._list(arguments)})"
            case "bound":
                return ""
            case "position":
                return f"POSITION({self.expression(arguments[0])} IN {self.expression(arguments[1])})"
            case "substring":
                return f"SUBSTRING({self.expression(arguments[0])} FOR {self.expression(arguments[1])})"
            case "trim":
                *characters, text = [self.expression(argument) for argument in arguments]
                return f"TRIM({' '.join([side.upper(), *characters])} FROM {text})"
        if mark.name == "extract" and mark.names == ("extract",) and len(arguments) == 2:
            part = mark_of(arguments[0], Literal)
            if part is not None:
                return f"EXTRACT({part.token.text} FROM {self.expression(arguments[1])})"
        name = mark.name.upper() if mark.names[0] in _SPELLED else ".".join(map(quoted, mark.names))
        made = self._resolved.functions.get(id(tree))
        name = name if made is None else self._function(made)
        return f"{name}({self._arguments(arguments)})"

    def _function(self, oid: int) -> str:
        """The name of a function of the catalog."""
        assert self._catalog is not None
        found = self._catalog.functions[oid]
        place = self._catalog.schemas[found.schema].name
        schema, name = self._renames.relations.get(oid, (place, found.name))
        return quoted(name) if self._visible(oid) else f"{quoted(schema)}.{quoted(name)}"

    def _arguments(self, trees: Sequence[exp.Expression]) -> str:
        if len(trees) == 1 and isinstance(trees[0], exp.Star):
            return "*"
        parts = []
        for tree in trees:
            match tree:
                case exp.Distinct():
                    parts.append("DISTINCT " + self._list(tree.expressions))
                case exp.Order():
                    first = self._arguments([tree.this])
                    parts.append(f"{first} ORDER BY {self._list(tree.expressions)}")
                case exp.Kwarg():
                    name = tree.this.args["this"]
                    said = f"{quoted(name)} => " if isinstance(name, str) else "VARIADIC "
                    parts.append(said + self.expression(tree.expression))
                case _:
                    parts.append(self.expression(tree))
        return ", ".join(parts)

    def _cast(self, tree: exp.Cast) -> str:
        mark = cast_mark(tree)
        inner = self.expression(tree.this)
        if isinstance(mark, CollationMark):
            return f"{inner} COLLATE {'.'.join(map(quoted, mark.names))}"
        if not isinstance(tree.this, exp.Column | exp.Anonymous | exp.Paren | exp.Cast | exp.Array):
            inner = f"({inner})"
        made = self._resolved.types.get(id(tree))
        return f"{inner}::{format_type(type_of(mark)) if made is None else self._type(made)}"

    def _type(self, type: Type) -> str:
        """The name of a type of the catalog."""
        one = type.single
        assert self._catalog is not None
        found = self._catalog.typed(one.catalog_oid)
        assert found is not None
        place = self._catalog.schemas[found.schema].name
        schema, name = self._renames.relations.get(found.oid, (place, found.name))
        shown = quoted(name) if self._visible(one.catalog_oid) else f"{quoted(schema)}.{quoted(name)}"
        return shown if type is one else shown + "[]"

    def _marked(self, tree: exp.BitwiseAnd) -> str:
        inner = tree.this
        mark = mark_of(inner.expression, OperatorMark) if isinstance(inner, exp.BitwiseAnd) else None
        if mark is None:
            raise _cannot(tree)
        symbol = f"OPERATOR({quoted(mark.schema)}.{mark.symbol})" if mark.schema else mark.symbol.upper()
        return f"{self.expression(inner.this)} {symbol} {self.expression(tree.expression)}"

    def _is(self, tree: exp.Is) -> str:
        word = "NULL" if isinstance(tree.expression, exp.Null) else str(bool(tree.expression.this)).upper()
        return f"{self.expression(tree.this)} IS {'NOT ' if tree.args.get('negate') else ''}{word}"

    def _in(self, tree: exp.In) -> str:
        query = tree.args.get("query")
        inside = f"({self._list(tree.expressions)})" if query is None else self._nested(query)
        return f"{self.expression(tree.this)} IN {inside}"

    def _between(self, tree: exp.Between) -> str:
        word = "BETWEEN SYMMETRIC" if tree.args.get("symmetric") else "BETWEEN"
        low, high = self.expression(tree.args["low"]), self.expression(tree.args["high"])
        return f"{self.expression(tree.this)} {word} {low} AND {high}"

    def _like(self, tree: exp.Like | exp.ILike) -> str:
        word = ("NOT " if tree.args.get("negate") else "") + tree.key.upper()
        return f"{self.expression(tree.this)} {word} {self.expression(tree.expression)}"

    def _case(self, tree: exp.Case) -> str:
        operand, default = tree.args.get("this"), tree.args.get("default")
        text = "CASE" if operand is None else f"CASE {self.expression(operand)}"
        for part in tree.args["ifs"]:
            text += f" WHEN {self.expression(part.this)} THEN {self.expression(part.args['true'])}"
        return text + ("" if default is None else f" ELSE {self.expression(default)}") + " END"

    def _ordered(self, tree: exp.Ordered) -> str:
        descending, first = bool(tree.args.get("desc")), bool(tree.args.get("nulls_first"))
        nulls = "" if first == descending else f" NULLS {'FIRST' if first else 'LAST'}"
        return self.expression(tree.this) + (" DESC" if descending else "") + nulls

    def _dot(self, tree: exp.Dot) -> str:
        column = self._resolved.columns.get(id(tree))
        if column is not None:
            return self._column(column)
        name = tree.expression
        if not isinstance(name, exp.Identifier):
            raise _cannot(tree)
        field = self._resolved.fields.get(id(tree))
        shown = name.this if field is None else self._renames.columns.get(field, name.this)
        return f"{self.expression(tree.this)}.{quoted(shown)}"

    def _slice(self, tree: exp.Slice) -> str:
        ends = (tree.args.get("this"), tree.args.get("expression"))
        return ":".join("" if end is None else self.expression(end) for end in ends)


_BARE = ("this", "alias")
_SPELLED = ("grouping", "rollup", "cube")
_CLAUSES = ("where", "group", "having", "windows", "order", "limit", "offset")
_SELECT = frozenset(("expressions", "distinct", "from_", "joins", "with_", *_CLAUSES))
_WRITERS: dict[type, Callable[[Unparser, Any], str]] = {
    exp.Null: lambda w, t: "NULL",
    exp.Boolean: lambda w, t: "true" if t.this else "false",
    exp.Paren: lambda w, t: f"({w.expression(t.this)})",
    exp.Literal: lambda w, t: Unparser._literal(t.args["this"]),
    exp.Column: Unparser._reference,
    exp.Cast: Unparser._cast,
    exp.Anonymous: Unparser._call,
    exp.Window: lambda w, t: over(t, w.expression),
    exp.Filter: lambda w, t: f"{w.expression(t.this)} FILTER (WHERE {w.expression(t.expression.this)})",
    exp.WithinGroup: lambda w, t: (
        f"{w.expression(t.this)} WITHIN GROUP (ORDER BY {w._list(t.expression.expressions)})"
    ),
    exp.AtTimeZone: lambda w, t: f"{w.expression(t.this)} AT TIME ZONE {w.expression(t.args['zone'])}",
    exp.Array: lambda w, t: f"ARRAY[{w._list(t.expressions)}]",
    exp.Bracket: lambda w, t: f"{w.expression(t.this)}[{w._list(t.expressions)}]",
    exp.Slice: Unparser._slice,
    exp.Tuple: lambda w, t: f"({w._list(t.expressions)})",
    exp.Neg: lambda w, t: f"- {w.expression(t.this)}",
    exp.BitwiseNot: lambda w, t: f"~ {w.expression(t.this)}",
    exp.Not: lambda w, t: f"NOT {w.expression(t.this)}",
    exp.BitwiseAnd: Unparser._marked,
    exp.Is: Unparser._is,
    exp.In: Unparser._in,
    exp.Between: Unparser._between,
    exp.Like: Unparser._like,
    exp.ILike: Unparser._like,
    exp.Case: Unparser._case,
    exp.Ordered: Unparser._ordered,
    exp.Dot: Unparser._dot,
    exp.Select: lambda w, t: w._nested(t),
    exp.Subquery: lambda w, t: w._nested(t),
    exp.Union: lambda w, t: w._nested(t),
    exp.Intersect: lambda w, t: w._nested(t),
    exp.Except: lambda w, t: w._nested(t),
    exp.Values: lambda w, t: w._nested(t),
}


def _is_join(tree: exp.Expression) -> bool:
    """(a JOIN b ...) in parentheses."""
    if isinstance(tree, exp.Subquery):
        return bool(tree.args.get("joins")) or isinstance(tree.this, exp.Table) or _is_join(tree.this)
    return False


def expression_text(text: str, scope: Scope, context: BindContext, renames: Renames) -> str:
    """A stored expression over the columns of `scope`, written with the new names of columns."""
    tree = parse_expression(text)
    context.resolved = resolved = Resolved()
    Binding(context, scope, "stored expressions").bind(tree)
    return Unparser(resolved, renames, qualified=False, catalog=context.catalog).expression(tree)


def _over(own: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names with others in their places, where there are others."""
    return [*names, *own[len(names) :]] if len(names) <= len(own) else list(own)


def _deeper(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


def _cannot(tree: object) -> FeatureNotSupported:
    if isinstance(tree, list) and tree:
        tree = tree[0]
    if not isinstance(tree, exp.Expression):
        return FeatureNotSupported("this query is not supported in a view")
    return FeatureNotSupported(f"{tree.key.upper()} in a stored expression or view is not supported")


__all__ = ["Renames", "TableName", "Unparser", "constant"]
