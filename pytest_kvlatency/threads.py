"""Threads that never keep the process from ending: what hangs in a request is left behind, not waited for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_kvlatency.errors import HIDDEN, KvLatencyError, again
from pytest_kvlatency.shortage import shortage, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.deadline import Deadline

    _Task = tuple[Future[Any], Callable[[], Any]]

T = TypeVar("T")
__tracebackhide__ = HIDDEN


def result_of(future: Future[T]) -> T:
    """As ``future.result()``, for a future that several wait for: each raises an error of its own.

    What comes of a limit of the machine is raised as that cause.
    """
    error = future.exception()
    if error is not None:
        lacking = None if isinstance(error, KvLatencyError) else shortage(error)
        raise lacking or again(error)
    return future.result()


def fulfil(future: Future[T], call: Callable[[], T]) -> None:
    """Have the future give, or raise, what ``call()`` does."""
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to who waits for the future
        future.set_exception(error)
    else:
        future.set_result(result)


class Threads:
    """Runs what is submitted, at most ``limit`` at once, in daemon threads.

    The standard library's executor joins its threads when the interpreter ends, so that one that waits for a
    server would delay the end by its whole time-out.

    Where the machine gives fewer threads, those that run come to everything; where it gives none at all, the one who
    submits something does it, unless ``keep_one`` was called.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[_Task] = deque()
        self._running = 0
        self._idle = 0
        self._closed = False

    def keep_one(self) -> None:
        """Have a thread from now to the end, whatever is submitted. Raises ``ConfigError`` where there is none."""
        with self._changed, told():
            self._start(is_lasting=True)

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Run ``function(*arguments)`` as soon as a thread is free.

        Raises ``RuntimeError`` once shut down. Not to be called with a lock in hand that ``function`` takes.
        """
        future: Future[T] = Future()
        task: _Task = (future, lambda: function(*arguments))
        with self._changed:
            if self._closed:
                raise RuntimeError(f"{self._name}: cannot start anything after the end")
            self._waiting.append(task)
            if len(self._waiting) <= self._idle:
                self._changed.notify()
                return future
            if self._running >= self._limit:
                return future
            if self._has_started() or self._running:
                return future
            self._waiting.remove(task)
        _do(*task)
        return future

    def _has_started(self) -> bool:
        """Start one thread more, if the machine gives one; the lock is held."""
        try:
            self._start()
        except RuntimeError:
            return False
        return True

    def _start(self, *, is_lasting: bool = False) -> None:
        """Have one thread more; the lock is held. Raises ``RuntimeError`` where the machine gives none."""
        thread = threading.Thread(target=self._work, args=(is_lasting,), name=self._name, daemon=True)
        self._running += 1
        try:
            thread.start()
        except RuntimeError:
            self._running -= 1
            raise

    def shut_down(self, wait_seconds: float) -> bool:
        """Begin nothing more, and wait so long for what runs; whether all of it has ended."""
        until = time.monotonic() + wait_seconds
        with self._changed:
            self._closed = True
            for future, _ in self._waiting:
                future.cancel()
            self._changed.notify_all()
            while self._running and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._running

    def _work(self, is_lasting: bool) -> None:  # noqa: FBT001 - a thread's argument
        while True:
            with self._changed:
                while is_lasting and not self._waiting and not self._closed:
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                if not self._waiting:
                    self._running -= 1
                    self._changed.notify_all()
                    return
                task = self._waiting.popleft()
            _do(*task)
            # Nothing of a finished task may live on in a waiting thread's frame.
            del task


class Slots:
    """So many places that can be taken at the same time. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._changed = threading.Condition()

    @contextmanager
    def taken(
        self, deadline: Deadline, what: str, *, on_wait: Callable[[], object] = lambda: None
    ) -> Iterator[None]:
        """Have a place inside, as soon as there is one; ``on_wait`` is called if that is not at once.

        Raises as ``Deadline.check``; ``what`` is what is waited for.
        """
        with self._changed:
            if not self._free:
                on_wait()
            while not self._free:
                deadline.check(what)
                self._changed.wait(min(0.2, deadline.remaining()))
            self._free -= 1
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify()


class Steward:
    """Runs tasks in the order in which they were put.

    An exception may strike the main thread between any two of its steps: that of a signal handler, as pytest-timeout
    has one. ``put`` is a single step, so a task is taken whole or not at all, and none is left half done.
    """

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Callable[[], object], Future[Any]] | None] = SimpleQueue()
        self._name = name

    def start(self) -> None:
        """Begin. Raises ``ConfigError`` where no thread can be had."""
        with told():
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def put(self, task: Callable[[], object], *, answer: Future[Any] | None = None) -> None:
        """Have ``task`` run. What it raises is set on ``answer``, which it sets itself when all goes well."""
        self._tasks.put((task, Future() if answer is None else answer))

    def ask(self, function: Callable[[], T]) -> Future[T]:
        """Have ``function`` run; what it gives or raises is in the future."""
        answer: Future[T] = Future()
        self.put(lambda: answer.set_result(function()), answer=answer)
        return answer

    def settle(self, seconds: float) -> None:
        """Wait at most so long until all that was put before has been done."""
        is_settled = threading.Event()
        self.put(is_settled.set)
        is_settled.wait(seconds)

    def end(self) -> None:
        """End the thread once it has done what was put."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (found := self._tasks.get()) is not None:
            task, answer = found
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the one who waits
                with contextlib.suppress(InvalidStateError):
                    answer.set_exception(error)
            # Nothing of a finished task may live on in a waiting thread's frame.
            del found, task, answer


def _do(future: Future[Any], call: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        fulfil(future, call)
