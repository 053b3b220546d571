"""Functions and operators, one file a family. Importing this package fills the registry."""

from engine.functions import (
    arithmetic,
    compare,
    definitions,
    math,
    patterns,
    privileges,
    quoting,
    session,
    text,
)

__all__ = [
    "arithmetic",
    "compare",
    "definitions",
    "math",
    "patterns",
    "privileges",
    "quoting",
    "session",
    "text",
]
