"""Texts told apart without reading them: what a template says is what reading says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sql import literals
from sql.plancache import Shape, shape_of
from sql.tokens import lex
from storage.errors import DatabaseError

PATH = ("pg_catalog", "public")
PIECES = (
    "1", "17", "007", "2147483648", "99999999999999999999", "1.5", ".5", "1.", "1e5", "0x1f", "12abc", "-1",
    "'a'", "'it''s'", "''", "'a' 'b'", "e'x'", "E'\\''", "n'x'", "x'1f'", "$1", "$$q$$", '"C d"', "'--'",
    "-- 1\n", "/* 2 */", "t1", "a.b1", "t_2", "int", "numeric(10, 2)", "interval '1 day'", "date '2020'",
    "+", "-", "*", "/", "=", "<", "(", ")", ",", "lower(", "and", "limit 3", "offset 4", "order by 1", "in",
    "values", "::int", "[1]", "'\n'", "'é'", "é1",
)  # fmt: skip


def shape(text: str) -> Shape | None:
    """What reading makes of a text."""
    try:
        tokens = lex(text)
    except DatabaseError:
        return None
    return shape_of(tokens, PATH) if tokens else None


texts = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "select " + " ".join(pieces))


def replaced(text: str, values: list[str]) -> str:
    """The text with other literals of the same kinds."""
    found = iter(values)

    def other(literal: str) -> str:
        if literal[0] == "'":
            return f"'{next(found, 'z')}'"
        return literal if "." in literal or len(literal) > 9 else str(min(len(next(found, "")) + 3, 99))

    return literals._LITERAL.sub(lambda match: other(match[0]), text)


@settings(max_examples=500, deadline=None)
@given(texts, st.lists(st.text("ab1 -", max_size=4), max_size=12))
def test_a_template_finds_what_reading_finds(text: str, values: list[str]) -> None:
    parts, read = literals.split(text), shape(text)
    if parts is None or read is None:
        return
    template = literals.template_of(text, parts[1], read)
    if template is None:
        return
    for again in (text, replaced(text, values)):
        split = literals.split(again)
        if split is None or split[0] != parts[0]:
            continue
        found = literals.parameters(template, split[1])
        if found is None:
            continue
        truth = shape(again)
        assert truth is not None, again
        assert truth.key == template.key, again
        assert [(t.kind, t.text) for t in found] == [(t.kind, t.text) for t in truth.literals], again


def test_what_has_a_template() -> None:
    for text, expected in (
        ("select a from t where id = 17", (None,)),
        ("select a from t where id = 17 limit 3", (None, "3")),
        ("insert into t values (1, 'it''s', -2)", (None, None, None)),
    ):
        parts, read = literals.split(text), shape(text)
        assert parts is not None
        assert read is not None
        template = literals.template_of(text, parts[1], read)
        assert template is not None
        assert template.fixed == expected
    assert literals.split("select a from t -- 1") is None
    assert literals.split("select e'\\'' , 1") is None


def test_kinds_of_numbers_have_templates_of_their_own() -> None:
    texts = ("= 1", "= 2147483648", "= 9999999999999999999", "= 1.5", "= '1'")
    assert len({(literals.split(text) or ("",))[0] for text in texts}) == len(texts)
