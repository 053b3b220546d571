"""Texts that differ in literals only, told apart without reading them: a kept plan is found in microseconds.

    SELECT name FROM points WHERE id = 17       SELECT name FROM points WHERE id = 4711

`split` cuts numbers and strings out of a text by one regular expression; texts with the same rest and the
same kinds of literals are lexed alike, but for the literals' values. So a text that was read once, token by
token (sql.plancache), leaves a Template: which literals became parameters, and what the others have to be.
A text in which a literal might be something else (comments, other quotes, dollar signs) has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sql.plancache import Key, Shape
from sql.tokens import Kind, Token

_LITERAL = re.compile(r"""((?<![\w&'])'[^']*(?:''[^']*)*'|(?<![\w.$'])\d+(?:\.\d+)?(?![\w.$']))""")
# What is left where a quote, or what could hide one, is no plain literal's: the first such thing stays, for
# all before it was cut out rightly.
_ODD = re.compile(r"""["'$]|--|/\*""")
_LONGEST = 2000  # characters


class Template(NamedTuple):
    """`key` of the plan; of each literal the text that it must have, None: it is a parameter."""

    key: Key
    fixed: tuple[str | None, ...]


def split(text: str) -> tuple[str, list[str]] | None:
    """A text without its literals, with their kinds, and the literals; None where that is unsafe."""
    if len(text) > _LONGEST:
        return None
    pieces = _LITERAL.split(text)  # by turns what stays, and a literal
    literals, rest = pieces[1::2], "\0".join(pieces[::2])
    if _ODD.search(rest):
        return None
    return rest + "".join(map(_kind, literals)), literals


def _kind(literal: str) -> str:
    """What the token's type hangs on: see sql.plancache."""
    if literal[0] == "'":
        return "s"
    if "." in literal or len(literal) > 18:
        return "n" + literal if len(literal) > 18 else "n"
    value = int(literal)
    return "i" if value < 2**31 else "l"


def template_of(text: str, literals: Sequence[str], shape: Shape) -> Template | None:
    """What a text that has this shape leaves; None where its literals are not all found."""
    lifted = {token.start: token.end for token in shape.literals}
    fixed: list[str | None] = []
    for found in _LITERAL.finditer(text):
        end = lifted.pop(found.start(), None)
        if end is not None and end != found.end():
            return None
        fixed.append(None if end is not None else found[0])
    if lifted or len(fixed) != len(literals):
        return None
    return Template(shape.key, tuple(fixed))


def parameters(template: Template, literals: Sequence[str]) -> list[Token] | None:
    """The literals that are parameters, as tokens; None where one of the others is not what it must be."""
    found = []
    for literal, fixed in zip(literals, template.fixed, strict=True):
        if fixed is None:
            if literal[0] == "'":
                found.append(Token(Kind.STRING, literal[1:-1].replace("''", "'"), 0, 0))
            else:
                found.append(Token(Kind.NUMBER, literal, 0, 0))
        elif literal != fixed:
            return None
    return found
