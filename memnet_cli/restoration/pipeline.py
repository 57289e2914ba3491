"""Threads before and behind one slow step: reading ahead of it, writing behind it.

The slow step itself stays in the thread of whoever takes the results: there a model runs as it
does without threads, and Ctrl-C reaches it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How long the end waits for a reader: one that hangs, as on a lost network drive, is left behind.
_LEAVE_AFTER_SECONDS = 5.0
#: Share of the time that a batch took to come for which its results are waited for, so that they
#: are told at once where the slow step is slow, and cost it no more than this.
_WAITED_SHARE = 0.01


@dataclass(frozen=True)
class Bound:
    """How much may be in work or wait at once.

    An item that is heavier by itself is worked on while its result is waited for and nothing else
    is in work or waits.

    Attributes:
        count: number of items.
        weight: their sum.
    """

    count: int
    weight: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a bound of {self.count} items lets nothing through")

    def has_room(self, count: int, weight: int, more: int) -> bool:
        """Say whether an item that weighs ``more`` goes in beside ``count`` of ``weight``."""
        return count < self.count and weight + more <= self.weight


def read_ahead(
    items: Iterable[Item],
    function: Callable[[Item], Result],
    *,
    threads: int,
    weigh: Callable[[Item], int],
    bound: Bound,
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` in the order of the items, worked on in threads ahead of need.

    Work starts with the first result that is asked for. Closing the generator stops the threads:
    each finishes the item that it is at.

    Args:
        items: quick to iterate over.
        function: run in threads; what it raises is raised here, in its turn, and ends the rest.
        threads: how many.
        weigh: what an item will weigh until its result is taken; run in threads.
        bound: of items being worked on or waiting to be taken.
    """
    ahead = _Ahead(items, function, weigh, bound)
    # daemons: a generator that is never closed must not keep the interpreter from ending
    workers = [
        threading.Thread(target=ahead.work, name=f"read-ahead-{number}", daemon=True)
        for number in range(threads)
    ]
    try:
        for worker in workers:
            worker.start()
        while ahead.wait_for_next():
            yield ahead.take()
    finally:
        ahead.stop()
        for worker in workers:
            if worker.ident is not None:
                worker.join(_LEAVE_AFTER_SECONDS)


class _Ahead(Generic[Item, Result]):
    """What the threads of ``read_ahead`` and the taker of its results share."""

    def __init__(
        self,
        items: Iterable[Item],
        function: Callable[[Item], Result],
        weigh: Callable[[Item], int],
        bound: Bound,
    ) -> None:
        self._items = iter(items)
        self._function = function
        self._weigh = weigh
        self._bound = bound
        self._turn = threading.Lock()  # who has it lets in the next item
        self._changed = threading.Condition()  # guards all below
        self._queue: deque[tuple[Future[Result], int]] = deque()
        self._weight = 0
        self._waited_for = False
        self._ended = False

    def work(self) -> None:
        """Work on items until they end or ``stop``."""
        while (admitted := self._admit()) is not None:
            item, future = admitted
            try:
                future.set_result(self._function(item))
            except BaseException as error:
                future.set_exception(error)
            del admitted, item, future  # a thread that waits for room holds nothing

    def wait_for_next(self) -> bool:
        """Wait until there is a result to take, maybe still in work; False after the last."""
        with self._changed:
            self._waited_for = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._queue or self._ended)
            self._waited_for = False
            return bool(self._queue)

    def take(self) -> Result:
        """Return the next result, or raise what its function raised."""
        future = self._queue[0][0]
        result = future.result()
        with self._changed:
            self._weight -= self._queue.popleft()[1]
            self._changed.notify_all()
        return result

    def stop(self) -> None:
        """Let no further item in."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _admit(self) -> tuple[Item, Future[Result]] | None:
        """Wait for room and let the next item in; None at the end."""
        future: Future[Result] = Future()
        with self._turn:
            try:
                for item in self._items:
                    return (item, future) if self._enqueue(future, self._weigh(item)) else None
            except BaseException as error:
                future.set_exception(error)
                self._enqueue(future, 0)
            self.stop()
            return None

    def _enqueue(self, future: Future[Result], weight: int) -> bool:
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._ended
                    or self._bound.has_room(len(self._queue), self._weight, weight)
                    or (self._waited_for and not self._queue)
                )
            )
            if self._ended:
                return False
            self._queue.append((future, weight))
            self._weight += weight
            self._changed.notify_all()
            return True


def write_behind(
    batches: Iterable[Sequence[Item]],
    function: Callable[[Item], Result],
    *,
    threads: int,
    weigh: Callable[[Item], int],
    bound: Bound,
    untold: list[Result] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` of all items in order, run in threads while the next batch is made.

    Closing the generator, or an error from ``batches``, drops the items that no thread has begun
    and waits for those begun.

    Args:
        batches: iterated over here, in the thread that takes the results: the slow step.
        function: run in threads; what it raises is raised here, in its turn, and ends the rest.
        threads: how many.
        weigh: what an item weighs until its result is there.
        bound: of items beside the newest batch.
        untold: given the results that were there by such an end and not yet yielded.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="write-behind")
    behind = _Behind(pool, function, weigh, bound)
    source = iter(batches)
    try:
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            if batch is None:
                break
            patience = _WAITED_SHARE * (time.perf_counter() - start)
            yield from behind.add(batch)
            del batch  # the next one is made without this one in memory
            yield from behind.finished(patience)
        yield from behind.all()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if untold is not None:
            untold.extend(behind.ended())


class _Behind(Generic[Item, Result]):
    """The items of ``write_behind`` that are in work or wait for it."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        function: Callable[[Item], Result],
        weigh: Callable[[Item], int],
        bound: Bound,
    ) -> None:
        self._pool = pool
        self._function = function
        self._weigh = weigh
        self._bound = bound
        self._queue: deque[tuple[Future[Result], int]] = deque()
        self._weight = 0

    def add(self, batch: Sequence[Item]) -> Iterator[Result]:
        """Put a batch to work, and yield the results that had to be waited for to make room."""
        for item in batch:
            weight = self._weigh(item)
            while self._queue and not self._bound.has_room(len(self._queue), self._weight, weight):
                yield self._take()
            self._queue.append((self._pool.submit(self._function, item), weight))
            self._weight += weight

    def finished(self, patience: float) -> Iterator[Result]:
        """Yield the results that are there after at most ``patience`` seconds.

        What is heavier than the bound is waited for, however long it takes.
        """
        while self._weight > self._bound.weight:
            yield self._take()
        wait([future for future, _ in self._queue], timeout=patience)
        while self._queue and self._queue[0][0].done():
            yield self._take()

    def all(self) -> Iterator[Result]:
        """Yield all results that are left."""
        while self._queue:
            yield self._take()

    def ended(self) -> Iterator[Result]:
        """Yield the results that are there, leaving out what was dropped or has failed."""
        for future, _ in self._queue:
            if future.done() and not future.cancelled() and future.exception() is None:
                yield future.result()

    def _take(self) -> Result:
        # it stays in the queue while it is waited for, where ``ended`` finds it after a signal
        result = self._queue[0][0].result()
        self._weight -= self._queue.popleft()[1]
        return result
