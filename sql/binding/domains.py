"""What values of a type have to obey: the constraints of the domains in it, bound."""

from __future__ import annotations

from engine.domains import Checks, Rule
from engine.expressions import Expression
from sql import coerce
from sql.binding.base import Binding
from sql.context import BindContext
from sql.parse import parse_expression
from sql.scope import Frame, Relation, Scope, ScopeColumn
from storage.types import Type
from storage.usertypes import DomainType

VALUE = "value"


def over_value(type: Type, context: BindContext) -> Binding:
    """Where the condition of a domain stands: VALUE is of `type`."""
    scope = Scope(Frame())
    scope.add(Relation("", (ScopeColumn(VALUE, type.plain),)))
    return Binding(context, scope, "check constraints")


def condition_of(expression: str, type: Type, context: BindContext) -> Expression:
    """A CHECK over VALUE. Raises what binding raises."""
    with context.kept():
        return over_value(type, context).condition(parse_expression(expression), "CHECK")


def checks_of(type: Type, context: BindContext) -> Checks | None:
    """What is to be checked of values of a type; None: nothing, and it has no name of its own either."""
    rule = None if type.domain is None else _rule(type, context)
    elements = None if type.element is None else checks_of(type.element, context)
    fields = tuple(checks_of(attribute.type, context) for attribute in type.attributes or ())
    if rule is None and elements is None and not any(fields):
        return None
    return Checks(rule, elements, fields if any(fields) else ())


def _rule(type: Type, context: BindContext) -> Rule:
    """The constraints of a domain and of those under it, which come first."""
    levels: list[DomainType] = []
    under: Type | None = type
    while under is not None and under.domain is not None:
        made = context.catalog.types[under.domain.oid]
        assert isinstance(made, DomainType)
        levels.append(made)
        under = made.base
    checks = tuple(
        (check.name, condition_of(check.expression, level.base, context))
        for level in reversed(levels)
        for check in sorted(level.checks, key=lambda check: check.name)
    )
    schema = context.catalog.schemas[levels[0].schema].name
    return Rule(levels[0].oid, levels[0].name, schema, any(level.not_null for level in levels), checks)


coerce.use(checks_of)
