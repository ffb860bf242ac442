"""Train kinema-mini-clip: a tiny CLIP for Toyland's words and pictures, on one CPU core.

    kinema train recipes/mini_clip.py --minutes 40 --out runs/clip
    kinema train recipes/mini_clip.py --minutes 40 --out runs/clip --resume

A `CLIPModel` of transformers, so that the code of published CLIPs runs it. It starts from the text encoder of
kinema-mini-image and the image encoder of kinema-mini-svd, whose patches and positions are resized to pictures of
64 x 64 in patches of 8. `--set start=FOLDER` continues from a finished one.

Stages: pictures (twins: scenes that differ in one attribute), clip, export (a transformers folder and card.json).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextModel,
    CLIPVisionModelWithProjection,
)

from kinema.evaluation.cases import HELD_OUT
from kinema.evaluation.degrade import degrade
from kinema.toyland.scene import WORLD, WORLD_MINI
from kinema.training.core import processes, run_folder
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import train
from kinema.training.core.stages import Settings, Stage
from kinema.training.tasks.clip import ClipTask, TwinPictures
from kinema.training.tasks.export import edit_json
from kinema.weights.store import digests

sys.path.insert(0, str(Path(__file__).parent))
from run_of_recipe import RecipeRun

SIDE, PATCH, LAYERS = 64, 8, 4
PAIRS, HELD_OUT_PAIRS = 4000, 320
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
WORLDS = (WORLD, replace(WORLD, detail="plain"), WORLD_MINI)


def stages(settings: Settings) -> list[Stage]:
    work = MiniClip(settings)
    return [
        Stage("pictures", 0.08, work.pictures), Stage("clip", 0.92, work.clip), Stage("export", 0.0, work.export),
    ]  # fmt: skip


class MiniClip(RecipeRun):
    def __init__(self, settings: Settings):
        super().__init__(settings)
        start = settings.options.get("start")
        self.start = None if start is None else Path(start)

    def pictures(self, minutes: float) -> dict[str, Any]:
        """Write OUT/twins.npy and OUT/held_out.npy."""
        if processes.first():
            self.twins(), self.held_out()
        processes.wait()
        return {}

    def twins(self) -> TwinPictures:
        return TwinPictures(
            self.out / "twins.npy", WORLDS, range(PAIRS if self.full else 20), side=SIDE,
            report=lambda done, total: self.settings.budget.report("rendering", done, total),
        )  # fmt: skip

    def held_out(self) -> TwinPictures:
        seeds = range(HELD_OUT, HELD_OUT + (HELD_OUT_PAIRS if self.full else 10))
        return TwinPictures(self.out / "held_out.npy", WORLDS, seeds, side=SIDE)

    def parts(self) -> tuple[CLIPModel, Any]:
        """The initial model and its tokenizer."""
        if self.start is not None:
            model = CLIPModel.from_pretrained(self.start, dtype=torch.float32, trust_remote_code=False)
            return model, AutoTokenizer.from_pretrained(self.start, trust_remote_code=False)
        return initial()

    def clip(self, minutes: float) -> dict[str, Any]:
        model, tokenizer = self.parts()
        task = ClipTask(
            model, tokenizer, self.twins(), self.held_out(), mean=MEAN, std=STD, device=self.device,
            pairs=(256 if self.big else 48 if self.full else 4) // processes.count(), damage=degrade,
        )  # fmt: skip
        slower = 1.0 if self.start is None else 0.5
        config = self.config("clip_run", minutes, lr_muon=2e-3 * slower, lr_adam=8e-4 * slower, ema=0.99, bf16=False)
        return train(task, config, self.settings.show) | {"samples": task.samples}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: weights in float16, tokenizer, image processor, and card.json with the training record."""
        if not processes.first():
            return {}
        model, tokenizer = self.parts()
        load_averaged(self.out / "clip_run" / "checkpoint.pt", {"clip": model})
        folder = self.out / "export"
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        processor().save_pretrained(folder)
        edit_json(folder / "config.json", _name_or_path=None)
        card = {
            "name": "kinema-mini-clip", "license": "Apache-2.0", "recipe": "recipes/mini_clip.py",
            "knows": "Toyland's words and pictures, nothing else",
            "parameters": sum(each.numel() for each in model.parameters()),
            "started_from": "kinema-mini-image (text), kinema-mini-svd (pictures)",
            "training": {
                "device": self.settings.device_name, "processes": processes.count(),
                "stages": run_folder.read(self.out).done,
            },
            "weights_sha256": digests(folder),
        }  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        return {"folder": str(folder)}


def processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(
        size={"height": SIDE, "width": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_center_crop=False,
        image_mean=MEAN, image_std=STD,
    )  # fmt: skip


def initial() -> tuple[CLIPModel, Any]:
    """The model with the weights of the shipped encoders, and the tokenizer of kinema-mini-image."""
    torch.manual_seed(0)
    folder = Path(str(files("kinema"))) / "miniatures"
    text = CLIPTextModel.from_pretrained(
        folder / "mini_image" / "text_encoder", dtype=torch.float32, trust_remote_code=False
    )
    vision = CLIPVisionModelWithProjection.from_pretrained(
        folder / "mini_svd" / "image_encoder", dtype=torch.float32, trust_remote_code=False
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "mini_image" / "tokenizer", trust_remote_code=False)
    seen = of_part(vision.config) | {"image_size": SIDE, "patch_size": PATCH, "num_hidden_layers": LAYERS}
    config = CLIPConfig(
        text_config=of_part(text.config), vision_config=seen, projection_dim=vision.config.projection_dim
    )
    model = CLIPModel(config)
    model.text_model.load_state_dict(inner(text))
    state = {name.removeprefix("vision_model."): value for name, value in vision.state_dict().items()}
    model.visual_projection.load_state_dict({"weight": state.pop("visual_projection.weight")})
    state["embeddings.patch_embedding.weight"] = resized(state["embeddings.patch_embedding.weight"])
    place, grid = state["embeddings.position_embedding.weight"], SIDE // PATCH
    old = round((len(place) - 1) ** 0.5)
    square = place[1:].T.reshape(1, -1, old, old)
    square = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    state["embeddings.position_embedding.weight"] = torch.cat([place[:1], square.flatten(2)[0].T])
    state.pop("embeddings.position_ids", None)
    missing, unknown = model.vision_model.load_state_dict(state, strict=False)
    assert not unknown and all(f"layers.{LAYERS - 1}." in name for name in missing), (missing, unknown)
    with torch.no_grad():  # the added layer changes nothing at first
        last = model.vision_model.encoder.layers[LAYERS - 1]
        for part in (last.self_attn.out_proj, last.mlp.fc2):
            part.weight.mul_(0.1)
    return model, tokenizer


def of_part(config: Any) -> dict[str, Any]:
    """A part's configuration without the folder and class that it was read as."""
    return {name: value for name, value in config.to_dict().items() if name not in ("_name_or_path", "architectures")}


def inner(text: CLIPTextModel) -> dict[str, Tensor]:
    """The state of a text model with the names that it has inside a CLIPModel."""
    return {name.removeprefix("text_model."): value for name, value in text.state_dict().items()}


def resized(weight_DCHW: Tensor) -> Tensor:
    """The patch embedding for smaller patches: the same answer for a flat picture, nearly so for a smooth one."""
    share = (weight_DCHW.shape[-1] / PATCH) ** 2
    return F.interpolate(weight_DCHW, (PATCH, PATCH), mode="area") * share
