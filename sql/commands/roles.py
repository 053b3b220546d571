"""CREATE and ALTER of users and roles."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, unsupported
from sql.reading import Reader


@dataclass(frozen=True)
class CreateRole(Command):
    """CREATE and ALTER USER or ROLE. Options that were not said are None."""

    name: str
    password: str | None
    login: bool | None
    superuser: bool | None
    alter: bool = False
    forget_password: bool = False


def create_role(reader: Reader) -> Command:
    """CREATE ROLE, from the name on."""
    return _role(reader, alter=False, login=False)


def create_user(reader: Reader) -> Command:
    """CREATE USER: a role that may log in."""
    return _role(reader, alter=False, login=True)


def alter_role(reader: Reader) -> Command:
    """ALTER ROLE and ALTER USER, from the name on."""
    return _role(reader, alter=True, login=None)


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
            raise unsupported(reader, "ROLE option")
    return CreateRole(name, password, login, superuser, alter, forget)
