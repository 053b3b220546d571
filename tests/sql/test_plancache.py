"""Which constants are lifted out of a statement, so that statements that differ in them share a plan."""

from __future__ import annotations

import pytest

from sql.plancache import shape_of
from sql.tokens import lex


def lifted(text: str) -> list[str]:
    shape = shape_of(lex(text), ())
    assert shape is not None
    return [token.text for token in shape.literals]


@pytest.mark.parametrize(
    ("text", "constants"),
    [
        ("update t set a = a + 5 where b = 7", ["5", "7"]),
        ("update t set a = a + -5 where b = -7", ["5", "7"]),
        ("insert into t values (1, -2, +3, 4.5)", ["1", "2", "3", "4.5"]),
        ("select f(-1) from t where (a * 2) - 3 > b + 4", ["1", "2", "3", "4"]),
        ("select a from t where a > 5 order by 1 limit 3", ["5"]),
        ("select a from t where d > e + '1 day'", []),
        ("select a from t order by -1", []),
        ("select 1 / 0, (1) / 0, a / 0 from t where b = 1 / 0", ["0"]),
        ("select a from t where a = -5::smallint", []),
        ("select cast(a as numeric(5, -2)) from t", []),
    ],
)
def test_what_is_lifted(text: str, constants: list[str]) -> None:
    assert lifted(text) == constants


@pytest.mark.parametrize(
    ("condition", "constants", "repeats"),
    [
        ("(a = 1 and b = 'x') or (a = 2 and b = 'x')", ["1", "x", "2"], True),
        ("t.b = 'x' and a > 1 or t.b = 'x' and a > 1", ["x", "1"], True),
        ("(a = 1 and b = 'x') or (a = 1 and c = 'x')", ["1", "x", "x"], True),
        ("(a = 1 and b = 'x') or (a = '1' and b <> 'x')", ["1", "x", "1", "x"], False),
        ("c || b = 'x' or b = 'x'", ["x", "x"], False),
        ("t.b = 'x' or u.b = 'x'", ["x", "x"], False),
        ("b = 'x' and b = 'x'", ["x", "x"], False),
        ("b = 'x' or a in (select a from u where b = 'x')", ["x", "x"], False),
    ],
)
def test_what_is_one_parameter(condition: str, constants: list[str], repeats: bool) -> None:
    shape = shape_of(lex(f"select a from t where {condition}"), ())
    assert shape is not None
    assert ([token.text for token in shape.literals], shape.repeats) == (constants, repeats)


def test_names_of_two_scopes_are_not_one() -> None:
    """What one column is compared with may have another type than what one of its name is."""
    text = "with d as (delete from t where b = 'x' or a = 1 returning a) delete from u where b = 'x'"
    shape = shape_of(lex(text), ())
    assert shape is not None
    assert not shape.repeats


def test_what_repeats_is_in_the_key() -> None:
    texts = [
        f"select a from t where b = '{x}' and a = 1 or b = '{y}' and a = 2" for x, y in ("pp", "qq", "pq")
    ]
    first, second, other = (shape_of(lex(text), ()) for text in texts)
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.key == second.key != other.key


def test_statements_of_one_shape_have_one_key() -> None:
    first, second = (shape_of(lex(f"update t set a = a + {n} where b = {n}"), ()) for n in (5, 6))
    assert first is not None
    assert second is not None
    assert first.key == second.key
    negative = shape_of(lex("update t set a = a + -5 where b = 5"), ())
    assert negative is not None
    assert negative.key != first.key
