"""What a plan needs to be allowed: rights on relations, schemas and functions.

They are of whoever runs it, or, of what stands behind a view, of its owner, unless the view says
security_invoker.

Binding gathers it, columns with it; it is held against the lists of storage.grants when the plan is run, and
again whenever the catalog or the role has changed. A right on a table covers its columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sql.storageparameters import SECURITY_INVOKER, is_on
from storage.catalog import Catalog
from storage.definitions import Function, Relation, Sequence, Table, View
from storage.errors import InsufficientPrivilege
from storage.rights import Subject, held, is_superuser, subject

WHOLE_ROW = 0
"""Stands for all columns, in the place of an attnum."""
INVOKER = -1
"""Stands for whoever runs the plan, in the place of the role that acts behind a view."""
_BY_COLUMN = "arw"


@dataclass
class Need:
    """Rights on one object, by their letters, with the columns (attnums) that they are needed on.

    No columns: one that has the right is enough. `role`: whose rights count, 0 or INVOKER for those of who
    runs it.
    """

    about: Subject
    word: str
    name: str
    role: int = 0
    rights: dict[str, set[int]] = field(default_factory=dict)

    def want(self, letter: str, columns: Iterable[int] = ()) -> None:
        """This right is needed, on these columns."""
        self.rights.setdefault(letter, set()).update(columns)

    def refused(self) -> InsufficientPrivilege:
        """The error where a right is not there."""
        return InsufficientPrivilege(f"permission denied for {self.word} {self.name}")


def word_of(item: Relation | Function) -> str:
    """What a relation or function is called in errors."""
    match item:
        case Table():
            return "table" if item.materialized is None else "materialized view"
        case View():
            return "view"
        case Sequence():
            return "sequence"
    return "procedure" if item.procedure else "function"


def need_of(item: Relation | Function, role: int = 0) -> Need:
    """Nothing yet, of an object of the catalog."""
    about = subject(item)
    assert about is not None
    return Need(about, word_of(item), item.name, role)


def acting(view: View) -> int:
    """Whose rights count of what stands behind a view: the owner's (an OID), or INVOKER."""
    return INVOKER if is_on(view.options, SECURITY_INVOKER) else view.owner


def check(catalog: Catalog, needs: Iterable[Need], role: int) -> None:
    """Raise InsufficientPrivilege where a role (an OID) lacks something."""
    for need in needs:
        who = need.role if need.role > 0 else role
        if is_superuser(catalog, who):
            continue
        have = held(catalog, who, need.about)
        for letter, columns in need.rights.items():
            if letter not in have and not _on_columns(catalog, who, need, letter, columns):
                raise need.refused()


def _on_columns(catalog: Catalog, role: int, need: Need, letter: str, columns: set[int]) -> bool:
    """Whether a role has a right on these columns, or on any where there are none."""
    about = need.about
    if about.kind != "r" or letter not in _BY_COLUMN:
        return False
    listed = [number for object, number in catalog.acls if object == about.oid and number]
    allowed = {number for number in listed if letter in held(catalog, role, about, number)}
    if not columns:
        return bool(allowed)
    wanted = columns - {WHOLE_ROW}
    if WHOLE_ROW in columns:
        wanted |= _every(catalog, about.oid)
    return wanted <= allowed


def _every(catalog: Catalog, oid: int) -> set[int]:
    relation = catalog.relations.get(oid)
    if isinstance(relation, Table):
        return set(relation.numbers)
    return set(range(1, len(relation.columns) + 1)) if isinstance(relation, View) else {WHOLE_ROW}
