"""EXPLAIN: its options, and a plan as lines of text or as a report (sql.statements.reports).

A projection shows only with VERBOSE, as in PostgreSQL, where it is part of the node below it; so do the
columns that a scan reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine import operators
from engine.counters import Counters, Figures
from engine.operators import Operator
from engine.rollups import roots
from sql.commands.explaining import Option
from sql.deparse import condition, listed
from sql.expressions import conjunction
from sql.statements.reports import written
from storage.catalog import Catalog
from storage.errors import InvalidParameterValue, SqlSyntaxError

_SWITCHES = ("analyze", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary")
_TRUE, _FALSE = ("true", "on", "1"), ("false", "off", "0")


@dataclass(frozen=True)
class Options:
    """EXPLAIN's options. `costs` are not shown: there is no cost model to print.

    `certified` is the session's: whether searches by certified codes are made as they are planned; `catalog`
    has the names of what plans read.
    """

    analyze: bool = False
    verbose: bool = False
    timing: bool = False
    summary: bool = False
    format: str = "text"
    certified: bool = True
    catalog: Catalog | None = None


def read_options(given: Sequence[Option]) -> Options:
    """The options, checked. Raises SqlSyntaxError, InvalidParameterValue."""
    switches: dict[str, bool] = {}
    format = "text"
    for name, value, place in given:
        if name == "format":
            if value is None:
                raise SqlSyntaxError("format requires a parameter")
            if value not in ("text", "json", "xml", "yaml"):
                message = f'unrecognized value for EXPLAIN option "format": "{value}"'
                raise InvalidParameterValue(message, position=place)
            format = value
        elif name not in _SWITCHES:
            raise SqlSyntaxError(f'unrecognized EXPLAIN option "{name}"', position=place)
        elif value is not None and value not in _TRUE + _FALSE:
            raise SqlSyntaxError(f"{name} requires a Boolean value")
        else:
            switches[name] = value is None or value in _TRUE
    analyze = switches.get("analyze", False)
    for name in ("timing", "wal"):
        if switches.get(name) and not analyze:
            raise InvalidParameterValue(f"EXPLAIN option {name.upper()} requires ANALYZE")
    return Options(
        analyze,
        switches.get("verbose", False),
        switches.get("timing", analyze),
        switches.get("summary", analyze),
        format,
    )


def explained(
    operator: Operator, options: Options, counters: Counters | None, planning: float, execution: float
) -> list[str]:
    """The lines of EXPLAIN's one column. Times are in seconds."""
    if options.format != "text":
        report: dict[str, Any] = {"Plan": _reported(operator, options, counters)}
        if options.summary:
            report["Planning Time"] = planning * 1000
        if options.analyze and options.summary:
            report["Execution Time"] = execution * 1000
        return [written(report, options.format)]
    lines = list(_lines(operator, options, counters, 0))
    if options.summary:
        lines.append(f"Planning Time: {planning * 1000:.3f} ms")
    if options.analyze and options.summary:
        lines.append(f"Execution Time: {execution * 1000:.3f} ms")
    return lines


def explained_utility(what: str, options: Options) -> list[str]:
    """The lines for a statement without a plan."""
    if options.format != "text":
        return [written(what, options.format)]
    return ["Utility statements have no plan structure"] if what == "Utility Statement" else []


def _shown(operator: Operator, options: Options, counters: Counters | None) -> Operator:
    """The node that is printed in an operator's place: of a search by codes the one that was made."""
    while isinstance(operator, operators.Project) and not options.verbose:
        operator = operator.child
    if isinstance(operator, _CERTIFIED):
        plainly = counters is not None and counters.of(operator).certificate is None
        if plainly or not options.certified:
            return operator.plain
    return operator


_CERTIFIED = (operators.CertifiedScan, operators.Nearest, operators.SimilarityJoin)


def _lines(operator: Operator, options: Options, counters: Counters | None, depth: int) -> Iterator[str]:
    operator = _shown(operator, options, counters)
    indent = "" if depth == 0 else " " * (6 * depth - 4)
    yield indent + ("->  " if depth else "") + operator.explain() + _measured(operator, options, counters)
    below = indent + ("      " if depth else "  ")
    for name, value in details(operator, options):
        yield f"{below}{name}: {value if isinstance(value, str) else ', '.join(value)}"
    if counters is not None:
        figures = counters.of(operator)
        for name, value in (*figures.notes.items(), *certified(figures, options)):
            yield f"{below}{name}: {value}"
    for child in operator.children:
        yield from _lines(child, options, counters, depth + 1)


def _measured(operator: Operator, options: Options, counters: Counters | None) -> str:
    if counters is None:
        return ""
    figures = counters.of(operator)
    if not figures.ran:
        return " (never executed)"
    loops = max(figures.loops, 1)
    times = f"time={figures.first * 1000:.3f}..{figures.seconds * 1000:.3f} " if options.timing else ""
    return f" (actual {times}rows={round(figures.rows / loops)} loops={loops})"


def details(operator: Operator, options: Options) -> Iterator[tuple[str, str | list[str]]]:
    """What is said of an operator below its line: texts, or lists of them."""
    if options.verbose and options.catalog is not None and (names := _columns(operator, options.catalog)):
        yield "Output", names
    match operator:
        case operators.Scan() | operators.Filter():
            if operator.condition is not None:
                yield "Filter", condition(operator.condition)
        case operators.CertifiedScan():
            yield "Metric", ", ".join(dict.fromkeys(term.measure.name for term in operator.terms))
            yield "Vector Cond", condition(conjunction([term.written for term in operator.terms]))
            if operator.others is not None:
                yield "Filter", condition(operator.others)
        case operators.Nearest():
            yield "Metric", operator.term.measure.name
            yield "Order By", listed(operator.plain.keys)
            if operator.scan.condition is not None:
                yield "Filter", condition(operator.scan.condition)
        case operators.IndexScan():
            yield "Index Cond", condition(operator.condition)
            if operator.rest is not None:
                yield "Filter", condition(operator.rest)
        case operators.HashJoin():
            pairs = zip(operator.left_keys, operator.right_keys, strict=True)
            yield "Hash Cond", " AND ".join(f"({listed([a])} = {listed([b])})" for a, b in pairs)
            if operator.residual is not None:
                yield "Join Filter", condition(operator.residual)
        case operators.SimilarityJoin():
            yield "Metric", operator.ways[0].term.measure.name
            yield "Join Filter", condition(operator.plain.condition)
        case operators.LoopJoin():
            if operator.condition is not None:
                yield "Join Filter", condition(operator.condition)
        case operators.Aggregate():
            yield from _grouped(operator)
            if options.verbose and operator.calls:
                yield "Calls", listed(operator.calls)
        case operators.PartitionTop():
            if operator.partition:
                yield "Partition Key", [listed([key]) for key in operator.partition]
            if operator.order:
                yield "Sort Key", [listed([key]) for key in operator.order]
        case operators.Sort() | operators.Top():
            yield "Sort Key", [listed([key]) for key in operator.keys]
        case operators.Project():
            yield "Output", [listed([each]) for each in operator.expressions]


def _columns(operator: Operator, catalog: Catalog) -> list[str]:
    """The names of the columns that a scan gives; what only its condition asks for is not among them."""
    match operator:
        case operators.CertifiedScan():
            return _columns(operator.plain, catalog)
        case operators.Nearest():
            return _columns(operator.scan, catalog)
        case operators.Scan():
            given = [n for i, n in enumerate(operator.numbers) if i not in operator.unread]
        case operators.IndexScan():
            given = list(operator.numbers)
        case _:
            return []
    table = catalog.table(operator.table)
    return [table.definition(number).name for number in given]


def _grouped(operator: operators.Aggregate) -> Iterator[tuple[str, str | list[str]]]:
    """What the rows are grouped by, and which grouping sets are merged from the groups of others."""
    if not operator.sets:
        if operator.keys:
            yield "Group Key", [listed([key]) for key in operator.keys]
        return
    read = roots(operator.key_sets)
    for each in dict.fromkeys(operator.key_sets):
        keys = [operator.keys[i] for i in sorted(each)]
        yield ("Group Key" if each in read else "Rollup Key"), [listed([k]) for k in keys] or "()"


def certified(figures: Figures, options: Options) -> Iterator[tuple[str, Any]]:
    """The certificate of a search by codes: what of the table was not looked at, and what was, how."""
    if figures.certificate is None:
        return
    done, seconds = figures.certificate.sum, figures.certificate.seconds
    yield "Certificate", "exact"
    yield "Segments Searched", done.segments
    yield "Segments Skipped", done.skipped
    yield "Rows Searched", done.rows
    for depth, rows in enumerate(done.decided, 1):
        yield f"Rows Decided at Depth {depth}", rows
    yield "Rows Read in Full", done.full
    yield "Rows Without Codes", done.plain
    yield "Bytes of Codes", done.code_bytes
    yield "Bytes of Vectors", done.full_bytes
    if options.timing and seconds:
        yield "GB per Second", round((done.code_bytes + done.full_bytes) / seconds / 1e9, 3)
        yield "Rows per Second", round((done.rows + done.plain) / seconds)


def _reported(operator: Operator, options: Options, counters: Counters | None) -> dict[str, Any]:
    operator = _shown(operator, options, counters)
    kind, _, name = operator.explain().partition(" on ")
    node: dict[str, Any] = {"Node Type": kind}
    if isinstance(operator, operators.IndexScan):
        node["Node Type"], node["Index Name"] = "Index Scan", operator.index
    if name:
        node["Relation Name"] = name
    repeats: dict[str, list[str | list[str]]] = {}
    for what, value in details(operator, options):
        repeats.setdefault(what, []).append(value)
    for what, values in repeats.items():  # what is said more than once is a list
        node[what] = values[0] if len(values) == 1 else values
    if counters is not None:
        figures: Figures = counters.of(operator)
        if options.timing:
            node["Actual Startup Time"] = figures.first * 1000
            node["Actual Total Time"] = figures.seconds * 1000
        node["Actual Rows"] = round(figures.rows / max(figures.loops, 1))
        node["Actual Loops"] = figures.loops
        node |= figures.notes | dict(certified(figures, options))
    if operator.children:
        node["Plans"] = [_reported(child, options, counters) for child in operator.children]
    return node
