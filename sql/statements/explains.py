"""EXPLAIN as a statement: a query or change planned, run if ANALYZE says so, and described."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from engine.counters import Counters
from sql import commands
from sql.context import ParameterTypes, Plan
from sql.outcome import Outcome
from sql.parse import parse_query
from sql.planned import Planned
from sql.statements import materialized, prepared, queries, tablesas
from sql.statements.control import table
from sql.statements.explaining import Options, explained, explained_utility, read_options
from sql.statements.host import Host
from sql.tokens import Token
from storage.batch import Batch
from storage.column import Column
from storage.errors import SqlSyntaxError


@dataclass(frozen=True)
class _Explained:
    """What is explained: its plan and parameters, and what ANALYZE does with its rows.

    `tree` says whether it writes; `runs`: whether ANALYZE runs it, and does not only make a table for it.
    """

    plan: Plan
    parameters: Sequence[Column]
    tree: object = None
    takes: Callable[[Iterable[Batch]], object] | None = None
    runs: bool = True


def run(host: Host, command: commands.Explain, planned: Planned, parameters: Sequence[Column]) -> Outcome:
    """EXPLAIN [ANALYZE] statement."""
    certified = host.settings.values["enable_certified_scan"] != "off"
    options = replace(read_options(command.options), certified=certified, catalog=host.catalog)
    start = time.perf_counter()
    found = _explained(host, command, planned, parameters, options)
    if isinstance(found, str):
        return _report(explained_utility(found, options))
    plan = found.plan
    host.check_needs(plan.needs)
    if options.analyze:
        queries.refuse_writing(host, found.tree, plan)
        plan.check_populated()
    plan.check()
    ready = time.perf_counter()
    counters = Counters() if options.analyze else None
    if options.analyze and found.runs:
        batches = plan.operator.batches(host.new_run(found.parameters, counters))
        if found.takes is None:
            for _ in batches:
                pass
        else:
            found.takes(batches)
    ended = time.perf_counter()
    return _report(explained(plan.operator, options, counters, ready - start, ended - ready))


def _report(lines: Sequence[str]) -> Outcome:
    return table(("QUERY PLAN",), [(line,) for line in lines], "EXPLAIN")


def _explained(
    host: Host, command: commands.Explain, planned: Planned, parameters: Sequence[Column], options: Options
) -> _Explained | str:
    """What a statement runs; the words for one that has nothing to explain."""
    text = planned.text
    match command.command:
        case None:
            return _query(host, command.body, planned, parameters)
        case commands.Declare(body=body):
            tree = parse_query(list(body), text)
            if queries.writes(tree):
                raise SqlSyntaxError(
                    f'syntax error at or near "{body[0].text.upper()}"', position=body[0].position
                )
            return _query(host, body, planned, parameters)
        case commands.Execute() as execute:
            found, values = prepared.executed(host, execute, text)
            if found.command is not None:
                return _explained(host, replace(command, command=found.command), found, values, options)
            assert found.plan is not None
            assert found.statement is not None
            return _Explained(found.plan, values, found.statement.tree)
        case commands.CreateTableAs() as creating:
            return _table(host, creating, planned, parameters, options)
        case commands.CreateMaterializedView() as creating:
            return _view(host, creating, planned, options)
    return "Utility Statement"


def _query(host: Host, body: Sequence[Token], planned: Planned, parameters: Sequence[Column]) -> _Explained:
    plan = host.settled(
        lambda context: host.planner.plan(parse_query(list(body), planned.text), context),
        lambda: host.planner.context(ParameterTypes(planned.parameters, fixed=True), planned.text),
    )
    return _Explained(plan, parameters, parse_query(list(body), planned.text))


def _table(
    host: Host,
    command: commands.CreateTableAs,
    planned: Planned,
    parameters: Sequence[Column],
    options: Options,
) -> _Explained | str:
    """CREATE TABLE AS: the table is made with ANALYZE only, but in any case there must be room for it."""
    plan, values = tablesas.source_of(host, command, planned, parameters)
    if not tablesas.is_free(host, command):
        return "CREATE TABLE AS"
    if not options.analyze:
        return _Explained(plan, values)
    queries.refuse_read_only(host, "CREATE TABLE AS")
    made = tablesas.created(host, command, plan)
    assert made is not None
    return _Explained(plan, values, None, lambda rows: tablesas.filled(host, made, rows), command.with_data)


def _view(
    host: Host, command: commands.CreateMaterializedView, planned: Planned, options: Options
) -> _Explained | str:
    if not options.analyze:
        if not tablesas.is_free(host, command):
            return "CREATE MATERIALIZED VIEW"
        return _query(host, command.query, planned, ())
    queries.refuse_read_only(host, "CREATE MATERIALIZED VIEW")
    made = materialized.created(host, command, planned.text)
    if made is None:
        return "CREATE MATERIALIZED VIEW"
    assert made.materialized is not None
    plan = materialized.plan_of(host, made.materialized.text)
    return _Explained(plan, (), None, lambda rows: tablesas.filled(host, made, rows), command.with_data)
