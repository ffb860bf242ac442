"""The clips of a ComfyUI workflow as requests: each node that writes a clip, traced back to its loaders.

Traced are the graphs of one sampler: text to video, a picture as the first frame, and VACE with references. Loaders,
words, sizes and samplers become fields of a request; the sampler and its noise levels are ComfyUI's, by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import RequestError
from ..core.options import sampling_names
from ..core.outside import exists, for_terminal
from ..core.request import Request
from ..weights import store
from .findings import Examined
from .formats.api import is_link
from .nodes.model_files import plain_name

SHIFT = 8.0
"""Of flow models, without a node that sets it."""
LARGEST_SEED = 2**63
SUFFIXES = {"SaveVideo": ".mp4", "SaveWEBM": ".webm", "SaveAnimatedWEBP": ".webp"}
NONE = "none"
"""In place of a model: a LoRA file that is left out."""
_WEIGHS = re.compile(r"(?<!\\)\(")
PASSED = ("UNetTemporalAttentionMultiply",)
"""Patches of a model that change nothing here."""


@dataclass(frozen=True, slots=True)
class WantedClip:
    """A clip that a workflow writes. node: that writes it. fps: of the file, which may differ from the request's. name:
    of the file, without folders. notes: how the result differs from ComfyUI's."""

    node: str
    request: Request
    fps: float
    name: str
    notes: tuple[str, ...] = ()


def wanted_clips(
    examined: Examined, models: Mapping[str, str] | None = None, inputs: str | Path = "."
) -> list[WantedClip]:  # fmt: skip
    """The clips that a workflow writes, as requests.

    models: by the name of a file in the workflow, the model or the LoRA file to use for it; "none" leaves a LoRA out.
    inputs: the folder of its pictures and clips. RequestError: everything that is missing or wrong, at once; a graph of
    another kind; a file that is not there.
    """
    chosen = {plain_name(name): model for name, model in (models or {}).items()}
    named = {plain_name(each.name) for each in examined.models}
    for name in chosen:
        if name not in named:
            raise RequestError(f"The workflow names no model file {name}.", field="model", value=name,
                               legal=", ".join(sorted(named)) or "no file: it names none")  # fmt: skip
    if trouble := [*examined.missing(chosen), *examined.wrong]:
        raise RequestError(f"{examined.source} cannot run here:\n  " + "\n  ".join(trouble), field="workflow")
    tracer = _Tracer(examined, chosen, Path(inputs))
    found = [tracer.clip(key) for key, node in examined.running.items() if node["class_type"] in SUFFIXES]
    if not found:
        raise RequestError(f"{examined.source} writes no clip.", field="workflow", legal=", ".join(SUFFIXES))
    return found


@dataclass
class _Tracer:
    """Follows links back from a result."""

    examined: Examined
    models: Mapping[str, str]
    inputs: Path
    notes: list[str] = field(default_factory=list)
    replaced: str | None = None
    """The model that is used in place of the graph's."""

    def clip(self, key: str) -> WantedClip:
        self.notes = []
        node, given = self._node(key), self._given(key)
        fps, images = given.get("fps"), given.get("images")
        if "video" in given:
            made = self._linked(key, "video", "CreateVideo")
            fps, images = self._given(made)["fps"], self._given(made)["images"]
        decode = self._origin(images, key, "images", "VAEDecode")
        samples = self._given(decode)["samples"]
        while self._kind(samples) == "TrimVideoLatent":
            samples = self._given(samples[0])["samples"]
        fields = self._sampled(self._origin(samples, decode, "samples", "KSampler"))
        stem = plain_name(str(given.get("filename_prefix", "ComfyUI"))) or "ComfyUI"
        request = Request.from_dict({"fps": float(fps or 8.0)} | fields)
        name = f"{for_terminal(stem, 80)}{SUFFIXES[node['class_type']]}"
        return WantedClip(key, request, float(fps or request.fps or 8.0), name, tuple(dict.fromkeys(self.notes)))

    def _sampled(self, key: str) -> dict[str, Any]:
        """The fields of a request, of a sampler."""
        given = self._given(key)
        samplers, schedules = sampling_names()
        for name, legal in (("sampler_name", samplers), ("scheduler", schedules)):
            if given[name] not in legal:
                raise self._wrong(key, f"{name} = {given[name]}", ", ".join(legal))
        if given.get("denoise", 1) != 1:
            raise self._wrong(key, f"denoise = {given['denoise']}", "1")
        seed = int(given["seed"])
        if seed >= LARGEST_SEED:
            self.notes.append(f"The seed {seed} is used as {seed % LARGEST_SEED}.")
        options: dict[str, Any] = {"sampler": given["sampler_name"], "schedule": given["scheduler"]}
        fields: dict[str, Any] = {
            "seed": seed % LARGEST_SEED, "steps": given["steps"], "guidance": float(given["cfg"]), "profile": "exact",
            "conditions": [],
        }  # fmt: skip
        card = self._model(self._given(key)["model"], key, fields, options)
        if card.family == "wan":
            options = {"shift": SHIFT, "noise": "torch"} | options
        self._positive(key, fields, options)
        self._latent(given["latent_image"], key, fields)
        fields["options"] = {name: value for name, value in options.items() if name in card.options}
        return fields | {"model": card.id}

    def _model(self, link: Any, user: str, fields: dict[str, Any], options: dict[str, Any]) -> Any:
        """The card of the model at the end of its patches, which are noted in options and conditions."""
        kind, key = self._kind(link), link[0]
        given = self._given(key)
        if kind in ("UNETLoader", "CheckpointLoaderSimple", "ImageOnlyCheckpointLoader"):
            file = given.get("unet_name", given.get("ckpt_name"))
            model = self.models.get(plain_name(file))
            self.replaced = model
            found = model or next(each.model for each in self.examined.models if each.name == file)
            return store.find(found)
        if kind in ("LoraLoader", "LoraLoaderModelOnly"):
            file = self.models[plain_name(given["lora_name"])]
            if file != NONE:
                style = {"kind": "style", "adapter": file, "weight": float(given["strength_model"])}
                fields["conditions"].insert(0, style)
        elif kind == "ModelSamplingSD3":
            options.setdefault("shift", float(given["shift"]))
        elif kind == "VideoLinearCFGGuidance":
            options.setdefault("first_guidance", float(given["min_cfg"]))
        elif kind not in PASSED:
            raise self._wrong(user, f"a model from {kind}", "a loader, LoRAs, ModelSamplingSD3, VideoLinearCFGGuidance")
        return self._model(given["model"], key, fields, options)

    def _positive(self, key: str, fields: dict[str, Any], options: dict[str, Any]) -> None:
        """Words, and the node that joins pictures to them."""
        given, joined = self._given(key), ""
        for name, field_name in (("positive", "prompt"), ("negative", "negative_prompt")):
            link = given[name]
            if self._kind(link) != "CLIPTextEncode":
                joined = link[0]
                if self._kind(link) == "SVD_img2vid_Conditioning":
                    continue
                link = self._given(joined)[name]
            fields[field_name] = self._words(self._given(self._origin(link, key, name, "CLIPTextEncode"))["text"])
        if joined:
            self._joined(joined, fields, options)

    def _words(self, text: Any) -> str:
        """A text without the signs by which ComfyUI marks parentheses that do not weigh."""
        if _WEIGHS.search(str(text)):
            self.notes.append("Parentheses weigh words in ComfyUI; here they are part of the text.")
        return str(text).replace("\\(", "(").replace("\\)", ")")

    def _joined(self, key: str, fields: dict[str, Any], options: dict[str, Any]) -> None:
        kind, given = self._kind((key, 0)), self._given(key)
        if kind == "WanImageToVideo":
            if "start_image" in given:
                fields["conditions"].append(self._picture(key, "start_image"))
        elif kind == "WanVaceToVideo":
            for name in ("control_video", "control_masks"):
                if name in given:
                    raise self._wrong(key, f"its input {name}", "no link: control clips and masks do not run yet")
            if "reference_image" in given:
                picture = self._picture(key, "reference_image")["image"]
                fields["conditions"].append({"kind": "reference", "images": [picture]})
            options["conditioning_scale"] = [float(given.get("strength", 1.0))]
        elif kind == "SVD_img2vid_Conditioning":
            fields["conditions"].append(self._picture(key, "init_image"))
            fields["fps"] = float(given["fps"])
            options |= {"motion": given["motion_bucket_id"], "augmentation": float(given["augmentation_level"])}
            options.setdefault("first_guidance", fields["guidance"])
        else:
            raise self._wrong(key, f"a condition from {kind}", "words, WanImageToVideo, WanVaceToVideo, SVD")

    def _latent(self, link: Any, user: str, fields: dict[str, Any]) -> None:
        kind = self._kind(link)
        if kind not in ("EmptyHunyuanLatentVideo", "WanImageToVideo", "WanVaceToVideo", "SVD_img2vid_Conditioning"):
            raise self._wrong(user, f"latents from {kind}", "an empty latent video, or the node of the conditions")
        given = self._given(link[0])
        if given.get("batch_size", 1) != 1:
            raise self._wrong(link[0], f"batch_size = {given['batch_size']}", "1")
        if self.replaced is not None:
            self.notes.append(f"The clip has the size and length of {self.replaced}.")
            return
        fields |= {"width": given["width"], "height": given["height"]}
        fields["frames"] = given["length"] if "length" in given else given["video_frames"]

    def _picture(self, key: str, name: str) -> dict[str, Any]:
        """The condition of a picture at the beginning, from the file that a node loads."""
        file = str(self._given(self._linked(key, name, "LoadImage"))["image"])
        path = self.inputs / file
        if not exists(path):
            raise RequestError(f"The picture {file} is not in {self.inputs}.", field="image", value=file,
                               legal="a file of the folder --inputs; --set LoadImage.image=FILE")  # fmt: skip
        self.notes.append("Pictures are fitted to the size by Lanczos, not by ComfyUI's methods.")
        return {"kind": "image", "image": str(path), "at": "first"}

    def _node(self, key: str) -> Mapping[str, Any]:
        return self.examined.running[key]

    def _given(self, key: str) -> Mapping[str, Any]:
        inputs: Mapping[str, Any] = self._node(key)["inputs"]
        return inputs

    def _kind(self, link: Any) -> str:
        return str(self._node(link[0])["class_type"]) if is_link(link) else "a plain value"

    def _linked(self, key: str, name: str, kind: str) -> str:
        return self._origin(self._given(key)[name], key, name, kind)

    def _origin(self, link: Any, user: str, name: str, kind: str) -> str:
        """The node at the other end of a link, of one kind."""
        if (found := self._kind(link)) != kind:
            raise self._wrong(user, f"its input {name} is linked to {found}", kind)
        return str(link[0])

    def _wrong(self, key: str, what: str, legal: str) -> RequestError:
        kind = for_terminal(self._node(key)["class_type"], 60)
        return RequestError(
            f"{self.examined.source}: node {for_terminal(key, 60)} ({kind}): {what}.", field="workflow", legal=legal
        )
