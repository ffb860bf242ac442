"""How a model's weights are placed on a GPU, by arithmetic before any is read: all of them, one network at a time, or
block by block (weights/residency.py does it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.card import Card
from ..core.errors import RequestError
from ..core.plan import Estimate, Plan
from ..core.registry import family_module
from ..weights.headroom import HEADROOM
from .estimate import device_name, listed_gpus, peaks_gb, weights_bytes

WHOLE, NETWORKS, BLOCKS = "whole", "one network at a time", "block by block"
USUAL_GB = (6, 8, 10, 12, 16, 24, 32, 40, 48, 80, 96, 141)


@dataclass(frozen=True)
class Placement:
    """way: WHOLE, NETWORKS or BLOCKS. gpu_gb: the most on the GPU; weights_gb: the weights of it. ram_gb: weights that
    wait in the CPU's memory; with BLOCKS they are pinned there, if half of the free memory suffices."""

    way: str
    gpu_gb: float
    ram_gb: float
    weights_gb: float


def ways(card: Card, peaks_gb: tuple[float, float], device: str) -> list[Placement]:
    """Every way for a clip, from the fastest to the smallest. peaks_gb: activations of sampling and of decoding."""
    network = card.network
    total = weights_bytes(network, device) / 1e9
    others = network.model_copy(update={"experts": 0})
    rest = weights_bytes(others, device) / 1e9  # text encoder and autoencoder
    denoiser, decoder = (total - rest) / max(1, network.experts), network.autoencoder_parameters * 4 / 1e9
    text, (sampling, decoding) = rest - decoder, peaks_gb
    whole = Placement(WHOLE, total + max(peaks_gb), 0.0, total)
    one = max(denoiser + sampling, text, decoder + decoding)
    found = [whole, Placement(NETWORKS, one, total, max(denoiser, text, decoder))]
    if getattr(family_module(card.family), "BLOCK_BY_BLOCK", False):
        layers = network.layers + network.hint_layers
        # Two blocks, what is outside of blocks (a twentieth), and the vocabulary of a text encoder.
        outside = max(denoiser * (2 / layers + 0.05), text * 0.3)
        least = max(denoiser * (2 / layers + 0.05) + sampling, text * 0.3, decoder + decoding)
        found.append(Placement(BLOCKS, least, total, outside))
    return found


def fits(way: Placement, memory_gb: float) -> bool:
    """As weights/residency.py decides: weights take at most their share."""
    return way.gpu_gb <= memory_gb and way.weights_gb <= HEADROOM * memory_gb


def chosen(card: Card, peaks_gb: tuple[float, float], device: str, memory_gb: float) -> Placement | None:
    """The fastest way that fits a GPU of memory_gb (10^9 bytes); None if none does."""
    return next((each for each in ways(card, peaks_gb, device) if fits(each, memory_gb)), None)


def smallest_gb(card: Card, peaks_gb: tuple[float, float], device: str, way: str) -> int | None:
    """The smallest usual GPU (in its maker's GB) on which a way fits; None if none does or the family has no such
    way."""
    found = [each for each in ways(card, peaks_gb, device) if each.way == way]
    return next((size for size in USUAL_GB if found and fits(found[0], size * 2**30 / 1e9)), None)


def with_way(cost: Estimate, plan: Plan, card: Card, memory_gb: float | None = None) -> Estimate:
    """The estimate with the way on this GPU. memory_gb: of the GPU; by default what its driver tells, if it is one of
    this machine. RequestError if no way fits."""
    memory = gpu_memory_gb().get(cost.device) if memory_gb is None else memory_gb
    if memory is None or not plan.uses_model:
        return cost
    peaks = peaks_gb(plan, card, cost.device)
    way = chosen(card, peaks, cost.device, memory)
    if way is None:
        least = min(each.gpu_gb for each in ways(card, peaks, cost.device))
        size = next((f"{each} GB" for each in USUAL_GB if each * 2**30 / 1e9 >= least), f"{least:.0f} GB")
        raise RequestError(
            f"{card.id} at {plan.width}x{plan.height}, {plan.frames} frames, needs about {least:.1f} GB of the GPU's "
            f"memory, at least; {cost.device} has {memory:.1f} GB.",
            field="model", value=card.id, legal=f"a GPU of {size}, a smaller size, or fewer frames",
        )  # fmt: skip
    return cost.model_copy(
        update={"gb": round(min(way.gpu_gb, cost.gb), 2), "way": way.way, "ram_gb": round(way.ram_gb, 2)}
    )


def fit(family: Any, plan: Plan) -> None:
    """Let a loaded family place its weights anew for a plan's clip, by what is free on its GPU now."""
    again = getattr(getattr(family, "residency", None), "fit", None)
    if again is not None and plan.uses_model and str(family.device).startswith("cuda"):
        name = device_name(str(family.device))
        again(max(peaks_gb(plan, family.card, name)) * 1e9)


def gpu_memory_gb() -> dict[str, float]:
    """The memory of this machine's GPUs by name, in 10^9 bytes, as `nvidia-smi` tells it; the least of equal names."""
    found: dict[str, float] = {}
    for gpu in listed_gpus():
        if gpu.memory_gb is not None:
            found[gpu.name] = min(gpu.memory_gb, found.get(gpu.name, gpu.memory_gb))
    return found
