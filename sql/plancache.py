"""The plan cache of the simple protocol: statements that differ in constants only share a plan.

    SELECT id FROM t WHERE score > 0.7      SELECT id FROM t WHERE score > 0.8

Both are lexed; their constants are lifted out as parameters, and what is left is the key. A hit needs no
parser. A constant is lifted where it is a value and nothing else: behind a comparison, as an argument of a
function, as a cell of INSERT's VALUES; a number also as an operand of arithmetic, and behind its sign, which
stays. Ordinals, type modifiers, limits, what a cast or a type name follows or leads, and what ON CONFLICT
says of an index stay. Numbers are lifted with their type, strings without, so binding chooses as before.

    (a = 1 AND x = 'F') OR (a = 2 AND x = 'F')      the same beside (a = 3 AND x = 'F') OR (a = 1 AND x = 'F')

What a statement with OR compares one column with several times is one parameter, and that it is stands in
the key: only so can planning see what the operands of OR have in common (sql.rules.factor).

Where the lifted statement cannot be planned (GROUP BY f(a, 1) with f(a, 1) selected: the two are no longer
the same) or a constant cannot be read as what it became, the statement goes the plain way, which also says
where an error is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine import forms
from engine.forms import Style, bits
from engine.forms.numbers import written
from sql.keywords import COLUMN_NAMES, RESERVED
from sql.tokens import Kind, Token
from sql.typenames import starts_type
from storage.column import Column
from storage.types import BIT, BYTEA, INT4, INT8, NUMERIC, TEXT, Type

Key = tuple[object, ...]

_QUERIES = frozenset(("select", "insert", "update", "delete", "with"))
_LITERALS = (Kind.NUMBER, Kind.STRING, Kind.HEX, Kind.BITS)
_COMPARISONS = frozenset(("=", "<>", "<", ">", "<=", ">=", "<*>", "<->"))
_ARITHMETIC = frozenset(("+", "-", "*", "/", "%"))
# Words that may stand behind a constant without saying anything of it.
_AFTER = frozenset(
    ("and", "or", "where", "from", "group", "order", "limit", "offset", "having", "returning", "then", "end")
)
# Where a constant may be an ordinal, and an expression that is no key of its set may be over those that are.
_GROUPING = ("rollup", "cube", "grouping")
_NO_CALL = RESERVED | COLUMN_NAMES | {"by"}  # ORDER BY (1)


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement without its constants: its key, its tokens with parameters, the constants' tokens.

    `repeats`: some constants stand for others that are the same.
    """

    key: Key
    tokens: tuple[Token, ...]
    literals: tuple[Token, ...]
    repeats: bool = False

    @property
    def types(self) -> tuple[Type | None, ...]:
        """The types that the constants have by themselves."""
        return tuple(_type(token) for token in self.literals)


def shape_of(tokens: Sequence[Token], path: Key) -> Shape | None:
    """The shape of a statement, None where it has parameters of its own, grouping sets, or is no query."""
    if not tokens[0].is_word(*_QUERIES):
        return None
    insert = tokens[0].text == "insert"
    key: list[object] = [path]
    lifted: list[Token] = []
    literals: list[Token] = []
    # what each open parenthesis is: 'call', 'cells' (a row of INSERT's VALUES) or ''
    opened: list[str] = []
    values = False
    last: Token | None = None
    numbers: dict[Key, int] | None = {} if _may_repeat(tokens) else None
    repeats = inferring = False
    for place, token in enumerate(tokens):
        kind, text = token.kind, token.text
        if insert and token.is_word("conflict", "do"):
            inferring = text == "conflict"  # what its index is over is a part of that index's name
        if kind is Kind.PARAMETER or token.is_word(*_GROUPING):
            return None
        if kind is Kind.PUNCTUATION:
            if text == "(":
                opened.append("cells" if values and not opened else _opens(last))
            elif text == ")" and opened:
                opened.pop()
        elif kind is Kind.WORD and insert and not opened and text in ("values", "select", "returning"):
            values = text == "values"
        elif kind in _LITERALS and not inferring and _is_value(tokens, place, last, opened):
            said = None if numbers is None else _comparison(tokens, place)
            number = None if said is None or numbers is None else numbers.get(said)
            if number is not None:
                repeats = True
                key.append(-number)
            else:
                type = _type(token)
                key.append("'" if type is None else type.oid)
                literals.append(token)
                number = len(literals)
                if said is not None and numbers is not None:
                    numbers[said] = number
            token = Token(Kind.PARAMETER, str(number), token.start, token.end)
            lifted.append(token)
            last = token
            continue
        key += (kind, text)
        lifted.append(token)
        last = token
    return Shape(tuple(key), tuple(lifted), tuple(literals), repeats)


def _may_repeat(tokens: Sequence[Token]) -> bool:
    """Whether constants that are the same may be one parameter: there is an OR, a name means one thing."""
    selects = sum(token.is_word("select") for token in tokens)
    alone = not tokens[0].is_word("with") and selects == tokens[0].is_word("select")
    return alone and any(token.is_word("or") for token in tokens)


def _comparison(tokens: Sequence[Token], place: int) -> Key | None:
    """`column = constant`, with the constant at `place`, as what is the same wherever it stands; or None."""
    if place < 2 or tokens[place - 1].kind is not Kind.OPERATOR:
        return None
    begin = place - 1
    while begin > 0 and (tokens[begin - 1].kind is Kind.QUOTED or _is_name(tokens[begin - 1])):
        begin -= 1
        if begin > 0 and tokens[begin - 1].is_mark("."):
            begin -= 1
        else:
            break
    before = tokens[begin - 1] if begin else None
    if (
        begin == place - 1
        or before is None
        or not (before.is_mark("(") or before.is_word("and", "or", "where", "on"))
    ):
        return None
    return tuple((token.kind, token.text) for token in tokens[begin : place + 1])


def _is_name(token: Token) -> bool:
    return token.kind is Kind.WORD and token.text not in RESERVED


def _opens(last: Token | None) -> str:
    """What a parenthesis behind this token opens."""
    if last is None or last.kind not in (Kind.WORD, Kind.QUOTED):
        return ""
    if last.kind is Kind.WORD and (last.text in _NO_CALL or starts_type(last)):
        return ""
    return "call"


def _is_value(tokens: Sequence[Token], place: int, last: Token | None, opened: list[str]) -> bool:
    """Whether the constant at `place` is a value and nothing else."""
    if last is None or not _is_readable(tokens[place]):
        return False
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    number = tokens[place].kind is Kind.NUMBER
    if number and place > 1 and _is_sign(last, tokens[place - 2]):
        place, last = place - 1, tokens[place - 2]
    compared = last.kind is Kind.OPERATOR and (
        last.text in _COMPARISONS
        or (number and last.text in _ARITHMETIC and place > 1 and _is_operand(tokens[place - 2], last))
    )
    inside = bool(opened and opened[-1]) and (last.is_mark("(") or last.is_mark(","))
    if not compared and not inside:
        return False
    if after is None:
        return True
    if after.is_mark(")") or after.is_mark(","):
        return True
    # in a call, FROM and the like may be the grammar of its arguments
    return compared and (after.is_word(*_AFTER) or (after.kind is Kind.OPERATOR and _compares(after)))


def _is_readable(token: Token) -> bool:
    """Whether a constant has a value, whatever its type: binding has words for the others."""
    if token.kind is Kind.BITS:
        return bits.is_readable(token.text)
    return token.kind is not Kind.HEX or len(token.text) % 2 == 0


def _compares(token: Token) -> bool:
    return token.text in ("<", ">", "<=", ">=")


def _is_sign(token: Token, before: Token) -> bool:
    """Whether a token is the sign of the number behind it."""
    if token.kind is not Kind.OPERATOR or token.text not in ("-", "+"):
        return False
    if before.kind is Kind.OPERATOR:
        return before.text in _COMPARISONS or before.text in _ARITHMETIC
    return before.is_mark("(") or before.is_mark(",")


def _is_operand(token: Token, operator: Token) -> bool:
    """Whether what ends with this token may be the left operand of arithmetic, and no constant.

    Of constants alone, 1 / 0 among them, planning makes one value, or an error.
    """
    if token.kind is Kind.WORD:
        return token.text not in _NO_CALL
    return token.kind is Kind.QUOTED or (token.is_mark(")") and operator.text in ("+", "-", "*"))


def _type(token: Token) -> Type | None:
    """The type of a constant: see sql.binding.literals."""
    if token.kind is Kind.STRING:
        return None
    if token.kind is Kind.HEX:
        return BYTEA
    if token.kind is Kind.BITS:
        return BIT
    if token.text.isdigit() and len(token.text) < 20:
        value = int(token.text)
        if value < 2**31:
            return INT4
        if value < 2**63:
            return INT8
    return NUMERIC


def values_of(shape: Shape, types: Sequence[Type], style: Style) -> list[Column]:
    """The constants as parameters of these types. Raises what reading them raises."""
    return read_values(shape.literals, types, style)


def read_values(literals: Sequence[Token], types: Sequence[Type], style: Style) -> list[Column]:
    """Constants as columns of these types. Raises what reading them raises."""
    return [_value(token, type, style) for token, type in zip(literals, types, strict=True)]


def _value(token: Token, type: Type, style: Style) -> Column:
    if token.kind is Kind.STRING:
        text = Column.scalar(TEXT, token.text)
        return text if type is TEXT else forms.parse_text(type, text, style)
    if token.kind is Kind.HEX:
        return Column.scalar(BYTEA, bytes.fromhex(token.text))
    if token.kind is Kind.BITS:
        return Column.scalar(BIT, bits.pack(bits.read_digits(token.text)))
    if type is NUMERIC:
        return Column.scalar(NUMERIC, written(token.text))
    return Column.scalar(type, int(token.text))
