"""The system catalogs and information_schema as rows: importing this folder fills registry.VIEWS."""

from engine import aggregates, functions
from sql.views import (
    activity,
    enums,
    extensions,
    grants,
    ranges,
    relations,
    segments,
    server,
    standard,
    types,
    usertypes,
    vectorscans,
)

__all__ = [
    "activity",
    "aggregates",
    "enums",
    "extensions",
    "functions",
    "grants",
    "ranges",
    "relations",
    "segments",
    "server",
    "standard",
    "types",
    "usertypes",
    "vectorscans",
]
