"""Estimates of a plan's cost before weights are loaded: by arithmetic, corrected by measurements.

For tokens N, width d, layers L and parameters P, a forward of the denoiser costs 4 N^2 d L (attention) + 2 P N (linear
layers) floating-point operations. Rates are effective ones, measured or published for such models; arithmetic alone is
accurate to about a factor of two. Measurements of similar work on this machine (engine/measured.py) correct it.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..core import windows
from ..core.card import Card, Network
from ..core.events import Part
from ..core.options import TWICE, Sampling
from ..core.plan import Estimate, Plan
from ..core.registry import family_module
from ..core.shapes import PixelShape, Stride
from ..core.threads import crowd, is_crowded
from ..diffusion import steps
from ..weights import store
from . import measured
from .fill_cost import fill_work

TFLOPS = {
    "H200": 550.0, "GH200": 550.0, "H100": 480.0, "H800": 480.0, "A100": 190.0, "A800": 190.0, "L40": 130.0,
    "L40S": 130.0, "5090": 170.0, "4090": 120.0, "3090": 50.0, "A10": 50.0, "A10G": 50.0, "T4": 25.0,
}  # fmt: skip
"""Effective bfloat16 TFLOP/s of video transformers, by a word in the GPU's name."""
OTHER_GPU, APPLE = 40.0, 6.0
EFFICIENCY = 0.6
"""Rate of a network relative to a core's rate in matrix products."""
STEP_OVERHEAD_S = 0.004
"""Fixed cost of a step: hundreds of small operations."""
ENCODE_OVERHEAD_S, DECODE_OVERHEAD_S = 0.1, 0.1
FILL_GB, FILL_FRAMES = 0.3, 64
"""Memory of a fill without a model: the process, and frames in the sliding range, of 12 bytes a pixel."""
COMPOSITE_S = 0.005
"""Compositing one frame."""
IMPORTS_S = 5.5
READ_GB_S = 1.0
"""Loading speed of weights, in gigabytes per second."""
DECODE_FLOP_PER_PIXEL_PARAMETER = 0.02
TINY_DECODER = 0.1
"""A tiny decoder's share of the full one's cost."""


def evaluations(plan: Plan, from_clip: bool = False) -> int:
    """Number of network evaluations, one per branch of each computed step, over all spans and passes; two per step with
    a sampler of TWICE, one with any other scheduler. from_clip: the plan is an upscale step, whose source clip is not
    among its conditions."""
    given = from_clip or plan.canvas != "model" or any(condition.kind == "source" for condition in plan.conditions)
    sampling, own = Sampling.of(plan), getattr(family_module(plan.family), "branches", None)
    first = steps.first_step(plan.steps, sampling.strength if given else 1.0)
    branches = own(plan) if own else steps.classifier_free(plan.steps, plan.guidance, plan.guidance_interval)
    if sampling.sampler in TWICE:  # no step is forecast
        return 2 * steps.count(branches, 1, first) * len(plan.spans) * sampling.free_init
    return steps.count(branches, plan.reuse, first) * len(plan.spans) * sampling.free_init


@dataclass(frozen=True)
class Cost:
    """Seconds of the stages of one plan (without its upscale) on one device, and the facts they depend on."""

    model: str
    device: str
    profile: str
    size: int
    start_s: float
    encode_s: float
    sample_s: float
    decode_s: float
    gb: float
    pflop: float
    measured: bool = False

    @property
    def seconds(self) -> float:
        return self.encode_s + self.sample_s + self.decode_s


def estimate(plan: Plan, card: Card, device: str, from_clip: bool = False) -> Estimate:
    """Estimate seconds and gigabytes on `device` ("cpu", "mps", or a GPU's name). from_clip: see `evaluations`."""
    if not plan.uses_model:
        start, work = fill_work(plan).expected()
        gb = round(FILL_GB + FILL_FRAMES * 12 * plan.size[0] * plan.size[1] / 1e9, 2)
        return Estimate(device="cpu", seconds=round(work, 2), gb=gb, pflop=0.0, start=round(start, 2))
    cost = _expected(plan, card, device, from_clip)
    fill_start_s, fill_s = fill_work(plan).expected() if plan.fill == "both" else (0.0, 0.0)
    cost = replace(cost, start_s=max(cost.start_s, fill_start_s))
    return Estimate(
        device=device, seconds=round(cost.seconds + fill_s, 2), gb=round(cost.gb, 2), pflop=round(cost.pflop, 6),
        start=round(cost.start_s, 2), measured=cost.measured,
    )  # fmt: skip


def _expected(plan: Plan, card: Card, device: str, from_clip: bool) -> Cost:
    """The corrected cost; without the model's work if other frames are expected to fill the whole area."""
    cost = corrected(arithmetic(plan, card, device, from_clip))
    if plan.fill == "both" and plan.sources and "generated" not in plan.sources:
        return replace(cost, pflop=0.0, start_s=0.0, encode_s=0.0, sample_s=0.0, decode_s=0.0)
    return cost


def arithmetic(plan: Plan, card: Card, device: str, from_clip: bool = False) -> Cost:
    """The cost by the number of operations and the device's rate."""
    network = card.network
    longest = max((span.num_frames for span in plan.spans), default=0)
    sampled = sum(span.num_frames for span in plan.spans)
    sampling = Sampling.of(plan)
    seen, tokens = _seen(plan, network)
    layers = network.layers + network.hint_layers
    forward = 4.0 * tokens**2 * network.width * layers + 2.0 * network.parameters * tokens
    if network.flop_per_cell is not None:
        forward = network.flop_per_cell * tokens * network.patch**2
    tiles = 1
    if plan.canvas == "upscale":
        tiles = len(windows.over_picture(plan.size, (plan.width, plan.height), card.size.multiple).places)
    pieces = tiles * len(seen)
    calls = evaluations(plan, from_clip)
    flop = forward * calls * pieces * sampled / max(1, longest * len(plan.spans))
    volume = sampled * tiles * plan.width * plan.height
    decode = volume * network.autoencoder_parameters * DECODE_FLOP_PER_PIXEL_PARAMETER
    given = decode if plan.canvas != "model" or any(c.kind == "source" for c in plan.conditions) or from_clip else 0.0
    if sampling.decoder == "tiny":
        decode *= TINY_DECODER
    rate = _rate(device) * 1e12
    weights = weights_bytes(network, device)
    words = 2 * 2.0 * network.text_parameters * network.text_length
    return Cost(
        model=card.id,
        device=device,
        profile=plan.profile,
        size=round(math.log2(max(1, tokens * pieces))),
        start_s=start_s(card, device),
        encode_s=(words + given) / rate + ENCODE_OVERHEAD_S,
        sample_s=flop / rate + STEP_OVERHEAD_S * calls * pieces,
        decode_s=decode / rate + DECODE_OVERHEAD_S * len(plan.spans),
        gb=weights / 1e9 + max(peaks_gb(plan, card, device)),
        pflop=flop / 1e15,
    )


def peaks_gb(plan: Plan, card: Card, device: str) -> tuple[float, float]:
    """Gigabytes of activations while a clip is sampled, and while it is decoded. Decoding in slices needs the
    same for any length."""
    network = card.network
    size = 4 if device == "cpu" else network.bytes_per_parameter
    _, tokens = _seen(plan, network)
    area = plan.width * plan.height
    return (tokens * network.width * size * 24 + 60 * area * 4 * 4) / 1e9, network.decode_bytes * area / 1e9


def _seen(plan: Plan, network: Network) -> tuple[Any, int]:
    """The context windows of the longest span, and the tokens of one."""
    longest, sampling = max((span.num_frames for span in plan.spans), default=0), Sampling.of(plan)
    seen = windows.context(longest, sampling.context_length or longest, sampling.context_overlap)
    stride = Stride(network.time_stride, network.space_stride, network.patch)
    return seen, stride.tokens(PixelShape(len(seen[0]), plan.height, plan.width))


def start_s(card: Card, device: str) -> float:
    """Seconds for imports and loading a model's weights."""
    network = card.network
    known = measured.start_s(measured.read(), card.id, device, busy=is_crowded())
    return IMPORTS_S + weights_bytes(network, device) / 1e9 / READ_GB_S if known is None else known


def weights_bytes(network: Network, device: str) -> float:
    """Bytes of all networks of a model in memory."""
    size = 4 if device == "cpu" else network.bytes_per_parameter
    denoiser = network.parameters * size if network.stored_bytes is None else network.stored_bytes
    return network.experts * denoiser + network.text_parameters * size + network.autoencoder_parameters * 4


def corrected(cost: Cost) -> Cost:
    """The cost corrected by measurements of similar work on this machine, if any."""
    known, busy = measured.read(), is_crowded()
    default = measured.CROWDED_FACTOR if busy and cost.device == "cpu" else 1.0
    same = any(run.model == cost.model and run.device == cost.device for run in known.runs)

    def of(stage: str, seconds: float) -> tuple[float, bool]:
        times = measured.factor(known, stage, cost.model, cost.device, cost.profile, cost.size, busy)
        return seconds * (times or default), times is not None and same

    encode, sample, decode = (of(name, getattr(cost, f"{name}_s")) for name in measured.STAGES)
    return replace(
        cost, encode_s=encode[0], sample_s=sample[0],
        decode_s=decode[0], measured=sample[1],
    )  # fmt: skip


def parts(plan: Plan, card: Card, device: str, *, start: bool = False, from_clip: bool = False) -> tuple[Part, ...]:
    """The parts of the work in order, named as in the loop's events, with durations under the machine's present load.
    start: include loading. from_clip: see `evaluations`."""
    if not plan.uses_model:
        return fill_work(plan).parts()
    cost = _expected(plan, card, device, from_clip)
    times = crowd()
    cost = replace(cost, start_s=times * cost.start_s, encode_s=times * cost.encode_s)
    if device == "cpu":
        cost = replace(cost, sample_s=times * cost.sample_s, decode_s=times * cost.decode_s)
    passes = Sampling.of(plan).free_init
    sampled = max(1, sum(span.num_frames for span in plan.spans))
    fills = fill_work(plan).parts() if plan.fill == "both" else ()
    load = [Part("load", cost.start_s)] if start else []
    found = [fills[0]] if fills else load
    in_windows = plan.canvas != "model"
    begin = [Part("prepare", 0.1 * cost.encode_s), Part("encode", 0.9 * cost.encode_s)]
    if not in_windows:
        found += begin
    given = 0
    for index, span in enumerate(plan.spans):
        share = span.num_frames / sampled
        if plan.canvas == "source" and span.start > given:
            found.append(Part("edit", COMPOSITE_S * (span.start - given), index))
            given = span.start
        if fills:  # the model is loaded when something is left to generate
            found += [replace(fills[1], seconds=share * fills[1].seconds, span=index), *(load if index == 0 else ())]
        if in_windows:
            found += [replace(part, seconds=part.seconds / len(plan.spans)) for part in begin]
        for number in range(passes):
            place = index if in_windows else index * passes + number
            found.append(Part("sample", cost.sample_s * share / passes, place))
        found.append(Part("decode", cost.decode_s * share, index if in_windows else (index + 1) * passes - 1))
        if plan.canvas == "upscale":
            found.append(Part("edit", COMPOSITE_S * span.num_frames, index))
    if plan.canvas == "source":
        found.append(Part("edit", COMPOSITE_S * max(1, plan.frames - given), len(plan.spans)))
    for step in plan.by_model:
        found += parts(step, store.find(step.model), device, from_clip=True)
    return tuple(found)


def _rate(device: str) -> float:
    """TFLOP/s of a GPU by its name, of "cpu" or of "mps"."""
    if device == "cpu":
        return measured.cpu_tflops(EFFICIENCY)
    if device == "mps":
        return APPLE
    words = re.findall(r"[A-Z0-9]+", device.upper())
    return next((TFLOPS[word] for word in words if word in TFLOPS), OTHER_GPU)


def device_name(device: str | None = None) -> str:
    """The name of a device in estimates and manifests: "cpu", "mps", or the driver's name of a GPU.

    device: as for `load` ("cuda", "cuda:1", "mps", "cpu"; None: the best of this machine), or such a name.
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
    """The device of `load(device=None)`: the first GPU's name, else "mps" on Apple silicon, else "cpu"."""
    if gpus := visible_gpus():
        return gpus[0]
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


@cache
def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that torch would find, in the order of CUDA_VISIBLE_DEVICES; none with a CPU build of torch.
    Calls `nvidia-smi`, not torch."""
    with suppress(PackageNotFoundError):
        if version("torch").endswith("+cpu"):
            return ()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen == "":
        return ()
    gpus = listed_gpus()
    if chosen is None:
        return tuple(gpu.name for gpu in gpus)
    found = []
    for word in map(str.strip, chosen.split(",")):
        named = [gpu.name for gpu in gpus if word == gpu.index or gpu.uuid.startswith(word or "-")]
        if not named:  # CUDA stops at the first unknown device
            break
        found.append(named[0])
    return tuple(found)


@dataclass(frozen=True)
class ListedGpu:
    """A GPU as its driver lists it. memory_gb: in 10^9 bytes; None if it is not told."""

    index: str
    uuid: str
    name: str
    memory_gb: float | None


@cache
def listed_gpus() -> tuple[ListedGpu, ...]:
    """The GPUs of this machine, by `nvidia-smi`."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return ()
    found = []
    for line in lines:
        if line.count(",") < 2:
            continue
        index, uuid, rest = (part.strip() for part in line.split(",", 2))
        name, _, memory = rest.rpartition(",")
        told = bool(name) and memory.strip().isdecimal()
        memory_gb = int(memory) * 2**20 / 1e9 if told else None
        found.append(ListedGpu(index, uuid, name.strip() if told else rest, memory_gb))
    return tuple(found)
