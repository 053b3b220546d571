"""Conditions of several statements that are answered in one pass over codes.

A statement that is about to ask all rows of some cells leaves a request with the codes. Whoever comes to
these cells first takes the requests of all and reads the signs once for them: at 1024 dimensions two threads
that ask codes beyond the cache answer 150 million rows/s one query at a time, 300 to 670 million by two or
four together. A worker waits for nobody: who finds that another has taken his request goes on, and its answer
is waited for where waiting is allowed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from storage.codes.codes import Codes
from storage.codes.metric import Metric, Question
from storage.codes.search import Verdict, decide_together
from storage.predicate import Comparison
from storage.waiting import about_to_wait

_MOST = 16
"""Requests that share a pass: a task of 2^17 rows takes some milliseconds then."""
_PAUSE = 0.05  # seconds between two looks at whether who waits is to end

Key = tuple[int, int, Metric]

_lock = threading.Lock()


class Request:
    """`score op threshold` asked of all rows of some cells, as Codes.decide is."""

    __slots__ = ("_answer", "_cells", "_codes", "_ended", "_error", "_taken", "op", "question", "threshold")

    def __init__(
        self, codes: Codes, question: Question, op: Comparison, threshold: float, cells: range
    ) -> None:
        """It can be taken by others from now on, until it is withdrawn."""
        self.question, self.op, self.threshold = question, op, threshold
        self._codes, self._cells = codes, cells
        self._answer: Verdict | None = None
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._taken = False
        with _lock:
            _waiting(codes).setdefault(self._key, []).append(self)

    @property
    def _key(self) -> Key:
        return self._cells.start, self._cells.stop, self.question.metric

    def work(self) -> None:
        """Answer it, and those that wait for the same cells, unless somebody does so already."""
        with _lock:
            if self._taken:
                return
            waiting = _waiting(self._codes)[self._key]
            waiting.remove(self)
            mine = [self, *waiting[: _MOST - 1]]
            del waiting[: _MOST - 1]
            for request in mine:
                request._taken = True
        try:
            asked = [(request.question, request.op, request.threshold) for request in mine]
            answers = decide_together(self._codes, asked, self._cells)
            for request, answer in zip(mine, answers, strict=True):
                request._answer = answer
        except Exception as error:
            for request in mine:
                request._error = error
        finally:
            for request in mine:
                request._ended.set()

    @property
    def ended(self) -> bool:
        """Whether `answer` would not wait."""
        return self._ended.is_set()

    def answer(self, check: Callable[[], None]) -> Verdict:
        """The verdict, once it is there, after `work` has been called.

        Raises what finding it raised, and what `check` raises, which is called now and then.
        """
        if not self.ended:
            about_to_wait()
        while not self._ended.wait(_PAUSE):
            check()
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer

    def withdraw(self) -> None:
        """Nobody wants the answer, now or later."""
        with _lock:
            if not self._taken:
                self._taken = True
                _waiting(self._codes)[self._key].remove(self)


def _waiting(codes: Codes) -> dict[Key, list[Request]]:
    """The requests that nobody has taken, by cells and metric."""
    found: dict[Key, list[Request]] = codes.__dict__.setdefault("_requests", {})
    return found
