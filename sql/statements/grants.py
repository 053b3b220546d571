"""GRANT and REVOKE: who grants, what of it he may pass on, and the lists that come of it.

The rules are PostgreSQL's (aclchk.c). A list is locked by its name while it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from sql import commands, names
from sql.outcome import Outcome
from sql.statements import functions
from sql.statements.control import done
from sql.statements.dropping import find, kind_of
from sql.statements.host import Host
from sql.statements.places import role_named
from sql.statements.types import must_type
from storage.catalog import Catalog
from storage.definitions import LANGUAGE_SQL, Function, Relation, Sequence, Table, View
from storage.errors import (
    DependentObjectsStillExist,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidCatalogName,
    InvalidGrantOperation,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.grants import PUBLIC_ROLE, Acl, AclItem, DefaultAcl, acl_name, default_name
from storage.rights import (
    DATABASE,
    KINDS,
    RIGHTS,
    Subject,
    default_items,
    granted,
    held,
    is_superuser,
    items_of,
    may_grant,
    revoked,
    roles_of,
    sorted_rights,
    subject,
)
from storage.transactions.locks import TableMode

_WORDS = {**RIGHTS, "TEMP": RIGHTS["TEMPORARY"]}
_OTHER_RIGHTS = frozenset(("SET", "ALTER SYSTEM", "RULE"))


@dataclass(frozen=True)
class Place:
    """What a list is of: an object or its column, and how it is called."""

    about: Subject
    number: int
    word: str
    name: str
    column: str = ""
    temporary: bool = False

    @property
    def shown(self) -> str:
        """As warnings call it."""
        return f'column "{self.column}" of relation "{self.name}"' if self.column else f'"{self.name}"'


def grant(host: Host, command: commands.Grant, text: str) -> Outcome:
    """GRANT and REVOKE of privileges."""
    verb = "REVOKE" if command.revoke else "GRANT"
    grantees = grantees_of(host, command)
    if command.grantor and role_named(host, command.grantor) != _me(host):
        raise FeatureNotSupported("grantor must be current user")
    for place in _places(host, command, text):
        for where, letters in _wanted(host, command, place):
            _change(host, command, where, letters, grantees)
    return done(verb)


def grantees_of(host: Host, command: commands.Grant) -> tuple[int, ...]:
    """The OIDs of the roles that a command names, 0 for PUBLIC. Raises InvalidGrantOperation."""
    found = []
    for name in command.roles:
        public = name == "public"
        if public and command.option and not command.revoke:
            raise InvalidGrantOperation("grant options can only be granted to roles")
        found.append(PUBLIC_ROLE if public else role_named(host, name))
    return tuple(found)


def _me(host: Host) -> int:
    return role_named(host, "current_user")


# what is named


def _places(host: Host, command: commands.Grant, text: str) -> Iterator[Place]:
    """The objects that a command names."""
    if command.schemas:
        for name in command.schemas:
            schema = host.catalog.must_schema(name)
            yield from (_relation_place(item) for item in _in_schema(host.catalog, schema.oid, command.kind))
        return
    match command.kind:
        case "table" | "sequence":
            for parts in command.names:
                yield _relation_place(_relation(host, parts, command.kind))
        case "function" | "procedure" | "routine":
            for each in command.signatures:
                function = functions.must_find(host, command.kind, each, text, TableMode.AccessShareLock)
                yield _relation_place(function)
        case "schema":
            for parts in command.names:
                schema = host.catalog.must_schema(parts[-1])
                yield Place(Subject("n", schema.oid, schema.owner), 0, "schema", schema.name)
        case "database":
            for parts in command.names:
                if parts[-1] != host.database:
                    raise InvalidCatalogName(f'database "{parts[-1]}" does not exist')
                yield Place(DATABASE, 0, "database", parts[-1])
        case "language":
            for parts in command.names:
                if parts[-1] != "sql":
                    raise UndefinedObject(f'language "{parts[-1]}" does not exist')
                yield Place(Subject("l", LANGUAGE_SQL), 0, "language", "sql")
        case kind:
            for parts in command.names:
                made = must_type(host, parts)
                yield Place(Subject("T", made.oid, made.owner), 0, kind, made.name)


def _relation(host: Host, parts: tuple[str, ...], kind: str) -> Relation:
    found = find(host, parts)
    if found is None:
        if len(parts) > 1:
            host.catalog.must_schema(names.own_schema(parts[-2], host.search_path(True)))
        raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
    if kind == "sequence" and not isinstance(found, Sequence):
        raise WrongObjectType(f'"{parts[-1]}" is not a sequence')
    return found


def _in_schema(catalog: Catalog, schema: int, kind: str) -> Iterator[Relation | Function]:
    """What ALL ... IN SCHEMA means."""
    wanted: dict[str, Callable[[Relation | Function], bool]] = {
        "table": lambda item: isinstance(item, Table | View),
        "sequence": lambda item: isinstance(item, Sequence),
        "function": lambda item: isinstance(item, Function) and not item.procedure,
        "procedure": lambda item: isinstance(item, Function) and item.procedure,
        "routine": lambda item: isinstance(item, Function),
    }
    for item in (*catalog.relations.values(), *catalog.functions.values()):
        if item.schema == schema and wanted[kind](item):
            yield item


def _relation_place(item: Relation | Function) -> Place:
    about = subject(item)
    assert about is not None
    if isinstance(item, Function):
        return Place(about, 0, "procedure" if item.procedure else "function", item.name)
    return Place(about, 0, kind_of(item), item.name, temporary=item.temporary)


def _wanted(host: Host, command: commands.Grant, place: Place) -> Iterator[tuple[Place, str]]:
    """What is granted of an object, and of which of its columns."""
    plain = [right for right in command.rights if not right.columns]
    letters = sorted_rights("".join(letters_of(right.name, place.about.kind, place.word) for right in plain))
    by_column: dict[int, str] = {}
    for right in command.rights:
        if not right.columns:
            continue
        if place.about.kind != "r":
            raise InvalidGrantOperation("column privileges are only valid for relations")
        own = letters_of(right.name, "c", "column")
        for name in right.columns:
            number = _number(host, place, name)
            by_column[number] = sorted_rights(by_column.get(number, "") + own)
    if letters and command.revoke and place.about.kind == "r":
        for object, number in host.catalog.acls:
            if object == place.about.oid and number:
                more = by_column.get(number, "") + "".join(set(letters) & set(KINDS["c"].rights))
                by_column[number] = sorted_rights(more)
    if letters:
        yield place, letters
    for number, own in by_column.items():
        column = _column_name(host, place, number)
        if column and own:
            yield replace(place, number=number, column=column), own


def letters_of(name: str, kind: str, word: str) -> str:
    """The letters of a privilege, '' for ALL. Raises SqlSyntaxError, InvalidGrantOperation."""
    if not name:
        return KINDS[kind].rights
    upper = name.upper()
    letter = _WORDS.get(upper)
    if letter is None and upper not in _OTHER_RIGHTS:
        raise SqlSyntaxError(f'unrecognized privilege type "{name}"')
    if letter is None or letter not in KINDS[kind].rights:
        raise InvalidGrantOperation(f"invalid privilege type {upper} for {word}")
    return letter


def _columns(host: Host, place: Place) -> list[tuple[int, str]]:
    relation = host.catalog.relations.get(place.about.oid)
    if isinstance(relation, Table):
        return [(column.number, column.name) for column in relation.columns]
    if isinstance(relation, View):
        return [(number, column.name) for number, column in enumerate(relation.columns, 1)]
    return []


def _number(host: Host, place: Place, name: str) -> int:
    for number, known in _columns(host, place):
        if known == name:
            return number
    raise UndefinedColumn(f'column "{name}" of relation "{place.name}" does not exist')


def _column_name(host: Host, place: Place, number: int) -> str:
    return next((name for known, name in _columns(host, place) if known == number), "")


# what comes of it


def _change(host: Host, command: commands.Grant, place: Place, letters: str, grantees: Iterable[int]) -> None:
    """One list, with what its reader may pass on of these rights."""
    about, number = place.about, place.number
    host.transaction.lock_table((0, acl_name(about.oid, number)), TableMode.AccessExclusiveLock)
    catalog = host.catalog
    items = items_of(catalog, about, number)
    grantor, options = _grantor(catalog, _me(host), place, letters)
    passed = sorted_rights(set(letters) & set(options))
    if not passed and not _has_any(catalog, _me(host), about, number):
        raise InsufficientPrivilege(f"permission denied for {place.word} {place.name}")
    every = any(not right.name for right in command.rights)
    if not passed or (passed != letters and not every):
        said = "no privileges" if not passed else "not all privileges"
        verb, state = ("could be revoked", "01006") if command.revoke else ("were granted", "01007")
        host.notice("WARNING", state, f"{said} {verb} for {place.shown}")
    for grantee in grantees:
        if command.revoke:
            less = AclItem(grantee, grantor, "" if command.option else passed, passed)
            items = without(items, less, about.owner, cascade=command.cascade)
        else:
            items = granted(items, AclItem(grantee, grantor, passed, passed if command.option else ""))
    _put(host, place, items)


def _put(host: Host, place: Place, items: tuple[AclItem, ...]) -> None:
    about, number = place.about, place.number
    known = host.catalog.acls.get((about.oid, number))
    if items == items_of(host.catalog, about, number):
        return
    if known is not None:
        host.transaction.define(replace(known, items=items))
        return
    oid = host.transaction.allocate_oid()
    host.transaction.define(Acl(oid, about.oid, number, items, place.temporary))


def _grantor(catalog: Catalog, role: int, place: Place, letters: str) -> tuple[int, str]:
    """The role that grants, of those that a role may act for, and the rights that it may pass on."""
    owner = place.about.owner
    roles = roles_of(catalog, role)
    if owner in roles or is_superuser(catalog, role):
        return owner, letters
    items = items_of(catalog, place.about)
    if place.number:
        items += items_of(catalog, place.about, place.number)
    options = {each: set(may_grant(items, owner, each)) & set(letters) for each in roles}
    best = max([role, *sorted(roles - {role})], key=lambda each: len(options[each]))
    return best, sorted_rights(options[best])


def _has_any(catalog: Catalog, role: int, about: Subject, number: int) -> bool:
    """Whether a role has any right on an object, or on the column."""
    found = held(catalog, role, about) + held(catalog, role, about, options=True)
    if number:
        found += held(catalog, role, about, number)
    return bool(found)


def without(items: tuple[AclItem, ...], less: AclItem, owner: int, *, cascade: bool) -> tuple[AclItem, ...]:
    """A list without what one item says, and without what depended on it. Raises 2BP01 unless `cascade`."""
    before = may_grant(items, owner, less.grantee)
    items = revoked(items, less)
    lost = set(before) - set(may_grant(items, owner, less.grantee))
    for item in items:
        if item.grantor == less.grantee != PUBLIC_ROLE and lost & set(item.rights):
            if not cascade:
                raise DependentObjectsStillExist(
                    "dependent privileges exist", hint="Use CASCADE to revoke them too."
                )
            gone = sorted_rights(lost & set(item.rights))
            items = without(items, AclItem(item.grantee, item.grantor, gone, gone), owner, cascade=True)
    return items


# default privileges


def alter_default(host: Host, command: commands.DefaultPrivileges, text: str) -> Outcome:
    """ALTER DEFAULT PRIVILEGES."""
    grant, kind = command.grant, command.grant.kind
    own = {"S": "s"}.get(kind, kind)
    if command.schemas and kind == "n":
        raise InvalidGrantOperation("cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS")
    word = "relation" if own == "r" else KINDS[own].word
    if any(right.columns for right in grant.rights):
        raise InvalidGrantOperation("default privileges cannot be set for columns")
    letters = sorted_rights("".join(letters_of(right.name, own, word) for right in grant.rights))
    grantees = grantees_of(host, grant)
    creators = [role_named(host, name) for name in command.creators] or [_me(host)]
    schemas = [host.catalog.must_schema(name).oid for name in command.schemas] or [0]
    for creator in creators:
        if not is_superuser(host.catalog, _me(host)) and creator not in roles_of(host.catalog, _me(host)):
            raise InsufficientPrivilege("permission denied to change default privileges")
        for schema in schemas:
            _change_default(host, grant, (creator, schema, kind), letters, grantees)
    return done("ALTER DEFAULT PRIVILEGES")


def _change_default(
    host: Host,
    command: commands.Grant,
    key: tuple[int, int, str],
    letters: str,
    grantees: tuple[int, ...],
) -> None:
    creator, schema, kind = key
    host.transaction.lock_table((0, default_name(*key)), TableMode.AccessExclusiveLock)
    known = host.catalog.default_acls.get(key)
    base = () if schema else default_items({"S": "s"}.get(kind, kind), creator)
    items = base if known is None else known.items
    for grantee in grantees:
        if command.revoke:
            less = AclItem(grantee, creator, "" if command.option else letters, letters)
            items = without(items, less, creator, cascade=command.cascade)
        else:
            items = granted(items, AclItem(grantee, creator, letters, letters if command.option else ""))
    if sorted(items) == sorted(base):
        if known is not None:
            host.transaction.drop(known)
    elif known is not None:
        host.transaction.define(replace(known, items=items))
    else:
        host.transaction.define(DefaultAcl(host.transaction.allocate_oid(), *key, items))
