"""Several processes train one model: each takes its own batches, gradients are averaged (data parallelism).

One process a GPU over NCCL, or one a CPU core over gloo, started here or by a launcher (torchrun, accelerate launch, on
one machine or on many). Every function here does nothing when there is only one process, so the training loop reads the
same either way. PyTorch is read by those that need it: what refuses a command asks here too.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

RANK = "KINEMA_RANK"
WAIT = timedelta(hours=2)
"""How long a process waits for the others; the first one measures and saves while they do."""


def _group() -> Any:
    """torch.distributed where several processes are joined, else None. Nobody has joined without having read it."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def start(processes: int, device: str = "cpu") -> list[subprocess.Popen]:
    """Make this process the first of `processes` that run the same command line; returns the others (see `finish`).

    Call once, before any work. In one of the others it only joins them. Raises ValueError for fewer than one process or
    more CUDA processes than there are GPUs.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if RANK not in os.environ and "LOCAL_RANK" in os.environ:
        return _launched(processes, device)
    if processes > 1 and device.startswith("cuda") and processes > (there := _gpus()):
        raise ValueError(f"{processes} processes need as many GPUs; there are {there}")
    others: list[subprocess.Popen] = []
    if processes > 1 and RANK not in os.environ:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ.update(shared, **{RANK: "0"})
        command = [sys.executable, *sys.orig_argv[1:]]
        others = [
            subprocess.Popen(command, env={**os.environ, RANK: str(number)}, stdout=subprocess.DEVNULL)
            for number in range(1, processes)
        ]
    if processes > 1:
        number = int(os.environ[RANK])
        _join(device, number, number, processes)
    return others


def _launched(processes: int, device: str) -> list[subprocess.Popen]:
    """Join the group of a launcher, which says by its environment who this process is."""
    number, total = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if processes not in (1, total):
        raise ValueError(
            f"{processes} processes were asked for, and the launcher started {total}; leave one of them out"
        )
    if total > 1:
        _join(device, number, int(os.environ["LOCAL_RANK"]), total)
    return []


def _join(device: str, number: int, here: int, total: int) -> None:
    """number: among all processes; here: among those of this machine."""
    import torch
    import torch.distributed as dist

    if device.startswith("cuda"):
        torch.cuda.set_device(here)
    elif hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[here % len(cores)]})
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, rank=number, world_size=total, timeout=WAIT)


def own_device(device: str) -> str:
    """The device of this process: "cuda" becomes "cuda:1" in the second one of a machine."""
    if device != "cuda" or count() == 1:
        return device
    import torch

    return f"cuda:{torch.cuda.current_device()}"


def finish(others: list[subprocess.Popen]) -> None:
    """Leave the group and wait for the others; those that hang after a failure here are stopped."""
    if (group := _group()) is not None:
        group.destroy_process_group()
        os.environ.pop(RANK, None)
    for other in others:
        try:
            other.wait(timeout=10)
        except subprocess.TimeoutExpired:
            other.terminate()


def count() -> int:
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    group = _group()
    return 0 if group is None else int(group.get_rank())


def first() -> bool:
    """Is this the process that measures, saves and prints?"""
    return rank() == 0


def leads() -> bool:
    """Will this process be the first one, by what started it? Known before any of them has joined."""
    return os.environ.get(RANK, os.environ.get("RANK", "0") if "LOCAL_RANK" in os.environ else "0") == "0"


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        _group().barrier()


def agree(value: float, device: str = "cpu") -> float:
    """The first process's value, in all of them."""
    if count() == 1:
        return value
    import torch

    shared = torch.tensor([value], dtype=torch.float64, device=device)
    _group().broadcast(shared, 0)
    return float(shared)


def same_start(tensors: Sequence[Tensor]) -> None:
    """The first process's values into all of them."""
    if count() > 1:
        for tensor in tensors:
            _group().broadcast(tensor, 0)


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, in one exchange."""
    if count() > 1:
        import torch

        flat = torch._utils._flatten_dense_tensors(tensors)
        _group().all_reduce(flat)
        flat /= count()
        torch._foreach_copy_(list(tensors), list(torch._utils._unflatten_dense_tensors(flat, tensors)))


def add_up(tensor: Tensor) -> None:
    """Replace a tensor by its sum over the processes."""
    if count() > 1:
        _group().all_reduce(tensor)


# Not DistributedDataParallel: the same gradients bit for bit, a step takes 6 % less of a processor at best, and it
# wants one forward() of one module, where a task calls parts of several networks; the rest of this file would stay.
def average_gradients(params: Sequence[Tensor]) -> None:
    """A parameter without a gradient counts as zero, so that all processes exchange the same tensors."""
    if count() > 1:
        import torch

        for p in params:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        average([p.grad for p in params if p.grad is not None])


def check_device(device: str) -> None:
    """Raises ValueError for a device that is not here."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise ValueError(f"device is cpu, cuda or cuda:N, not {device!r}.")
    if kind == "cuda" and int(number or 0) >= (there := _gpus()):
        raise ValueError(f"device is {device!r}, but this machine has {there} CUDA devices.")


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def device_name(device: str) -> str:
    """The processor's or GPU's name, for a model's card."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores"
