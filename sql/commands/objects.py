"""CREATE, ALTER, DROP and COMMENT ON: one table each, by the kind of object.

A new kind of object is a row in CREATES, ALTERS, DROPS and COMMENTS, and a file of its own for what stands
behind its name. What stands between CREATE and the kind (OR REPLACE, TEMPORARY, UNIQUE, ...) is gathered
as a set of words; each kind says which it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sql.commands.altering import alter_table
from sql.commands.base import Command, Name, name_list, unsupported
from sql.commands.domains import alter_domain, create_domain
from sql.commands.extensions import alter_extension, create_extension
from sql.commands.functions import (
    CommentOnFunction,
    alter_function,
    create_function,
    drop_functions,
    signature,
)
from sql.commands.grants import alter_default, drop_owned
from sql.commands.indexes import alter_index, create_index
from sql.commands.roles import alter_database, alter_role, create_role, create_user
from sql.commands.schemas import alter_schema, create_schema
from sql.commands.sequences import alter_sequence, create_sequence
from sql.commands.tables import create_table
from sql.commands.types import alter_type, create_type
from sql.commands.views import (
    alter_materialized_view,
    alter_view,
    create_materialized_view,
    create_view,
    refresh,
)
from sql.reading import Reader
from storage.errors import FeatureNotSupported, SqlSyntaxError

Adjectives = frozenset[str]
_ADJECTIVES = ("columnstore", "global", "local", "recursive", "temp", "temporary", "unlogged", "unique")
_NONE: Adjectives = frozenset()


@dataclass(frozen=True)
class Drop(Command):
    kind: str  # table, view, materialized view, index, sequence, schema, role, extension, type
    names: tuple[Name, ...]
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class Comment(Command):
    """COMMENT ON; `name` of a column ends in its own, `on` is the table of a constraint."""

    kind: str
    name: Name
    text: str | None
    on: Name = ()


def _plain(read: Callable[[Reader], Command]) -> Callable[[Reader, Adjectives], Command]:
    return lambda reader, adjectives: read(reader)


def _index(reader: Reader, adjectives: Adjectives) -> Command:
    return create_index(reader, unique="unique" in adjectives)


def _function(kind: str) -> Callable[[Reader, Adjectives], Command]:
    return lambda reader, adjectives: create_function(reader, kind, adjectives)


CREATES: dict[str, tuple[Callable[[Reader, Adjectives], Command], Adjectives]] = {
    "table": (create_table, frozenset(("columnstore", "temporary", "unlogged"))),
    "view": (create_view, frozenset(("temporary", "recursive", "replace"))),
    "materialized": (create_materialized_view, frozenset(("unlogged",))),
    "index": (_index, frozenset(("unique",))),
    "schema": (_plain(create_schema), _NONE),
    "sequence": (create_sequence, frozenset(("temporary", "unlogged"))),
    "role": (_plain(create_role), _NONE),
    "group": (_plain(create_role), _NONE),
    "user": (_plain(create_user), _NONE),
    "extension": (_plain(create_extension), _NONE),
    "type": (_plain(create_type), _NONE),
    "domain": (_plain(create_domain), _NONE),
    "function": (_function("function"), frozenset(("replace",))),
    "procedure": (_function("procedure"), frozenset(("replace",))),
}
"""What reads each kind, and the words that may stand before it."""
ALTERS: dict[str, Callable[[Reader], Command]] = {
    "index": alter_index,
    "database": alter_database,
    "role": alter_role,
    "schema": alter_schema,
    "sequence": alter_sequence,
    "table": alter_table,
    "view": alter_view,
    "materialized": alter_materialized_view,
    "user": alter_role,
    "default": alter_default,
    "extension": alter_extension,
    "type": alter_type,
    "domain": alter_domain,
    "function": alter_function("function"),
    "procedure": alter_function("procedure"),
    "routine": alter_function("routine"),
}
DROPS = {
    "table": "table",
    "view": "view",
    "materialized view": "materialized view",
    "index": "index",
    "sequence": "sequence",
    "schema": "schema",
    "role": "role",
    "user": "role",
    "group": "role",
    "extension": "extension",
    "type": "type",
    "domain": "domain",
}
COMMENTS = (
    "table",
    "view",
    "sequence",
    "index",
    "column",
    "constraint",
    "schema",
    "role",
    "extension",
    "type",
    "domain",
)


def _create(reader: Reader) -> Command:
    start = reader.index
    adjectives = _adjectives(reader)
    kind = reader.one_of(*CREATES)
    if kind:
        read, known = CREATES[kind]
        if adjectives >= {"temporary", "unlogged"}:
            reader.index -= 2  # the second of the two
            raise reader.wrong()
        if adjectives <= known:
            return read(reader, adjectives)
        if kind == "materialized":
            reader.index -= 1
            raise reader.wrong()
    reader.index = start
    raise unsupported(reader, "CREATE")


def _adjectives(reader: Reader) -> Adjectives:
    found = set()
    if reader.word("or", "replace"):
        found.add("replace")
    while word := reader.one_of(*_ADJECTIVES):
        if word in ("global", "local"):
            continue
        word = "temporary" if word == "temp" else word
        if word in found:
            reader.index -= 1
            raise reader.wrong()
        found.add(word)
    return frozenset(found)


def _alter(reader: Reader) -> Command:
    kind = reader.one_of(*ALTERS)
    if not kind:
        raise unsupported(reader, "ALTER")
    return ALTERS[kind](reader)


def _kind(reader: Reader, kinds: Iterable[str]) -> str:
    """The kind of object that is named next, '' where it is none of these."""
    if reader.word("materialized", "view"):
        return "materialized view"
    return reader.one_of(*kinds)


def _drop(reader: Reader) -> Command:
    routine = reader.one_of("function", "procedure", "routine")
    if routine:
        return drop_functions(reader, routine)
    if reader.word("owned"):
        return drop_owned(reader)
    kind = _kind(reader, DROPS)
    if not kind:
        raise unsupported(reader, "DROP")
    if kind == "index":
        reader.word("concurrently")
    if_exists = reader.word("if", "exists")
    names = name_list(reader)
    if DROPS[kind] == "role":
        return Drop("role", names, if_exists, False)
    cascade = reader.one_of("cascade", "restrict") == "cascade"
    return Drop(DROPS[kind], names, if_exists, cascade)


def _comment(reader: Reader) -> Command:
    reader.must_word("on")
    routine = reader.one_of("function", "procedure", "routine")
    if routine:
        return _comment_on_function(reader, routine)
    kind = _kind(reader, COMMENTS)
    if not kind:
        raise unsupported(reader, "COMMENT ON")
    name = reader.qualified()
    if kind == "column" and len(name) < 2:
        raise SqlSyntaxError("column name must be qualified")
    on: Name = ()
    if kind == "constraint":
        reader.must_word("on")
        token = reader.token
        if reader.word("domain") and token is not None:
            raise FeatureNotSupported(
                "COMMENT ON CONSTRAINT ... ON DOMAIN is not supported", position=token.position
            )
        on = reader.qualified()
    reader.must_word("is")
    return Comment(kind, name, None if reader.word("null") else reader.string(), on)


def _comment_on_function(reader: Reader, kind: str) -> Command:
    named = signature(reader)
    reader.must_word("is")
    return CommentOnFunction(kind, named, None if reader.word("null") else reader.string())


READERS: dict[str, Callable[[Reader], Command]] = {
    "create": _create,
    "alter": _alter,
    "drop": _drop,
    "comment": _comment,
    "refresh": refresh,
}
