"""CREATE VIEW, and what ALTER VIEW may change of one beside its names and owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sql import commands
from sql.changes.updatable import why_not
from sql.context import BindContext, ParameterTypes
from sql.outcome import Outcome
from sql.statements.control import done
from sql.statements.dropping import find
from sql.statements.host import Host
from sql.statements.places import owner, place
from sql.statements.tables import check_pseudo
from sql.storageparameters import CHECK_OPTION, VIEW, changed, checked
from sql.storedviews import Query, stored
from storage.catalog import Catalog
from storage.definitions import View, ViewColumn
from storage.errors import (
    DuplicateColumn,
    DuplicateTable,
    FeatureNotSupported,
    InvalidObjectDefinition,
    InvalidTableDefinition,
    SqlSyntaxError,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import format_type


def create_view(host: Host, command: commands.CreateView, text: str) -> Outcome:
    """CREATE [OR REPLACE] VIEW."""

    def context() -> BindContext:
        return host.planner.context(ParameterTypes((), fixed=True), text)

    query = host.settled(lambda given: stored(command.query, given), context)
    columns = _columns(command, query)
    options = checked(VIEW, command.options)
    temporary = command.temporary
    if not temporary and any(_temporary(host.catalog, oid) for oid, _ in query.depends):
        host.notice("NOTICE", "00000", f'view "{command.name[-1]}" will be a temporary view')
        temporary = True
    schema = place(host, command.name, temporary)
    temporary = schema.temporary
    existing = host.catalog.relation(schema.oid, command.name[-1])
    if existing is None:
        transaction = host.transaction
        oid, rule, type, array = (transaction.allocate_oid() for _ in range(4))
        name, made_by = command.name[-1], owner(host)
        view = View(oid, schema.oid, name, columns, query.text, query.depends, rule, made_by, type, array)
        view = replace(view, options=options, temporary=temporary)
        transaction.define(_checked(view, context()))
        return done("CREATE VIEW")
    if not command.replace:
        raise DuplicateTable(f'relation "{command.name[-1]}" already exists')
    host.transaction.lock_table(existing.oid, TableMode.AccessExclusiveLock)
    existing = find(host, (schema.name, command.name[-1]))
    if not isinstance(existing, View):
        raise WrongObjectType(f'"{command.name[-1]}" is not a view')
    _check_replacement(existing, columns)
    _refuse_circle(host.catalog, existing, query)
    kept = tuple(
        replace(column, comment=old.comment) for column, old in zip(columns, existing.columns, strict=False)
    )
    columns = (*kept, *columns[len(kept) :])
    view = replace(existing, columns=columns, text=query.text, depends=query.depends, options=options)
    host.transaction.define(_checked(view, context()))
    return done("CREATE VIEW")


def _checked(view: View, context: BindContext) -> View:
    """A view that is about to be made, with whether it can be written to.

    Raises FeatureNotSupported for WITH CHECK OPTION where it cannot.
    """
    why = why_not(view, context)
    if why and CHECK_OPTION in dict(view.options):
        message = "WITH CHECK OPTION is supported only on automatically updatable views"
        raise FeatureNotSupported(message, hint=why)
    return replace(view, updatable=not why)


def set_options(host: Host, view: View, action: commands.SetOptions, text: str) -> None:
    """SET and RESET of a view's parameters. Raises InvalidParameterValue, FeatureNotSupported."""
    after = replace(view, options=changed(VIEW, view.options, action.options))
    host.transaction.define(_checked(after, host.planner.context(ParameterTypes((), fixed=True), text)))


def _temporary(catalog: Catalog, oid: int) -> bool:
    found = catalog.relations.get(oid)
    return found is not None and found.temporary


def _columns(command: commands.CreateView, query: Query) -> tuple[ViewColumn, ...]:
    if len(command.columns) > len(query.columns):
        raise SqlSyntaxError("CREATE VIEW specifies more column names than columns")
    names = [*command.columns, *(column.name for column in query.columns[len(command.columns) :])]
    doubled = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if doubled is not None:
        raise DuplicateColumn(f'column "{doubled}" specified more than once')
    for name, column in zip(names, query.columns, strict=True):
        check_pseudo(name, column.type)
    return tuple(ViewColumn(name, c.type) for name, c in zip(names, query.columns, strict=True))


def _check_replacement(view: View, columns: Sequence[ViewColumn]) -> None:
    """The columns that were there stay: others may read them."""
    if len(columns) < len(view.columns):
        raise InvalidTableDefinition("cannot drop columns from view")
    for old, new in zip(view.columns, columns, strict=False):
        if old.name != new.name:
            raise InvalidTableDefinition(
                f'cannot change name of view column "{old.name}" to "{new.name}"',
                hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            )
        if old.type != new.type:
            raise InvalidTableDefinition(
                f'cannot change data type of view column "{old.name}" '
                f"from {format_type(old.type)} to {format_type(new.type)}"
            )


def _refuse_circle(catalog: Catalog, view: View, query: Query) -> None:
    """A view that reads itself, perhaps by way of others, could never be read."""
    waiting = [oid for oid, _ in query.depends]
    seen: set[int] = set()
    while waiting:
        oid = waiting.pop()
        if oid == view.oid:
            raise InvalidObjectDefinition(f'infinite recursion detected in rules for relation "{view.name}"')
        found = catalog.relations.get(oid)
        if oid not in seen and isinstance(found, View):
            seen.add(oid)
            waiting += [other for other, _ in found.depends]
