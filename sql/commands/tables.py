"""CREATE TABLE; what it says is read in sql.definitions."""

from __future__ import annotations

from dataclasses import dataclass

from sql.commands.base import Command
from sql.reading import Reader
from sql.tokens import Token


@dataclass(frozen=True)
class CreateTable(Command):
    """CREATE TABLE: the tokens behind these words."""

    tokens: tuple[Token, ...]


def create_table(reader: Reader) -> Command:
    """CREATE TABLE, from the name on."""
    return CreateTable(reader.rest())
