"""Planned statements: what a prepared statement keeps, and when it has to be planned again.

A plan lists the (OID, version) of every relation it read and the bare names it found them by. Before it
runs, these are held against the catalog; if one has changed, the statement is planned again from its tokens,
and if the result of a prepared statement would then have other columns, it is refused: 'cached plan must
not change result type'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from sqlglot import exp

from engine.forms import Style
from engine.seams import SessionInfo
from sql import commands, literals
from sql.changes import CHANGES, plan_change
from sql.commands import Command
from sql.context import BindContext, ParameterTypes, Plan
from sql.keptplans import OWN, Kept, OwnKept, Uses, shared
from sql.names import oid_named
from sql.needs import Need
from sql.notation import polymorphic, result_of
from sql.outcome import Field
from sql.parse import Statement, is_query, parse_query, parse_statement, split
from sql.plancache import Shape, read_values, shape_of, values_of
from sql.planning import Planning, outgrown
from sql.portals import Portals
from sql.query import plan_query
from sql.resolved import Resolved
from sql.routines import Routine, planned, procedure_call
from sql.settings import Settings
from sql.single import FindRow, InsertRow, single
from sql.tokens import Token, lex
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.errors import DatabaseError, FeatureNotSupported, UndefinedFunction
from storage.segments.statistics import TableStatistics
from storage.types import INT8, TEXT, Type
from storage.waiting import about_to_wait

_ENDING = (commands.Commit, commands.Rollback, commands.RollbackTo)
_SHORT = 100  # characters of commands that are kept
_LONGEST = 8192  # characters of a text that is kept as a key


class Home(SessionInfo, Protocol):
    """What planning needs of the session."""

    store: Database
    prepared: dict[str, Planned]
    portals: Portals

    @property
    def catalog(self) -> Catalog: ...

    @property
    def style(self) -> Style: ...

    @property
    def settings(self) -> Settings: ...

    def statistics(self, oid: int) -> TableStatistics | None:
        """What is known of a table's rows."""

    def check_needs(self, needs: Iterable[Need]) -> None:
        """Raise InsufficientPrivilege where the user lacks what a plan needs."""


@dataclass
class Planned:
    """A statement ready to run: a plan, or a command. `statement` of None: an empty text."""

    text: str
    statement: Statement | None
    plan: Plan | None = None
    fields: tuple[Field, ...] | None = None
    parameters: tuple[Type, ...] = ()
    given: tuple[Type | None, ...] | None = None  # of a prepared statement
    path: tuple[str, ...] = ()
    checked: Catalog | None = None  # the catalog that `plan` was last held against
    seen: tuple[Mapping[str, str], Catalog] | None = None  # settings and catalog that `path` last held for
    notes: dict[Any, Any] = field(default_factory=dict)  # see sql.outcome.Short
    single: InsertRow | FindRow | None = None  # the same plan for one row
    uses: Uses = field(default_factory=Uses)
    allowed: object = None  # the session's identity that `plan` was last allowed to: see sql.asked

    @property
    def command(self) -> Command | None:
        """The command, if it is one."""
        tree = self.statement.tree if self.statement is not None else None
        return tree if isinstance(tree, Command) else None

    @property
    def short(self) -> bool:
        """Whether it is likely to run where it is read."""
        return self.plan is not None and (self.single is not None or self.plan.short)

    @property
    def ends_transaction(self) -> bool:
        """Whether it may run in a failed transaction."""
        return self.statement is None or isinstance(self.command, _ENDING)


# Stands in the cache for a shape whose statements are planned one by one.
_PLAIN = Planned("", None)


@dataclass(frozen=True)
class _KeptRoutine:
    """A function's plans, and what they were made of."""

    routine: Routine
    catalog: Catalog
    dependencies: frozenset[tuple[int, int]]
    names: frozenset[tuple[str, int]]
    needs: tuple[Need, ...]


@dataclass(frozen=True)
class Reading:
    """One statement of a Query message. `statement` of None: its plan is likely to be kept."""

    text: str
    tokens: list[Token]
    shape: Shape | None
    statement: Statement | None = None
    alone: bool = False  # nothing else stands in the message

    @property
    def ends_transaction(self) -> bool:
        """Whether it may run in a failed transaction."""
        return self.statement is not None and isinstance(self.statement.tree, _ENDING)

    @property
    def is_short_command(self) -> bool:
        """Whether it is a command that takes microseconds."""
        return self.statement is not None and type(self.statement.tree) in commands.SHORT


class Planner:
    """Plans statements for one session, and keeps the plans of texts that return."""

    def __init__(self, home: Home) -> None:
        self._home = home
        plans, templates = (
            shared_plans(home.store),
            cast(Kept[literals.Template], shared(home.store, "texts")),
        )
        self._kept = OwnKept(plans, _copy)
        self._templates = OwnKept(templates, lambda template: template)
        self._routines: Kept[_KeptRoutine] = Kept(OWN)
        self._commands: Kept[list[Reading]] = Kept(OWN)

    @property
    def _shares(self) -> bool:
        """Whether what is planned now means the same to other sessions."""
        return self._home.catalog is self._home.store.catalog and not self._home.settings.off

    def context(self, parameters: ParameterTypes, text: str) -> BindContext:
        """What binding is given now."""
        path = tuple(self._home.search_path(True))
        planning = Planning(self._home.settings.off, self._home.statistics)
        return BindContext(self._home.catalog, path, self._home, parameters, text, planning=planning)

    def keeping(self, text: str) -> BindContext:
        """What binding an expression is given that is to be kept: see sql.storedexpressions.kept_text."""
        context = self.context(ParameterTypes((), fixed=True), text)
        context.resolved = Resolved(reads=self._home.reading)
        return context

    def read(self, text: str) -> list[Reading]:
        """The statements of a Query message. Raises SqlSyntaxError for any of them."""
        known = self._commands.get((text,))
        if known is not None:
            return known
        path = tuple(self._home.search_path(True))
        readings = []
        for tokens in split(lex(text)):
            shape, statement = shape_of(tokens, path), None
            if shape is None or self._kept.get(shape.key) is None:
                if is_query(tokens):
                    about_to_wait()  # parsing and planning take long
                statement = parse_statement(tokens, text)
            readings.append(Reading(text, tokens, shape, statement))
        if len(readings) == 1:
            readings = [replace(readings[0], alone=True)]
        if len(text) <= _SHORT and all(reading.is_short_command for reading in readings):
            self._commands.put((text,), readings)
        return readings

    def ready(self, reading: Reading) -> tuple[Planned, Sequence[Column]]:
        """What has been read, planned, with the values of its lifted constants."""
        shape = reading.shape
        if shape is not None:
            try:
                planned = self._lifted(shape, reading.text)
                if planned is not None:
                    if planned.short and reading.alone:
                        self._keep_template(reading)
                    return planned, values_of(shape, planned.parameters, self._home.style)
            except DatabaseError:
                pass  # the plain way tells where
        statement = reading.statement
        if statement is None:
            about_to_wait()
            statement = parse_statement(reading.tokens, reading.text)
        return self.simple(statement, reading.text), ()

    def _lifted(self, shape: Shape, text: str) -> Planned | None:
        """The plan of a shape; None where it has none."""
        kept = self._kept.get(shape.key)
        if kept is _PLAIN:
            return None
        if kept is not None and kept.plan is not None and self.is_current(kept):
            return kept
        about_to_wait()
        try:
            statement = parse_statement(list(shape.tokens), text)
            planned = self._planned(statement, ParameterTypes(shape.types, fixed=True), text)
        except DatabaseError:
            # without constants of its own the statement itself is wrong, perhaps only for now
            if shape.literals:
                self._kept.put(shape.key, _PLAIN, share=False)
            raise
        if planned.plan is None or planned.plan.volatile:
            self._kept.put(shape.key, _PLAIN, share=False)
            return None
        self._kept.put(shape.key, planned, share=self._shares)
        return planned

    def short(self, text: str) -> tuple[Planned, Sequence[Column]] | None:
        """The kept short plan of a Query message's only statement, with the values of its constants."""
        parts = literals.split(text)
        template = None if parts is None else self._templates.get((parts[0], *self._home.search_path(True)))
        if parts is None or template is None:
            return None
        planned, tokens = self._kept.get(template.key), literals.parameters(template, parts[1])
        if planned is None or tokens is None or not planned.short:
            return None
        if not self.is_current(planned):
            return None
        try:
            return planned, read_values(tokens, planned.parameters, self._home.style)
        except DatabaseError:
            return None

    def _keep_template(self, reading: Reading) -> None:
        """Have `short` find the plan of a text that was read."""
        parts = literals.split(reading.text)
        if parts is None or reading.shape is None or reading.shape.repeats:
            return
        template = literals.template_of(reading.text, parts[1], reading.shape)
        if template is not None:
            key = (parts[0], *self._home.search_path(True))
            self._templates.put(key, template, share=self._shares)

    def simple(self, statement: Statement, text: str) -> Planned:
        """A statement of the simple protocol, out of `text`: it has no parameters."""
        return self.executed(statement, (), text)

    def executed(self, statement: Statement, parameters: Sequence[Type], text: str) -> Planned:
        """A statement that has just these parameters."""
        return self._planned(statement, ParameterTypes(parameters, fixed=True), text)

    def known(self, given: Sequence[Type | None], text: str, before: Planned | None = None) -> Planned | None:
        """A statement as it was prepared before from this text, if its plan still holds: `before` itself, if
        it is that.
        """
        again = before is not None and before.text == text and before.given == tuple(given)
        if before is not None and again and self.is_fresh(before):
            return before
        kept = self._kept.get(self._key(given, text))
        if kept is None or not self.is_current(kept):
            return None
        return _copy(kept)

    def keep(self, planned: Planned) -> None:
        """Remember a statement whose text is all of what was sent: see `known`."""
        if planned.plan is not None and not planned.plan.volatile and len(planned.text) <= _LONGEST:
            key = self._key(planned.given or (), planned.text)
            self._kept.put(key, _copy(planned), share=self._shares)

    def _key(self, given: Sequence[Type | None], text: str) -> tuple[object, ...]:
        return (text, tuple(given), tuple(self._home.search_path(True)))

    def prepared(self, statement: Statement | None, given: Sequence[Type | None], text: str) -> Planned:
        """A statement whose parameters are as given, or found out."""
        if statement is None:
            return Planned(text, None)
        planned = self._planned(statement, ParameterTypes(given), text)
        planned.given = tuple(given)
        return planned

    def _planned(self, statement: Statement, parameters: ParameterTypes, text: str) -> Planned:
        if isinstance(statement.tree, Command):
            types = self._command_types(statement.tree, parameters, text)
            return Planned(text, statement, None, self._command_fields(statement.tree, types), types)
        context = self.context(parameters, text)
        plan = self.plan(statement.tree, context)
        path = tuple(self._home.search_path(True))
        fields = plan.fields if plan.fields or _is_query(statement.tree) else None
        row = single(plan.operator, context.catalog) if plan.failure is None else None
        return Planned(text, statement, plan, fields, plan.parameters, None, path, single=row)

    def plan(self, tree: exp.Expression, context: BindContext) -> Plan:
        """The plan of a query, INSERT, UPDATE or DELETE."""
        about_to_wait()
        return plan_change(tree, context) if type(tree) in CHANGES else plan_query(tree, context)

    def refresh(self, planned: Planned) -> None:
        """Plan again what the catalog has left behind. Raises FeatureNotSupported (0A000)."""
        if planned.statement is None:
            return
        if planned.plan is None:
            if planned.command is not None:
                planned.fields = self._command_fields(planned.command, planned.parameters)
            return
        if self.is_fresh(planned):
            return
        about_to_wait()
        tokens = list(planned.statement.tokens)
        # a tree is changed by binding: read it afresh
        statement = parse_statement(tokens, planned.text)
        fresh = self._planned(statement, ParameterTypes(planned.parameters), planned.text)
        if planned.given is not None and _shape(fresh.fields) != _shape(planned.fields):
            raise FeatureNotSupported("cached plan must not change result type")
        planned.statement, planned.plan, planned.fields = statement, fresh.plan, fresh.fields
        planned.path, planned.checked, planned.seen, planned.notes = fresh.path, None, None, {}
        planned.single, planned.allowed = fresh.single, None

    def is_fresh(self, planned: Planned) -> bool:
        """Whether `refresh` has nothing to do."""
        if planned.plan is None or planned.plan.volatile:
            return False
        return self._has_path(planned) and self.is_current(planned)

    def _has_path(self, planned: Planned) -> bool:
        """Whether names are looked for where they were: settings and catalog say, which a change replaces."""
        values, catalog = self._home.settings.values, self._home.catalog
        seen = planned.seen
        if seen is not None and seen[0] is values and seen[1] is catalog:
            return True
        if planned.path != tuple(self._home.search_path(True)):
            return False
        planned.seen = values, catalog
        return True

    def is_current(self, planned: Planned) -> bool:
        """Whether a plan is the one that would be made now.

        The relations that it reads are still what its names mean, in the same version and about as large,
        and the same rules are on.
        """
        catalog, plan = self._home.catalog, planned.plan
        if plan is None:
            return True
        if plan.off != self._home.settings.off or (
            plan.sizes and outgrown(plan.sizes, self._home.statistics)
        ):
            return False
        if planned.checked is catalog:
            return True
        if self.stands(plan.dependencies, plan.names):
            planned.checked = catalog
            return True
        return False

    def stands(self, dependencies: Iterable[tuple[int, int]], names: Iterable[tuple[str, int]]) -> bool:
        """Whether these relations are there in these versions, and found by these names."""
        catalog = self._home.catalog
        found = ((catalog.versioned(oid), version) for oid, version in dependencies)
        if not all(item is not None and item.version == version for item, version in found):
            return False
        path = self._home.search_path(True)
        return all(oid_named(catalog, path, (name,)) == oid for name, oid in names)

    def routine(self, oid: int, types: Sequence[Type]) -> Routine:
        """A function's statements, planned for arguments of these types. Raises UndefinedFunction."""
        path = tuple(self._home.search_path(True))
        key = (oid, tuple(types), path)
        kept = self._routines.get(key)
        if kept is not None and kept.catalog is self._home.catalog:
            self._home.check_needs(kept.needs)
            return kept.routine
        if kept is not None and self.stands(kept.dependencies, kept.names):
            self._home.check_needs(kept.needs)
            self._routines.put(key, replace(kept, catalog=self._home.catalog))
            return kept.routine
        function = self._home.catalog.functions.get(oid)
        if function is None:
            raise UndefinedFunction(f"function with OID {oid} does not exist")
        context = self.context(ParameterTypes((), fixed=True), function.body)
        bound = polymorphic(function, types)
        made = planned(function, types, result_of(function, bound, types, context.catalog), context)
        kept = _KeptRoutine(
            made,
            context.catalog,
            frozenset(context.dependencies),
            frozenset(context.names),
            tuple(context.needs.values()),
        )
        self._routines.put(key, kept)
        self._home.check_needs(kept.needs)
        return made

    def forget(self) -> None:
        """DISCARD PLANS."""
        self._kept.clear()
        self._templates.clear()
        self._routines.clear()

    def _command_types(self, command: Command, parameters: ParameterTypes, text: str) -> tuple[Type, ...]:
        """The types of a command's parameters: those of the query in it."""
        match command:
            case commands.Explain(command=inner) if inner is not None:
                return self._command_types(inner, parameters, text)
            case (
                commands.Explain(body=query)
                | commands.Declare(body=query)
                | commands.CreateTableAs(query=query)
            ):
                if parameters.fixed or not query:
                    return ()
                return self.plan(parse_query(list(query), text), self.context(parameters, text)).parameters
            case commands.Call(query=query) if not parameters.fixed:
                procedure_call(query, self.context(parameters, text))
                return parameters.final()
        return ()

    def _command_fields(self, command: Command, parameters: Sequence[Type]) -> tuple[Field, ...] | None:
        """The result columns of a command with these parameters, None where it has none."""
        match command:
            case commands.Show("all"):
                return (Field("name", TEXT), Field("setting", TEXT), Field("description", TEXT))
            case commands.Show(name):
                return (Field(name, TEXT),)
            case commands.MergeStatus() | commands.ShowPlancache():
                return tuple(Field(name, TEXT) for name in command.COLUMNS)
            case commands.Explain():
                return (Field("QUERY PLAN", TEXT),)
            case commands.Backup():
                return tuple(Field(name, INT8) for name in commands.BACKUP_COLUMNS)
            case commands.Fetch(name, move=False) if name in self._home.portals:
                return self._home.portals[name].fields
            case commands.Call(query=query):
                found = procedure_call(query, self.context(ParameterTypes(parameters), ""))
                if found.function.outputs:
                    return tuple(Field(name, type) for name, type in found.result.columns)
            case commands.Execute(name) if name in self._home.prepared:
                return self._home.prepared[name].fields
        return None


def _copy(planned: Planned) -> Planned:
    """Another of the same plan: each may be planned again, while the other stays."""
    return replace(planned, notes={})


def shared_plans(database: Database) -> Kept[Planned]:
    """The plans that all sessions of a database share."""
    return cast(Kept[Planned], shared(database, "plans"))


def _is_query(tree: exp.Expression) -> bool:
    return type(tree) not in CHANGES


def _shape(fields: Sequence[Field] | None) -> list[tuple[str, int, int]] | None:
    return None if fields is None else [(f.name, f.type.oid, f.type.modifier) for f in fields]
