"""jsonb_path_exists, _match, _query, _query_array, _query_first, and the operators @? and @@."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.forms.style import style_of
from engine.functions import moments
from engine.functions.moments import Moment, Zones
from engine.functions.pathexecution import execute, is_suppressed
from engine.functions.registry import operator, scalar
from engine.functions.text import each
from engine.jsonpath import parse
from engine.run import Run
from engine.values import jsonvalue
from storage.column import Column
from storage.errors import DatabaseError, InvalidParameterValue, SingletonJsonItemRequired
from storage.types import BOOL, JSONB, JSONPATH, Type


@lru_cache(64)
def _variables(text: str) -> dict[str, Any]:
    found = jsonvalue.parse(text)
    if not isinstance(found, dict):
        raise InvalidParameterValue(
            '"vars" argument is not an object',
            detail='Jsonpath parameters should be encoded as key-value pairs of "vars" object.',
        )
    return found


def _shown(value: Any) -> str:
    """A value that a path found, as jsonb."""
    return jsonvalue.jsonb(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Moment):
        return moments.text(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class Found:
    """The values that a path found; `cut`: an error that is not told ended it."""

    values: list[Any]
    cut: bool
    lax: bool


Answer = Callable[[Found], Any]


def _exists(found: Found) -> bool | None:
    if found.cut and not (found.lax and found.values):
        return None
    return bool(found.values)


def _match(found: Found) -> bool | None:
    values = found.values
    if len(values) == 1 and (values[0] is None or isinstance(values[0], bool)):
        return values[0]
    raise SingletonJsonItemRequired("single boolean result is expected")


def _array(found: Found) -> str:
    return _shown(found.values)


def _first(found: Found) -> str | None:
    return _shown(found.values[0]) if found.values else None


def _all(found: Found) -> list[Any]:
    return found.values


def _one(
    answer: Answer, zones: Zones, text: str, path: str, variables: str = "{}", silent: bool = False
) -> Any:
    read = parse.path(path)
    found: list[Any] = []
    try:
        # what was found before an error stays
        found.extend(execute(read, jsonvalue.parse(text), _variables(variables), zones))
        return answer(Found(found, False, read.lax))
    except DatabaseError as error:
        if not silent or not is_suppressed(error):
            raise
        return None if answer is _match else answer(Found(found, True, read.lax))


def _zones(run: Run, usable: bool) -> Zones:
    return Zones(usable, style_of(run).zone)


def _declare(name: str, type: Type, answer: Answer, *, usable: bool) -> None:
    @scalar(
        name, [JSONB, JSONPATH, JSONB, BOOL], type, run=True, defaults=2, volatility="s" if usable else "i"
    )
    def run_path(column: Column, path: Column, *options: Column, run: Run) -> Column:
        zones = _zones(run, usable)
        return each(lambda *row: _one(answer, zones, *row), column, path, *options, type=type)

    run_path.__doc__ = _DOCS[answer]


def _declare_set(name: str, *, usable: bool) -> None:
    @scalar(
        name,
        [JSONB, JSONPATH, JSONB, BOOL],
        JSONB,
        run=True,
        defaults=2,
        returns_set=True,
        volatility="s" if usable else "i",
    )
    def run_path(*columns: Column, run: Run) -> Column:
        """Each value that a path finds, a row each."""
        row = [column.tolist()[0] for column in columns]
        found = _one(_all, _zones(run, usable), *row)
        return Column.of(JSONB, [_shown(value) for value in found])


_DOCS: dict[Answer, str] = {
    _exists: "Whether a path finds anything.",
    _match: "What a path that is a predicate says.",
    _array: "All values that a path finds, as an array.",
    _first: "The first value that a path finds.",
}
for _suffix, _usable in (("", False), ("_tz", True)):
    _declare(f"jsonb_path_exists{_suffix}", BOOL, _exists, usable=_usable)
    _declare(f"jsonb_path_match{_suffix}", BOOL, _match, usable=_usable)
    _declare(f"jsonb_path_query_array{_suffix}", JSONB, _array, usable=_usable)
    _declare(f"jsonb_path_query_first{_suffix}", JSONB, _first, usable=_usable)
    _declare_set(f"jsonb_path_query{_suffix}", usable=_usable)


def _operator(symbol: str, name: str, answer: Answer) -> None:
    @operator(symbol, [JSONB, JSONPATH], BOOL, run=True)
    @scalar(name, [JSONB, JSONPATH], BOOL, run=True)
    def check(column: Column, path: Column, run: Run) -> Column:
        zones = _zones(run, False)
        return each(lambda text, p: _one(answer, zones, text, p, "{}", True), column, path, type=BOOL)

    check.__doc__ = _DOCS[answer]


_operator("@?", "jsonb_path_exists_opr", _exists)
_operator("@@", "jsonb_path_match_opr", _match)
