"""CREATE DOMAIN and ALTER DOMAIN.

A constraint that is added is tried on the columns that have the domain; where values of it stand in arrays
or rows it is refused, as PostgreSQL does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.domains import Checks, Rule, check
from engine.operators import Scan
from sql import commands
from sql.binding.domains import condition_of, over_value
from sql.context import BindContext, ParameterTypes
from sql.outcome import Outcome
from sql.parse import parse_expression_tokens
from sql.statements.control import done
from sql.statements.defaults import kept_default
from sql.statements.host import Host
from sql.statements.places import owner
from sql.statements.types import must_type, type_place
from sql.storedexpressions import kept_text
from sql.tokens import Token
from sql.typenames import named, type_of
from storage.column import Column
from storage.definitions import ColumnDefinition, Table
from storage.errors import (
    CheckViolation,
    DatatypeMismatch,
    DuplicateObject,
    FeatureNotSupported,
    NotNullViolation,
    UndefinedObject,
    WrongObjectType,
)
from storage.transactions.locks import TableMode
from storage.types import Type
from storage.usertypes import DomainCheck, DomainType


def create_domain(host: Host, command: commands.CreateDomain, text: str) -> Outcome:
    """CREATE DOMAIN. Raises DuplicateObject, DatatypeMismatch, and what binding its constraints raises."""
    schema, name = type_place(host, command.name), command.name[-1]
    base = type_of(command.type, named(host.catalog, host.search_path(True)))
    if base.category == "P":
        raise DatatypeMismatch(
            f'"{base}" is not a valid base type for a domain', position=command.type.position
        )
    under = _under(host, base)
    oid, array_oid = (host.transaction.allocate_oid() for _ in range(2))
    made = DomainType(oid, schema.oid, name, array_oid, base, command.not_null, owner=owner(host))
    host.catalog.must_be_free(made)
    default = _default(host, made, command.default, text)
    if default is None and under is not None:
        default = under.default
    made = replace(made, default=default)
    for clause in command.checks:
        made = _with_check(host, made, clause, text)
    host.transaction.define(made)
    return done("CREATE DOMAIN")


def _under(host: Host, base: Type) -> DomainType | None:
    if base.domain is None:
        return None
    found = host.catalog.types[base.domain.oid]
    assert isinstance(found, DomainType)
    return found


def _context(host: Host, text: str) -> BindContext:
    return host.planner.context(ParameterTypes((), fixed=True), text)


def _default(host: Host, made: DomainType, tokens: tuple[Token, ...], text: str) -> str | None:
    """The text to keep of a domain's default. Raises what binding it raises."""
    return kept_default(host, ColumnDefinition(made.name, made.base.plain, 1), tokens, text)


def _with_check(host: Host, made: DomainType, clause: commands.DomainCheckClause, text: str) -> DomainType:
    """The domain with one CHECK more."""
    taken = {check.name for check in made.checks}
    name = clause.name
    if not name:
        name, number = f"{made.name}_check", 0
        while name in taken:
            number += 1
            name = f"{made.name}_check{number}"
    if name in taken:
        raise DuplicateObject(f'constraint "{name}" for domain "{made.name}" already exists')
    context = host.planner.keeping(text)
    tree = parse_expression_tokens(list(clause.expression), text)
    over_value(made.base, context).condition(tree, "CHECK")
    expression = kept_text(tree, context, made)
    added = DomainCheck(host.transaction.allocate_oid(), name, expression, clause.validated)
    return replace(made, checks=(*made.checks, added))


def _must_domain(host: Host, parts: tuple[str, ...]) -> DomainType:
    """The domain of this name, locked. Raises UndefinedObject, WrongObjectType."""
    if (type := named(host.catalog, host.search_path(True))(parts)) is not None and type.domain is None:
        raise WrongObjectType(f"{parts[-1]} is not a domain")
    found = must_type(host, parts)
    assert isinstance(found, DomainType)
    return found


def set_default(host: Host, command: commands.DomainDefault, text: str) -> Outcome:
    """SET DEFAULT and DROP DEFAULT."""
    found = _must_domain(host, command.name)
    default = _default(host, found, command.default, text)
    host.transaction.define(replace(found, default=default))
    return done("ALTER DOMAIN")


def set_not_null(host: Host, command: commands.DomainNotNull, text: str) -> Outcome:
    """SET NOT NULL and DROP NOT NULL. Raises NotNullViolation."""
    found = _must_domain(host, command.name)
    if command.not_null and not found.not_null:
        for table, column, values in _columns_of(host, found):
            if not values.is_valid().all():
                raise NotNullViolation(
                    f'column "{column.name}" of table "{table.name}" contains null values',
                    table=table.name,
                    column=column.name,
                )
    host.transaction.define(replace(found, not_null=command.not_null))
    return done("ALTER DOMAIN")


def add_check(host: Host, command: commands.AddDomainCheck, text: str) -> Outcome:
    """ADD CHECK. Raises CheckViolation."""
    found = _must_domain(host, command.name)
    made = _with_check(host, found, command.check, text)
    if command.check.validated:
        _try(host, made, made.checks[-1])
    host.transaction.define(made)
    return done("ALTER DOMAIN")


def _try(host: Host, made: DomainType, added: DomainCheck) -> None:
    """Whether the values that are there meet a check."""
    condition = condition_of(added.expression, made.base, _context(host, added.expression))
    checks = Checks(Rule(made.oid, made.name, "", False, ((added.name, condition),)))
    run = host.new_run(())
    for table, column, values in _columns_of(host, made):
        try:
            check(values, checks, run)
        except CheckViolation:
            raise CheckViolation(
                f'column "{column.name}" of table "{table.name}" contains values that violate the new '
                "constraint",
                table=table.name,
                column=column.name,
            ) from None


def _columns_of(host: Host, made: DomainType) -> Iterator[tuple[Table, ColumnDefinition, Column]]:
    """The columns whose values are the domain's, or of one over it, with their values in parts."""
    domains = {made.oid}
    while True:
        over = {
            other.oid
            for other in host.catalog.types.values()
            if isinstance(other, DomainType) and other.base.catalog_oid in domains
        }
        if over <= domains:
            break
        domains |= over
    for table in list(host.catalog.tables()):
        for column in table.columns:
            if column.type.catalog_oid not in domains:
                if _holds(column.type, domains):
                    raise FeatureNotSupported(
                        f'cannot alter type "{made.name}" because column "{table.name}.{column.name}" uses it'
                    )
                continue
            host.transaction.lock_table(table.oid, TableMode.ShareLock)
            scan = Scan(table.oid, table.name, (column.number,), (column.type,))
            for part in scan.batches(host.new_run(())):
                yield table, column, part.columns[0]


def _holds(type: Type, domains: set[int]) -> bool:
    """Whether an array's elements, or a row's fields, are of one of these domains."""
    inside = [attribute.type for attribute in type.attributes or ()]
    inside += [] if type.element is None else [type.element]
    return any(one.catalog_oid in domains or _holds(one, domains) for one in inside)


def drop_check(host: Host, command: commands.DropDomainCheck, text: str) -> Outcome:
    """DROP CONSTRAINT. Raises UndefinedObject."""
    found = _must_domain(host, command.name)
    if all(check.name != command.check for check in found.checks):
        message = f'constraint "{command.check}" of domain "{found.name}" does not exist'
        if not command.if_exists:
            raise UndefinedObject(message)
        host.notice("NOTICE", "00000", f"{message}, skipping")
        return done("ALTER DOMAIN")
    host.transaction.define(
        replace(found, checks=tuple(check for check in found.checks if check.name != command.check))
    )
    return done("ALTER DOMAIN")


def rename_check(host: Host, command: commands.RenameDomainCheck, text: str) -> Outcome:
    """RENAME CONSTRAINT. Raises UndefinedObject, DuplicateObject."""
    found = _must_domain(host, command.name)
    if all(check.name != command.old for check in found.checks):
        raise UndefinedObject(f'constraint "{command.old}" for domain {found.name} does not exist')
    if any(check.name == command.new for check in found.checks):
        raise DuplicateObject(f'constraint "{command.new}" for domain "{found.name}" already exists')
    checks = tuple(c._replace(name=command.new) if c.name == command.old else c for c in found.checks)
    host.transaction.define(replace(found, checks=checks))
    return done("ALTER DOMAIN")


def validate_check(host: Host, command: commands.ValidateDomainCheck, text: str) -> Outcome:
    """VALIDATE CONSTRAINT. Raises UndefinedObject, CheckViolation."""
    found = _must_domain(host, command.name)
    added = next((check for check in found.checks if check.name == command.check), None)
    if added is None:
        raise UndefinedObject(f'constraint "{command.check}" of domain "{found.name}" does not exist')
    if not added.validated:
        _try(host, found, added)
    checks = tuple(c._replace(validated=True) if c.name == added.name else c for c in found.checks)
    host.transaction.define(replace(found, checks=checks))
    return done("ALTER DOMAIN")
