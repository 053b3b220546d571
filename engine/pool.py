"""The worker pool: one thread a core, shared by every statement, and `ordered` to use it.

Workers only compute: they wait for no lock, no socket and no other task. So a task that itself asks for
tasks (a plan inside an expression) runs those at once on its own thread, and whatever may wait (nextval,
pg_sleep, the log) is kept off the pool by `engine.parallel.pool_safe`.

`ordered` gives results in the order of the tasks, with a bounded number of them ahead of the consumer,
so that a slow consumer stops the work and an early close drops it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from engine.run import Run
from storage.waiting import about_to_wait

T = TypeVar("T")

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Tasks begun ahead of the consumer: enough that no worker idles while one batch is taken away.
LOOK_AHEAD = 2 * WORKERS + 1
MOST_AHEAD = 16 * WORKERS
"""Tasks of `in_turn` that are begun ahead of the consumer."""
_TURN = 0.01  # seconds that a worker takes tasks of one statement before it looks at those of others

_inside = threading.local()
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None


def ordered(tasks: Iterable[Callable[[], T]], run: Run) -> Iterator[T]:
    """The tasks' results in their order. An error comes at the place of its task.

    Closing the iterator drops what has not begun and waits for what has.
    """
    iterator = iter(tasks)
    first = list(islice(iterator, 2))
    if len(first) < 2 or WORKERS == 1 or getattr(_inside, "worker", False):
        for task in chain(first, iterator):
            run.check()
            yield task()
        return
    yield from _pooled(chain(first, iterator), run)


def _pooled(tasks: Iterator[Callable[[], T]], run: Run) -> Iterator[T]:
    about_to_wait()
    pool = _pool()
    ahead: deque[Future[T]] = deque()
    try:
        for task in islice(tasks, LOOK_AHEAD):
            ahead.append(pool.submit(_work, task, run))
        while ahead:
            result = ahead.popleft().result()
            run.check()
            for task in islice(tasks, 1):
                ahead.append(pool.submit(_work, task, run))
            yield result
    finally:
        begun = [future for future in ahead if not future.cancel()]
        for future in begun:
            future.exception()


def _work(task: Callable[[], T], run: Run) -> T:
    run.check()
    return task()


def in_turn(tasks: Iterable[Callable[[], T]], run: Run) -> Iterator[T]:
    """`ordered` for tasks that are short and many: workers take them from one queue, without a way to the
    pool and back for each, and do not stand still where the consumer takes its time.

    So MOST_AHEAD tasks are begun before the first result is taken.
    """
    iterator = iter(tasks)
    first = list(islice(iterator, 2))
    if len(first) < 2 or WORKERS == 1 or on_worker():
        yield from ordered(chain(first, iterator), run)
        return
    about_to_wait()
    queue = _Queue()
    ahead: deque[Future[T]] = deque()
    try:
        for task in chain(first, iterator):
            ahead.append(queue.add(partial(_work, task, run)))
            if len(ahead) == MOST_AHEAD:
                result = ahead.popleft().result()
                run.check()
                yield result
        while ahead:
            result = ahead.popleft().result()
            run.check()
            yield result
    finally:
        begun = [future for future in ahead if not future.cancel()]
        for future in begun:
            future.exception()


class _Queue:
    """Tasks that workers take in turn; each for a while only, as other statements want them, too."""

    def __init__(self) -> None:
        self._tasks: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._workers = 0

    def add(self, task: Callable[[], T]) -> Future[T]:
        """Put a task at the end; its result."""
        future: Future[T] = Future()
        with self._lock:
            self._tasks.append((task, future))
            missing = self._workers < WORKERS
            self._workers += missing
        if missing:
            _pool().submit(self._take)
        return future

    def _take(self) -> None:
        end = time.perf_counter() + _TURN
        while True:
            with self._lock:
                if not self._tasks:
                    self._workers -= 1
                    return
                task, future = self._tasks.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except BaseException as error:
                    future.set_exception(error)
            del task, future
            if time.perf_counter() > end:
                _pool().submit(self._take)
                return


def _pool() -> ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(WORKERS, "morsel", initializer=_mark)
        return _executor


def on_worker() -> bool:
    """Whether this thread is a worker, which waits for nothing."""
    return bool(getattr(_inside, "worker", False))


def _mark() -> None:
    _inside.worker = True


class Ahead:
    """Tasks that are begun one by one, their results taken in order: for who gets work in pieces.

    On a worker, on one core, and where `inline` says so, tasks run at once.
    """

    def __init__(self, *, inline: bool = False) -> None:
        self._futures: deque[Future[Any]] = deque()
        self._inline = inline or WORKERS == 1 or getattr(_inside, "worker", False)

    @property
    def full(self) -> bool:
        """Whether enough has been begun: take a result first."""
        return len(self._futures) >= LOOK_AHEAD

    def begin(self, task: Callable[[], Any]) -> None:
        """Have the task run."""
        if not self._inline:
            self._futures.append(_pool().submit(task))
            return
        future: Future[Any] = Future()
        try:
            future.set_result(task())
        except Exception as error:
            future.set_exception(error)
        self._futures.append(future)

    def take(self) -> Any:
        """The oldest task's result. Raises what it raised."""
        return self._futures.popleft().result()
