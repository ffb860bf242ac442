"""The errors of curation_value.py with many clips in a minute of a core: no files, no curation (the kept clips are the
good ones by construction), a training loop of its own.

    python benchmarks/curation_value_errors.py [--count 64] [--steps 48] [--errors 32] [--seeds 0,1]
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kinema.training.core.frozen import freeze_except
from kinema.training.tasks import lora
from kinema.training.tasks.flow import draw_times, mix

sys.path.insert(0, str(Path(__file__).parent))
from curation_value import LEVELS, Errors, heap, shown

BATCH, LR = 8, 0.004


def small(frames_FHWC: np.ndarray) -> np.ndarray:
    pictures = (Image.fromarray(np.ascontiguousarray(frame)) for frame in frames_FHWC)
    return np.stack([np.asarray(picture.resize((64, 64), Image.Resampling.BOX)) for picture in pictures])


def trained(errors: Errors, x_NCTHW: torch.Tensor, states: torch.Tensor, rows: list[int], steps: int, seed: int) -> Any:
    """The LoRA layers after `steps` batches of the clips `rows`."""
    network = errors.learner.network
    torch.manual_seed(seed)
    for module in network.modules():
        if hasattr(module, "lora_A") and lora.NAME in module.lora_A:
            torch.nn.init.kaiming_uniform_(module.lora_A[lora.NAME].weight, a=math.sqrt(5))
            torch.nn.init.zeros_(module.lora_B[lora.NAME].weight)
    freeze_except(network, lora.is_trained)
    weights = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=LR, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    context = errors.extra["control_hidden_states"].expand(BATCH, -1, -1, -1, -1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / 10) * min(1, (steps - step) / (0.6 * steps) + 0.03)
        index = torch.tensor(rows)[torch.randint(len(rows), (BATCH,), generator=generator)]
        times, x = draw_times(BATCH, 0.8, generator), x_NCTHW[index]
        noisy, target = mix(x, torch.randn(x.shape, generator=generator), times)
        predicted = network(
            hidden_states=noisy, timestep=1000 * times, encoder_hidden_states=states[index], return_dict=False,
            control_hidden_states=context,
        )[0]  # fmt: skip
        loss = (predicted - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return lora.layers(network)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="good clips, and as many bad ones")
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--errors", type=int, default=32, help="clips of the errors")
    parser.add_argument("--seeds", default="0")
    given = parser.parse_args()
    torch.set_num_threads(1)
    errors = Errors(given.errors)
    clips = list(heap(given.count))
    latents = torch.stack([errors.learner.encode(small(frames)) for _, _, frames in clips]).transpose(1, 2).float()
    states = errors.learner.states([caption for _, caption, _ in clips])
    rows = {
        "the heap": list(range(len(clips))),
        "the good clips": [n for n, clip in enumerate(clips) if clip[0] == "good"],
    }
    for seed in map(int, given.seeds.split(",")):
        found = {
            name: errors.of(trained(errors, latents, states, row, given.steps, seed)) for name, row in rows.items()
        }
        for name, by_clip in found.items():
            print(
                f"| {name}, seed {seed} | " + " | ".join(shown(by_clip[:, k], 1, 3) for k in range(len(LEVELS))) + " |"
            )
        gap = found["the good clips"] / found["the heap"] - 1
        print("| difference, % | " + " | ".join(shown(gap[:, k], 100) for k in range(len(LEVELS))) + " |", flush=True)


if __name__ == "__main__":
    main()
