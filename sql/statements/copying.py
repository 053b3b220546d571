"""COPY: its options, the plan of what goes out, and the sink of what comes in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.formats import CopyFormat
from engine.nodes import true_rows
from engine.operators import Invariants, Operator, Scan
from engine.operators.project import project
from engine.operators.references import Keeper, Rules
from engine.run import Run
from sql.changes import CHANGES, plan_change, writing
from sql.coerce import checked
from sql.commands import Copy
from sql.context import BindContext, Plan
from sql.expressions import references
from sql.needs import Need
from sql.parse import parse_expression_tokens, parse_query
from sql.query import plan_query
from sql.relations import Found, find_relation
from storage.batch import Batch
from storage.definitions import ColumnDefinition, Table
from storage.errors import (
    DatabaseError,
    DuplicateColumn,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidParameterValue,
    SqlSyntaxError,
    UndefinedColumn,
    WrongObjectType,
)
from storage.types import Type

_TRUE, _FALSE = ("true", "on", "1", "yes"), ("false", "off", "0", "no")
_UTF8 = ("utf8", "utf-8", "unicode")
_PLAIN = frozenset("\\.abcdefghijklmnopqrstuvwxyz0123456789")


@dataclass(frozen=True)
class CopyOutPlan:
    """COPY TO: what runs, and how its rows are written."""

    operator: Operator
    format: CopyFormat
    tree: exp.Expression | None = None  # of a query
    plan: Plan | None = None
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True)
class CopyInPlan:
    """COPY FROM: `row` makes the table's columns out of those that come."""

    table: Table
    format: CopyFormat
    row: tuple[Expression, ...]
    invariants: Invariants
    where: Expression | None = None
    rules: Rules | None = None
    needs: tuple[Need, ...] = ()

    def insert(self, batch: Batch, run: Run, keeper: Keeper | None) -> int:
        """Put what has come, and meets WHERE, into the table; returns how many rows that was.

        `keeper` is of `rules`.
        """
        rows = project(self.row, batch, run)
        kept = None
        if self.where is not None:
            kept = np.flatnonzero(true_rows(self.where.evaluate(rows, run), rows.rows))
            rows = rows.take(kept)
        try:
            rows = self.invariants.computed(rows, run)
            self.invariants.enforce(self.table, rows, run)
            row_ids = run.transaction.insert(self.table.oid, self.invariants.stored(rows, run))
        except DatabaseError as error:
            if kept is not None and error.row is not None:
                error.row = int(kept[error.row])
            raise
        if keeper is not None:
            keeper.inserted(rows, row_ids)
        return rows.rows


def plan_copy_out(command: Copy, context: BindContext) -> CopyOutPlan:
    """COPY table TO, COPY (query) TO."""
    options = _options(command)
    if command.table is None:
        tree = parse_query(list(command.query), context.text)
        changes = type(tree) in CHANGES
        plan = plan_change(tree, context) if changes else plan_query(tree, context)
        if changes and not plan.fields:
            raise FeatureNotSupported("COPY query must have a RETURNING clause")
        names = tuple(field.name for field in plan.fields)
        format = _format(options, tuple(f.type for f in plan.fields), names, "", True)
        return CopyOutPlan(plan.operator, format, tree, plan, plan.needs)
    found = _relation(command, context)
    if not isinstance(found.source, Table):
        word = _word(found)
        hint = "" if word == "sequence" else "Try the COPY (SELECT ...) TO variant."
        raise WrongObjectType(f'cannot copy from {word} "{found.source.name}"', hint=hint)
    table = found.source
    if table.materialized is not None:
        hint = "Try the COPY (SELECT ...) TO variant."
        raise WrongObjectType(f'cannot copy from materialized view "{table.name}"', hint=hint)
    columns = _columns(table, command.columns)
    types = tuple(column.type for column in columns)
    format = _format(options, types, tuple(c.name for c in columns), table.name, True)
    numbers = tuple(column.number for column in columns)
    context.need(table).want("r", numbers)
    needs = tuple(context.needs.values())
    return CopyOutPlan(Scan(table.oid, table.name, numbers, types), format, needs=needs)


def _word(found: Found) -> str:
    return "sequence" if getattr(found.source, "kind", "") == "S" else "view"


def plan_copy_in(command: Copy, context: BindContext) -> CopyInPlan:
    """COPY table FROM."""
    options = _options(command)
    found = _relation(command, context)
    if not isinstance(found.source, Table):
        raise WrongObjectType(f'cannot copy to {_word(found)} "{found.source.name}"')
    table = found.source
    if table.materialized is not None:
        raise WrongObjectType(f'cannot copy to materialized view "{table.name}"')
    columns = _columns(table, command.columns)
    format = _format(
        options, tuple(c.type for c in columns), tuple(c.name for c in columns), table.name, False
    )
    places = {column.number: index for index, column in enumerate(columns)}
    row: tuple[Expression, ...] = tuple(
        checked(Reference(places[column.number], column.type, column.name), column.type, context)
        if column.number in places
        else writing.default_of(column, context)
        for column in table.columns
    )
    invariants = writing.invariants(table, context)
    where, rules = _where(command, table, context), writing.rules_for_insert(table, context)
    context.need(table).want("a", places)
    needs = tuple(context.needs.values())
    return CopyInPlan(table, format, row, invariants, where, rules, needs)


def _where(command: Copy, table: Table, context: BindContext) -> Expression | None:
    """COPY FROM's WHERE, over the rows as they would be written."""
    if not command.where:
        return None
    tree = parse_expression_tokens(list(command.where), context.text)
    binding = writing.over_columns(table, "COPY FROM WHERE conditions", context)
    condition = binding.condition(tree, "WHERE")
    for place in sorted(references(condition)):
        if table.columns[place].generated:  # it is computed of rows that are taken
            raise InvalidColumnReference(
                "generated columns are not supported in COPY FROM WHERE conditions",
                detail=f'Column "{table.columns[place].name}" is a generated column.',
            )
    return condition


def _relation(command: Copy, context: BindContext) -> Found:
    assert command.table is not None
    schema = command.table[-2] if len(command.table) > 1 else ""
    return find_relation(context, command.table[-1], schema)


def _columns(table: Table, names: tuple[str, ...] | None) -> list[ColumnDefinition]:
    if names is None:
        return [column for column in table.columns if not column.generated]
    found: list[ColumnDefinition] = []
    for name in names:
        column = writing.column_of(table, name, 0)
        if column in found:
            raise DuplicateColumn(f'column "{name}" specified more than once')
        if column.generated:
            raise InvalidColumnReference(
                f'column "{name}" is a generated column', detail="Generated columns cannot be used in COPY."
            )
        found.append(column)
    return found


def _options(command: Copy) -> dict[str, object]:
    """The options by name. Raises SqlSyntaxError for doubled and unknown ones."""
    options: dict[str, object] = {}
    for name, value in command.options:
        if name not in _OPTIONS:
            raise SqlSyntaxError(f'option "{name}" not recognized')
        if name in options:
            raise SqlSyntaxError("conflicting or redundant options")
        options[name] = value
    return options


def _switch(name: str, value: object) -> bool:
    if isinstance(value, str) and value.lower() in _TRUE:
        return True
    if isinstance(value, str) and value.lower() in _FALSE:
        return False
    raise SqlSyntaxError(f"{name} requires a Boolean value")


def _format(
    options: dict[str, object],
    types: tuple[Type, ...],
    names: tuple[str, ...],
    table: str,
    out: bool,
) -> CopyFormat:
    """The options as a CopyFormat, checked in PostgreSQL's order and words."""
    kind = str(options.get("format", "text")).lower()
    if kind not in ("text", "csv", "binary", "parquet"):
        raise InvalidParameterValue(f'COPY format "{options["format"]}" not recognized')
    encoding = str(options.get("encoding", "utf8")).lower()
    if encoding not in _UTF8:
        raise FeatureNotSupported(
            f"COPY with encoding {options['encoding']} is not supported", hint="Use UTF8."
        )
    if "freeze" in options and _switch("freeze", options["freeze"]) and out:
        raise FeatureNotSupported("COPY freeze only available using COPY FROM")
    if kind in ("binary", "parquet"):
        for name in ("delimiter", "null"):
            if name in options:
                raise SqlSyntaxError(f"cannot specify {name.upper()} in {kind.upper()} mode")
    header = _header(options.get("header"), kind, out)
    csv = kind == "csv"
    format = CopyFormat(
        kind,  # type: ignore[arg-type]  # checked above
        types,
        names,
        delimiter=str(options.get("delimiter", "," if csv else "\t")),
        null=str(options.get("null", "" if csv else "\\N")),
        header=header,  # type: ignore[arg-type]  # one of the three
        quote=str(options.get("quote", '"')),
        escape=str(options.get("escape", options.get("quote", '"'))),
        table=table,
    )
    _check_characters(format, options)
    forced = {name: _forced(name, options, format, out) for name in ("quote", "not_null", "null")}
    return replace(
        format,
        force_quote=forced["quote"],
        force_not_null=forced["not_null"],
        force_null=forced["null"],
    )


def _header(value: object, kind: str, out: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.lower() == "match":
        if out:
            raise FeatureNotSupported('cannot use "match" with HEADER in COPY TO')
        header = "match"
    else:
        try:
            header = "true" if _switch("header", value) else ""
        except SqlSyntaxError:
            raise SqlSyntaxError('header requires a Boolean value or "match"') from None
    if header and kind in ("binary", "parquet"):
        raise FeatureNotSupported(f"cannot specify HEADER in {kind.upper()} mode")
    return header


def _check_characters(format: CopyFormat, options: dict[str, object]) -> None:
    csv = format.format == "csv"
    if len(format.delimiter.encode()) != 1:
        raise FeatureNotSupported("COPY delimiter must be a single one-byte character")
    if format.delimiter in "\r\n":
        raise InvalidParameterValue("COPY delimiter cannot be newline or carriage return")
    if "\r" in format.null or "\n" in format.null:
        raise InvalidParameterValue("COPY null representation cannot use newline or carriage return")
    if not csv and format.delimiter in _PLAIN:
        raise InvalidParameterValue(f'COPY delimiter cannot be "{format.delimiter}"')
    for name in ("quote", "escape"):
        if name in options and not csv:
            raise FeatureNotSupported(f"COPY {name} available only in CSV mode")
        if len(str(getattr(format, name)).encode()) != 1 and csv:
            raise FeatureNotSupported(f"COPY {name} must be a single one-byte character")
    if csv and format.delimiter == format.quote:
        raise InvalidParameterValue("COPY delimiter and quote must be different")
    if format.delimiter in format.null and format.format in ("text", "csv"):
        raise FeatureNotSupported("COPY delimiter must not appear in the NULL specification")
    if csv and format.quote in format.null:
        raise FeatureNotSupported("CSV quote character must not appear in the NULL specification")


def _forced(kind: str, options: dict[str, object], format: CopyFormat, out: bool) -> frozenset[int]:
    """The columns of FORCE QUOTE, FORCE NOT NULL and FORCE NULL."""
    value = options.get(f"force_{kind}")
    if value is None:
        return frozenset()
    words = f"force {kind.replace('_', ' ')}"
    if format.format != "csv":
        raise FeatureNotSupported(f"COPY {words} available only in CSV mode")
    if out != (kind == "quote"):
        direction = "TO" if kind == "quote" else "FROM"
        raise FeatureNotSupported(f"COPY {words} only available using COPY {direction}")
    if value == "*" and kind == "quote":
        return frozenset(range(len(format.names)))
    if not isinstance(value, tuple):
        raise SqlSyntaxError(f'argument to option "force_{kind}" must be a list of column names')
    found = set()
    for name in value:
        if name not in format.names:
            shown = f' of relation "{format.table}"' if format.table else ""
            raise UndefinedColumn(f'column "{name}"{shown} does not exist')
        found.add(format.names.index(name))
    return frozenset(found)


_OPTIONS = frozenset(
    (
        "format",
        "freeze",
        "delimiter",
        "null",
        "header",
        "quote",
        "escape",
        "force_quote",
        "force_not_null",
        "force_null",
        "encoding",
    )
)
