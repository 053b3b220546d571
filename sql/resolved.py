"""What binding found the names of a tree to be: kept for those who write the tree out again.

A view is stored as text in which every name says what it is, whatever the search path and whatever other
tables get in columns later. A BindContext that has a `Resolved` fills it; nodes are known by identity, so
the tree has to live as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.seams import Reading
from sql.marks import Literal
from storage.types import BY_OID, REGCLASS, REGPROC, REGPROCEDURE, REGTYPE, Type


@dataclass(frozen=True, slots=True)
class TableName:
    """A relation of the catalog in FROM, under its alias."""

    oid: int
    schema: str
    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class ColumnName:
    """A column: of the relation `relation` in FROM ('': of several, merged by USING).

    `table` and `number` name the column of the catalog that this is by name; 0 where a subquery or an
    alias stands between.
    """

    relation: str
    name: str
    table: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class WholeRow:
    """The row of a relation in FROM, as one value."""

    relation: str
    columns: tuple[ColumnName, ...]


@dataclass(frozen=True, slots=True)
class FieldName:
    """A field of a row, and which attribute it is: (OID of the composite type, number)."""

    name: str
    attribute: tuple[int, int]


EVERYWHERE = Reading()
"""Dates year first, in UTC: what every session reads alike."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a string constant was read as: its text as the type writes it, the OID that a reg type reads."""

    mark: Literal
    type: Type
    text: str
    oid: int = 0


_OBJECTS = frozenset(type.oid for type in (REGCLASS, REGTYPE, REGPROC, REGPROCEDURE))


@dataclass
class Resolved:
    """See the module's text. Constants are read by `reads` and kept as `writes` writes them."""

    reads: Reading = EVERYWHERE
    writes: Reading = EVERYWHERE

    tables: dict[int, TableName] = field(default_factory=dict)
    columns: dict[int, ColumnName] = field(default_factory=dict)
    stars: dict[int, tuple[ColumnName, ...]] = field(default_factory=dict)
    expanded: dict[int, tuple[FieldName, ...]] = field(default_factory=dict)  # of (row).*
    rows: dict[int, WholeRow] = field(default_factory=dict)
    using: dict[int, tuple[str, ...]] = field(default_factory=dict)  # of joins
    fields: dict[int, tuple[int, int]] = field(default_factory=dict)  # (OID of a composite type, number)
    joined: set[tuple[int, int]] = field(default_factory=set)  # (table, attnum) that USING names

    types: dict[int, Type] = field(default_factory=dict)  # of the catalog's own, by casts

    functions: dict[int, int] = field(default_factory=dict)  # OIDs of the catalog's own, by calls

    literals: dict[int, Literal] = field(default_factory=dict)  # by expressions that they were bound to
    constants: dict[int, Known] = field(default_factory=dict)  # by marks

    def type(self, tree: object, type: Type) -> None:
        """A cast's type."""
        if type.single.catalog_oid not in BY_OID:
            self.types[id(tree)] = type

    def made_types(self) -> Iterator[Type]:
        """Types of the catalog's own that are named, or will be."""
        yield from self.types.values()
        for known in self.constants.values():
            if known.type.single.catalog_oid not in BY_OID:
                yield known.type

    def dependencies(self) -> Iterator[tuple[int, int]]:
        """(OID, attnum) of what is named, attnum 0 for a whole relation; some more than once."""
        for table in self.tables.values():
            yield table.oid, 0
        named: Iterable[ColumnName] = (
            *self.columns.values(),
            *(column for star in self.stars.values() for column in star),
            *(column for row in self.rows.values() for column in row.columns),
        )
        for column in named:
            if column.table and column.number > 0:
                yield column.table, column.number
        yield from self.joined
        for oid in self.functions.values():
            yield oid, 0
        for type in self.made_types():
            yield type.single.catalog_oid, 0
        for known in self.constants.values():
            if known.type.oid in _OBJECTS:
                yield known.oid, 0
        yield from self.fields.values()
        yield from (each.attribute for row in self.expanded.values() for each in row)
