"""Shard frozen weights over the processes (PyTorch's FSDP2): each process holds a part, and a block's weights are
gathered only while it computes. For adapters of models that do not fit on one GPU; trainable parameters are small and
replicated.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from . import processes
from .settings import SEVERAL


def why_not() -> str | None:
    """Why sharding is not available, or None."""
    if processes.count() < 2:
        return SEVERAL
    from torch.distributed.fsdp import fully_shard

    if "ignored_params" not in inspect.signature(fully_shard).parameters:
        return f"shard=on requires PyTorch 2.7 or newer, got {torch.__version__}."
    return None


def shard(network: Any, device: str) -> Any:
    """Shard all frozen parameters of a network in place, one unit per block. Trainable parameters are moved to the
    device and replicated. Raises RuntimeError with one process."""
    if reason := why_not():
        raise RuntimeError(reason)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(torch.device(device).type, (dist.get_world_size(),))
    for module in [*blocks(network), network]:
        learning = {parameter for parameter in module.parameters() if parameter.requires_grad}
        for parameter in learning:
            parameter.data = parameter.data.to(device)
        fully_shard(module, mesh=mesh, ignored_params=learning)
    return network


def blocks(network: nn.Module) -> list[nn.Module]:
    """The modules that are gathered as a unit: the members of all outermost ModuleLists."""
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and module not in inside:
            inside.update(module.modules())
            found += list(module)
    return found
