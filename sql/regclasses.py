"""Sequences that the text of a default names: nextval('s'), nextval('s'::regclass).

They are kept by name, with their schema, and written anew when a sequence gets another name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sql import names
from sql.tokens import Kind, Token, lex
from storage.catalog import Catalog
from storage.definitions import Relation
from storage.errors import DatabaseError

_CALLS = ("nextval", "currval", "setval")


def _named(text: str) -> Iterator[Token]:
    """The string constants that name a relation."""
    tokens = lex(text)
    for at, token in enumerate(tokens):
        if token.kind is not Kind.STRING:
            continue
        after, further = (tokens[at + n] if at + n < len(tokens) else None for n in (1, 2))
        cast = (
            after is not None and after.is_mark("::") and further is not None and further.is_word("regclass")
        )
        called = at > 1 and tokens[at - 1].is_mark("(") and tokens[at - 2].is_word(*_CALLS)
        if cast or called:
            yield token


def sequences_in(text: str, catalog: Catalog) -> set[int]:
    """The OIDs of relations that a stored expression names in this way."""
    found = (_oid(token.text, catalog) for token in _named(text)) if "'" in text else ()
    return {oid for oid in found if oid}


def _oid(text: str, catalog: Catalog) -> int:
    try:
        parts = names.split_name(text)
    except DatabaseError:
        return 0
    return names.oid_named(catalog, ("public",), parts)


def shown(text: str, catalog: Catalog, path: Sequence[str]) -> str:
    """A stored expression in which what `path` finds stands without its schema."""

    def name(text: str) -> str:
        oid = _oid(text, catalog)
        return names.name_of(catalog, list(path), "class", oid) if oid else text

    return replaced(text, name) if "'" in text else text


def kept(text: str, catalog: Catalog, path: Sequence[str]) -> str:
    """An expression in which what `path` finds stands with its schema and as regclass, to be kept."""

    def name(text: str) -> str:
        found = names.find(catalog, path, names.split_name(text))
        if not isinstance(found, Relation):
            return text
        return f"{names.quoted(catalog.schemas[found.schema].name)}.{names.quoted(found.name)}"

    return replaced(text, name) if "'" in text else text


def replaced(text: str, new: Callable[[str], str]) -> str:
    """The text with other names in these places, each as regclass."""
    for token in reversed(list(_named(text))):
        shown = new(token.text).replace("'", "''")
        rest = text[token.end :]
        cast = "" if rest.lstrip().startswith("::") else "::regclass"
        text = f"{text[: token.start]}'{shown}'{cast}{rest}"
    return text
