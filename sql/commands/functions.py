"""CREATE FUNCTION and PROCEDURE, ALTER and DROP of them, CALL, DO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sql.commands.base import Command, Name, unsupported, value
from sql.commands.renaming import ChangeOwner, Rename, SetSchema
from sql.marks import TypeName
from sql.reading import Reader
from sql.tokens import Kind, Token
from sql.typenames import read_type
from storage.errors import FeatureNotSupported, InvalidFunctionDefinition, SqlSyntaxError, UndefinedObject

_MODES = {"in": "i", "out": "o", "inout": "b", "variadic": "v"}
_LANGUAGES = ("plpgsql", "c", "internal")


@dataclass(frozen=True)
class ArgumentClause:
    """An argument as it is written; `default` are the tokens of an expression."""

    name: str
    type: TypeName
    mode: str = "i"
    default: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Signature:
    """A function by its name and, where they are written, the arguments that a call gives."""

    name: Name
    arguments: tuple[ArgumentClause, ...] | None = None


@dataclass(frozen=True)
class CreateFunction(Command):
    """`body` as a string (its tokens start at `position`), or `atomic` tokens: BEGIN ATOMIC and RETURN.

    `result` of None: what OUT arguments say. `options` are volatility, strict, cost and their like.
    """

    kind: str  # function, procedure
    name: Name
    replace: bool
    arguments: tuple[ArgumentClause, ...]
    result: TypeName | None
    returns_set: bool
    body: str | None
    atomic: str
    options: dict[str, str] = field(hash=False)
    position: int = 0


@dataclass(frozen=True)
class AlterFunction(Command):
    kind: str
    signature: Signature
    options: dict[str, str] = field(hash=False)


@dataclass(frozen=True)
class RenameFunction(Command):
    """RENAME TO, SET SCHEMA, OWNER TO of a function: `change` has the new name, schema or owner."""

    kind: str
    signature: Signature
    change: Rename | SetSchema | ChangeOwner


@dataclass(frozen=True)
class DropFunctions(Command):
    kind: str  # function, procedure, routine
    signatures: tuple[Signature, ...]
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class CommentOnFunction(Command):
    kind: str
    signature: Signature
    text: str | None


@dataclass(frozen=True)
class Call(Command):
    """CALL: `query` is SELECT with the call in it, `name` that of the procedure."""

    name: Name
    query: tuple[Token, ...]


def create_function(reader: Reader, kind: str, adjectives: frozenset[str]) -> Command:
    """CREATE [OR REPLACE] FUNCTION or PROCEDURE, from the name on. Raises SqlSyntaxError, UndefinedObject."""
    name = reader.qualified()
    arguments = list(_arguments(reader))
    result, returns_set = None, False
    if kind == "function" and reader.word("returns"):
        if reader.word("table"):
            arguments += _table(reader)
            returns_set = True
        else:
            returns_set = reader.word("setof")
            result = _type(reader)
    options: dict[str, str] = {}
    body: str | None = None
    position, atomic = 0, ""
    while reader.token is not None:
        token = reader.token
        if token.is_word("as"):
            reader.index += 1
            if body is not None:
                raise _twice(token)
            place = reader.token
            body = reader.string()
            position = 0 if place is None else place.position
        elif token.is_word("return", "begin"):
            atomic = _atomic(reader)
        else:
            _option(reader, options)
    _check_language(options, body, atomic)
    return CreateFunction(
        kind,
        name,
        "replace" in adjectives,
        tuple(arguments),
        result,
        returns_set,
        body,
        atomic,
        options,
        position,
    )


def _check_language(options: dict[str, str], body: str | None, atomic: str) -> None:
    language = options.get("language", "sql" if atomic else "")
    if not language:
        raise InvalidFunctionDefinition("no language specified")
    if language in _LANGUAGES:
        raise FeatureNotSupported(f"functions in language {language} are not supported")
    if language != "sql":
        raise UndefinedObject(f'language "{language}" does not exist')
    if body is None and not atomic:
        raise InvalidFunctionDefinition("no function body specified")
    if body is not None and atomic:
        raise InvalidFunctionDefinition("duplicate function body specified")


def _twice(token: Token) -> SqlSyntaxError:
    return SqlSyntaxError("conflicting or redundant options", position=token.position)


def _option(reader: Reader, options: dict[str, str]) -> None:
    """One of LANGUAGE, IMMUTABLE, STRICT, COST and their like."""
    token = reader.token
    found = next((option for option in _OPTIONS if reader.word(*option[0])), None)
    if found is None:
        if token is not None and token.is_word("window", "transform", "set", "reset", "support"):
            raise FeatureNotSupported(f"{token.text.upper()} of a function is not supported")
        if token is not None and token.is_word("security", "external"):
            raise FeatureNotSupported("SECURITY DEFINER is not supported")
        raise reader.wrong()
    _, name, said = found
    if name in options and token is not None:
        raise _twice(token)
    if said is not None:
        options[name] = said
        return
    options[name] = value(reader).lower() if name in ("language", "parallel") else value(reader)


_OPTIONS: tuple[tuple[tuple[str, ...], str, str | None], ...] = (
    (("language",), "language", None),
    (("immutable",), "volatility", "i"),
    (("stable",), "volatility", "s"),
    (("volatile",), "volatility", "v"),
    (("strict",), "strict", "true"),
    (("returns", "null", "on", "null", "input"), "strict", "true"),
    (("called", "on", "null", "input"), "strict", ""),
    (("not", "leakproof"), "leakproof", ""),
    (("leakproof",), "leakproof", "true"),
    (("external", "security", "invoker"), "security", "invoker"),
    (("security", "invoker"), "security", "invoker"),
    (("parallel",), "parallel", None),
    (("cost",), "cost", None),
    (("rows",), "rows", None),
)


def _atomic(reader: Reader) -> str:
    """RETURN expression, or BEGIN ATOMIC statements END, as the text of statements."""
    if reader.word("return"):
        return "SELECT " + reader.source(reader.rest())
    reader.must_word("begin", "atomic")
    start, depth = reader.index, 1
    while (token := reader.token) is not None:
        depth += token.is_word("case") - token.is_word("end")
        if not depth:
            inside = reader.tokens[start : reader.index]
            reader.index += 1
            return reader.source(inside) or ";"
        reader.index += 1
    raise reader.wrong()


def _arguments(reader: Reader) -> tuple[ArgumentClause, ...]:
    """(mode name type DEFAULT expression, ...)."""
    reader.must_mark("(")
    found: list[ArgumentClause] = []
    if reader.mark(")"):
        return ()
    while True:
        found.append(_argument(reader))
        if not reader.mark(","):
            reader.must_mark(")")
            return tuple(found)


def _argument(reader: Reader) -> ArgumentClause:
    mode = _mode(reader)
    start = reader.index
    name = ""
    try:
        type = _type(reader)
        bare = _ends(reader)
    except SqlSyntaxError:
        bare = False
    if not bare:
        reader.index = start
        name = reader.name()
        mode = _mode(reader) if mode == "i" else mode
        type = _type(reader)
    default: tuple[Token, ...] = ()
    if reader.word("default") or reader.mark("="):
        default = reader.until()
        if not default:
            raise reader.wrong()
    return ArgumentClause(name, type, mode, default)


def _mode(reader: Reader) -> str:
    following = reader.peek()
    if following is None or following.is_mark(",") or following.is_mark(")"):
        return "i"
    word = reader.one_of(*_MODES)
    if word == "in" and reader.word("out"):
        return "b"
    return _MODES.get(word, "i")


def _ends(reader: Reader) -> bool:
    token = reader.token
    return token is None or token.text in (",", ")", "=") or token.is_word("default")


def _type(reader: Reader) -> TypeName:
    name, reader.index = read_type(reader.tokens, reader.index, reader.text)
    token = reader.token
    if token is not None and token.text == "%" and token.kind is Kind.OPERATOR:
        raise FeatureNotSupported("%TYPE is not supported", position=token.position)
    return name


def _table(reader: Reader) -> list[ArgumentClause]:
    reader.must_mark("(")
    found = []
    while True:
        name = reader.name()
        found.append(ArgumentClause(name, _type(reader), "t"))
        if not reader.mark(","):
            reader.must_mark(")")
            return found


def signature(reader: Reader) -> Signature:
    """name [(arguments)]."""
    name = reader.qualified()
    token = reader.token
    return Signature(name, _arguments(reader) if token is not None and token.is_mark("(") else None)


def alter_function(kind: str) -> Callable[[Reader], Command]:
    """What reads ALTER FUNCTION, PROCEDURE or ROUTINE, from the name on."""

    def read(reader: Reader) -> Command:
        start = reader.index
        named = signature(reader)
        name = named.name
        if reader.word("rename", "to"):
            return RenameFunction(kind, named, Rename(kind, name, False, reader.name()))
        if reader.word("set", "schema"):
            return RenameFunction(kind, named, SetSchema(kind, name, False, reader.name()))
        if reader.word("owner", "to"):
            return RenameFunction(kind, named, ChangeOwner(kind, name, False, reader.role()))
        options: dict[str, str] = {}
        while reader.token is not None and not reader.token.is_word("restrict"):
            _option(reader, options)
        reader.word("restrict")
        if not options:
            reader.index = start
            reader.qualified()
            raise unsupported(reader, f"ALTER {kind.upper()} ...")
        return AlterFunction(kind, named, options)

    return read


def drop_functions(reader: Reader, kind: str) -> Command:
    """DROP FUNCTION, from IF EXISTS on."""
    if_exists = reader.word("if", "exists")
    found = [signature(reader)]
    while reader.mark(","):
        found.append(signature(reader))
    cascade = reader.one_of("cascade", "restrict") == "cascade"
    return DropFunctions(kind, tuple(found), if_exists, cascade)


def _call(reader: Reader) -> Command:
    """CALL name(arguments): the tokens of the call."""
    start = reader.index
    name = reader.qualified()
    if reader.token is None or not reader.token.is_mark("("):
        raise reader.wrong()
    reader.parenthesised()
    return Call(name, tuple(reader.tokens[start : reader.index]))


def _do(reader: Reader) -> Command:
    """DO: a block of code, in a language that is not there."""
    language, code = "plpgsql", False
    while reader.token is not None:
        if reader.word("language"):
            language = value(reader).lower()
        else:
            reader.string()
            code = True
    if not code:
        raise SqlSyntaxError("no inline code specified")
    if language == "sql":
        raise FeatureNotSupported('language "sql" does not support inline code execution')
    if language in _LANGUAGES:
        raise FeatureNotSupported(f"DO in language {language} is not supported")
    raise UndefinedObject(f'language "{language}" does not exist')


READERS: dict[str, Callable[[Reader], Command]] = {"call": _call, "do": _do}
