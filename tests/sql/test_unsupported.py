"""The table of what PostgreSQL has and we have not names nothing that is here."""

from engine.aggregates.registry import AGGREGATES
from engine.functions.registry import FUNCTIONS, OPERATORS
from engine.operators.windowfunctions import WINDOW_FUNCTIONS
from sql import unsupported
from sql.views.types import IO_OIDS
from storage.types import BY_NAME


def test_what_is_here_is_not_said_to_be_missing() -> None:
    assert not unsupported.TYPES & set(BY_NAME)
    assert not unsupported.OPERATORS & set(OPERATORS)
    assert not unsupported.FUNCTIONS & {*FUNCTIONS, *AGGREGATES, *WINDOW_FUNCTIONS, *IO_OIDS}
