"""Measure clips, in this process or in several: each clip is read once, for all yardsticks that lack its row.

Every process computes with one thread, so that the rows do not depend on the number of processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ...core.errors import KinemaError, MediaError, ModelError
from .contract import ClipFile, Row, Yardstick, YardstickSettings
from .read import read_clip
from .table import chosen

AHEAD = 2
"""Clips per process that are handed out before the first is done."""


@dataclass(frozen=True)
class MeasureTask:
    """A clip to measure by the yardsticks of these names. partner: for yardsticks of pairs."""

    file: ClipFile
    names: tuple[str, ...]
    partner: ClipFile | None = None


@dataclass(frozen=True)
class MeasuredRows:
    """Rows by yardstick; reasons by yardstick that could not measure the clip, or by "" if it could not be read. shape:
    frames that were read, height, width, fps."""

    rows: dict[str, Row]
    reasons: dict[str, str]
    shape: tuple[int, int, int, float] | None = None


def measured(
    tasks: Sequence[MeasureTask], yardsticks: Sequence[Yardstick], settings: YardstickSettings, workers: int
) -> Generator[tuple[int, MeasuredRows], None, None]:
    """Yield (number of the task, its rows), in the order in which they are done. Raises ModelError if a yardstick lacks
    its weights, or a process was killed."""
    if workers == 1 or len(tasks) < 2:
        by_name = {each.name: each for each in yardsticks}
        with one_thread():
            for number, task in enumerate(tasks):
                yield number, measure(task, by_name)
        return
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    names = [each.name for each in yardsticks]
    context = multiprocessing.get_context("spawn")
    with one_thread():  # the processes inherit the number of threads
        pool = ProcessPoolExecutor(min(workers, len(tasks)), context, partial(_start, names, settings))
        try:
            running: dict[Future[MeasuredRows], int] = {}
            left = iter(enumerate(tasks))
            while True:
                for number, task in left:
                    running[pool.submit(_run, task)] = number
                    if len(running) >= AHEAD * workers:
                        break
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    yield running.pop(each), each.result()
        except BrokenProcessPool:
            raise ModelError("A process was killed (out of memory?). Continue with --resume.") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def measure(task: MeasureTask, yardsticks: dict[str, Yardstick]) -> MeasuredRows:
    """Read a clip and measure it. A clip that cannot be read or measured is a reason, not an error; weights that are
    missing and settings that are not legal are errors, as they would be for every clip."""
    try:
        clip = read_clip(task.file, task.partner)
    except MediaError as error:
        return MeasuredRows({}, {"": reason_of(error, task.file)})
    rows: dict[str, Row] = {}
    reasons: dict[str, str] = {}
    for name in task.names:
        try:
            rows[name] = yardsticks[name].measure(clip)
        except MediaError as error:
            reasons[name] = reason_of(error, task.file)
        except (KinemaError, MemoryError):
            raise
        except Exception as error:  # a library's own error about this clip must not end the others
            reasons[name] = f"{type(error).__name__}: {error}"
    shape = clip.frames_FHWC.shape
    return MeasuredRows(rows, reasons, (shape[0], shape[1], shape[2], clip.fps))


def reason_of(error: KinemaError, file: ClipFile) -> str:
    """The message of an error without the path of the clip."""
    return str(error).removeprefix(f"{file.path}: ").removeprefix(f"{file.name}: ").removesuffix(".")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in this block, and in the processes that it starts."""
    before = os.environ.get("OMP_NUM_THREADS")
    threads = _torch_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, if the block is the first to import it
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
        if threads is not None:
            _torch_threads(threads)


def _torch_threads(count: int) -> int | None:
    """Set the threads of torch; returns the number before, None if it is not imported."""
    if (torch := sys.modules.get("torch")) is None:
        return None
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    return int(before)


_yardsticks: dict[str, Yardstick] = {}


def _start(names: Sequence[str], settings: YardstickSettings) -> None:
    """Initialize a process. The parent handles Ctrl-C; when it is killed, this process ends too."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if (parent := multiprocessing.parent_process()) is not None:
        end: Callable[[], None] = partial(_end_with, parent)
        threading.Thread(target=end, daemon=True).start()
    _yardsticks.update({each.name: each for each in chosen(names, settings)})


def _end_with(parent: object) -> None:
    parent.join()  # type: ignore[attr-defined]
    os._exit(1)


def _run(task: MeasureTask) -> MeasuredRows:
    return measure(task, _yardsticks)
