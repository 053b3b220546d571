"""CREATE DOMAIN and ALTER DOMAIN."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name, unsupported
from sql.commands.renaming import renamed
from sql.marks import TypeName
from sql.reading import Reader
from sql.tokens import Token
from sql.typenames import read_type
from storage.errors import FeatureNotSupported, SqlSyntaxError

_CLAUSES = ("constraint", "not", "null", "check", "default", "collate")


@dataclass(frozen=True)
class DomainCheckClause:
    """A CHECK as it was written; `name` is '' where none was given."""

    name: str
    expression: tuple[Token, ...]
    validated: bool = True


@dataclass(frozen=True)
class CreateDomain(Command):
    name: Name
    type: TypeName
    not_null: bool
    default: tuple[Token, ...]
    checks: tuple[DomainCheckClause, ...]


@dataclass(frozen=True)
class DomainDefault(Command):
    """SET DEFAULT; of no tokens: DROP DEFAULT."""

    name: Name
    default: tuple[Token, ...]


@dataclass(frozen=True)
class DomainNotNull(Command):
    name: Name
    not_null: bool


@dataclass(frozen=True)
class AddDomainCheck(Command):
    name: Name
    check: DomainCheckClause


@dataclass(frozen=True)
class DropDomainCheck(Command):
    name: Name
    check: str
    if_exists: bool


@dataclass(frozen=True)
class RenameDomainCheck(Command):
    name: Name
    old: str
    new: str


@dataclass(frozen=True)
class ValidateDomainCheck(Command):
    name: Name
    check: str


def create_domain(reader: Reader) -> Command:
    """CREATE DOMAIN, from the name on."""
    name = reader.qualified()
    reader.word("as")
    type, reader.index = read_type(reader.tokens, reader.index, reader.text)
    default: tuple[Token, ...] = ()
    null: bool | None = None
    checks = []
    while (token := reader.token) is not None:
        label = reader.name() if reader.word("constraint") else ""
        if reader.word("default"):
            if default:
                raise SqlSyntaxError("multiple default expressions")
            default = reader.until(*_CLAUSES)
            if not default:
                raise reader.wrong()
        elif reader.word("not", "null") or reader.word("null"):
            said = reader.tokens[reader.index - 2].is_word("not")
            if null is not None and null is said:
                raise SqlSyntaxError("conflicting NULL/NOT NULL constraints")
            null = not said
        elif reader.word("check"):
            checks.append(DomainCheckClause(label, reader.parenthesised()))
        elif reader.word("collate"):
            reader.qualified()
        elif token.is_word("unique", "primary", "references", "foreign", "exclude"):
            word = {"primary": "primary key", "unique": "unique", "exclude": "exclusion"}.get(
                token.text, "foreign key"
            )
            raise SqlSyntaxError(f"{word} constraints not possible for domains")
        else:
            raise reader.wrong()
    return CreateDomain(name, type, null is False, default, tuple(checks))


def alter_domain(reader: Reader) -> Command:
    """ALTER DOMAIN, from the name on."""
    start = reader.index
    name = reader.qualified()
    if reader.word("set", "default"):
        return DomainDefault(name, reader.rest())
    if reader.word("drop", "default"):
        return DomainDefault(name, ())
    if reader.word("set", "not", "null"):
        return DomainNotNull(name, True)
    if reader.word("drop", "not", "null"):
        return DomainNotNull(name, False)
    if reader.word("add"):
        label = reader.name() if reader.word("constraint") else ""
        if not reader.word("check"):
            raise FeatureNotSupported("ALTER DOMAIN ADD of anything but CHECK is not supported")
        expression = reader.parenthesised()
        return AddDomainCheck(name, DomainCheckClause(label, expression, not reader.word("not", "valid")))
    if reader.word("drop", "constraint"):
        if_exists = reader.word("if", "exists")
        check = reader.name()
        reader.one_of("cascade", "restrict")
        return DropDomainCheck(name, check, if_exists)
    if reader.word("rename", "constraint"):
        old = reader.name()
        reader.must_word("to")
        return RenameDomainCheck(name, old, reader.name())
    if reader.word("validate", "constraint"):
        return ValidateDomainCheck(name, reader.name())
    reader.index = start
    found = renamed(reader, "domain")
    if found is None:
        reader.qualified()
        raise unsupported(reader, "ALTER DOMAIN ...")
    return found
