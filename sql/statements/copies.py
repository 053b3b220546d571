"""COPY as a statement: the plans of sql.statements.copying, run."""

from __future__ import annotations

from collections.abc import Iterator

from sql import commands
from sql.context import BindContext, ParameterTypes
from sql.outcome import CopyIn, CopyOut, Outcome
from sql.statements.copying import plan_copy_in, plan_copy_out
from sql.statements.host import Host
from storage.batch import Batch
from storage.errors import FeatureNotSupported, InsufficientPrivilege


def run(host: Host, command: commands.Copy, text: str) -> Outcome:
    """COPY ... FROM STDIN, COPY ... TO STDOUT."""
    if command.file is not None:
        if not host.superuser:
            way = "to" if command.to else "from"
            raise InsufficientPrivilege(
                f"permission denied to COPY {way} a file",
                hint="Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
            )
        raise FeatureNotSupported("COPY of a file on the server is not supported", hint="Use psql's \\copy.")
    return _out(host, command, text) if command.to else _in(host, command, text)


def _context(host: Host, text: str) -> BindContext:
    return host.planner.context(ParameterTypes((), fixed=True), text)


def _out(host: Host, command: commands.Copy, text: str) -> Outcome:
    plan = host.settled(lambda context: plan_copy_out(command, context), lambda: _context(host, text))
    context = host.new_run(())
    total = 0

    def batches() -> Iterator[Batch]:
        nonlocal total
        for batch in plan.operator.batches(context):
            total += batch.rows
            yield batch

    return CopyOut(plan.format, batches(), lambda: f"COPY {total}")


def _in(host: Host, command: commands.Copy, text: str) -> Outcome:
    plan = host.settled(lambda context: plan_copy_in(command, context), lambda: _context(host, text))
    context = host.new_run(())
    total = 0

    def sink(batch: Batch) -> None:
        nonlocal total
        context.check()
        total += plan.insert(batch, context)

    return CopyIn(plan.format, sink, lambda: f"COPY {total}")
