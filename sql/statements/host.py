"""What statements ask of the session that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from engine.forms.style import Style
from engine.run import Run
from engine.seams import SessionInfo
from sql.asked import Identity
from sql.channels import Mailbox
from sql.context import BindContext
from sql.needs import Need
from sql.outcome import Outcome
from sql.parse import Statement
from sql.planned import Planned, Planner
from sql.portals import Portals
from sql.settings import Layers, Settings
from storage.catalog import Catalog
from storage.column import Column
from storage.database import Database
from storage.transactions.transaction import Transaction
from storage.types import Type

P = TypeVar("P")


class Host(SessionInfo, Protocol):
    """The session, as its statements see it."""

    store: Database
    login: str
    settings: Settings
    planner: Planner
    explicit: bool
    mailbox: Mailbox
    prepared: dict[str, Planned]
    portals: Portals
    savepoints: list[tuple[str, int, Layers]]

    @property
    def status(self) -> str: ...

    @property
    def superuser(self) -> bool: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def style(self) -> Style: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def transaction(self) -> Transaction: ...

    def set_modes(
        self, isolation: str | None, read_only: bool | None, deferrable: bool | None = None
    ) -> None: ...

    def check_needs(self, needs: Iterable[Need]) -> None:
        """Raise InsufficientPrivilege where the user lacks what a plan needs."""

    def commit(self) -> None: ...

    def conclude(self) -> None:
        """`commit` as the last thing that a statement does."""

    def rollback(self) -> None: ...

    def recovered(self) -> None: ...

    def released(self) -> None: ...

    def new_run(self, parameters: Sequence[Column], counters: object = None) -> Run: ...

    def settled(self, make: Callable[[BindContext], P], context: Callable[[], BindContext]) -> P:
        """What `make` plans, with what it reads locked: made again where that has changed until then."""

    def run(self, planned: Planned, parameters: Sequence[Column]) -> Outcome: ...

    def define(self, statement: Statement | None, types: Sequence[Type | None], text: str) -> Planned: ...

    def statement(self, name: str) -> Planned: ...

    def must_be_free(self, portal: str) -> None: ...

    def close_portal(self, name: str) -> None: ...

    def notice(
        self, severity: str, sqlstate: str, message: str, hint: str = "", detail: str = ""
    ) -> None: ...

    def forget_sequences(self) -> None: ...
