"""The optimizers: AdamW, and Muon for matrices.

AdamW is fused on CUDA, or has 8-bit state to save memory (Dettmers et al. 2022, arXiv 2110.02861; bitsandbytes). Muon
is momentum whose matrix step is orthogonalized by a Newton-Schulz iteration (Jordan et al. 2024). Convolutions count as
matrices (output channels x the rest). The step is scaled by 0.2 * sqrt(larger side), which makes its root mean square
comparable with Adam's (Liu et al. 2025, "Muon is scalable for LLM training"), so both optimizers can use one
learning-rate schedule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...weights.device import good_at_bfloat16
from . import processes
from .settings import why_no_optimizer

BETAS = (0.9, 0.98)
A, B, C = 3.4445, -4.7750, 2.0315
"""Coefficients of the odd polynomial a x + b x^3 + c x^5 that each iteration applies to the singular values."""


def adam(params: Sequence[Tensor], *, kind: str = "adamw", lr: float, device: str) -> torch.optim.Optimizer:
    """AdamW without weight decay. adamw8bit stores two bytes of state per parameter instead of eight; the state of
    tensors with fewer than 4,096 elements stays in float32."""
    if reason := why_no_optimizer(kind):
        raise ValueError(reason)
    if kind == "adamw8bit":
        import bitsandbytes

        optimizer: Any = bitsandbytes.optim.AdamW8bit(params, lr=lr, betas=BETAS, weight_decay=0.0)
        return optimizer
    return torch.optim.AdamW(params, lr=lr, betas=BETAS, weight_decay=0.0, fused=device.startswith("cuda"))


def orthogonalize(g_NRC: Tensor, steps: int = 5) -> Tensor:
    """Approximate the nearest semi-orthogonal matrices: singular values move to 0.7..1.2. Batched over N. Computes in
    bfloat16 on devices that are fast at it. On a CPU, matrices at least twice as wide as high use Gram matrices in
    float32."""
    low = good_at_bfloat16(g_NRC.device)
    x = g_NRC.mT if (tall := g_NRC.shape[1] > g_NRC.shape[2]) else g_NRC
    wide = x.shape[2] >= 2 * x.shape[1] and not x.is_cuda
    x = x.to(torch.bfloat16 if low and not wide else torch.float32)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if wide:
        x = _factor(x @ x.mT, steps) @ x
    else:
        for _ in range(steps):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return (x.mT if tall else x).to(g_NRC.dtype)


def _factor(gram_NRR: Tensor, steps: int) -> Tensor:
    """The matrix that all iterations together multiply wide matrices with, computed from their Gram matrices. It takes
    two products over the long side in all instead of two per iteration: over three times faster for convolutions on a
    CPU."""
    eye = torch.eye(gram_NRR.shape[1], device=gram_NRR.device)
    factor = step = A * eye + B * gram_NRR + C * gram_NRR @ gram_NRR
    for _ in range(steps - 1):
        gram_NRR = step @ gram_NRR @ step
        step = A * eye + B * gram_NRR + C * gram_NRR @ gram_NRR
        factor = step @ factor
    return factor


# Not torch.optim.Muon, with which the tests compare this class: it rejects convolutions, computes in bfloat16 also on
# CPUs that are slow at it (2 to 20 times slower), and orthogonalizes every matrix in every process.
class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized steps and decoupled weight decay, for parameters of two or more dimensions."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            same_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"]).flatten(1)
                same_shape[tuple(update.shape)].append((p, update))
            for (rows, columns), members in same_shape.items():
                directions = shared_orthogonalize(torch.stack([update for _, update in members]))
                scale = group["lr"] * 0.2 * max(rows, columns) ** 0.5
                for (p, _), direction in zip(members, directions, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(direction.view(p.shape), alpha=-scale)


def shared_orthogonalize(g_NRC: Tensor) -> Tensor:
    """orthogonalize, with the matrices divided among the processes."""
    if processes.count() == 1 or len(g_NRC) == 1:
        return orthogonalize(g_NRC)
    own = slice(processes.rank(), None, processes.count())
    found = torch.zeros_like(g_NRC)
    if len(g_NRC[own]):
        found[own] = orthogonalize(g_NRC[own])
    processes.sum_over(found)
    return found


def split_parameters(
    modules: Iterable[nn.Module], names_for_adam: tuple[str, ...]
) -> tuple[list[Tensor], list[Tensor]]:
    """(parameters for Muon, parameters for AdamW). Muon gets trainable weights of two or more dimensions whose names
    contain none of names_for_adam (embeddings, first and last layers, tables, gains)."""
    muon: list[Tensor] = []
    adam: list[Tensor] = []
    for module in modules:
        for name, p in module.named_parameters():
            if not p.requires_grad:
                continue
            wide = p.ndim >= 2 and min(p.shape[0], p[0].numel()) > 3
            (muon if wide and not any(part in name for part in names_for_adam) else adam).append(p)
    return muon, adam
