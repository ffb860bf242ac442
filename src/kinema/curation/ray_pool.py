"""Run work on Ray Data: on this machine, or on a cluster by its address, whose machines see the videos at the same path
and have Kinema installed."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ..core.errors import KinemaError
from ..core.extras import install_command
from .pools import PoolWork, result_of

GROUP = 4096
"""Items of one Ray data set. Results are stored as they arrive, so that a killed run continues inside a group, and the
driver's memory does not grow with the number of clips."""
BLOCK = 8
"""Items of a block: a lost worker computes so many again."""


class OnRay:
    """Work as an operator of Ray Data, in a pool of actors. address: "local", "auto", or HOST:PORT. num: actors; 0 for
    one per core."""

    def __init__(self, address: str, num: int) -> None:
        self.address, self.num = address, num

    def run(self, work: PoolWork, items: Iterable[Any]) -> Iterator[Any]:
        ray = _ray()
        mine = not ray.is_initialized()
        if mine:
            self._connect(ray)
        waiting = iter(items)
        try:
            work.open()  # errors come before the actors
            while group := list(islice(waiting, GROUP)):
                num = self.num or max(1, int(ray.cluster_resources().get("CPU", 1)))
                blocks = max(1, math.ceil(len(group) / BLOCK))
                data = ray.data.from_items([{"item": each} for each in group], override_num_blocks=blocks)
                done = data.map(
                    _Operator, fn_constructor_args=(work,), compute=ray.data.ActorPoolStrategy(min_size=1, max_size=num)
                )
                for row in done.iter_rows():
                    yield row["result"]
        except ray.exceptions.RayError as error:
            raise KinemaError(f"Ray: {str(error).strip().splitlines()[-1]}") from error
        finally:
            if mine:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
        try:
            if self.address == "local":
                cores = self.num or None
                ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
            else:
                ray.init(address=self.address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise KinemaError(f"Ray at {self.address} cannot be reached ({error}).") from error
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        with contextlib.suppress(AttributeError):
            context.print_on_execution_start = False
        for name in ("ray.data", "ray"):
            logging.getLogger(name).setLevel(logging.ERROR)


class _Operator:
    """Opens work once per actor."""

    def __init__(self, work: PoolWork) -> None:
        import cv2

        cv2.setNumThreads(1)
        work.open()
        self.work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"result": result_of(self.work, row["item"])}


def _ray() -> Any:
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
        return ray
    except ImportError as error:
        raise KinemaError(f"--ray requires Ray ({error}). Install it: {install_command('scale')}") from error
