"""Statements of our own small parser: what sqlglot does not read, or reads as something else."""

from __future__ import annotations

from dataclasses import dataclass

from sql.tokens import Token


@dataclass(frozen=True)
class Command:
    """A statement that is no query; subclasses hold what it says."""


def parse_command(tokens: list[Token], text: str) -> Command | None:
    """The command that these tokens are, or None: sqlglot reads it."""
    return None
