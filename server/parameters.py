"""Bind's parameters: text or binary bytes to constant columns of the types the statement wants."""

from __future__ import annotations

import pyarrow as pa

from engine import forms
from engine.forms.style import Style
from server.messages import Bind, decoded
from sql.outcome import Prepared
from storage.column import Column
from storage.errors import DatabaseError, InvalidParameterValue, ProtocolViolation
from storage.types import BYTEA, TEXT, Type


def columns(message: Bind, prepared: Prepared, style: Style) -> list[Column]:
    """A constant column a parameter, of the type that `prepared` names for it."""
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
    formats = _spread(message.formats, count)
    found = []
    for number, (type, value) in enumerate(zip(prepared.parameters, message.parameters, strict=True)):
        try:
            found.append(_column(type, value, formats[number], style))
        except DatabaseError as error:
            error.where = error.where or _where(message.portal, number, value, formats[number])
            raise
    return found


def result_formats(message: Bind, prepared: Prepared) -> tuple[int, ...]:
    """A format code a result column."""
    count = len(prepared.fields or ())
    if len(message.results) > 1 and len(message.results) != count:
        raise ProtocolViolation(
            f"bind message has {len(message.results)} result formats but query has {count} columns"
        )
    for format in message.results:
        _check(format)
    return _spread(message.results, count)


def _spread(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    """None: text; one: for all; else one each."""
    if not formats:
        return (0,) * count
    return formats * count if len(formats) == 1 else formats


def _check(format: int) -> None:
    if format > 1:
        raise InvalidParameterValue(f"unsupported format code: {format}")


def _column(type: Type, value: bytes | None, format: int, style: Style) -> Column:
    _check(format)
    if value is None:
        column = Column.nulls(type, 1)
    elif format == 1:
        column = forms.parse_binary(type, Column(BYTEA, pa.array([value], pa.large_binary())))
    else:
        column = forms.parse_text(type, Column(TEXT, pa.array([decoded(value)], pa.large_string())), style)
    column.constant = True
    return column


def _where(portal: str, number: int, value: bytes | None, format: int) -> str:
    name = f'portal "{portal}"' if portal else "unnamed portal"
    where = f"{name} parameter ${number + 1}"
    return where if value is None or format == 1 else f"{where} = '...'"
