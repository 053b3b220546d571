"""ALTER TABLE: its actions, one dataclass and one reader each; a new one is a row in ACTIONS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sql.commands.altercolumns import (
    add_column,
    alter_column,
    drop_column,
    reset_options,
    set_options,
)
from sql.commands.base import Action, Command, Name, unsupported
from sql.commands.renaming import renamed
from sql.constraints import ConstraintClause, read_constraint, read_timing
from sql.reading import Reader


@dataclass(frozen=True)
class AlterTable(Command):
    name: Name
    if_exists: bool
    actions: tuple[Action, ...]
    kind: str = "table"


@dataclass(frozen=True)
class AddConstraint(Action):
    words: ClassVar[str] = "ADD CONSTRAINT"
    clause: ConstraintClause


@dataclass(frozen=True)
class DropConstraint(Action):
    words: ClassVar[str] = "DROP CONSTRAINT"
    name: str
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class ValidateConstraint(Action):
    words: ClassVar[str] = "VALIDATE CONSTRAINT"
    name: str


@dataclass(frozen=True)
class AlterConstraint(Action):
    """ALTER CONSTRAINT: when it is checked."""

    words: ClassVar[str] = "ALTER CONSTRAINT"
    name: str
    clause: ConstraintClause


@dataclass(frozen=True)
class SetLogged(Action):
    """SET LOGGED, SET UNLOGGED."""

    logged: bool

    @property
    def words(self) -> str:
        return "SET LOGGED" if self.logged else "SET UNLOGGED"


@dataclass(frozen=True)
class ClusterOn(Action):
    """CLUSTER ON index; of '': SET WITHOUT CLUSTER."""

    index: str

    @property
    def words(self) -> str:
        return "CLUSTER ON" if self.index else "SET WITHOUT CLUSTER"


def _set_logged(reader: Reader) -> Action | None:
    word = reader.one_of("logged", "unlogged")
    return SetLogged(word == "logged") if word else None


def _without_cluster(reader: Reader) -> Action | None:
    return ClusterOn("") if reader.word("without", "cluster") else None


def _cluster_on(reader: Reader) -> Action | None:
    reader.must_word("on")
    return ClusterOn(reader.name())


def _add_constraint(reader: Reader) -> Action | None:
    token, after = reader.token, reader.peek()
    if token is None or after is None:
        return None
    keyed = token.is_word("primary", "foreign") and after.is_word("key")
    if keyed or token.is_word("constraint", "unique", "check", "exclude"):
        return AddConstraint(read_constraint(reader))
    return None


def _drop_constraint(reader: Reader) -> Action | None:
    if not reader.word("constraint"):
        return None
    if_exists = reader.word("if", "exists")
    name = reader.name()
    return DropConstraint(name, if_exists, reader.one_of("cascade", "restrict") == "cascade")


def _validate(reader: Reader) -> Action | None:
    reader.must_word("constraint")
    return ValidateConstraint(reader.name())


def _alter_constraint(reader: Reader) -> Action | None:
    if not reader.word("constraint"):
        return None
    name = reader.name()
    return AlterConstraint(name, read_timing(reader, ConstraintClause("f", name)))


ACTIONS: dict[str, tuple[Callable[[Reader], Action | None], ...]] = {
    "add": (_add_constraint, add_column),
    "alter": (_alter_constraint, alter_column),
    "drop": (_drop_constraint, drop_column),
    "reset": (reset_options,),
    "cluster": (_cluster_on,),
    "set": (set_options, _set_logged, _without_cluster),
    "validate": (_validate,),
}
"""By first word: readers, each of which takes what is behind it or leaves it to the next."""


def alter_table(reader: Reader) -> Command:
    """ALTER TABLE, from the name on. Raises SqlSyntaxError, FeatureNotSupported."""
    found = renamed(reader, "table")
    return actions_of(reader) if found is None else found


def actions_of(reader: Reader) -> AlterTable:
    """[IF EXISTS] [ONLY] name, then actions."""
    if_exists = reader.word("if", "exists")
    reader.word("only")
    name = reader.qualified()
    actions = [_action(reader)]
    while reader.mark(","):
        actions.append(_action(reader))
    return AlterTable(name, if_exists, tuple(actions))


def _action(reader: Reader) -> Action:
    start = reader.index
    word = reader.one_of(*ACTIONS)
    for read in ACTIONS.get(word, ()):
        found = read(reader)
        if found is not None:
            return found
    reader.index = start
    raise unsupported(reader, "ALTER TABLE ...")
