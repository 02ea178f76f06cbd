"""Batches that threads make in advance, while the caller is busy with the ones before."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cifar.workload.generator import DataGenerator

    Batch = tuple[NDArray[Any], NDArray[Any]]
    Portion = list[Batch]

MOST_THREADS = 8
"""Threads take turns in Python: 2 on 2 cores make 1.7 times as many batches as 1.

More cores were not tried."""
_PORTIONS_A_THREAD = 2
"""How many portions are made in advance; 3 and 4 a thread are as fast."""


def ahead(batches: DataGenerator, count: int | None = None, threads: int = 2) -> Iterator[Batch]:
    """Give the first `count` batches of this epoch (None: all) in order, made in advance.

    They are made by `threads` threads, but by no more than 8, nor than there is work for. The
    caller's own is one of them: it makes batches whenever the next one is not ready. With
    `threads=1` another thread makes them all, and the caller only waits. NumPy lets other threads
    run while it gathers and scales.

    Work is shared out in portions (`DataGenerator.portion`): a batch, or several small ones. At
    most two portions a thread are made in advance.

    What making a portion raises is raised in its place. Raises ValueError for no thread, and for
    more batches than an epoch has.
    """
    if threads < 1:
        message = f"{threads} threads were asked for; give 1 or more"
        raise ValueError(message)
    total = len(batches) if count is None else count
    if total > len(batches):
        message = f"{total} batches were asked for; an epoch has {len(batches)}"
        raise ValueError(message)
    workers = _Workers(batches, _portions(total, batches.portion), threads)
    try:
        for portion in workers.results():
            portion.reverse()
            while portion:
                # Out of the list, so that its memory is free as soon as the caller is done with it.
                yield portion.pop()
    finally:
        workers.stop()


def _portions(total: int, size: int) -> list[range]:
    """The batches from 0 to `total`, `size` of them in each portion but for the last."""
    return [range(first, min(first + size, total)) for first in range(0, total, size)]


class _Workers:
    """Threads that make portions of batches in order, and the caller's thread, which helps them.

    A caller that only waits for as many threads as there are cores makes them a seventh slower on
    two cores. Each portion has a queue for its result, and one queue holds the numbers of portions
    that are wanted next; with futures, whose locks cost much, it has three quarters of the speed.
    """

    def __init__(self, batches: DataGenerator, portions: list[range], threads: int) -> None:
        threads = min(threads, MOST_THREADS, len(portions))
        self._batches = batches
        self._portions = portions
        self._caller_helps = threads > 1
        self._results: list[SimpleQueue[Portion | Exception]] = [SimpleQueue() for _ in portions]
        self._wanted: SimpleQueue[int | None] = SimpleQueue()
        self._unasked = iter(range(len(portions)))
        for _ in range(_PORTIONS_A_THREAD * threads):
            self._ask_for_another()
        others = max(1, threads - 1)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(others)]
        for thread in self._threads:
            thread.start()

    def results(self) -> Iterator[Portion]:
        """Give each portion in order; raise what making it has raised."""
        for queue in self._results:
            if self._caller_helps:
                self._help_until_there(queue)
            result = queue.get()
            if isinstance(result, Exception):
                raise result
            self._ask_for_another()
            yield result

    def stop(self) -> None:
        """End the threads: each finishes the portion that it makes, and begins no other."""
        while self._next_wanted() is not None:
            pass
        for _ in self._threads:
            self._wanted.put(None)
        for thread in self._threads:
            thread.join()

    def _help_until_there(self, queue: SimpleQueue[Portion | Exception]) -> None:
        """Make portions in the caller's thread until the queue has a result, or none is wanted."""
        while queue.empty():
            number = self._next_wanted()
            if number is None:
                return
            self._make(number)

    def _ask_for_another(self) -> None:
        """Put the next portion on the list of those that are wanted, if there is one left."""
        number = next(self._unasked, None)
        if number is not None:
            self._wanted.put(number)

    def _next_wanted(self) -> int | None:
        """Take the number of a portion that is wanted and not begun; None where there is none."""
        try:
            return self._wanted.get_nowait()
        except Empty:
            return None

    def _work(self) -> None:
        """Make portions until there is a None among the wanted ones: what each thread does."""
        while True:
            number = self._wanted.get()
            if number is None:
                return
            self._make(number)

    def _make(self, number: int) -> None:
        """Make a portion and put it, or the error, into its queue."""
        queue = self._results[number]
        try:
            queue.put(self._batches.together(self._portions[number]))
        except Exception as error:  # noqa: BLE001 none is hidden: `results` raises it
            queue.put(error)
