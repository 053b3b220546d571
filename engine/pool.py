"""The worker pool: one thread a core, shared by every statement, and `ordered` to use it.

Workers only compute: they wait for no lock, no socket and no other task. So a task that itself asks for
tasks (a plan inside an expression) runs those at once on its own thread, and whatever may wait (nextval,
pg_sleep, the log) is kept off the pool by `engine.parallel.pool_safe`.

`ordered` gives results in the order of the tasks, with a bounded number of them ahead of the consumer,
so that a slow consumer stops the work and an early close drops it. Workers take a run's tasks from one queue
in turn; that one of them has ended is told the consumer only if it has something to do then.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, Generic, TypeVar, cast

from engine.run import Run
from storage.waiting import about_to_wait

T = TypeVar("T")

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Tasks begun ahead of the consumer: enough that no worker idles while one batch is taken away.
LOOK_AHEAD = 2 * WORKERS + 1
FAR_AHEAD, MOST_AHEAD = 4 * WORKERS, 16 * WORKERS
"""The same of short tasks, whose results are few or None; and of those that hold no rows, either."""
_TURN = 0.01  # seconds that a worker takes tasks of one statement before it looks at those of others

_inside = threading.local()
_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None


def ordered(tasks: Iterable[Callable[[], T]], run: Run, ahead: int = LOOK_AHEAD) -> Iterator[T]:
    """The tasks' results in their order. An error comes at the place of its task.

    So many tasks are begun `ahead` of the result that is taken: the more, the shorter they are, lest workers
    stand still where the consumer takes its time. It is not woken for each None. Closing the iterator drops
    what has not begun and waits for what has.
    """
    iterator = iter(tasks)
    first = list(islice(iterator, 2))
    if len(first) < 2 or WORKERS == 1 or on_worker():
        for task in chain(first, iterator):
            run.check()
            yield task()
        return
    about_to_wait()
    queue: _Queue[T] = _Queue(run, ahead)
    try:
        rest = chain(first, iterator)
        while True:
            queue.fill(rest)
            taken = queue.take()
            if not taken:
                return
            run.check()
            for result in taken:
                if result.error is not None:
                    raise result.taken_error()
                yield cast(T, result.value)
    finally:
        queue.close()


class _Result:
    """What came of a task."""

    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def taken_error(self) -> BaseException:
        """The error, which is the caller's now: it knows the frames it went through, and they this result."""
        error, self.error = self.error, None
        assert error is not None
        return error

    @property
    def quiet(self) -> bool:
        """Whether nobody is in a hurry for it."""
        return self.value is None and self.error is None


class _Queue(Generic[T]):
    """Tasks that workers take in turn; each for a while only, as other statements want them, too.

    There is one lock, and one wake-up of the consumer for all that it can then take: a task must not cost
    several ways between threads, each of which waits for the interpreter.
    """

    def __init__(self, run: Run, ahead: int) -> None:
        """Of `ahead` tasks at most whose results are not taken."""
        self._run: Run | None = run  # until it is closed: workers that come too late hold no snapshot
        self._ahead = ahead
        self._lock = threading.Lock()
        self._tasks: deque[tuple[Callable[[], T], _Result]] = deque()
        self._results: deque[_Result] = deque()  # not taken yet, in the order of their tasks
        self._quiet = 0  # of them so many at the front are done and None
        self._workers = self._running = 0
        self._more = True  # whether there may be tasks that are not among these
        self._asleep = False
        self._over: Callable[[], bool] | None = None
        self._wake = threading.Lock()
        self._wake.acquire()

    def fill(self, tasks: Iterator[Callable[[], T]]) -> None:
        """Take tasks in. On the consumer's thread, as `take` and `close` are."""
        while self._more and len(self._results) < self._ahead:
            task = next(tasks, None)
            if task is None:
                self._more = False
                return
            with self._lock:
                result = _Result()
                self._results.append(result)
                self._tasks.append((task, result))
            self._hire()

    def take(self) -> list[_Result]:
        """Wait for results, in the order of the tasks: some that are None, or one more at their end.

        None at all where there are no more tasks.
        """
        self._sleep(self._has_news)
        taken: list[_Result] = []
        with self._lock:
            while self._results and self._results[0].done and (not taken or taken[-1].quiet):
                taken.append(self._results.popleft())
            self._quiet = 0
        return taken

    def close(self) -> None:
        """Drop what has not begun, wait for what has."""
        with self._lock:
            self._tasks.clear()
        self._sleep(lambda: not self._running)
        self._run = None

    def _hire(self) -> None:
        """Have as many workers as there is work for."""
        with self._lock:
            wanted = min(WORKERS - self._workers, len(self._tasks))
            self._workers += wanted
        for _ in range(wanted):
            _pool().submit(self._work)

    def _sleep(self, over: Callable[[], bool]) -> None:
        """Until it is over, as is looked at whenever a task has come to its end."""
        while True:
            with self._lock:
                if over():
                    self._over = None  # it knows this queue, which would outlive its statement
                    return
                self._over, self._asleep = over, True
            self._wake.acquire()

    def _has_news(self) -> bool:
        """Whether the consumer has something to do: with a result, or tasks to take in."""
        results = self._results
        while self._quiet < len(results) and results[self._quiet].done and results[self._quiet].quiet:
            self._quiet += 1
        if self._quiet == len(results):
            return True
        return results[self._quiet].done or (self._more and 2 * self._quiet >= self._ahead)

    def _work(self) -> None:
        """Take tasks. On a worker."""
        end = time.perf_counter() + _TURN
        result: _Result | None = None
        while True:
            with self._lock:
                if result is not None:
                    self._done(result)
                if not self._tasks:
                    self._workers -= 1
                    return
                if result is not None and time.perf_counter() > end:
                    break
                task, result = self._tasks.popleft()
                self._running += 1
            try:
                assert self._run is not None
                self._run.check()
                result.value = task()
            except BaseException as error:
                result.error = error
            del task
        _pool().submit(self._work)

    def _done(self, result: _Result) -> None:
        """A task has come to its end."""
        result.done = True
        self._running -= 1
        if self._asleep and self._over is not None and self._over():
            self._asleep = False
            self._wake.release()


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
