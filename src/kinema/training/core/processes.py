"""Data parallelism: each process has its own batches, and gradients are averaged.

One process per GPU over NCCL, or per CPU core over gloo, started here or by a launcher (torchrun, accelerate launch; on
one machine or several). With one process every function is a no-op, so the training loop is the same either way.
PyTorch is imported inside functions, since command-line checks use this module too.
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
"""Timeout of a process that waits for the others, while the first one evaluates and saves."""


def _group() -> Any:
    """torch.distributed if a process group is initialized, else None. Not imported means not initialized."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def start(processes: int, device: str = "cpu") -> list[subprocess.Popen]:
    """Start the other processes with the same command line and join the group; returns them (see `finish`).

    Call once, before any work. In a process started here or by a launcher it only joins the group. Raises ValueError
    for fewer than one process or more CUDA processes than GPUs.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if RANK not in os.environ and "LOCAL_RANK" in os.environ:
        return _launched(processes, device)
    if processes > 1 and device.startswith("cuda") and processes > (gpus := _gpus()):
        raise ValueError(f"{processes} processes need {processes} GPUs; this machine has {gpus}")
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
    """Join the group of a launcher, which sets the rank of this process in its environment."""
    number, total = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if processes not in (1, total):
        raise ValueError(f"--processes is {processes}, but the launcher started {total}; use one of the two")
    if total > 1:
        _join(device, number, int(os.environ["LOCAL_RANK"]), total)
    return []


def _join(device: str, number: int, here: int, total: int) -> None:
    """Join the process group. number: the rank; here: the rank on this machine."""
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
    """The device of this process: "cuda" becomes "cuda:1" in the second process of a machine."""
    if device != "cuda" or count() == 1:
        return device
    import torch

    return f"cuda:{torch.cuda.current_device()}"


def finish(others: list[subprocess.Popen]) -> None:
    """Leave the group and wait for the other processes; terminate those that do not end within 10 s."""
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
    """Is this the process that evaluates, saves and prints?"""
    return rank() == 0


def leads() -> bool:
    """Will this process have rank 0? Read from the environment, before the group is joined."""
    return os.environ.get(RANK, os.environ.get("RANK", "0") if "LOCAL_RANK" in os.environ else "0") == "0"


def wait() -> None:
    """Wait for all processes (barrier)."""
    if count() > 1:
        _group().barrier()


def agree(value: float, device: str = "cpu") -> float:
    """Return the first process's value in all processes."""
    if count() == 1:
        return value
    import torch

    shared = torch.tensor([value], dtype=torch.float64, device=device)
    _group().broadcast(shared, 0)
    return float(shared)


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Broadcast the first process's tensors to all processes, in place."""
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


def sum_over(tensor: Tensor) -> None:
    """Replace a tensor by its sum over the processes."""
    if count() > 1:
        _group().all_reduce(tensor)


# Not DistributedDataParallel: it gives the same gradients bit for bit and saves at most 6 % CPU time per step, but
# requires one forward() of one module, while a task calls parts of several networks.
def average_gradients(params: Sequence[Tensor]) -> None:
    """Average gradients over the processes. A missing gradient counts as zero, so all exchange the same tensors."""
    if count() > 1:
        import torch

        for p in params:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        average([p.grad for p in params if p.grad is not None])


def check_device(device: str) -> None:
    """Raise ValueError if this machine does not have the device."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise ValueError(f"device must be cpu, cuda or cuda:N, got {device!r}.")
    if kind == "cuda" and int(number or 0) >= (gpus := _gpus()):
        raise ValueError(f"No such device: {device}. This machine has {gpus} CUDA devices.")


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def device_name(device: str) -> str:
    """The name of the CPU or GPU, for a model card."""
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
