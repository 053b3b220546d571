"""TRUNCATE, ANALYZE, VACUUM, OPTIMIZE TABLE."""

from __future__ import annotations

from collections.abc import Sequence

from sql import commands
from sql.changes.writing import column_of
from sql.outcome import Outcome
from sql.planned import Planned, shared_plans
from sql.statements.control import done
from sql.statements.control import table as result
from sql.statements.dropping import must_hold_rows, must_table
from sql.statements.host import Host
from sql.statements.sequences import restart
from sql.tokens import Kind
from storage.definitions import Table
from storage.errors import ActiveSqlTransaction, FeatureNotSupported
from storage.segments.merger import run_sizes
from storage.transactions.locks import TableMode


def truncate(host: Host, command: commands.Truncate, text: str) -> Outcome:
    """TRUNCATE [RESTART IDENTITY] [CASCADE]."""
    named = [must_table(host, parts, TableMode.AccessExclusiveLock) for parts in command.names]
    for table in _with_pointing(host, named, command.cascade):
        host.transaction.truncate(table.oid)
        if command.restart:
            for sequence in list(host.catalog.sequences()):
                if sequence.owned_by is not None and sequence.owned_by[0] == table.oid:
                    restart(host, sequence, sequence.start)
    return done("TRUNCATE TABLE")


def _with_pointing(host: Host, named: list[Table], cascade: bool) -> list[Table]:
    """The tables to truncate: with CASCADE those that point to them, too, else there must be none."""
    tables = {table.oid: table for table in named}
    waiting = list(tables.values())
    for table in waiting:
        for other, _ in list(host.catalog.pointing_to(table.oid)):
            if other.oid in tables:
                continue
            if not cascade:
                raise FeatureNotSupported(
                    "cannot truncate a table referenced in a foreign key constraint",
                    detail=f'Table "{other.name}" references "{table.name}".',
                    hint=f'Truncate table "{other.name}" at the same time, or use TRUNCATE ... CASCADE.',
                )
            host.notice("NOTICE", "00000", f'truncate cascades to table "{other.name}"')
            host.transaction.lock_table(other.oid, TableMode.AccessExclusiveLock)
            tables[other.oid] = host.catalog.table(other.oid)
            waiting.append(tables[other.oid])
    return list(tables.values())


def maintain(host: Host, command: commands.Maintain, text: str) -> Outcome:
    """ANALYZE, VACUUM: there is nothing to do by hand."""
    if command.tag == "VACUUM" and host.explicit:
        raise ActiveSqlTransaction("VACUUM cannot run inside a transaction block")
    if not command.analyze and any(columns for _, columns in command.tables):
        raise FeatureNotSupported("ANALYZE option must be specified when a column list is provided")
    for parts, columns in command.tables:
        table = must_hold_rows(host, parts)
        for name in columns:
            column_of(table, name, 0)
    return done(command.tag)


def optimize(host: Host, command: commands.Optimize, text: str) -> Outcome:
    """OPTIMIZE TABLE: seal and merge its segments now."""
    table = must_hold_rows(host, command.name)
    if table.oid in host.store.catalog.relations:  # of what only the session sees nothing is in segments
        host.store.optimize(table.oid, command.mode or "some")
    return done("OPTIMIZE TABLE")


def merge_status(host: Host, command: commands.MergeStatus, text: str) -> Outcome:
    """SHOW COLUMNAR MERGE STATUS FOR a table: its sorted runs by their segments, and what is being merged."""
    table = must_hold_rows(host, command.name)
    store = host.store.store(table.oid)
    rows: list[tuple[str | None, ...]]
    rows = [("(Current Groups)", None, _sizes(run_sizes(store, table)), None, "0")]
    work = store.rewriting
    if work is not None:
        rows.insert(0, (work.merger, work.state, _sizes(work.plan), f"{work.percent}%", "0"))
    return result(command.COLUMNS, rows, "SHOW")


def plan_cache(host: Host, command: commands.ShowPlancache, text: str) -> Outcome:
    """SHOW PLANCACHE: the plans that sessions share, the newest at the end, and how often each has run."""
    plans = shared_plans(host.store).values()
    rows = [
        (str(number), host.database, _parametrised(plan), str(plan.uses.count))
        for number, plan in enumerate(plans, 1)
    ]
    return result(command.COLUMNS, rows, "SHOW")


def _parametrised(plan: Planned) -> str:
    """A statement's text, a parameter in the place of each constant that its plan leaves open."""
    assert plan.statement is not None
    text, at = "", plan.statement.tokens[0].start
    for token in plan.statement.tokens:
        if token.kind is Kind.PARAMETER:
            text += f"{plan.text[at : token.start]}${token.text}"
            at = token.end
    return text + plan.text[at : plan.statement.tokens[-1].end]


def _sizes(counts: Sequence[int]) -> str:
    """Numbers of segments, the largest first."""
    return ",".join(map(str, sorted(counts, reverse=True)))
