"""CREATE SEQUENCE, and the sequences behind serial and identity columns."""

from __future__ import annotations

from dataclasses import replace

from sql import commands
from sql.commands.sequences import Options
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.host import Host
from sql.statements.places import place
from storage.catalog import Sequence
from storage.errors import DuplicateTable, InvalidParameterValue
from storage.types import BY_NAME, INT2, INT4, INT8, Type

BOUNDS = {INT2.oid: 2**15 - 1, INT4.oid: 2**31 - 1, INT8.oid: 2**63 - 1}
"""The greatest value of each type that a sequence may have."""


def make_sequence(oid: int, schema: int, name: str, type: Type, options: Options) -> Sequence:
    """A sequence of these options. Raises InvalidParameterValue."""
    given = dict(options)
    named = given.get("as")
    if isinstance(named, str):
        type = BY_NAME[named]
    if type.oid not in BOUNDS:
        raise InvalidParameterValue("sequence type must be smallint, integer, or bigint")
    increment = _int(given, "increment", 1)
    if increment == 0:
        raise InvalidParameterValue("INCREMENT must not be zero")
    bound = BOUNDS[type.oid]
    minimum = _int(given, "minvalue", 1 if increment > 0 else -bound - 1)
    maximum = _int(given, "maxvalue", bound if increment > 0 else -1)
    start = _int(given, "start", minimum if increment > 0 else maximum)
    if minimum >= maximum:
        raise InvalidParameterValue(f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")
    if start < minimum:
        raise InvalidParameterValue(f"START value ({start}) cannot be less than MINVALUE ({minimum})")
    if start > maximum:
        raise InvalidParameterValue(f"START value ({start}) cannot be greater than MAXVALUE ({maximum})")
    cycle = bool(given.get("cycle", 0))
    return Sequence(oid, schema, name, type, start, increment, minimum, maximum, cycle)


def _int(options: dict[str, int | str | None], name: str, default: int) -> int:
    value = options.get(name)
    return value if isinstance(value, int) else default


def create_sequence(host: Host, command: commands.CreateSequence, text: str) -> Outcome:
    """CREATE SEQUENCE."""
    schema = place(host, command.name, command.temporary)
    if host.catalog.relation(schema.oid, command.name[-1]) is not None:
        if command.if_not_exists:
            host.notice("NOTICE", "42P07", f'relation "{command.name[-1]}" already exists, skipping')
            return done("CREATE SEQUENCE")
        raise DuplicateTable(f'relation "{command.name[-1]}" already exists')
    transaction = host.transaction
    oid = transaction.allocate_oid()
    made = make_sequence(oid, schema.oid, command.name[-1], INT8, command.options)
    transaction.define(replace(made, temporary=schema.temporary))
    return done("CREATE SEQUENCE")
