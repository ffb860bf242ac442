"""Peak memory of decoding long clips in slices: V5.1's autoencoder and the paper's slice autoencoder, random weights.

    python benchmarks/easyanimate_memory.py             # 49 and 145 frames (AutoencoderKLMagvit: 4n + 1; paper: 8n + 1)
    python benchmarks/easyanimate_memory.py --side 256

Each decoding runs in a process of its own. Peak: of the process, less what it held before the decoding (resident
memory, VmHWM is reset in between where the system allows it). "whole": diffusers' decode, or the paper's in one piece.
"Difference": of a slice decoded by Kinema from the library's frames.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FRAMES = (49, 145)
MODELS = ("v5.1", "paper")
WAYS = ("slices", "whole")
PROC = Path("/proc/self")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="of the frames, px")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--slices-only", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measured(*json.loads(args.child))))
        return
    print(f"frames of {args.side}x{args.side}, MiB above what is loaded, one thread", flush=True)
    for model in args.models:
        for way in WAYS[:1] if args.slices_only else WAYS:
            short, long = (child(model, way, frames, args.side) for frames in FRAMES)
            print(
                f"{model}, {way}: {FRAMES[0]} frames {short['mib']:.0f}, {FRAMES[1]} frames {long['mib']:.0f}, "
                f"ratio {long['mib'] / short['mib']:.2f}; {short['seconds']:.1f} and {long['seconds']:.1f} CPU s; "
                f"largest difference {max(short['difference'], long['difference']):.1e}",
                flush=True,
            )


def child(model: str, way: str, frames: int, side: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", json.dumps([model, way, frames, side])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(model: str, way: str, frames: int, side: int) -> dict[str, float]:
    """Memory and time of a decoding; for slices, the difference of some frames from the library's."""
    import time

    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    vae, library, z = built(model, frames, side)
    decode = sliced(model) if way == "slices" else whole(model)
    with torch.no_grad():
        before, began = reset(), time.process_time()
        kept = [pixels[0, :, :, :4, :4].clone() for pixels in decode(vae if way == "slices" else library, z)]
        seconds, peak = time.process_time() - began, status("VmHWM")
        difference = 0.0
        if way == "slices":
            theirs = next(iter(whole(model)(library, z[:, :, :5])))[0, :, :, :4, :4]
            ours = torch.cat(kept, 1)[:, : theirs.shape[1]]
            count = 17 if model == "v5.1" else 9  # the paper's last slice looks at its neighbour
            difference = float((ours - theirs)[:, :count].abs().max())
    return {"mib": (peak - before) / 2**20, "seconds": seconds, "difference": difference}


def built(model: str, frames: int, side: int) -> tuple[Any, Any, Any]:
    """An autoencoder of a few million parameters, as Kinema runs it and as it is, and latents."""
    import copy

    import torch

    latents = torch.randn(1, 16, (frames - 1) // 4 + 1, side // 8, side // 8)
    if model == "paper":
        from kinema.families.easyanimate.paper.slice_vae import SliceVae

        paper = SliceVae(latent_channels=16, channels=(32, 64, 96), patch=2).eval()
        return paper, paper, latents
    from diffusers import AutoencoderKLMagvit

    from kinema.families.easyanimate import autoencoder

    vae = AutoencoderKLMagvit(block_out_channels=(32, 64, 96, 96), layers_per_block=2, norm_num_groups=8).eval()
    library = copy.deepcopy(vae)
    autoencoder.prepare(vae, torch.device("cpu"))
    return vae, library, latents


def sliced(model: str) -> Any:
    from kinema.families.easyanimate import autoencoder

    return autoencoder.decode if model == "v5.1" else lambda vae, z: vae.decode_slices(z)


def whole(model: str) -> Any:
    def decode(vae: Any, z: Any) -> Any:
        scale = vae.config.scaling_factor if model == "v5.1" else 1.0
        yield vae.decode(z / scale).sample

    return decode


def reset() -> int:
    """Set the peak of this process back to what it holds now; returns that, in bytes."""
    with contextlib.suppress(OSError):
        (PROC / "clear_refs").write_text("5")
    return status("VmRSS")


def status(name: str) -> int:
    line = next(line for line in (PROC / "status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main()
