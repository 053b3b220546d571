"""Write the answers of TPC-H's queries, as DuckDB gives them."""

from __future__ import annotations

import os

import duckdb

from bench import tpchdata
from tests.tpch import SCALE, TABLES, answer_file, lines, queries


def main() -> None:
    """Ask DuckDB every query."""
    os.environ["BENCH_SCALE"] = SCALE
    with duckdb.connect() as connection:
        for table in TABLES:
            connection.execute(f"create view {table} as from '{tpchdata.table(table)}'")
        for number, text in queries().items():
            rows = connection.execute(text).fetchall()
            answer_file(number).write_text("".join(f"{line}\n" for line in lines(rows)))


main()
