"""The names of result columns that nobody named, as PostgreSQL chooses them."""

from __future__ import annotations

from sqlglot import exp

from sql.binding.literals import cast_mark
from sql.marks import CollationMark, FunctionMark, OperatorMark, TypeName, mark_of
from sql.typenames import ALIASES

UNNAMED = "?column?"
_TRIMS = {"leading": "ltrim", "trailing": "rtrim"}


def label(tree: exp.Expression) -> str:
    """The name of a select list's item."""
    return _label(tree)[0] or UNNAMED


def _label(tree: exp.Expression) -> tuple[str, int]:
    """(name, strength): 2 a real name, 1 a type's, 0 none."""
    match tree:
        case exp.Column() if isinstance(tree.this, exp.Star):
            return tree.args["table"].this, 2
        case exp.Column():
            name = tree.this.args.get("this") if isinstance(tree.this, exp.Identifier) else None
            return (name, 2) if isinstance(name, str) else ("", 0)
        case exp.Anonymous():
            return _call(tree)
        case exp.BitwiseAnd() if isinstance(tree.this, exp.BitwiseAnd):
            symbol = mark_of(tree.this.expression, OperatorMark)
            return ("overlaps", 2) if symbol is not None and symbol.symbol == "overlaps" else ("", 0)
        case exp.Is():
            mark = mark_of(tree.expression, FunctionMark)
            if mark is None or mark.form != "normalized" or tree.args.get("negate"):
                return "", 0
            return mark.names[0], 2
        case exp.Filter() | exp.Paren() | exp.Window() | exp.WithinGroup():
            return _label(tree.this)
        case exp.Dot():
            name = tree.expression
            return (name.this, 2) if isinstance(name, exp.Identifier) else ("", 0)
        case exp.Cast():
            return _cast(tree)
        case exp.Bracket():
            return _label(tree.this)
        case exp.Case():
            default = tree.args.get("default")
            name, strength = ("", 0) if default is None else _label(default)
            return (name, strength) if strength > 1 else ("case", 1)
        case exp.Array():
            return "array", 2
        case exp.Boolean():
            return "bool", 1
        case exp.AtTimeZone():
            return "timezone", 2
        case exp.Subquery():
            return _label(tree.this)
        case exp.Select():
            return _first(tree)
        case exp.Union() | exp.Intersect() | exp.Except():
            return _label(tree.this)
        case exp.Values():
            return "column1", 2
        case exp.Tuple():
            return "row", 2
        case _:
            return "", 0


def _first(tree: exp.Select) -> tuple[str, int]:
    first = tree.expressions[0] if tree.expressions else None
    if isinstance(first, exp.Alias):
        name = first.args["alias"].this
        return (name, 2) if isinstance(name, str) else ("", 0)
    return ("", 0) if first is None else _label(first)


def _call(tree: exp.Anonymous) -> tuple[str, int]:
    mark = mark_of(tree.this, FunctionMark)
    if mark is None:
        return "", 0
    if mark.form == "quantifier":
        return "", 0
    if mark.form == "keyword":
        return mark.names[0], 2
    if mark.name == "trim":
        return _TRIMS.get("".join(mark.form.split()[1:2]), "btrim"), 2
    return mark.name, 2


def _cast(tree: exp.Cast) -> tuple[str, int]:
    name, strength = _label(tree.this)
    mark = cast_mark(tree)
    if strength > 1 or isinstance(mark, CollationMark):
        return name, strength
    assert isinstance(mark, TypeName)
    spelled = mark.names[-1]
    if spelled.startswith('"'):
        return spelled[1:-1], 1
    return ("float8" if spelled == "float" else ALIASES.get(spelled, spelled)), 1
