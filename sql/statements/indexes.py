"""CREATE INDEX, ALTER INDEX. Every index that is built is a hash index: see sql.accessmethods."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.expressions import Expression
from sql import commands, names, sortable
from sql.accessmethods import METHODS, Method, accepts, default_class, named_class
from sql.bind import bind_expression, table_scope
from sql.binding import Binding
from sql.context import BindContext, ParameterTypes
from sql.expressions import is_set, references
from sql.immutable import is_immutable
from sql.outcome import Outcome
from sql.parse import parse_expression_tokens
from sql.statements.constraints import free_name, name_taken, numbers_of
from sql.statements.control import done
from sql.statements.dropping import must_hold_rows
from sql.statements.hiddenkeys import with_index
from sql.statements.host import Host
from sql.statements.rewriting import rewrite, same
from sql.storageparameters import INDEX, checked, whole_of
from sql.storedexpressions import kept_text
from sql.views.names import label_of
from storage.definitions import Index, Table
from storage.errors import (
    ActiveSqlTransaction,
    DatatypeMismatch,
    DuplicateTable,
    FeatureNotSupported,
    InvalidObjectDefinition,
    InvalidParameterValue,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from storage.systemcolumns import SYSTEM_NAMES
from storage.transactions.locks import TableMode
from storage.types import Type

_OTHERS = ("gin", "gist", "spgist", "brin")


def create_index(host: Host, command: commands.CreateIndex, text: str) -> Outcome:
    """CREATE [UNIQUE] INDEX; the rows that are there are checked. Raises UniqueViolation."""
    if command.concurrently and host.explicit:
        raise ActiveSqlTransaction("CREATE INDEX CONCURRENTLY cannot run inside a transaction block")
    rewrites = command.unique and bool(command.predicate or any(command.expressions))
    mode = TableMode.AccessExclusiveLock if rewrites else TableMode.ShareLock
    table = must_hold_rows(host, command.table, mode)
    method = _check(command)
    schema = host.catalog.schemas[table.schema]
    if command.name and name_taken(host, schema, command.name, set()):
        if command.if_not_exists:
            host.notice("NOTICE", "42P07", f'relation "{command.name}" already exists, skipping')
            return done("CREATE INDEX")
        raise DuplicateTable(f'relation "{command.name}" already exists')
    keyed = _keyed(host, table, command, method, text)
    numbers = tuple(each.number for each in keyed)
    predicate, chosen = _predicate(host, table, command, method, text)
    plain = not predicate and (method.vectors or not any(each.text for each in keyed))
    included = numbers_of(table, command.included, 'column "{}" does not exist')
    name = command.name or free_name(
        host,
        schema,
        (table.name, *(each.label for each in keyed), *command.included, "idx"),
        set(),
    )
    index = Index(
        host.transaction.allocate_oid(),
        name,
        numbers,
        command.unique,
        command.nulls,
        command.method,
        command.orders if any(command.orders) else (),
        included,
        command.options,
        operator_classes=_classes(keyed, command),
        built=(plain or command.unique) and not method.vectors,
        expression=keyed[0].text if method.vectors else "",
        predicate=predicate,
        reads=tuple(sorted(chosen.union(*(each.reads for each in keyed)))),
    )
    if not method.vectors and any(each.text for each in keyed):
        index = replace(
            index,
            expressions=tuple(each.text for each in keyed),
            results=tuple(each.type.catalog_oid if each.text else 0 for each in keyed),
        )
    new = with_index(table, index, host.planner.context(ParameterTypes((), fixed=True), ""))
    if new.hidden == table.hidden:
        host.transaction.define(new)
    else:
        rewrite(host, table, new, same(table))
    if method.vectors:
        host.notice(
            "NOTICE", "00000", f'index "{name}" is kept by name only: similarity queries are exact without it'
        )
    return done("CREATE INDEX")


def _check(command: commands.CreateIndex) -> Method:
    """The access method, if an index of it can be as it is asked for."""
    method = METHODS.get(command.method)
    if method is None:
        if command.method in _OTHERS:
            raise FeatureNotSupported(
                f'access method "{command.method}" is not supported: btree and hash are'
            )
        raise UndefinedObject(f'access method "{command.method}" does not exist')
    if method.name != "btree":
        said = {
            "unique indexes": command.unique,
            "included columns": bool(command.included),
            "multicolumn indexes": len(command.columns) > 1,
            "ASC/DESC options": any("DESC" in order for order in command.orders),
            "NULLS FIRST/LAST options": any("NULLS" in order for order in command.orders),
        }
        for what, wanted in said.items():
            if wanted:
                raise FeatureNotSupported(f'access method "{method.name}" does not support {what}')
    given = checked(INDEX[method.name], command.options)
    if method.name == "hnsw" and whole_of(given, "ef_construction", 64) < 2 * whole_of(given, "m", 16):
        raise InvalidParameterValue("ef_construction must be greater than or equal to 2 * m")
    return method


@dataclass(frozen=True)
class _Keyed:
    """What a column of an index is over: a column of the table, or an expression as SQL text.

    `number` is then that of the first column that it reads; `label` is for names.
    """

    number: int
    type: Type
    label: str
    text: str = ""
    reads: frozenset[int] = frozenset()


def _keyed(
    host: Host, table: Table, command: commands.CreateIndex, method: Method, text: str
) -> list[_Keyed]:
    """The columns of an index. Raises UndefinedColumn."""
    found = []
    for name, tokens in zip(command.columns, command.expressions, strict=True):
        if not tokens and name in SYSTEM_NAMES:
            raise FeatureNotSupported("index creation on system columns is not supported")
        if not tokens:
            (number,) = numbers_of(table, (name,), 'column "{}" does not exist')
            found.append(_Keyed(number, table.definition(number).type, name))
            continue
        context = host.planner.keeping(text)
        tree = parse_expression_tokens(list(tokens), text)
        bound = bind_expression(tree, table_scope(table), context, "index expressions")
        if is_set(bound):
            raise FeatureNotSupported(
                "set-returning functions are not allowed in index expressions", position=tokens[0].position
            )
        if not method.vectors:
            _must_be_immutable(bound, context, "expression")
        reads = _reads(table, bound)
        if not reads or (method.vectors and len(reads) > 1):
            some = "of no column or of several" if method.vectors else "of no column"
            raise FeatureNotSupported(
                f"indexes on expressions {some} are not supported", position=tokens[0].position
            )
        kept = kept_text(tree, context)
        first = next(iter(reads))
        label = label_of(kept) if not method.vectors else table.definition(first).name
        found.append(_Keyed(first, bound.type, label, kept, reads))
    return found


def _predicate(
    host: Host, table: Table, command: commands.CreateIndex, method: Method, text: str
) -> tuple[str, frozenset[int]]:
    """(SQL text of WHERE, attnums of the columns that it reads); ('', none) where there is none."""
    tokens = command.predicate
    if not tokens:
        return "", frozenset()
    if method.vectors:
        raise FeatureNotSupported("partial indexes of vectors are not supported")
    context = host.planner.keeping(text)
    tree = parse_expression_tokens(list(tokens), text)
    bound = Binding(context, table_scope(table), "index predicates").condition(tree, "WHERE")
    _must_be_immutable(bound, context, "predicate")
    return kept_text(tree, context), _reads(table, bound)


def _reads(table: Table, expression: Expression) -> frozenset[int]:
    return frozenset(table.columns[place].number for place in references(expression))


def _must_be_immutable(expression: Expression, context: BindContext, what: str) -> None:
    """Raise InvalidObjectDefinition for what may be another value another time."""
    if not is_immutable(expression, context):
        raise InvalidObjectDefinition(f"functions in index {what} must be marked IMMUTABLE")


def _classes(keyed: list[_Keyed], command: commands.CreateIndex) -> tuple[str, ...]:
    """The operator class behind each column, '' for the default one. Raises UndefinedObject,
    DatatypeMismatch, InvalidParameterValue."""
    method, found = command.method, []
    for each, name in zip(keyed, command.classes, strict=True):
        type, expression = each.type, each.text if METHODS[method].vectors else ""
        default = default_class(method, type)
        if not name:
            if default is None and METHODS[method].vectors:
                raise UndefinedObject(
                    f'data type {type.base} has no default operator class for access method "{method}"',
                    hint="You must specify an operator class for the index or define a default operator class"
                    " for the data type.",
                )
            if not METHODS[method].vectors:
                sortable.must_index(type, method)
            _check_dimensions(method, type)
            found.append(default.name if default is not None and expression else "")
            continue
        named = named_class(method, name)
        if named is None:
            raise UndefinedObject(f'operator class "{name}" does not exist for access method "{method}"')
        if not accepts(named, type):
            raise DatatypeMismatch(f'operator class "{name}" does not accept data type {type.base}')
        _check_dimensions(method, type)
        found.append("" if named is default and not expression else name)
    return tuple(found) if any(found) else ()


def _check_dimensions(method: str, type: Type) -> None:
    """Raise InvalidParameterValue for an index of vectors that may have any length."""
    if METHODS[method].vectors and type.modifier < 0:
        raise InvalidParameterValue("column does not have dimensions")


def must_index(host: Host, parts: tuple[str, ...]) -> tuple[Table, Index]:
    """The index of this name and its table. Raises UndefinedObject, WrongObjectType."""
    found = names.find(host.catalog, host.search_path(True), parts)
    if found is None:
        raise UndefinedObject(f'index "{parts[-1]}" does not exist')
    if not isinstance(found, int):
        raise WrongObjectType(f'"{parts[-1]}" is not an index')
    for table in host.catalog.tables():
        for index in table.every_index:
            if index.oid == found:
                return table, index
    raise UndefinedObject(f'index "{parts[-1]}" does not exist')


def rename_index(host: Host, command: commands.RenameIndex, text: str) -> Outcome:
    """ALTER INDEX ... RENAME TO; an index that belongs to a constraint renames it, too."""
    if names.find(host.catalog, host.search_path(True), command.index) is None:
        message = f'relation "{".".join(command.index)}" does not exist'
        if not command.if_exists:
            raise UndefinedTable(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return done("ALTER INDEX")
    table, index = must_index(host, command.index)
    host.transaction.lock_table(table.oid, TableMode.ShareUpdateExclusiveLock)
    table, index = must_index(host, command.index)
    if name_taken(host, host.catalog.schemas[table.schema], command.name, set()):
        raise DuplicateTable(f'relation "{command.name}" already exists')
    host.transaction.define(renamed(table, index, command.name))
    return done("ALTER INDEX")


def renamed(table: Table, index: Index, name: str) -> Table:
    """The table with an index of another name."""
    indexes = tuple(replace(i, name=name) if i.oid == index.oid else i for i in table.indexes)
    constraints = tuple(replace(c, name=name) if c.index == index.oid else c for c in table.constraints)
    return replace(table, indexes=indexes, constraints=constraints)
