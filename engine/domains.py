"""Domains: whether values obey the constraints of the domains in their type.

What is to be checked of a type is a `Checks`: rules of the values themselves, of an array's elements, of a
row's fields. A rule's conditions are over a batch of one column, VALUE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.lists import lists
from engine.nodes import true_rows
from engine.run import Run
from engine.seams import Expression, SessionInfo
from storage.batch import Batch
from storage.column import Column, fields_of
from storage.errors import CheckViolation, NotNullViolation
from storage.types import Type


@dataclass(frozen=True, slots=True)
class Rule:
    """The constraints of a domain, those of the domains under it first: (name, condition) of each CHECK."""

    oid: int
    domain: str
    schema: str
    not_null: bool
    checks: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Checks:
    """What holds of values of a type; None: nothing."""

    rule: Rule | None = None
    elements: Checks | None = None
    fields: tuple[Checks | None, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckDomain:
    """The argument as `type`, checked. Raises CheckViolation, NotNullViolation."""

    argument: Expression
    type: Type
    checks: Checks

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.argument,)

    def evaluate(self, batch: Batch, run: Run) -> Column:
        column = self.argument.evaluate(batch, run)
        check(column, self.checks, run)
        return column.retype(self.type)


def check(column: Column, checks: Checks, run: Run) -> None:
    """Raise for the first value that breaks a rule. A condition that is null is met."""
    if checks.rule is not None and len(column):
        _obey(column, checks.rule, run)
    if checks.elements is not None:
        check(lists(column)[1], checks.elements, run)
    if any(checks.fields):
        rows = column if column.valid is None else column.take(column.is_valid())
        for field, inner in zip(fields_of(rows), checks.fields, strict=True):
            if inner is not None:
                check(field, inner, run)


def _name(rule: Rule, run: Run) -> str:
    """The domain as errors name it: with its schema where the search path does not find it."""
    session: SessionInfo = run.session
    return session.name_of("type", rule.oid)


def _obey(column: Column, rule: Rule, run: Run) -> None:
    if rule.not_null and not column.is_valid().all():
        raise NotNullViolation(
            f"domain {_name(rule, run)} does not allow null values",
            schema=rule.schema,
            datatype=rule.domain,
            row=int(np.argmin(column.is_valid())),
        )
    rows = len(column)
    batch = Batch((column.with_valid(column.valid),), rows)
    for name, condition in rule.checks:
        met = condition.evaluate(batch, run)
        obeyed = true_rows(met, rows) | ~met.spread(rows).is_valid()
        if not obeyed.all():
            raise CheckViolation(
                f'value for domain {_name(rule, run)} violates check constraint "{name}"',
                schema=rule.schema,
                datatype=rule.domain,
                constraint=name,
                row=int(np.argmin(obeyed)),
            )
