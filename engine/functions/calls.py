"""Calling an overload on columns: nulls, constants and the extras it asked for.

A strict implementation never sees a null: rows with one are left out and come back null. Where the
implementation is *total* (it cannot raise on any value) it is given all rows instead, and the nulls are
put over its result. Where the only argument that varies is coded, it is given the distinct values.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np

from engine.bylength import by_length
from engine.byvalue import by_value
from engine.functions.registry import BY_ID, Overload
from engine.late import Unfetched
from engine.run import Run
from storage.column import Column, Mask
from storage.segments.coded import CodedColumn
from storage.types import Form, Type


def call(function: str, columns: Sequence[Column], rows: int, run: Run, type: Type) -> Column:
    """The overload `function` on argument columns, as a column of `rows` rows or a constant one."""
    overload = BY_ID[function]
    once = all(column.constant for column in columns) and overload.volatility != "v"
    if overload.strict and any(column.constant and not column.is_valid()[0] for column in columns):
        return Column.scalar(type, None)
    if not rows and not once:
        return Column.of(type, [])
    count = 1 if once else rows
    if overload.strict:
        result = _by_value(overload, columns, count, run, type)
        if result is None:
            result = _strict(overload, columns, count, run, type)
    else:
        result = _invoke(overload, columns, count, run)
    if result.type != type:
        result = result.retype(type)
    if once and not result.constant:
        result = result.with_valid(result.valid, constant=True)
    return result


def _by_value(
    overload: Overload, columns: Sequence[Column], rows: int, run: Run, type: Type
) -> Column | None:
    """The call on each distinct value once, where all arguments but a coded one are constant."""
    varying = [number for number, column in enumerate(columns) if not column.constant]
    if len(varying) != 1 or overload.volatility != "i" or overload.rows:
        return None
    number = varying[0]
    coded = columns[number]
    if isinstance(coded, Unfetched) and coded.type.form is Form.ROWS:  # others have no value under a null
        coded = coded.whole
    if not isinstance(coded, CodedColumn) or coded.type != columns[number].type:
        return None
    constants = (*columns[:number], *columns[number + 1 :])
    name = None
    if not overload.run:
        name = (overload.id, number, tuple((c.type.oid, _said(c)) for c in constants))

    def work(values: Column) -> Column:
        return _strict(overload, (*columns[:number], values, *columns[number + 1 :]), len(values), run, type)

    return by_value(coded, work, name)


def _said(constant: Column) -> Hashable:
    """What tells a constant that is not null from all others of its type."""
    if constant.type.form is Form.ROWS:
        return bytes(constant.values[:1].tobytes())
    if constant.type.form is Form.BYTES:  # written out, a vector takes longer than a look at many others
        return bytes(constant.values[0].as_py())
    return repr(constant.tolist()[0])


def _invoke(overload: Overload, columns: Sequence[Column], rows: int, run: Run) -> Column:
    extras: dict[str, Any] = {}
    if overload.run:
        extras["run"] = run
    if overload.rows:
        extras["rows"] = rows
    if not overload.constants:
        columns = [column.spread(rows) for column in columns]
    work = partial(overload.implementation, **extras) if extras else overload.implementation
    if any(column.type.is_ragged for column in columns):
        return by_length(work, columns)
    result: Column = work(*columns)
    return result


def _strict(overload: Overload, columns: Sequence[Column], rows: int, run: Run, type: Type) -> Column:
    valid: Mask | None = None
    for column in columns:
        if not column.constant and column.valid is not None:
            valid = column.valid if valid is None else valid & column.valid
    if valid is None:
        return _invoke(overload, columns, rows, run)
    if overload.total:
        result = _invoke(overload, columns, rows, run)
        if result.constant:
            result = result.spread(rows)
        inner = result.valid
        return result.with_valid(valid if inner is None else valid & inner)
    kept = np.flatnonzero(valid)
    if not len(kept):
        return Column.scalar(type, None)
    narrowed = [column if column.constant else column.take(kept) for column in columns]
    result = _invoke(overload, narrowed, len(kept), run).spread(len(kept))
    return _scatter(result, valid)


def _scatter(column: Column, valid: Mask) -> Column:
    """`column`'s rows at the true places of `valid`, nulls elsewhere."""
    if not len(column):
        return Column.nulls(column.type, len(valid))
    order = np.maximum(np.cumsum(valid) - 1, 0)
    spread = column.take(order)
    inner = spread.valid
    return spread.with_valid(valid if inner is None else valid & inner)


def call_set(function: str, arguments: Sequence[Column], run: Run) -> list[Column]:
    """The rows of a table function for one row of constant arguments: its columns, equally long."""
    overload = BY_ID[function]
    if overload.strict and any(not argument.is_valid()[0] for argument in arguments):
        return [Column.of(type, []) for type in set_types(overload, arguments)]
    extras = {"run": run} if overload.run else {}
    result: Any = overload.implementation(*arguments, **extras)
    return list(result) if isinstance(result, list | tuple) else [result]


def set_types(overload: Overload, arguments: Sequence[Column]) -> list[Type]:
    """The types of a table function's columns; a polymorphic one takes its argument's element."""
    declared = [type for _, type in overload.columns] or [overload.result]
    element = next((a.type.element for a in arguments if a.type.element is not None), None)
    return [element if type.name == "anyelement" and element is not None else type for type in declared]
