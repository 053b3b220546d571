"""A sequence as a relation: SELECT from it shows its state, as tools do that save databases."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from engine.seams import SessionInfo
from sql.activity import sessions
from sql.views.registry import Row, SystemView
from storage.catalog import Catalog
from storage.definitions import Sequence
from storage.types import BOOL, INT8

COLUMNS = (("last_value", INT8), ("log_cnt", INT8), ("is_called", BOOL))


def of_sequence(sequence: Sequence, schema: str) -> SystemView:
    """The one row of a sequence of the catalog, read anew by each statement."""
    state = partial(_state, sequence.oid)
    return SystemView(schema, sequence.name, sequence.oid, "S", COLUMNS, builders=(state,), volatile=True)


def _state(oid: int, catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    sequence, own = catalog.relations[oid], sessions().get(session.backend_pid)
    assert isinstance(sequence, Sequence)
    if own is not None:
        value, called = own.store.sequences.state(sequence)
        yield {"last_value": value, "log_cnt": 0, "is_called": called}
