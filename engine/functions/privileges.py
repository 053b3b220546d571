"""has_table_privilege and its kin, ACLs, and the sizes of things.

A name that nothing has is an error, an OID that nothing has gives null, a privilege PostgreSQL does not know
is 22023. Of several privileges one is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from engine.seams import Kind
from engine.values.decimals import rounded
from storage.column import Column
from storage.definitions import (
    DATABASE_OID,
    LANGUAGE_INTERNAL,
    LANGUAGE_SQL,
    TABLESPACE_DEFAULT,
    TABLESPACE_GLOBAL,
    ColumnDefinition,
    Table,
    View,
    ViewColumn,
)
from storage.errors import (
    InvalidCatalogName,
    InvalidParameterValue,
    NumericValueOutOfRange,
    UndefinedColumn,
    UndefinedObject,
)
from storage.grants import PUBLIC_ROLE
from storage.rights import KINDS, NAMES, RIGHTS, default_items, is_superuser, item_texts, roles_of
from storage.types import (
    ACLITEM,
    BOOL,
    CHAR,
    INT2,
    INT8,
    NAME,
    NUMERIC,
    OID,
    REGCLASS,
    TEXT,
    Type,
    array_of,
)

_TABLE = "arwdDxt"
_COLUMN = "arwx"
_OBJECTS: dict[str, tuple[Kind | None, str]] = {
    "table": ("class", _TABLE),
    "any_column": ("class", _COLUMN),
    "sequence": ("class", "rwU"),
    "schema": ("namespace", "UC"),
    "database": (None, "CTc"),
    "function": ("procedure", "X"),
    "type": ("type", "U"),
}
_OPTION = " WITH GRANT OPTION"
_GRANTABLE = "*"


def _asked(privileges: str, known: str, more: Sequence[str] = ()) -> list[tuple[str, bool]]:
    """(letter, whether WITH GRANT OPTION) of each of the words. Raises InvalidParameterValue."""
    found = []
    for item in privileges.split(","):
        word = " ".join(item.upper().split())
        option, word = word.endswith(_OPTION), word.removesuffix(_OPTION)
        letter = "T" if word == "TEMP" else RIGHTS.get(word, "")
        if word not in more and (not letter or letter not in known):
            raise InvalidParameterValue(f'unrecognized privilege type: "{item.strip()}"')
        found.append((letter, option))
    return found


def _role(run: Run, role: Any) -> int:
    """The OID of a role that is named, or of the user. Raises UndefinedObject."""
    catalog = run.snapshot.catalog
    if isinstance(role, int):
        return role
    if role == "public":
        return PUBLIC_ROLE
    found = catalog.role(session_of(run).user if role is None else role)
    if found is None and role is not None:
        raise UndefinedObject(f'role "{role}" does not exist')
    return 0 if found is None else found.oid


def _oid(run: Run, kind: Kind | None, item: Any) -> int:
    """The OID of an object that is named. Raises UndefinedTable and its kin."""
    if isinstance(item, int):
        return item
    if kind is not None:
        return session_of(run).oid_of(kind, item)
    if item != session_of(run).database:
        raise InvalidCatalogName(f'database "{item}" does not exist')
    return DATABASE_OID


def _may(run: Run, kind: Kind | None, oid: int, role: int, asked: Sequence[tuple[str, bool]]) -> bool | None:
    """Whether a role has one of the rights that are asked for; None where nothing has the OID."""
    for letter, option in asked:
        found = session_of(run).rights_on(kind, oid, role, options=option)
        if found is None:
            return None
        if letter and letter in found:
            return True
    return False


def _column_may(run: Run, oid: int, number: int, role: int, asked: Sequence[tuple[str, bool]]) -> bool:
    """Whether a role has one of the rights on a column of its own."""
    rights_on = session_of(run).rights_on
    return any(
        letter in (rights_on("class", oid, role, number, options=option) or "") for letter, option in asked
    )


def _declare(name: str, items: Sequence[Type], answer: Callable[[Run, Any, Any, str], bool | None]) -> None:
    """has_..._privilege of an object by its name or OID, of the user or of a role."""
    for item in items:

        @scalar(f"has_{name}_privilege", [item, TEXT], BOOL, volatility="s", run=True)
        def own(item: Column, privileges: Column, run: Run) -> Column:
            """Whether the user may do this with the object."""
            return each(lambda i, p: answer(run, None, i, p), item, privileges, type=BOOL)

        for role in (NAME, OID):

            @scalar(f"has_{name}_privilege", [role, item, TEXT], BOOL, volatility="s", run=True)
            def of_role(role: Column, item: Column, privileges: Column, run: Run) -> Column:
                """Whether a role may do this with the object."""
                return each(lambda r, i, p: answer(run, r, i, p), role, item, privileges, type=BOOL)


def _privilege(name: str) -> None:
    kind, known = _OBJECTS[name]
    more = ("RULE",) if name == "table" else ()

    def answer(run: Run, role: Any, item: Any, privileges: str) -> bool | None:
        who, oid = _role(run, role), _oid(run, kind, item)
        asked = _asked(privileges, known, more)
        found = _may(run, kind, oid, who, asked)
        if found is False and name == "any_column":
            columns = session_of(run).column_numbers(oid)
            return any(_column_may(run, oid, number, who, asked) for number in columns)
        return found

    _declare(name, (TEXT, OID), answer)


for _name in _OBJECTS:
    _privilege(_name)


# Objects that there are a fixed few of, or none: by what they are called, the names with their OIDs,
# the letters of their rights, and those of these that everybody has.
_FIXED: dict[str, tuple[str, dict[str, int], str, str]] = {
    "language": ("language", {"internal": LANGUAGE_INTERNAL, "sql": LANGUAGE_SQL}, "U", "U"),
    "tablespace": (
        "tablespace",
        {"pg_default": TABLESPACE_DEFAULT, "pg_global": TABLESPACE_GLOBAL},
        "C",
        "",
    ),
    "server": ("server", {}, "U", ""),
    "foreign_data_wrapper": ("foreign-data wrapper", {}, "U", ""),
}


def _fixed_privilege(name: str) -> None:
    what, known, letters, public = _FIXED[name]

    def answer(run: Run, role: Any, item: Any, privileges: str) -> bool | None:
        who = _role(run, role)
        if isinstance(item, str) and item not in known:
            raise UndefinedObject(f'{what} "{item}" does not exist')
        asked = _asked(privileges, letters)
        if isinstance(item, int) and item not in known.values():
            return None
        everybody = any(letter in public and not option for letter, option in asked)
        return everybody or is_superuser(run.snapshot.catalog, who)

    _declare(name, (TEXT, OID), answer)


def _parameter_privilege(run: Run, role: Any, item: Any, privileges: str) -> bool:
    """Nobody but a superuser is given a right on a setting; whoever may set one needs none."""
    who = _role(run, role)
    for privilege in privileges.split(","):
        word = " ".join(privilege.upper().split()).removesuffix(_OPTION)
        if word not in ("SET", "ALTER SYSTEM"):
            raise InvalidParameterValue(f'unrecognized privilege type: "{privilege.strip()}"')
    return is_superuser(run.snapshot.catalog, who)


for _name in _FIXED:
    _fixed_privilege(_name)
_declare("parameter", (TEXT,), _parameter_privilege)


def _column_names(relation: Table | View) -> list[str]:
    columns: tuple[ColumnDefinition | ViewColumn, ...] = relation.columns
    return [column.name for column in columns]


def _column_privilege(run: Run, role: Any, table: Any, column: Any, privileges: str) -> bool | None:
    who, oid = _role(run, role), _oid(run, "class", table)
    asked = _asked(privileges, _COLUMN)
    found = _may(run, "class", oid, who, asked)
    if found is None:
        return None
    relation = run.snapshot.catalog.relations.get(oid)
    if not isinstance(relation, Table | View):
        return found
    numbers = session_of(run).column_numbers(oid)
    if not isinstance(column, int):
        known = _column_names(relation)
        if column not in known:
            raise UndefinedColumn(f'column "{column}" of relation "{relation.name}" does not exist')
        column = numbers[known.index(column)]
    elif column not in numbers:
        return None
    return found or _column_may(run, oid, column, who, asked)


for _table in (TEXT, OID):
    for _item in (TEXT, INT2):

        @scalar("has_column_privilege", [_table, _item, TEXT], BOOL, volatility="s", run=True)
        def own_column(table: Column, column: Column, privileges: Column, run: Run) -> Column:
            """Whether the user may do this with the column."""
            return each(
                lambda t, c, p: _column_privilege(run, None, t, c, p), table, column, privileges, type=BOOL
            )

        for _of in (NAME, OID):

            @scalar("has_column_privilege", [_of, _table, _item, TEXT], BOOL, volatility="s", run=True)
            def column_of_role(
                role: Column, table: Column, column: Column, privileges: Column, run: Run
            ) -> Column:
                """Whether a role may do this with the column."""
                return each(
                    lambda r, t, c, p: _column_privilege(run, r, t, c, p),
                    role,
                    table,
                    column,
                    privileges,
                    type=BOOL,
                )


_ADMIN = (" WITH ADMIN OPTION", " WITH GRANT OPTION")


def _member(run: Run, user: Any, role: Any, privileges: str) -> bool | None:
    one, other = _role(run, user), _role(run, role)
    catalog = run.snapshot.catalog
    found = False
    for item in privileges.split(","):
        word = " ".join(item.upper().split())
        plain = word
        for option in _ADMIN:
            plain = plain.removesuffix(option)
        if plain not in ("USAGE", "MEMBER"):
            raise InvalidParameterValue(f'unrecognized privilege type: "{item.strip()}"')
        if plain != word:
            mine = roles_of(catalog, one, inherited=False)
            admin = [m for each in mine for m in catalog.memberships.get(each, ()) if m.admin]
            found = found or is_superuser(catalog, one) or any(m.role == other for m in admin)
        else:
            roles = roles_of(catalog, one, inherited=plain == "USAGE")
            found = found or is_superuser(catalog, one) or other in roles
    return found


for _item in (NAME, OID):

    @scalar("pg_has_role", [_item, TEXT], BOOL, volatility="s", run=True)
    def pg_has_role(role: Column, privileges: Column, run: Run) -> Column:
        """Whether the user has the rights of a role."""
        user = session_of(run).user
        return each(lambda r, p: _member(run, user, r, p), role, privileges, type=BOOL)

    for _of in (NAME, OID):

        @scalar("pg_has_role", [_of, _item, TEXT], BOOL, volatility="s", run=True)
        def role_has_role(user: Column, role: Column, privileges: Column, run: Run) -> Column:
            """Whether a role has the rights of another."""
            return each(lambda u, r, p: _member(run, u, r, p), user, role, privileges, type=BOOL)


@scalar("acldefault", [CHAR, OID], array_of(ACLITEM), volatility="s", run=True)
def acldefault(kind: Column, owner: Column, run: Run) -> Column:
    """The rights on a new object of a kind that its owner and the public have."""
    catalog = run.snapshot.catalog

    def one(kind: int, owner: int) -> list[str]:
        if chr(kind) not in KINDS:
            raise InvalidParameterValue(f"unrecognized object type abbreviation: {chr(kind)}")
        return item_texts(catalog, default_items(chr(kind), owner))

    return each(one, kind, owner, type=array_of(ACLITEM))


@scalar(
    "aclexplode",
    [array_of(ACLITEM)],
    TEXT,
    returns_set=True,
    volatility="s",
    run=True,
    columns=(("grantor", OID), ("grantee", OID), ("privilege_type", TEXT), ("is_grantable", BOOL)),
)
def aclexplode(items: Column, run: Run) -> list[Column]:
    """The rights in an ACL, a row each."""
    catalog = run.snapshot.catalog
    rows: list[tuple[int, int, str, bool]] = []
    for item in items.tolist()[0] or ():
        rights, _, grantor = str(item).rpartition("/")
        grantee, _, letters = rights.rpartition("=")
        giver, taker = catalog.role(_unquoted(grantor)), catalog.role(_unquoted(grantee))
        for at, letter in enumerate(letters):
            if letter in NAMES:
                grantable = letters[at + 1 : at + 2] == _GRANTABLE
                pair = (giver.oid if giver else 0, taker.oid if taker else 0)
                rows.append((*pair, NAMES[letter], grantable))
    return [Column.of(type, [row[i] for row in rows]) for i, type in enumerate((OID, OID, TEXT, BOOL))]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _size(run: Run, oid: int) -> int | None:
    """About how many bytes a table takes: its visible rows times their width."""
    relation = run.snapshot.catalog.relations.get(oid)
    if relation is None:
        keys = {index.oid for table in run.snapshot.catalog.tables() for index in table.every_index}
        known = oid in keys or not session_of(run).name_of("class", oid).isdigit()
        return 0 if known else None
    if not isinstance(relation, Table):
        return 0 if isinstance(relation, View) else 8
    view = run.snapshot.table(oid)
    return view.estimated_rows * sum(
        _width(column.type.size, column.type.modifier) for column in relation.columns
    )


def _width(size: int, modifier: int) -> int:
    return size if size > 0 else max(modifier, 32)


for _name in ("pg_relation_size", "pg_table_size", "pg_total_relation_size"):

    @scalar(_name, [REGCLASS], INT8, volatility="v", run=True)
    def relation_size(oid: Column, run: Run) -> Column:
        """About how many bytes a relation takes, before compression."""
        return each(lambda o: _size(run, o), oid, type=INT8)


@scalar("pg_relation_size", [REGCLASS, TEXT], INT8, volatility="v", run=True)
def fork_size(oid: Column, fork: Column, run: Run) -> Column:
    """About how many bytes a relation takes; other forks than main have none."""
    return each(lambda o, f: _size(run, o) if f == "main" else 0, oid, fork, type=INT8)


@scalar("pg_stat_get_live_tuples", [OID], INT8, volatility="s", run=True)
def live_tuples(oid: Column, run: Run) -> Column:
    """About how many rows a table has; nothing has no rows."""
    tables = {table.oid for table in run.snapshot.catalog.tables()}
    return each(lambda o: run.snapshot.table(o).estimated_rows if o in tables else 0, oid, type=INT8)


@scalar("pg_indexes_size", [REGCLASS], INT8, volatility="v")
def pg_indexes_size(oid: Column) -> Column:
    """What indexes take: keys are kept with their rows."""
    return each(lambda o: 0, oid, type=INT8)


def _database_size(run: Run) -> int:
    tables = list(run.snapshot.catalog.tables())
    return sum(_size(run, table.oid) or 0 for table in tables)


@scalar("pg_database_size", [NAME], INT8, volatility="v", run=True)
@scalar("pg_database_size", [OID], INT8, volatility="v", run=True)
def pg_database_size(item: Column, run: Run) -> Column:
    """About how many bytes the tables of a database take."""
    return each(
        lambda i: _database_size(run) if _oid(run, None, i) == DATABASE_OID else None, item, type=INT8
    )


@scalar("pg_tablespace_size", [OID], INT8, volatility="v", run=True)
def pg_tablespace_size(oid: Column, run: Run) -> Column:
    """About how many bytes the tables take."""
    return each(lambda o: _database_size(run), oid, type=INT8)


_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def pretty_size(size: int) -> str:
    """Bytes in the unit that leaves up to five digits, halves away from zero."""
    sign, size = ("-", -size) if size < 0 else ("", size)
    unit = 0
    if size >= 10 * 1024:
        size >>= 9  # twice the kilobytes, so that the last bit rounds
        unit = 1
        while size >= 20 * 1024 - 1 and unit < len(_UNITS) - 1:
            size >>= 10
            unit += 1
        size = (size + 1) // 2
    return f"{sign}{size} {_UNITS[unit]}"


_SIZE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([A-Za-z]*)\s*", re.IGNORECASE)
_FACTORS = {
    "": 1,
    "bytes": 1,
    "kb": 1 << 10,
    "mb": 1 << 20,
    "gb": 1 << 30,
    "tb": 1 << 40,
    "pb": 1 << 50,
}


@scalar("pg_size_bytes", [TEXT], INT8)
def pg_size_bytes(size: Column) -> Column:
    """The bytes that a size with a unit is: 1.5 GB."""

    def one(text: str) -> int:
        found = _SIZE.fullmatch(text)
        if found is None:
            raise InvalidParameterValue(f'invalid size: "{text}"')
        factor = _FACTORS.get(found[2].lower())
        if factor is None:
            raise InvalidParameterValue(
                f'invalid size: "{text}"',
                detail=f'Invalid size unit: "{found[2]}".',
                hint='Valid units are "bytes", "kB", "MB", "GB", "TB", and "PB".',
            )
        count = int(rounded(Decimal(found[1]) * factor, 0))
        if not -(1 << 63) <= count < 1 << 63:
            raise NumericValueOutOfRange("bigint out of range")
        return count

    return each(one, size, type=INT8)


@scalar("pg_size_pretty", [INT8], TEXT)
def pg_size_pretty(size: Column) -> Column:
    """A number of bytes in a readable unit."""
    return each(pretty_size, size)


@scalar("pg_size_pretty", [NUMERIC], TEXT)
def numeric_size_pretty(size: Column) -> Column:
    """A number of bytes in a readable unit."""
    return each(_numeric_size, size)


def _numeric_size(size: Decimal) -> str:
    return f"{size:f} bytes" if abs(size) < 10 * 1024 else pretty_size(int(size))
