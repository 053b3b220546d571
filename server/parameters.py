"""Bind's parameters: text or binary bytes to constant columns of the types the statement wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa

from engine import forms
from engine.forms.single import binary_value, read_binary, read_text, text_value
from engine.forms.style import Style
from engine.forms.utf8 import decoded
from server.messages import Bind
from sql.outcome import Prepared, Short
from storage.column import Column
from storage.errors import DatabaseError, InvalidParameterValue, ProtocolViolation
from storage.types import BYTEA, TEXT, Type

V = TypeVar("V")

_Reader = Callable[[Type, bytes | None, int, Style, int], V]
"""Of a parameter's type, bytes, format and the style, and its number, counted from 1."""


def columns(message: Bind, prepared: Prepared | Short, style: Style) -> list[Column]:
    """A constant column a parameter, of the type that `prepared` names for it."""
    return _read(message, prepared, style, _column)


def values(message: Bind, prepared: Prepared | Short, style: Style) -> list[Any]:
    """The parameters as plain values: what Column.tolist gives of `columns`."""
    return _read(message, prepared, style, _value)


def _read(message: Bind, prepared: Prepared | Short, style: Style, read: _Reader[V]) -> list[V]:
    """What `read` makes of each parameter."""
    count = len(message.parameters)
    if len(message.formats) > 1 and len(message.formats) != count:
        raise ProtocolViolation(
            f"bind message has {len(message.formats)} parameter formats but {count} parameters"
        )
    if count != len(prepared.parameters):
        raise ProtocolViolation(
            f"bind message supplies {count} parameters, "
            f'but prepared statement "{message.statement}" requires {len(prepared.parameters)}'
        )
    formats = spread(message.formats, count)
    name = f'portal "{message.portal}"' if message.portal else "unnamed portal"
    found = []
    for number, (type, value) in enumerate(zip(prepared.parameters, message.parameters, strict=True)):
        try:
            item = read(type, value, formats[number], style, number + 1)
        except _Unreadable as error:
            error.cause.where = f"{name} parameter ${number + 1} = '...'"
            raise error.cause from None
        except DatabaseError as error:
            error.where = f"{name} parameter ${number + 1}"
            raise
        found.append(item)
    return found


def result_formats(message: Bind, prepared: Prepared | Short) -> tuple[int, ...]:
    """A format code a result column; none matter where there is no result."""
    if prepared.fields is None:
        return ()
    count = len(prepared.fields)
    if len(message.results) > 1 and len(message.results) != count:
        raise ProtocolViolation(
            f"bind message has {len(message.results)} result formats but query has {count} columns"
        )
    for format in message.results:
        _check(format)
    return spread(message.results, count)


def spread(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    """One each of so many, from what a message gives: none (text), one for all, or one each."""
    if not formats:
        return (0,) * count
    return formats * count if len(formats) == 1 else formats


def _check(format: int) -> None:
    if format > 1:
        raise InvalidParameterValue(f"unsupported format code: {format}")


class _Unreadable(Exception):
    """A text that its type's input function refuses: PostgreSQL shows it, or that there is one."""

    def __init__(self, cause: DatabaseError) -> None:
        super().__init__(cause)
        self.cause = cause


def _value(type: Type, value: bytes | None, format: int, style: Style, number: int) -> Any:
    _check(format)
    if value is None:
        return None
    found = binary_value(type, value) if format else text_value(type, value)
    return _column(type, value, format, style, number).tolist()[0] if found is None else found


def _column(type: Type, value: bytes | None, format: int, style: Style, number: int) -> Column:
    _check(format)
    single = None
    if value is not None:
        single = read_binary(type, value) if format else read_text(type, value)
    if single is not None:
        return single
    if value is None:
        column = Column.nulls(type, 1)
    elif format == 1:
        raw = Column(BYTEA, pa.array([value], pa.large_binary()))
        excess = f"incorrect binary data format in bind parameter {number}"
        column = forms.parse_binary(type, raw, excess, style)
    else:
        text = Column(TEXT, pa.array([decoded(value)], pa.large_string()))
        try:
            column = forms.parse_text(type, text, style)
        except DatabaseError as error:
            raise _Unreadable(error) from error
    column.constant = True
    return column
