"""to_char of times and intervals: the fields of a moment as a template asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from math import trunc

from engine.values import julian
from engine.values.numberwriting import ordinal
from engine.values.timetemplates import Node, nodes_of, words
from storage.errors import InvalidDatetimeFormat

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_OF_DATES = words("A.D. AD B.C. BC MONTH MON DAY DY D ID TZ TZH TZM OF")


@dataclass(frozen=True, slots=True)
class Moment:
    """The fields of a time; of an interval they are counts, all of which may be negative."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    micros: int  # of the second
    zone: str = ""
    offset: int = 0  # seconds
    interval: bool = False

    @property
    def day_of_year(self) -> int:
        """From 1; of an interval about how many days it is long."""
        if self.interval:
            return (self.year * 12 + self.month) * 30 + self.day
        return self.julian - julian.day_of(self.year, 1, 1) + 1

    @property
    def julian(self) -> int:
        """The Julian day."""
        return julian.day_of(self.year, self.month, self.day)

    def shown(self, year: int) -> int:
        """A year as it is called: 1 BC for 0."""
        return year if self.interval or year > 0 else 1 - year


def written(moment: Moment, template: str) -> str:
    """A time by a template. Raises InvalidDatetimeFormat for a field that an interval has not."""
    out = []
    for node in nodes_of(template):
        if node.kind != "field":
            out.append(node.text)
            continue
        if moment.interval and node.name in _OF_DATES:
            raise InvalidDatetimeFormat(
                "invalid format specification for an interval value",
                hint="Intervals are not tied to specific calendar dates.",
            )
        number = _number(moment, node)
        if number is None:
            out.append(_word(moment, node))
            continue
        if node.ordinal and number:
            ending = ordinal(number)
            number += ending.upper() if node.ordinal == "TH" else ending
        out.append(number)
    return "".join(out)


def _padded(value: int, width: int, node: Node, measure: int | None = None) -> str:
    """A number in so many places, a minus beside them, which `measure` has where it is not the number."""
    if not node.fill:
        return str(value)
    return f"{value:0{width + ((value if measure is None else measure) < 0)}d}"


def _remainder(value: int, by: int) -> int:
    return value - by * trunc(value / by)


def _number(moment: Moment, node: Node) -> str | None:
    """A field of digits; None for one of letters."""
    name = node.name
    clock = _clock(moment, node)
    if clock is not None:
        return clock
    iso_year, week = julian.iso_week(moment.julian) if name[0] == "I" else (0, 0)
    match name:
        case "YYYY" | "IYYY":
            year = moment.shown(iso_year if name[0] == "I" else moment.year)
            return _padded(year, 4, node, moment.shown(moment.year))
        case "YYY" | "YY" | "Y" | "IYY" | "IY" | "I":
            year = moment.shown(iso_year if name[0] == "I" else moment.year)
            return _padded(_remainder(year, 10 ** len(name)), len(name), node, moment.shown(moment.year))
        case "Y,YYY":
            year = moment.shown(moment.year)
            thousands = trunc(year / 1000)
            return f"{thousands},{year - thousands * 1000:03d}"
        case "MM":
            return _padded(moment.month, 2, node)
        case "DD":
            return _padded(moment.day, 2, node, 0)
        case "DDD":
            return _padded(moment.day_of_year, 3, node, 0)
        case "IDDD":
            return _padded(moment.julian - julian.first_of_week(iso_year, 1) + 1, 3, node, 0)
        case "D":
            return str(julian.weekday(moment.julian) + 1)
        case "ID":
            return str(julian.weekday(moment.julian) or 7)
        case "WW":
            return _padded(trunc((moment.day_of_year - 1) / 7) + 1, 2, node, 0)
        case "W":
            return str(trunc((moment.day - 1) / 7) + 1)
        case "IW":
            return _padded(week, 2, node)
        case "CC":
            return _century(moment, node)
        case "J":
            return str(moment.julian)
        case "Q":
            return str(trunc((moment.month - 1) / 3) + 1) if moment.month else ""
    return None


def _clock(moment: Moment, node: Node) -> str | None:
    """A field of digits of the time of day."""
    name = node.name
    match name:
        case "HH24":
            return _padded(moment.hour, 2, node)
        case "HH":
            return _padded(_remainder(moment.hour, 12) or 12, 2, node, moment.hour)
        case "MI":
            return _padded(moment.minute, 2, node)
        case "SS":
            return _padded(moment.second, 2, node)
        case "SSSS":
            return str(moment.hour * 3600 + moment.minute * 60 + moment.second)
        case "MS":
            return f"{trunc(moment.micros / 1000):03d}"
        case "US":
            return f"{moment.micros:06d}"
    if name.startswith("FF"):
        places = int(name[2])
        return f"{trunc(moment.micros / 10 ** (6 - places)):0{places}d}"
    return None


def _century(moment: Moment, node: Node) -> str:
    if moment.interval:
        century = trunc(moment.year / 100)
    else:
        century = (moment.year - 1) // 100 + 1 if moment.year > 0 else trunc(moment.year / 100) - 1
    return _padded(century, 2, node) if -100 < century < 100 else str(century)


def _word(moment: Moment, node: Node) -> str:
    """A field of letters."""
    name = node.name
    match name:
        case "AM" | "PM" | "A.M." | "P.M.":
            return _cased("PM" if _remainder(moment.hour, 24) >= 12 else "AM", node)
        case "AD" | "BC" | "A.D." | "B.C.":
            return _cased("BC" if moment.year <= 0 else "AD", node)
        case "MONTH" | "MON":
            return _named(MONTHS[moment.month - 1], 3 if name == "MON" else 9, node) if moment.month else ""
        case "DAY" | "DY":
            return _named(DAYS[julian.weekday(moment.julian)], 3 if name == "DY" else 9, node)
        case "RM":
            return _roman(moment, node)
    return _zone(moment, node)


def _cased(text: str, node: Node) -> str:
    text = f"{text[0]}.{text[1]}." if "." in node.name else text
    return text.lower() if node.text.islower() else text


def _named(text: str, width: int, node: Node) -> str:
    text = text[:width]
    text = text.ljust(width) if node.fill else text
    return text.upper() if node.text.isupper() else text.lower() if node.text.islower() else text


def _roman(moment: Moment, node: Node) -> str:
    """The month in roman numerals; intervals of whole years end with December, or January backwards."""
    if not moment.month and not moment.year:
        return ""
    if moment.month:
        text = ROMAN[moment.month - 1] if moment.month > 0 else ROMAN[12 + moment.month]
    else:
        text = ROMAN[11] if moment.year >= 0 else ROMAN[0]
    text = text.ljust(4) if node.fill else text
    return text.lower() if node.text.islower() else text


def _zone(moment: Moment, node: Node) -> str:
    sign = "-" if moment.offset < 0 else "+"
    hours, minutes = divmod(abs(moment.offset) // 60, 60)
    match node.name:
        case "TZH":
            return f"{sign}{hours:02d}"
        case "TZM":
            return f"{minutes:02d}"
        case "OF":
            return f"{sign}{_padded(hours, 2, node)}" + (f":{minutes:02d}" if minutes else "")
        case "TZ":
            return moment.zone.lower() if node.text.islower() else moment.zone
    return ""
