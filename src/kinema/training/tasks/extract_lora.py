"""Extract the difference of two networks as a LoRA file, by truncated singular value decompositions.

    student - base  --per linear layer--> B A, the best approximation of its rank (Eckart and Young 1936)  --> file

The file has diffusers' names (`transformer.<layer>.lora_A.weight`), which diffusers' `load_lora_weights` and Kinema's
adapters both read. A LoRA holds only weights of linear layers; if other parameters changed, ModelError is raised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...core.errors import ModelError
from ...core.whole import whole
from .low_rank import merged_state

PREFIX = "transformer."


@dataclass(frozen=True)
class LowRankChange:
    """layers: module name -> (A (rank, in), B (out, rank)), float32; B A is the change. kept: share of the energy
    (squared Frobenius norm) of all changes that they retain; kept_by_layer: the same per layer."""

    layers: dict[str, tuple[Tensor, Tensor]]
    kept: float
    kept_by_layer: dict[str, float]

    @property
    def ranks(self) -> dict[str, int]:
        return {name: len(a) for name, (a, _) in self.layers.items()}


def extract(
    base: Mapping[str, Tensor], changed: Mapping[str, Tensor], linear: set[str], *,
    rank: int | None = None, keep: float | None = None,
) -> LowRankChange:  # fmt: skip
    """Factorize the change between two state dicts for the layers named in `linear`.

    rank: maximum per layer. keep: use the lowest rank that retains this share of a layer's energy. With both, the
    smaller rank; with neither, full rank. Unchanged layers are left out. Raises ModelError if the state dicts do not
    match or a parameter other than a linear layer's weight changed.
    """
    if base.keys() != changed.keys() or any(base[name].shape != changed[name].shape for name in base):
        raise ModelError("The two networks have different architectures: parameter names or shapes differ.")
    moved = [name for name in base if not torch.equal(base[name].float().cpu(), changed[name].float().cpu())]
    other = [name for name in moved if not (name.endswith(".weight") and name.removesuffix(".weight") in linear)]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise ModelError(
            f"A LoRA holds only weights of linear layers, but these changed too: {', '.join(other[:3])}{more}. "
            "Freeze them in training (freeze_all_but_linear)."
        )
    layers, by_layer, total, left = {}, {}, 0.0, 0.0
    for name in moved:
        delta = changed[name].detach().cpu().double() - base[name].detach().cpu().double()
        u, s, vh = torch.linalg.svd(delta, full_matrices=False)
        energy = s.square()
        count = _rank(energy, rank, keep)
        root = s[:count].sqrt()
        stem = name.removesuffix(".weight")
        layers[stem] = ((root[:, None] * vh[:count]).float(), (u[:, :count] * root).float())
        by_layer[stem] = float(energy[:count].sum() / energy.sum())
        total, left = total + float(energy.sum()), left + float(energy[count:].sum())
    return LowRankChange(layers, 1 - left / total if total else 1.0, by_layer)


def _rank(energy: Tensor, rank: int | None, keep: float | None) -> int:
    count = int((energy > energy[0] * 1e-12).sum())  # the rest are rounding errors
    if keep is not None:
        shares = energy.cumsum(0) / energy.sum()
        count = min(count, int((shares < keep).sum()) + 1)
    return count if rank is None else min(count, rank)


def extract_lora(
    base: nn.Module, changed: nn.Module, *, rank: int | None = None, keep: float | None = None
) -> LowRankChange:
    """`extract` for two networks with the same modules; layers of `add_low_rank` count as merged."""
    linear = {name for name, module in base.named_modules() if isinstance(module, nn.Linear)}
    return extract(base.state_dict(), merged_state(changed), linear, rank=rank, keep=keep)


def write_lora(
    file: Path, change: LowRankChange, *, base: str, title: str = "", notes: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> int:  # fmt: skip
    """Write the file and return its size in bytes. Its metadata has ranks, alphas (equal to the ranks, so the scale is
    1) and the name of the base model. Raises ModelError if nothing changed."""
    from safetensors.torch import save_file

    if not change.layers:
        raise ModelError("The two networks are equal; there is no change to write.")
    tensors = {}
    for name, (a, b) in change.layers.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = a.to(dtype).contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = b.to(dtype).contiguous()
    ranks = change.ranks
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    other = {name: rank for name, rank in ranks.items() if rank != common}
    settings = {
        "r": common, "lora_alpha": common, "rank_pattern": other, "alpha_pattern": other,
        "target_modules": sorted(ranks), "base_model_name_or_path": base,
    }  # fmt: skip
    metadata = {
        "format": "pt", "base": base, "title": title, "rank": str(common), "alpha": str(common),
        "kept_energy": f"{change.kept:.4f}", **(notes or {}),
        "lora_adapter_metadata": json.dumps({PREFIX + key: value for key, value in settings.items()}),
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as beside:
        save_file(tensors, str(beside), metadata=metadata)
    return file.stat().st_size
