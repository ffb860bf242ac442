"""kinema-mini-wan: the first miniature, an AutoencoderKLWan, a UMT5 encoder and a WanVACETransformer3DModel on Toyland.

    python recipes/mini_wan.py --device cpu --minutes 100 --out runs/mini_wan            # every stage in turn
    python recipes/mini_wan.py --stage vae --minutes 45 --out runs/mini_wan --resume     # one stage, continued

Stages: clips (render), vae, cache (latents of clips and controls), video (transformer and text encoder), export
(weights and sheets of the latest checkpoint), card (export, scores and sheets).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanVACEPipeline, WanVACETransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_SMALL, World, sample_scene
from kinema.training.decoder import DecoderTask
from kinema.training.export import export_pipeline
from kinema.training.latents import LatentStore, write_latents
from kinema.training.loop import LoopConfig, load_averaged, train
from kinema.training.samples import Sampler, measure_samples, task_sheet, text_sheet
from kinema.training.store import ClipStore, write_shards
from kinema.training.vae import VaeTask, initialize, measure_vae, set_latent_statistics
from kinema.training.video import VideoTask, initialize_transformer
from kinema.training.words import build_tokenizer

FRAMES, SIDE, FPS, TOKENS, BATCH = 17, 64, 8.0, 64, 32
STEPS, GUIDANCE = 20, 3.0
CAPTIONS = 20_000
HELD_OUT = 10_000_000
"""Seeds from here on are never trained on."""


def world() -> World:
    """The part of Toyland that two CPU cores can teach in an hour: six kinds of objects, flat style, calm weather."""
    return replace(
        WORLD_SMALL, kinds=("ball", "square", "triangle", "star", "heart", "car"), styles=("flat",), weathers=("none",),
        two_actors=0.1, moving_camera=0.1, some_change=0.05, some_spin=0.05,
    )  # fmt: skip


def vae_config() -> dict:
    """Eight times in space, four in time, sixteen latent channels. Four levels without patches, because the published
    pipeline reads the spatial factor from the number of levels; time is halved first, which is cheapest."""
    return {
        "base_dim": 8, "decoder_base_dim": 8, "z_dim": 16, "dim_mult": [1, 4, 8, 8], "num_res_blocks": 1,
        "temperal_downsample": [True, True, False], "is_residual": True,
        "scale_factor_spatial": 8, "scale_factor_temporal": 4,
        "latents_mean": [0.0] * 16, "latents_std": [1.0] * 16,
    }  # fmt: skip


def text_config(vocab_size: int) -> UMT5Config:
    return UMT5Config(
        vocab_size=vocab_size, d_model=192, d_kv=48, d_ff=384, num_layers=3, num_heads=4, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False,
    )  # fmt: skip


def transformer_config() -> dict:
    return {
        "patch_size": (1, 2, 2), "num_attention_heads": 4, "attention_head_dim": 48, "in_channels": 16,
        "out_channels": 16, "text_dim": 192, "freq_dim": 256, "ffn_dim": 768, "num_layers": 6,
        "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "vace_layers": [0, 3], "vace_in_channels": 96,
    }  # fmt: skip


def scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


def render_clips(out: Path, num_clips: int, device: str) -> None:
    """Training clips (seeds 0 ...) and 256 held-out ones."""
    size = {"num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "device": device}
    write_shards(out / "held_out", world(), range(HELD_OUT, HELD_OUT + min(256, num_clips)), **size)
    write_shards(out / "clips", world(), range(num_clips), **size)


def train_vae(out: Path, device: str, minutes: float, resume: bool, max_steps: int | None = None) -> dict:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(**vae_config())
    initialize(vae, torch.Generator().manual_seed(0))
    big = device != "cpu"
    task = VaeTask(
        vae, ClipStore(out / "clips"), ClipStore(out / "held_out"), device=device, batch_scale=8 if big else 1
    )
    config = LoopConfig(
        out=out / "vae_run", minutes=minutes, max_steps=max_steps, lr_muon=3.75e-3, lr_adam=1.5e-3, decay_from=0.25,
        final_lr=0.02, device=device, bf16=big, evaluate_minutes=4, resume=resume, ema=0.99,
    )  # fmt: skip
    result = train(task, config, show)
    finish_vae(out, device)
    return result


def train_decoder(out: Path, device: str, minutes: float, resume: bool, max_steps: int | None = None) -> dict:
    """The decoder of out/vae trained on, into out/decoder/vae; cached latents stay valid."""
    vae = AutoencoderKLWan.from_pretrained(out / "vae")
    big = device != "cpu"
    task = DecoderTask(
        vae, ClipStore(out / "clips"), ClipStore(out / "held_out"), device=device, batch_scale=8 if big else 1
    )
    config = LoopConfig(
        out=out / "decoder", minutes=minutes, max_steps=max_steps, lr_muon=2.5e-3, lr_adam=1.0e-3, decay_from=0.4,
        final_lr=0.02, device=device, bf16=big, evaluate_minutes=5, resume=resume, ema=0.995,
    )  # fmt: skip
    result = train(task, config, show)
    vae.to("cpu").save_pretrained(out / "decoder" / "vae")
    return result


def load_vae(out: Path) -> AutoencoderKLWan:
    """The VAE with the averaged weights of its latest checkpoint."""
    vae = AutoencoderKLWan(**vae_config())
    load_averaged(out / "vae_run" / "checkpoint.pt", {"vae": vae})
    return vae.eval()


def finish_vae(out: Path, device: str) -> dict:
    """Averaged weights, latent statistics and held-out scores into out/vae."""
    vae = load_vae(out).to(device)
    store = ClipStore(out / "clips")
    set_latent_statistics(vae, store, device)
    scores = measure_vae(vae, ClipStore(out / "held_out"), device, 96)
    vae.to("cpu").save_pretrained(out / "vae")
    (out / "vae_scores.json").write_text(json.dumps(scores))
    return scores


def cache_latents(out: Path, device: str, limit: int) -> None:
    """Latents of clips and conditions, held-out ones first; shards that exist are kept."""
    vae = AutoencoderKLWan.from_pretrained(out / "vae").eval().to(device)
    write_latents(
        vae, ClipStore(out / "held_out"), world(), out / "latents_held_out", device=device, limit=min(limit, 128)
    )
    write_latents(vae, ClipStore(out / "clips"), world(), out / "latents", device=device, limit=limit)


def parts(out: Path) -> dict:
    """Untrained transformer and text encoder, with the tokenizer of the words of many captions."""
    torch.manual_seed(0)
    captions = (describe(sample_scene(seed, world()), seed) for seed in range(CAPTIONS))
    tokenizer = build_tokenizer(captions, max_length=TOKENS)
    transformer = WanVACETransformer3DModel(**transformer_config())
    initialize_transformer(transformer)
    return {
        "transformer": transformer,
        "text_encoder": UMT5EncoderModel(text_config(len(tokenizer))),
        "tokenizer": tokenizer,
    }


def train_video(out: Path, device: str, minutes: float, resume: bool, max_steps: int | None = None) -> dict:
    models = parts(out)
    shape = (FRAMES, SIDE, SIDE)
    big = device != "cpu"
    task = VideoTask(
        models["transformer"], models["text_encoder"], models["tokenizer"], LatentStore(out / "latents", shape),
        LatentStore(out / "latents_held_out", shape), world(),
        device=device, batch=512 if big else BATCH, tokens=TOKENS,
    )  # fmt: skip
    if big:
        task.transformer.compile(dynamic=False)
    config = LoopConfig(
        out=out / "video_run", minutes=minutes, max_steps=max_steps, lr_muon=2.4e-3, lr_adam=1.2e-3, decay_from=0.5,
        final_lr=0.03, device=device, bf16=big, evaluate_minutes=8, resume=resume, ema=0.996,
    )  # fmt: skip
    result = train(task, config, show)
    result["samples"] = result["step"] * task.batch_size
    (out / "video_scores.json").write_text(json.dumps(result))
    return result


def export(out: Path, folder: Path, vae_folder: Path) -> dict[str, str]:
    """Averaged weights of the latest checkpoints as a diffusers folder; returns the hashes of its weight files.

    vae_folder: out/vae, or that VAE with a decoder that was trained on.
    """
    models = parts(out)
    load_averaged(
        out / "video_run" / "checkpoint.pt",
        {"transformer": models["transformer"], "text_encoder": models["text_encoder"]},
    )
    vae = AutoencoderKLWan.from_pretrained(vae_folder)
    return export_pipeline(folder, vae=vae, scheduler=scheduler(), **models)


def open_sampler(folder: Path) -> Sampler:
    return Sampler(WanVACEPipeline.from_pretrained(folder), steps=STEPS, guidance=GUIDANCE, size=(FRAMES, SIDE, SIDE))


def draw_sheets(out: Path, folder: Path, pictures: Path, count: int = 16) -> None:
    """miniature_text.png and miniature_tasks.png from held-out scenes."""
    sampler, store = open_sampler(folder), ClipStore(out / "held_out")
    text_sheet(sampler, store, world(), pictures / "miniature_text.png", count)
    task_sheet(sampler, store, world(), pictures / "miniature_tasks.png")


def write_card(out: Path, folder: Path, vae_folder: Path, device_name: str, count: int = 24) -> dict:
    """card.json: what it is, how it was made, what it scores."""
    hashes = export(out, folder, vae_folder)
    video = json.loads((out / "video_scores.json").read_text())
    runs = {"vae": last_event(out / "vae_run")}
    if vae_folder != out / "vae":
        runs["decoder"] = last_event(vae_folder.parent)
    sampler, store = open_sampler(folder), ClipStore(out / "held_out")
    measured = measure_samples(sampler, store, world(), count)
    card = {
        "name": "kinema-mini-wan",
        "family": "wan",
        "license": "Apache-2.0",
        "architecture": {
            "pipeline": "WanVACEPipeline", "vae": {k: v for k, v in vae_config().items() if "latents" not in k},
            "transformer": transformer_config(),
            "text_encoder": {"class": "UMT5EncoderModel", "d_model": 192, "layers": 3},
            "parameters": {"vae": 0, "transformer": 0, "text_encoder": 0},
        },
        "recipe": "recipes/mini_wan.py",
        "world": asdict(world()),
        "native": {"frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "max_sequence_length": TOKENS},
        "recommended": {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "flow_shift": 3.0},
        "training": {
            "device": device_name,
            "clips": video["clips"],
            **{name: {"steps": run["step"], "seconds": run["seconds"]} for name, run in runs.items()},
            "video": {"steps": video["step"], "seconds": video["train_seconds"], "samples": video["samples"]},
        },
        "scores": {
            "held_out_from_seed": HELD_OUT,
            "vae": measure_vae(sampler.pipeline.vae, store, max_clips=96),
            "flow_loss": video["losses"],
            "flow_loss_with_path_t0.8": video["dots_t0.8"],
            "word_swap_percent_t0.8": video["swap_percent"],
            **measured,
        },
        "weights_sha256": hashes,
    }  # fmt: skip
    for name in ("vae", "transformer", "text_encoder"):
        part = getattr(sampler.pipeline, name)
        card["architecture"]["parameters"][name] = sum(p.numel() for p in part.parameters())
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def last_event(run: Path) -> dict:
    """The last line of a run's events."""
    return json.loads((run / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1])


def show(event: dict) -> None:
    print(json.dumps(event), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=100.0, help="for the stage, or for all of them together")
    parser.add_argument("--out", type=Path, required=True)
    stages = ("clips", "vae", "decoder", "cache", "video", "export", "card", "all")
    parser.add_argument("--stage", choices=stages, default="all")
    parser.add_argument("--clips", type=int, default=None, help="default: 60 for each minute")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--folder", type=Path, default=None, help="where to export; default OUT/export")
    parser.add_argument("--vae", type=Path, default=None, help="VAE to export; default OUT/vae")
    parser.add_argument("--device-name", default="unknown", help="for the card")
    parser.add_argument("--pictures", type=Path, default=None, help="where contact sheets go; default OUT/sheets")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1 if options.device == "cpu" else 8)
    out, device, started = options.out, options.device, time.monotonic()
    folder, stage = options.folder or out / "export", options.stage
    vae_folder = options.vae or out / "vae"
    clips_measured = 24 if options.minutes >= 10 else 2
    clips = options.clips or max(64, int(60 * options.minutes))
    share = {"vae": 0.4, "video": 0.45} if stage == "all" else {"vae": 1.0, "video": 1.0}
    if stage in ("clips", "all"):
        render_clips(out, clips, device)
    if stage in ("vae", "all"):
        show(train_vae(out, device, options.minutes * share["vae"], options.resume))
    if stage in ("cache", "all"):
        cache_latents(out, device, clips)
    if stage in ("video", "all"):
        show(train_video(out, device, options.minutes * share["video"], options.resume))
    if stage == "decoder":
        show(train_decoder(out, device, options.minutes, options.resume))
    if stage == "export":
        export(out, folder, vae_folder)
        draw_sheets(out, folder, options.pictures or out / "sheets", min(16, clips_measured))
    if stage in ("card", "all"):
        show(write_card(out, folder, vae_folder, options.device_name, clips_measured)["scores"])
        draw_sheets(out, folder, options.pictures or out / "sheets", min(16, clips_measured))
    print(f"done in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
