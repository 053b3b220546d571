"""CREATE SEQUENCE, and the options that identity columns share with it."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name, unsupported
from sql.reading import Reader

Options = tuple[tuple[str, int | str | None], ...]


@dataclass(frozen=True)
class CreateSequence(Command):
    name: Name
    if_not_exists: bool
    options: Options
    temporary: bool = False


def create_sequence(reader: Reader, adjectives: frozenset[str]) -> Command:
    """CREATE [TEMPORARY] SEQUENCE, from the name on."""
    if_not_exists = reader.word("if", "not", "exists")
    name = reader.qualified()
    return CreateSequence(name, if_not_exists, sequence_options(reader), "temporary" in adjectives)


def sequence_options(reader: Reader) -> Options:
    """AS type, START, INCREMENT, MINVALUE, MAXVALUE, CACHE, CYCLE, OWNED BY NONE."""
    options: list[tuple[str, int | str | None]] = []
    while reader.token is not None and not reader.token.is_mark(")"):
        if reader.word("as"):
            options.append(("as", reader.type().name))
        elif reader.word("start"):
            reader.word("with")
            options.append(("start", reader.integer()))
        elif reader.word("increment"):
            reader.word("by")
            options.append(("increment", reader.integer()))
        elif name := reader.one_of("minvalue", "maxvalue", "cache"):
            options.append((name, reader.integer()))
        elif reader.word("no", "minvalue") or reader.word("no", "maxvalue"):
            pass
        elif reader.word("no", "cycle"):
            options.append(("cycle", 0))
        elif reader.word("cycle"):
            options.append(("cycle", 1))
        elif reader.word("owned", "by", "none"):
            pass
        else:
            raise unsupported(reader, "SEQUENCE option")
    return tuple(options)
