"""Marks: what our token rewriting hides from the parser and finds again in its tree.

sqlglot reads constants, function names, types and most operators by rules of its own (and of forty
dialects). So they go through it as identifiers, each holding a mark: the tree that comes back has
`Identifier(this=mark)` in their places, and `Identifier(this="name")` for names, already folded.

    v <*> $1::vector(3)   ->   v & {Operator <*>} & {Parameter 1} :: {TypeName vector(3)}

An operator's mark stands between its operands as an operand of its own: see `operators`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from sqlglot import exp

from sql.tokens import Token

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: STRING, NUMBER, HEX or BITS."""

    token: Token

    @property
    def position(self) -> int:
        return self.token.position


@dataclass(frozen=True, slots=True)
class ParameterMark:
    """$number."""

    number: int
    position: int


@dataclass(frozen=True, slots=True)
class FunctionMark:
    """The name of a function that is called. `form` tells a call that the grammar spells otherwise:
    'keyword' (current_date), 'trim', 'position', 'substring', 'default' (DEFAULT in VALUES and SET)."""

    names: tuple[str, ...]
    position: int
    form: str = ""

    @property
    def name(self) -> str:
        return self.names[-1]


PREFIX = "prefix"
"""The form of the mark that stands where an operator has no left operand."""


@dataclass(frozen=True, slots=True)
class OperatorMark:
    """An operator other than those that the parser knows as PostgreSQL does."""

    symbol: str
    position: int
    schema: str = ""


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type as written: `modifiers` are the tokens in its parentheses, `arrays` counts its []."""

    names: tuple[str, ...]
    position: int
    modifiers: tuple[str, ...] = ()
    arrays: int = 0
    written: int = 0  # where the cast to it stands: the :: or CAST

    def __str__(self) -> str:
        inside = f"({','.join(self.modifiers)})" if self.modifiers else ""
        return ".".join(self.names) + inside + "[]" * self.arrays


@dataclass(frozen=True, slots=True)
class PartMark:
    """a.b[1] in the list of columns of an INSERT: the column, and the tokens of all of it."""

    name: str
    position: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class CollationMark:
    """COLLATE name, which stands in the tree as a cast to this."""

    names: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True)
class WindowMark:
    """A name of the WINDOW clause; `position` is where its definition opens."""

    name: str
    position: int


Mark = (
    PartMark | Literal | ParameterMark | FunctionMark | OperatorMark | TypeName | CollationMark | WindowMark
)


def mark_of(node: object, kind: type[M]) -> M | None:
    """The mark of this kind that an identifier, or a column of one part, stands for."""
    if isinstance(node, exp.Column) and len(node.args) >= 1 and not node.args.get("table"):
        node = node.this
    if isinstance(node, exp.Identifier):
        this = node.args["this"]
        if isinstance(this, kind):
            return this
    return None


_LEFT_FIRST = (
    exp.Alias,
    exp.Anonymous,
    exp.AtTimeZone,
    exp.Between,
    exp.Binary,
    exp.Bracket,
    exp.Cast,
    exp.Column,
    exp.In,
    exp.Ordered,
)


_TELLING = (exp.Boolean, exp.Case, exp.Null, exp.Subquery, exp.Tuple)
"""Nodes that begin with the token which hid its place in their comments."""


def place_of(node: exp.Expression) -> int:
    """Where the word or sign stands that makes the node, from 1; 0: it does not tell. See sql.places."""
    return int(node.meta.get("place", 0))


def told(node: exp.Expr) -> int:
    """The place that a token hid in the node's comments, from 1; 0: none did."""
    return next((int(comment) for comment in node.comments or () if comment.isdigit()), 0)


def position_of(node: exp.Expression | None) -> int:
    """Where a tree begins in the text, from 1; 0 if nothing in it tells."""
    while isinstance(node, (*_LEFT_FIRST, exp.Not, exp.Paren)):
        if isinstance(node, exp.Not) and place_of(node):
            break
        if isinstance(node, exp.Cast):
            mark = mark_of(node.args["to"].args.get("kind"), TypeName)
            if mark is not None and 0 < mark.written < position_of(node.this):
                return mark.written  # CAST
        node = node.args.get("catalog") or node.args.get("db") or node.args.get("table") or node.args["this"]
    if node is None:
        return 0
    place = place_of(node) or (told(node) if isinstance(node, _TELLING) else 0)
    if place:
        return place
    if isinstance(node, exp.Identifier):
        return start_of(node)
    starts = [i.meta["start"] for i in node.find_all(exp.Identifier) if "start" in i.meta]
    return min(starts) + 1 if starts else 0


def start_of(identifier: exp.Expression) -> int:
    """Where an identifier stands in the text, from 1; 0: unknown."""
    start = identifier.meta.get("start")
    return 0 if start is None else start + 1


def opening_of(node: exp.Expression, text: str) -> int:
    """Where the parenthesis stands that a query is in, from 1; else where the query begins."""
    first = position_of(node)
    return text.rfind("(", 0, max(first - 1, 0)) + 1 or first
