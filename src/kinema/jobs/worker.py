"""A worker: a process that runs the jobs of a store, one at a time, with its models loaded.

    python -m kinema.jobs.worker --database URL

It ends after SIGTERM, SIGINT, or the death of the process named by --parent; its job is then kept and returns to the
queue. After `kill -9` the next worker with its slot, or another one, requeues the job.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex

from ..core import lock
from ..core.errors import KinemaError, ModelError, RequestError
from ..weights.store import home
from .attempts import Worker, is_broken
from .claims import LOST_S
from .kinds import Kinds
from .pool import EnginePool
from .retention import Retention
from .store import JobStore

SLOT_S, PARENT_S = 20.0, 0.5
"""How long a new worker waits for its slot, which a dying one may still hold; seconds between looks at the parent."""
HANGING_S = 3600.0
"""A step of a large model on a CPU takes minutes, and so does loading it."""
BROKEN = 70
"""Exit code of a worker whose GPU cannot be used any more by its process."""
DATABASE_ENV = "KINEMA_JOBS_DATABASE"
"""The address of the database, out of sight of other users of the machine, who see the arguments of a process."""
log = logging.getLogger("kinema")


def id_of(number: int) -> str | None:
    """The id of the worker in a slot of this machine; None if there was none yet."""
    try:
        mark = _file_of(number).read_text().strip()
    except OSError:
        return None
    return f"{socket.gethostname()}-{number}-{mark}" if mark else None


def reserved_slots(count: int, free: bool, until: ExitStack) -> list[int]:
    """Slots of this machine for a supervisor's workers, reserved until the stack closes, so that supervisors that start
    at the same time take different ones. free: the first ones that neither a worker nor a supervisor has; otherwise the
    first ones, whoever has them."""
    found: list[int] = []
    for number in range(1000 if free else count):
        path = _file_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as mine:
            is_free = lock.take(mine.enter_context(path.with_suffix(".reserved").open("a")))
            with path.open("a+") as file:
                is_free = is_free and lock.take(file)
            if is_free or not free:
                until.push(mine.pop_all())
                found.append(number)
        if len(found) == count:
            break
    return found


@contextmanager
def slot(number: int | None) -> Iterator[str]:
    """Hold a slot of this machine, so that no two workers have the same id; yields the id, which is the same after a
    restart. number: None is any free one. KinemaError if it stays taken."""
    end = time.monotonic() + SLOT_S
    while True:
        for each in range(1000) if number is None else (number,):
            path = _file_of(each)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+") as file:
                if not lock.take(file):
                    continue
                if not id_of(each):
                    file.write(token_hex(3))  # two machines may have the same name
                    file.flush()
                yield str(id_of(each))
                return
        if time.monotonic() > end:
            raise KinemaError(f"Another worker of this machine has the slot {number}.")
        time.sleep(0.1)


def main(arguments: list[str] | None = None) -> int:
    """The command line of a worker process; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m kinema.jobs.worker", description="Run jobs of a store.")
    parser.add_argument("--database", default=os.environ.get(DATABASE_ENV), help="default: the file of this user")
    parser.add_argument("--folder", type=Path, help="of the media; see JobStore.open")
    parser.add_argument("--slot", type=int, help="number of this worker on this machine; default: a free one")
    parser.add_argument("--device", default="", help="cuda, cuda:1, mps or cpu; default: the best")
    parser.add_argument("--dtype", default="", help="of the networks; default: that of the device")
    parser.add_argument("--lost", type=float, default=LOST_S, help="seconds after which a silent worker is dead")
    parser.add_argument("--keep", type=float, default=2.0, help="least seconds between two kept states")
    parser.add_argument("--hanging", type=float, default=HANGING_S, help="seconds after which a silent job hangs")
    parser.add_argument("--warm", action="append", default=[], metavar="MODEL", help="load this model at the start")
    parser.add_argument("--parent", type=int, help="end when this process does")
    parser.add_argument("--max-days", type=float, default=90, help="ended jobs are deleted after this time")
    parser.add_argument("--max-gb", type=float, default=50, help="above it, the oldest ended jobs are deleted")
    parser.add_argument(
        "--kinds", default="kinema.jobs.built_in:BUILT_IN",
        help="MODULE:NAME of a list of JobKind, or of a function that returns one",
    )  # fmt: skip
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if asked.parent is not None:
        threading.Thread(target=_watch, args=(asked.parent, stop), daemon=True).start()
    try:
        kinds = _kinds(asked.kinds)
        with slot(asked.slot) as id, JobStore.open(asked.database, asked.folder, kinds=kinds) as store:
            engines = EnginePool(asked.device, asked.dtype)
            for model in asked.warm:
                with engines.lease(model):
                    log.info("%s is loaded", model)
            retention = Retention(asked.max_days * 86_400, int(asked.max_gb * 1e9))
            Worker(store, id, engines, asked.lost, asked.keep, retention, asked.hanging).run(stop)
    except KinemaError as error:
        log.error("%s", error)
        return 2 if isinstance(error, RequestError | ModelError) else 1
    except Exception as error:
        if is_broken(error):
            log.error("the GPU cannot be used any more: %s", error)
            return BROKEN
        raise
    return 0


def _file_of(number: int) -> Path:
    return home() / "server" / "workers" / f"{number}.lock"


def _watch(parent: int, stop: threading.Event) -> None:
    """Set `stop` when the parent process has ended."""
    while os.getppid() == parent:
        if stop.wait(PARENT_S):
            return
    log.warning("the process %d, which started this worker, has ended", parent)
    stop.set()


def _kinds(text: str) -> Kinds:
    """The kinds of MODULE:NAME. RequestError if there are none."""
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
        return Kinds(found() if callable(found) else found)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise RequestError(f"{text}: no kinds of jobs ({error}).", field="kinds", value=text,
                           legal="MODULE:NAME of a list of JobKind") from None  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
