"""CREATE and ALTER of users and roles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sql.commands.base import Command, Name, unsupported
from sql.commands.renaming import Rename
from sql.commands.settings import SetSetting, read_set, setting_name
from sql.reading import Reader
from storage.errors import SqlSyntaxError


@dataclass(frozen=True)
class CreateRole(Command):
    """CREATE and ALTER USER or ROLE. `options` are fields of storage.catalog.Role that were said.

    `within`, `members` and `admins` are the roles of IN ROLE, ROLE and ADMIN.
    """

    name: str
    options: dict[str, bool | int | str | None] = field(hash=False)
    alter: bool = False
    within: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlterRoleSetting(Command):
    """ALTER ROLE name IN DATABASE database SET setting = values; None: RESET. '' as the setting: RESET ALL.

    The name is '' for ALL, and where ALTER DATABASE was said (`whole`). `current`: SET ... FROM CURRENT.
    """

    name: str
    setting: str
    values: tuple[str, ...] | None
    database: str | None = None
    whole: bool = False
    current: bool = False


_SWITCHES = ("superuser", "createdb", "createrole", "inherit", "login")
_NEVER = ("noreplication", "nobypassrls")


def create_role(reader: Reader) -> Command:
    """CREATE ROLE and CREATE GROUP, from the name on."""
    return _role(reader, {"login": False}, alter=False)


def create_user(reader: Reader) -> Command:
    """CREATE USER: a role that may log in."""
    return _role(reader, {"login": True}, alter=False)


def alter_role(reader: Reader) -> Command:
    """ALTER ROLE and ALTER USER, from the name on."""
    start = reader.index
    everybody = reader.word("all")
    name = "" if everybody else reader.role()
    if not everybody and reader.word("rename", "to"):
        return Rename("role", (name,), False, reader.name())
    database = reader.name() if reader.word("in", "database") else None
    found = _setting(reader, AlterRoleSetting(name, "", None, database))
    if found is not None:
        return found
    if everybody or database is not None:
        raise reader.wrong()
    reader.index = start
    return _role(reader, {}, alter=True)


def alter_database(reader: Reader) -> Command:
    """ALTER DATABASE, from the name on: what its sessions begin with."""
    name = reader.name()
    elsewhere = reader.word("set", "tablespace")
    found = None if elsewhere else _setting(reader, AlterRoleSetting("", "", None, name, whole=True))
    if found is None:
        raise unsupported(reader, "ALTER DATABASE")
    return found


def _setting(reader: Reader, command: AlterRoleSetting) -> AlterRoleSetting | None:
    """SET and RESET of what sessions begin with; None where there is neither."""
    changes = reader.one_of("set", "reset")
    if changes == "reset":
        return replace(command, setting="" if reader.word("all") else setting_name(reader))
    if changes != "set":
        return None
    start = reader.index
    name = ".".join(reader.dotted())
    if reader.word("from", "current"):
        return replace(command, setting=name, current=True)
    reader.index = start
    if reader.word("local"):
        raise reader.wrong()
    given = read_set(reader)
    if not isinstance(given, SetSetting):
        raise reader.wrong()
    return replace(command, setting=given.name, values=given.values)


def _role(reader: Reader, options: dict[str, bool | int | str | None], *, alter: bool) -> Command:
    name = reader.role()
    reader.word("with")
    lists: dict[str, Name] = {}
    given: set[str] = set()
    while reader.token is not None:
        if not _option(reader, options, given) and not (not alter and _list(reader, lists)):
            raise unsupported(reader, "ROLE option")
    return CreateRole(
        name,
        options,
        alter,
        lists.get("within", ()),
        lists.get("members", ()),
        lists.get("admins", ()),
    )


def _option(reader: Reader, options: dict[str, bool | int | str | None], given: set[str]) -> bool:
    """Take an option, which may be among the `given` ones only once. Raises SqlSyntaxError."""
    token = reader.token
    assert token is not None
    reader.word("encrypted")
    value: bool | int | str | None
    if reader.word("password"):
        option, value = "password", None if reader.word("null") else reader.string()
    elif reader.word("connection", "limit"):
        option, value = "connections", reader.integer()
    elif reader.word("valid", "until"):
        option, value = "until", reader.string()
    elif word := reader.one_of(*_SWITCHES, *(f"no{switch}" for switch in _SWITCHES)):
        option, value = word.removeprefix("no"), not word.startswith("no")
    else:
        return bool(reader.one_of(*_NEVER))
    if option in given:
        raise SqlSyntaxError("conflicting or redundant options", position=token.position)
    given.add(option)
    options[option] = value
    return True


def _list(reader: Reader, lists: dict[str, Name]) -> bool:
    """IN ROLE, ROLE, USER and ADMIN with the roles behind them."""
    if reader.word("in", "role") or reader.word("in", "group"):
        which = "within"
    elif reader.word("role") or reader.word("user"):
        which = "members"
    elif reader.word("admin"):
        which = "admins"
    else:
        return False
    found = [reader.role()]
    while reader.mark(","):
        found.append(reader.role())
    lists[which] = (*lists.get(which, ()), *found)
    return True
