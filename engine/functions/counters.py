"""pg_lsn, a place in the log in bytes; and the numbers of transactions, which are xid8.

The log's place counts the bytes that this server has added to its log, above a base that grows with every
start. A transaction's number is when it began, in microseconds.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from engine.forms.counters import TOP
from engine.functions.registry import operator, scalar
from engine.functions.session import session_of
from engine.functions.text import each
from engine.run import Run
from storage.column import Column
from storage.errors import FeatureNotSupported, InvalidParameterValue
from storage.types import INT8, NUMERIC, PG_LSN, TIMESTAMPTZ, XID8

_MOST = (1 << 64) - 1


def _distance(left: int, right: int) -> Decimal:
    return Decimal(left - right)


@operator("-", [PG_LSN, PG_LSN], NUMERIC)
@scalar("pg_wal_lsn_diff", [PG_LSN, PG_LSN], NUMERIC)
def between(left: Column, right: Column) -> Column:
    """How many bytes the one place is behind the other."""
    return each(_distance, left, right, type=NUMERIC)


def _place(count: Decimal) -> int:
    """A place as it lies in a column. Raises InvalidParameterValue, FeatureNotSupported."""
    if not count.is_finite():
        shown = "NaN" if count.is_nan() else "infinity"
        raise FeatureNotSupported(f"cannot convert {shown} to pg_lsn")
    whole = int(count.to_integral_value(ROUND_HALF_UP))
    if not 0 <= whole <= _MOST:
        raise InvalidParameterValue("pg_lsn out of range")
    return whole - TOP


@scalar("pg_lsn", [NUMERIC], PG_LSN)
def place_of(count: Column) -> Column:
    """The place so many bytes behind the first."""
    return each(_place, count, type=PG_LSN)


@operator("+", [PG_LSN, NUMERIC], PG_LSN)
def behind(place: Column, bytes: Column) -> Column:
    """The place so many bytes further."""
    return each(lambda p, b: _moved(p, b, "add"), place, bytes, type=PG_LSN)


@operator("+", [NUMERIC, PG_LSN], PG_LSN)
def behind_reversed(bytes: Column, place: Column) -> Column:
    """The place so many bytes further."""
    return behind(place, bytes)


@operator("-", [PG_LSN, NUMERIC], PG_LSN)
def before(place: Column, bytes: Column) -> Column:
    """The place so many bytes nearer to the first."""
    return each(lambda p, b: _moved(p, -b, "subtract"), place, bytes, type=PG_LSN)


def _moved(place: int, bytes: Decimal, verb: str) -> int:
    if bytes.is_nan():
        way = "to" if verb == "add" else "from"
        raise FeatureNotSupported(f"cannot {verb} NaN {way} pg_lsn")
    if not bytes.is_finite():
        return _place(bytes)
    if abs(bytes) > 2 * _MOST:
        raise InvalidParameterValue("pg_lsn out of range")
    return _place(Decimal(place + TOP) + bytes)


@scalar("pg_current_wal_lsn", [], PG_LSN, volatility="v", run=True, oid=2849)
@scalar("pg_current_wal_insert_lsn", [], PG_LSN, volatility="v", run=True, oid=2852)
@scalar("pg_current_wal_flush_lsn", [], PG_LSN, volatility="v", run=True, oid=3330)
def log_place(run: Run) -> Column:
    """Where the log ends."""
    return Column.of(PG_LSN, [session_of(run).log_place() - TOP])


@scalar("pg_last_wal_receive_lsn", [], PG_LSN, volatility="v")
@scalar("pg_last_wal_replay_lsn", [], PG_LSN, volatility="v")
def no_place() -> Column:
    """Null: this server is nobody's standby."""
    return Column.of(PG_LSN, [None])


@scalar("pg_last_xact_replay_timestamp", [], TIMESTAMPTZ, volatility="v")
def never_replayed() -> Column:
    """Null, likewise."""
    return Column.of(TIMESTAMPTZ, [None])


@scalar("txid_current", [], INT8, volatility="s", run=True)
def txid_current(run: Run) -> Column:
    """A number of this transaction that later transactions exceed: its start in microseconds."""
    return Column.of(INT8, [run.now])


@scalar("pg_current_xact_id", [], XID8, volatility="s", run=True)
def current_transaction(run: Run) -> Column:
    """The same number, as the type that is made for it."""
    return Column.of(XID8, [run.now - TOP])


@scalar("txid_current_if_assigned", [], INT8, volatility="s")
def no_number() -> Column:
    """Null: reading assigns no number."""
    return Column.of(INT8, [None])


@scalar("pg_current_xact_id_if_assigned", [], XID8, volatility="s")
def no_transaction() -> Column:
    """Null, likewise."""
    return Column.of(XID8, [None])
