"""Tables of random rows: few different values, so that joins meet and groups have rows, and many nulls.

Floats are multiples of an eighth, so their sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

COLUMNS = {
    "i": "int4",
    "b": "int8",
    "n": "numeric",
    "f": "float8",
    "s": "text",
    "o": "bool",
    "d": "date",
    "t": "timestamp",
}
DECLARED = {"numeric": "numeric(10,2)"}
WORDS = ("", "a", "b", "ab", "abc", "B", "a b", "日本", "zz", "%", "a_c")
_DAY = date(2024, 2, 26)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its rows as SQL literals. `types`: a type for each column's name."""

    name: str
    types: dict[str, str]
    rows: list[list[str]]

    def statements(self) -> list[str]:
        """What makes and fills it."""
        columns = ", ".join(f"{name} {DECLARED.get(kind, kind)}" for name, kind in self.types.items())
        rows = ", ".join(f"({', '.join(row)})" for row in self.rows)
        made = [f"CREATE TABLE {self.name} ({columns})"]
        return [*made, f"INSERT INTO {self.name} VALUES {rows}"] if self.rows else made


def tables(random: Random) -> list[Table]:
    """Some tables: an empty one, one of a single row, others of a few dozen."""
    made = []
    for at, rows in enumerate((random.randrange(20, 40), random.randrange(5, 20), 40, 1, 0)):
        names = ["i", *random.sample(list(COLUMNS)[1:], 5 if at < 3 else 3)]
        types = {"id": "int4"} | {name: COLUMNS[name] for name in names}
        nulls = random.choice((0.0, 0.1, 0.4))
        values = [
            [str(row), *("NULL" if random.random() < nulls else value(random, types[name]) for name in names)]
            for row in range(rows)
        ]
        made.append(Table(f"t{at}", types, values))
    return made


def value(random: Random, kind: str) -> str:
    """A literal of a type."""
    match kind:
        case "int4":
            return str(random.randrange(-3, 8))
        case "int8":
            return random.choice((str(random.randrange(-2, 5)), "4294967296", "-4294967295"))
        case "numeric":
            return f"{random.randrange(-300, 900) / 100:.2f}"
        case "float8":
            return f"{random.randrange(-16, 40) / 8}"
        case "text":
            return f"'{random.choice(WORDS)}'"
        case "bool":
            return random.choice(("true", "false"))
        case "date":
            return f"'{_DAY + timedelta(random.randrange(8))}'"
        case "timestamp":
            return f"'{datetime(2024, 2, 28, 22) + timedelta(minutes=30 * random.randrange(12))}'"
    raise ValueError(kind)
