"""Random templates of to_char, to_number, to_date and to_timestamp, asked here and of a PostgreSQL.

    PG_URI=... python -m tests.templates --seed 1 --texts 3000

prints every text whose answers differ. Each is one to write down under tests/slt/pg before it is mended.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storage.database import Database
from tests.slt import Direct, Wire


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


_TIMES = words(
    """HH24 HH12 HH MI SSSSS SSSS SS MS US FF1 FF2 FF3 FF4 FF5 FF6 A.M. P.M. a.m. AM PM am pm Y,YYY YYYY YYY
    YY Y IYYY IYY IY I B.C. A.D. BC AD bc ad MONTH Month month MON Mon mon MM DAY Day day DY Dy dy DDD IDDD
    DD D ID WW W IW CC J Q RM rm TZH TZM TZ tz OF yyyy mm dd hh24 mi ss ms us ww iw q cc j of Hh24 tzh FX"""
)
_NUMBERS = words("9 9 9 0 0 . D G , S MI PL SG PR FM TH th V L EEEE RN rn B C a - % 99 999 000 .00 .99")
_BETWEEN = ["-", "/", " ", ":", ".", ",", "", "", "  ", '"x y"', "T", '\\"', "a"]
_STAMPS = (
    "2024-02-29 13:04:05.678901", "2000-01-01 00:00:00", "1999-12-31 23:59:59.999999",
    "0044-03-15 12:00:00 BC",
    "2021-01-03 11:11:11", "12345-06-07 01:02:03", "0001-12-31 12:00:00 BC", "2100-11-05 06:07:08",
)  # fmt: skip
_SPANS = (
    "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons -3 days -04:05:06.789", "36:00:00", "12 mons", "0",
    "25 years 400 days", "-5 mons", "1 mon -1 day", "100:59:59", "-0.5 sec",
)  # fmt: skip
_VALUES = (
    "0", "1", "-1", "12", "-12", "123.456", "-123.456", "0.5", "-0.5", "0.05", "1234567.891", "99.995",
    "-99.995", "1e10", "-0.001", "485", "3999", "4000", "0.1", "12345", "999999", "NaN", "Infinity",
)  # fmt: skip
_WRITTEN_NUMBERS = (
    "12", "-12", "12-", " 12", "1,234.5", "-1,234.5", "<12>", "$12", "12.34", "+12", "1 2", "abc", "",
    "12abc", ".5", "12.", "1e5", "12th", "-.5", "  -12.3", "++1", "12,3",
)  # fmt: skip
_WRITTEN_TIMES = (
    "2024-02-29 13:04:05", "20240229", "29 Feb 2024", "February 29, 2024", "12:30 PM", "44 BC", "60 2024",
    "2024-09-4", "II 2024", "1:2:3.25", "2024-02-29 10:00 -05:30", "Thu 29 Feb 2024", "2,024-02", "abc", "",
    " 2024-02-29", "-44-03-15 1:1:1", "2460370", "19 99", "29th Feb 2024",
)  # fmt: skip
_FORMS = (
    "YYYY-MM-DD HH24:MI:SS", "YYYYMMDD", "DD Mon YYYY", "FMMonth DD, YYYY", "HH12:MI AM", "YYYY BC",
    "DDD YYYY", "IYYY-IW-ID", "RM YYYY", "HH24:MI:SS.MS", "YYYY-MM-DD HH24:MI TZH:TZM", "DY DD MON YYYY",
    "FXYYYY-MM-DD",
)  # fmt: skip


def _time_template(chance: random.Random) -> str:
    def field() -> str:
        before = chance.choice(("", "", "", "", "FM", "TM", "fm"))
        behind = chance.choice(("", "", "", "", "", "TH", "th", "SP"))
        return before + chance.choice(_TIMES) + behind + chance.choice(_BETWEEN)

    return "".join(field() for _ in range(chance.randint(1, 4)))


def _number_template(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return "".join(chance.choice(_NUMBERS) for _ in range(chance.randint(1, 6)))
    text = chance.choice(("", "FM", "S", "MI", "SG", "PL", "FMS", "B", "L"))
    text += "".join(chance.choice("90,G99") for _ in range(chance.randint(1, 6)))
    if chance.random() < 0.6:
        text += chance.choice(".D") + "".join(chance.choice("990") for _ in range(chance.randint(0, 4)))
    return text + chance.choice(("", "", "V99", "S", "MI", "SG", "PR", "PL", "TH", "th", "EEEE", '"q"'))


def texts(seed: int, count: int) -> Iterator[str]:
    """Statements."""
    chance = random.Random(seed)
    for _ in range(count):
        match chance.randrange(5):
            case 0:
                value, kind = chance.choice(_STAMPS), chance.choice(("timestamp", "timestamptz"))
                yield f"SELECT to_char({kind} '{value}', '{_time_template(chance)}')"
            case 1:
                yield f"SELECT to_char(interval '{chance.choice(_SPANS)}', '{_time_template(chance)}')"
            case 2:
                form = chance.choice((_time_template(chance), chance.choice(_FORMS)))
                call = chance.choice(("to_timestamp", "to_date"))
                yield f"SELECT {call}('{chance.choice(_WRITTEN_TIMES)}', '{form}')"
            case 3:
                kind = chance.choice(("numeric", "float8", "float4"))
                yield f"SELECT to_char('{chance.choice(_VALUES)}'::{kind}, '{_number_template(chance)}')"
            case _:
                text = chance.choice(_WRITTEN_NUMBERS)
                yield f"SELECT to_number('{text}', '{_number_template(chance)}')"


def main() -> None:
    """Ask both, print what differs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--texts", type=int, default=3000)
    given = arguments.parse_args()
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        ours = Direct(lambda: Database.open(Path(folder) / "db"), settings={"timezone": "UTC"})
        theirs = Wire(os.environ["PG_URI"])
        theirs.run("", "SET timezone = 'UTC'", ())
        for text in texts(given.seed, given.texts):
            expected, came = theirs.run("", text, ()), ours.run("", text, ())
            if expected != came:
                differ += 1
                print(text, *(f"  PostgreSQL: {line}" for line in expected), sep="\n")
                print(*(f"  here:       {line}" for line in came), sep="\n", flush=True)
        theirs.close()
        ours.close()
    print(f"seed {given.seed}: {differ} of {given.texts} texts differ")


if __name__ == "__main__":
    main()
