"""The worker pool: order, errors in their place, cancel, early close, tasks inside tasks."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from engine import pool
from engine.pool import LOOK_AHEAD, ordered
from storage.errors import DivisionByZero, QueryCanceled
from tests.engine.tables import run_over


def test_results_come_in_the_order_of_the_tasks() -> None:
    tasks = (partial(pow, i, 2) for i in range(500))
    assert list(ordered(tasks, run_over())) == [i * i for i in range(500)]


def test_no_tasks_and_one_task() -> None:
    assert list(ordered([], run_over())) == []
    assert list(ordered([threading.get_ident], run_over())) == [threading.get_ident()]


def test_an_error_comes_after_the_results_before_it() -> None:
    def task(i: int) -> int:
        if i == 5:
            raise DivisionByZero("division by zero")
        return i

    results = ordered((partial(task, i) for i in range(20)), run_over())
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(DivisionByZero):
        next(results)


def test_closing_early_begins_nothing_more() -> None:
    begun = []
    results = ordered((partial(begun.append, i) for i in range(10_000)), run_over())
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    count = len(begun)
    assert count <= LOOK_AHEAD + 2
    assert len(begun) == count


def test_a_cancelled_run_stops() -> None:
    run = run_over()
    results = ordered((partial(int, i) for i in range(10_000)), run)
    next(results)
    run.cancel.set()
    with pytest.raises(QueryCanceled, match="canceling statement due to user request"):
        list(results)


def test_tasks_inside_a_task_run_on_its_own_thread() -> None:
    run = run_over()

    def outer() -> set[int]:
        inner = ordered([threading.get_ident] * 10, run)
        return {*inner, threading.get_ident()}

    for threads in ordered([outer] * (4 * pool.WORKERS), run):
        assert len(threads) == 1
