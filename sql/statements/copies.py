"""COPY as a statement: the plans of sql.statements.copying, run."""

from __future__ import annotations

from collections.abc import Iterator

from engine.operators.references import Keeper
from sql import commands
from sql.context import BindContext, ParameterTypes
from sql.outcome import CopyIn, CopyOut, Done, Outcome
from sql.statements import copyfiles, queries
from sql.statements.copying import plan_copy_in, plan_copy_out
from sql.statements.host import Host
from storage.batch import Batch
from storage.errors import FeatureNotSupported


def run(host: Host, command: commands.Copy, text: str) -> Outcome:
    """COPY ... FROM STDIN or a file, COPY ... TO STDOUT or a file."""
    if command.file is not None:
        copyfiles.refuse(command.to, host.superuser)
    outcome = _out(host, command, text) if command.to else _in(host, command, text)
    if command.file is None:
        if outcome.format.format == "parquet":
            raise FeatureNotSupported(
                "COPY of parquet is supported with files on the server only",
                hint="Name a file: COPY ... FROM '/folder/file.parquet' (FORMAT parquet).",
            )
        return outcome
    path = copyfiles.resolve(command.file, command.to, host.store.folder)
    if isinstance(outcome, CopyOut):
        copyfiles.write(outcome, path, command.file, host.style)
    else:
        copyfiles.read(outcome, path, command.file, host.style, listed=command.columns is not None)
    return Done(outcome.complete)


def _context(host: Host, text: str) -> BindContext:
    return host.planner.context(ParameterTypes((), fixed=True), text)


def _out(host: Host, command: commands.Copy, text: str) -> CopyOut:
    plan = host.settled(lambda context: plan_copy_out(command, context), lambda: _context(host, text))
    host.check_needs(plan.needs)
    if plan.plan is not None:
        queries.refuse_writing(host, plan.tree, plan.plan)
        plan.plan.check()
        plan.plan.check_populated()
    context = host.new_run(())
    total = 0

    def batches() -> Iterator[Batch]:
        nonlocal total
        for batch in plan.operator.batches(context):
            total += batch.rows
            yield batch

    return CopyOut(plan.format, batches(), lambda: f"COPY {total}")


def _in(host: Host, command: commands.Copy, text: str) -> CopyIn:
    plan = host.settled(lambda context: plan_copy_in(command, context), lambda: _context(host, text))
    host.check_needs(plan.needs)
    context = host.new_run(())
    keeper = None if plan.rules is None else Keeper(plan.rules, context)
    total = 0

    def sink(batch: Batch) -> None:
        nonlocal total
        context.check()
        total += plan.insert(batch, context, keeper)

    def finished() -> str:
        if keeper is not None:
            keeper.finish()
        return f"COPY {total}"

    return CopyIn(plan.format, sink, finished)
