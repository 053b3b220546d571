"""Expressions of bound trees as text, with every name as what it was found to be: see sql.unparse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from engine.forms import bits
from sql.binding.literals import cast_mark
from sql.binding.subqueries import as_query
from sql.marks import CollationMark, FunctionMark, Literal, OperatorMark, ParameterMark, mark_of
from sql.names import quoted
from sql.resolved import ColumnName, Known, Resolved
from sql.tokens import Kind
from sql.typenames import type_of
from sql.windowtexts import over
from storage.catalog import Catalog
from storage.errors import FeatureNotSupported
from storage.types import BOOL, BY_OID, INT4, NUMERIC, REGCLASS, Type, spelled

_SYMBOLS: dict[type, str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.Pow: "^", exp.EQ: "=",
    exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.And: "AND", exp.Or: "OR",
    exp.SimilarTo: "SIMILAR TO", exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Escape: "ESCAPE",
}  # fmt: skip


@dataclass(frozen=True)
class Renames:
    """New names: of columns by (table, attnum), of labels of enums by (type, label), of all else by OID.

    The latter are (schema, name).
    """

    columns: Mapping[tuple[int, int], str] = field(default_factory=dict)
    relations: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    labels: Mapping[tuple[int, str], str] = field(default_factory=dict)

    @property
    def oids(self) -> set[int]:
        """Of all that gets new names, or of what these are names in."""
        return {oid for oid, _ in (*self.columns, *self.labels)} | set(self.relations)


def constant(text: str) -> str:
    """A string as SQL's constant, on one line."""
    if text.isprintable() and "\\" not in text:
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\r", "\\r")
    return "E'" + escaped.replace("\t", "\\t") + "'"


def with_constants(text: str, resolved: Resolved) -> str:
    """A text that was bound, its constants as what they were read as."""
    known = sorted(resolved.constants.values(), key=lambda known: known.mark.token.start, reverse=True)
    for each in known:
        token = each.mark.token
        if not each.oid and each.text != token.text and text[token.start : token.end].endswith("'"):
            text = text[: token.start] + constant(each.text) + text[token.end :]
    return text


class ExpressionTexts:
    """Writes bound expressions. Raises FeatureNotSupported for what it cannot write."""

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

    def nested(self, tree: exp.Expression) -> str:
        """A query in parentheses: who writes queries says how."""
        raise cannot(tree)

    # names

    def name_of(self, column: ColumnName) -> str:
        return self._renames.columns.get((column.table, column.number), column.name)

    def column(self, column: ColumnName) -> str:
        name = quoted(self.name_of(column))
        return f"{quoted(column.relation)}.{name}" if column.relation and self._qualified else name

    # expressions

    def expression(self, tree: exp.Expression) -> str:
        """An expression."""
        symbol = _SYMBOLS.get(type(tree))
        if symbol is not None:
            return self._chain(tree, symbol)
        writer = _WRITERS.get(type(tree))
        if writer is None:
            raise cannot(tree)
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

    def listed(self, trees: Sequence[exp.Expression]) -> str:
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
                    return self.column(found)
                table = tree.args.get("table")
                return quoted(mark) if table is None else f"{quoted(table.this)}.{quoted(mark)}"
        raise cannot(tree)

    def _literal(self, mark: Literal) -> str:
        match mark.token.kind:
            case Kind.STRING:
                known = self._resolved.constants.get(id(mark))
                return constant(mark.token.text) if known is None else self._known(known)
            case Kind.HEX:
                return f"0x{mark.token.text}"
            case Kind.BITS:
                return f"'{bits.read_digits(mark.token.text)}'::\"bit\""
        return mark.token.text

    def _known(self, known: Known) -> str:
        """A constant with the type that it was read as, where its text does not say so by itself."""
        if _says_itself(known):
            return known.text
        type = known.type
        made = type.single.catalog_oid not in BY_OID
        return f"{self._constant(known)}::{self._type(type) if made else spelled(type)}"

    def _constant(self, known: Known) -> str:
        """A constant for a cast to its type; what a reg type names, under its new name."""
        if known.type.single.is_enum:
            return constant(self._label(known))
        if known.type.oid != REGCLASS.oid or self._catalog is None:
            return constant(known.text)
        found = self._catalog.relations.get(known.oid)
        if found is None:
            return constant(known.text)
        place = self._catalog.schemas[found.schema].name
        schema, name = self._renames.relations.get(known.oid, (place, found.name))
        return constant(quoted(name) if self._visible(known.oid) else f"{quoted(schema)}.{quoted(name)}")

    def _call(self, tree: exp.Anonymous) -> str:
        mark = mark_of(tree.this, FunctionMark)
        assert mark is not None
        arguments = tree.expressions
        form, _, side = mark.form.partition(" ")
        match form:
            case "keyword":
                return mark.names[0].upper() if mark.names[0] == mark.name else mark.names[0]
            case "exists" | "array" if arguments:
                return f"{mark.name.upper()}{self.nested(arguments[0])}"
            case "quantifier":
                inner = arguments[0]
                query = isinstance(inner, exp.Query | exp.Values)
                inside = self.nested(inner) if query else f"({self.expression(inner)})"
                return mark.name.upper() + inside
            case "sets":
                return f"GROUPING SETS ({self.listed(arguments)})"
            case "row":
                return f"ROW({self.listed(arguments)})"
            case "bound":
                return ""
            case "position":
                return f"POSITION({self.expression(arguments[0])} IN {self.expression(arguments[1])})"
            case "substring":
                return f"SUBSTRING({self._worded(arguments, side)})"
            case "trim":
                side, _, first = side.partition(" ")
                texts = [self.expression(argument) for argument in arguments]
                characters, texts = (texts[:1], texts[1:]) if first else ([], texts)
                return f"TRIM({' '.join([side.upper(), *characters])} FROM {', '.join(texts)})"
            case "collation":
                return f"COLLATION FOR ({self.expression(arguments[0])})"
        if mark.name == "extract" and mark.names == ("extract",) and len(arguments) == 2:
            part = mark_of(arguments[0], Literal)
            if part is not None:
                return f"EXTRACT({part.token.text} FROM {self.expression(arguments[1])})"
        name = mark.name.upper() if mark.names[0] in _SPELLED else ".".join(map(quoted, mark.names))
        made = self._resolved.functions.get(id(tree))
        name = name if made is None else self._function(made)
        return f"{name}({self._arguments(arguments)})"

    def _worded(self, arguments: Sequence[exp.Expression], words: str) -> str:
        """Arguments with words before all but the first; SIMILAR has an ESCAPE behind it."""
        said = words.upper().replace("SIMILAR", "SIMILAR ESCAPE").split()
        first, *rest = (self.expression(argument) for argument in arguments)
        return " ".join([first, *(f"{word} {text}" for word, text in zip(said, rest, strict=True))])

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
                    parts.append("DISTINCT " + self.listed(tree.expressions))
                case exp.Order():
                    first = self._arguments([tree.this])
                    parts.append(f"{first} ORDER BY {self.listed(tree.expressions)}")
                case exp.Kwarg():
                    name = tree.this.args["this"]
                    said = f"{quoted(name)} => " if isinstance(name, str) else "VARIADIC "
                    parts.append(said + self.expression(tree.expression))
                case _:
                    parts.append(self.expression(tree))
        return ", ".join(parts)

    def _cast(self, tree: exp.Cast) -> str:
        mark = cast_mark(tree)
        inner = self.bare(tree.this)
        if isinstance(mark, CollationMark):
            return f"{inner} COLLATE {'.'.join(map(quoted, mark.names))}"
        if not isinstance(tree.this, exp.Column | exp.Anonymous | exp.Paren | exp.Cast | exp.Array):
            inner = f"({inner})"
        made = self._resolved.types.get(id(tree))
        return f"{inner}::{spelled(type_of(mark)) if made is None else self._type(made)}"

    def _label(self, known: Known) -> str:
        """A label of an enum, under its new name. Raises FeatureNotSupported for one inside of an array."""
        single = known.type.single
        if known.type is single:
            return self._renames.labels.get((single.oid, known.text), known.text)
        for oid, label in self._renames.labels:
            if oid == single.oid and label in known.text:
                raise FeatureNotSupported(f'renaming enum label "{label}" in {known.text} is not supported')
        return known.text

    def bare(self, tree: exp.Expression) -> str:
        """An expression where a constant's type goes without saying."""
        mark = mark_of(tree, Literal)
        known = None if mark is None else self._resolved.constants.get(id(mark))
        return self.expression(tree) if known is None else self._constant(known)

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
            raise cannot(tree)
        return f"{self.expression(inner.this)} {_symbol(mark)} {self.expression(tree.expression)}"

    def _prefixed(self, tree: exp.BitwiseNot) -> str:
        mark = mark_of(tree.args.get("symbol"), OperatorMark)
        return f"{'+' if mark is None else _symbol(mark)} {self.expression(tree.this)}"

    def _is(self, tree: exp.Is) -> str:
        mark = mark_of(tree.expression, FunctionMark)
        if mark is not None:
            word = "UNKNOWN" if mark.form == "unknown" else f"{mark.name.upper()} NORMALIZED"
        else:
            word = (
                "NULL" if isinstance(tree.expression, exp.Null) else str(bool(tree.expression.this)).upper()
            )
        return f"{self.expression(tree.this)} IS {'NOT ' if tree.args.get('negate') else ''}{word}"

    def _in(self, tree: exp.In) -> str:
        query = tree.args.get("query")
        if query is None and len(tree.expressions) == 1:
            query = as_query(tree.expressions[0])
        inside = f"({self.listed(tree.expressions)})" if query is None else self.nested(query)
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
        return self.expression(tree.this) + self.direction(tree)

    @staticmethod
    def direction(tree: exp.Expression) -> str:
        """DESC and NULLS of an item of ORDER BY, where it is not what goes without saying."""
        descending, first = bool(tree.args.get("desc")), bool(tree.args.get("nulls_first"))
        nulls = "" if first == descending else f" NULLS {'FIRST' if first else 'LAST'}"
        return (" DESC" if descending else "") + nulls

    def _dot(self, tree: exp.Dot) -> str:
        column = self._resolved.columns.get(id(tree))
        if column is not None:
            return self.column(column)
        name = tree.expression
        if not isinstance(name, exp.Identifier):
            raise cannot(tree)
        field = self._resolved.fields.get(id(tree))
        shown = name.this if field is None else self._renames.columns.get(field, name.this)
        return f"{self.expression(tree.this)}.{quoted(shown)}"

    def expanded(self, tree: exp.Expression) -> list[tuple[str, str]]:
        """(row).* as its fields, and their names."""
        row = self.expression(tree.this)
        fields = self._resolved.expanded[id(tree)]
        shown = (self._renames.columns.get(found.attribute, found.name) for found in fields)
        return [(f"{row}.{quoted(s)}", found.name) for s, found in zip(shown, fields, strict=True)]

    def _slice(self, tree: exp.Slice) -> str:
        ends = (tree.args.get("this"), tree.args.get("expression"))
        return ":".join("" if end is None else self.expression(end) for end in ends)


def _says_itself(known: Known) -> bool:
    """Whether a constant's text, unquoted, is read as its type."""
    text = known.text
    match known.type.oid:
        case BOOL.oid:
            return True
        case INT4.oid:
            return text.isdecimal()
        case NUMERIC.oid:
            return "." in text and text.replace(".", "").isdecimal()
    return False


def _symbol(mark: OperatorMark) -> str:
    return f"OPERATOR({quoted(mark.schema)}.{mark.symbol})" if mark.schema else mark.symbol.upper()


_SPELLED = ("grouping", "rollup", "cube", "nullif", "coalesce", "greatest", "least")
_WRITERS: dict[type, Callable[[ExpressionTexts, Any], str]] = {
    exp.Null: lambda w, t: "NULL",
    exp.Boolean: lambda w, t: "true" if t.this else "false",
    exp.Paren: lambda w, t: f"({w.expression(t.this)})",
    exp.Literal: lambda w, t: w._literal(t.args["this"]),
    exp.Column: ExpressionTexts._reference,
    exp.Cast: ExpressionTexts._cast,
    exp.Anonymous: ExpressionTexts._call,
    exp.Window: lambda w, t: over(t, w.expression),
    exp.Filter: lambda w, t: f"{w.expression(t.this)} FILTER (WHERE {w.expression(t.expression.this)})",
    exp.WithinGroup: lambda w, t: (
        f"{w.expression(t.this)} WITHIN GROUP (ORDER BY {w.listed(t.expression.expressions)})"
    ),
    exp.AtTimeZone: lambda w, t: f"{w.expression(t.this)} AT TIME ZONE {w.expression(t.args['zone'])}",
    exp.Array: lambda w, t: f"ARRAY[{w.listed(t.expressions)}]",
    exp.Bracket: lambda w, t: f"{w.expression(t.this)}[{w.listed(t.expressions)}]",
    exp.Slice: ExpressionTexts._slice,
    exp.Tuple: lambda w, t: f"({w.listed(t.expressions)})",
    exp.Neg: lambda w, t: f"- {w.expression(t.this)}",
    exp.BitwiseNot: ExpressionTexts._prefixed,
    exp.Not: lambda w, t: f"NOT {w.expression(t.this)}",
    exp.BitwiseAnd: ExpressionTexts._marked,
    exp.Is: ExpressionTexts._is,
    exp.In: ExpressionTexts._in,
    exp.Between: ExpressionTexts._between,
    exp.Like: ExpressionTexts._like,
    exp.ILike: ExpressionTexts._like,
    exp.Case: ExpressionTexts._case,
    exp.Ordered: ExpressionTexts._ordered,
    exp.Dot: ExpressionTexts._dot,
    exp.Select: lambda w, t: w.nested(t),
    exp.Subquery: lambda w, t: w.nested(t),
    exp.Union: lambda w, t: w.nested(t),
    exp.Intersect: lambda w, t: w.nested(t),
    exp.Except: lambda w, t: w.nested(t),
    exp.Values: lambda w, t: w.nested(t),
}


def cannot(tree: object) -> FeatureNotSupported:
    if isinstance(tree, list) and tree:
        tree = tree[0]
    if not isinstance(tree, exp.Expression):
        return FeatureNotSupported("this query is not supported in a view")
    return FeatureNotSupported(f"{tree.key.upper()} in a stored expression or view is not supported")
