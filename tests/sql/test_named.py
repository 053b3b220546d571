"""Names of objects that are not there: what PostgreSQL 15 said, and where."""

from __future__ import annotations

import pytest

from sql.outcome import Rows
from sql.session import Session
from storage.database import Database
from storage.errors import DatabaseError

NAMED = [
    ("select 'nort'::regclass", "42P01", 'relation "nort" does not exist', 8),
    ("select   1, 'nort'::regclass", "42P01", 'relation "nort" does not exist', 13),
    ("select 'abs'::regproc", "42725", 'more than one function named "abs"', 8),
    ("select 'noty'::regtype", "42704", 'type "noty" does not exist', 8),
    ("select 'nons'::regnamespace, 1", "3F000", 'schema "nons" does not exist', 8),
    ("select 'norole'::regrole", "42704", 'role "norole" does not exist', 8),
    ("select 'nons.x'::regclass", "3F000", 'schema "nons" does not exist', 8),
    ("select 'a.b.c.d'::regclass", "42601", "improper relation name (too many dotted names): a.b.c.d", 8),
    ("select regclass 'nort'", "42P01", 'relation "nort" does not exist', 17),
    ("select cast('nort' as regclass)", "42P01", 'relation "nort" does not exist', 13),
    ("select nextval('noseq')", "42P01", 'relation "noseq" does not exist', 16),
    ("select 1 where 'nort'::regclass = 5", "42P01", 'relation "nort" does not exist', 16),
]


@pytest.mark.parametrize(("text", "sqlstate", "message", "position"), NAMED)
def test_a_name_is_refused_where_it_stands(text: str, sqlstate: str, message: str, position: int) -> None:
    database = Database.open(None)
    session = Session(database, "glancedb", "glancedb")
    with pytest.raises(DatabaseError) as caught:
        for outcome in session.simple(text):
            assert isinstance(outcome, Rows)
            list(outcome.batches)
    session.close()
    database.close()
    error = caught.value
    assert (error.sqlstate, error.message, error.position) == (sqlstate, message, position)
