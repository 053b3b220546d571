"""CREATE SEQUENCE and ALTER SEQUENCE, and the options that identity columns share with it."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name, unsupported
from sql.commands.renaming import renamed
from sql.reading import Reader
from sql.tokens import Kind
from storage.errors import SqlSyntaxError

Options = tuple[tuple[str, int | str | None], ...]


@dataclass(frozen=True)
class CreateSequence(Command):
    name: Name
    if_not_exists: bool
    options: Options
    temporary: bool = False
    unlogged: bool = False


def create_sequence(reader: Reader, adjectives: frozenset[str]) -> Command:
    """CREATE [TEMPORARY | UNLOGGED] SEQUENCE, from the name on."""
    if_not_exists = reader.word("if", "not", "exists")
    name, options = reader.qualified(), sequence_options(reader)
    return CreateSequence(name, if_not_exists, options, "temporary" in adjectives, "unlogged" in adjectives)


def sequence_options(reader: Reader) -> Options:
    """AS type, START, INCREMENT, MINVALUE, MAXVALUE, CACHE, CYCLE; see also ALTER SEQUENCE."""
    options: list[tuple[str, int | str | None]] = []
    while reader.token is not None and not reader.token.is_mark(")"):
        position = reader.token.position
        option = one_option(reader)
        if any(option[0] == name for name, _ in options):
            raise SqlSyntaxError("conflicting or redundant options", position=position)
        options.append(option)
    return tuple(options)


def one_option(reader: Reader) -> tuple[str, int | str | None]:
    """One option; of None: NO MINVALUE and its kin, RESTART alone."""
    if reader.word("as"):
        return "as", reader.type().name
    if reader.word("start"):
        reader.word("with")
        return "start", reader.integer()
    if reader.word("restart"):
        reader.word("with")
        token = reader.token
        numbered = token is not None and (token.kind is Kind.NUMBER or token.text == "-")
        return "restart", reader.integer() if numbered else None
    if reader.word("increment"):
        reader.word("by")
        return "increment", reader.integer()
    if name := reader.one_of("minvalue", "maxvalue", "cache"):
        return name, reader.integer()
    if reader.word("no", "minvalue"):
        return "minvalue", None
    if reader.word("no", "maxvalue"):
        return "maxvalue", None
    if reader.word("no", "cycle"):
        return "cycle", 0
    if reader.word("cycle"):
        return "cycle", 1
    if reader.word("owned", "by"):
        if reader.word("none"):
            return "owned", None
        return "owned", "\0".join(reader.qualified())
    raise unsupported(reader, "SEQUENCE option")


@dataclass(frozen=True)
class AlterSequence(Command):
    name: Name
    if_exists: bool
    options: Options


def alter_sequence(reader: Reader) -> Command:
    """ALTER SEQUENCE, from the name on."""
    found = renamed(reader, "sequence")
    if found is not None:
        return found
    if_exists = reader.word("if", "exists")
    name = reader.qualified()
    options = sequence_options(reader)
    if not options:
        raise reader.wrong()
    return AlterSequence(name, if_exists, options)
