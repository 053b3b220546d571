"""Which function a call means where the catalog has some of its name, or arguments are given by name.

Functions of the catalog stand beside the built-in ones, in the order of the search path: of two that take
the same arguments the first counts. A call's values go to the arguments by place, then by name; those at
the end of a VARIADIC function to its last argument, as one array; what is not given has its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.functions.registry import FUNCTIONS, Overload
from sql.argumentnames import ARGUMENT_NAMES
from sql.context import BindContext
from sql.functions import Candidate, Choice, choose
from storage.catalog import Catalog
from storage.definitions import Function, Table, View
from storage.errors import (
    AmbiguousFunction,
    DatabaseError,
    UndefinedFunction,
    WrongObjectType,
)
from storage.types import ANY, RECORD, Type, array_of


@dataclass(frozen=True)
class Given:
    """What a call gives: types of values, the last ones by `names`; `variadic`: the last is all the rest."""

    types: tuple[Type, ...]
    names: tuple[str, ...] = ()
    variadic: bool = False

    def shown(self, name: str) -> str:
        """The call as errors name it."""
        plain = len(self.types) - len(self.names)
        types = [str(type.base) for type in self.types]
        named = (f"{n} => {t}" for n, t in zip(self.names, types[plain:], strict=True))
        return f"{name}({', '.join([*types[:plain], *named])})"


@dataclass(frozen=True, slots=True)
class Meant:
    """A function that may be meant: `order` has the argument of each value, by place.

    `packed`: values of the last argument, from this one on, are the items of its array; -1: they are none.
    `spread`: the last value is an array whose items a built-in function takes as values.
    """

    function: Function | Overload
    arguments: tuple[Type, ...]
    result: Type
    order: tuple[int, ...]
    packed: int = -1
    spread: bool = False

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def id(self) -> str:
        return self.function.id if isinstance(self.function, Overload) else f"routine {self.function.oid}"


@dataclass(frozen=True)
class Call:
    """The function that is meant, and the types that its values become."""

    meant: Meant
    choice: Choice


def has_routines(context: BindContext, name: str) -> bool:
    """Whether the catalog has a function of the name."""
    return bool(context.catalog.functions_named(name))


def resolve(
    context: BindContext, names: Sequence[str], given: Given, position: int, *, procedure: bool = False
) -> Call:
    """The function (or procedure) of a call. Raises UndefinedFunction, AmbiguousFunction."""
    schema, name = names[-2] if len(names) > 1 else "", names[-1]
    best: dict[tuple[int, ...], tuple[tuple[int, int], Meant, tuple[Type, ...]]] = {}
    for place, meant, declared in _all(context, schema, name, given, procedure):
        rank = (place, int(meant.packed >= 0))
        key = tuple(type.oid for type in declared)
        if key not in best or rank < best[key][0]:
            best[key] = rank, meant, declared
        elif rank == best[key][0] and isinstance(meant.function, Overload):
            # one that takes more is of the same function, whose last arguments have defaults
            if len(meant.arguments) < len(best[key][1].arguments):
                best[key] = rank, meant, declared
        elif rank == best[key][0]:
            raise _ambiguous(name, given, position, procedure)
    candidates = [Candidate(meant, declared) for _, meant, declared in best.values()]
    kind = "procedure" if procedure else "function"
    try:
        choice = choose(candidates, given.types)
    except AmbiguousFunction:
        raise _ambiguous(name, given, position, procedure) from None
    if choice is None:
        other = _other_kind(context, names, given, procedure)
        if other is not None:
            other.position = position
            raise other
        shown = given.shown(".".join(names))
        raise UndefinedFunction(
            f"{kind} {shown} does not exist",
            hint=f"No {kind} matches the given name and argument types. You might need to add explicit type "
            "casts.",
            position=position,
        )
    assert isinstance(choice.overload, Meant)
    return Call(choice.overload, choice)


def _other_kind(
    context: BindContext, names: Sequence[str], given: Given, procedure: bool
) -> DatabaseError | None:
    """The error where a procedure is called like a function, or a function like a procedure."""
    schema = names[-2] if len(names) > 1 else ""
    others = _all(context, schema, names[-1], given, not procedure)
    found = choose([Candidate(meant, declared) for _, meant, declared in others], given.types)
    if found is None:
        return None
    if procedure:
        return WrongObjectType(
            f"{given.shown('.'.join(names))} is not a procedure", hint="To call a function, use SELECT."
        )
    return WrongObjectType(
        f"{given.shown('.'.join(names))} is a procedure", hint="To call a procedure, use CALL."
    )


def _ambiguous(name: str, given: Given, position: int, procedure: bool) -> DatabaseError:
    kind = "procedure" if procedure else "function"
    return AmbiguousFunction(
        f"{kind} {given.shown(name)} is not unique",
        hint=f"Could not choose a best candidate {kind}. You might need to add explicit type casts.",
        position=position,
    )


@dataclass(frozen=True)
class Result:
    """The columns of a function's rows; `scalar`: it has one value, which is that of the column."""

    columns: tuple[tuple[str, Type], ...]
    scalar: bool


def polymorphic(function: Function, types: Sequence[Type]) -> Type:
    """The type of the result for arguments of these types."""
    inputs = tuple(a.type for a in function.inputs)
    meant = Meant(function, inputs, function.result, tuple(range(len(inputs))))
    choice = choose([Candidate(meant, inputs)], types)
    return function.result if choice is None else choice.result


def result_of(function: Function, result: Type, types: Sequence[Type], catalog: Catalog) -> Result:
    """What a call gives, `result` and `types` being what polymorphic types stand for."""
    outputs = function.outputs
    if function.row:
        relation = catalog.relations[function.row]
        assert isinstance(relation, Table | View)
        return Result(tuple((c.name, c.type) for c in relation.columns), False)
    if len(outputs) > 1 or (outputs and (outputs[0].mode == "t" or function.procedure)):
        known = {a.name: t for a, t in zip(function.inputs, types, strict=True) if a.mode == "b"}
        columns = tuple(
            (a.name or f"column{at}", known.get(a.name, a.type)) for at, a in enumerate(outputs, 1)
        )
        return Result(columns, len(columns) == 1 and not function.procedure)
    name = outputs[0].name if outputs and outputs[0].name else function.name
    return Result(((name, result),), result.oid != RECORD.oid)


Found = tuple[int, Meant, tuple[Type, ...]]


def _all(context: BindContext, schema: str, name: str, given: Given, procedure: bool) -> Iterator[Found]:
    """(place of the schema in the search path, function, a type for each value) of all that may be meant."""
    path = [schema] if schema else list(context.search_path)
    for function in context.catalog.functions_named(name):
        place = context.catalog.schemas[function.schema].name
        if function.procedure is not procedure or place not in path:
            continue
        found = placed(function, given)
        if found is not None:
            context.dependencies.add((function.oid, function.version))
            yield path.index(place), *found
    if not procedure and schema in ("", "pg_catalog", "public", "information_schema"):
        at = path.index("pg_catalog") if "pg_catalog" in path else 0
        for overload in FUNCTIONS.get(name, ()):
            built_in = _built_in(overload, given)
            if built_in is not None:
                yield at, *built_in


def placed(function: Function, given: Given) -> tuple[Meant, tuple[Type, ...]] | None:
    """The values of a call at a function's arguments; None where they do not go there."""
    inputs = function.inputs
    types, count = tuple(a.type for a in inputs), len(given.types)
    variadic = bool(inputs) and inputs[-1].mode == "v"
    if variadic and not given.variadic and not given.names and count >= len(inputs):
        element = types[-1].element or types[-1]
        first, many = len(inputs) - 1, count - len(inputs) + 1
        declared = types[:-1] + (element,) * many
        return Meant(function, types, function.result, (*range(first), *(first,) * many), first), declared
    if given.variadic and not variadic:
        return None
    order = _order(tuple(a.name for a in inputs), given)
    if order is None or any(a.default is None for i, a in enumerate(inputs) if i not in order):
        return None
    return Meant(function, types, function.result, order), tuple(types[i] for i in order)


def _order(names: tuple[str, ...], given: Given) -> tuple[int, ...] | None:
    plain = len(given.types) - len(given.names)
    if plain > len(names):
        return None
    order = list(range(plain))
    for name in given.names:
        at = next((i for i, known in enumerate(names) if known == name and i >= plain), None)
        if at is None or at in order:
            return None
        order.append(at)
    return tuple(order)


def _built_in(overload: Overload, given: Given) -> tuple[Meant, tuple[Type, ...]] | None:
    types, count = overload.arguments, len(given.types)
    if given.variadic and not overload.variadic:
        return None
    if given.variadic:
        last = types[-1]
        if given.names or count != len(types) or last in types[:-1]:
            return None
        declared = (*types[:-1], last if last.oid == ANY.oid else array_of(last))
        return Meant(overload, declared, overload.result, tuple(range(count)), spread=True), declared
    if not given.names:
        if overload.variadic and count >= len(types):
            types = types + (types[-1],) * (count - len(types))
        elif len(types) - overload.defaults <= count < len(types):
            types = types[:count]
        if len(types) != count:
            return None
        return Meant(overload, types, overload.result, tuple(range(count))), types
    names, defaults = ARGUMENT_NAMES.get(overload.name, ((), ()))
    names = names[: len(types)]
    order = _order(names, given)
    if order is None or len(names) < len(types):
        return None
    if any(i < len(names) - len(defaults) for i in range(len(types)) if i not in order):
        return None
    return Meant(overload, types, overload.result, order), tuple(types[i] for i in order)
