"""What depends on what: the objects that must go, or stop their going, when another is dropped.

An object is a row of a catalog, or a column of one. Who depends on it goes with it by itself (a sequence of
its column, a check of a column that goes), or only by CASCADE (a view, a foreign key). The order is that of
PostgreSQL's findDependentObjects: dependents before what they depend on, the newest first; people are
told from the other end.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.extensions import AVAILABLE
from sql import names
from sql.accessmethods import METHODS, OPERATOR_CLASSES, named_class
from sql.regclasses import sequences_in
from sql.tokens import Kind, lex
from storage import definitions
from storage.catalog import Catalog
from storage.definitions import Table, View, type_defined
from storage.errors import DependentObjectsStillExist
from storage.types import BY_OID
from storage.usertypes import CompositeType, DomainType

ObjectKind = Literal[
    "table",
    "view",
    "materialized view",
    "sequence",
    "schema",
    "column",
    "default",
    "constraint",
    "index",
    "extension",
    "type",
    "attribute",
    "operator class",
    "function",
]


@dataclass(frozen=True, slots=True)
class Object:
    """An object: `oid` is that of the relation, schema, extension, type or operator class, `number` an attnum
    (of an attribute, its number in the type `oid`) or a constraint's OID."""

    kind: ObjectKind
    oid: int
    number: int = 0

    @property
    def age(self) -> tuple[int, int]:
        """Greater for what was made later."""
        return (self.number, 0) if self.kind in ("constraint", "index") else (self.oid, self.number)


def relation(catalog: Catalog, oid: int) -> Object:
    """A relation of the catalog."""
    found = catalog.relations[oid]
    kind: ObjectKind = "view" if isinstance(found, View) else "sequence"
    if isinstance(found, Table):
        kind = "table" if found.materialized is None else "materialized view"
    return Object(kind, oid)


def describe(catalog: Catalog, path: Sequence[str], item: Object) -> str:
    """An object in PostgreSQL's words: 'column a of table t'."""
    match item.kind:
        case "schema":
            return f"schema {names.quoted(catalog.schemas[item.oid].name)}"
        case "extension":
            return f"extension {names.quoted(catalog.extensions[item.oid].name)}"
        case "type":
            return f"type {names.name_of(catalog, list(path), 'type', item.oid)}"
        case "attribute":
            made = catalog.types[item.oid]
            assert isinstance(made, CompositeType)
            name = next(a.name for a in made.attributes if a.number == item.number)
            return f"column {names.quoted(name)} of composite type {names.quoted(made.name)}"
        case "function":
            word = "procedure" if catalog.functions[item.oid].procedure else "function"
            return f"{word} {names.name_of(catalog, list(path), 'procedure', item.oid)}"
        case "operator class":
            found = next(c for c in OPERATOR_CLASSES if c.oid == item.oid)
            return f"operator class {found.name} for access method {found.method}"
    name = names.name_of(catalog, list(path), "class", item.oid)
    owner = catalog.relations[item.oid]
    match item.kind:
        case "column" | "default" if isinstance(owner, Table):
            of = relation(catalog, item.oid).kind
            column = f"column {names.quoted(owner.definition(item.number).name)} of {of} {name}"
            return column if item.kind == "column" else f"default value for {column}"
        case "constraint" if isinstance(owner, Table):
            constraint = next(c for c in owner.constraints if c.oid == item.number)
            return f"constraint {names.quoted(constraint.name)} on table {name}"
        case "index":
            return f"index {names.name_of(catalog, list(path), 'class', item.number)}"
    return f"{relation(catalog, item.oid).kind} {name}"


def dependents(catalog: Catalog, item: Object) -> Iterator[tuple[Object, bool]]:
    """(object, whether it goes by itself) of all that depends on an object directly."""
    match item.kind:
        case "schema":
            for found in catalog.relations.values():
                if found.schema == item.oid:
                    yield relation(catalog, found.oid), False
            for made in catalog.types.values():
                if made.schema == item.oid:
                    yield Object("type", made.oid), False
            for function in catalog.functions.values():
                if function.schema == item.oid:
                    yield Object("function", function.oid), False
        case "table" | "view" | "materialized view":
            yield from _queries(catalog, item.oid)
            yield from _functions(catalog, item.oid)
            for sequence in catalog.sequences():
                if sequence.owned_by is not None and sequence.owned_by[0] == item.oid:
                    yield Object("sequence", sequence.oid), True
            yield from _pointing(catalog, item.oid, None)
            type_oid = getattr(catalog.relations[item.oid], "type_oid", 0)
            if type_oid and any(True for _ in _of_type(catalog, type_oid)):
                yield Object("type", type_oid), True
        case "extension":
            types = AVAILABLE[catalog.extensions[item.oid].name].types
            yield from ((Object("type", type.oid), True) for type in types)
            own = (c.oid for c in OPERATOR_CLASSES if METHODS[c.method].vectors)
            yield from ((Object("operator class", oid), True) for oid in own)
        case "type":
            yield from _of_type(catalog, item.oid)
            yield from _functions(catalog, item.oid)
        case "attribute":
            for view, query in catalog.queries():
                if (item.oid, item.number) in query.depends:
                    yield relation(catalog, view.oid), False
        case "function":
            yield from _queries(catalog, item.oid)
            yield from _functions(catalog, item.oid)
            yield from _calling(catalog, item.oid)
        case "operator class":
            yield from _classed(catalog, item.oid)
        case "column":
            yield from _on_column(catalog, item)
        case "sequence":
            yield from _defaults(catalog, item.oid)
            yield from _queries(catalog, item.oid)
            yield from _functions(catalog, item.oid)
        case "constraint":
            key = next((key for key in catalog.table(item.oid).keys if key.oid == item.number), None)
            if key is not None:
                yield Object("index", item.oid, key.index), True
        case "index":
            for table, constraint in catalog.pointing_to(item.oid):
                if constraint.references is not None and constraint.references.index == item.number:
                    yield Object("constraint", table.oid, constraint.oid), False


def _calling(catalog: Catalog, oid: int) -> Iterator[tuple[Object, bool]]:
    """Defaults, generated columns, checks and indexes of tables whose text calls a function."""
    for table in catalog.tables():
        for column in table.columns:
            if column.default is not None and oid in functions_in(column.default, catalog):
                yield Object("default", table.oid, column.number), False
            if column.generated and oid in functions_in(column.generated, catalog):
                yield Object("column", table.oid, column.number), False
        for index in table.indexes:
            if any(oid in functions_in(text, catalog) for text in (*index.expressions, index.predicate)):
                yield Object("index", table.oid, index.oid), False
        for constraint in table.constraints:
            if constraint.expression and oid in functions_in(constraint.expression, catalog):
                yield Object("constraint", table.oid, constraint.oid), False


def functions_in(text: str, catalog: Catalog) -> set[int]:
    """The OIDs of functions of the catalog that the names of a text's calls may mean."""
    found: set[int] = set()
    tokens = lex(text)
    for at, token in enumerate(tokens[:-1]):
        if token.kind in (Kind.WORD, Kind.QUOTED) and tokens[at + 1].is_mark("("):
            found |= {function.oid for function in catalog.functions_named(token.text)}
    return found


def _queries(catalog: Catalog, oid: int) -> Iterator[tuple[Object, bool]]:
    """Views and materialized views that name an object."""
    for view, query in catalog.queries():
        if any(other == oid for other, _ in query.depends):
            yield relation(catalog, view.oid), False


def _functions(catalog: Catalog, oid: int) -> Iterator[tuple[Object, bool]]:
    """Functions whose arguments or result, or whose bodies where these say so, are of an object."""
    for function in catalog.functions.values():
        types = {function.row, function.result.oid, *(a.type.oid for a in function.arguments)}
        if oid in types or any(oid == other for other, _ in function.depends):
            yield Object("function", function.oid), False


def _of_type(catalog: Catalog, oid: int) -> Iterator[tuple[Object, bool]]:
    """What has columns or attributes of a type, or is a domain over it; arrays of one of the catalog's are a
    type of their own."""
    oids = {oid}
    own = type_defined(catalog.typed(oid))
    if oid in BY_OID:
        oids.add(BY_OID[oid].array_oid)
    elif own is not None and own.catalog_oid == oid:
        yield Object("type", own.array_oid if own.domain is None else own.domain.array_oid), True
    for table in catalog.tables():
        for column in table.columns:
            if column.type.catalog_oid in oids:
                yield Object("column", table.oid, column.number), False
    for made in catalog.types.values():
        if isinstance(made, CompositeType):
            for attribute in made.attributes:
                if attribute.type.catalog_oid in oids:
                    yield Object("attribute", made.oid, attribute.number), False
        elif isinstance(made, DomainType) and made.base.catalog_oid in oids:
            yield Object("type", made.oid), False
    for view, query in catalog.queries():
        shown = view.columns if query is view else ()
        if (oid, 0) in query.depends or any(column.type.catalog_oid in oids for column in shown):
            yield relation(catalog, view.oid), False


def _classed(catalog: Catalog, oid: int) -> Iterator[tuple[Object, bool]]:
    """Indexes with an operator class; one on a column of an extension's type goes with that."""
    own = {type.oid for available in AVAILABLE.values() for type in available.types}
    for table in catalog.tables():
        for index in table.indexes:
            if own & {table.definition(number).type.oid for number in index.columns}:
                continue
            for name in index.operator_classes:
                found = named_class(index.method, name)
                if found is not None and found.oid == oid:
                    yield Object("index", table.oid, index.oid), False


def _pointing(catalog: Catalog, oid: int, number: int | None) -> Iterator[tuple[Object, bool]]:
    """Foreign keys that point to a table, or to a column of it, from others."""
    for table in catalog.tables():
        for constraint in table.foreign_keys:
            to = constraint.references
            if to is not None and to.table == oid and (number is None or number in to.columns):
                if table.oid != oid:
                    yield Object("constraint", table.oid, constraint.oid), False
                elif number is not None:
                    yield Object("constraint", table.oid, constraint.oid), True


def _on_column(catalog: Catalog, item: Object) -> Iterator[tuple[Object, bool]]:
    for view, query in catalog.queries():
        if (item.oid, item.number) in query.depends:
            yield relation(catalog, view.oid), False
    table = catalog.table(item.oid)
    for column in table.columns:
        if item.number in column.reads:
            yield Object("column", table.oid, column.number), False
    for constraint in table.constraints:
        if item.number in constraint.columns:
            yield Object("constraint", table.oid, constraint.oid), True
    yield from _pointing(catalog, item.oid, item.number)
    for sequence in catalog.sequences():
        if sequence.owned_by == (item.oid, item.number):
            yield Object("sequence", sequence.oid), True


def _defaults(catalog: Catalog, sequence: int) -> Iterator[tuple[Object, bool]]:
    for table in catalog.tables():
        for column in table.columns:
            uses = column.sequence == sequence or (
                column.default is not None and sequence in sequences_in(column.default, catalog)
            )
            if uses:
                yield Object("default", table.oid, column.number), False


@dataclass
class Removal:
    """All that goes with some objects: `order` is the one to take; `extra` goes by CASCADE only."""

    order: list[Object] = field(default_factory=list)
    extra: list[tuple[Object, Object]] = field(default_factory=list)  # (what, on which it depends)


def removal(catalog: Catalog, targets: Iterable[Object]) -> Removal:
    """What goes with the targets."""
    wanted = list(targets)
    found = Removal()
    seen: set[Object] = set()
    automatic: set[Object] = set()
    why: dict[Object, Object] = {}

    def visit(item: Object) -> None:
        seen.add(item)
        for other, by_itself in sorted(dependents(catalog, item), key=lambda pair: pair[0].age, reverse=True):
            if by_itself:
                automatic.add(other)
            if other not in seen and not _inside(other, wanted):
                why[other] = item
                visit(other)
        found.order.append(item)

    for target in wanted:
        if target not in seen:
            visit(target)
    for item in reversed(found.order):
        if item not in wanted and item not in automatic and not _part(catalog, item, seen):
            found.extra.append((item, why[item]))
    return found


def _part(catalog: Catalog, item: Object, going: Container[Object]) -> bool:
    """Whether an object would go by itself with one that goes: of its table, or of its column."""
    if item.kind == "sequence":
        sequence = catalog.relations[item.oid]
        assert isinstance(sequence, definitions.Sequence)
        owner = sequence.owned_by
        return owner is not None and (Object("table", owner[0]) in going or Object("column", *owner) in going)
    if item.kind in ("default", "constraint", "index", "column") and relation(catalog, item.oid) in going:
        return True
    if item.kind == "attribute":
        return Object("type", item.oid) in going
    return item.kind == "default" and Object("column", item.oid, item.number) in going


def _inside(item: Object, wanted: Sequence[Object]) -> bool:
    """Whether an object is part of a table or type that goes itself, or the default of a column that does."""
    if item.kind == "attribute" and Object("type", item.oid) in wanted:
        return True
    tables = {other.oid for other in wanted if other.kind in ("table", "materialized view")}
    if item.kind in ("default", "constraint", "column", "index") and item.oid in tables:
        return True
    return item.kind == "default" and Object("column", item.oid, item.number) in wanted


def refusal(
    catalog: Catalog, path: Sequence[str], targets: Sequence[Object], found: Removal
) -> DependentObjectsStillExist:
    """The error where something depends on the targets and CASCADE was not said."""
    words = {item: describe(catalog, path, item) for pair in found.extra for item in pair}
    lines = [f"{words[item]} depends on {words[on]}" for item, on in found.extra]
    what, them = "desired object(s)", "them"
    if len(targets) == 1:
        what, them = describe(catalog, path, targets[0]), "it"
    return DependentObjectsStillExist(
        f"cannot drop {what} because other objects depend on {them}",
        detail="\n".join(lines),
        hint="Use DROP ... CASCADE to drop the dependent objects too.",
    )
