"""Statements of our own small parser: what sqlglot does not read, or reads as something else.

Each statement is a frozen dataclass that holds what it says, and a reader in one of the tables below,
under its first word. CREATE TABLE is read in sql.definitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sql.reading import Reader
from sql.tokens import Kind, Token
from storage.errors import FeatureNotSupported

Name = tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A statement that is no query; subclasses hold what it says."""


@dataclass(frozen=True)
class TransactionModes:
    """ISOLATION LEVEL, READ ONLY or READ WRITE, [NOT] DEFERRABLE; None: not said."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True)
class Begin(Command):
    modes: TransactionModes
    tag: str = "BEGIN"


@dataclass(frozen=True)
class Commit(Command):
    chain: bool = False


@dataclass(frozen=True)
class Rollback(Command):
    chain: bool = False


@dataclass(frozen=True)
class Savepoint(Command):
    name: str


@dataclass(frozen=True)
class Release(Command):
    name: str


@dataclass(frozen=True)
class RollbackTo(Command):
    name: str


@dataclass(frozen=True)
class SetTransaction(Command):
    modes: TransactionModes
    session: bool


@dataclass(frozen=True)
class SetSetting(Command):
    """SET name = values; None: DEFAULT."""

    name: str
    values: tuple[str, ...] | None
    local: bool = False


@dataclass(frozen=True)
class Show(Command):
    name: str  # 'all' for SHOW ALL


@dataclass(frozen=True)
class Reset(Command):
    name: str  # 'all' for RESET ALL


@dataclass(frozen=True)
class Discard(Command):
    what: str


@dataclass(frozen=True)
class Prepare(Command):
    name: str
    types: tuple[tuple[Token, ...], ...]
    body: tuple[Token, ...]


@dataclass(frozen=True)
class Execute(Command):
    name: str
    arguments: tuple[tuple[Token, ...], ...]


@dataclass(frozen=True)
class Deallocate(Command):
    name: str | None  # None: ALL


@dataclass(frozen=True)
class Declare(Command):
    name: str
    hold: bool
    scroll: bool
    body: tuple[Token, ...]


@dataclass(frozen=True)
class Fetch(Command):
    """FETCH and MOVE. `count` of None: ALL."""

    name: str
    count: int | None
    move: bool = False


@dataclass(frozen=True)
class CloseCursor(Command):
    name: str | None  # None: ALL


@dataclass(frozen=True)
class Listen(Command):
    channel: str


@dataclass(frozen=True)
class Unlisten(Command):
    channel: str | None  # None: *


@dataclass(frozen=True)
class Notify(Command):
    channel: str
    payload: str = ""


@dataclass(frozen=True)
class Explain(Command):
    options: tuple[tuple[str, str], ...]
    body: tuple[Token, ...]


@dataclass(frozen=True)
class Copy(Command):
    """COPY. `query` instead of `table`: COPY (SELECT ...) TO. `file` of None: STDIN or STDOUT."""

    table: Name | None
    columns: tuple[str, ...] | None
    query: tuple[Token, ...]
    to: bool
    file: str | None
    options: tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Drop(Command):
    kind: str  # table, sequence, schema, role
    names: tuple[Name, ...]
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class Truncate(Command):
    names: tuple[Name, ...]
    restart: bool


@dataclass(frozen=True)
class CreateSchema(Command):
    name: str
    if_not_exists: bool


@dataclass(frozen=True)
class CreateRole(Command):
    """CREATE and ALTER USER or ROLE. Options that were not said are None."""

    name: str
    password: str | None
    login: bool | None
    superuser: bool | None
    alter: bool = False
    forget_password: bool = False


@dataclass(frozen=True)
class CreateSequence(Command):
    name: Name
    if_not_exists: bool
    options: tuple[tuple[str, int | str | None], ...]


@dataclass(frozen=True)
class Comment(Command):
    kind: str
    name: Name
    text: str | None


@dataclass(frozen=True)
class Maintain(Command):
    """ANALYZE and VACUUM of tables (none named: all), and OPTIMIZE TABLE."""

    tag: Literal["ANALYZE", "VACUUM", "OPTIMIZE TABLE"]
    names: tuple[Name, ...]


@dataclass(frozen=True)
class CreateTable(Command):
    """CREATE TABLE: the tokens behind these words; sql.definitions reads them."""

    tokens: tuple[Token, ...]
    columnstore: bool


def parse_command(tokens: list[Token], text: str) -> Command | None:
    """The command that these tokens are, or None: sqlglot reads it. Raises SqlSyntaxError, 0A000."""
    first = tokens[0]
    if first.kind is not Kind.WORD:
        return None
    read = _READERS.get(first.text)
    if read is None:
        if first.text in _UNSUPPORTED:
            raise FeatureNotSupported(f"{_UNSUPPORTED[first.text]} is not supported", position=first.position)
        return None
    reader = Reader(tokens, text, 1)
    command = read(reader)
    if not isinstance(command, CreateTable):
        reader.end()
    return command


_UNSUPPORTED = {
    "merge": "MERGE",
    "grant": "GRANT",
    "revoke": "REVOKE",
    "call": "CALL",
    "do": "DO",
    "refresh": "REFRESH MATERIALIZED VIEW",
    "reindex": "REINDEX",
    "cluster": "CLUSTER",
    "checkpoint": "CHECKPOINT",
    "load": "LOAD",
    "import": "IMPORT FOREIGN SCHEMA",
    "security": "SECURITY LABEL",
    "reassign": "REASSIGN OWNED",
    "lock": "LOCK TABLE",
}


def _modes(reader: Reader) -> TransactionModes:
    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    while True:
        if reader.word("isolation", "level"):
            if reader.word("serializable"):
                isolation = "serializable"
            elif reader.word("repeatable", "read"):
                isolation = "repeatable read"
            elif reader.word("read", "committed"):
                isolation = "read committed"
            elif reader.word("read", "uncommitted"):
                isolation = "read uncommitted"
            else:
                raise reader.wrong()
        elif reader.word("read", "only"):
            read_only = True
        elif reader.word("read", "write"):
            read_only = False
        elif reader.word("not", "deferrable"):
            deferrable = False
        elif reader.word("deferrable"):
            deferrable = True
        else:
            return TransactionModes(isolation, read_only, deferrable)
        reader.mark(",")


def _begin(reader: Reader) -> Command:
    reader.one_of("work", "transaction")
    return Begin(_modes(reader))


def _start(reader: Reader) -> Command:
    reader.must_word("transaction")
    return Begin(_modes(reader), "START TRANSACTION")


def _chain(reader: Reader) -> bool:
    reader.one_of("work", "transaction")
    if not reader.word("and"):
        return False
    chain = not reader.word("no")
    reader.must_word("chain")
    return chain


def _commit(reader: Reader) -> Command:
    if reader.word("prepared"):
        raise FeatureNotSupported("COMMIT PREPARED is not supported")
    return Commit(_chain(reader))


def _rollback(reader: Reader) -> Command:
    reader.one_of("work", "transaction")
    if reader.word("to"):
        reader.word("savepoint")
        return RollbackTo(reader.name())
    return Rollback(_chain(reader))


def _abort(reader: Reader) -> Command:
    return Rollback(_chain(reader))


def _savepoint(reader: Reader) -> Command:
    return Savepoint(reader.name())


def _release(reader: Reader) -> Command:
    reader.word("savepoint")
    return Release(reader.name())


def _set(reader: Reader) -> Command:
    if reader.word("transaction"):
        return SetTransaction(_modes(reader), False)
    if reader.word("session", "characteristics", "as", "transaction"):
        return SetTransaction(_modes(reader), True)
    if reader.word("constraints"):
        reader.rest()
        raise FeatureNotSupported("SET CONSTRAINTS is not supported")
    if reader.word("session", "authorization"):
        return SetSetting("session_authorization", _value_or_default(reader))
    local = reader.one_of("local", "session") == "local"
    if reader.word("time", "zone"):
        return SetSetting("timezone", _zone(reader), local)
    if reader.word("names"):
        return SetSetting("client_encoding", _value_or_default(reader), local)
    if reader.word("role"):
        values = None if reader.word("none") else _value_or_default(reader)
        return SetSetting("role", values, local)
    name = ".".join(reader.qualified())
    if not (reader.word("to") or reader.mark("=")):
        raise reader.wrong()
    return SetSetting(name, _value_or_default(reader), local)


def _zone(reader: Reader) -> tuple[str, ...] | None:
    if reader.one_of("local"):
        return None
    if reader.word("interval"):
        value = reader.string()
        if reader.word("hour"):
            reader.must_word("to", "minute")
        return (value,)
    return _value_or_default(reader)


def _value_or_default(reader: Reader) -> tuple[str, ...] | None:
    if reader.word("default"):
        return None
    values = [_value(reader)]
    while reader.mark(","):
        values.append(_value(reader))
    return tuple(values)


def _value(reader: Reader) -> str:
    sign = "-" if reader.mark("-") else ""
    reader.mark("+")
    token = reader.token
    if token is None or token.kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING, Kind.NUMBER):
        raise reader.wrong()
    reader.index += 1
    return sign + token.text


def _setting_name(reader: Reader) -> str:
    if reader.word("time", "zone"):
        return "timezone"
    if reader.word("transaction", "isolation", "level"):
        return "transaction_isolation"
    if reader.word("session", "authorization"):
        return "session_authorization"
    return ".".join(reader.qualified())


def _show(reader: Reader) -> Command:
    return Show(_setting_name(reader))


def _reset(reader: Reader) -> Command:
    return Reset(_setting_name(reader))


def _discard(reader: Reader) -> Command:
    what = reader.one_of("all", "plans", "sequences", "temp", "temporary")
    if not what:
        raise reader.wrong()
    return Discard(what.replace("temporary", "temp"))


def _list(reader: Reader) -> tuple[tuple[Token, ...], ...]:
    """Expressions or types between parentheses."""
    found = []
    while True:
        found.append(reader.until())
        if not found[-1]:
            raise reader.wrong()
        if not reader.mark(","):
            reader.must_mark(")")
            return tuple(found)


def _prepare(reader: Reader) -> Command:
    if reader.word("transaction"):
        raise FeatureNotSupported("PREPARE TRANSACTION is not supported")
    name = reader.name()
    types = _list(reader) if reader.mark("(") else ()
    reader.must_word("as")
    return Prepare(name, types, reader.rest())


def _execute(reader: Reader) -> Command:
    name = reader.name()
    return Execute(name, _list(reader) if reader.mark("(") else ())


def _deallocate(reader: Reader) -> Command:
    reader.word("prepare")
    return Deallocate(None if reader.word("all") else reader.name())


def _declare(reader: Reader) -> Command:
    name = reader.name()
    scroll = hold = False
    while not reader.word("cursor"):
        if reader.word("no", "scroll"):
            scroll = False
        elif reader.word("scroll"):
            scroll = True
        elif not reader.one_of("binary", "insensitive", "asensitive"):
            raise reader.wrong()
    if reader.one_of("with", "without") == "with":
        hold = True
    if hold or reader.word("hold"):
        reader.word("hold")
    reader.must_word("for")
    return Declare(name, hold, scroll, reader.rest())


def _fetch(reader: Reader) -> Command:
    return _fetched(reader, move=False)


def _move(reader: Reader) -> Command:
    return _fetched(reader, move=True)


def _fetched(reader: Reader, move: bool) -> Command:
    count: int | None = 1
    backward = reader.one_of("backward", "prior", "first", "last", "absolute", "relative")
    if backward:
        raise FeatureNotSupported(f"FETCH {backward.upper()} is not supported: cursors only go forward")
    reader.one_of("next", "forward")
    if reader.word("all"):
        count = None
    elif reader.token is not None and (reader.token.kind is Kind.NUMBER or reader.token.text == "-"):
        count = reader.integer()
    if count is not None and count < 0:
        raise FeatureNotSupported("FETCH BACKWARD is not supported: cursors only go forward")
    reader.one_of("from", "in")
    return Fetch(reader.name(), count, move)


def _close(reader: Reader) -> Command:
    return CloseCursor(None if reader.word("all") else reader.name())


def _listen(reader: Reader) -> Command:
    return Listen(reader.name())


def _unlisten(reader: Reader) -> Command:
    return Unlisten(None if reader.mark("*") else reader.name())


def _notify(reader: Reader) -> Command:
    channel = reader.name()
    return Notify(channel, reader.string() if reader.mark(",") else "")


def _explain(reader: Reader) -> Command:
    options: list[tuple[str, str]] = []
    after = reader.peek()
    query = after is not None and (after.is_word("select", "values", "with", "table") or after.is_mark("("))
    if not query and reader.token is not None and reader.token.is_mark("("):
        reader.must_mark("(")
        while True:
            name = reader.name()
            token = reader.token
            bare = token is None or token.is_mark(",") or token.is_mark(")")
            options.append((name, "true" if bare else _value(reader).lower()))
            if not reader.mark(","):
                break
        reader.must_mark(")")
    else:
        if reader.one_of("analyze", "analyse"):
            options.append(("analyze", "true"))
        if reader.word("verbose"):
            options.append(("verbose", "true"))
    if reader.token is None:
        raise reader.wrong()
    return Explain(tuple(options), reader.rest())


def _copy(reader: Reader) -> Command:
    reader.word("binary")
    table: Name | None = None
    columns: tuple[str, ...] | None = None
    query: tuple[Token, ...] = ()
    if reader.token is not None and reader.token.is_mark("("):
        query = reader.parenthesised()
    else:
        table = reader.qualified()
        if reader.token is not None and reader.token.is_mark("("):
            columns = reader.names()
    direction = reader.one_of("from", "to")
    if not direction or (query and direction == "from"):
        raise reader.wrong()
    file = None
    if reader.word("program"):
        raise FeatureNotSupported("COPY ... PROGRAM is not supported")
    if not reader.one_of("stdin", "stdout"):
        file = reader.string()
    reader.word("with")
    options = _copy_options(reader) if reader.mark("(") else _old_copy_options(reader)
    if direction == "from" and reader.word("where"):
        raise FeatureNotSupported("COPY FROM ... WHERE is not supported")
    return Copy(table, columns, query, direction == "to", file, tuple(options))


def _copy_options(reader: Reader) -> list[tuple[str, object]]:
    options: list[tuple[str, object]] = []
    while True:
        name = reader.name()
        token = reader.token
        value: object
        if token is not None and token.is_mark("("):
            value = reader.names()
        elif reader.mark("*"):
            value = "*"
        elif token is None or token.is_mark(",") or token.is_mark(")"):
            value = "true"
        else:
            value = _value(reader)
        options.append((name, value))
        if not reader.mark(","):
            reader.must_mark(")")
            return options


_OLD_OPTIONS = ("binary", "csv", "header", "delimiter", "delimiters", "null", "quote", "escape", "force")


def _old_copy_options(reader: Reader) -> list[tuple[str, object]]:
    """The spelling of PostgreSQL 8: DELIMITER AS ',' NULL AS '' CSV HEADER."""
    options: list[tuple[str, object]] = []
    while reader.token is not None and not reader.token.is_word("where"):
        name = reader.one_of(
            "binary", "csv", "header", "delimiter", "delimiters", "null", "quote", "escape", "force"
        )
        if name in ("binary", "csv"):
            options.append(("format", name))
        elif name == "header":
            options.append(("header", "true"))
        elif name in ("delimiter", "delimiters", "null", "quote", "escape"):
            reader.word("as")
            options.append((name.removesuffix("s"), reader.string()))
        elif name == "force":
            kind = reader.one_of("quote", "null") or ("not_null" if reader.word("not", "null") else "")
            if not kind:
                raise reader.wrong()
            if reader.mark("*"):
                options.append((f"force_{kind}", "*"))
                continue
            names = [reader.name()]
            while reader.mark(","):
                names.append(reader.name())
            options.append((f"force_{kind}", tuple(names)))
        else:
            raise reader.wrong()
    return options


def _name_list(reader: Reader) -> tuple[Name, ...]:
    found = [reader.qualified()]
    while reader.mark(","):
        found.append(reader.qualified())
    return tuple(found)


_DROPPED = {"table": "table", "sequence": "sequence", "schema": "schema", "role": "role", "user": "role"}


def _drop(reader: Reader) -> Command:
    kind = reader.one_of(*_DROPPED)
    if not kind:
        raise _unsupported(reader, "DROP")
    if_exists = reader.word("if", "exists")
    names = _name_list(reader)
    cascade = reader.one_of("cascade", "restrict") == "cascade"
    return Drop(_DROPPED[kind], names, if_exists, cascade)


_ADJECTIVES = frozenset(
    ("access", "default", "event", "foreign", "global", "local", "materialized", "or", "temp", "temporary")
) | frozenset(("text", "unique", "unlogged", "user"))


def _unsupported(reader: Reader, verb: str) -> Exception:
    """0A000 for what follows CREATE, ALTER or DROP, or a syntax error where nothing sensible does."""
    token = reader.token
    if token is None or token.kind is not Kind.WORD:
        return reader.wrong()
    words = [token.text]
    after = reader.peek()
    if token.text in _ADJECTIVES and after is not None:
        words.append(after.text)
    return FeatureNotSupported(f"{verb} {' '.join(words).upper()} is not supported", position=token.position)


def _truncate(reader: Reader) -> Command:
    reader.word("table")
    reader.word("only")
    names = _name_list(reader)
    restart = False
    if reader.one_of("restart", "continue") == "restart":
        restart = True
        reader.must_word("identity")
    elif reader.word("identity"):
        pass
    if reader.word("cascade") or reader.word("restrict"):
        pass
    return Truncate(names, restart)


def _create(reader: Reader) -> Command:
    if reader.word("columnstore", "table"):
        return CreateTable(reader.rest(), True)
    if reader.word("table"):
        return CreateTable(reader.rest(), False)
    if reader.word("schema"):
        if_not_exists = reader.word("if", "not", "exists")
        name = reader.name()
        if reader.word("authorization"):
            reader.name()
        return CreateSchema(name, if_not_exists)
    if reader.one_of("user", "role"):
        login = reader.tokens[reader.index - 1].text == "user"
        return _role(reader, alter=False, login=login)
    if reader.word("sequence"):
        return _sequence(reader)
    raise _unsupported(reader, "CREATE")


def _alter(reader: Reader) -> Command:
    if reader.one_of("user", "role"):
        return _role(reader, alter=True, login=None)
    raise _unsupported(reader, "ALTER")


def _role(reader: Reader, alter: bool, login: bool | None) -> Command:
    name = reader.name()
    reader.word("with")
    password: str | None = None
    superuser: bool | None = None
    forget = False
    while reader.token is not None:
        reader.word("encrypted")
        if reader.word("password"):
            if reader.word("null"):
                forget = True
            else:
                password = reader.string()
        elif option := reader.one_of("superuser", "nosuperuser"):
            superuser = option == "superuser"
        elif option := reader.one_of("login", "nologin"):
            login = option == "login"
        elif reader.one_of("inherit"):
            pass
        else:
            raise _unsupported(reader, "ROLE option")
    return CreateRole(name, password, login, superuser, alter, forget)


def _sequence(reader: Reader) -> Command:
    if_not_exists = reader.word("if", "not", "exists")
    return CreateSequence(reader.qualified(), if_not_exists, sequence_options(reader))


def sequence_options(reader: Reader) -> tuple[tuple[str, int | str | None], ...]:
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
            raise _unsupported(reader, "SEQUENCE option")
    return tuple(options)


def _comment(reader: Reader) -> Command:
    reader.must_word("on")
    kind = reader.one_of("table", "column")
    if kind != "table":
        raise _unsupported(reader, "COMMENT ON")
    name = reader.qualified()
    reader.must_word("is")
    return Comment(kind, name, None if reader.word("null") else reader.string())


def _analyze(reader: Reader) -> Command:
    reader.word("verbose")
    return Maintain("ANALYZE", _maintained(reader))


def _vacuum(reader: Reader) -> Command:
    if reader.token is not None and reader.token.is_mark("("):
        reader.parenthesised()
    while reader.one_of("full", "freeze", "verbose", "analyze"):
        pass
    return Maintain("VACUUM", _maintained(reader))


def _optimize(reader: Reader) -> Command:
    reader.must_word("table")
    name = reader.qualified()
    reader.one_of("full", "flush")
    return Maintain("OPTIMIZE TABLE", (name,))


def _maintained(reader: Reader) -> tuple[Name, ...]:
    return _name_list(reader) if reader.token is not None else ()


_READERS: dict[str, Callable[[Reader], Command]] = {
    "begin": _begin,
    "start": _start,
    "commit": _commit,
    "end": _commit,
    "rollback": _rollback,
    "abort": _abort,
    "savepoint": _savepoint,
    "release": _release,
    "set": _set,
    "show": _show,
    "reset": _reset,
    "discard": _discard,
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "declare": _declare,
    "fetch": _fetch,
    "move": _move,
    "close": _close,
    "listen": _listen,
    "unlisten": _unlisten,
    "notify": _notify,
    "explain": _explain,
    "copy": _copy,
    "drop": _drop,
    "truncate": _truncate,
    "create": _create,
    "alter": _alter,
    "comment": _comment,
    "analyze": _analyze,
    "analyse": _analyze,
    "vacuum": _vacuum,
    "optimize": _optimize,
}
"""The reader of each command, under its first word."""
