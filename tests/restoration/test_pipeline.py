from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pytest

from memnet_cli.restoration import pipeline
from memnet_cli.restoration.pipeline import Bound, read_ahead, write_behind

WIDE = Bound(1000, 1000)
PATIENCE = 10.0

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def one(_item: object) -> int:
    return 1


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@dataclass
class Load:
    """What is in work or waits: put in by the threads, taken out by the test."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0
    weight: int = 0
    most_count: int = 0
    most_weight: int = 0

    def put(self, item: int) -> int:
        with self.lock:
            self.count += 1
            self.weight += item
            self.most_count = max(self.most_count, self.count)
            self.most_weight = max(self.most_weight, self.weight)
        return item

    def take(self, item: int) -> None:
        with self.lock:
            self.count -= 1
            self.weight -= item


def jittered_square(item: int) -> int:
    time.sleep(0.001 * (item * 7 % 5))
    return item * item


def failing_at(bad: int) -> Callable[[int], int]:
    def function(item: int) -> int:
        if item == bad:
            raise ZeroDivisionError(str(item))
        return item

    return function


class TestReadAhead:
    @pytest.mark.parametrize("threads", [1, 2, 5])
    @pytest.mark.parametrize("bound", [Bound(1, 0), Bound(3, 2), WIDE])
    def test_is_map(self, threads: int, bound: Bound) -> None:
        got = read_ahead(range(40), jittered_square, threads=threads, weigh=one, bound=bound)
        assert list(got) == [item * item for item in range(40)]

    def test_nothing_to_read(self) -> None:
        assert list(read_ahead([], jittered_square, threads=2, weigh=one, bound=WIDE)) == []

    def test_goes_on_while_nothing_is_taken(self) -> None:
        seen: list[int] = []
        with closing(
            read_ahead(range(20), seen.append, threads=2, weigh=one, bound=Bound(5, 99))
        ) as results:
            next(results)
            # the one that was taken, and as many as may wait
            assert eventually(lambda: len(seen) == 6)
            time.sleep(0.05)
            assert len(seen) == 6

    def test_bounds_hold(self) -> None:
        rng = np.random.default_rng(3)
        weights = [int(weight) for weight in rng.integers(1, 12, 150)]
        weights[20] = weights[21] = 50
        load = Load()
        results = read_ahead(weights, load.put, threads=4, weigh=int, bound=Bound(6, 30))
        for expected, item in zip(weights, results, strict=True):
            assert item == expected
            load.take(item)
        # the newest result counts here until a moment after it was taken there; one that is
        # heavier than the bound is let in alone
        assert load.most_count <= 7
        assert load.most_weight == 50

    def test_what_is_too_heavy_is_not_begun_ahead(self) -> None:
        begun: list[int] = []
        with closing(
            read_ahead([1, 1, 99, 1], begun.append, threads=2, weigh=int, bound=Bound(9, 9))
        ) as results:
            next(results)
            next(results)
            time.sleep(0.05)
            assert begun == [1, 1]
            next(results)
            assert eventually(lambda: begun == [1, 1, 99, 1])

    def test_failure_comes_in_its_turn_and_ends_it(self) -> None:
        results = read_ahead(range(50), failing_at(7), threads=3, weigh=one, bound=WIDE)
        got: list[int] = []
        with pytest.raises(ZeroDivisionError, match="7"):
            for item in results:
                got.append(item)
        assert got == list(range(7))
        assert list(results) == []

    def test_items_or_weights_that_fail(self) -> None:
        def items() -> Iterator[int]:
            yield 1
            yield 2
            raise LookupError("no more")

        results = read_ahead(items(), abs, threads=2, weigh=one, bound=WIDE)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(LookupError, match="no more"):
            next(results)
        weighed = read_ahead(range(9), abs, threads=2, weigh=failing_at(1), bound=WIDE)
        assert next(weighed) == 0
        with pytest.raises(ZeroDivisionError):
            next(weighed)

    def test_close_begins_no_more(self) -> None:
        seen: list[int] = []
        results = read_ahead(range(1000), seen.append, threads=2, weigh=one, bound=Bound(4, 9))
        next(results)
        results.close()
        count = len(seen)
        assert count <= 5
        time.sleep(0.05)
        assert len(seen) == count

    def test_dropped_without_close(self) -> None:
        results = read_ahead(range(1000), abs, threads=2, weigh=one, bound=Bound(4, 9))
        assert next(results) == 0
        del results

    def test_a_reader_that_hangs_is_left_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "_LEAVE_AFTER_SECONDS", 0.05)
        release = threading.Event()

        def read(item: int) -> int:
            if item == 1:
                release.wait(PATIENCE)
            return item

        results = read_ahead(range(9), read, threads=1, weigh=one, bound=WIDE)
        assert next(results) == 0
        start = time.perf_counter()
        results.close()
        assert time.perf_counter() - start < 2
        release.set()


class TestWriteBehind:
    @pytest.mark.parametrize("threads", [1, 3])
    @pytest.mark.parametrize("bound", [Bound(1, 0), Bound(3, 2), WIDE])
    def test_is_map(self, threads: int, bound: Bound) -> None:
        batches = [range(5), range(5, 6), range(6, 6), range(6, 30)]
        got = write_behind(batches, jittered_square, threads=threads, weigh=one, bound=bound)
        assert list(got) == [item * item for item in range(30)]

    def test_batches_are_made_by_the_taker_while_the_last_is_written(self) -> None:
        made_second = threading.Event()
        makers: list[threading.Thread] = []

        def batches() -> Iterator[Sequence[int]]:
            makers.append(threading.current_thread())
            yield [1]
            makers.append(threading.current_thread())
            made_second.set()
            yield [2]

        def write(item: int) -> bool:
            # the first cannot be written before the second is made
            return made_second.wait(PATIENCE)

        assert list(write_behind(batches(), write, threads=1, weigh=one, bound=WIDE)) == [True] * 2
        assert makers == [threading.current_thread()] * 2

    def test_told_at_once_behind_a_slow_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "_WAITED_SHARE", 100.0)
        begun: list[int] = []

        def batches() -> Iterator[Sequence[int]]:
            for item in range(4):
                begun.append(item)
                time.sleep(0.02)
                yield [item]

        def write(item: int) -> int:
            time.sleep(0.02)
            return item

        for result in write_behind(batches(), write, threads=1, weigh=one, bound=WIDE):
            assert begun[-1] == result

    def test_bounds_hold(self) -> None:
        load = Load()
        batches = [[3, 9, 4], [40], [2] * 20, [5, 5, 5, 5]]

        def write(item: int) -> int:
            time.sleep(0.002)
            return item

        results = write_behind(batches, write, threads=2, weigh=load.put, bound=Bound(4, 12))
        for expected, item in zip(
            (item for batch in batches for item in batch), results, strict=True
        ):
            assert item == expected
            load.take(item)
        # one more is weighed before it waits for room
        assert load.most_count <= 5
        assert load.most_weight <= 40 + 12

    def test_the_next_batch_waits_for_what_is_too_heavy(self) -> None:
        written: list[int] = []

        def batches() -> Iterator[Sequence[int]]:
            yield [3, 99]
            assert 99 in written
            yield [4]

        def write(item: int) -> None:
            time.sleep(0.02)
            written.append(item)

        list(write_behind(batches(), write, threads=1, weigh=int, bound=Bound(9, 9)))
        assert written == [3, 99, 4]

    def test_failure_comes_in_its_turn_and_ends_it(self) -> None:
        results = write_behind(
            [range(5), range(5, 30)], failing_at(3), threads=2, weigh=one, bound=WIDE
        )
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == []

    def test_batches_that_fail(self) -> None:
        written: list[int] = []

        def batches() -> Iterator[Sequence[int]]:
            yield [1]
            raise LookupError("the model is gone")

        with pytest.raises(LookupError):
            list(write_behind(batches(), written.append, threads=1, weigh=one, bound=WIDE))

    def test_close_waits_for_what_is_begun_and_drops_the_rest(self) -> None:
        begun: list[int] = []
        ended: list[int] = []

        def write(item: int) -> int:
            begun.append(item)
            time.sleep(0.05)
            ended.append(item)
            return item

        results = write_behind([range(20)], write, threads=2, weigh=one, bound=WIDE)
        assert next(results) == 0
        results.close()
        assert sorted(begun) == sorted(ended)
        assert 1 <= len(ended) < 20

    def test_an_end_tells_what_was_done_and_not_yielded(self) -> None:
        untold: list[int] = []

        def batches() -> Iterator[Sequence[int]]:
            yield range(4)
            eventually(lambda: len(written) == 4)
            raise KeyboardInterrupt

        written: list[int] = []

        def write(item: int) -> int:
            time.sleep(0.02)  # longer than is waited for
            written.append(item)
            return -item

        told = []
        with pytest.raises(KeyboardInterrupt):
            for result in write_behind(
                batches(), write, threads=1, weigh=one, bound=WIDE, untold=untold
            ):
                told.append(result)
        assert told + untold == [0, -1, -2, -3]
        assert untold

    def test_an_end_while_a_result_is_waited_for(self) -> None:
        untold: list[int] = []
        begun = threading.Event()

        def write(item: int) -> int:
            begun.set()
            time.sleep(0.3)
            return item

        def interrupt() -> None:
            begun.wait(5)
            time.sleep(0.1)  # until the other thread waits for it
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            list(write_behind([[1, 2]], write, threads=1, weigh=one, bound=WIDE, untold=untold))
        thread.join()
        assert untold == [1]


def test_a_bound_lets_something_through() -> None:
    with pytest.raises(ValueError, match="0 items"):
        Bound(0, 5)
