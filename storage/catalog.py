"""The catalog: what exists, by OID and by name, as one immutable value.

A transaction that runs DDL sees it with the definitions that it changed; commit makes them everybody's.
`version` grows with each change and OIDs are never reused, so a plan can be checked against the (oid,
version) pairs it read.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from storage.definitions import (
    BUILT_IN_SCHEMAS,
    ColumnDefinition,
    Constraint,
    Definition,
    Extension,
    Function,
    Index,
    Materialized,
    Relation,
    Role,
    Schema,
    Sequence,
    Table,
    Versioned,
    View,
    ViewColumn,
)
from storage.errors import (
    DatabaseError,
    DuplicateObject,
    DuplicateSchema,
    DuplicateTable,
    InvalidSchemaName,
    UndefinedTable,
)
from storage.grants import Acl, DefaultAcl, Grant, Membership, SessionSettings, settings_name
from storage.types import Type, refreshed
from storage.usertypes import BOOTSTRAP_ROLE as BOOTSTRAP_ROLE
from storage.usertypes import CompositeType, UserType

C = TypeVar("C", ColumnDefinition, ViewColumn)


def _retyped(columns: tuple[C, ...], type: Type) -> tuple[C, ...]:
    """Columns with `type` in place of what has its OID in theirs."""
    new = [(column, refreshed(column.type, type)) for column in columns]
    return tuple(column if of is column.type else replace(column, type=of) for column, of in new)


@dataclass(frozen=True)
class Catalog:
    """Schemas, relations, roles, extensions, types, functions, and what roles may do with them, by OID."""

    schemas: Mapping[int, Schema] = field(default_factory=lambda: {s.oid: s for s in BUILT_IN_SCHEMAS})
    relations: Mapping[int, Relation] = field(default_factory=dict)
    roles: Mapping[int, Role] = field(
        default_factory=lambda: {BOOTSTRAP_ROLE: Role(BOOTSTRAP_ROLE, "glancedb", superuser=True)}
    )
    version: int = 1
    extensions: Mapping[int, Extension] = field(default_factory=dict)
    types: Mapping[int, UserType] = field(default_factory=dict)
    functions: Mapping[int, Function] = field(default_factory=dict)
    grants: Mapping[int, Grant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {(r.schema, r.name): r.oid for r in self.relations.values()}
        object.__setattr__(self, "_names", names)
        called: dict[str, list[Function]] = {}
        for function in self.functions.values():
            called.setdefault(function.name, []).append(function)
        object.__setattr__(self, "_called", called)
        object.__setattr__(self, "_schema_names", {s.name: s.oid for s in self.schemas.values()})

    def schema(self, name: str) -> Schema | None:
        """The schema of this name, if there is one."""
        oid = self._schema_names.get(name)  # type: ignore[attr-defined]
        return None if oid is None else self.schemas[oid]

    def must_schema(self, name: str) -> Schema:
        """The schema of this name, or InvalidSchemaName."""
        schema = self.schema(name)
        if schema is None:
            raise InvalidSchemaName(f'schema "{name}" does not exist')
        return schema

    def relation(self, schema: int, name: str) -> Relation | None:
        """The table, sequence or view of this name in the schema, if there is one."""
        oid = self._names.get((schema, name))  # type: ignore[attr-defined]
        return None if oid is None else self.relations[oid]

    def table(self, oid: int) -> Table:
        """The table with this OID, or UndefinedTable."""
        relation = self.relations.get(oid)
        if not isinstance(relation, Table):
            raise UndefinedTable(f"relation with OID {oid} does not exist")
        return relation

    def index(self, schema: int, name: str) -> tuple[Table, Index] | None:
        """The index of this name in the schema and its table, if there is one."""
        for table in self.tables():
            for index in table.every_index if table.schema == schema else ():
                if index.name == name:
                    return table, index
        return None

    def pointing_to(self, table: int) -> Iterator[tuple[Table, Constraint]]:
        """The foreign keys that reference a table, with the tables they belong to."""
        for other in self.tables():
            for constraint in other.foreign_keys:
                if constraint.references is not None and constraint.references.table == table:
                    yield other, constraint

    def tables(self) -> Iterator[Table]:
        """Every table."""
        return (r for r in self.relations.values() if isinstance(r, Table))

    def row_types(self) -> Iterator[Table | View]:
        """Every relation that has a type of its rows."""
        return (r for r in self.relations.values() if isinstance(r, Table | View) and r.type_oid)

    def queries(self) -> Iterator[tuple[Table | View, View | Materialized]]:
        """Every view, materialized or not, with what holds its query."""
        for relation in self.relations.values():
            if isinstance(relation, View):
                yield relation, relation
            elif isinstance(relation, Table) and relation.materialized is not None:
                yield relation, relation.materialized

    def embedding(self, type: Type) -> Iterator[Definition]:
        """What changes where `type` stands for what has its OID in columns, attributes and domains: as it is
        then."""
        for relation in self.relations.values():
            if isinstance(relation, Table):
                columns, hidden = _retyped(relation.columns, type), _retyped(relation.hidden, type)
                if (columns, hidden) != (relation.columns, relation.hidden):
                    yield replace(relation, columns=columns, hidden=hidden)
            elif isinstance(relation, View):
                shown = _retyped(relation.columns, type)
                if shown != relation.columns:
                    yield replace(relation, columns=shown)
        for made in self.types.values():
            if made.type.catalog_oid != type.catalog_oid:
                retyped = made.retyped(type)
                if retyped != made:
                    yield retyped

    def sequences(self) -> Iterator[Sequence]:
        """Every sequence."""
        return (r for r in self.relations.values() if isinstance(r, Sequence))

    def role(self, name: str) -> Role | None:
        """The role of this name, if there is one."""
        return next((r for r in self.roles.values() if r.name == name), None)

    @cached_property
    def acls(self) -> Mapping[tuple[int, int], Acl]:
        """The lists that were granted, by (OID of the object, attnum of a column or 0)."""
        return {(g.object, g.number): g for g in self.grants.values() if isinstance(g, Acl)}

    @cached_property
    def memberships(self) -> Mapping[int, tuple[Membership, ...]]:
        """What a role, by its OID, is a member of."""
        found: dict[int, tuple[Membership, ...]] = {}
        for grant in self.grants.values():
            if isinstance(grant, Membership):
                found[grant.member] = (*found.get(grant.member, ()), grant)
        return found

    def session_settings(self, role: int, *, in_database: bool) -> SessionSettings | None:
        """What sessions begin with: those of a role (0: of all), in the database, or wherever they are."""
        name = settings_name(role, in_database)
        found = (g for g in self.grants.values() if isinstance(g, SessionSettings) and g.name == name)
        return next(found, None)

    @cached_property
    def default_acls(self) -> Mapping[tuple[int, int, str], DefaultAcl]:
        """Default privileges, by (OID of the role, of the schema or 0, kind)."""
        return {(g.role, g.schema, g.about): g for g in self.grants.values() if isinstance(g, DefaultAcl)}

    def extension(self, name: str) -> Extension | None:
        """The extension of this name, if it was made."""
        return next((e for e in self.extensions.values() if e.name == name), None)

    def type_named(self, schema: int, name: str) -> UserType | None:
        """The type of this name in the schema, if it was made."""
        return next((t for t in self.types.values() if (t.schema, t.name) == (schema, name)), None)

    def typed(self, oid: int) -> UserType | Table | View | None:
        """What makes the type with this OID, or the type of its arrays."""
        found = self.types.get(oid) or next((t for t in self.types.values() if t.array_oid == oid), None)
        if found is not None:
            return found
        return next((r for r in self.row_types() if oid in (r.type_oid, r.array_type_oid)), None)

    def functions_named(self, name: str) -> list[Function]:
        """The functions and procedures of this name, in every schema."""
        found: list[Function] = self._called.get(name, [])  # type: ignore[attr-defined]
        return found

    def versioned(self, oid: int) -> Versioned | None:
        """The relation, type or function with this OID."""
        return self.relations.get(oid) or self.types.get(oid) or self.functions.get(oid)

    def find(self, oid: int) -> Definition | None:
        """What has this OID."""
        kinds = (
            self.relations,
            self.schemas,
            self.roles,
            self.extensions,
            self.types,
            self.functions,
            self.grants,
        )
        return next((kind[oid] for kind in kinds if oid in kind), None)

    def must_be_free(self, item: Definition, besides: Container[int] = ()) -> None:
        """Raise DuplicateTable or its kin where another object, not of these OIDs, has the item's name."""
        match item:
            case Function():
                return  # others may have its name: see sql.statements.functions
            case Acl() | DefaultAcl() | Membership() | SessionSettings():
                other: Definition | None = next(
                    (g for g in self.grants.values() if g.name == item.name), None
                )
                error: type[DatabaseError] = DuplicateObject
            case Schema():
                other, error = self.schema(item.name), DuplicateSchema
            case Role():
                other, error = self.role(item.name), DuplicateObject
            case Extension():
                other, error = self.extension(item.name), DuplicateObject
            case _ if isinstance(item, UserType):
                other = self.type_named(item.schema, item.name) or self.relation(item.schema, item.name)
                other, error = None if isinstance(other, Sequence) else other, DuplicateObject
            case _:
                other, error = self.relation(item.schema, item.name), DuplicateTable
        if other is None and isinstance(item, Relation):
            same = self.type_named(item.schema, item.name)
            other = same if isinstance(same, CompositeType) else None
        if other is not None and other.oid != item.oid and other.oid not in besides:
            kind = "relation" if error is DuplicateTable else type(item).__name__.lower()
            kind = "type" if isinstance(item, UserType) else kind
            raise error(f'{kind} "{item.name}" already exists')
        index = None if error is not DuplicateTable else self.index(getattr(item, "schema", 0), item.name)
        if index is not None and index[0].oid not in besides:
            raise DuplicateTable(f'relation "{item.name}" already exists')
        if isinstance(item, Table | View):
            same = self.type_named(item.schema, item.name)
            if same is not None and same.oid not in besides:
                raise DuplicateObject(
                    f'type "{item.name}" already exists',
                    hint="A relation has an associated type of the same name, "
                    "so you must use a name that doesn't conflict with any existing type.",
                )

    def changed(self, definitions: Mapping[int, Definition | None], version: int = 0) -> Catalog:
        """A catalog in which these stand under their OIDs; None: no longer.

        `version` of 0: one more than this catalog's.
        """
        kinds: dict[type, dict[int, Any]] = {
            Schema: dict(self.schemas),
            Role: dict(self.roles),
            Table: dict(self.relations),
            Extension: dict(self.extensions),
            CompositeType: dict(self.types),
            Function: dict(self.functions),
            Acl: dict(self.grants),
        }
        for oid, item in definitions.items():
            if item is None:
                for objects in kinds.values():
                    objects.pop(oid, None)
            else:
                kinds[_shelf(item)][oid] = item
        version = version or self.version + 1
        return Catalog(
            kinds[Schema],
            kinds[Table],
            kinds[Role],
            version,
            kinds[Extension],
            kinds[CompositeType],
            kinds[Function],
            kinds[Acl],
        )


def _shelf(item: Definition) -> type:
    """Under which class a catalog keeps a definition."""
    for shelf, kinds in ((Table, Relation), (CompositeType, UserType), (Acl, Grant)):
        if isinstance(item, kinds):
            return shelf
    return type(item)
