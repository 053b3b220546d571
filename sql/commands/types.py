"""CREATE TYPE and ALTER TYPE: of enums and composite types."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command, Name, unsupported
from sql.commands.renaming import renamed
from sql.marks import TypeName
from sql.reading import Reader
from sql.typenames import read_type
from storage.errors import FeatureNotSupported


@dataclass(frozen=True)
class CreateEnum(Command):
    name: Name
    labels: tuple[str, ...]


@dataclass(frozen=True)
class AttributeClause:
    """An attribute as it was written."""

    name: str
    type: TypeName


@dataclass(frozen=True)
class CreateComposite(Command):
    name: Name
    attributes: tuple[AttributeClause, ...]


@dataclass(frozen=True)
class AddAttribute:
    attribute: AttributeClause


@dataclass(frozen=True)
class DropAttribute:
    name: str
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class AlterAttribute:
    """ALTER ATTRIBUTE name [SET DATA] TYPE type."""

    attribute: AttributeClause


AttributeAction = AddAttribute | DropAttribute | AlterAttribute


@dataclass(frozen=True)
class AlterComposite(Command):
    name: Name
    actions: tuple[AttributeAction, ...]


@dataclass(frozen=True)
class RenameAttribute(Command):
    name: Name
    old: str
    new: str


@dataclass(frozen=True)
class AddLabel(Command):
    """ADD VALUE: `side` is 'before' or 'after' the label `beside`, '' at the end."""

    name: Name
    label: str
    if_not_exists: bool = False
    side: str = ""
    beside: str = ""


@dataclass(frozen=True)
class RenameLabel(Command):
    name: Name
    old: str
    new: str


def create_type(reader: Reader) -> Command:
    """CREATE TYPE, from the name on."""
    name = reader.qualified()
    position = 0 if reader.token is None else reader.token.position
    if reader.word("as", "enum"):
        return CreateEnum(name, _labels(reader))
    if reader.word("as", "range"):
        raise FeatureNotSupported("CREATE TYPE ... AS RANGE is not supported", position=position)
    if reader.word("as"):
        reader.must_mark("(")
        return CreateComposite(name, _attributes(reader))
    if reader.token is not None and not reader.token.is_mark("("):
        raise reader.wrong()
    raise FeatureNotSupported("CREATE TYPE of a base type is not supported", position=position)


def _labels(reader: Reader) -> tuple[str, ...]:
    reader.must_mark("(")
    labels: list[str] = []
    if not reader.mark(")"):
        labels.append(reader.string())
        while reader.mark(","):
            labels.append(reader.string())
        reader.must_mark(")")
    return tuple(labels)


def _attributes(reader: Reader) -> tuple[AttributeClause, ...]:
    if reader.mark(")"):
        return ()
    found = [_attribute(reader)]
    while reader.mark(","):
        found.append(_attribute(reader))
    reader.must_mark(")")
    return tuple(found)


def _attribute(reader: Reader) -> AttributeClause:
    """name type [COLLATE collation]."""
    name = reader.name()
    return AttributeClause(name, _type(reader))


def _type(reader: Reader) -> TypeName:
    """type [COLLATE collation]: every collation there is compares bytes."""
    type, reader.index = read_type(reader.tokens, reader.index, reader.text)
    if reader.word("collate"):
        reader.qualified()
    return type


def alter_type(reader: Reader) -> Command:
    """ALTER TYPE, from the name on: its labels, attributes, names and owner."""
    start = reader.index
    name = reader.qualified()
    if reader.word("add", "value"):
        if_not_exists = reader.word("if", "not", "exists")
        label = reader.string()
        side = reader.one_of("before", "after")
        return AddLabel(name, label, if_not_exists, side, reader.string() if side else "")
    if reader.word("rename", "value"):
        old = reader.string()
        reader.must_word("to")
        return RenameLabel(name, old, reader.string())
    if reader.word("rename", "attribute"):
        old = reader.name()
        reader.must_word("to")
        new = reader.name()
        reader.one_of("cascade", "restrict")
        return RenameAttribute(name, old, new)
    first = _action(reader)
    if first is not None:
        actions = [first]
        while reader.mark(","):
            action = _action(reader)
            if action is None:
                raise reader.wrong()
            actions.append(action)
        return AlterComposite(name, tuple(actions))
    reader.index = start
    found = renamed(reader, "type")
    if found is None:
        reader.qualified()
        raise unsupported(reader, "ALTER TYPE ...")
    return found


def _action(reader: Reader) -> AttributeAction | None:
    """ADD, DROP or ALTER ATTRIBUTE; None where something else comes."""
    if reader.word("add", "attribute"):
        added = AddAttribute(_attribute(reader))
        reader.one_of("cascade", "restrict")
        return added
    if reader.word("drop", "attribute"):
        if_exists = reader.word("if", "exists")
        name = reader.name()
        return DropAttribute(name, if_exists, reader.one_of("cascade", "restrict") == "cascade")
    if reader.word("alter", "attribute"):
        name = reader.name()
        reader.word("set", "data")
        reader.must_word("type")
        type = _type(reader)
        reader.one_of("cascade", "restrict")
        return AlterAttribute(AttributeClause(name, type))
    return None
