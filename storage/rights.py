"""Rights: what the lists of storage.grants come to for a role. The rules are PostgreSQL's (its acl.c).

Letters stand for rights, as in aclitem; a set of them is a text of letters in the order of LETTERS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from storage.catalog import Catalog
from storage.definitions import (
    BOOTSTRAP_ROLE,
    DATABASE_OID,
    INFORMATION_SCHEMA,
    PG_CATALOG,
    PUBLIC,
    Definition,
    Function,
    Relation,
    Schema,
    Sequence,
)
from storage.grants import PUBLIC_ROLE, AclItem
from storage.usertypes import UserType

RIGHTS = {
    "INSERT": "a",
    "SELECT": "r",
    "UPDATE": "w",
    "DELETE": "d",
    "TRUNCATE": "D",
    "REFERENCES": "x",
    "TRIGGER": "t",
    "EXECUTE": "X",
    "USAGE": "U",
    "CREATE": "C",
    "TEMPORARY": "T",
    "CONNECT": "c",
}
"""Letters by name."""
NAMES = {letter: name for name, letter in RIGHTS.items()}
LETTERS = "".join(NAMES)
"""All of them, as PostgreSQL orders them."""


class ObjectKind(NamedTuple):
    """A kind of object: what it is called, its rights, and those that everybody has to begin with."""

    word: str
    rights: str
    public: str = ""


KINDS = {
    "r": ObjectKind("table", "arwdDxt"),
    "c": ObjectKind("column", "arwx"),
    "s": ObjectKind("sequence", "rwU"),
    "d": ObjectKind("database", "CTc", "Tc"),
    "f": ObjectKind("function", "X", "X"),
    "l": ObjectKind("language", "U", "U"),
    "L": ObjectKind("large object", "rw"),
    "n": ObjectKind("schema", "UC"),
    "p": ObjectKind("parameter", "sA"),
    "t": ObjectKind("tablespace", "C"),
    "F": ObjectKind("foreign-data wrapper", "U"),
    "S": ObjectKind("foreign server", "U"),
    "T": ObjectKind("type", "U", "U"),
}
"""By the letters of acldefault."""
_BUILT_IN = (PG_CATALOG, PUBLIC, INFORMATION_SCHEMA)


class Subject(NamedTuple):
    """An object that rights are about, by its kind's letter."""

    kind: str
    oid: int
    owner: int = BOOTSTRAP_ROLE


def subject(item: Definition) -> Subject | None:
    """What a definition is as an object that rights are about; None where it is none."""
    match item:
        case Sequence():
            return Subject("s", item.oid, item.owner)
        case Schema():
            return Subject("n", item.oid, item.owner)
        case Function():
            return Subject("f", item.oid, item.owner)
        case _ if isinstance(item, Relation):
            return Subject("r", item.oid, item.owner)
        case _ if isinstance(item, UserType):
            return Subject("T", item.oid, item.owner)
    return None


DATABASE = Subject("d", DATABASE_OID)


def sorted_rights(letters: Iterable[str]) -> str:
    """Rights in their order, each once."""
    found = set(letters)
    return "".join(letter for letter in LETTERS if letter in found)


def default_items(kind: str, owner: int, public: str | None = None) -> tuple[AclItem, ...]:
    """The list of an object that has none: what everybody may, then what its owner may."""
    everybody = KINDS[kind].public if public is None else public
    items = [AclItem(PUBLIC_ROLE, owner, everybody)] if everybody else []
    return (*items, AclItem(owner, owner, KINDS[kind].rights)) if kind != "c" else ()


def items_of(catalog: Catalog, about: Subject, number: int = 0) -> tuple[AclItem, ...]:
    """The list of an object, or of its column with attnum `number`, granted or default."""
    acl = catalog.acls.get((about.oid, number))
    if acl is not None:
        return acl.items
    if number:
        return ()
    if about.kind == "n" and about.oid in _BUILT_IN:
        everybody = AclItem(PUBLIC_ROLE, about.owner, "U")
        return (AclItem(about.owner, about.owner, KINDS["n"].rights), everybody)
    return default_items(about.kind, about.owner)


def new_items(catalog: Catalog, about: Subject, schema: int) -> tuple[AclItem, ...] | None:
    """The list of an object that its owner has just made, by default privileges; None: there are none."""
    kind = {"s": "S"}.get(about.kind, about.kind)
    general = catalog.default_acls.get((about.owner, 0, kind))
    special = catalog.default_acls.get((about.owner, schema, kind)) if schema else None
    if general is None and special is None:
        return None
    items = default_items(about.kind, about.owner) if general is None else general.items
    for item in () if special is None else special.items:
        items = granted(items, item)
    return None if items == default_items(about.kind, about.owner) else items


def granted(items: tuple[AclItem, ...], more: AclItem) -> tuple[AclItem, ...]:
    """A list with what one item grants on top."""
    for at, item in enumerate(items):
        if (item.grantee, item.grantor) == (more.grantee, more.grantor):
            both = AclItem(
                item.grantee,
                item.grantor,
                sorted_rights(item.rights + more.rights),
                sorted_rights(item.options + more.options),
            )
            return (*items[:at], both, *items[at + 1 :])
    return (*items, more) if more.rights else items


def revoked(items: tuple[AclItem, ...], less: AclItem) -> tuple[AclItem, ...]:
    """A list without what one item says; what is empty then goes."""
    found = []
    for item in items:
        if (item.grantee, item.grantor) == (less.grantee, less.grantor):
            rights = sorted_rights(set(item.rights) - set(less.rights))
            options = sorted_rights(set(item.options) - set(less.options) - set(less.rights))
            item = AclItem(item.grantee, item.grantor, rights, options)
        if item.rights:
            found.append(item)
    return tuple(found)


def handed_over(items: tuple[AclItem, ...], old: int, new: int) -> tuple[AclItem, ...]:
    """A list whose object goes from one owner to another: what is then the same is one item."""
    found: tuple[AclItem, ...] = ()
    for item in items:
        grantee = new if item.grantee == old else item.grantee
        grantor = new if item.grantor == old else item.grantor
        found = granted(found, AclItem(grantee, grantor, item.rights, item.options))
    return found


def may_grant(items: tuple[AclItem, ...], owner: int, role: int) -> str:
    """The rights that a role itself may pass on, whatever it is a member of."""
    if role == owner:
        return LETTERS
    return sorted_rights("".join(item.options for item in items if item.grantee == role))


def roles_of(catalog: Catalog, role: int, *, inherited: bool = True) -> frozenset[int]:
    """A role and those that it is a member of; with `inherited`, only those whose rights it has at once."""
    found, left = {role}, [role]
    while left:
        one = left.pop()
        known = catalog.roles.get(one)
        if inherited and known is not None and not known.inherit:
            continue
        for membership in catalog.memberships.get(one, ()):
            if membership.role not in found:
                found.add(membership.role)
                left.append(membership.role)
    return frozenset(found)


def is_superuser(catalog: Catalog, role: int) -> bool:
    """Whether a role may do everything."""
    known = catalog.roles.get(role)
    return known is not None and known.superuser


def owns(catalog: Catalog, role: int, owner: int) -> bool:
    """Whether a role has the rights of an owner."""
    return role == owner or is_superuser(catalog, role) or owner in roles_of(catalog, role)


def held(catalog: Catalog, role: int, about: Subject, number: int = 0, *, options: bool = False) -> str:
    """The rights that a role has on an object or a column, or those that it may pass on."""
    kind = "c" if number else about.kind
    if is_superuser(catalog, role):
        return KINDS[kind].rights
    roles = roles_of(catalog, role)
    if options and about.owner in roles:
        return KINDS[kind].rights
    letters = "".join(
        item.options if options else item.rights
        for item in items_of(catalog, about, number)
        if item.grantee in roles or (item.grantee == PUBLIC_ROLE and not options)
    )
    return sorted_rights(letters)


_PLAIN = re.compile(r"\w+", re.ASCII)


def _role_text(catalog: Catalog, role: int) -> str:
    """A role's name as aclitem writes it: nothing for the public, a number for one that is gone."""
    if role == PUBLIC_ROLE:
        return ""
    known = catalog.roles.get(role)
    name = str(role) if known is None else known.name
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def item_texts(catalog: Catalog, items: Iterable[AclItem]) -> list[str]:
    """Items in the text form of aclitem: ann=r*w/owner."""
    found = []
    for grantee, grantor, rights, options in items:
        letters = "".join(f"{letter}*" if letter in options else letter for letter in rights)
        found.append(f"{_role_text(catalog, grantee)}={letters}/{_role_text(catalog, grantor)}")
    return found


def acl_texts(catalog: Catalog, object: int, number: int = 0) -> list[str] | None:
    """The list of an object (an OID) or its column as catalogs show it; None where it has the default."""
    acl = catalog.acls.get((object, number))
    return None if acl is None else item_texts(catalog, acl.items)
