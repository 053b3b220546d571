"""The short form of `make fuzz`, and the tools of the search: what it shrinks, what it calls the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from random import Random

import pytest

from tests.generator.grammar import Grammar
from tests.generator.peers import same_rows
from tests.generator.search import Report, search
from tests.generator.tables import tables
from tests.generator.trees import shrunk, smaller


def test_random_queries_are_answered_as_by_duckdb(tmp_path: Path) -> None:
    """Another seed every day; it stands in the message."""
    seed, report = date.today().toordinal(), Report()
    found = list(search(seed, 200, tmp_path, None, report))
    assert not found, f"seed {seed}\n" + "\n\n".join(map(str, found))
    assert report.answered["DuckDB"] > 150, report


def test_the_same_seed_makes_the_same_queries() -> None:
    """A seed that is told can be played again."""

    def made() -> list[str]:
        random = Random(7)
        given = tables(random)
        return [str(Grammar(random, given, common=False).query()) for _ in range(20)]

    assert made() == made()


def test_a_difference_is_made_small() -> None:
    """What does not matter for it goes."""
    random = Random(3)
    given = tables(random)
    tree = next(t for t in iter(lambda: Grammar(random, given, True).query(), None) if "upper" in str(t))
    differs = lambda node: "upper" in str(node)  # noqa: E731
    small = shrunk(tree, differs, 3000)
    assert differs(small)
    assert small.size < tree.size
    assert not any(map(differs, smaller(small)))


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ([[1.0, "a"], [2.0, "b"]], [[2.0, "b"], [1.0, "a"]], True),
        ([[1.0, "a"]], [[1.0 + 1e-13, "a"]], True),
        ([[1.0, "a"]], [[1.0 + 1e-9, "a"]], False),
        ([[1.0, "a"]], [[1.0, "b"]], False),
        ([[None, "a"]], [[1.0, "a"]], False),
        ([[1.0, None]], [[1.0, ""]], False),
        ([[1.0, "a"]], [[1.0, "a"], [1.0, "a"]], False),
    ],
)
def test_what_is_the_same(ours: list[list[object]], theirs: list[list[object]], same: bool) -> None:
    """Rows in any order, numbers nearly, everything else exactly."""
    assert same_rows(ours, theirs, [True, False], ordered=False) is same


def test_order_matters_where_it_is_asked_for() -> None:
    """The same rows in another order."""
    assert not same_rows([["a"], ["b"]], [["b"], ["a"]], [False], ordered=True)
