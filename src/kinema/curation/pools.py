"""Run work over many items in this process or in several; ray_pool.py does so on Ray. The results come in any order.

A PoolWork is opened once per process and called with an item. Its errors are results; a process that dies (a decoder
that crashes) costs one item, whose result says so, and is replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from ..core.errors import KinemaError, error_from_dict

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread per worker: the same sums whatever their number."""
JOIN_S = 5.0


class PoolWork(Protocol):
    """A picklable function of an item."""

    def open(self) -> None:
        """Load models. Raises KinemaError."""

    def __call__(self, item: Any, /) -> Any: ...

    def failed(self, item: Any, why: str, /) -> Any:
        """The result of an item on which a worker died."""


class Pool(Protocol):
    """Runs work over items."""

    def run(self, work: PoolWork, items: Iterable[Any]) -> Iterator[Any]:
        """Yield a result per item. Items are taken as workers become free. Raises KinemaError if work cannot open."""


class Here:
    """Work in this process."""

    def run(self, work: PoolWork, items: Iterable[Any]) -> Iterator[Any]:
        import cv2

        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            work.open()
            for item in items:
                yield result_of(work, item)
        finally:
            cv2.setNumThreads(threads)


class Processes:
    """Work in several processes of this machine."""

    def __init__(self, num: int) -> None:
        self.num = num

    def run(self, work: PoolWork, items: Iterable[Any]) -> Iterator[Any]:
        waiting = iter(items)
        workers: dict[Connection, _Worker] = {}
        try:
            for item in waiting:
                _start(work, workers).give(item)
                if len(workers) == self.num:
                    break
            while workers:
                for line in wait(list(workers)):
                    worker = workers.pop(line)  # type: ignore[call-overload]
                    result, alive = worker.take(work)
                    for item in waiting:
                        if alive:
                            workers[worker.line] = worker
                        else:
                            worker = _start(work, workers)
                        worker.give(item)
                        break
                    else:
                        worker.stop()
                    yield result
        finally:
            for worker in workers.values():
                worker.kill()


class _Worker:
    """A process that works on one item at a time."""

    def __init__(self, work: PoolWork) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, work), daemon=True)
        with _one_thread():
            self.process.start()
        other.close()
        self.item: Any = None

    def give(self, item: Any) -> None:
        self.item = item
        with contextlib.suppress(OSError):  # it has died: take() finds out
            self.line.send(item)

    def take(self, work: PoolWork) -> tuple[Any, bool]:
        """The result, and whether the process still runs."""
        try:
            found = self.line.recv()
        except (EOFError, OSError):
            self.process.join(JOIN_S)
            code = self.process.exitcode or 0
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            return work.failed(self.item, f"the worker process died ({why})"), False
        if "error" in found:
            raise error_from_dict(found["error"], found["error"]["message"])
        return found["result"], True

    def stop(self) -> None:
        self.line.close()
        self.process.join(JOIN_S)
        self.kill()

    def kill(self) -> None:
        self.line.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join(JOIN_S)


def _start(work: PoolWork, workers: dict[Connection, _Worker]) -> _Worker:
    worker = _Worker(work)
    workers[worker.line] = worker
    return worker


def _serve(line: Connection, work: PoolWork) -> None:
    """The main function of a worker. It ends when the other end of the line is closed, also by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    with contextlib.suppress(EOFError, OSError):
        import cv2

        cv2.setNumThreads(1)
        item = line.recv()
        try:
            work.open()
        except KinemaError as error:
            line.send({"error": error.to_dict()})
            return
        while True:
            line.send({"result": result_of(work, item)})
            item = line.recv()


def result_of(work: PoolWork, item: Any) -> Any:
    try:
        return work(item)
    except (Exception, MemoryError) as error:  # one item never stops the others
        return work.failed(item, f"unexpected {type(error).__name__}: {error}")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The environment of a process that is started inside the block."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
