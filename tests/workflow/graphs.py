"""Small graphs as API prompts, and what runs them on the miniature with counted calls of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.run.cache import NodeCache
from kinema.workflow.run.execute import run_workflow
from kinema.workflow.run.folders import FolderInputs, FolderOutputs

UNET = "wan2.1_vace_1.3B_fp16.safetensors"
MODELS = {UNET: "kinema-mini-wan"}
SIZE = {"width": 32, "height": 32, "length": 5, "batch_size": 1}
KSAMPLER = {"seed": 5, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def base(**more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Loaders and words: model, clip, vae, good, bad."""
    return {
        "model": node("UNETLoader", unet_name=UNET, weight_dtype="default"),
        "clip": node("CLIPLoader", clip_name="umt5_xxl_fp16.safetensors", type="wan", device="default"),
        "vae": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "good": node("CLIPTextEncode", text="a red ball", clip=["clip", 0]),
        "bad": node("CLIPTextEncode", text="snow", clip=["clip", 0]),
        **more,
    }


def sampler(latent: Any = ("empty", 0), positive: Any = ("good", 0), negative: Any = ("bad", 0), **values: Any) -> Any:
    links = {"model": ["model", 0], "positive": list(positive), "negative": list(negative)}
    return node("KSampler", **{**KSAMPLER, **values}, **links, latent_image=list(latent))


def written(samples: str = "sampler", **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The end of a graph: decode, clip, save."""
    return {
        "decode": node("VAEDecode", samples=[samples, 0], vae=["vae", 0]),
        "clip_made": node("CreateVideo", images=["decode", 0], fps=8.0),
        "save": node("SaveVideo", video=["clip_made", 0], filename_prefix="video/test", format="auto", codec="auto"),
        **more,
    }


def text_to_video(**values: Any) -> dict[str, dict[str, Any]]:
    return base(empty=node("EmptyHunyuanLatentVideo", **SIZE), sampler=sampler(**values), **written())


class Counted:
    """Lends one engine, and counts what it does."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.samples, self.decodes, self.plans = engine, 0, 0, []
        self.family = engine.family

    @contextmanager
    def lease(self, model: str, on_event: Any = None) -> Any:
        assert model == "kinema-mini-wan"
        yield self

    def plan(self, request: Any) -> Any:
        return self.engine.plan(request)

    def sample_latents(self, plan: Any, segment: Any, latents: Any = None, **more: Any) -> Any:
        self.samples += 1
        self.plans.append(plan)
        return self.engine.sample_latents(plan, segment, latents, **more)

    def decode_pictures(self, *given: Any, **more: Any) -> Any:
        self.decodes += 1
        return self.engine.decode_pictures(*given, **more)

    def encode_pictures(self, *given: Any) -> Any:
        return self.engine.encode_pictures(*given)

    @property
    def calls(self) -> tuple[int, int]:
        return self.samples, self.decodes


def run(
    prompt: Mapping[str, Any], engines: Any, folder: Path, *, cache: bool = True, report: Any = lambda event: None,
    models: Mapping[str, str] = MODELS,
) -> Any:  # fmt: skip
    """Run a graph. Its files are under folder/out, its inputs under folder/in."""
    with FolderOutputs(folder / "out", folder / "temp") as outputs:
        return run_workflow(
            examine(parse_api(dict(prompt), "graph.json")), models=models, inputs=FolderInputs(folder / "in"),
            outputs=outputs, cache=NodeCache(folder / "cache") if cache else None, engines=engines, report=report,
        )  # fmt: skip
