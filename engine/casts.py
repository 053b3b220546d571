"""Casts: `convert` a column to another type; `context` says where PostgreSQL would do so by itself."""

from __future__ import annotations

from typing import Literal

from engine.run import Run
from storage.column import Column
from storage.errors import CannotCoerce
from storage.types import Type


def convert(column: Column, target: Type, run: Run, *, explicit: bool = True) -> Column:
    """The column as `target`."""
    if column.type == target:
        return column
    raise CannotCoerce(f"cannot cast type {column.type} to {target}")


def context(source: Type, target: Type) -> Literal["i", "a", "e"] | None:
    """Where the cast applies: implicitly, in assignments, only when written; None: there is none."""
    return "i" if source == target else None
