"""ALTER TABLE's actions on columns, and on what a table is stored with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sql.commands.base import Action
from sql.commands.sequences import Options, one_option, sequence_options
from sql.marks import TypeName
from sql.reading import Reader
from sql.tokens import Token
from sql.typenames import read_type
from storage.errors import FeatureNotSupported, SqlSyntaxError


@dataclass(frozen=True)
class AddColumn(Action):
    """ADD COLUMN: the tokens of its definition, which sql.definitions reads."""

    words: ClassVar[str] = "ADD COLUMN"
    tokens: tuple[Token, ...]
    if_not_exists: bool


@dataclass(frozen=True)
class DropColumn(Action):
    words: ClassVar[str] = "DROP COLUMN"
    name: str
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class AlterType(Action):
    words: ClassVar[str] = "ALTER COLUMN ... SET DATA TYPE"
    name: str
    type: TypeName
    using: tuple[Token, ...]
    position: int


@dataclass(frozen=True)
class SetDefault(Action):
    """SET DEFAULT; of no tokens: DROP DEFAULT."""

    words: ClassVar[str] = "ALTER COLUMN ... SET DEFAULT"
    name: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class SetNotNull(Action):
    name: str
    not_null: bool

    @property
    def words(self) -> str:
        """See Action."""
        return f"ALTER COLUMN ... {'SET' if self.not_null else 'DROP'} NOT NULL"


@dataclass(frozen=True)
class AddIdentity(Action):
    words: ClassVar[str] = "ALTER COLUMN ... ADD IDENTITY"
    name: str
    identity: str
    options: Options


@dataclass(frozen=True)
class SetIdentity(Action):
    """SET GENERATED ('' if not said) and SET of its sequence's options."""

    words: ClassVar[str] = "ALTER COLUMN ... SET"
    name: str
    identity: str
    options: Options


@dataclass(frozen=True)
class DropIdentity(Action):
    words: ClassVar[str] = "ALTER COLUMN ... DROP IDENTITY"
    name: str
    if_exists: bool


@dataclass(frozen=True)
class DropExpression(Action):
    """DROP EXPRESSION: a generated column becomes one as any other."""

    words: ClassVar[str] = "ALTER COLUMN ... DROP EXPRESSION"
    name: str
    if_exists: bool


@dataclass(frozen=True)
class SetOptions(Action):
    """SET (name = value, ...) and RESET (name, ...): those reset have a value of None."""

    words: ClassVar[str] = "SET"
    options: tuple[tuple[str, str | None], ...]


def add_column(reader: Reader) -> Action | None:
    """ADD [COLUMN] [IF NOT EXISTS] definition."""
    reader.word("column")
    if_not_exists = reader.word("if", "not", "exists")
    tokens = reader.until()
    if len(tokens) < 2:
        raise reader.wrong()
    return AddColumn(tokens, if_not_exists)


def drop_column(reader: Reader) -> Action | None:
    """DROP [COLUMN] [IF EXISTS] name [CASCADE]."""
    reader.word("column")
    if_exists = reader.word("if", "exists")
    name = reader.name()
    return DropColumn(name, if_exists, reader.one_of("cascade", "restrict") == "cascade")


def alter_column(reader: Reader) -> Action | None:
    """ALTER [COLUMN] name: TYPE, DEFAULT, NOT NULL, identity."""
    reader.word("column")
    position = reader.token.position if reader.token is not None else 0
    name = reader.name()
    if reader.word("type") or reader.word("set", "data", "type"):
        return _type(reader, name, position)
    if reader.word("set", "default"):
        tokens = reader.until()
        if not tokens:
            raise reader.wrong()
        return SetDefault(name, tokens)
    if reader.word("drop", "default"):
        return SetDefault(name, ())
    if reader.word("set", "not", "null") or reader.word("drop", "not", "null"):
        return SetNotNull(name, reader.tokens[reader.index - 3].is_word("set"))
    if reader.word("add", "generated"):
        identity = read_generated(reader)
        reader.must_word("as", "identity")
        return AddIdentity(name, identity, _options(reader))
    if reader.word("drop", "expression"):
        return DropExpression(name, reader.word("if", "exists"))
    if reader.word("drop", "identity"):
        return DropIdentity(name, reader.word("if", "exists"))
    token = reader.token
    if token is not None and (token.is_word("restart") or _sets_identity(reader)):
        return _set_identity(reader, name)
    words = [t.text.upper() for t in reader.until()[:2]]
    raise FeatureNotSupported(
        f"ALTER TABLE ... ALTER COLUMN ... {' '.join(words)} is not supported", position=position
    )


def _type(reader: Reader, name: str, position: int) -> Action:
    found, reader.index = read_type(reader.tokens, reader.index, reader.text)
    if reader.word("collate"):
        named = reader.qualified()
        if named[-1] not in ("C", "default", "POSIX"):
            raise FeatureNotSupported(f'collation "{named[-1]}" is not supported: C is', position=position)
    using = reader.until() if reader.word("using") else ()
    return AlterType(name, found, using, position)


def read_generated(reader: Reader) -> str:
    """ALWAYS or BY DEFAULT: 'a' or 'd'."""
    if reader.word("always"):
        return "a"
    reader.must_word("by", "default")
    return "d"


def _options(reader: Reader) -> Options:
    if not reader.mark("("):
        return ()
    options = sequence_options(reader)
    reader.must_mark(")")
    return options


_SEQUENCE_WORDS = ("increment", "minvalue", "maxvalue", "start", "cache", "cycle", "no")


def _sets_identity(reader: Reader) -> bool:
    after = reader.peek()
    return (
        reader.token is not None
        and reader.token.is_word("set")
        and after is not None
        and after.is_word("generated", *_SEQUENCE_WORDS)
    )


def _set_identity(reader: Reader, name: str) -> Action:
    """SET GENERATED ..., SET option, RESTART: any number of them, one behind the other."""
    identity, options = "", []
    while reader.token is not None and not reader.token.is_mark(","):
        if reader.word("set", "generated"):
            identity = read_generated(reader)
            continue
        reader.word("set")
        options.append(one_option(reader))
    return SetIdentity(name, identity, tuple(options))


def set_options(reader: Reader) -> Action | None:
    """SET (storage parameters)."""
    if reader.token is None or not reader.token.is_mark("("):
        return None
    return SetOptions(reader.options())


def reset_options(reader: Reader) -> Action | None:
    """RESET (storage parameters)."""
    if reader.token is None or not reader.token.is_mark("("):
        return None
    found = reader.parameters()
    if any(value is not None for _, value in found):
        raise SqlSyntaxError("RESET must not include values for parameters")
    return SetOptions(found)
