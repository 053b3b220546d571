"""Foreign keys against a model of their own: random writes under every action, in statements of many rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sql.session import Session
from storage.database import Database
from storage.errors import DatabaseError

ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
DEFAULT = 3
keys = st.integers(0, 5)
write = st.one_of(
    st.tuples(st.just("parents"), st.lists(keys, min_size=1, max_size=3)),
    st.tuples(st.just("children"), st.lists(st.one_of(keys, st.none()), min_size=1, max_size=3)),
    st.tuples(st.just("delete"), st.lists(keys, min_size=1, max_size=3)),
    st.tuples(st.just("rename"), keys, keys),
    st.tuples(st.just("point"), keys, keys),
    st.tuples(st.just("optimize")),
)


class Refused(Exception):
    """The model's word for 23503 and 23505."""


class Model:
    """Parents and how many children point to each, or to none."""

    def __init__(self, on_delete: str, on_update: str) -> None:
        self.on_delete, self.on_update = on_delete, on_update
        self.parents: set[int] = set()
        self.children: Counter[int | None] = Counter()

    def apply(self, name: str, *arguments: Any) -> None:
        """Do it, or raise and leave everything as it was."""
        before = set(self.parents), Counter(self.children)
        try:
            getattr(self, name)(*arguments)
            if any(key is not None and key not in self.parents for key in +self.children):
                raise Refused
        except Refused:
            self.parents, self.children = before
            raise

    def _go(self, key: int, action: str, new: int | None) -> None:
        count = self.children.pop(key, 0)
        if not count:
            return
        match action:
            case "NO ACTION" | "RESTRICT":
                raise Refused
            case "CASCADE" if new is not None:
                self.children[new] += count
            case "SET NULL":
                self.children[None] += count
            case "SET DEFAULT":
                self.children[DEFAULT] += count

    def insert_parents(self, items: list[int]) -> None:
        """INSERT INTO p."""
        if len(set(items)) < len(items) or self.parents & set(items):
            raise Refused
        self.parents |= set(items)

    def insert_children(self, items: list[int | None]) -> None:
        """INSERT INTO c."""
        self.children.update(items)

    def delete(self, items: list[int]) -> None:
        """DELETE FROM p."""
        gone = self.parents & set(items)
        self.parents -= gone
        for key in gone:
            self._go(key, self.on_delete, None)

    def rename(self, old: int, new: int) -> None:
        """UPDATE p SET id."""
        if old not in self.parents or old == new:
            return
        if new in self.parents:
            raise Refused
        self.parents = self.parents - {old} | {new}
        self._go(old, self.on_update, new)

    def point(self, old: int, new: int) -> None:
        """UPDATE c SET p_id."""
        moved = self.children.pop(old, 0)
        self.children[new] += moved


def run(session: Session, text: str) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    found: list[tuple[Any, ...]] = []
    for outcome in session.simple(text):
        for batch in getattr(outcome, "batches", ()):
            found += zip(*(column.tolist() for column in batch.columns), strict=True)
        outcome.complete()  # type: ignore[union-attr]
    return found


def statement(name: str, *arguments: Any) -> str:
    """What the model does, as SQL."""
    match name:
        case "parents":
            return "INSERT INTO p VALUES " + ", ".join(f"({key})" for key in arguments[0])
        case "children":
            values = ("NULL" if key is None else str(key) for key in arguments[0])
            return "INSERT INTO c VALUES " + ", ".join(f"({key})" for key in values)
        case "delete":
            return f"DELETE FROM p WHERE id IN ({', '.join(map(str, arguments[0]))})"
        case "rename":
            return f"UPDATE p SET id = {arguments[1]} WHERE id = {arguments[0]}"
        case "point":
            return f"UPDATE c SET p_id = {arguments[1]} WHERE p_id = {arguments[0]}"
    return "OPTIMIZE TABLE c FULL; OPTIMIZE TABLE p FULL"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ACTIONS), st.sampled_from(ACTIONS), st.lists(write, max_size=12), st.booleans())
def test_writes_do_what_the_model_does(
    on_delete: str, on_update: str, writes: list[tuple[Any, ...]], indexed: bool
) -> None:
    database = Database.open(None)
    session = Session(database, "glancedb", "glancedb")
    actions = f"ON DELETE {on_delete} ON UPDATE {on_update}"
    run(session, "CREATE TABLE p (id int PRIMARY KEY)")
    run(session, f"CREATE TABLE c (p_id int DEFAULT {DEFAULT} REFERENCES p {actions})")
    if indexed:
        run(session, "CREATE INDEX ON c (p_id)")
    model = Model(on_delete, on_update)
    methods = {"parents": "insert_parents", "children": "insert_children"}
    for name, *arguments in writes:
        expected, refused = False, ""
        if name != "optimize":
            try:
                model.apply(methods.get(name, name), *arguments)
            except Refused:
                expected = True
        try:
            run(session, statement(name, *arguments))
        except DatabaseError as error:
            session.fail()
            refused = error.sqlstate
        assert refused in (("23503", "23505") if expected else ("",)), (name, arguments)
        assert {row[0] for row in run(session, "SELECT id FROM p")} == model.parents
        assert Counter(row[0] for row in run(session, "SELECT p_id FROM c")) == +model.children
    session.close()
    database.close()
