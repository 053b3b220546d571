"""Definitions: what the catalog holds, as values: tables, views, functions, schemas, roles and their like.

They hold SQL text for what only sql/ understands (defaults, checks, bodies). Every OID survives a restart;
those below FIRST_USER_OID belong to built-in objects. Types that users make: storage.usertypes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from storage.grants import Grant
from storage.systemcolumns import SYSTEM_COLUMNS
from storage.types import Attribute, Type, composite
from storage.usertypes import BOOTSTRAP_ROLE as BOOTSTRAP_ROLE
from storage.usertypes import UserType

FIRST_USER_OID = 16_384
PG_CATALOG, PUBLIC, INFORMATION_SCHEMA = 11, 2200, 13_000
TABLESPACE_DEFAULT, TABLESPACE_GLOBAL = 1663, 1664
LANGUAGE_INTERNAL, LANGUAGE_SQL = 12, 14
DATABASE_OID = 5
HIDDEN = 20_000  # attnums of hidden columns are greater


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column of a table. `number` is attnum: from 1, never reused after DROP COLUMN."""

    name: str
    type: Type
    number: int
    not_null: bool = False
    default: str | None = None  # SQL text of an expression
    identity: str = ""  # '', 'a' (always), 'd' (by default)
    sequence: int = 0  # OID of the sequence behind serial, identity, AUTO_INCREMENT
    missing: Any = None  # the value, as Column.tolist gives it, of rows older than the column
    comment: str = ""
    generated: str = ""  # SQL text of what it is computed by: GENERATED ALWAYS AS (...) STORED
    reads: tuple[int, ...] = ()  # attnums of the columns that this text names


class KeyColumns(NamedTuple):
    """What a key or an index is over: attnums in their order, and whether nulls are equal in it."""

    numbers: tuple[int, ...]
    nulls: bool = False

    @property
    def name(self) -> str:
        """What its index is called in a segment's file."""
        return f"hash:{','.join(map(str, self.numbers))}{':nulls' if self.nulls else ''}"


class UniqueKey(NamedTuple):
    """What may stand in a table once: a constraint, or a unique index, of this name."""

    name: str
    columns: KeyColumns


@dataclass(frozen=True, slots=True)
class References:
    """What a foreign key points to. Letters are those of pg_constraint."""

    table: int
    columns: tuple[int, ...]  # attnums there, pairwise with the constraint's
    index: int = 0  # OID of the unique index that holds them
    match: str = "s"  # 's' simple, 'f' full
    on_update: str = "a"  # 'a' no action, 'r' restrict, 'c' cascade, 'n' set null, 'd' set default
    on_delete: str = "a"
    set_columns: tuple[int, ...] = ()  # of ON DELETE SET NULL (columns); none: all


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint of a table; `columns` are attnums. `kind` is pg_constraint.contype."""

    oid: int
    name: str
    kind: str  # 'p' primary key, 'u' unique, 'c' check, 'f' foreign key
    columns: tuple[int, ...]
    expression: str = ""  # SQL text of a check
    index: int = 0  # OID of the index that a key shows as in pg_class
    references: References | None = None  # of a foreign key
    deferrable: bool = False
    deferred: bool = False  # INITIALLY DEFERRED
    validated: bool = True  # whether the rows that were there when it was added meet it
    nulls: bool = False  # NULLS NOT DISTINCT
    comment: str = ""
    options: tuple[tuple[str, str], ...] = ()  # storage parameters of a key's index


@dataclass(frozen=True, slots=True)
class Index:
    """An index that was made by name; those of keys belong to their constraints."""

    oid: int
    name: str
    columns: tuple[int, ...]
    unique: bool = False
    nulls: bool = False  # NULLS NOT DISTINCT
    method: str = "btree"  # as it was asked for: what is there is a hash index in every case
    orders: tuple[str, ...] = ()  # behind each column: '', 'DESC', 'NULLS FIRST'
    included: tuple[int, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    constraint: str = ""  # kind of the constraint that it belongs to, '' where it was made by name
    operator_classes: tuple[str, ...] = ()  # behind each column, '' for the default one
    built: bool = True  # whether there is one: those of approximate answers are kept by name only
    expression: str = ""  # SQL text of what such a one is over, of its one column
    expressions: tuple[str, ...] = ()  # of others: SQL text in the place of each column, '' for itself
    results: tuple[int, ...] = ()  # OIDs of the expressions' types, 0 for a column itself
    predicate: str = ""  # SQL text of which rows it is of, '' for all
    reads: tuple[int, ...] = ()  # attnums of the columns that these texts name
    keys: tuple[int, ...] = ()  # attnums of what is unique: hidden columns among them; none: `columns`

    def text(self, at: int) -> str:
        """The expression in the place of a column, '' where there is none."""
        return self.expressions[at] if self.expressions else self.expression

    @property
    def key(self) -> KeyColumns:
        """What it is over, in the table's rows."""
        return KeyColumns(self.keys or self.columns, self.nulls)


@dataclass(frozen=True, slots=True)
class Materialized:
    """What makes a table a materialized view: the query whose rows it holds. See View for its parts."""

    text: str
    depends: tuple[tuple[int, int], ...]
    rule: int
    populated: bool = True  # whether it holds rows of the query at all


@dataclass(frozen=True)
class Table:
    """A table, or a materialized view: its columns in order and what holds among them.

    Hidden columns stand behind the others in its rows, and nowhere else: what unique indexes on expressions
    have as keys. What follows from all this is found out once.
    """

    oid: int
    schema: int
    name: str
    columns: tuple[ColumnDefinition, ...]
    constraints: tuple[Constraint, ...] = ()
    sort_key: tuple[tuple[int, bool], ...] = ()  # (attnum, descending)
    shard_key: tuple[int, ...] = ()
    owner: int = BOOTSTRAP_ROLE
    type_oid: int = 0  # pg_type's row type
    array_type_oid: int = 0
    segment_rows: int = 1_024_000
    options: tuple[tuple[str, str], ...] = ()  # pg_class.reloptions
    comment: str = ""
    version: int = 1
    indexes: tuple[Index, ...] = ()
    temporary: bool = False
    highest: int = 0  # the greatest attnum of a column that was dropped
    on_commit: str = ""  # of a temporary table: '' its rows stay, 'delete' they go, 'drop' it goes itself
    materialized: Materialized | None = None
    hidden: tuple[ColumnDefinition, ...] = ()
    highest_hidden: int = HIDDEN  # the greatest attnum of a hidden column that was dropped
    unlogged: bool = False  # as it was asked for: its rows are in the log like others
    clustered: int = 0  # OID of the index that CLUSTER named last

    @cached_property
    def stored(self) -> tuple[ColumnDefinition, ...]:
        """The columns that its rows have."""
        return (*self.columns, *self.hidden)

    @property
    def next_hidden(self) -> int:
        """The attnum of the next hidden column."""
        return max([self.highest_hidden, *(column.number for column in self.hidden)]) + 1

    @property
    def pruned(self) -> Table:
        """The table without the hidden columns that none of its indexes has as a key."""
        used = {number for index in self.indexes for number in index.keys}
        left = tuple(column for column in self.hidden if column.number in used)
        if left == self.hidden:
            return self
        return replace(self, hidden=left, highest_hidden=self.next_hidden - 1)

    @cached_property
    def last_number(self) -> int:
        """The greatest attnum that a column has or had."""
        return max([self.highest, *(column.number for column in self.columns)])

    def column(self, name: str) -> ColumnDefinition | None:
        """The column of this name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)

    def position(self, number: int) -> int:
        """Where the column with attnum `number` stands among `stored`."""
        return self._positions[number]

    def definition(self, number: int) -> ColumnDefinition:
        """The column with attnum `number`; of a system column, tableoid says `missing`."""
        if number < 0:
            system = SYSTEM_COLUMNS[number]
            return ColumnDefinition(system.name, system.type, number, missing=self.oid)
        return self.stored[self._positions[number]]

    def at(self, place: int) -> ColumnDefinition:
        """The column that stands at a position of `columns`, or the system column of a negative attnum."""
        return self.definition(place) if place < 0 else self.columns[place]

    @cached_property
    def _positions(self) -> dict[int, int]:
        return {column.number: position for position, column in enumerate(self.stored)}

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The attnums of the columns that are stored, in their order."""
        return tuple(self._positions)

    @cached_property
    def types(self) -> tuple[Type, ...]:
        """The types of the columns that are stored."""
        return tuple(column.type for column in self.stored)

    @cached_property
    def row_type(self) -> Type:
        """The type of its rows."""
        fields = (Attribute(c.name, c.type, c.number) for c in self.columns)
        return composite(self.name, self.type_oid, self.array_type_oid, fields)

    @cached_property
    def keys(self) -> tuple[Constraint, ...]:
        """Primary key and unique constraints."""
        return tuple(c for c in self.constraints if c.kind in "pu")

    @cached_property
    def every_index(self) -> tuple[Index, ...]:
        """Those of keys, then those made by name."""
        keys = (
            Index(c.index, c.name, c.columns, True, c.nulls, options=c.options, constraint=c.kind)
            for c in self.keys
        )
        return (*keys, *self.indexes)

    @cached_property
    def unique_keys(self) -> tuple[UniqueKey, ...]:
        """What is unique: keys, then unique indexes."""
        return tuple(UniqueKey(i.name, i.key) for i in self.every_index if i.unique)

    @cached_property
    def indexed(self) -> tuple[tuple[str, KeyColumns], ...]:
        """(name of an index, its columns) of all keys and indexes; the unique ones first."""
        others = ((i.name, i.key) for i in self.indexes if i.built and not i.unique)
        return (*self.unique_keys, *others)

    @cached_property
    def foreign_keys(self) -> tuple[Constraint, ...]:
        """What points to other tables, or to this one."""
        return tuple(c for c in self.constraints if c.kind == "f")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence's parameters; its current value is not part of the catalog."""

    oid: int
    schema: int
    name: str
    type: Type
    start: int = 1
    increment: int = 1
    minimum: int = 1
    maximum: int = 2**63 - 1
    cycle: bool = False
    owner: int = BOOTSTRAP_ROLE
    owned_by: tuple[int, int] | None = None  # (table OID, attnum)
    version: int = 1
    temporary: bool = False
    cache: int = 1
    comment: str = ""
    file: int = 0  # under which its values are kept, where it was restarted: else under its OID
    restart: int | None = None  # the value that those begin with, if not `start`
    unlogged: bool = False  # see Table

    @property
    def key(self) -> int:
        """Under which its values are kept: RESTART gives it a new one, so that it rolls back."""
        return self.file or self.oid


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view; its attnum is its place, from 1."""

    name: str
    type: Type
    comment: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A view: a query as SQL text in which every name says what it is (see sql.unparse).

    `depends` are (OID, attnum) of what the query names, attnum 0 for a relation as a whole; it gives way
    to changes of nothing else. `rule` is the OID of its row in pg_rewrite.
    """

    oid: int
    schema: int
    name: str
    columns: tuple[ViewColumn, ...]
    text: str
    depends: tuple[tuple[int, int], ...]
    rule: int
    owner: int = BOOTSTRAP_ROLE
    type_oid: int = 0
    array_type_oid: int = 0
    options: tuple[tuple[str, str], ...] = ()
    temporary: bool = False
    comment: str = ""
    version: int = 1
    updatable: bool = False  # whether rows of a table could be written through it when it was made

    @property
    def row_type(self) -> Type:
        """The type of its rows."""
        fields = (Attribute(c.name, c.type, number) for number, c in enumerate(self.columns, 1))
        return composite(self.name, self.type_oid, self.array_type_oid, fields)


@dataclass(frozen=True, slots=True)
class Schema:
    oid: int
    name: str
    owner: int = BOOTSTRAP_ROLE
    comment: str = ""
    temporary: bool = False  # of one session: where its temporary relations are


@dataclass(frozen=True, slots=True)
class Role:
    """A user. `password` is a SCRAM-SHA-256 verifier in PostgreSQL's form, or None."""

    oid: int
    name: str
    superuser: bool = False
    login: bool = True
    password: str | None = None
    comment: str = ""
    inherit: bool = True  # whether it has the rights of roles that it is a member of, or has to SET ROLE
    createdb: bool = False
    createrole: bool = False
    connections: int = -1  # CONNECTION LIMIT, kept by name only
    until: int | None = None  # VALID UNTIL of the password: microseconds since 2000-01-01 UTC
    settings: tuple[tuple[str, str], ...] = ()  # what its sessions begin with, as SET takes them


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that was made in the schema. What it stands for is there without it, too."""

    oid: int
    name: str
    schema: int
    extension_version: str
    owner: int = BOOTSTRAP_ROLE
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a function. `mode` is that of pg_proc: i, o, b (INOUT), v (VARIADIC), t (TABLE)."""

    name: str
    type: Type
    mode: str = "i"
    default: str | None = None  # SQL text of an expression


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure in SQL: `body` are its statements as text.

    `path` is the search path that names in the body go by, none: that of who calls it; `depends` are
    (OID, attnum) of what such a body names. `row` is the OID of the relation whose rows it gives, 0 for none.
    Letters are those of pg_proc.
    """

    oid: int
    schema: int
    name: str
    arguments: tuple[Argument, ...]
    result: Type
    body: str
    returns_set: bool = False
    procedure: bool = False
    volatility: str = "v"
    strict: bool = False
    parallel: str = "u"
    leakproof: bool = False
    cost: float = 100.0
    rows: float = 0.0
    path: tuple[str, ...] = ()
    depends: tuple[tuple[int, int], ...] = ()
    row: int = 0
    owner: int = BOOTSTRAP_ROLE
    comment: str = ""
    version: int = 1

    @property
    def inputs(self) -> tuple[Argument, ...]:
        """What a call gives."""
        return tuple(a for a in self.arguments if a.mode in "ibv")

    @property
    def outputs(self) -> tuple[Argument, ...]:
        """What its rows are made of, where its arguments say so."""
        return tuple(a for a in self.arguments if a.mode in "obt")


Relation = Table | Sequence | View
Versioned = Relation | UserType | Function
"""What plans are made of: each change gives it another version."""
Definition = Relation | UserType | Function | Schema | Role | Extension | Grant


def type_defined(item: Definition | None) -> Type | None:
    """The type that a definition makes: its own, of a relation its rows'; None where it makes none."""
    if isinstance(item, UserType):
        return item.type
    return item.row_type if isinstance(item, Table | View) and item.type_oid else None


BUILT_IN_SCHEMAS = (
    Schema(PG_CATALOG, "pg_catalog"),
    Schema(PUBLIC, "public"),
    Schema(INFORMATION_SCHEMA, "information_schema"),
)
