"""What the statements of our own small parser have in common."""

from __future__ import annotations

from dataclasses import dataclass

from engine.functions.quoting import keywords
from sql.keywords import RESERVED
from sql.reading import Reader
from sql.tokens import Kind, Token
from storage.errors import FeatureNotSupported

Name = tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A statement that is no query; subclasses hold what it says."""


@dataclass(frozen=True)
class Action:
    """One thing that ALTER TABLE does; subclasses hold what it says."""

    @property
    def words(self) -> str:
        """How it is called in errors: ADD COLUMN."""
        raise NotImplementedError


def value(reader: Reader) -> str:
    """A setting's or option's value: a word, a string or a number with its sign. Raises SqlSyntaxError."""
    sign = "-" if reader.mark("-") else ""
    reader.mark("+")
    token = reader.token
    if token is None or token.kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.NUMBER):
        raise reader.wrong()
    reader.index += 1
    return sign + token.text


def value_or_default(reader: Reader) -> tuple[str, ...] | None:
    """Values with commas; None for DEFAULT."""
    if reader.word("default"):
        return None
    values = [value(reader)]
    while reader.mark(","):
        values.append(value(reader))
    return tuple(values)


def name_list(reader: Reader) -> tuple[Name, ...]:
    """Qualified names with commas."""
    found = [reader.qualified()]
    while reader.mark(","):
        found.append(reader.qualified())
    return tuple(found)


_ADJECTIVES = frozenset(
    (
        "access",
        "constraint",
        "default",
        "event",
        "foreign",
        "global",
        "local",
        "materialized",
        "or",
        "temp",
        "temporary",
    )
) | frozenset(("text", "unique", "unlogged", "user"))


# Objects of SingleStore's that PostgreSQL has no word for.
_SINGLESTORE = frozenset(
    ("link", "milestone", "pipeline", "profile", "projection", "reference", "resource", "rowstore")
)


def _is_grammar(token: Token) -> bool:
    """Whether it is a word that some grammar has in such a place, and no name that stands in a wrong one."""
    if token.kind is not Kind.WORD or token.text in RESERVED - _ADJECTIVES - {"cast"}:
        return False
    return (token.text in keywords() and token.text != "if") or token.text in _SINGLESTORE


def unsupported(reader: Reader, verb: str) -> Exception:
    """0A000 for what follows CREATE, ALTER or DROP, or a syntax error where nothing sensible does."""
    token = reader.token
    if token is None or not _is_grammar(token):
        return reader.wrong()
    words = [token.text]
    after = reader.peek()
    if token.text in _ADJECTIVES and after is not None:
        words.append(after.text)
    return FeatureNotSupported(f"{verb} {' '.join(words).upper()} is not supported", position=token.position)
