"""Columns without nulls whose values are made when somebody first looks at them.

Such a column knows where its values come from, and whoever can work with that never asks for them. Which of
`_values` and `_units` is made stays unset until then: reading it arrives at __getattr__.
"""

from __future__ import annotations

from typing import Any

from storage.column import Array, Column, Mask
from storage.types import Type


class MadeColumn(Column):
    """See the module's text."""

    __slots__ = ()

    def __init__(self, type: Type, scale: int = 0, *, units: bool = False) -> None:
        """With `units`, of a numeric, what is made are units of 10^-scale; else values."""
        self.type = type
        self.constant = False
        self.scale = scale
        self._valid = None
        if units:
            self._values = None
        else:
            self._units = None

    def __getattr__(self, name: str) -> Any:
        if name not in ("_values", "_units"):
            raise AttributeError(name)
        made = self._made()
        setattr(self, name, made)
        return made

    def _made(self) -> Array:
        """(rows,) the values, or units."""
        raise NotImplementedError

    @property
    def valid(self) -> Mask | None:
        """See Column."""
        return None

    @property
    def arrow(self) -> bool:
        """See Column."""
        return False
