"""What a plan is expected to cost, before any weights are loaded.

Arithmetic of the denoiser: tokens N, width d, layers L, parameters P: a forward costs 4 N^2 d L (attention) + 2 P N
(everything linear) floating-point operations. Rates are effective ones, measured or published for such models; the
answer is good to about a factor of two and says what it assumed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from ..core import tiles
from ..core.card import Card
from ..core.plan import Estimate, Plan
from ..core.shapes import PixelShape, Stride
from ..diffusion.steps import computed_steps, guided_steps

TFLOPS = {
    "H200": 550.0, "H100": 480.0, "A100": 190.0, "A800": 190.0, "L40": 130.0, "5090": 170.0, "4090": 120.0,
    "3090": 50.0, "A10": 50.0, "T4": 25.0,
}  # fmt: skip
"""Effective bfloat16 TFLOP/s of video transformers by a word in the GPU's name."""
OTHER_GPU, APPLE, PER_CORE = 40.0, 6.0, 0.045
STEP_OVERHEAD_S = 0.004
"""A step's fixed cost: hundreds of small operations, whatever their size."""
DECODE_FLOP_PER_PIXEL_PARAMETER = 0.02
TINY_DECODER = 0.1
"""A tiny decoder's share of the full one's cost."""


def estimate(plan: Plan, card: Card, device: str) -> Estimate:
    """Seconds and gigabytes on `device` ("cpu", or a GPU's name), weights loaded."""
    network = card.network
    stride = Stride(network.time_stride, network.space_stride, network.patch)
    longest = max((span.num_frames for span in plan.spans), default=0)
    sampled = sum(span.num_frames for span in plan.spans)
    tokens = stride.tokens(PixelShape(longest, plan.height, plan.width))
    layers = network.layers + network.hint_layers
    forward = 4.0 * tokens**2 * network.width * layers + 2.0 * network.parameters * tokens
    if network.flop_per_cell is not None:
        forward = network.flop_per_cell * tokens * network.patch**2
    pieces = 1
    if plan.canvas == "larger":
        pieces = len(tiles.over(plan.size, (plan.width, plan.height), card.size.multiple).places)
    computed = computed_steps(plan.steps, plan.reuse)
    guided = guided_steps(plan.steps, plan.reuse, plan.guidance, plan.guidance_interval)
    flop = forward * (computed + guided) * pieces * sampled / max(1, longest)
    volume = sampled * pieces * plan.width * plan.height
    decode = volume * network.autoencoder_parameters * DECODE_FLOP_PER_PIXEL_PARAMETER
    if plan.options.get("decoder") == "tiny":
        decode *= TINY_DECODER
    rate = _rate(device) * 1e12
    size = 4 if device == "cpu" else network.bytes_per_parameter
    weights = (network.parameters + network.text_parameters) * size + network.autoencoder_parameters * 4
    activations = tokens * network.width * size * 24 + 60 * plan.width * plan.height * 4 * 4
    seconds = (flop + decode) / rate + STEP_OVERHEAD_S * (computed + guided) * pieces * len(plan.spans)
    return Estimate(
        device=device,
        seconds=round(seconds, 2),
        gb=round((weights + activations) / 1e9, 2),
        pflop=round(flop / 1e15, 6),
    )


def _rate(device: str) -> float:
    if device == "cpu":
        return PER_CORE * (os.cpu_count() or 1)
    if device.startswith("mps"):
        return APPLE
    return next((rate for word, rate in TFLOPS.items() if word in device), OTHER_GPU)


@cache
def this_device() -> str:
    """The first GPU's name as its driver gives it, else "cpu". Asks `nvidia-smi`, not torch."""
    if tool := shutil.which("nvidia-smi"):
        try:
            asked = [tool, "--query-gpu=name", "--format=csv,noheader"]
            names = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
            if names:
                return names[0].strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return "cpu"
