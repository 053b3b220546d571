"""What functions ask of their session, as far as it only reads: settings, names, values of sequences.

`Session` builds on it; the protocol is engine.seams.SessionInfo. What is asked often is kept with what it
was made of: settings and catalogs are replaced when they change, never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.forms import Style
from engine.seams import Kind, Reading, SessionInfo
from sql import names
from sql.needs import Need, check, need_of
from sql.settings import Settings
from sql.storedexpressions import shown
from sql.storedviews import definition
from sql.views.registry import VIEWS
from storage.catalog import Catalog
from storage.database import Database
from storage.definitions import DATABASE_OID, Materialized, Role, Table, View
from storage.definitions import Sequence as SequenceDefinition
from storage.errors import InsufficientPrivilege, InvalidParameterValue, ObjectNotInPrerequisiteState
from storage.rights import DATABASE, LETTERS, Subject, held, is_superuser, roles_of, subject
from storage.segments.statistics import TableStatistics, statistics_of
from storage.transactions.transaction import Transaction
from storage.usertypes import EnumType


class Identity(NamedTuple):
    """A role (an OID, 0 for one that is gone), and whether it is a superuser."""

    role: int
    superuser: bool


def _defaults(catalog: Catalog, role: Role | None) -> dict[str, str]:
    """What a role's sessions begin with: what is said of fewer sessions comes before what is said of more."""
    found = [catalog.session_settings(0, in_database=False), catalog.session_settings(0, in_database=True)]
    own = None if role is None else catalog.session_settings(role.oid, in_database=True)
    parts = [() if item is None else item.settings for item in (*found, own)]
    parts.insert(2, () if role is None else role.settings)
    return {name: value for part in parts for name, value in part}


class Asked(SessionInfo):
    """See the module's text."""

    def __init__(self, database: Database, user: str, settings: Mapping[str, str]) -> None:
        """Raises what SET raises for a wrong setting."""
        self.store = database
        self.login = user  # who was let in: what SET SESSION AUTHORIZATION may do is this role's
        role = database.catalog.role(user)
        self.settings = Settings({**_defaults(database.catalog, role), **settings})
        self.settings.begin_with("session_authorization", user)
        self._identity: tuple[Mapping[str, str], Catalog, Identity] | None = None  # and what it is made of
        self._style: tuple[Mapping[str, str], Style] | None = None  # and the settings it is made of
        self._path: tuple[Catalog, tuple[str, str], list[str], str] | None = None  # and what it is made of
        self._currents: dict[int, int] = {}
        self._last_sequence: int | None = None

    @property
    def session_user(self) -> str:
        """See engine.seams.SessionInfo."""
        return self.settings.values["session_authorization"]

    @property
    def user(self) -> str:
        """See engine.seams.SessionInfo."""
        role = self.settings.values["role"]
        return self.session_user if role == "none" else role

    @property
    def identity(self) -> Identity:
        """Whose rights count just now."""
        values, catalog, known = self.settings.values, self.catalog, self._identity
        if known is not None and known[0] is values and known[1] is catalog:
            return known[2]
        role = catalog.role(self.user)
        found = Identity(0, False) if role is None else Identity(role.oid, role.superuser)
        self._identity = (values, catalog, found)
        return found

    def check_needs(self, needs: Iterable[Need]) -> None:
        """Raise InsufficientPrivilege where the user lacks what a plan needs."""
        identity = self.identity
        if not identity.superuser:
            check(self.catalog, needs, identity.role)

    def rights_on(
        self, kind: Kind | None, oid: int, role: int, number: int = 0, *, options: bool = False
    ) -> str | None:
        """See engine.seams.SessionInfo."""
        catalog = self.catalog
        about: Subject | None = DATABASE if kind is None and oid == DATABASE_OID else None
        item = None if kind is None else catalog.find(oid)
        if item is not None:
            about = subject(item)
        if about is not None:
            return held(catalog, role, about, number, options=options)
        if kind is None or self.name_of(kind, oid).lstrip("-").isdigit():
            return None
        public = {"class": "r", "procedure": "X", "type": "U"}.get(kind, "")
        view = next((view for view in VIEWS.values() if view.oid == oid), None)
        everybody = "" if options or (view is not None and view.private) else public
        return LETTERS if is_superuser(catalog, role) else everybody

    def log_place(self) -> int:
        """See engine.seams.SessionInfo."""
        return self.store.log_place

    def column_numbers(self, oid: int) -> tuple[int, ...]:
        """See engine.seams.SessionInfo."""
        found = self.catalog.relations.get(oid)
        if isinstance(found, Table):
            return found.numbers
        return tuple(range(1, len(found.columns) + 1)) if isinstance(found, View) else ()

    def check_sequence(self, oid: int, letters: str) -> None:
        """Raise InsufficientPrivilege where the user has none of these rights on a sequence.

        That of an identity column is used by whoever may write to its table.
        """
        identity = self.identity
        if identity.superuser:
            return
        catalog = self.catalog
        found = catalog.relations.get(oid)
        if not isinstance(found, SequenceDefinition):
            return
        if _is_identity(catalog, found):
            return
        need = need_of(found)
        if not set(letters) & set(held(catalog, identity.role, need.about)):
            raise need.refused()

    @property
    def superuser(self) -> bool:
        """Whether nothing is refused."""
        return self.identity.superuser

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
    def reading(self) -> Reading:
        """How constants of what is to be kept are read, and shown."""
        return Reading(self.settings.values, self.now)

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

    def become(self, setting: str, value: str, local: bool) -> None:
        """SET ROLE, SET SESSION AUTHORIZATION. Raises InvalidParameterValue, InsufficientPrivilege."""
        catalog = self.catalog
        role, login = catalog.role(value), catalog.role(self.login)
        if role is None and not (setting == "role" and value == "none"):
            raise InvalidParameterValue(f'role "{value}" does not exist')
        if setting == "session_authorization":
            if value != self.login and not (login is not None and login.superuser):
                raise InsufficientPrivilege("permission denied to set session authorization")
            self.settings.put("role", "none", local)
        elif role is not None:
            own = catalog.role(self.session_user)
            member = own is not None and role.oid in roles_of(catalog, own.oid, inherited=False)
            if not member and not (own is not None and own.superuser):
                raise InsufficientPrivilege(f'permission denied to set role "{value}"')
        self.settings.put(setting, value, local)
        self.settings.put("is_superuser", "on" if self.superuser else "off", local)

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
        there = [name for name in wanted if catalog.schema(name) is not None]
        return [name for name in there if self.may_look_into(name)], own

    def may_look_into(self, schema: str) -> bool:
        """Whether the user may name what is in a schema of the catalog."""
        identity = self.identity
        if identity.superuser:
            return True
        found = self.catalog.must_schema(schema)
        about = Subject("n", found.oid, found.owner)
        return found.temporary or "U" in held(self.catalog, identity.role, about)

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

    def shown(self, text: str, owner: int) -> str:
        """See engine.seams.SessionInfo."""
        return shown(text, owner, self.catalog, self.search_path(True), self)

    def name_of(self, kind: Kind, oid: int) -> str:
        """See engine.seams.SessionInfo."""
        return names.name_of(self.catalog, self.search_path(True), kind, oid)

    def oid_of(self, kind: Kind, text: str) -> int:
        """See engine.seams.SessionInfo."""
        parts = names.split_name(text) if kind == "class" else ()
        if len(parts) == 3:
            names.refuse_other(parts, self.database)
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
        self.check_sequence(sequence, "Ur")
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
        self.check_sequence(self._last_sequence, "Ur")
        return self._currents[self._last_sequence]

    def forget_sequences(self) -> None:
        """DISCARD SEQUENCES."""
        self._currents, self._last_sequence = {}, None

    def blockers(self, pid: int) -> list[int]:
        """See engine.seams.SessionInfo."""
        return self.store.waits.blockers(pid)


def _is_identity(catalog: Catalog, sequence: SequenceDefinition) -> bool:
    """Whether a sequence is that of an identity column."""
    if sequence.owned_by is None:
        return False
    oid, number = sequence.owned_by
    table = catalog.relations.get(oid)
    return isinstance(table, Table) and any(c.identity and c.number == number for c in table.columns)
