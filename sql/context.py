"""What binding is given: the catalog, the search path, the parameters' types, the text for errors.

One BindContext serves one statement. It gathers on the way what the plan depends on: (OID, version) of
every relation that was read, the bare names that the search path led to them (another relation may come to
stand before), and the types of parameters that were found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlglot import exp

from engine.operators import Operator, Shared, WithWrites
from engine.run import Run
from engine.seams import SessionInfo
from sql.marks import TypeName
from sql.needs import Need, need_of
from sql.outcome import Field
from sql.planning import Planning
from sql.resolved import Resolved
from sql.scope import Frame, Scope
from sql.short import is_short, only_looks
from sql.typenames import named, type_of
from storage.catalog import Catalog
from storage.column import Column
from storage.definitions import Function, Relation, Schema
from storage.errors import (
    DatabaseError,
    IndeterminateDatatype,
    ObjectNotInPrerequisiteState,
    UndefinedParameter,
)
from storage.rights import Subject
from storage.types import BY_OID, TEXT, Type

MAX_PARAMETERS = 65_535
KEPT_PATH = ("pg_catalog", "public")
"""The search path of kept texts: they name all else by its schema. Older ones may have left out public."""


class ParameterTypes:
    """The types of $1, $2, ...: given by the client (None or an OID of 0: unknown), or found by binding.

    `fixed`: there are exactly the given ones, as in the simple protocol (none) or in EXECUTE.
    """

    def __init__(self, given: Sequence[Type | None] = (), *, fixed: bool = False) -> None:
        self._types: list[Type | None] = list(given)
        self.fixed = fixed

    def use(self, number: int, position: int) -> Type | None:
        """The type of $number where it is known; raises UndefinedParameter where there is none."""
        if number < 1 or number > MAX_PARAMETERS or (self.fixed and number > len(self._types)):
            raise UndefinedParameter(f"there is no parameter ${number}", position=position)
        while len(self._types) < number:
            self._types.append(None)
        return self._types[number - 1]

    def resolve(self, number: int, type: Type) -> None:
        """Say what $number turned out to be."""
        self._types[number - 1] = type.base

    def final(self) -> tuple[Type, ...]:
        """All types; raises IndeterminateDatatype (42P18) for one that nothing told."""
        for number, type in enumerate(self._types, 1):
            if type is None:
                raise IndeterminateDatatype(f"could not determine data type of parameter ${number}")
        return tuple(type for type in self._types if type is not None)


@dataclass
class BindContext:
    """Everything that binding one statement asks for.

    `search_path` names schemas in the order they are searched, pg_catalog among them (first, unless the
    user placed it). `text` is the whole query string that positions count in.
    """

    catalog: Catalog
    search_path: tuple[str, ...]
    session: SessionInfo
    parameters: ParameterTypes = field(default_factory=ParameterTypes)
    text: str = ""
    dependencies: set[tuple[int, int]] = field(default_factory=set)
    names: set[tuple[str, int]] = field(default_factory=set)
    constants: dict[object, Column] = field(default_factory=dict)  # equal literals are one column
    places: dict[int, tuple[object, int]] = field(default_factory=dict)  # by id: where a node was written
    planning: Planning = field(default_factory=Planning)
    resolved: Resolved | None = None  # where it is wanted: what names were found to be
    volatile: bool = False  # the plan holds what binding read from the session: do not keep it
    top: exp.Expression | None = None  # the statement, whose WITH alone may write
    frame: Frame = field(default_factory=Frame)  # of the statement itself
    argument_scope: Scope | None = None  # of a function's body: its arguments
    routines: tuple[int, ...] = ()  # OIDs of the functions whose bodies are being bound
    unpopulated: list[str] = field(default_factory=list)  # materialized views that hold nothing yet
    writers: list[Shared] = field(default_factory=list)  # the parts of it that write
    needs: dict[tuple[int, int], Need] = field(default_factory=dict)  # by OID and role
    acting: int = 0  # whose rights count, of the view that is being bound: see sql.needs
    _slots: int = 0
    _run: Run | None = None

    def plan(self, operator: Operator, fields: Sequence[Field], failure: DatabaseError | None = None) -> Plan:
        """A plan that depends on what was gathered. Raises IndeterminateDatatype."""
        if self.writers:
            operator = WithWrites(operator, tuple(self.writers))
        return Plan(
            operator,
            tuple(fields),
            self.parameters.final(),
            frozenset(self.dependencies),
            frozenset(self.names),
            self.volatile,
            failure,
            bool(self.writers),
            tuple(self.unpopulated),
            self.planning.off,
            self.planning.sizes,
            tuple(self.needs.values()),
        )

    def type_of(self, name: TypeName) -> Type:
        """The type of this name: the plan depends on it from now on. Raises UndefinedObject."""
        type = type_of(name, named(self.catalog, self.search_path))
        self.depend(type)
        return type

    def depend(self, type: Type) -> None:
        """The plan holds for this version of a type of the catalog."""
        if type.oid in BY_OID and type.catalog_oid in BY_OID:
            return
        made = self.catalog.typed(type.catalog_oid)
        if made is not None:
            self.dependencies.add((made.oid, made.version))

    def need(self, item: Relation | Function) -> Need:
        """What the plan needs of an object: the same for all who name it here."""
        acting = 0 if isinstance(item, Function) else self.acting
        return self.needs.setdefault((item.oid, acting), need_of(item, acting))

    def need_schema(self, schema: Schema) -> None:
        """The plan names something by a schema."""
        if not self.acting and not schema.temporary:
            about = Subject("n", schema.oid, schema.owner)
            self.needs.setdefault((schema.oid, 0), Need(about, "schema", schema.name)).want("U")

    def need_private(self, oid: int, word: str, name: str) -> None:
        """The plan reads a relation of the system that is not for everybody."""
        self.needs.setdefault((oid, self.acting), Need(Subject("r", oid), word, name, self.acting)).want("r")

    def next_slot(self) -> int:
        """A number for a scan whose rows are locked; 0 is that of UPDATE's and DELETE's target."""
        self._slots += 1
        return self._slots

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While what the catalog keeps as text is bound: its names are the ones that they were."""
        before = self.search_path, self.names, self.resolved
        self.search_path, self.names, self.resolved = KEPT_PATH, set(), None
        try:
            yield
        finally:
            self.search_path, self.names, self.resolved = before

    def run(self) -> Run:
        """A run for evaluating constants while binding: no rows, no snapshot."""
        if self._run is None:
            nothing: Any = None
            self._run = Run(nothing, nothing, session=self.session)
        return self._run

    def place(self, node: object, position: int) -> int:
        """Where a column or constant was written, if that was remembered; else `position`."""
        return self.places.get(id(node), (node, position))[1]

    def constant(self, type: Type, value: object) -> Column:
        """The constant column of a value, the same object for equal ones."""
        key = (type, type_key(value), value)
        column = self.constants.get(key)
        if column is None:
            column = self.constants[key] = Column.scalar(type, value)
        return column


def type_key(value: object) -> object:
    """What keeps 1, 1.0, 1.00 and true apart as keys."""
    return (
        str(value) if isinstance(value, int | float) or hasattr(value, "as_tuple") else type(value).__name__
    )


@dataclass(frozen=True)
class Plan:
    """A bound query: its operator, result columns, parameter types and what it was planned against.

    `failure`: a constant in it cannot be computed. `off` and `sizes`: see sql.planning.
    """

    operator: Operator
    fields: tuple[Field, ...]
    parameters: tuple[Type, ...] = ()
    dependencies: frozenset[tuple[int, int]] = frozenset()  # (OID, version)
    names: frozenset[tuple[str, int]] = frozenset()  # (bare name, OID it was found to be)
    volatile: bool = False
    failure: DatabaseError | None = None
    writes: bool = False  # in its WITH
    unpopulated: tuple[str, ...] = ()  # materialized views that it reads and that hold nothing yet
    off: frozenset[str] = frozenset()
    sizes: Mapping[int, int] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()

    @cached_property
    def short(self) -> bool:
        """Whether it runs where it is read: see sql.short."""
        return is_short(self.operator)

    @cached_property
    def only_looks(self) -> bool:
        """Whether it is short, reads, and needs no transaction for that."""
        return self.short and self.failure is None and not self.unpopulated and only_looks(self.operator)

    def check(self) -> None:
        """Raise the plan's failure: PostgreSQL computes constants before anything is sent or run."""
        if self.failure is not None:
            raise copy(self.failure)

    def check_populated(self) -> None:
        """Raise ObjectNotInPrerequisiteState where the plan may not run: it may be explained."""
        for name in self.unpopulated[:1]:
            raise ObjectNotInPrerequisiteState(
                f'materialized view "{name}" has not been populated',
                hint="Use the REFRESH MATERIALIZED VIEW command.",
            )


UNKNOWN_RESULT = TEXT  # the type of a result column that nothing tells, as in PostgreSQL
