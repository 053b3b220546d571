"""Views of what goes on: settings, sessions, prepared statements, cursors. Built for each statement."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.activity import Active, microseconds, sessions
from sql.settings import SETTINGS, bare
from sql.views.registry import VIEWS, Row, view
from storage.catalog import Catalog
from storage.definitions import DATABASE_OID
from storage.rights import roles_of
from storage.types import FLOAT8, INT8


@view("pg_catalog", "pg_settings", volatile=True)
def pg_settings(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for setting in sorted(SETTINGS.values(), key=lambda setting: setting.name.lower()):
        yield {
            "name": setting.name,
            "setting": bare(setting, session.setting(setting.name) or ""),
            "unit": setting.unit or None,
            "category": "Settings",
            "short_desc": setting.description,
            "context": setting.context,
            "vartype": setting.kind,
            "source": "default",
            "min_val": setting.least or None,
            "max_val": setting.most or None,
            "enumvals": list(setting.choices) or None,
            "boot_val": bare(setting, setting.default),
            "reset_val": bare(setting, setting.default),
            "pending_restart": False,
        }


@view("pg_catalog", "pg_stat_activity", volatile=True)
def pg_stat_activity(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    roles = {role.name: role.oid for role in catalog.roles.values()}
    states = {"I": "idle", "T": "idle in transaction", "E": "idle in transaction (aborted)"}
    waits = {
        waiting.party.session: waiting
        for store in {other.store for other in sessions().values()}
        for waiting in store.waits.waiting()
    }
    for pid, other in sorted(sessions().items()):
        waiting = waits.get(pid)
        state = "active" if other.working or waiting or pid == session.backend_pid else states[other.status]
        if not _may_see(catalog, session, other):
            yield {
                "datid": DATABASE_OID,
                "datname": other.database,
                "pid": pid,
                "usesysid": roles.get(other.session_user),
                "usename": other.session_user,
                "query": "<insufficient privilege>",
            }
            continue
        yield {
            "datid": DATABASE_OID,
            "datname": other.database,
            "pid": pid,
            "usesysid": roles.get(other.session_user),
            "usename": other.session_user,
            "application_name": other.setting("application_name"),
            "backend_start": other.backend_start,
            "xact_start": other.transaction_start or None,
            "query_start": other.query_start or None,
            "wait_event_type": None if waiting is None else "Lock",
            "wait_event": None if waiting is None else waiting.reason.kind,
            "state_change": other.state_change,
            "state": state,
            "query": other.query,
            "backend_type": "client backend",
        }


def _may_see(catalog: Catalog, session: SessionInfo, other: Active) -> bool:
    """Whether the user may see what another session does: of roles whose rights he has."""
    me, them = catalog.role(session.user), catalog.role(other.session_user)
    return me is not None and (me.superuser or (them is not None and them.oid in roles_of(catalog, me.oid)))


@view("pg_catalog", "pg_stat_database", volatile=True)
def pg_stat_database(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    """Connections are counted; what nobody counts is 0, as after a reset."""
    columns = VIEWS["pg_catalog", "pg_stat_database"].columns
    counted = {name: 0 for name, type in columns if type in (INT8, FLOAT8)}
    yield counted | {
        "datid": DATABASE_OID,
        "datname": session.database,
        "numbackends": sum(other.database == session.database for other in sessions().values()),
    }


@view("pg_catalog", "pg_stat_bgwriter", volatile=True)
def pg_stat_bgwriter(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    own = sessions().get(session.backend_pid)
    if own is not None:
        done = own.store.checkpoints
        yield {
            "checkpoints_timed": done.timed,
            "checkpoints_req": done.requested,
            "checkpoint_write_time": 1000 * (done.seconds - done.sync_seconds),
            "checkpoint_sync_time": 1000 * done.sync_seconds,
            "buffers_checkpoint": done.written,
        }


@view("pg_catalog", "pg_prepared_statements", volatile=True)
def pg_prepared_statements(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    own = sessions().get(session.backend_pid)
    for name, planned in own.prepared.items() if own is not None else ():
        yield {
            "name": name,
            "statement": planned.text,
            "parameter_types": [type.oid for type in planned.parameters],
            "from_sql": planned.text[:7].lower() == "prepare",
            "generic_plans": 0,
            "custom_plans": 0,
        }


@view("pg_catalog", "pg_cursors", volatile=True)
def pg_cursors(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    own = sessions().get(session.backend_pid)
    for name, portal in own.portals.items() if own is not None else ():
        yield {
            "name": name,
            "statement": portal.statement,
            "is_holdable": portal.hold,
            "is_binary": portal.binary,
            "is_scrollable": portal.scroll,
        }


@view("pg_catalog", "pg_locks", volatile=True)
def pg_locks(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    """Locks on tables, transactions and advisory keys; those on rows are told of by who waits for them."""
    own = sessions().get(session.backend_pid)
    for lock in own.store.locks() if own is not None else ():
        row: dict[str, object] = {
            "locktype": lock.kind,
            "virtualtransaction": f"{lock.session}/{lock.transaction}",
            "pid": lock.session,
            "mode": lock.mode,
            "granted": lock.granted,
            "fastpath": False,
            "waitstart": None if lock.granted else microseconds(lock.since),
        }
        match lock.kind:
            case "virtualxid":
                row["virtualxid"] = f"{lock.session}/{lock.thing[0]}"
            case "transactionid":
                row["transactionid"] = lock.thing[0]
            case "relation":
                row |= {"database": DATABASE_OID, "relation": lock.thing[0]}
            case "advisory":
                row |= _advisory(lock.thing)
        yield row


def _advisory(key: tuple[int, ...]) -> dict[str, object]:
    """One bigint as two halves, two integers as they are."""
    one = len(key) == 1
    first, second = (key[0] >> 32, key[0]) if one else key
    return {
        "database": DATABASE_OID,
        "classid": first & 0xFFFFFFFF,
        "objid": second & 0xFFFFFFFF,
        "objsubid": 1 if one else 2,
    }
