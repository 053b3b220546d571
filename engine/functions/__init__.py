"""Functions and operators, one file a family. Importing this package fills the registry."""

from engine.functions import (
    arithmetic,
    array,
    bytes,
    compare,
    datetime,
    definitions,
    interval,
    json,
    math,
    patterns,
    privileges,
    quoting,
    session,
    sets,
    text,
    vector,
)

__all__ = [
    "arithmetic",
    "array",
    "bytes",
    "compare",
    "datetime",
    "definitions",
    "interval",
    "json",
    "math",
    "patterns",
    "privileges",
    "quoting",
    "session",
    "sets",
    "text",
    "vector",
]
