"""PREPARE, EXECUTE, DEALLOCATE; cursors: DECLARE, FETCH, MOVE, CLOSE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from engine.expressions import Expression
from engine.spool import Spool
from sql import commands
from sql.bind import bind_expression
from sql.coerce import coerce
from sql.context import ParameterTypes
from sql.outcome import Done, Outcome, Rows
from sql.parse import Statement, parse_expression_tokens, parse_statement
from sql.planned import Planned
from sql.portals import BoundPortal
from sql.reading import Reader
from sql.scope import Frame, Scope
from sql.scrolling import moved
from sql.statements.control import done
from sql.statements.host import Host
from sql.tokens import Token
from sql.typenames import named
from storage.batch import Batch
from storage.column import Column
from storage.errors import (
    DuplicatePreparedStatement,
    FeatureNotSupported,
    InvalidCursorName,
    NoActiveSqlTransaction,
    SqlSyntaxError,
)


def prepare(host: Host, command: commands.Prepare, text: str) -> Outcome:
    """PREPARE name (types) AS statement."""
    if command.name in host.prepared:
        raise DuplicatePreparedStatement(f'prepared statement "{command.name}" already exists')
    known = named(host.catalog, host.search_path(True))
    given = [Reader(tokens, text, types=known).type() for tokens in command.types]
    types = [type if type.domain is not None else type.base for type in given]
    if not command.body:
        raise SqlSyntaxError("syntax error at end of input", position=len(text) + 1)
    statement = parse_statement(list(command.body), text)
    into = isinstance(statement.tree, commands.CreateTableAs) and not command.body[0].is_word("create")
    if isinstance(statement.tree, commands.Command) and not into:
        raise SqlSyntaxError(
            f'syntax error at or near "{command.body[0].text}"', position=command.body[0].position
        )
    host.prepared[command.name] = host.define(statement, types, text)
    return done("PREPARE")


def execute(host: Host, command: commands.Execute, text: str) -> Outcome:
    """EXECUTE name (values)."""
    return host.run(*executed(host, command, text))


def executed(host: Host, command: commands.Execute, text: str) -> tuple[Planned, list[Column]]:
    """What EXECUTE runs, and with which parameters. Raises InvalidSqlStatementName, SqlSyntaxError."""
    planned = host.statement(command.name)
    host.planner.refresh(planned)
    expected, given = len(planned.parameters), len(command.arguments)
    if expected != given:
        raise SqlSyntaxError(
            f'wrong number of parameters for prepared statement "{command.name}"',
            detail=f"Expected {expected} parameters but got {given}.",
        )
    context = host.planner.context(ParameterTypes((), fixed=True), text)
    run = host.new_run(())
    values: list[Column] = []
    for tokens, type in zip(command.arguments, planned.parameters, strict=True):
        tree = parse_expression_tokens(list(tokens), text)
        bound: Expression = bind_expression(tree, Scope(Frame()), context, "EXECUTE parameters")
        value = coerce(bound, type, "a", tokens[0].position, context)
        column = value.evaluate(Batch((), 1), run)
        values.append(column.with_valid(column.valid, constant=True))
    return planned, values


def deallocate(host: Host, command: commands.Deallocate, text: str) -> Outcome:
    """DEALLOCATE name, DEALLOCATE ALL."""
    if command.name is None:
        host.prepared.clear()
        return done("DEALLOCATE ALL")
    host.statement(command.name)
    del host.prepared[command.name]
    return done("DEALLOCATE")


def declare(
    host: Host, command: commands.Declare, declared: Planned, parameters: Sequence[Column]
) -> Outcome:
    """DECLARE name CURSOR FOR query."""
    text = declared.text
    if not host.explicit and not command.hold:
        raise NoActiveSqlTransaction("DECLARE CURSOR can only be used in transaction blocks")
    host.must_be_free(command.name)
    statement = _query(command.body, text)
    planned = host.planner.executed(statement, declared.parameters, text)
    if planned.plan is None or planned.fields is None:
        raise FeatureNotSupported("DECLARE CURSOR for this statement is not supported")
    if planned.plan.writes:
        raise FeatureNotSupported("DECLARE CURSOR must not contain data-modifying statements in WITH")
    outcome = host.run(planned, parameters)
    assert isinstance(outcome, Rows)
    rows = outcome
    portal = BoundPortal(
        command.name,
        planned.fields,
        lambda: Rows(rows.fields, portal.take(None), rows.complete),
        statement=text,
        hold=command.hold,
        binary=command.binary,
        level=len(host.savepoints),
        scroll=command.scroll,
    )
    portal.read(rows.batches)
    if command.scroll or command.hold:
        portal.spool = Spool(rows.batches, host.new_run(()).memory)
    host.portals[command.name] = portal
    return done("DECLARE CURSOR")


def _query(tokens: Sequence[Token], text: str) -> Statement:
    if not tokens:
        raise SqlSyntaxError("syntax error at end of input", position=len(text) + 1)
    return parse_statement(list(tokens), text)


def _fetched(portal: BoundPortal, taken: Iterator[Batch]) -> Rows:
    assert portal.fields is not None
    total = 0
    first = next(taken, None)  # what fails at once fails before the rows are described

    def batches() -> Iterator[Batch]:
        nonlocal total
        for batch in taken if first is None else chain((first,), taken):
            total += batch.rows
            yield batch

    return Rows(portal.fields, batches(), lambda: f"FETCH {total}", portal.binary)


def fetch(host: Host, command: commands.Fetch, text: str) -> Outcome:
    """FETCH and MOVE."""
    portal = _cursor(host, command.name)
    taken = moved(portal, command.direction, command.count)
    if command.move:
        passed = sum(batch.rows for batch in taken)
        return Done(lambda: f"MOVE {passed}")
    return _fetched(portal, taken)


def _cursor(host: Host, name: str) -> BoundPortal:
    portal = host.portals.get(name)
    if portal is None:
        raise InvalidCursorName(f'cursor "{name}" does not exist')
    return portal


def close(host: Host, command: commands.CloseCursor, text: str) -> Outcome:
    """CLOSE name, CLOSE ALL."""
    if command.name is None:
        for name in list(host.portals):
            host.close_portal(name)
        return done("CLOSE CURSOR ALL")
    _cursor(host, command.name)
    host.close_portal(command.name)
    return done("CLOSE CURSOR")
