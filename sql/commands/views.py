"""CREATE VIEW and ALTER VIEW."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name, unsupported
from sql.commands.renaming import renamed
from sql.reading import Reader
from sql.tokens import Token
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class CreateView(Command):
    name: Name
    columns: tuple[str, ...]
    query: tuple[Token, ...]
    replace: bool = False
    temporary: bool = False
    options: tuple[tuple[str, str], ...] = ()


def create_view(reader: Reader, adjectives: frozenset[str]) -> Command:
    """CREATE [OR REPLACE] [TEMPORARY] VIEW, from the name on."""
    name = reader.qualified()
    token = reader.token
    columns = reader.names() if token is not None and token.is_mark("(") else ()
    options = reader.options() if reader.word("with") else ()
    reader.must_word("as")
    query = reader.rest()
    _refuse_check_option(query)
    temporary = "temporary" in adjectives
    return CreateView(name, columns, query, "replace" in adjectives, temporary, options)


def alter_view(reader: Reader) -> Command:
    """ALTER VIEW, from the name on: its names and owner."""
    found = renamed(reader, "view")
    if found is None:
        reader.word("if", "exists")
        reader.qualified()
        raise unsupported(reader, "ALTER VIEW ...")
    return found


def _refuse_check_option(query: tuple[Token, ...]) -> None:
    """WITH [CASCADED | LOCAL] CHECK OPTION is for views that can be written to."""
    if len(query) > 2 and query[-1].is_word("option") and query[-2].is_word("check"):
        raise FeatureNotSupported("WITH CHECK OPTION is not supported", position=query[-2].position)
