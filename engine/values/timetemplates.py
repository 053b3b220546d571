"""Templates of times: what to_char writes, and to_timestamp, to_date and .datetime() read.

A template is cut into fields (YYYY, HH24, Mon, ...), each perhaps with FM or TM before and TH behind it,
and single characters: spaces, separators and others.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from storage.errors import InvalidDatetimeFormat

_FIELDS = """A.D. A.M. AD AM B.C. BC CC DAY DDD DD DY D FF1 FF2 FF3 FF4 FF5 FF6 FX HH24 HH12 HH IDDD ID IW
    IYYY IYY IY I J MI MM MONTH MON MS OF P.M. PM Q RM SSSSS SSSS SS TZH TZM TZ US WW W Y,YYY YYYY YYY YY
    Y"""
_NAMES = [*_FIELDS.split(), *_FIELDS.lower().split(), "Day", "Dy", "Month", "Mon"]


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_FIELD = re.compile("|".join(map(re.escape, sorted(_NAMES, key=len, reverse=True))))
_LETTERS = words("AD AM BC PM A.D. A.M. B.C. P.M. DAY DY MONTH MON RM TZ OF FX TZH")
_ISO = words("IDDD ID IW IYYY IYY IY I")
_GREGORIAN = words("DDD DD D MM MONTH MON RM WW W Y,YYY YYYY YYY YY Y")
_TIMED = words("A.M. AM P.M. PM HH24 HH MI SS MS US SSSS")
_ZONED = words("TZ OF TZH TZM")
_CALLED = words("MONTH MON DAY DY")
_STANDARD = "-./,':; "

Kind = Literal["field", "space", "separator", "text"]


class Node(NamedTuple):
    """A field (`name` in capitals, `text` as it was written) or a character (`text`)."""

    kind: Kind
    text: str
    name: str = ""
    fill: bool = True  # no FM before it, and no TM, by which names are as long as they are
    ordinal: str = ""  # TH or th behind it

    @property
    def digits(self) -> bool:
        """Whether a text has only digits for the field, so that what follows must not be read with it."""
        return self.name not in _LETTERS

    @property
    def convention(self) -> str:
        """The kind of dates that the field belongs to; '' for those of both."""
        return "iso" if self.name in _ISO else "gregorian" if self.name in _GREGORIAN else ""


@lru_cache(1_000)
def nodes_of(template: str, *, standard: bool = False) -> tuple[Node, ...]:
    """A template's nodes. `standard`: between fields stand SQL's separators only.

    Raises InvalidDatetimeFormat.
    """
    found: list[Node] = []
    at = 0
    while at < len(template):
        prefix = template[at : at + 2]
        modified = prefix in ("FM", "fm", "TM", "tm")
        at += 2 * modified
        field = _FIELD.match(template, at)
        if field is not None:
            at = field.end()
            suffix = template[at : at + 2]
            at += 2 * (suffix in ("TH", "th", "SP"))
            ordinal = suffix if suffix in ("TH", "th") else ""
            name = _name(field[0])
            fill = not modified or (prefix.upper() == "TM" and name not in _CALLED)
            found.append(Node("field", field[0], name, fill, ordinal))
        elif at < len(template):
            at = _characters(template, at, found, standard=standard)
    return tuple(found)


def _name(text: str) -> str:
    name = text.upper()
    return {"SSSSS": "SSSS", "HH12": "HH"}.get(name, name)


def _characters(template: str, at: int, found: list[Node], *, standard: bool) -> int:
    """What stands for itself: one character, or a text in quotes. Returns where it ends."""
    letter = template[at]
    if letter == '"':
        at += 1
        while at < len(template) and template[at] != '"':
            at += template[at] == "\\" and at + 1 < len(template)
            found.append(Node("text", template[at]))
            at += 1
        return at + 1
    if standard and letter not in _STANDARD:
        raise InvalidDatetimeFormat(f'invalid datetime format separator: "{letter}"')
    if letter == "\\" and template[at + 1 : at + 2] == '"':
        found.append(Node("separator", '"'))
        return at + 2
    kind: Kind = "space" if letter.isspace() else "separator" if is_separator(letter) else "text"
    found.append(Node(kind, letter))
    return at + 1


def is_separator(letter: str) -> bool:
    """Whether a character may stand between fields: a sign of ASCII."""
    return "!" <= letter <= "~" and not letter.isalnum()


def parts_of(nodes: tuple[Node, ...]) -> frozenset[str]:
    """Which of 'date', 'time' and 'zone' the fields of a template tell of."""
    names = {node.name for node in nodes if node.kind == "field" and node.name != "FX"}
    timed = {name for name in names if name in _TIMED or name.startswith("FF")}
    zoned = names & _ZONED
    found = {"date": names - timed - zoned, "time": timed, "zone": zoned}
    return frozenset(part for part, fields in found.items() if fields)
