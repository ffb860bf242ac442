"""Training only a low-rank change of a network's linear layers: W + B A (Hu et al. 2021, arXiv 2106.09685).

What is trained so is exactly what a small LoRA file holds. The change sits on the weight itself (torch's parametrize),
so the network's code does not notice, and `module.weight` is the changed weight.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """weight (out, in) -> weight + B (out, rank) A (rank, in); zero at first."""

    def __init__(self, out_features: int, in_features: int, rank: int, generator: torch.Generator):
        super().__init__()
        self.A = nn.Parameter(torch.randn(rank, in_features, generator=generator) / in_features**0.5)
        self.B = nn.Parameter(torch.zeros(out_features, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.B @ self.A


def freeze_all_but_linear(module: nn.Module) -> None:
    """Leave only weights of linear layers trainable: what a LoRA can carry. Biases, norms and tables stay."""
    module.requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight.requires_grad_(True)


def add_low_rank(
    module: nn.Module, rank: int, *, wanted: Callable[[str], bool] = lambda name: True, seed: int = 0
) -> list[str]:
    """Freeze the module and give each linear layer whose name is `wanted` a trainable change of at most this rank.
    Returns the names. A layer whose smaller side is below the rank gets that side."""
    generator = torch.Generator().manual_seed(seed)
    module.requires_grad_(False)
    layers = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear) and wanted(name)]
    for _, part in layers:
        change = LowRank(part.out_features, part.in_features, min(rank, part.in_features, part.out_features), generator)
        parametrize.register_parametrization(part, "weight", change.to(part.weight.device))
    return [name for name, _ in layers]


def merge_low_rank(module: nn.Module) -> nn.Module:
    """Make the changes part of the weights and the module plain again; returns it."""
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
    return module
