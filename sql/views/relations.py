"""pg_class, pg_attribute and what hangs on relations: defaults, keys, constraints, sequences, comments."""

from __future__ import annotations

from collections.abc import Iterable

from engine.functions.quoting import quote_identifier
from engine.seams import SessionInfo
from sql.accessmethods import default_class, named_class
from sql.views import names, sequences
from sql.views.registry import VIEWS, Row, view
from storage.catalog import Catalog
from storage.definitions import (
    BOOTSTRAP_ROLE,
    FIRST_USER_OID,
    INFORMATION_SCHEMA,
    PG_CATALOG,
    ColumnDefinition,
    Constraint,
    Index,
    Relation,
    Sequence,
    Table,
    View,
)
from storage.rights import Subject, acl_texts, item_texts, items_of
from storage.types import BY_OID, Form, Type
from storage.usertypes import CompositeType, DomainType

_SCHEMAS = {"pg_catalog": PG_CATALOG, "information_schema": INFORMATION_SCHEMA}


@view("pg_catalog", "pg_namespace")
def pg_namespace(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for schema in catalog.schemas.values():
        acl = acl_texts(catalog, schema.oid)
        if acl is None and schema.oid < FIRST_USER_OID:
            acl = item_texts(catalog, items_of(catalog, Subject("n", schema.oid, schema.owner)))
        yield {"oid": schema.oid, "nspname": schema.name, "nspowner": schema.owner, "nspacl": acl}


def _class(oid: int, name: str, schema: int, kind: str, owner: int, columns: int) -> dict[str, object]:
    return {
        "oid": oid,
        "relname": name,
        "relnamespace": schema,
        "relowner": owner,
        "relkind": ord(kind),
        "relnatts": columns,
        "relpersistence": ord("p"),
        "relispopulated": True,
        "relreplident": ord("d" if kind in "rm" else "n"),
        "relfrozenxid": 0,
        "reltuples": -1.0,
    }


@view("pg_catalog", "pg_class")
def pg_class(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for row in _classes(catalog):
        oid = row["oid"]
        assert isinstance(oid, int)
        yield {**row, "relacl": acl_texts(catalog, oid)}


def _classes(catalog: Catalog) -> Iterable[dict[str, object]]:
    for relation in catalog.relations.values():
        persistence = {"relpersistence": ord(_persistence(relation))}
        if isinstance(relation, Sequence):
            row = _class(relation.oid, relation.name, relation.schema, "S", relation.owner, 3)
            yield row | persistence
            continue
        if isinstance(relation, View):
            count = len(relation.columns)
            row = _class(relation.oid, relation.name, relation.schema, "v", relation.owner, count)
            options = [f"{key}={value}" for key, value in relation.options] or None
            yield (
                row
                | persistence
                | {
                    "reltype": relation.type_oid,
                    "relhasrules": True,
                    "reloptions": options,
                }
            )
            continue
        stored = relation.materialized
        kind, count = "r" if stored is None else "m", relation.last_number
        row = _class(relation.oid, relation.name, relation.schema, kind, relation.owner, count)
        yield (
            row
            | persistence
            | {
                "reltype": relation.type_oid,
                "relam": names.AM_HEAP,
                "relfilenode": relation.oid,
                "relhasindex": bool(relation.every_index),
                "relhastriggers": _has_triggers(catalog, relation),
                "relchecks": sum(c.kind == "c" for c in relation.constraints),
                "relhasrules": stored is not None,
                "relispopulated": stored is None or stored.populated,
                "reloptions": [f"{key}={value}" for key, value in relation.options] or None,
            }
        )
    for made in catalog.types.values():
        if isinstance(made, CompositeType):
            row = _class(made.relation, made.name, made.schema, "c", made.owner, made.last_number)
            yield row | {"reltype": made.oid, "relpersistence": ord("p")}
    for table, index in names.indexes(catalog):
        count = len(index.columns) + len(index.included)
        yield _class(index.oid, index.name, table.schema, "i", table.owner, count) | {
            "relam": names.method_oid(index),
            "relfilenode": index.oid,
            "relpersistence": ord(_persistence(table)),
            "reloptions": [f"{key}={value}" for key, value in index.options] or None,
        }


def _persistence(relation: Relation) -> str:
    """'p' permanent, 'u' unlogged, 't' temporary."""
    if relation.temporary:
        return "t"
    return "u" if not isinstance(relation, View) and relation.unlogged else "p"


def _has_triggers(catalog: Catalog, table: Table) -> bool:
    """A foreign key is kept by triggers of both its tables."""
    return bool(table.foreign_keys) or next(catalog.pointing_to(table.oid), None) is not None


@view("pg_catalog", "pg_class", fixed=True)
def built_in_classes(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for built_in in VIEWS.values():
        schema = _SCHEMAS[built_in.schema]
        kind = "v" if built_in.kind == "v" else "r"
        row = _class(built_in.oid, built_in.name, schema, kind, BOOTSTRAP_ROLE, len(built_in.columns))
        yield row | {"relam": names.AM_HEAP if kind == "r" else 0, "relhasrules": kind == "v"}


def _attribute(relation: int, name: str, type: Type, number: int, not_null: bool) -> dict[str, object]:
    text = type.form is Form.TEXT
    return {
        "attrelid": relation,
        "attname": name,
        "atttypid": type.catalog_oid,
        "attlen": type.size,
        "attnum": number,
        "attndims": 1 if type.is_array else 0,
        "attcacheoff": -1,
        "atttypmod": type.modifier if type.domain is None else -1,
        "attbyval": 0 < type.size <= 8,
        "attalign": ord("d" if type.size == 8 else "i"),
        "attstorage": ord("p" if type.size > 0 else "x"),
        "attnotnull": not_null,
        "attislocal": True,
        "attstattarget": -1,
        "attcollation": (names.COLLATION_C if type.size == 64 else names.COLLATION_DEFAULT) if text else 0,
    }


@view("pg_catalog", "pg_attribute")
def pg_attribute(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for row in _attributes(catalog):
        oid, number = row["attrelid"], row["attnum"]
        assert isinstance(oid, int)
        assert isinstance(number, int)
        yield {**row, "attacl": acl_texts(catalog, oid, number) if number > 0 else None}


def _attributes(catalog: Catalog) -> Iterable[dict[str, object]]:
    for table in catalog.tables():
        for column in table.columns:
            yield _attribute(table.oid, column.name, column.type, column.number, column.not_null) | {
                "atthasdef": _has_default(column),
                "attidentity": ord(column.identity) if column.identity else 0,
                "attgenerated": ord("s") if column.generated else 0,
            }
        for index in table.every_index:
            for number, attnum in enumerate((*index.columns, *index.included), 1):
                column = table.columns[table.position(attnum)]
                name, type = column.name, column.type
                if index.expressions and number <= len(index.columns) and index.expressions[number - 1]:
                    name = names.label_of(index.expressions[number - 1])
                    type = BY_OID.get(index.results[number - 1], type)
                yield _attribute(index.oid, name, type, number, False)
    for stored, query in catalog.queries():
        for number, shown in enumerate(stored.columns if query is stored else (), 1):
            yield _attribute(stored.oid, shown.name, shown.type, number, False)
    for made in (made for made in catalog.types.values() if isinstance(made, CompositeType)):
        for attribute in made.attributes:
            yield _attribute(made.relation, attribute.name, attribute.type, attribute.number, False)
    for sequence in catalog.sequences():
        for number, (name, type) in enumerate(sequences.COLUMNS, 1):
            yield _attribute(sequence.oid, name, type, number, True)


@view("pg_catalog", "pg_attribute", fixed=True)
def built_in_attributes(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for built_in in VIEWS.values():
        for number, (name, type) in enumerate(built_in.columns, 1):
            yield _attribute(built_in.oid, name, type, number, name in built_in.never_null)


def default_oid(table: Table, column: ColumnDefinition) -> int:
    """A stable OID for pg_attrdef's row: defaults are not objects of the catalog."""
    return (table.oid << 11 | column.number) & 0x7FFFFFFF


@view("pg_catalog", "pg_attrdef")
def pg_attrdef(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for table in catalog.tables():
        for column in table.columns:
            if _has_default(column):
                yield {
                    "oid": default_oid(table, column),
                    "adrelid": table.oid,
                    "adnum": column.number,
                    "adbin": default_text(catalog, column),
                }


def _has_default(column: ColumnDefinition) -> bool:
    if column.generated:
        return True
    return (column.default is not None or column.sequence > 0) and not column.identity


def default_text(catalog: Catalog, column: ColumnDefinition) -> str:
    """A column's default as SQL, names with their schemas: of a serial column its sequence's next value, of a
    generated one its expression."""
    if column.generated:
        return column.generated
    if column.default is not None:
        return column.default
    sequence = catalog.relations[column.sequence]
    schema = quote_identifier(catalog.schemas[sequence.schema].name)
    name = f"{schema}.{quote_identifier(sequence.name)}".replace("'", "''")
    return f"nextval('{name}'::regclass)"


@view("pg_catalog", "pg_constraint")
def pg_constraint(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for table in catalog.tables():
        for constraint in table.constraints:
            yield {
                "oid": constraint.oid,
                "conname": constraint.name,
                "connamespace": table.schema,
                "contype": ord(constraint.kind),
                "condeferrable": constraint.deferrable,
                "condeferred": constraint.deferred,
                "convalidated": constraint.validated,
                "conrelid": table.oid,
                "conindid": constraint.index
                if constraint.references is None
                else constraint.references.index,
                "conislocal": True,
                "connoinherit": constraint.kind != "c",
                "conkey": list(constraint.columns) or None,
                "conbin": constraint.expression or None,
            } | _referenced(constraint)


@view("pg_catalog", "pg_constraint")
def domain_constraints(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for made in catalog.types.values():
        for check in made.checks if isinstance(made, DomainType) else ():
            yield {
                "oid": check.oid,
                "conname": check.name,
                "connamespace": made.schema,
                "contype": ord("c"),
                "convalidated": check.validated,
                "contypid": made.oid,
                "conislocal": True,
                "connoinherit": False,
                "conbin": check.expression,
            }


def _referenced(constraint: Constraint) -> dict[str, object]:
    references = constraint.references
    if references is None:
        return {"confupdtype": ord(" "), "confdeltype": ord(" "), "confmatchtype": ord(" ")}
    return {
        "confrelid": references.table,
        "confupdtype": ord(references.on_update),
        "confdeltype": ord(references.on_delete),
        "confmatchtype": ord(references.match),
        "confkey": list(references.columns),
        "confdelsetcols": list(references.set_columns) or None,
    }


@view("pg_catalog", "pg_index")
def pg_index(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for table, index in names.indexes(catalog):
        yield {
            "indexrelid": index.oid,
            "indrelid": table.oid,
            "indnatts": len(index.columns) + len(index.included),
            "indnkeyatts": len(index.columns),
            "indisunique": index.unique,
            "indnullsnotdistinct": index.nulls,
            "indisprimary": index.constraint == "p",
            "indisclustered": index.oid == table.clustered,
            "indimmediate": True,
            "indisvalid": True,
            "indisready": True,
            "indislive": True,
            "indkey": [
                *(0 if index.text(at) else number for at, number in enumerate(index.columns)),
                *index.included,
            ],
            "indexprs": ", ".join(filter(None, (index.expression, *index.expressions))) or None,
            "indpred": index.predicate or None,
            "indcollation": [0] * len(index.columns),
            "indclass": _operator_classes(table, index),
            "indoption": [
                _option(index.orders[at] if index.orders else "") for at in range(len(index.columns))
            ],
        }


def _operator_classes(table: Table, index: Index) -> list[int]:
    """The OID of each column's operator class; 0 where it is none that is told of."""
    classes = index.operator_classes or ("",) * len(index.columns)
    results = index.results or (0,) * len(index.columns)
    pairs = zip(index.columns, results, strict=True)
    types = [BY_OID.get(result, table.definition(number).type) for number, result in pairs]
    found = [
        named_class(index.method, name) if name else default_class(index.method, type)
        for type, name in zip(types, classes, strict=True)
    ]
    return [0 if one is None else one.oid for one in found]


def _option(order: str) -> int:
    """1 for DESC, 2 for nulls first."""
    descending = order.startswith("DESC")
    first = order.endswith("NULLS FIRST") or (descending and not order.endswith("NULLS LAST"))
    return descending + 2 * first


@view("pg_catalog", "pg_sequence")
def pg_sequence(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for sequence in catalog.sequences():
        yield {
            "seqrelid": sequence.oid,
            "seqtypid": sequence.type.oid,
            "seqstart": sequence.start,
            "seqincrement": sequence.increment,
            "seqmax": sequence.maximum,
            "seqmin": sequence.minimum,
            "seqcache": 1,
            "seqcycle": sequence.cycle,
        }


@view("pg_catalog", "pg_description")
def pg_description(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for relation in catalog.relations.values():
        if relation.comment:
            yield _described(relation.oid, names.CLASS_PG_CLASS, relation.comment)
        if isinstance(relation, Sequence):
            continue
        comments = (
            [(column.number, column.comment) for column in relation.columns]
            if isinstance(relation, Table)
            else [(number, column.comment) for number, column in enumerate(relation.columns, 1)]
        )
        for number, comment in comments:
            if comment:
                yield _described(relation.oid, names.CLASS_PG_CLASS, comment, number)
        if isinstance(relation, Table):
            for constraint in relation.constraints:
                if constraint.comment:
                    yield _described(constraint.oid, names.CLASS_PG_CONSTRAINT, constraint.comment)
            for index in relation.indexes:
                if index.comment:
                    yield _described(index.oid, names.CLASS_PG_CLASS, index.comment)
    for schema in catalog.schemas.values():
        if schema.comment:
            yield _described(schema.oid, names.CLASS_PG_NAMESPACE, schema.comment)
    for made in catalog.types.values():
        if made.comment:
            yield _described(made.oid, names.CLASS_PG_TYPE, made.comment)
    for function in catalog.functions.values():
        if function.comment:
            yield _described(function.oid, names.CLASS_PG_PROC, function.comment)
    for extension in catalog.extensions.values():
        if extension.comment:
            yield _described(extension.oid, names.CLASS_PG_EXTENSION, extension.comment)


def _described(oid: int, of: int, comment: str, number: int = 0) -> Row:
    return {"objoid": oid, "classoid": of, "objsubid": number, "description": comment}


@view("pg_catalog", "pg_shdescription")
def pg_shdescription(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for role in catalog.roles.values():
        if role.comment:
            yield {"objoid": role.oid, "classoid": names.CLASS_PG_AUTHID, "description": role.comment}


@view("pg_catalog", "pg_rewrite")
def pg_rewrite(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for stored, query in catalog.queries():
        yield {
            "oid": query.rule,
            "rulename": "_RETURN",
            "ev_class": stored.oid,
            "ev_type": ord("1"),
            "ev_enabled": ord("O"),
            "is_instead": True,
        }


@view("pg_catalog", "pg_depend")
def pg_depend(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for sequence, table, number in names.owned_sequences(catalog):
        kind = "i" if table.definition(number).identity else "a"
        yield _depends(names.CLASS_PG_CLASS, sequence.oid, table.oid, kind, number)
    for table in catalog.tables():
        for column in table.columns:
            for read in column.reads:
                yield _depends(names.CLASS_PG_ATTRDEF, default_oid(table, column), table.oid, "n", read)
    types = {*catalog.types, *(relation.type_oid for relation in catalog.row_types())}
    for stored, query in catalog.queries():
        yield _depends(names.CLASS_PG_REWRITE, query.rule, stored.oid, "i")
        yield _depends(names.CLASS_PG_REWRITE, query.rule, stored.oid, "n")
        for oid, number in query.depends:
            row = _depends(names.CLASS_PG_REWRITE, query.rule, oid, "n", number)
            yield {**row, "refclassid": names.CLASS_PG_TYPE} if oid in types else row
    for relation in catalog.relations.values():
        row = _depends(names.CLASS_PG_CLASS, relation.oid, relation.schema, "n")
        yield {**row, "refclassid": names.CLASS_PG_NAMESPACE}


def _depends(of: int, oid: int, on: int, kind: str, number: int = 0) -> Row:
    return {
        "classid": of,
        "objid": oid,
        "refclassid": names.CLASS_PG_CLASS,
        "refobjid": on,
        "refobjsubid": number,
        "deptype": ord(kind),
    }
