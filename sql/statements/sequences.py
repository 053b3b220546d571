"""CREATE SEQUENCE and ALTER SEQUENCE, and the sequences behind serial and identity columns."""

from __future__ import annotations

from dataclasses import replace

from sql import commands
from sql.commands.sequences import Options
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.dropping import locked, must_table
from sql.statements.host import Host
from sql.statements.places import owner, place
from storage.definitions import Sequence
from storage.errors import (
    DuplicateTable,
    FeatureNotSupported,
    InvalidParameterValue,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import BY_NAME, INT2, INT4, INT8, Type

BOUNDS = {INT2.oid: 2**15 - 1, INT4.oid: 2**31 - 1, INT8.oid: 2**63 - 1}
"""The greatest value of each type that a sequence may have."""


def make_sequence(oid: int, schema: int, name: str, type: Type, options: Options) -> Sequence:
    """A sequence of these options. Raises InvalidParameterValue."""
    return with_options(Sequence(oid, schema, name, type, start=0, minimum=0, maximum=0), options)


def with_options(sequence: Sequence, options: Options) -> Sequence:
    """A sequence with some options changed; a new one has a maximum of 0. Raises InvalidParameterValue."""
    given, fresh = dict(options), sequence.maximum == 0 and sequence.minimum == 0
    named, type = given.get("as"), sequence.type
    if isinstance(named, str):
        type = BY_NAME[named]
    if type.oid not in BOUNDS:
        raise InvalidParameterValue("sequence type must be smallint, integer, or bigint")
    increment = _int(given, "increment", sequence.increment)
    if increment == 0:
        raise InvalidParameterValue("INCREMENT must not be zero")
    bound, before = BOUNDS[type.oid], BOUNDS[sequence.type.oid]
    lowest, highest = (1, bound) if increment > 0 else (-bound - 1, -1)
    minimum, maximum = sequence.minimum, sequence.maximum
    if fresh or given.get("minvalue", 0) is None or (named and minimum == -before - 1):
        minimum = lowest
    if fresh or given.get("maxvalue", 0) is None or (named and maximum == before):
        maximum = highest
    minimum, maximum = _int(given, "minvalue", minimum), _int(given, "maxvalue", maximum)
    for word, value in (("MINVALUE", minimum), ("MAXVALUE", maximum)):
        if not -bound - 1 <= value <= bound:
            raise InvalidParameterValue(f"{word} ({value}) is out of range for sequence data type {type}")
    if minimum >= maximum:
        raise InvalidParameterValue(f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")
    first = minimum if increment > 0 else maximum
    start = _int(given, "start", first if fresh else sequence.start)
    _check_value("START", start, minimum, maximum)
    cache = _int(given, "cache", sequence.cache)
    if cache <= 0:
        raise InvalidParameterValue(f"CACHE ({cache}) must be greater than zero")
    cycle = bool(given.get("cycle", sequence.cycle))
    return replace(
        sequence,
        type=type,
        start=start,
        increment=increment,
        minimum=minimum,
        maximum=maximum,
        cycle=cycle,
        cache=cache,
    )


def _check_value(word: str, value: int, minimum: int, maximum: int) -> None:
    if value < minimum:
        raise InvalidParameterValue(f"{word} value ({value}) cannot be less than MINVALUE ({minimum})")
    if value > maximum:
        raise InvalidParameterValue(f"{word} value ({value}) cannot be greater than MAXVALUE ({maximum})")


def _int(options: dict[str, int | str | None], name: str, default: int) -> int:
    value = options.get(name)
    return value if isinstance(value, int) else default


def owned_by(host: Host, sequence: Sequence, options: Options) -> Sequence:
    """A sequence as OWNED BY says, if it does."""
    given = dict(options)
    if "owned" not in given:
        return sequence
    if sequence.owned_by is not None:
        table = host.catalog.table(sequence.owned_by[0])
        if table.definition(sequence.owned_by[1]).identity:
            raise FeatureNotSupported(
                "cannot change ownership of identity sequence",
                detail=f'Sequence "{sequence.name}" is linked to table "{table.name}".',
            )
    named = given["owned"]
    if not isinstance(named, str):
        return replace(sequence, owned_by=None)
    *relation, column = named.split("\0")
    if not relation:
        raise SqlSyntaxError(
            "invalid OWNED BY option", hint="Specify OWNED BY table.column or OWNED BY NONE."
        )
    table = must_table(host, tuple(relation))
    if table.owner != sequence.owner:
        raise ObjectNotInPrerequisiteState("sequence must have same owner as table it is linked to")
    if table.schema != sequence.schema:
        raise ObjectNotInPrerequisiteState("sequence must be in same schema as table it is linked to")
    found = table.column(column)
    if found is None:
        raise UndefinedColumn(f'column "{column}" of relation "{table.name}" does not exist')
    return replace(sequence, owned_by=(table.oid, found.number))


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
    if any(name == "restart" for name, _ in command.options):
        raise SqlSyntaxError("RESTART is for ALTER SEQUENCE")
    made = make_sequence(oid, schema.oid, command.name[-1], INT8, command.options)
    made = replace(made, temporary=schema.temporary, unlogged=command.unlogged, owner=owner(host))
    transaction.define(owned_by(host, made, command.options))
    return done("CREATE SEQUENCE")


def alter_sequence(host: Host, command: commands.AlterSequence, text: str) -> Outcome:
    """ALTER SEQUENCE: what is not said stays."""
    found = locked(host, command.name, TableMode.ShareRowExclusiveLock)
    if found is None:
        if not command.if_exists:
            raise UndefinedTable(f'relation "{".".join(command.name)}" does not exist')
        host.notice("NOTICE", "00000", f'relation "{command.name[-1]}" does not exist, skipping')
        return done("ALTER SEQUENCE")
    if not isinstance(found, Sequence):
        raise WrongObjectType(f'"{command.name[-1]}" is not a sequence')
    changed = with_options(found, command.options)
    host.transaction.define(owned_by(host, changed, command.options))
    restarted(host, changed, command.options)
    return done("ALTER SEQUENCE")


def restarted(host: Host, sequence: Sequence, options: Options) -> None:
    """RESTART, if the options say so: at its start unless they say where."""
    given = dict(options)
    if "restart" in given:
        value = sequence.start if given["restart"] is None else _int(given, "restart", 0)
        _check_value("RESTART", value, sequence.minimum, sequence.maximum)
        restart(host, sequence, value)


def restart(host: Host, sequence: Sequence, value: int) -> None:
    """Have a sequence begin anew with a value; a rollback brings back where it was."""
    newest = host.catalog.relations[sequence.oid]
    assert isinstance(newest, Sequence)
    host.transaction.define(replace(newest, file=host.transaction.allocate_oid(), restart=value))
