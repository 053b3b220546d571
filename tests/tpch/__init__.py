"""TPC-H: its tables, its 22 queries with the values of the specification's validation, and their answers.

`python -m tests.tpch` has DuckDB answer them anew, at the scale that the tests load.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

FOLDER = Path(__file__).parent
SCALE = "0.01"
TABLES = ("region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem")
TOLERANCE = Decimal("1e-12")


def schema() -> str:
    """The tables' definitions."""
    return (FOLDER / "schema.sql").read_text()


def queries() -> dict[str, str]:
    """The queries by their numbers, which have two digits."""
    return {path.stem: path.read_text() for path in sorted((FOLDER / "queries").glob("*.sql"))}


def answer_file(number: str) -> Path:
    """Where a query's answer stands: a row a line, cells joined by '|'."""
    return FOLDER / "answers" / f"{number}.txt"


def lines(rows: Iterator[tuple[object, ...]] | list[tuple[object, ...]]) -> list[str]:
    """Rows as lines; texts without the blanks that char(n) ends with."""
    return ["|".join("NULL" if cell is None else str(cell).rstrip(" ") for cell in row) for row in rows]


def same(one: str, other: str) -> bool:
    """Whether two lines say the same: numbers to a relative 1e-12, for DuckDB divides in floats."""
    cells, others = one.split("|"), other.split("|")
    return len(cells) == len(others) and all(map(_same, cells, others))


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        a, b = Decimal(one), Decimal(other)
    except InvalidOperation:
        return False
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))
