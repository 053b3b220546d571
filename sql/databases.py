"""Names that begin with a database: it has to be the session's own.

SELECT * FROM mine.public.t        DROP TABLE other.public.t
"""

from __future__ import annotations

from dataclasses import fields

from sqlglot import exp

from sql.commands import Command, Comment
from sql.context import BindContext
from sql.marks import position_of
from sql.names import refuse_other

_NAME, _NAMES = "Name", "tuple[Name, ...]"


def of_table(tree: exp.Table, context: BindContext) -> None:
    """`refuse_other` for a table that a query names."""
    if tree.args.get("catalog") is not None:
        refuse_other(tuple(part.name for part in tree.parts), context.session.database, position_of(tree))


def of_command(command: Command, database: str) -> None:
    """`refuse_other` for all that a command names."""
    column = isinstance(command, Comment) and command.kind == "column"
    for name, several in _named(type(command)):
        value = getattr(command, name)
        for parts in value if several else (value,):
            if parts is not None:
                refuse_other(parts[:-1] if column else parts, database)


def _named(kind: type[Command]) -> tuple[tuple[str, bool], ...]:
    """The fields of a command that are names with dots, and whether they are several."""
    wanted = {_NAME: False, f"{_NAME} | None": False, _NAMES: True}
    return tuple((f.name, wanted[str(f.type)]) for f in fields(kind) if str(f.type) in wanted)
