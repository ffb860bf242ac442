"""LoRA layers (Hu et al. 2021, arXiv 2106.09685) on a frozen network: add them with PEFT, train them with any task,
read their matrices."""

from __future__ import annotations

from typing import Any

import torch

NAME = "trained"
PARTS = ("to_q", "to_k", "to_v", "to_out.0")


def add(network: Any, *, rank: int, alpha: int, where: str = "", seed: int = 0) -> list[str]:
    """Add trainable low-rank layers to the attention layers whose names contain `where`; returns those names. Raises
    ValueError if there is none. The second matrices are zero, so the network's output does not change. The first are
    drawn as PEFT does, from `seed`."""
    from peft import LoraConfig, inject_adapter_in_model

    modules = [name for name, _ in network.named_modules() if name.endswith(PARTS) and where in name]
    if not modules:
        raise ValueError(f"No attention layer has {where!r} in its name.")
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # PEFT draws on the CPU, from the global stream
        inject_adapter_in_model(config, network, adapter_name=NAME)
    return modules


def is_trained(name: str) -> bool:
    """Is this a parameter of the LoRA layers of `add`?"""
    return f".lora_A.{NAME}." in name or f".lora_B.{NAME}." in name


def layers(network: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(down, up) of every LoRA layer by module name, without the scale alpha / rank."""
    from peft.tuners.lora import LoraLayer

    found = {}
    for name, module in network.named_modules():
        if isinstance(module, LoraLayer) and NAME in module.lora_A:
            parts: Any = (module.lora_A[NAME], module.lora_B[NAME])
            found[name] = tuple(part.weight.detach().clone() for part in parts)
    return found


def remove(network: Any) -> None:
    """Remove the LoRA layers."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, LoraLayer) and NAME in module.lora_A:
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, module.base_layer)
