"""EXPLAIN as a statement: a query or change planned, run if ANALYZE says so, and described."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from engine.counters import Counters
from sql import commands
from sql.context import ParameterTypes
from sql.outcome import Outcome
from sql.parse import parse_query
from sql.planned import Planned
from sql.statements import queries
from sql.statements.control import table
from sql.statements.explaining import explained, read_options
from sql.statements.host import Host
from storage.column import Column


def run(host: Host, command: commands.Explain, planned: Planned, parameters: Sequence[Column]) -> Outcome:
    """EXPLAIN [ANALYZE] query."""
    text = planned.text
    certified = host.settings.values["enable_certified_scan"] != "off"
    options = replace(read_options(command.options), certified=certified)
    start = time.perf_counter()
    plan = host.settled(
        lambda context: host.planner.plan(parse_query(list(command.body), text), context),
        lambda: host.planner.context(ParameterTypes(planned.parameters, fixed=True), text),
    )
    if options.analyze:
        queries.refuse_writing(host, parse_query(list(command.body), text), plan)
        plan.check_populated()
    plan.check()
    ready = time.perf_counter()
    counters = Counters() if options.analyze else None
    if options.analyze:
        for _ in plan.operator.batches(host.new_run(parameters, counters)):
            pass
    ended = time.perf_counter()
    lines = explained(plan.operator, options, counters, ready - start, ended - ready)
    return table(("QUERY PLAN",), [(line,) for line in lines], "EXPLAIN")
