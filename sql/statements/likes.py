"""CREATE TABLE (LIKE source ...): the source's columns as clauses, and what else is taken over."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sql.commands.sequences import Options
from sql.constraints import ConstraintClause
from sql.context import ParameterTypes
from sql.definitions import ColumnClause, LikeClause, TableClause, refuse_doubled
from sql.statements.constraints import free_name
from sql.statements.dropping import locked
from sql.statements.hiddenkeys import with_index
from sql.statements.host import Host
from sql.views.names import label_of
from sql.views.relations import default_text
from storage.catalog import Catalog
from storage.definitions import ColumnDefinition, Constraint, Relation, Sequence, Table, View
from storage.errors import FeatureNotSupported, UndefinedTable
from storage.transactions.locks import TableMode


@dataclass(frozen=True)
class Copied:
    """A source, and the parts of it that the new table has."""

    source: Table
    including: frozenset[str]


@dataclass(frozen=True)
class Expanded:
    """CREATE TABLE without LIKE: its columns as they are."""

    clause: TableClause
    columns: tuple[ColumnClause, ...]
    copied: tuple[Copied, ...]


def expanded(host: Host, clause: TableClause) -> Expanded:
    """The clause with the columns and keys of what it is like. Raises UndefinedTable, DuplicateColumn."""
    columns: list[ColumnClause] = []
    constraints = list(clause.constraints)
    copied = []
    for item in clause.columns:
        if isinstance(item, ColumnClause):
            columns.append(item)
            continue
        source = _source(host, item)
        columns += _columns(host.catalog, source, item)
        if isinstance(source, Table):
            copied.append(Copied(source, item.including))
            if "indexes" in item.including:
                constraints += [_key(source, key) for key in source.keys]
    whole = replace(clause, columns=tuple(columns), constraints=tuple(constraints))
    refuse_doubled(clause.name[-1], columns, constraints)
    return Expanded(whole, tuple(columns), tuple(copied))


def _source(host: Host, like: LikeClause) -> Relation:
    found = locked(host, like.source, TableMode.AccessShareLock)
    if found is None:
        raise UndefinedTable(f'relation "{".".join(like.source)}" does not exist', position=like.position + 5)
    if isinstance(found, Sequence):
        raise FeatureNotSupported("LIKE is not supported for sequences", position=like.position + 5)
    return found


def _columns(catalog: Catalog, source: Relation, like: LikeClause) -> list[ColumnClause]:
    if isinstance(source, View):
        return [ColumnClause(c.name, c.type, like.position) for c in source.columns]
    assert isinstance(source, Table)
    return [_column(catalog, column, like) for column in source.columns]


def _column(catalog: Catalog, column: ColumnDefinition, like: LikeClause) -> ColumnClause:
    made = ColumnClause(column.name, column.type, like.position, column.not_null)
    if column.identity:
        if "identity" in like.including:
            sequence = catalog.relations[column.sequence]
            assert isinstance(sequence, Sequence)
            made = replace(made, identity=column.identity, sequence=_options(sequence))
    elif column.generated:
        if "generated" in like.including:
            made = replace(made, computed=column.generated)
    elif "defaults" in like.including and (column.default is not None or column.sequence):
        made = replace(made, kept=default_text(catalog, column))
    return replace(made, comment=column.comment) if "comments" in like.including else made


def _options(sequence: Sequence) -> Options:
    return (
        ("as", sequence.type.name),
        ("start", sequence.start),
        ("increment", sequence.increment),
        ("minvalue", sequence.minimum),
        ("maxvalue", sequence.maximum),
        ("cache", sequence.cache),
        ("cycle", int(sequence.cycle)),
    )


def _key(source: Table, key: Constraint) -> ConstraintClause:
    names = tuple(source.definition(number).name for number in key.columns)
    clause = ConstraintClause(key.kind, "", names, nulls=key.nulls, options=key.options)
    return replace(clause, deferrable=key.deferrable, deferred=key.deferred)


def with_copied(host: Host, table: Table, copied: tuple[Copied, ...]) -> Table:
    """The new table with the checks and indexes of its sources."""
    for item in copied:
        numbers = {c.number: table.column(c.name) for c in item.source.columns}
        comments = "comments" in item.including
        if "constraints" in item.including:
            checks = []
            for check in item.source.constraints:
                if check.kind == "c":
                    places = tuple(c.number for n in check.columns if (c := numbers[n]) is not None)
                    said = check.comment if comments else ""
                    oid = host.transaction.allocate_oid()
                    checks.append(replace(check, oid=oid, columns=places, comment=said))
            table = replace(table, constraints=(*table.constraints, *checks))
        if "indexes" in item.including:
            table = _with_indexes(host, table, item, comments)
    return table


def _with_indexes(host: Host, table: Table, item: Copied, comments: bool) -> Table:
    names = {c.number: c.name for c in item.source.columns}
    numbers = {c.name: c.number for c in table.columns}
    taken = {table.name, *(c.name for c in table.constraints), *(i.name for i in table.indexes)}
    context = host.planner.context(ParameterTypes((), fixed=True), "")
    for index in item.source.indexes:
        columns = [names[number] for number in index.columns]
        labels = [label_of(index.text(at)) or name for at, name in enumerate(columns)]
        schema = host.catalog.schemas[table.schema]
        made = replace(
            index,
            keys=(),
            oid=host.transaction.allocate_oid(),
            name=free_name(host, schema, (table.name, *labels, "idx"), taken),
            columns=tuple(numbers[name] for name in columns),
            included=tuple(numbers[names[number]] for number in index.included),
            reads=tuple(numbers[names[number]] for number in index.reads),
            comment=index.comment if comments else "",
        )
        table = with_index(table, made, context)
    return table
