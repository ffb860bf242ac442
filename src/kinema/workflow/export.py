"""A request of Kinema's as a ComfyUI workflow: an API prompt, which ComfyUI's page opens and its server runs.

The prompt has the plan's text, size, frames, seed, steps, guidance and options. It does not give equal frames: ComfyUI
draws other noise, and names of samplers stand for other code. `notes` name what is not carried over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from ..core.card import Card
from ..core.conditions import Image, Style
from ..core.errors import RequestError
from ..core.options import CHECKPOINT, Sampling
from ..core.plan import Plan
from .formats.convert import Prompt
from .nodes.table import DECLARED

TEXT_ENCODER, AUTOENCODER = "umt5_xxl_fp16.safetensors", "wan_2.1_vae.safetensors"
"""Names in ComfyUI's repackaged files of Wan 2.1."""


@dataclass(frozen=True, slots=True)
class Exported:
    """prompt: the API prompt. notes: what the user has to do, and what is not carried over."""

    prompt: Prompt
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Graph:
    """The nodes so far; ids count from 1."""

    prompt: Prompt = field(default_factory=dict)

    def add(self, kind: str, **inputs: Any) -> str:
        """Add a node with all its declared values and return its id. inputs: links and values; other values are the
        declared defaults."""
        declared = DECLARED[kind]
        values = {each.name: each.default for each in declared.inputs if each.widget}
        key = str(len(self.prompt) + 1)
        self.prompt[key] = {
            "inputs": values | inputs, "class_type": kind, "_meta": {"title": declared.title},
        }  # fmt: skip
        return key


def export(plan: Plan, card: Card) -> Exported:
    """Return the workflow of a plan. RequestError: a model without a workflow here, a condition that it does not
    take."""
    build = _BUILDERS.get((plan.family, card.variant or ""))
    names = [each.replace("*", "_fp16") for each in card.single_files]
    if build is None or not names:
        raise RequestError(
            f"No ComfyUI workflow for {plan.model}.", field="model", value=plan.model,
            legal="Wan 2.1 text to video and Stable Video Diffusion, published checkpoints",
        )  # fmt: skip
    if plan.canvas != "model":
        raise RequestError("An edit has no ComfyUI workflow here.", field="canvas", value=plan.canvas, legal="model")
    graph = _Graph()
    build(plan, names[0], graph)
    return Exported(graph.prompt, tuple(_notes(plan)))


def _text_to_video(plan: Plan, name: str, graph: _Graph) -> None:
    styles = _only(plan, Style)
    model = graph.add("UNETLoader", unet_name=name)
    for style in styles:
        model = graph.add(
            "LoraLoaderModelOnly", model=[model, 0], lora_name=PurePath(style.adapter).name,
            strength_model=style.weight,
        )  # fmt: skip
    patched = graph.add("ModelSamplingSD3", model=[model, 0], shift=plan.options["shift"])
    clip = graph.add("CLIPLoader", clip_name=TEXT_ENCODER, type="wan")
    positive, negative = (
        graph.add("CLIPTextEncode", clip=[clip, 0], text=_escaped(text)) for text in (plan.prompt, plan.negative_prompt)
    )
    latent = graph.add("EmptyHunyuanLatentVideo", width=plan.width, height=plan.height, length=plan.frames)
    sampled = graph.add(
        "KSampler", model=[patched, 0], positive=[positive, 0], negative=[negative, 0], latent_image=[latent, 0],
        seed=plan.seed, steps=plan.steps, cfg=plan.guidance, **_sampler(plan, "uni_pc", "simple"),
    )  # fmt: skip
    vae = graph.add("VAELoader", vae_name=AUTOENCODER)
    _save(graph, plan, [sampled, 0], [vae, 0])


def _image_to_video(plan: Plan, name: str, graph: _Graph) -> None:
    (image,) = _only(plan, Image)
    loader = graph.add("ImageOnlyCheckpointLoader", ckpt_name=name)
    picture = graph.add("LoadImage", image=PurePath(image.image).name)
    conditioned = graph.add(
        "SVD_img2vid_Conditioning", clip_vision=[loader, 1], init_image=[picture, 0], vae=[loader, 2],
        width=plan.width, height=plan.height, video_frames=plan.frames, fps=round(plan.fps),
        motion_bucket_id=plan.options["motion"], augmentation_level=plan.options["augmentation"],
    )  # fmt: skip
    guided = graph.add("VideoLinearCFGGuidance", model=[loader, 0], min_cfg=plan.options["first_guidance"])
    sampled = graph.add(
        "KSampler", model=[guided, 0], positive=[conditioned, 0], negative=[conditioned, 1],
        latent_image=[conditioned, 2], seed=plan.seed, steps=plan.steps, cfg=plan.guidance,
        **_sampler(plan, "euler", "karras"),
    )  # fmt: skip
    _save(graph, plan, [sampled, 0], [loader, 2])


def _sampler(plan: Plan, sampler: str, schedule: str) -> dict[str, str]:
    """The sampler and its noise levels: those of the plan's options, else those of ComfyUI's template."""
    options = Sampling.of(plan)
    return {
        "sampler_name": sampler if options.sampler == CHECKPOINT else options.sampler,
        "scheduler": schedule if options.schedule == CHECKPOINT else options.schedule,
    }  # fmt: skip


def _save(graph: _Graph, plan: Plan, samples: list[Any], vae: list[Any]) -> None:
    frames = graph.add("VAEDecode", samples=samples, vae=vae)
    video = graph.add("CreateVideo", images=[frames, 0], fps=plan.fps)
    codec = {"format.codec": "auto"}
    graph.add("SaveVideo", video=[video, 0], filename_prefix="video/Kinema", **codec)


def _only(plan: Plan, kind: type[Any]) -> list[Any]:
    """The plan's conditions, all of which must be of a kind."""
    for each in plan.conditions:
        if not isinstance(each, kind):
            raise RequestError(
                f"The condition {each.kind} has no node in the exported workflow.", field="conditions",
                value=each.kind, legal=kind.__name__.lower(),
            )  # fmt: skip
    return list(plan.conditions)


def _escaped(text: str) -> str:
    """A prompt whose parentheses do not weigh: ComfyUI reads (x) as x with weight 1.1."""
    return text.replace("(", "\\(").replace(")", "\\)")


def _notes(plan: Plan) -> list[str]:
    found = []
    for each in plan.conditions:
        if isinstance(each, Image):
            found.append(f"Copy {each.image} into ComfyUI's folder input/.")
        if isinstance(each, Style):
            found.append(f"Copy {each.adapter} into ComfyUI's folder models/loras/.")
    lost = {
        "the few-step student": bool(plan.student),
        "guidance in a part of the steps only": plan.guidance_interval != (0.0, 1.0),
        "reuse of steps": plan.reuse > 1,
        "upscale": bool(plan.upscale),
    }
    if any(lost.values()):
        found.append(f"Not exported: {', '.join(name for name, is_lost in lost.items() if is_lost)}.")
    if {"{", "}"} & set(plan.prompt + plan.negative_prompt) or "//" in plan.prompt or "/*" in plan.prompt:
        found.append("ComfyUI's page changes braces and comments in the prompt when it runs the workflow.")
    return found


_BUILDERS: dict[tuple[str, str], Callable[[Plan, str, _Graph], None]] = {
    ("wan", "t2v"): _text_to_video, ("svd", "i2v"): _image_to_video,
}  # fmt: skip
"""By family and variant: the graph of its templates in ComfyUI."""
