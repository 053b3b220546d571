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


def test_statements_of_one_shape_have_one_key() -> None:
    first, second = (shape_of(lex(f"update t set a = a + {n} where b = {n}"), ()) for n in (5, 6))
    assert first is not None
    assert second is not None
    assert first.key == second.key
    negative = shape_of(lex("update t set a = a + -5 where b = 5"), ())
    assert negative is not None
    assert negative.key != first.key
