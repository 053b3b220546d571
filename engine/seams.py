"""The engine's protocols: a bound expression, and what functions ask of the session that runs them.

Regclass and its kin need the catalog's names, current_user and set_config need the session; the
engine knows neither, so `Run.session` is one of these and sql.session implements it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from engine.run import Run
from storage.batch import Batch
from storage.column import Column
from storage.types import Type

Kind = Literal["class", "type", "proc", "procedure", "oper", "operator", "namespace", "role", "collation"]


class Expression(Protocol):
    """A bound expression of type `type` over the columns of a batch."""

    @property
    def type(self) -> Type: ...

    @property
    def children(self) -> tuple[Expression, ...]: ...

    def evaluate(self, batch: Batch, run: Run) -> Column: ...


class Routine(Protocol):
    """A function of the catalog, ready to run."""

    def rows(self, run: Run, arguments: Sequence[Column]) -> Iterator[Batch]:
        """What a call with these constant arguments gives."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts of dates and the like are read and written: a session's settings, and its `now`."""

    settings: Mapping[str, str] = field(default_factory=dict)
    now: int = 0


class SessionInfo(Protocol):
    """The session behind a run."""

    database: str
    backend_pid: int

    @property
    def user(self) -> str:
        """The role whose rights count."""

    @property
    def session_user(self) -> str:
        """The role that the session is of."""

    query: str  # the text that the client has sent

    def setting(self, name: str) -> str | None:
        """The value of a setting (any case), or None where there is none of the name."""

    def set_setting(self, name: str, value: str, local: bool) -> str:
        """SET; returns the value as shown. Raises what SET raises."""

    def search_path(self, implicit: bool) -> list[str]:
        """Existing schemas in order; with pg_catalog where it is searched implicitly."""

    def rights_on(
        self, kind: Kind | None, oid: int, role: int, number: int = 0, *, options: bool = False
    ) -> str | None:
        """The rights of a role on an object of a kind (None: the database), or on its column, as letters.

        With `options`, those that it may pass on. None where nothing has the OID. See storage.rights.
        """

    def column_numbers(self, oid: int) -> tuple[int, ...]:
        """The attnums of a relation's columns, in their order."""

    def name_of(self, kind: Kind, oid: int) -> str:
        """What a reg type prints: quoted and qualified as needed, '-' for 0, digits if unknown."""

    def oid_of(self, kind: Kind, text: str) -> int:
        """What a reg type reads. Raises UndefinedTable, UndefinedObject, UndefinedFunction..."""

    def enum_labels(self, oid: int) -> dict[int, str]:
        """The labels of an enum by the places that columns hold, in their order."""

    def view_definition(self, oid: int, pretty: bool) -> str | None:
        """The query of a view as SQL; None where there is no such view."""

    @property
    def reading(self) -> Reading:
        """How constants of what is to be kept are read, and shown."""

    def shown(self, text: str, owner: int) -> str:
        """A stored expression of a table or domain (OID) as people read it: no needless schemas."""

    def next_values(self, sequence: int, count: int) -> Sequence[int]: ...

    def sequence_value(self, sequence: int) -> int | None:
        """The last value that a sequence gave to anybody; None where it gave none, or is none."""

    def current_value(self, sequence: int) -> int: ...

    def last_value(self) -> int: ...

    def set_value(self, sequence: int, value: int, called: bool) -> int: ...

    def log_place(self) -> int:
        """The place where the log ends, in bytes; 0 where there is none."""

    def signal(self, pid: int, terminate: bool) -> bool:
        """Cancel another session's statement, or end the session; false where there is no such session."""

    def notice(self, severity: str, sqlstate: str, message: str, hint: str = "") -> None:
        """Tell the client something that is no error."""

    def blockers(self, pid: int) -> list[int]:
        """The sessions that a session waits for, by pid."""

    def routine(self, oid: int, types: Sequence[Type]) -> Routine:
        """A function's statements, planned for arguments of these types."""

    def lock_read(self, dependencies: Iterable[tuple[int, int]]) -> None:
        """Keep the relations of a plan, (OID, version), as they are until the transaction ends."""

    def notify(self, channel: str, payload: str) -> None:
        """NOTIFY: told at commit."""
