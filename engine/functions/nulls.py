"""num_nulls and num_nonnulls: how many of several values are null."""

from __future__ import annotations

import numpy as np

from engine.functions.registry import scalar
from storage.column import Column
from storage.types import ANY, INT4


@scalar("num_nonnulls", [ANY], INT4, variadic=True, strict=False, empty=0)
def num_nonnulls(*columns: Column) -> Column:
    """How many of the values are not null."""
    return Column(INT4, np.sum([column.is_valid() for column in columns], axis=0).astype(np.int32))


@scalar("num_nulls", [ANY], INT4, variadic=True, strict=False, empty=0)
def num_nulls(*columns: Column) -> Column:
    """How many of the values are null."""
    return Column(INT4, np.sum([~column.is_valid() for column in columns], axis=0).astype(np.int32))
