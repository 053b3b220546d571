"""has_table_privilege and its kin, ACLs, and the sizes of things.

There are no grants: every role may use every object, and a superuser alone what needs one. A name that
nothing has is an error, an OID that nothing has gives null, a privilege PostgreSQL does not know is
22023.
"""

from __future__ import annotations

from typing import Any

from engine.functions.registry import scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from engine.seams import Kind
from engine.values.decimals import rounded
from storage.column import Column
from storage.definitions import DATABASE_OID, Table, View
from storage.errors import InvalidCatalogName, InvalidParameterValue, UndefinedColumn, UndefinedObject
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
    array_of,
)

_TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_COLUMN = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
_OBJECTS: dict[str, tuple[Kind | None, tuple[str, ...]]] = {
    "table": ("class", (*_TABLE, "RULE")),
    "any_column": ("class", _COLUMN),
    "sequence": ("class", ("USAGE", "SELECT", "UPDATE")),
    "schema": ("namespace", ("CREATE", "USAGE")),
    "database": (None, ("CREATE", "CONNECT", "TEMPORARY", "TEMP")),
    "function": ("procedure", ("EXECUTE",)),
    "type": ("type", ("USAGE",)),
}


def _check(privileges: str, known: tuple[str, ...]) -> None:
    for item in privileges.split(","):
        word = item.strip().upper().removesuffix(" WITH GRANT OPTION").strip()
        if word not in known:
            raise InvalidParameterValue(f'unrecognized privilege type: "{item.strip()}"')


def _role(run: Run, role: Any) -> None:
    catalog = run.snapshot.catalog
    if isinstance(role, str) and role != "public" and catalog.role(role) is None:
        raise UndefinedObject(f'role "{role}" does not exist')


def _exists(run: Run, kind: Kind | None, item: Any) -> bool:
    if kind is None:
        if isinstance(item, int):
            return item == DATABASE_OID
        if item != session_of(run).database:
            raise InvalidCatalogName(f'database "{item}" does not exist')
        return True
    if isinstance(item, int):
        return not session_of(run).name_of(kind, item).lstrip("-").isdigit()
    session_of(run).oid_of(kind, item)
    return True


def _privilege(name: str) -> None:
    kind, known = _OBJECTS[name]

    def answer(run: Run, role: Any, item: Any, privileges: str) -> bool | None:
        _check(privileges, known)
        _role(run, role)
        return True if _exists(run, kind, item) else None

    for item in (TEXT, OID):

        @scalar(f"has_{name}_privilege", [item, TEXT], BOOL, volatility="s", run=True)
        def own(item: Column, privileges: Column, run: Run) -> Column:
            """Whether the user may do this with the object."""
            return each(lambda i, p: answer(run, None, i, p), item, privileges, type=BOOL)

        for role in (NAME, OID):

            @scalar(f"has_{name}_privilege", [role, item, TEXT], BOOL, volatility="s", run=True)
            def of_role(role: Column, item: Column, privileges: Column, run: Run) -> Column:
                """Whether a role may do this with the object."""
                return each(lambda r, i, p: answer(run, r, i, p), role, item, privileges, type=BOOL)


for _name in _OBJECTS:
    _privilege(_name)


def _column_privilege(run: Run, role: Any, table: Any, column: Any, privileges: str) -> bool | None:
    _check(privileges, _COLUMN)
    _role(run, role)
    if not _exists(run, "class", table):
        return None
    oid = table if isinstance(table, int) else session_of(run).oid_of("class", table)
    relation = run.snapshot.catalog.relations.get(oid)
    if not isinstance(relation, Table):
        return True
    if isinstance(column, int):
        return True if any(c.number == column for c in relation.columns) else None
    if relation.column(column) is None:
        raise UndefinedColumn(f'column "{column}" of relation "{relation.name}" does not exist')
    return True


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


def _member(run: Run, user: Any, role: Any, privileges: str) -> bool | None:
    _check(privileges, ("USAGE", "MEMBER"))
    catalog = run.snapshot.catalog
    _role(run, user)
    _role(run, role)
    one = catalog.roles.get(user) if isinstance(user, int) else catalog.role(user)
    other = catalog.roles.get(role) if isinstance(role, int) else catalog.role(role)
    if one is None or other is None:
        return None
    return one.superuser or one.oid == other.oid


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


# The letters of ACLs, by the kind of object as acldefault names it.
_LETTERS = {
    "r": "SELECT",
    "w": "UPDATE",
    "a": "INSERT",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
}
_DEFAULTS = {
    "r": ("arwdDxt", ""),
    "s": ("rwU", ""),
    "d": ("CTc", "Tc"),
    "f": ("X", "X"),
    "l": ("U", "U"),
    "n": ("UC", ""),
    "t": ("C", ""),
    "T": ("U", "U"),
    "F": ("U", ""),
    "S": ("U", ""),
    "L": ("rw", ""),
    "c": ("", ""),
}


@scalar("acldefault", [CHAR, OID], array_of(ACLITEM), volatility="s", run=True)
def acldefault(kind: Column, owner: Column, run: Run) -> Column:
    """The rights on a new object of a kind that its owner and the public have."""
    roles = run.snapshot.catalog.roles

    def one(kind: int, owner: int) -> list[str]:
        if chr(kind) not in _DEFAULTS:
            raise InvalidParameterValue(f"unrecognized object type abbreviation: {chr(kind)}")
        own, public = _DEFAULTS[chr(kind)]
        name = roles[owner].name if owner in roles else str(owner)
        return ([f"={public}/{name}"] if public else []) + ([f"{name}={own}/{name}"] if own else [])

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
    for item in items.tolist()[0]:
        rights, _, grantor = str(item).rpartition("/")
        grantee, _, letters = rights.rpartition("=")
        giver, taker = catalog.role(grantor), catalog.role(grantee)
        for at, letter in enumerate(letters):
            if letter in _LETTERS:
                grantable = letters[at + 1 : at + 2] == "*"
                rows.append(
                    (giver.oid if giver else 0, taker.oid if taker else 0, _LETTERS[letter], grantable)
                )
    return [Column.of(type, [row[i] for row in rows]) for i, type in enumerate((OID, OID, TEXT, BOOL))]


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
    return each(lambda i: _database_size(run) if _exists(run, None, i) else None, item, type=INT8)


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


@scalar("pg_size_pretty", [INT8], TEXT)
def pg_size_pretty(size: Column) -> Column:
    """A number of bytes in a readable unit."""
    return each(pretty_size, size)


@scalar("pg_size_pretty", [NUMERIC], TEXT)
def numeric_size_pretty(size: Column) -> Column:
    """A number of bytes in a readable unit."""
    return each(lambda s: pretty_size(int(rounded(s, 0))), size)
