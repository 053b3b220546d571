"""Unicode: normalize, is_normalized, unistr."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, cast

from engine.functions.registry import scalar
from engine.functions.text import each
from storage.column import Column
from storage.errors import InvalidParameterValue, SqlSyntaxError
from storage.types import BOOL, TEXT

_FORMS = frozenset(("NFC", "NFD", "NFKC", "NFKD"))
_Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
_ESCAPE = re.compile(
    r"\\(?:(\\)|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-9a-fA-F]{4}))?", re.DOTALL
)


def _form(name: str) -> _Form:
    form = name.upper()
    if form not in _FORMS:
        raise InvalidParameterValue(f"invalid normalization form: {name}")
    return cast("_Form", form)


@scalar("normalize", [TEXT, TEXT], TEXT, defaults=1)
def normalize(column: Column, *form: Column) -> Column:
    """The text in a Unicode normalization form, NFC if none is named."""
    return each(lambda text, name="NFC": unicodedata.normalize(_form(name), text), column, *form)


@scalar("is_normalized", [TEXT, TEXT], BOOL, defaults=1)
def is_normalized(column: Column, *form: Column) -> Column:
    """Whether the text is in a Unicode normalization form."""
    return each(
        lambda text, name="NFC": unicodedata.is_normalized(_form(name), text), column, *form, type=BOOL
    )


@scalar("unistr", [TEXT], TEXT)
def unistr(column: Column) -> Column:
    """The text with its Unicode escapes as what they stand for."""
    return each(_unescaped, column)


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1]:
            return "\\"
        code = found[2] or found[3] or found[4] or found[5]
        if code is None:
            raise SqlSyntaxError(
                "invalid Unicode escape",
                hint="Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.",
            )
        number = int(code, 16)
        if number == 0 or number > 0x10FFFF:
            raise InvalidParameterValue("invalid Unicode code point: " + code)
        return chr(number)

    joined = _ESCAPE.sub(one, text)
    try:
        return joined.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise SqlSyntaxError("invalid Unicode surrogate pair") from None
