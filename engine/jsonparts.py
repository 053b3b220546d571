"""A jsonb value in which what a path leads to is another: column['key'][0] = value.

Containers that the path names and that are not there come to be, arrays are filled up with nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.run import Run
from engine.seams import Expression
from engine.values import jsonvalue
from storage.batch import Batch
from storage.column import Column
from storage.errors import InvalidParameterValue, NullValueNotAllowed
from storage.types import JSONB, Type


@dataclass(frozen=True, slots=True)
class AssignMember:
    """`old` with `value` at the path; a null value is JSON's null.

    `places` is whether the first step is a number: then a null becomes an array, else an object.
    """

    old: Expression
    path: tuple[Expression, ...]
    value: Expression
    places: bool

    @property
    def type(self) -> Type:
        return JSONB

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.old, *self.path, self.value)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        columns = [child.evaluate(batch, run) for child in self.children]
        constant = all(column.constant for column in columns)
        rows = 1 if constant else batch.rows
        given = zip(*(column.spread(rows).tolist() for column in columns), strict=True)
        texts = [self._assigned(old, path, value) for old, *path, value in given]
        made = Column.of(JSONB, texts)
        made.constant = constant
        return made

    def _assigned(self, old: str | None, path: Sequence[str | None], value: str | None) -> str:
        steps = [step for step in path if step is not None]
        if len(steps) < len(path):
            raise NullValueNotAllowed("jsonb subscript in assignment must not be null")
        new = None if value is None else jsonvalue.parse(value)
        root = ([] if self.places else {}) if old is None else jsonvalue.parse(old)
        _put(root, steps, new)
        return jsonvalue.jsonb(root)


def _put(root: Any, steps: Sequence[str], new: Any) -> None:
    container = root
    for level, step in enumerate(steps, 1):
        if not isinstance(container, dict | list):
            raise InvalidParameterValue(
                "cannot replace existing key",
                detail="The path assumes key is a composite object, but it is a scalar value.",
            )
        where: Any = step if isinstance(container, dict) else _place(container, step, level)
        there = where in container if isinstance(container, dict) else where < len(container)
        if level < len(steps) and there:
            container = container[where]
            continue
        item = _made(steps[level:], new)
        if isinstance(container, list):
            container += [None] * (where + 1 - len(container))
        container[where] = item
        return


def _place(items: list[Any], step: str, level: int) -> int:
    at = jsonvalue.place(items, step, level)
    if at < 0:
        raise InvalidParameterValue(f"path element at position {level} is out of range: {at - len(items)}")
    return at


def _made(steps: Sequence[str], new: Any) -> Any:
    """What a path leads through, with a value at its end."""
    for step in reversed(steps):
        try:
            new = [None] * max(int(step), 0) + [new]
        except ValueError:
            new = {step: new}
    return new
