"""Trees to text: a query or expression that was bound, with every name as what it was found to be.

The layout is that of PostgreSQL's pg_get_viewdef(oid, true). Columns are written with their relation, `*`
as the columns that it stood for, relations with their schema unless `visible` says otherwise, items of a
select list with the name they give their column. What `names` renames is written under its new name, and
under an alias where others know it by the old one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sql.expressiontexts import ExpressionTexts, Renames, cannot, constant
from sql.labels import label
from sql.marks import FunctionMark, TypeName, mark_of
from sql.names import quoted
from sql.ordering import bare_name, ties_of
from sql.resolved import ColumnName, TableName
from sql.rewriting.commontables import Cycle, Search
from sql.sampling import sample_parts
from sql.typenames import type_of
from sql.windowtexts import window_clause
from storage.types import spelled

_OPERATIONS: dict[type, str] = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}


class Unparser(ExpressionTexts):
    """Writes one bound tree. Raises FeatureNotSupported for what it cannot write."""

    _outer: exp.Expression | None = None  # the SELECT whose columns are `_names`
    _names: Sequence[str] = ()

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
                raise cannot(tree)
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
            text = f"{self._alias(item.args['alias'])} AS{word} (\n{_deeper(self.query(item.this))}\n)"
            parts.append(text + self._rounds(item))
        word = "WITH RECURSIVE " if tree.args.get("recursive") else "WITH "
        return word + ", ".join(parts) + "\n"

    def _rounds(self, item: exp.CTE) -> str:
        """SEARCH and CYCLE of a query of WITH."""
        text = ""
        search: Search | None = item.args.get("search")
        if search is not None:
            way = "BREADTH" if search.breadth else "DEPTH"
            text += f" SEARCH {way} FIRST BY {_names(search.columns)} SET {quoted(search.sequence)}"
        cycle: Cycle | None = item.args.get("cycle")
        if cycle is None:
            return text
        text += f" CYCLE {_names(cycle.columns)} SET {quoted(cycle.mark)}"
        marks = item.args.get("marks")
        if marks is not None:
            text += f" TO {self.bare(marks[0])} DEFAULT {self.bare(marks[1])}"
        return f"{text} USING {quoted(cycle.path)}"

    def _select(self, tree: exp.Select) -> str:
        if any(value for name, value in tree.args.items() if name not in _SELECT):
            raise cannot(next(v for n, v in tree.args.items() if v and n not in _SELECT))
        distinct = tree.args.get("distinct")
        word = " SELECT "
        if distinct is not None:
            on = distinct.args.get("on")
            trees = [] if on is None else on.expressions if isinstance(on, exp.Tuple) else [on.unnest()]
            word += f"DISTINCT ON ({self.listed(trees)}) " if trees else "DISTINCT "
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
        return word + self.listed(clause.expressions)

    def _items(self, trees: Sequence[exp.Expression], names: Sequence[str]) -> list[str]:
        found: list[tuple[str, ColumnName | None, str]] = []
        for tree in trees:
            star = self._resolved.stars.get(id(tree))
            if star is not None:
                found += [(self.column(c), c, c.name) for c in star]
                continue
            if id(tree) in self._resolved.expanded:
                found += [(text, None, name) for text, name in self.expanded(tree)]
                continue
            alias = tree.args["alias"].this if isinstance(tree, exp.Alias) else None
            inner = tree.this if alias is not None else tree
            column = self._resolved.columns.get(id(inner))
            found.append((self.expression(inner), column, label(tree) if alias is None else alias))
        return [
            text if column is not None and self.name_of(column) == name else f"{text} AS {quoted(name)}"
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
        rows = (f"({self.listed(row.expressions)})" for row in tree.expressions)
        return " VALUES " + ", ".join(rows)

    def _tail(self, tree: exp.Expression) -> str:
        text = ""
        order = tree.args.get("order")
        if order is not None:
            text += "\n  ORDER BY " + ", ".join(self._order(tree, item) for item in order.expressions)
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

    def _order(self, tree: exp.Expression, item: exp.Expression) -> str:
        """An item of ORDER BY; a column that the select list names, as that column."""
        name = bare_name(item.this) if isinstance(item, exp.Ordered) else None
        column = self._target(tree, name) if isinstance(tree, exp.Select) and name is not None else None
        return self.expression(item) if column is None else self.column(column) + self.direction(item)

    def _target(self, tree: exp.Select, name: str) -> ColumnName | None:
        """The column that the item of this name in a select list is; None where it is none."""
        for item in tree.expressions:
            for column in self._resolved.stars.get(id(item), ()):
                if column.name == name:
                    return column
            alias = item.args["alias"].this if isinstance(item, exp.Alias) else None
            inner = item.this if alias is not None else item
            if (label(item) if alias is None else alias) == name:
                return self._resolved.columns.get(id(inner))
        return None

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
                    text = "LATERAL " + self.nested(inner)
                text = self._with_alias(text, tree)
            case exp.Subquery() if isinstance(tree.this, exp.Table) or _is_join(tree.this):
                text = self._with_alias(f"({self._item(tree.this)})", tree)
            case exp.Subquery():
                text = self._with_alias(self.nested(tree), tree)
            case exp.Values():
                text = self._with_alias(f"({self._values(tree).strip()})", tree)
            case _:
                raise cannot(tree)
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
        text = f" TABLESAMPLE {'.'.join(map(quoted, mark.names))} ({self.listed(method.expressions)})"
        return text if seed is None else f"{text} REPEATABLE ({self.listed(seed.expressions)})"

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
        return f"{quoted(tree.this.this)} {spelled(type_of(mark)) if made is None else self._type(made)}"

    def nested(self, tree: exp.Expression) -> str:
        while isinstance(tree, exp.Subquery) and not any(v for k, v in tree.args.items() if k not in _BARE):
            tree = tree.this
        return f"({_deeper(self.query(tree)).lstrip()})"


_BARE = ("this", "alias")
_CLAUSES = ("where", "group", "having", "windows", "order", "limit", "offset")
_SELECT = frozenset(("expressions", "distinct", "from_", "joins", "with_", *_CLAUSES))


def _is_join(tree: exp.Expression) -> bool:
    """(a JOIN b ...) in parentheses."""
    if isinstance(tree, exp.Subquery):
        return bool(tree.args.get("joins")) or isinstance(tree.this, exp.Table) or _is_join(tree.this)
    return False


def _over(own: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names with others in their places, where there are others."""
    return [*names, *own[len(names) :]] if len(names) <= len(own) else list(own)


def _deeper(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


__all__ = ["Renames", "TableName", "Unparser", "constant"]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(quoted, columns))
