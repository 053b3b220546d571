"""What functions ask of their session, as far as it only reads: settings, names, values of sequences.

`Session` builds on it; the protocol is engine.seams.SessionInfo. What is asked often is kept with what it
was made of: settings and catalogs are replaced when they change, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.forms import Style
from engine.seams import Kind, SessionInfo
from sql import names, regclasses
from sql.settings import Settings
from sql.storedviews import definition
from storage.catalog import Catalog
from storage.database import Database
from storage.definitions import Materialized, Table, View
from storage.definitions import Sequence as SequenceDefinition
from storage.errors import FeatureNotSupported, InvalidParameterValue, ObjectNotInPrerequisiteState
from storage.segments.statistics import TableStatistics, statistics_of
from storage.transactions.transaction import Transaction
from storage.usertypes import EnumType


class Asked(SessionInfo):
    """See the module's text."""

    def __init__(self, database: Database, user: str, settings: Mapping[str, str]) -> None:
        """Raises what SET raises for a wrong setting."""
        self.store = database
        self.user = self.session_user = user
        role = database.catalog.role(user)
        self.superuser = role is not None and role.superuser
        self.settings = Settings(settings)
        self._style: tuple[Mapping[str, str], Style] | None = None  # and the settings it is made of
        self._path: tuple[Catalog, tuple[str, str], list[str], str] | None = None  # and what it is made of
        self._currents: dict[int, int] = {}
        self._last_sequence: int | None = None

    @property
    def catalog(self) -> Catalog:
        """The catalog as the running transaction sees it."""
        raise NotImplementedError

    def statistics(self, oid: int) -> TableStatistics | None:
        """What is known of a table's rows: see sql.planning."""
        return statistics_of(self.store.store(oid))

    @property
    def now(self) -> int:
        """The start of the transaction: microseconds since 2000-01-01 UTC."""
        raise NotImplementedError

    @property
    def transaction(self) -> Transaction:
        """The running transaction; an implicit one begins if there is none."""
        raise NotImplementedError

    @property
    def style(self) -> Style:
        """How text forms are written and read just now."""
        values, now = self.settings.values, self.now
        if self._style is None or self._style[0] is not values:
            self._style = (values, Style.of(values, self, now))
        elif self._style[1].now != now:
            self._style = (values, self._style[1].at(now))
        return self._style[1]

    def setting(self, name: str) -> str | None:
        """See engine.seams.SessionInfo."""
        return self.settings.get(name)

    def _become(self, setting: str, value: str) -> None:
        if setting == "role" and value == "none":
            self.user = self.session_user
        elif self.catalog.role(value) is None:
            raise InvalidParameterValue(f'role "{value}" does not exist')
        elif not self.superuser and value != self.session_user:
            raise FeatureNotSupported(f"SET {setting.upper()} to another role is not supported")
        else:
            self.user = value
        self.settings.put(setting, value)

    def search_path(self, implicit: bool) -> list[str]:
        """See engine.seams.SessionInfo."""
        catalog = self.catalog
        made_of = (self.settings.values["search_path"], self.user)
        if self._path is None or self._path[0] is not catalog or self._path[1] != made_of:
            self._path = catalog, made_of, *self._found_path(catalog, *made_of)
        path, own = self._path[2:]
        if not implicit:
            return list(path)
        first = [] if "pg_catalog" in path else ["pg_catalog"]
        return [own, *first, *path] if own and own not in path else [*first, *path]

    def _found_path(self, catalog: Catalog, text: str, user: str) -> tuple[list[str], str]:
        """The schemas that are there, and the session's own for temporary relations."""
        own = next((schema.name for schema in catalog.schemas.values() if schema.temporary), "")
        words = {"$user": user, "pg_temp": own}
        wanted = [words.get(name, name) for name in names.split_list(text)]
        return [name for name in wanted if catalog.schema(name) is not None], own

    def view_definition(self, oid: int, pretty: bool) -> str | None:
        """See engine.seams.SessionInfo."""
        catalog = self.catalog
        view = catalog.relations.get(oid)
        query = view.materialized if isinstance(view, Table) else view
        if isinstance(query, View | Materialized):
            assert isinstance(view, View | Table)
            columns = [column.name for column in view.columns]
            return definition(query, columns, catalog, self.search_path(True), self)
        return names.system_view_text(oid)

    def shown(self, text: str) -> str:
        """See engine.seams.SessionInfo."""
        return regclasses.shown(text, self.catalog, self.search_path(True))

    def name_of(self, kind: Kind, oid: int) -> str:
        """See engine.seams.SessionInfo."""
        return names.name_of(self.catalog, self.search_path(True), kind, oid)

    def oid_of(self, kind: Kind, text: str) -> int:
        """See engine.seams.SessionInfo."""
        return names.oid_of(self.catalog, self.search_path(True), kind, text)

    def enum_labels(self, oid: int) -> dict[int, str]:
        """See engine.seams.SessionInfo."""
        made = self.catalog.types[oid]
        assert isinstance(made, EnumType)
        return {label.place: label.text for label in made.labels}

    def drew(self, sequence: int, value: int) -> None:
        """A sequence gave this session a value."""
        self._currents[sequence] = value
        self._last_sequence = sequence

    def sequence_value(self, sequence: int) -> int | None:
        """See engine.seams.SessionInfo."""
        found = self.catalog.relations.get(sequence)
        if not isinstance(found, SequenceDefinition):
            return None
        value, called = self.store.sequences.state(found)
        return value if called else None

    def current_value(self, sequence: int) -> int:
        """See engine.seams.SessionInfo. Raises ObjectNotInPrerequisiteState."""
        if sequence not in self._currents:
            name = self.name_of("class", sequence)
            raise ObjectNotInPrerequisiteState(
                f'currval of sequence "{name}" is not yet defined in this session'
            )
        return self._currents[sequence]

    def last_value(self) -> int:
        """See engine.seams.SessionInfo. Raises ObjectNotInPrerequisiteState."""
        if self._last_sequence is None:
            raise ObjectNotInPrerequisiteState("lastval is not yet defined in this session")
        return self._currents[self._last_sequence]

    def forget_sequences(self) -> None:
        """DISCARD SEQUENCES."""
        self._currents, self._last_sequence = {}, None

    def blockers(self, pid: int) -> list[int]:
        """See engine.seams.SessionInfo."""
        return self.store.waits.blockers(pid)
