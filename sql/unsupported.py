"""Types, operators and functions of PostgreSQL that are not here, by name.

Who names one is told so, instead of that there is no such thing. `unsupported.txt` lists them, a kind and
some names a line: those of PostgreSQL 15's pg_type, pg_operator and pg_proc that the tables here do not have.
"""

from __future__ import annotations

from importlib import resources


def _read() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {"type": set(), "operator": set(), "function": set()}
    for line in resources.files("sql").joinpath("unsupported.txt").read_text().splitlines():
        kind, _, names = line.partition(": ")
        found[kind].update(names.split(" "))
    return {kind: frozenset(names) for kind, names in found.items()}


_NAMES = _read()
TYPES, OPERATORS, FUNCTIONS = _NAMES["type"], _NAMES["operator"], _NAMES["function"]
