"""What the parts of EasyAnimate's paper (arXiv 2405.18991) are worth, in small: motion modules (in both forms), long
skips, features shared between slices, each with as many steps on the same Toyland clips.

    python benchmarks/easyanimate_ablation.py --steps 400 --out runs/easyanimate_ablation
    python benchmarks/easyanimate_ablation.py --steps 400 --vae runs/mini_easyanimate/vae --tables transformer

"held-out error": of the velocity, on clips that were not trained on, mean of three noise levels. "object", "colour",
"place": per cent of sampled clips whose attribute is as asked. "change": how much neighbouring frames of samples
differ, relative to true clips (1: as much; more is flicker). "seam": change of the error between slices,
relative to that inside them (1: no seam).
Every row of a table has the same clips, noise, seed and number of steps. The transformers use
the latents of one autoencoder: --vae, or the row "shared". Prints tables; writes OUT/ablation.json and sheets.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kinema.evaluation.cases import HELD_OUT
from kinema.toyland.caption import describe
from kinema.toyland.scene import sample_scene
from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.sheets import sheet, strip
from kinema.training.data import cogvideox_codec
from kinema.training.data.captioner import Captioner, toyland_captions
from kinema.training.data.clip_latents import write_clip_latents
from kinema.training.data.frame_latents import FrameLatents
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.tasks.easyanimate import HELD_OUT_TIMES, EasyAnimateTask
from kinema.training.tasks.flow import guided, sample
from kinema.training.tasks.slice_vae import SliceVaeTask, scale_slice_latents
from kinema.training.tasks.tiny_decoder import to_bytes

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
from mini_easyanimate_networks import FPS, FRAMES, GUIDANCE, SHIFT, SIDE, WORLD, new_parts, new_vae, open_vae
from mini_wan_judge import percent, right

PICKS = (0, 4, 8, 12, 16)
AUTOENCODERS: dict[str, dict[str, Any]] = {"shared": {}, "not shared": {"share": False}}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "all parts": {}, "grid motion modules": {"motion": "grid"}, "no motion modules": {"motion": None},
    "no long skips": {"skips": False},
}  # fmt: skip
TABLES = ("autoencoder", "transformer")


class Parts:
    """The clips and settings of all rows. given: the command's options."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.out = given, given.out
        size: dict[str, Any] = {"num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS}
        write_shards(self.out / "held_out", WORLD, range(HELD_OUT, HELD_OUT + given.held_out), **size)
        write_shards(self.out / "clips", WORLD, range(given.clips), **size)
        self.store, self.held_out = ClipStore(self.out / "clips"), ClipStore(self.out / "held_out")

    def config(self, name: str, muon: float, adam: float) -> LoopConfig:
        return LoopConfig(
            out=self.out / name, max_steps=self.given.steps, lr_muon=muon, lr_adam=adam, seed=self.given.seed,
            ema=0.98, warmup_steps=20, evaluate_minutes=1e9, bf16=self.given.bf16, decay_from=0.4,
        )  # fmt: skip

    def autoencoder(self, title: str) -> dict[str, Any]:
        """Train one on slices, all of it, and measure it; it is saved."""
        vae, began = new_vae(**AUTOENCODERS[title]), time.process_time()
        task = SliceVaeTask(vae, self.store, self.held_out, phase="slices", num_held_out=self.given.held_out)
        train(task, self.config(f"vae_{title}", 3.75e-3, 1.5e-3))
        found = task.evaluate(0)
        scale_slice_latents(vae, self.store, num_clips=64)
        vae.save_pretrained(self.out / f"vae_{title}" / "vae")
        kept = ("psnr_db", "psnr_objects_db", "seam")
        return {name: found[name] for name in kept} | {"processor_s": round(time.process_time() - began, 1)}

    def transformer(self, title: str, vae: Any) -> dict[str, Any]:
        began, parts = time.process_time(), new_parts(**TRANSFORMERS[title])
        words = Captioner(parts["tokenizer"], parts["text_encoder"], toyland_captions(WORLD))
        clips, held_out = FrameLatents(self.out / "latents"), FrameLatents(self.out / "latents_held_out")
        task = EasyAnimateTask(parts["transformer"], words, clips, held_out, phase="video", batch=self.given.batch)
        train(task, self.config(title.replace(" ", "_"), 2.4e-3, 1.2e-3))
        with torch.no_grad():
            errors = task.evaluate(0)
            return {
                "held_out_error": sum(errors[f"error_{each}"] for each in HELD_OUT_TIMES) / len(HELD_OUT_TIMES),
                **self.samples(title, task, words, vae), "parameters": parts["transformer"].num_parameters(),
                "processor_s": round(time.process_time() - began, 1),
            }  # fmt: skip

    def samples(self, title: str, task: EasyAnimateTask, words: Captioner, vae: Any) -> dict[str, float]:
        """Sample clips of held-out captions and read them."""
        count = min(self.given.samples, len(self.held_out))
        scenes = [sample_scene(self.held_out.seed(index), WORLD) for index in range(count)]
        captions = [describe(scene, 0) for scene in scenes]
        latents = task.held_out.latents
        shape = (count, latents.shape[2], latents.shape[1], *latents.shape[3:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(self.given.seed))

        def velocity(x: torch.Tensor, sigma_B: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
            return task.predict(x, sigma_B.float(), states).float()

        states = words.embed(captions), words.embed([""] * count)
        clean = sample(guided(velocity, GUIDANCE), noise, states, self.given.sampling, SHIFT)
        made = to_bytes(cogvideox_codec.decode(vae, clean)).permute(0, 2, 3, 4, 1)
        true, _ = self.held_out.take(list(range(count)))
        change = made.float().diff(dim=1).abs().mean() / true.float().diff(dim=1).abs().mean()
        rows = [(text, [strip(clip.numpy(), PICKS)]) for text, clip in zip(captions, made, strict=True)]
        sheet(rows[:12], self.out / f"{title.replace(' ', '_')}.png", columns=2)
        found = percent([right(clip.numpy(), scene, WORLD) for clip, scene in zip(made, scenes, strict=True)])
        names = {"object": "object", "color": "colour", "background": "place"}
        return {names[name]: value for name, value in found.items() if name in names} | {"change": float(change)}

    def encoded(self) -> Any:
        """The autoencoder of the transformers, with its latents of all clips."""
        vae = open_vae(self.given.vae or self.out / "vae_shared" / "vae")
        write_clip_latents(vae, self.held_out, self.out / "latents_held_out")
        write_clip_latents(vae, self.store, self.out / "latents")
        return vae


def table(name: str, rows: dict[str, dict[str, Any]]) -> str:
    """A table in Markdown."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {name} | " + " | ".join(columns).replace("_", " ") + " |", "|---" * (len(columns) + 1) + "|"]
    for title, row in rows.items():
        shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append(f"| {title} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/easyanimate_ablation"))
    parser.add_argument("--vae", type=Path, help="folder of a trained autoencoder for the transformers")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 where that is safe")
    for name, default in (
        ("steps", 400), ("clips", 1024), ("held-out", 48), ("samples", 48), ("batch", 32), ("sampling", 15),
        ("seed", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args(arguments)
    if "autoencoder" not in given.tables and not given.vae:
        parser.error("--tables transformer alone needs --vae")
    torch.set_num_threads(1)
    run, result = Parts(given), {"steps": given.steps, "seed": given.seed}
    for name in given.tables:
        if name == "autoencoder":
            rows = {title: run.autoencoder(title) for title in AUTOENCODERS}
        else:
            vae = run.encoded()
            rows = {title: run.transformer(title, vae) for title in TRANSFORMERS}
        result[name] = rows
        print(f"\n{table(name, rows)}\n", flush=True)
    (given.out / "ablation.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
