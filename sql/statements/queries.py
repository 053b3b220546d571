"""SELECT, INSERT, UPDATE, DELETE: a plan's run, its rows and its tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from engine.late import fetched
from engine.run import Run
from sql.context import Plan
from sql.outcome import Done, Outcome, Rows
from sql.planned import Planned
from sql.statements.host import Host
from storage.batch import Batch
from storage.column import Column
from storage.errors import DatabaseError, ReadOnlySqlTransaction
from storage.waiting import WouldBlock, about_to_wait, is_at_once

_VERBS: dict[type, str] = {
    exp.Insert: "INSERT 0",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
}


def refuse_read_only(host: Host, verb: str) -> None:
    """Raise for a statement that writes where the transaction may only read."""
    if host.transaction.read_only:
        raise ReadOnlySqlTransaction(f"cannot execute {verb} in a read-only transaction")


def writes(tree: object) -> bool:
    """Whether a statement as a whole writes."""
    return type(tree) in _VERBS


def refuse_writing(host: Host, tree: object, plan: Plan) -> None:
    """Raise for what writes, as a whole or in its WITH, where the transaction may only read."""
    verb = _VERBS.get(type(tree))
    if verb is not None or plan.writes:
        refuse_read_only(host, (verb or "SELECT").partition(" ")[0])


def run(host: Host, planned: Planned, parameters: Sequence[Column]) -> Outcome:
    """Run a planned query or change. A change is complete before its first row comes out."""
    assert planned.plan is not None
    assert planned.statement is not None
    verb = _VERBS.get(type(planned.statement.tree), "SELECT")
    plan = planned.plan
    if not plan.short:
        about_to_wait()
    refuse_writing(host, planned.statement.tree, plan)
    plan.check()
    plan.check_populated()
    context = host.new_run(parameters)
    if is_at_once():
        return _at_once(host, planned, plan, verb, context)
    if planned.fields is None:
        changed = sum(batch.rows for batch in plan.operator.batches(context))
        return Done(lambda: f"{verb} {changed}")
    total = 0

    def batches() -> Iterator[Batch]:
        nonlocal total
        for batch in plan.operator.batches(context):
            total += batch.rows
            yield batch

    return Rows(planned.fields, batches(), lambda: f"{verb} {total}")


def _at_once(host: Host, planned: Planned, plan: Plan, verb: str, run: Run) -> Outcome:
    """`run` where nothing may wait: all of it now, or nothing."""
    transaction = host.transaction
    savepoint = transaction.savepoint() if transaction.changes else None
    try:
        batches = [fetched(batch) for batch in plan.operator.batches(run)]
    except (WouldBlock, DatabaseError):
        transaction.take_back(savepoint)  # an error may lead to the same being done again, too
        raise
    if savepoint is not None:
        transaction.forget(savepoint)
    tag = f"{verb} {sum(batch.rows for batch in batches)}"
    return Done(lambda: tag) if planned.fields is None else Rows(planned.fields, iter(batches), lambda: tag)
