"""PostgreSQL's character sets: name, number, bytes of the longest character, and Python's codec for them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encoding:
    """A character set; `codec` is '' where Python has none."""

    name: str
    number: int
    longest: int  # bytes of one character
    codec: str


_ROWS = """SQL_ASCII 1 utf-8|EUC_JP 3 euc_jp|EUC_CN 3 gb2312|EUC_KR 3 euc_kr|EUC_TW 4|
EUC_JIS_2004 3 euc_jis_2004|UTF8 4 utf-8|MULE_INTERNAL 4|LATIN1 1 iso8859-1|LATIN2 1 iso8859-2|
LATIN3 1 iso8859-3|LATIN4 1 iso8859-4|LATIN5 1 iso8859-9|LATIN6 1 iso8859-10|LATIN7 1 iso8859-13|
LATIN8 1 iso8859-14|LATIN9 1 iso8859-15|LATIN10 1 iso8859-16|WIN1256 1 cp1256|WIN1258 1 cp1258|
WIN866 1 cp866|WIN874 1 cp874|KOI8R 1 koi8-r|WIN1251 1 cp1251|WIN1252 1 cp1252|ISO_8859_5 1 iso8859-5|
ISO_8859_6 1 iso8859-6|ISO_8859_7 1 iso8859-7|ISO_8859_8 1 iso8859-8|WIN1250 1 cp1250|WIN1253 1 cp1253|
WIN1254 1 cp1254|WIN1255 1 cp1255|WIN1257 1 cp1257|KOI8U 1 koi8-u|SJIS 2 shift_jis|BIG5 2 big5|GBK 2 gbk|
UHC 2 cp949|GB18030 4 gb18030|JOHAB 3 johab|SHIFT_JIS_2004 2 shift_jis_2004"""
ENCODINGS = tuple(
    Encoding(name, number, int(longest), "".join(codec))
    for number, row in enumerate(_ROWS.replace("\n", "").split("|"))
    for name, longest, *codec in (row.split(),)
)
_ALIASES = {
    "unicode": "utf8",
    "iso88591": "latin1",
    "iso88592": "latin2",
    "iso88599": "latin5",
    "iso885915": "latin9",
    "koi8": "koi8r",
    "win": "win1251",
    "alt": "win866",
    "mskanji": "sjis",
    "shiftjis": "sjis",
    "windows949": "uhc",
    "windows936": "gbk",
    "windows950": "big5",
    "windows932": "sjis",
    **{f"windows{n}": f"win{n}" for n in (866, 874, *range(1250, 1259))},
}


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_KEY = {_key(encoding.name): encoding for encoding in ENCODINGS}


def encoding_named(name: str) -> Encoding | None:
    """The character set of a name, by PostgreSQL's spellings: letters and digits tell."""
    key = _key(name)
    return _BY_KEY.get(_ALIASES.get(key, key))
