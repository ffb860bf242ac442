"""Speed and memory of networks with the published configurations on a GPU, with random weights.

    python benchmarks/true_shapes.py [--only zeroscope svd wan film] [--device cuda] [--steps 4] [--small]

Denoisers and VAEs have the published configurations; text and image encoders have one layer and the published width
(their share of the time is small). Each model is written to a folder, loaded with `kinema.load` and run by the engine
like any checkpoint. Prints the seconds for loading, per step (median, both branches of guidance) and for decoding, and
the peak device memory. --small: tiny sizes, to test this program.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinema
from kinema.core.events import Event, Progress

MINIATURES = Path(kinema.__file__).parent / "miniatures"


def autoencoder(kind: str, small: bool) -> Any:
    import diffusers

    widths = (32, 32, 64, 64) if small else (128, 256, 512, 512)
    ups = {} if kind == "AutoencoderKLTemporalDecoder" else {"up_block_types": ("UpDecoderBlock2D",) * 4}
    return getattr(diffusers, kind)(
        block_out_channels=widths, down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=2, **ups
    )


def clip_words(width: int) -> dict[str, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(MINIATURES / "mini_image" / "tokenizer", trust_remote_code=False)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width * 4, num_hidden_layers=1,
        num_attention_heads=8, max_position_embeddings=tokenizer.model_max_length,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": CLIPTextModel(config)}


def zeroscope(folder: Path, small: bool) -> dict[str, Any]:
    from diffusers import DDIMScheduler, UNet3DConditionModel
    from diffusers.pipelines.deprecated.text_to_video_synthesis import TextToVideoSDPipeline

    width = 64 if small else 1024
    shape: dict[str, Any] = {"block_out_channels": (32, 32, 64, 64)} if small else {}
    unet = UNet3DConditionModel(cross_attention_dim=width, attention_head_dim=32 if small else 64, **shape)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    TextToVideoSDPipeline(
        unet=unet.half(), vae=autoencoder("AutoencoderKL", small).half(), scheduler=scheduler, **clip_words(width)
    ).save_pretrained(folder)
    return {"prompt": "a ball rolls", "width": 64 if small else 576, "height": 64 if small else 320, "frames": 24}


def svd(folder: Path, small: bool) -> dict[str, Any]:
    from diffusers import StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
    from PIL import Image
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    from kinema.families.svd.single_file import CLIP_MEAN, CLIP_STD, _scheduler

    width = 64 if small else 1024
    shape: dict[str, Any] = {}
    if small:
        shape = {
            "block_out_channels": (32, 32, 64, 64), "num_attention_heads": (1, 1, 2, 2), "cross_attention_dim": width,
            "num_frames": 25,
        }  # fmt: skip
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=width, intermediate_size=width, num_hidden_layers=1, num_attention_heads=8, patch_size=14,
            image_size=224, projection_dim=width,
        )
    )  # fmt: skip
    StableVideoDiffusionPipeline(
        vae=autoencoder("AutoencoderKLTemporalDecoder", small).half(), image_encoder=vision.half(),
        unet=UNetSpatioTemporalConditionModel(**shape).half(), scheduler=_scheduler(),
        feature_extractor=CLIPImageProcessorPil(image_mean=CLIP_MEAN, image_std=CLIP_STD),
    ).save_pretrained(folder)  # fmt: skip
    picture = folder / "picture.png"
    Image.fromarray(np.full((64, 112, 3), 120, dtype=np.uint8)).save(picture)
    return {"image": str(picture), "width": 64 if small else 1024, "height": 64 if small else 576, "frames": 25}


def wan(folder: Path, small: bool) -> dict[str, Any]:
    """Wan 2.1 VACE 1.3B."""
    from diffusers import (
        AutoencoderKLWan,
        UniPCMultistepScheduler,
        WanVACEPipeline,
        WanVACETransformer3DModel,
    )
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    width = 64 if small else 4096
    shape: dict[str, Any] = {"num_layers": 30, "vace_layers": list(range(0, 30, 2)), "ffn_dim": 8960}
    if small:
        shape = {"num_layers": 2, "vace_layers": [0], "ffn_dim": 64}
    transformer = WanVACETransformer3DModel(
        num_attention_heads=1 if small else 12, attention_head_dim=128, text_dim=width, vace_in_channels=96, **shape
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MINIATURES / "mini_wan" / "tokenizer", trust_remote_code=False)
    text = UMT5EncoderModel(
        UMT5Config(vocab_size=len(tokenizer), d_model=width, d_kv=64, d_ff=width, num_layers=1, num_heads=8)
    )
    WanVACEPipeline(
        transformer=transformer.bfloat16(), vae=AutoencoderKLWan(base_dim=16 if small else 96), tokenizer=tokenizer,
        text_encoder=text.bfloat16(), scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=5.0
        ),
    ).save_pretrained(folder)  # fmt: skip
    size = {"width": 64, "height": 64, "frames": 17} if small else {"width": 832, "height": 480, "frames": 81}
    return {"prompt": "a ball rolls", **size}


MAKERS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {"zeroscope": zeroscope, "svd": svd, "wan": wan}


def diffusion(name: str, args: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        with torch.device(args.device):
            fields = MAKERS[name](folder, args.small)
        started = time.perf_counter()
        engine = kinema.load(str(folder), device=args.device)
        _wait(args.device)
        opened = time.perf_counter() - started
        if args.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        marks: list[float] = []
        decoding = [0.0]

        def watch(event: Event | Progress) -> None:
            if isinstance(event, Progress) and event.stage == "sample":
                _wait(args.device)
                marks.append(time.perf_counter())
            if isinstance(event, Progress) and event.stage == "decode":
                decoding.append(time.perf_counter())

        plan = engine.plan(kinema.Request(steps=args.steps, seed=1, profile="exact"), **fields)
        frames = sum(len(chunk.frames) for chunk in engine.stream(plan, on_event=watch))
        steps = [after - before for before, after in pairwise(marks)]
        peak = torch.cuda.max_memory_allocated() / 2**30 if args.device != "cpu" else float("nan")
        return (
            f"{name:10s} {plan.width}x{plan.height}x{frames}: loading {opened:.1f} s, "
            f"per step {statistics.median(steps):.3f} s, decoding {decoding[-1] - marks[-1]:.1f} s, peak {peak:.1f} GiB"
        )


def film(args: argparse.Namespace) -> str:
    """The published FILM: 48 new frames."""
    from kinema.post.film.between import FilmBetween
    from kinema.post.film.config import MINI, PUBLISHED
    from kinema.post.film.network import FilmNetwork

    with torch.device(args.device):
        network = FilmNetwork(MINI if args.small else PUBLISHED).eval()
    between = FilmBetween(network, args.device)
    height, width = (64, 64) if args.small else (320, 576)
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 255, (2, height, width, 3), dtype=np.uint8)
    between(first, second, [Fraction(1, 2)])
    _wait(args.device)
    started = time.perf_counter()
    for _ in range(1 if args.small else 48):
        between(first, second, [Fraction(1, 2)])
    _wait(args.device)
    return f"film       {width}x{height}: 48 new frames {time.perf_counter() - started:.2f} s"


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[*MAKERS, "film"], default=[*MAKERS, "film"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    for name in args.only:
        try:
            print(film(args) if name == "film" else diffusion(name, args), flush=True)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            if args.small:
                raise


if __name__ == "__main__":
    main()
