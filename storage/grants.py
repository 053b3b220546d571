"""What roles may do and begin with: access control lists, default privileges, memberships, settings.

All are definitions of the catalog. Lists stand beside the objects that they are about, not in them, so that a
GRANT leaves the object as it is and every object can have one, the database and built-in ones too. An object
without a list has PostgreSQL's default: everything for its owner, and for the public what sql.acl says. The
letters are those of aclitem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

PUBLIC_ROLE = 0
"""What stands for everybody in the place of a role's OID."""


class AclItem(NamedTuple):
    """What `grantor` has granted to `grantee`; `options` are those of its `rights` that may be passed on."""

    grantee: int
    grantor: int
    rights: str
    options: str = ""


@dataclass(frozen=True, slots=True)
class Acl:
    """The list of an object (an OID), or of its column with attnum `number`."""

    oid: int
    object: int
    number: int
    items: tuple[AclItem, ...]
    temporary: bool = False  # of an object of one session

    @property
    def name(self) -> str:
        """What no two of them have."""
        return acl_name(self.object, self.number)


def acl_name(object: int, number: int) -> str:
    """The name of an object's or column's list."""
    return f"acl:{object}:{number}"


@dataclass(frozen=True, slots=True)
class DefaultAcl:
    """ALTER DEFAULT PRIVILEGES: the list of objects that `role` makes, in `schema` (0: in any).

    `about` is the kind of object, by the letters of pg_default_acl: r, S, f, T or n. In a schema, `items`
    come on top of the others.
    """

    oid: int
    role: int
    schema: int
    about: str
    items: tuple[AclItem, ...]

    @property
    def name(self) -> str:
        """What no two of them have."""
        return default_name(self.role, self.schema, self.about)


def default_name(role: int, schema: int, kind: str) -> str:
    """The name of default privileges."""
    return f"default acl:{role}:{schema}:{kind}"


@dataclass(frozen=True, slots=True)
class Membership:
    """GRANT role TO member; `admin`: the member may let others in."""

    oid: int
    role: int
    member: int
    grantor: int
    admin: bool = False

    @property
    def name(self) -> str:
        """What no two of them have."""
        return membership_name(self.role, self.member)


def membership_name(role: int, member: int) -> str:
    """The name of a membership."""
    return f"membership:{role}:{member}"


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What sessions of `role` (0: of everybody) begin with, in the database only or wherever they are.

    ALTER DATABASE ... SET, ALTER ROLE ALL SET and ALTER ROLE ... IN DATABASE ... SET say it. What is said of
    a role's sessions in every database stands in the role.
    """

    oid: int
    role: int
    in_database: bool
    settings: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """What no two of them have."""
        return settings_name(self.role, self.in_database)


def settings_name(role: int, in_database: bool) -> str:
    """The name of a role's settings."""
    return f"settings:{role}:{int(in_database)}"


Grant = Acl | DefaultAcl | Membership | SessionSettings
