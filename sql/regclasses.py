"""Relations that the text of a default names: nextval('s'), nextval('s'::regclass)."""

from __future__ import annotations

from collections.abc import Iterator

from sql import names
from sql.tokens import Kind, Token, lex
from storage.catalog import Catalog
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
