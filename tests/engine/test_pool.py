"""The worker pool: order, errors in their place, cancel, early close, tasks inside tasks."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from engine import pool
from engine.pool import LOOK_AHEAD, MOST_AHEAD, ordered
from engine.run import Run
from storage.errors import DivisionByZero, QueryCanceled
from tests.engine.tables import run_over

Each = Callable[[Iterable[Callable[[], Any]], Run], Iterator[Any]]


@pytest.fixture(params=[ordered, partial(ordered, ahead=MOST_AHEAD)])
def each(request: pytest.FixtureRequest) -> Each:
    """What gives the results of tasks."""
    found: Each = request.param
    return found


def test_results_come_in_the_order_of_the_tasks(each: Each) -> None:
    tasks = (partial(pow, i, 2) for i in range(500))
    assert list(each(tasks, run_over())) == [i * i for i in range(500)]


def test_no_tasks_and_one_task(each: Each) -> None:
    assert list(each([], run_over())) == []
    assert list(each([threading.get_ident], run_over())) == [threading.get_ident()]


def test_an_error_comes_after_the_results_before_it(each: Each) -> None:
    def task(i: int) -> int:
        if i == 5:
            raise DivisionByZero("division by zero")
        return i

    results = each((partial(task, i) for i in range(20)), run_over())
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(DivisionByZero):
        next(results)


def test_closing_early_begins_nothing_more(each: Each) -> None:
    begun = []
    results = each((partial(begun.append, i) for i in range(10_000)), run_over())
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    count = len(begun)
    assert count <= (LOOK_AHEAD if each is ordered else MOST_AHEAD) + 2
    assert len(begun) == count


def test_a_cancelled_run_stops(each: Each) -> None:
    run = run_over()
    results = each((partial(int, i) for i in range(10_000)), run)
    next(results)
    run.cancel.set()
    with pytest.raises(QueryCanceled, match="canceling statement due to user request"):
        list(results)


def test_tasks_inside_a_task_run_on_its_own_thread(each: Each) -> None:
    run = run_over()

    def outer() -> set[int]:
        inner = each([threading.get_ident] * 10, run)
        return {*inner, threading.get_ident()}

    for threads in each([outer] * (4 * pool.WORKERS), run):
        assert len(threads) == 1


def test_tasks_begun_ahead_do_not_wait_for_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does with the first result, the others are worked at; and workers take turns."""
    monkeypatch.setattr(pool, "_TURN", 0.0)
    ends = [threading.Event() for _ in range(20)]
    results = ordered([end.set for end in ends], run_over(), MOST_AHEAD)
    next(results)
    assert all(end.wait(10) for end in ends)
    assert list(results) == [None] * 19


def test_none_is_told_with_what_comes_after() -> None:
    ends = [threading.Event() for _ in range(3)]
    results = ordered(
        [lambda: None, ends[0].wait, lambda: None, ends[1].wait, *[lambda: None] * 9], run_over()
    )
    ends[0].set()
    assert next(results) is None
    assert next(results) is True
    ends[1].set()
    assert list(results) == [None, True, *[None] * 9]


@pytest.mark.parametrize("taken", [0, 3, 60])
def test_a_run_that_is_over_is_held_by_nothing(each: Each, taken: int) -> None:
    def task(i: int) -> int:
        if i == 59:
            raise DivisionByZero("division by zero")
        return i

    gc.disable()  # what only a cycle of objects holds counts, too: a snapshot keeps deleted rows
    try:
        run = run_over()
        results = each((partial(task, i) for i in range(60)), run)
        with suppress(DivisionByZero):
            for _ in range(taken):
                next(results)
        results.close()  # type: ignore[attr-defined]
        held = weakref.ref(run)
        del results, run
        assert held() is None
    finally:
        gc.enable()
