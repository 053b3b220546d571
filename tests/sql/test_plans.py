"""Plans: which operators a query becomes, and what the rules have done to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.expressions import Call, Constant, Parameter
from engine.forms import text_of
from engine.operators import Filter, HashJoin, IndexScan, LoopJoin, Nothing, Scan, Top
from engine.operators.base import Operator
from engine.run import Run
from sql.context import BindContext
from sql.parse import parse
from sql.physical import physical
from sql.planning import SWITCHES, Planning
from sql.query import bind_query
from sql.rules import optimise
from sql.scope import Frame
from storage.predicate import Comparison
from tests.slt import read
from tests.sql.planning import SESSION, answer, catalog, explained, filled, plan

SESSIONS = Path(__file__).parents[1] / "slt" / "sessions"


def operators(text: str, kind: type[Operator]) -> list[Any]:
    """The operators of a kind in a query's plan."""

    def walk(node: Operator) -> list[Operator]:
        found = [node] if isinstance(node, kind) else []
        return found + [below for child in node.children for below in walk(child)]

    return walk(plan(text).operator)


def test_a_scan_reads_what_is_asked_for() -> None:
    (scan,) = operators("SELECT c FROM keyless WHERE a = 1", Scan)
    assert scan.numbers == (1, 3)
    (scan,) = operators("SELECT count(*) FROM t", Scan)
    assert scan.numbers == ()


@pytest.mark.parametrize(
    ("condition", "bounds"),
    [
        ("a = 1", [(1, Comparison.EQ)]),
        ("3 > a", [(1, Comparison.LT)]),
        ("a BETWEEN 2 AND 4", [(1, Comparison.GE), (1, Comparison.LE)]),
        ("b = 'x' AND v < 2.5", [(2, Comparison.EQ), (4, Comparison.LT)]),
        ("c = 'x'", [(3, Comparison.EQ)]),
        ("b IS NULL", [(2, Comparison.IS_NULL)]),
        ("b IS NOT NULL", [(2, Comparison.IS_NOT_NULL)]),
        ("a = $1", [(1, Comparison.EQ)]),
        ("a = 1 OR a = 2", []),
        ("a + 1 = 2", []),
        ("a = random()", []),
        ("a = (SELECT 1)", [(1, Comparison.EQ)]),
        ("a > (SELECT max(a) FROM t)", [(1, Comparison.GT)]),
        ("a = 3000000000", []),
        ("d >= date '2026-01-01'", [(5, Comparison.GE)]),
    ],
)
def test_bounds_for_zone_maps(condition: str, bounds: list[tuple[int, Comparison]]) -> None:
    (scan,) = operators(f"SELECT a, b, c, v, d FROM keyless WHERE {condition}", Scan)
    assert [(b.number, b.op) for b in scan.bounds] == bounds


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("a = 1", True),
        ("1 = a AND b = 'x'", True),
        ("a = 3000000000", True),
        ("a IN (1, 2)", True),
        ("a = ANY ('{1,2}')", True),
        ("a = ANY ($1)", True),
        ("a = length('x')", True),
        ("a = 1.5", False),
        ("a = random()", False),
        ("a = b::int", False),
        ("a = (SELECT 1)", False),
        ("a NOT IN (1, 2)", False),
        ("a = ALL ('{1}')", False),
        ("a = 1 OR b = 'x'", False),
        ("b = 'x'", False),
        ("a > 1", False),
    ],
)
def test_an_index_answers_equality_with_what_needs_no_row(condition: str, found: bool) -> None:
    assert bool(operators(f"SELECT v FROM t WHERE {condition}", IndexScan)) == found


def test_what_an_index_decides_is_not_looked_at_again() -> None:
    (scan,) = operators("SELECT v FROM t WHERE a = 1 AND v > 2", IndexScan)
    assert scan.rest.function == "operator >(float8,float8)"


@pytest.mark.parametrize(
    ("condition", "rest"),
    [
        ("a = 1 AND d >= date '2026-01-01' AND b IN ('x', 'y')", None),
        ("a = 1 AND b LIKE 'x%'", "operator ~~(text,text)"),
        ("lower(b) = 'x' AND b IS NULL", "operator =(text,text)"),
    ],
)
def test_what_bounds_do_not_say_is_left(condition: str, rest: str | None) -> None:
    (scan,) = operators(f"SELECT a, b, c, v, d FROM keyless WHERE {condition}", Scan)
    assert (None if scan.rest is None else scan.rest.function) == rest
    assert scan.condition is not None


def test_bounds_have_the_columns_type() -> None:
    (scan,) = operators("SELECT id FROM features WHERE id = 7", Scan)
    assert scan.bounds[0].values[0].type.name == "int8"


def test_constants_are_folded() -> None:
    (scan,) = operators("SELECT a FROM t WHERE d > date '2026-01-01' + 30 AND true", Scan)
    assert isinstance(scan.condition, Call)
    assert isinstance(scan.condition.arguments[1], Constant)
    assert isinstance(scan.bounds[0].values[0], Constant)


def test_stable_functions_are_not_folded() -> None:
    (scan,) = operators("SELECT a FROM t WHERE d > current_date", Scan)
    assert not isinstance(scan.condition.arguments[1], Constant)


def test_a_failing_constant_waits_for_the_run() -> None:
    plan("SELECT 1 / 0")


def test_nothing_where_nothing_can_be() -> None:
    assert operators("SELECT a FROM t WHERE false", Nothing)
    assert operators("SELECT a FROM t WHERE a = 1 AND 1 = 2", Nothing)


def test_equalities_make_hash_joins() -> None:
    (join,) = operators("SELECT 1 FROM t, u WHERE t.a = u.a AND t.v < u.n", HashJoin)
    assert len(join.left_keys) == 1
    assert join.residual is not None
    assert operators("SELECT 1 FROM t JOIN u ON t.a < u.a", LoopJoin)


def test_keys_have_one_type() -> None:
    (join,) = operators("SELECT 1 FROM t JOIN u ON t.a = u.x", HashJoin)
    assert [k.type.name for k in (*join.left_keys, *join.right_keys)] == ["int8", "int8"]


def test_filters_reach_the_scans() -> None:
    text = "SELECT 1 FROM (SELECT a, v * 2 AS w FROM t) s JOIN u ON s.a = u.a WHERE s.w > 3 AND u.x = 1"
    assert all(scan.condition is not None for scan in operators(text, Scan))
    assert not operators(text, Filter)


def test_filters_on_keys_pass_an_aggregation() -> None:
    text = "SELECT * FROM (SELECT b, count(*) AS n FROM t GROUP BY b) s WHERE b = 'x' AND n > 1"
    (scan,) = operators(text, Scan)
    assert scan.condition is not None
    assert len(operators(text, Filter)) == 1


def test_volatile_conditions_stay_above() -> None:
    (scan,) = operators("SELECT a FROM keyless WHERE random() < 0.5 AND a = 1", Scan)
    assert [b.op for b in scan.bounds] == [Comparison.EQ]
    assert operators("SELECT a FROM t WHERE random() < 0.5", Filter)


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("u.x = 1", "inner"),
        ("u.x IS NOT NULL", "inner"),
        ("u.x IN (1, 2)", "inner"),
        ("u.x IS NULL", "left"),
        ("coalesce(u.x, 0) = 0", "left"),
        ("t.v = 1", "left"),
    ],
)
def test_outer_joins_that_are_none(condition: str, kind: str) -> None:
    (join,) = operators(f"SELECT 1 FROM t LEFT JOIN u ON t.a = u.a WHERE {condition}", HashJoin)
    assert join.kind == kind


def test_no_product_where_a_condition_ties() -> None:
    text = "SELECT t.a FROM t, u, features f WHERE t.a = f.id AND f.id = u.x"
    assert not operators(text, LoopJoin)
    assert len(operators(text, HashJoin)) == 2


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("EXISTS (SELECT FROM u WHERE u.a = t.a AND u.x > 1)", "semi"),
        ("NOT EXISTS (SELECT FROM u WHERE u.a = t.a)", "anti"),
        ("b IN (SELECT nm FROM e WHERE e.k = t.a)", "semi"),
        ("b NOT IN (SELECT nm FROM e WHERE e.k = t.a)", "anti"),
        ("b IN (SELECT nm FROM e)", "semi"),
        ("v > (SELECT sum(n) FROM u WHERE u.a = t.a)", "inner"),
        ("2 > (SELECT count(*) FROM u WHERE u.a = t.a)", "left"),
        ("v > (SELECT s.v FROM t s WHERE s.a = t.a + 1)", "inner"),
    ],
)
def test_correlated_subqueries_as_joins(condition: str, kind: str) -> None:
    (join,) = operators(f"SELECT a FROM t WHERE {condition}", HashJoin)
    assert join.kind == kind


@pytest.mark.parametrize(
    "condition",
    [
        "EXISTS (SELECT FROM u WHERE u.a = t.a LIMIT 1)",
        "EXISTS (SELECT FROM u WHERE u.a > t.a)",
        "EXISTS (SELECT FROM u WHERE u.a = t.a) OR a = 1",
        "b NOT IN (SELECT nm FROM e)",
        "v > (SELECT sum(x / a) FROM u WHERE u.a = t.a)",
        "v > (SELECT x FROM u WHERE u.a = t.a)",
        "v > (SELECT sum(n) FROM u WHERE u.a = t.a LIMIT 1)",
    ],
)
def test_subqueries_that_stay(condition: str) -> None:
    assert not operators(f"SELECT a FROM t WHERE {condition}", HashJoin)


def test_order_with_limit_is_top() -> None:
    assert explained(plan("SELECT b FROM t ORDER BY a + 1 DESC LIMIT 5").operator) == [
        "Project",
        "  Top-N Sort",
        "    Project",
        "      Seq Scan on t",
    ]
    (top,) = operators("SELECT * FROM (SELECT a FROM t ORDER BY v) s LIMIT 3", Top)
    assert len(top.keys) == 1


def test_the_headline_query() -> None:
    text = "SELECT id FROM features WHERE DOT_PRODUCT(image, $1) > 0.9"
    found = plan(text)
    assert explained(found.operator) == ["Project", "  Certified Scan on features"]
    assert [t.name for t in found.parameters] == ["binary"]
    assert [(f.name, f.table, f.number) for f in found.fields] == [("id", 20_030, 1)]


def test_orders_by_similarity() -> None:
    for text in (
        "SELECT id FROM features ORDER BY DOT_PRODUCT(image, $1) DESC LIMIT 5",
        "SELECT id, DOT_PRODUCT(image, $1) AS score FROM features ORDER BY score DESC, id LIMIT 5 OFFSET 3",
    ):
        assert explained(plan(text).operator) == ["Project", "  Certified Top-N on features"]
    for text in (
        "SELECT id FROM features ORDER BY id, DOT_PRODUCT(image, $1) LIMIT 5",
        "SELECT id FROM features ORDER BY DOT_PRODUCT(image, $1)",
        "SELECT id FROM features ORDER BY DOT_PRODUCT(image, image) LIMIT 5",
        "SELECT id FROM features ORDER BY abs(DOT_PRODUCT(image, $1)) LIMIT 5",
    ):
        assert "Certified Top-N" not in "\n".join(explained(plan(text).operator))


def test_common_tables_named_once_are_seen_through() -> None:
    text = "WITH z AS (SELECT a, v FROM keyless) SELECT * FROM z WHERE a = 1"
    (scan,) = operators(text, Scan)
    assert scan.condition is not None
    twice = "WITH z AS (SELECT a FROM t) SELECT * FROM z JOIN z y ON y.a = z.a"
    assert "CTE Scan on z" in "\n".join(explained(plan(twice).operator))
    kept = "WITH z AS MATERIALIZED (SELECT a FROM t) SELECT * FROM z"
    assert "CTE Scan on z" in "\n".join(explained(plan(kept).operator))


def test_plans_name_what_they_read() -> None:
    found = plan("SELECT 1 FROM t JOIN u ON true")
    assert {oid for oid, _ in found.dependencies} == {20_000, 20_010}


def test_rules_change_no_answer() -> None:
    database = filled()
    text = "SELECT t.b, sum(u.x) FROM t LEFT JOIN u ON t.a = u.a WHERE t.v < 2 GROUP BY t.b ORDER BY 1"
    tree: Any = parse(text)[0].tree
    context = BindContext(catalog(), ("pg_catalog", "public"), SESSION, text=text)
    bound = bind_query(tree, Frame(), context, {})
    with_rules, without = answer(database, text)[2], []
    transaction = database.begin()
    run = Run(transaction.snapshot(), transaction, session=SESSION)
    planning = Planning(off=frozenset(SWITCHES))
    for batch in physical(optimise(bound.node, planning), planning).batches(run):
        without += list(zip(*(text_of(c).tolist() for c in batch.columns), strict=True))
    transaction.rollback()
    database.close()
    assert with_rules == without == [("x", "21"), ("y", "20")]


def test_each_rule_has_a_golden_plan_with_it_and_one_without() -> None:
    plans = {
        record.text: record.expected
        for name in ("rules.slt", "runtime_filters.slt")
        for record in read(SESSIONS / name).records
    }
    for switch in SWITCHES:
        off, on = f"SET enable_{switch} = off; ", f"; RESET enable_{switch}"
        differ = [
            text
            for text, expected in plans.items()
            if text.startswith(off + "EXPLAIN")
            and text.endswith(on)
            and plans[text[len(off) : -len(on)]] != expected[1:-1]
        ]
        assert differ, switch


def test_parameters_stand_where_they_are_used() -> None:
    (scan,) = operators("SELECT a FROM keyless WHERE a = $1", Scan)
    assert scan.bounds[0].values[0] == Parameter(0, scan.types[0])
    (scan,) = operators("SELECT a FROM t WHERE a = $1", IndexScan)
    assert scan.among[0].items == (Parameter(0, scan.types[0]),)
