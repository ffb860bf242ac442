"""What a plan is expected to cost, before any weights are loaded.

Arithmetic of the denoiser: tokens N, width d, layers L, parameters P: a forward costs 4 N^2 d L (attention) + 2 P N
(everything linear) floating-point operations. Rates are effective ones, measured or published for such models; the
answer is good to about a factor of two and says what it assumed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ..core import tiles
from ..core.card import Card
from ..core.plan import Estimate, Plan
from ..core.shapes import PixelShape, Stride
from ..diffusion import steps

TFLOPS = {
    "H200": 550.0, "GH200": 550.0, "H100": 480.0, "H800": 480.0, "A100": 190.0, "A800": 190.0, "L40": 130.0,
    "L40S": 130.0, "5090": 170.0, "4090": 120.0, "3090": 50.0, "A10": 50.0, "A10G": 50.0, "T4": 25.0,
}  # fmt: skip
"""Effective bfloat16 TFLOP/s of video transformers by a whole word in the GPU's name."""
OTHER_GPU, APPLE, PER_CORE = 40.0, 6.0, 0.045
STEP_OVERHEAD_S = 0.004
"""A step's fixed cost: hundreds of small operations, whatever their size."""
DECODE_FLOP_PER_PIXEL_PARAMETER = 0.02
TINY_DECODER = 0.1
"""A tiny decoder's share of the full one's cost."""


def evaluations(plan: Plan, from_clip: bool = False) -> tuple[int, int]:
    """(evaluations of the prompt's branch, of the negative prompt's branch) of all spans and tries, where the scheduler
    evaluates once a step. from_clip: the plan is of a second pass, which begins with a clip that it does not name."""
    given = from_clip or plan.canvas != "model" or any(condition.kind == "source" for condition in plan.conditions)
    strength = plan.options.get("strength", 1.0) if given else 1.0
    first = steps.first_step(plan.steps, float(str(strength)))
    computed, guided = steps.count(plan.steps, plan.reuse, plan.guidance, plan.guidance_interval, first)
    times = len(plan.spans) * int(str(plan.options.get("free_init", 1)))
    return computed * times, guided * times


def estimate(plan: Plan, card: Card, device: str, from_clip: bool = False) -> Estimate:
    """Seconds and gigabytes on `device` ("cpu", "mps", or a GPU's name), weights loaded. from_clip: as above."""
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
    calls = sum(evaluations(plan, from_clip))
    flop = forward * calls * pieces * sampled / max(1, longest * len(plan.spans))
    volume = sampled * pieces * plan.width * plan.height
    decode = volume * network.autoencoder_parameters * DECODE_FLOP_PER_PIXEL_PARAMETER
    if plan.options.get("decoder") == "tiny":
        decode *= TINY_DECODER
    rate = _rate(device) * 1e12
    size = 4 if device == "cpu" else network.bytes_per_parameter
    weights = (network.parameters + network.text_parameters) * size + network.autoencoder_parameters * 4
    activations = tokens * network.width * size * 24 + 60 * plan.width * plan.height * 4 * 4
    seconds = (flop + decode) / rate + STEP_OVERHEAD_S * calls * pieces
    return Estimate(
        device=device,
        seconds=round(seconds, 2),
        gb=round((weights + activations) / 1e9, 2),
        pflop=round(flop / 1e15, 6),
    )


def _rate(device: str) -> float:
    """TFLOP/s of a GPU by its name, of "cpu" or of "mps"."""
    if device == "cpu":
        return PER_CORE * (os.cpu_count() or 1)
    if device == "mps":
        return APPLE
    words = re.findall(r"[A-Z0-9]+", device.upper())
    return next((TFLOPS[word] for word in words if word in TFLOPS), OTHER_GPU)


def device_name(device: str | None = None) -> str:
    """The name by which a device is estimated and written down: "cpu", "mps", or a GPU's as its driver gives it.

    device: as `load` takes it ("cuda", "cuda:1", "mps", "cpu"; None: this machine's best), or such a name already.
    """
    if device is None:
        return this_device()
    kind, _, number = device.partition(":")
    if kind in ("cpu", "mps"):
        return kind
    if kind == "cuda" and (not number or number.isdecimal()):
        gpus = visible_gpus()
        return gpus[int(number or 0)] if int(number or 0) < len(gpus) else device
    return device


@cache
def this_device() -> str:
    """What `load(device=None)` takes: the first GPU's name, else "mps" on Apple's processors, else "cpu"."""
    if gpus := visible_gpus():
        return gpus[0]
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


@cache
def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that torch would find, in the order of CUDA_VISIBLE_DEVICES. Asks `nvidia-smi`, not torch; of a
    torch that was built for CPUs alone there are none."""
    tool = shutil.which("nvidia-smi")
    with suppress(PackageNotFoundError):
        if version("torch").endswith("+cpu"):
            return ()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or chosen == "":
        return ()
    asked = [tool, "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return ()
    gpus = [[part.strip() for part in line.split(",", 2)] for line in told if line.count(",") >= 2]
    if chosen is None:
        return tuple(name for _, _, name in gpus)
    found = []
    for word in chosen.split(","):
        named = [name for index, uuid, name in gpus if word.strip() == index or uuid.startswith(word.strip() or "-")]
        if not named:  # CUDA stops at the first that is not there
            break
        found.append(named[0])
    return tuple(found)
