"""What INSERT, UPDATE and DELETE have in common: their target, its defaults and checks, RETURNING."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.expressions import Call, Constant, Expression, Reference
from engine.operators import Check, Generated, Invariants, Rules, TableRules
from sql import databases
from sql.bind import table_scope
from sql.binding import Binding
from sql.changes.updatable import Through, written_through
from sql.coerce import assign, checked, coerce
from sql.commontables import CommonTable, bind_with
from sql.context import BindContext
from sql.foreignkeys import for_update, rules_of
from sql.labels import label
from sql.marks import FunctionMark, mark_of, position_of, start_of
from sql.needs import Need
from sql.outcome import Field
from sql.parse import parse_expression
from sql.query import bind_query
from sql.relations import find_relation
from sql.scope import Frame, Relation, Scope, ScopeColumn
from sql.systemcolumns import columns, of_written
from sql.views.registry import SystemView
from storage.definitions import ColumnDefinition, Table, View
from storage.errors import (
    FeatureNotSupported,
    GeneratedAlways,
    InsufficientPrivilege,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    UndefinedColumn,
    WrongObjectType,
)
from storage.types import BOOL, INT8, REGCLASS
from storage.usertypes import DomainType


@dataclass(frozen=True, slots=True)
class Target:
    """The table that is written to, and the name it has in the statement; `through`: by way of this view."""

    table: Table
    name: str
    schema: str
    need: Need
    through: Through | None = None

    def want(self, letter: str, numbers: Iterable[int] = ()) -> None:
        """This right is needed, on these of the table's columns (attnums)."""
        if self.through is None:
            self.need.want(letter, numbers)
        else:
            self.through.want(letter, numbers)

    def column(self, name: str, position: int) -> ColumnDefinition:
        """The table's column that has this name in the statement. Raises UndefinedColumn."""
        if self.through is None:
            return column_of(self.table, name, position)
        for place, column in zip(self.through.places, self.through.view.columns, strict=True):
            if column.name == name:
                return self.table.columns[place]
        message = f'column "{name}" of relation "{self.through.view.name}" does not exist'
        raise UndefinedColumn(message, position=position)

    @property
    def written_columns(self) -> list[ColumnDefinition]:
        """The columns that an INSERT writes that names none."""
        if self.through is None:
            return list(self.table.columns)
        return [self.table.columns[place] for place in self.through.places]

    def invariants(self, context: BindContext, changed: Collection[int] | None = None) -> Invariants:
        """What a row has to be that is written to it: see `invariants`."""
        found = invariants(self.table, context, changed)
        return found if self.through is None else replace(found, options=self.through.checks)

    @property
    def columns(self) -> tuple[ScopeColumn, ...]:
        """Its columns as a scope has them."""
        if self.through is not None:
            return self.through.columns
        return tuple(ScopeColumn(c.name, c.type, self.table.oid, c.number) for c in self.table.columns)

    def relation(self, system: tuple[int, ...] = ()) -> Relation:
        """It as a relation of a scope, with these system columns (attnums) of rows that are there."""
        return replace(self._relation, system=columns(self.table.oid, system))

    def written(self, context: BindContext) -> Relation:
        """It as a relation of new rows."""
        return replace(self._relation, fixed=of_written(self.table.oid, context))

    @property
    def _relation(self) -> Relation:
        oid = self.table.oid if self.through is None else self.through.view.oid
        order = None if self.through is None else self.through.places
        return Relation(self.name, self.columns, schema=self.schema, table=oid, need=self.need, order=order)


def target_of(tree: exp.Expression, verb: str, context: BindContext) -> Target:
    """The table that a statement's tree names. Raises UndefinedTable, and for views as PostgreSQL does."""
    assert isinstance(tree, exp.Table)
    databases.of_table(tree, context)
    name, schema = name_of(tree.this), tree.args.get("db")
    position = position_of(tree)
    found = find_relation(context, name, "" if schema is None else name_of(schema), position)
    if not isinstance(found.source, Table):
        if isinstance(found.source, SystemView) and found.source.kind == "r":
            raise InsufficientPrivilege(f'permission denied: "{name}" is a system catalog')
        sequence = isinstance(found.source, SystemView) and found.source.kind == "S"
        if verb == "merge into":
            raise FeatureNotSupported(
                f'cannot execute MERGE on relation "{name}"',
                detail=f"This operation is not supported for {'sequences' if sequence else 'views'}.",
            )
        if sequence:
            raise WrongObjectType(f'cannot change sequence "{name}"')
        if isinstance(found.source, View):
            through = written_through(found.source, verb, context)
            known = _alias_of(tree) or name
            schema = "" if known != name else found.schema
            return Target(through.table, known, schema, through.needs[0][0], through)
        doing = {"insert into": "inserting into", "update": "updating", "delete from": "deleting from"}[verb]
        raise ObjectNotInPrerequisiteState(
            f'cannot {verb} view "{name}"',
            detail="Views that do not select from a single table or view are not automatically updatable.",
            hint=f"There are no rules or triggers here that would enable {doing} the view.",
        )
    table = found.source
    if table.materialized is not None:
        if verb == "merge into":
            raise FeatureNotSupported(
                f'cannot execute MERGE on relation "{name}"',
                detail="This operation is not supported for materialized views.",
            )
        raise WrongObjectType(f'cannot change materialized view "{name}"')
    alias = _alias_of(tree)
    return Target(table, alias or name, "" if alias else found.schema, context.need(table))


def _alias_of(tree: exp.Table) -> str:
    alias = tree.args.get("alias")
    given = None if alias is None else alias.args.get("this")
    return "" if given is None else name_of(given)


def common_tables(
    tree: exp.Expression, context: BindContext, tables: Mapping[str, CommonTable]
) -> Mapping[str, CommonTable]:
    """The tables of the WITH before a statement, and those around it."""
    clause = tree.args.get("with_")
    return tables if clause is None else bind_with(clause, tree, context.frame, context, tables, bind_query)


def name_of(tree: exp.Expression) -> str:
    """The name that an identifier is."""
    name = tree.args.get("this")
    if isinstance(tree, exp.Column):
        return name_of(tree.this)
    if not isinstance(name, str):
        raise SqlSyntaxError("syntax error", position=position_of(tree))
    return name


def column_of(table: Table, name: str, position: int) -> ColumnDefinition:
    """The column of this name. Raises UndefinedColumn."""
    column = table.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" of relation "{table.name}" does not exist', position=position)
    return column


def place(tree: exp.Expression) -> int:
    """Where an identifier stands."""
    return start_of(tree) or position_of(tree)


def is_default(tree: exp.Expression) -> bool:
    """Whether an item of VALUES or SET is the word DEFAULT."""
    mark = mark_of(tree.this, FunctionMark) if isinstance(tree, exp.Anonymous) else None
    return mark is not None and mark.form == "default"


def default_of(column: ColumnDefinition, context: BindContext) -> Expression:
    """What a column gets that is not written: its default, its sequence's next value, or null."""
    if column.generated:  # what it is follows from the others: see engine.operators.constraints
        return Constant(context.constant(column.type, None))
    if column.default is not None:
        return default_value(column.default, column, context)
    if column.sequence:
        sequence = Constant(context.constant(REGCLASS, column.sequence))
        return coerce(Call("nextval(regclass)", (sequence,), INT8), column.type, "a", 0, context)
    if column.type.domain is not None:
        return _domain_default(column, context)
    return Constant(context.constant(column.type, None))


def _domain_default(column: ColumnDefinition, context: BindContext) -> Expression:
    """What the column's domain says, or null, if it may be that."""
    assert column.type.domain is not None
    made = context.catalog.types[column.type.domain.oid]
    assert isinstance(made, DomainType)
    if made.default is None:
        return checked(Constant(context.constant(column.type, None)), column.type, context)
    return default_value(made.default, column, context)


def default_value(text: str, column: ColumnDefinition, context: BindContext) -> Expression:
    """A default that is kept as text, as a value of the column. Raises DatatypeMismatch, CannotCoerce."""
    binding = Binding(context, Scope(Frame()), "DEFAULT expressions")
    with context.kept():
        return assign(binding.bind(parse_expression(text)), column, 0, context)


def refuse_generated(column: ColumnDefinition, overriding: str = "", update: bool = False) -> None:
    """Raise GeneratedAlways for a value where the column is GENERATED ALWAYS.

    `overriding`: '' or what the statement says of identity columns, which a generated one is not.
    """
    if not column.generated and (column.identity != "a" or overriding):
        return
    detail = f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.'
    if column.generated:
        detail = f'Column "{column.name}" is a generated column.'
    if update:
        raise GeneratedAlways(f'column "{column.name}" can only be updated to DEFAULT', detail=detail)
    raise GeneratedAlways(
        f'cannot insert a non-DEFAULT value into column "{column.name}"',
        detail=detail,
        hint="" if column.generated else "Use OVERRIDING SYSTEM VALUE to override.",
    )


def not_null(table: Table) -> tuple[int, ...]:
    """The positions of columns that may not be null."""
    return tuple(i for i, column in enumerate(table.columns) if column.not_null)


def checks(table: Table, context: BindContext) -> tuple[Check, ...]:
    """The CHECK constraints, bound over the table's columns."""
    found = []
    for constraint in table.constraints:
        if constraint.kind == "c":
            binding = over_columns(table, "check constraints", context)
            with context.kept():
                bound = binding.bind(parse_expression(constraint.expression))
            found.append(Check(constraint.name, coerce(bound, BOOL, "a", 0, context)))
    return tuple(found)


def over_columns(table: Table, clause: str, context: BindContext) -> Binding:
    """Where an expression over a table's columns, and nothing else, stands."""
    return Binding(context, table_scope(table), clause)


def invariants(table: Table, context: BindContext, changed: Collection[int] | None = None) -> Invariants:
    """What a row of the table has to be; generated columns only if they are among `changed` (attnums)."""
    hidden = tuple(generated_value(table, column, context) for column in table.hidden)
    return Invariants(not_null(table), checks(table, context), generated(table, context, changed), hidden)


def generated(
    table: Table, context: BindContext, changed: Collection[int] | None = None
) -> tuple[Generated, ...]:
    """The generated columns that are computed anew when these columns (attnums; None: all) change."""
    return tuple(
        Generated(table.position(column.number), generated_value(table, column, context))
        for column in table.columns
        if column.generated and (changed is None or column.number in changed)
    )


def generated_value(table: Table, column: ColumnDefinition, context: BindContext) -> Expression:
    """What a generated column, or a hidden one, is computed by, over the table's columns."""
    binding = over_columns(table, "column generation expressions", context)
    with context.kept():
        return assign(binding.bind(parse_expression(column.generated)), column, 0, context)


def with_computed(table: Table, assigned: Collection[int]) -> frozenset[int]:
    """The columns (attnums) that change when these are assigned: those that are computed of them, too."""
    changed = set(assigned)
    for column in table.stored:  # hidden ones are behind the generated ones that they read
        if changed.intersection(column.reads):
            changed.add(column.number)
    return frozenset(changed)


def own_rules(table: Table, defaults: tuple[int, ...], context: BindContext) -> TableRules:
    """What rows of a table have to be, with the defaults of these columns."""
    bound = tuple((number, default_of(table.definition(number), context)) for number in defaults)
    return TableRules(table.oid, invariants(table, context), bound)


def rules_for_insert(table: Table, context: BindContext) -> Rules | None:
    """The foreign keys that inserted rows have to meet."""
    return rules_of(table, context, own_rules, outgoing=lambda c: True, incoming=lambda c: False)


def rules_for_upsert(table: Table, context: BindContext) -> Rules | None:
    """The foreign keys that rows have to meet, and those that changed ones leave dangling."""
    return rules_of(table, context, own_rules, outgoing=lambda c: True, incoming=lambda c: True)


def rules_for_delete(table: Table, context: BindContext) -> Rules | None:
    """The foreign keys that deleted rows leave dangling."""
    return rules_of(table, context, own_rules, outgoing=lambda c: False, incoming=lambda c: True)


def rules_for_update(table: Table, columns: Collection[int], context: BindContext) -> Rules | None:
    """The foreign keys that an update of these columns (attnums) touches."""
    points, is_pointed_to = for_update(columns)
    return rules_of(table, context, own_rules, outgoing=points, incoming=is_pointed_to)


@dataclass(frozen=True, slots=True)
class Returned:
    """RETURNING: its columns, and their expressions over the rows of the scope."""

    fields: tuple[Field, ...]
    expressions: tuple[Expression, ...]


def returning(
    tree: exp.Expression | None, scope: Scope, relations: Sequence[Relation], context: BindContext
) -> Returned | None:
    """The RETURNING clause, if there is one. `relations`: what * shows, in order."""
    if tree is None:
        return None
    binding = Binding(context, scope, "RETURNING")
    fields: list[Field] = []
    expressions: list[Expression] = []
    for item in tree.expressions:
        if isinstance(item, exp.Star):
            shown = list(relations)
        elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            shown = [_relation(scope, name_of(item.args["table"]), position_of(item))]
        else:
            named = isinstance(item, exp.Alias)
            name = name_of(item.args["alias"]) if named else label(item)
            bound = binding.value(item.this if named else item)
            origin = scope.origin(bound.index) if isinstance(bound, Reference) else None
            table, number = (0, 0) if origin is None else (origin[1].table, origin[1].number)
            fields.append(Field(name, bound.type, table, number))
            expressions.append(bound)
            continue
        for relation in shown:
            relation.read(*relation.starred)
            for index in relation.starred:
                column = relation.columns[index]
                fields.append(Field(column.name, column.type, column.table, column.number))
                expressions.append(scope.column(relation, index))
    return Returned(tuple(fields), tuple(expressions))


def _relation(scope: Scope, name: str, position: int) -> Relation:
    scope.find_qualified(name, scope_column(scope, name), position)
    found = scope.find_relation(name)
    assert found is not None
    return found[0]


def scope_column(scope: Scope, name: str) -> str:
    """The first column of a relation, by which its name can be looked up with the usual errors."""
    found = scope.find_relation(name)
    return found[0].columns[0].name if found is not None and found[0].columns else ""
