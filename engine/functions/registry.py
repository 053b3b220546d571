"""The table of scalar functions and operators: one decorated function each.

    @scalar("lower", [TEXT], TEXT)
    def lower(text: Column) -> Column: ...

`@scalar` gives a function its place in pg_proc, in the binder and in the manual. An operator is an
overload under its symbol (`@operator("+", [INT4, INT4], INT4)`), and stands in pg_operator.

An implementation takes columns and returns one. By default it is *strict*: rows with a null argument
come out null whatever the implementation computes there, and it may look at `values` alone. It is given
written-out columns of equal length unless it says `constants=True`: then any argument may be constant
(length 1) and it spreads what it needs. If all arguments are constant it is called once with rows = 1.
`run=True` passes the Run as keyword `run`; `rows=True` the row count as keyword `rows` (for functions of
no arguments). `total=True` says that it cannot raise, so it may be given the rows under nulls too.
`returns_set=True` marks table functions (generate_series, unnest): see engine.functions.sets.

Types in signatures may be ANYELEMENT, ANYARRAY (all alike in one call). `variadic=True`: the last one
repeats.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from storage.column import Column
from storage.types import Type

Volatility = Literal["i", "s", "v"]
Implementation = Callable[..., Column]
Declared = TypeVar("Declared", bound=Callable[..., Any])


@dataclass(frozen=True)
class Overload:
    """One signature of a function or operator. `id` names it in plans: 'lower(text)'."""

    id: str
    name: str
    arguments: tuple[Type, ...]
    result: Type
    implementation: Implementation
    volatility: Volatility = "i"
    strict: bool = True
    constants: bool = False
    variadic: bool = False
    run: bool = False
    rows: bool = False
    returns_set: bool = False
    operator: bool = False
    oid: int = 0
    defaults: int = 0  # how many trailing arguments may be left out
    columns: tuple[tuple[str, Type], ...] = ()  # of a table function with OUT columns
    doc: str = ""
    total: bool = False  # never raises, on any value: may be given what lies under nulls
    empty: object = None  # of a variadic function: its value for no values at all


FUNCTIONS: dict[str, list[Overload]] = {}
OPERATORS: dict[str, list[Overload]] = {}
BY_ID: dict[str, Overload] = {}
# (arguments, result) of aggregates by OID: pg_proc has them, but functions may not import engine.aggregates
AGGREGATES: dict[int, tuple[tuple[Type, ...], Type]] = {}

# pg_proc OIDs that clients compare with or that PostgreSQL fixes; the rest are derived from the signature.
_FIRST_DERIVED_OID = 9_000


def _derived_oid(id: str, taken: set[int]) -> int:
    """A stable OID below FIRST_USER_OID that depends on the signature only."""
    oid = _FIRST_DERIVED_OID + zlib.crc32(id.encode()) % 5_900
    while oid in taken:
        oid += 1
    return oid


_TAKEN: set[int] = set()


def _register(table: dict[str, list[Overload]], overload: Overload) -> None:
    assert overload.id not in BY_ID, f"{overload.id} is declared twice"
    BY_ID[overload.id] = overload
    table.setdefault(overload.name, []).append(overload)


def scalar(
    name: str,
    arguments: Sequence[Type],
    result: Type,
    *,
    volatility: Volatility = "i",
    strict: bool = True,
    constants: bool = False,
    variadic: bool = False,
    run: bool = False,
    rows: bool = False,
    returns_set: bool = False,
    oid: int = 0,
    defaults: int = 0,
    columns: Sequence[tuple[str, Type]] = (),
    total: bool = False,
    empty: object = None,
) -> Callable[[Declared], Declared]:
    """Declare an overload of function `name`; decorators stack for more signatures."""

    def declare(implementation: Declared) -> Declared:
        id = f"{name}({','.join(t.name for t in arguments)})"
        number = oid or _derived_oid(id, _TAKEN)
        assert number not in _TAKEN, f"OID {number} of {id} is taken"
        _TAKEN.add(number)
        doc = (implementation.__doc__ or "").strip()
        _register(
            FUNCTIONS,
            Overload(
                id,
                name,
                tuple(arguments),
                result,
                implementation,
                volatility,
                strict,
                constants,
                variadic,
                run,
                rows,
                returns_set,
                False,
                number,
                defaults,
                tuple(columns),
                doc,
                total,
                empty,
            ),
        )
        return implementation

    return declare


def operator(
    symbol: str,
    arguments: Sequence[Type],
    result: Type,
    *,
    strict: bool = True,
    constants: bool = False,
    volatility: Volatility = "i",
    run: bool = False,
    total: bool = False,
) -> Callable[[Declared], Declared]:
    """Declare an overload of operator `symbol` (one argument: prefix)."""

    def declare(implementation: Declared) -> Declared:
        id = f"operator {symbol}({','.join(t.name for t in arguments)})"
        number = _derived_oid(id, _TAKEN)
        _TAKEN.add(number)
        _register(
            OPERATORS,
            Overload(
                id,
                symbol,
                tuple(arguments),
                result,
                implementation,
                volatility,
                strict,
                constants,
                run=run,
                operator=True,
                oid=number,
                doc=(implementation.__doc__ or "").strip(),
                total=total,
            ),
        )
        return implementation

    return declare
