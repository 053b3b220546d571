"""GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, REASSIGN OWNED and DROP OWNED."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.commands.base import Command, Name, name_list
from sql.commands.functions import Signature, signature
from sql.reading import Reader
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class Right:
    """A privilege by name, perhaps of columns; the name is '' for ALL."""

    name: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant(Command):
    """GRANT or REVOKE of privileges.

    `kind` is what stands behind ON: table, sequence, ...; `schemas` says ALL of that kind IN SCHEMA.
    `option` is WITH GRANT OPTION, or GRANT OPTION FOR.
    """

    revoke: bool
    rights: tuple[Right, ...]
    kind: str
    names: tuple[Name, ...]
    signatures: tuple[Signature, ...]
    schemas: tuple[str, ...]
    roles: tuple[str, ...]
    option: bool
    cascade: bool
    grantor: str = ""


@dataclass(frozen=True)
class GrantRole(Command):
    """GRANT or REVOKE of memberships; `option` is WITH ADMIN OPTION, or ADMIN OPTION FOR."""

    revoke: bool
    roles: tuple[str, ...]
    members: tuple[str, ...]
    option: bool
    grantor: str = ""


@dataclass(frozen=True)
class DefaultPrivileges(Command):
    """ALTER DEFAULT PRIVILEGES: `grant` has no objects, and the plural of a kind."""

    creators: tuple[str, ...]
    schemas: tuple[str, ...]
    grant: Grant


@dataclass(frozen=True)
class ReassignOwned(Command):
    """REASSIGN OWNED BY roles TO another; without `to`, DROP OWNED."""

    roles: tuple[str, ...]
    to: str = ""
    cascade: bool = False


_KINDS = (
    "table",
    "sequence",
    "database",
    "domain",
    "function",
    "language",
    "procedure",
    "routine",
    "schema",
    "type",
)
_OTHERS = ("foreign", "large", "parameter", "tablespace")
_ALL = {"tables": "table", "sequences": "sequence", "functions": "function", "procedures": "procedure"} | {
    "routines": "routine"
}
_DEFAULTS = {"tables": "r", "sequences": "S", "functions": "f", "routines": "f", "types": "T", "schemas": "n"}
_ROUTINES = ("function", "procedure", "routine")


def _rights(reader: Reader) -> tuple[Right, ...]:
    """What stands between GRANT and ON or TO: privileges, or roles."""
    found = [_right(reader)]
    while reader.mark(","):
        found.append(_right(reader))
    return tuple(found)


def _right(reader: Reader) -> Right:
    name = reader.label()
    if name == "all":
        reader.word("privileges")
        name = ""
    elif name == "alter" and reader.word("system"):
        name = "alter system"
    token = reader.token
    return Right(name, reader.names() if token is not None and token.is_mark("(") else ())


def role_list(reader: Reader) -> tuple[str, ...]:
    """Roles with commas."""
    found = [_role(reader)]
    while reader.mark(","):
        found.append(_role(reader))
    return tuple(found)


def _role(reader: Reader) -> str:
    reader.word("group")
    return reader.label()


def _grant(reader: Reader) -> Command:
    rights = _rights(reader)
    if reader.word("on"):
        kind, names, signatures, schemas = _objects(reader)
        reader.must_word("to")
        roles = role_list(reader)
        option = reader.word("with", "grant", "option")
        return Grant(False, rights, kind, names, signatures, schemas, roles, option, False, _by(reader))
    reader.must_word("to")
    members = role_list(reader)
    option = reader.word("with", "admin", "option")
    return GrantRole(False, _as_roles(reader, rights), members, option, _by(reader))


def _revoke(reader: Reader) -> Command:
    admin = reader.word("admin", "option", "for")
    option = not admin and reader.word("grant", "option", "for")
    rights = _rights(reader)
    if not admin and (option or reader.token is None or not reader.token.is_word("from")):
        reader.must_word("on")
        kind, names, signatures, schemas = _objects(reader)
        reader.must_word("from")
        roles = role_list(reader)
        by = _by(reader)
        cascade = reader.one_of("cascade", "restrict") == "cascade"
        return Grant(True, rights, kind, names, signatures, schemas, roles, option, cascade, by)
    reader.must_word("from")
    members = role_list(reader)
    by = _by(reader)
    reader.one_of("cascade", "restrict")
    return GrantRole(True, _as_roles(reader, rights), members, admin, by)


def _as_roles(reader: Reader, rights: tuple[Right, ...]) -> tuple[str, ...]:
    if any(not right.name or right.columns for right in rights):
        raise reader.wrong()
    return tuple(right.name for right in rights)


def _by(reader: Reader) -> str:
    return _role(reader) if reader.word("granted", "by") else ""


def _objects(reader: Reader) -> tuple[str, tuple[Name, ...], tuple[Signature, ...], tuple[str, ...]]:
    """(kind, names, signatures, schemas) of what stands behind ON."""
    if reader.word("all"):
        plural = reader.one_of(*_ALL)
        if not plural:
            raise reader.wrong()
        reader.must_word("in", "schema")
        return _ALL[plural], (), (), _names(reader)
    _refuse_others(reader)
    kind = reader.one_of(*_KINDS)
    if kind in _ROUTINES:
        found = [signature(reader)]
        while reader.mark(","):
            found.append(signature(reader))
        return kind, (), tuple(found), ()
    return kind or "table", name_list(reader), (), ()


def _refuse_others(reader: Reader) -> None:
    """Raise FeatureNotSupported for kinds of objects that there are none of: FOREIGN SERVER name."""
    token, after = reader.token, reader.peek()
    if token is None or after is None or not token.is_word(*_OTHERS):
        return
    if not (after.is_mark(",") or after.is_mark(".") or after.is_word("to", "from")):
        what = {"foreign": "FOREIGN objects", "large": "LARGE OBJECT"}.get(token.text, token.text.upper())
        raise FeatureNotSupported(f"privileges on {what} are not supported", position=token.position)


def _names(reader: Reader) -> tuple[str, ...]:
    found = [reader.role()]
    while reader.mark(","):
        found.append(reader.role())
    return tuple(found)


def alter_default(reader: Reader) -> Command:
    """ALTER DEFAULT PRIVILEGES, from PRIVILEGES on."""
    reader.must_word("privileges")
    creators: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    while True:
        if reader.word("for", "role") or reader.word("for", "user"):
            creators += role_list(reader)
        elif reader.word("in", "schema"):
            schemas += _names(reader)
        else:
            break
    revoke = reader.word("revoke")
    if not revoke:
        reader.must_word("grant")
    option = revoke and reader.word("grant", "option", "for")
    rights = _rights(reader)
    reader.must_word("on")
    plural = reader.one_of(*_DEFAULTS)
    if not plural:
        raise reader.wrong()
    reader.must_word("from" if revoke else "to")
    roles = role_list(reader)
    option = option or (not revoke and reader.word("with", "grant", "option"))
    cascade = revoke and reader.one_of("cascade", "restrict") == "cascade"
    grant = Grant(revoke, rights, _DEFAULTS[plural], (), (), (), roles, option, cascade)
    return DefaultPrivileges(creators, schemas, grant)


def _reassign(reader: Reader) -> Command:
    reader.must_word("owned", "by")
    roles = role_list(reader)
    reader.must_word("to")
    return ReassignOwned(roles, reader.role())


def drop_owned(reader: Reader) -> Command:
    """DROP OWNED, from BY on."""
    reader.must_word("by")
    roles = role_list(reader)
    return ReassignOwned(roles, cascade=reader.one_of("cascade", "restrict") == "cascade")


READERS: dict[str, Callable[[Reader], Command]] = {
    "grant": _grant,
    "revoke": _revoke,
    "reassign": _reassign,
}
