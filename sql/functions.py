"""Choosing an overload: PostgreSQL's rules for functions, operators and aggregates.

An exact match wins. Else, of the overloads whose arguments can be had by implicit casts, those with the
most exact matches stay, then those with the most preferred types, then constants of unknown type are
taken for strings where an overload allows it, or for what the other arguments are. What is left must be
one. Polymorphic overloads (anyarray, anyelement) take their types from the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from engine.aggregates.registry import AGGREGATES, Aggregate
from engine.functions.registry import FUNCTIONS, OPERATORS, Overload
from engine.operators.windowfunctions import WINDOW_FUNCTIONS, WindowFunction
from sql import unsupported
from sql.coerce import can_coerce
from sql.polymorphic import bound
from storage.errors import (
    AmbiguousFunction,
    DatabaseError,
    FeatureNotSupported,
    UndefinedFunction,
    WrongObjectType,
)
from storage.types import (
    BINARY,
    BYTEA,
    RECORD,
    SPARSEVEC,
    TEXT,
    UNKNOWN,
    VECTORS,
    Type,
)


class Signature(Protocol):
    """What of an overload the choice looks at."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def result(self) -> Type: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """An overload with the types its arguments must become, and of its result."""

    overload: Signature
    arguments: tuple[Type, ...]
    result: Type

    @property
    def id(self) -> str:
        return self.overload.id


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be chosen, with what it declares for each argument."""

    overload: Signature
    declared: tuple[Type, ...]  # one type an argument: a variadic's last one repeated


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Overloads, and those of them by the OIDs that they declare."""

    all: tuple[Candidate, ...]
    exact: dict[tuple[int, ...], Choice]


def resolve_function(name: str, arguments: Sequence[Type], position: int, shown: str = "") -> Choice:
    """The function for these arguments. Raises UndefinedFunction, AmbiguousFunction."""
    candidates = _candidates("function", name, len(arguments))
    chosen = _choose(candidates, arguments, position)
    if chosen is None:
        raise _missing("function", _call(shown or name, arguments), position)
    return chosen


def resolve_aggregate(name: str, arguments: Sequence[Type], position: int) -> Choice:
    """The aggregate for these arguments."""
    candidates = _candidates("aggregate", name, len(arguments))
    chosen = _choose(candidates, arguments, position)
    if chosen is None:
        raise _missing("function", _call(name, arguments), position)
    if isinstance(chosen.overload, Aggregate) and chosen.overload.direct is not None:
        raise WrongObjectType(f"WITHIN GROUP is required for ordered-set aggregate {name}", position=position)
    return chosen


def resolve_window(name: str, arguments: Sequence[Type], position: int) -> Choice:
    """The window function for these arguments."""
    chosen = _choose(_candidates("window", name, len(arguments)), arguments, position)
    if chosen is None:
        raise _missing("function", _call(name, arguments), position)
    return chosen


def resolve_ordered_set(name: str, arguments: Sequence[Type], position: int) -> tuple[Choice, int]:
    """(the ordered-set aggregate for these arguments, how many of them are direct ones)."""
    chosen = _choose(_candidates("aggregate", name, len(arguments)), arguments, position)
    if chosen is None:
        raise _missing("function", _call(name, arguments), position)
    assert isinstance(chosen.overload, Aggregate)
    if chosen.overload.direct is None:
        raise WrongObjectType(
            f"{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP", position=position
        )
    return chosen, chosen.overload.direct


def resolve_operator(symbol: str, arguments: Sequence[Type], position: int) -> Choice:
    """The operator for these operands; one operand: prefix."""
    choice = find_operator(symbol, arguments, position)
    if choice is None and symbol in unsupported.OPERATORS and all(map(_may_be_else, arguments)):
        raise FeatureNotSupported(f"operator {symbol} is not supported", position=position)
    if choice is None:
        types = [str(t.base) for t in arguments]
        call = f"{symbol} {types[0]}" if len(types) == 1 else f"{types[0]} {symbol} {types[1]}"
        raise _missing("operator", call, position, len(types))
    return choice


def _may_be_else(type: Type) -> bool:
    """Whether an operand may be one of a type that is not here, or a row, whose bytes PostgreSQL compares."""
    return type.oid == UNKNOWN.oid or type.declared == RECORD.name


def find_operator(symbol: str, arguments: Sequence[Type], position: int = 0) -> Choice | None:
    """The operator for these operands, if there is one. Raises AmbiguousFunction."""
    candidates = _candidates("operator", symbol, len(arguments))
    types = list(arguments)
    if len(types) == 2:
        left, right = types
        # one operand unknown: first of all it is taken for the other's type
        if left.oid == UNKNOWN.oid and right.oid != UNKNOWN.oid:
            exact = _exact(candidates, [right, right])
        elif right.oid == UNKNOWN.oid and left.oid != UNKNOWN.oid:
            exact = _exact(candidates, [left, left])
        else:
            exact = None
        if exact is not None:
            return exact
    try:
        return _choose(candidates, types)
    except AmbiguousFunction:
        shown = (
            f"{types[0].base} {symbol} {types[-1].base}" if len(types) == 2 else f"{symbol} {types[0].base}"
        )
        raise AmbiguousFunction(
            f"operator is not unique: {shown}",
            hint="Could not choose a best candidate operator. You might need to add explicit type casts.",
            position=position,
        ) from None


def _call(name: str, arguments: Sequence[Type]) -> str:
    return f"{name}({', '.join(str(t.base) for t in arguments)})"


def _missing(kind: str, call: str, position: int, count: int = 2) -> DatabaseError:
    name = call.partition("(")[0]
    if kind == "function" and name in unsupported.FUNCTIONS and name not in FUNCTIONS:
        return FeatureNotSupported(f"function {name} is not supported", position=position)
    message = f"operator does not exist: {call}" if kind == "operator" else f"function {call} does not exist"
    types, casts = ("type", "an explicit type cast") if count == 1 else ("types", "explicit type casts")
    return UndefinedFunction(
        message,
        hint=f"No {kind} matches the given name and argument {types}. You might need to add {casts}.",
        position=position,
    )


_TABLES: dict[str, Mapping[str, Sequence[Overload] | Sequence[Aggregate] | Sequence[WindowFunction]]] = {
    "function": FUNCTIONS,
    "aggregate": AGGREGATES,
    "operator": OPERATORS,
    "window": WINDOW_FUNCTIONS,
}


@lru_cache(maxsize=4096)
def _candidates(kind: str, name: str, count: int) -> _Candidates:
    """The overloads of a name that take `count` arguments: `+` alone has dozens, and every plan asks."""
    found: list[Candidate] = []
    for overload in _TABLES[kind].get(name, ()):
        declared = overload.arguments
        if isinstance(overload, Overload):
            if overload.variadic and count >= len(declared):
                declared = declared + (declared[-1],) * (count - len(declared))
            elif len(declared) - overload.defaults <= count < len(declared):
                declared = declared[:count]
        if len(declared) == count:
            found.append(Candidate(overload, declared))
    return _with_exact(found)


def _exact(candidates: _Candidates, types: Sequence[Type]) -> Choice | None:
    return candidates.exact.get(tuple(t.oid for t in types))


_PACKED = VECTORS | {BINARY.oid, SPARSEVEC.oid}


def _as_packed(types: Sequence[Type]) -> list[Type]:
    """The types with what may be read as a vector beside one (bytes, an array, JSON text) taken for one."""
    packed = next((t for t in types if t.oid in _PACKED), None)
    if packed is None:
        return list(types)
    return [
        packed if t.oid not in _PACKED and (t.is_array or t.oid in (BYTEA.oid, TEXT.oid)) else t
        for t in types
    ]


def choose(candidates: Sequence[Candidate], types: Sequence[Type]) -> Choice | None:
    """The one of these for arguments of such types, None for none. Raises AmbiguousFunction."""
    return _choose(_with_exact(candidates), types)


def _with_exact(candidates: Sequence[Candidate]) -> _Candidates:
    exact: dict[tuple[int, ...], Choice] = {}
    for candidate in candidates:
        choice = Choice(candidate.overload, candidate.declared, candidate.overload.result)
        exact.setdefault(tuple(d.oid for d in candidate.declared), choice)
    return _Candidates(tuple(candidates), exact)


def _choose(candidates: _Candidates, types: Sequence[Type], position: int = 0) -> Choice | None:
    exact = _exact(candidates, types) or _exact(candidates, _as_packed(types))
    if exact is not None:
        return exact
    usable = [c for c in candidates.all if _fits(c, types)]
    if len(usable) > 1:
        usable = _narrowed(usable, types)
    if not usable:
        return None
    if len(usable) > 1:
        raise AmbiguousFunction(
            f"function {_call(usable[0].overload.name, types)} is not unique",
            hint="Could not choose a best candidate function. You might need to add explicit type casts.",
            position=position,
        )
    return _bound(usable[0], types)


def _fits(candidate: Candidate, types: Sequence[Type]) -> bool:
    if not all(can_coerce(t, d) for t, d in zip(types, candidate.declared, strict=True)):
        return False
    return _bound(candidate, types) is not None


def _narrowed(candidates: list[Candidate], types: Sequence[Type]) -> list[Candidate]:
    known = [t.oid != UNKNOWN.oid for t in types]
    places = range(len(types))

    def exact(c: Candidate) -> int:
        return sum(known[i] and c.declared[i].oid == types[i].oid for i in places)

    def preferred(c: Candidate) -> int:
        return sum(
            known[i] and (c.declared[i].oid == types[i].oid or _is_preferred(types[i], c.declared[i]))
            for i in places
        )

    def standard(c: Candidate) -> int:
        # what PostgreSQL has no type for is chosen only where an argument is of that type
        return -sum(d.oid in _PACKED and t.oid not in _PACKED for d, t in zip(c.declared, types, strict=True))

    for score in (exact, preferred, standard):
        candidates = _best(candidates, score)
        if len(candidates) == 1:
            return candidates
    if all(known):
        return candidates
    narrowed = _by_category(candidates, types)
    if len(narrowed) == 1:
        return narrowed
    kinds = {t.oid for t in types if t.oid != UNKNOWN.oid}
    if len(kinds) == 1:
        # what is unknown is taken for the one type that the others have
        one = next(t for t in types if t.oid != UNKNOWN.oid)
        same = [c for c in narrowed if _fits(c, [one] * len(types))]
        if len(same) == 1:
            return same
    return narrowed


def _is_preferred(source: Type, declared: Type) -> bool:
    return declared.preferred and declared.category == source.category


def _best(candidates: list[Candidate], score: Callable[[Candidate], int]) -> list[Candidate]:
    scores = [score(c) for c in candidates]
    best = max(scores)
    return [c for c, s in zip(candidates, scores, strict=True) if s == best]


def _by_category(candidates: list[Candidate], types: Sequence[Type]) -> list[Candidate]:
    """Unknown constants: strings where any overload takes one there, else the category all agree on."""
    wanted: dict[int, tuple[str, bool]] = {}
    for i, type in enumerate(types):
        if type.oid != UNKNOWN.oid:
            continue
        categories = {c.declared[i].category for c in candidates}
        if "S" in categories:
            category = "S"
        elif len(categories) == 1:
            category = categories.pop()
        else:
            return candidates
        wanted[i] = (
            category,
            any(c.declared[i].category == category and c.declared[i].preferred for c in candidates),
        )
    kept = [
        c
        for c in candidates
        if all(
            c.declared[i].category == category and (c.declared[i].preferred or not must)
            for i, (category, must) in wanted.items()
        )
    ]
    return kept or candidates


def _bound(candidate: Candidate, types: Sequence[Type]) -> Choice | None:
    """The candidate with its polymorphic types told by the arguments; None: they disagree."""
    found = bound(candidate.declared, candidate.overload.result, types)
    return None if found is None else Choice(candidate.overload, *found)
