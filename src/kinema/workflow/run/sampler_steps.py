"""A sampler of a graph and all behind it as a request, and the part of its schedule that it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ...core.card import Card
from ...core.conditions import SEEN
from ...core.errors import RequestError
from ...core.options import sampling_names
from ...core.plan import Plan
from ...core.request import Request
from ...engine.plan import plan as make_plan
from ...weights import store
from .descriptions import Guider, Joined, LatentClip, Levels, MediaUse, ModelUse
from .guides import ANY
from .media_files import Canvas

SHIFT = 8.0
"""Of flow models, without a node that sets it."""
LARGEST_SEED = 2**63


@dataclass(frozen=True)
class StepRange:
    """Which part of a schedule a sampler runs, and on what. stop: None is the end. penultimate: the sampler's own rule
    about the last noise level but one applies. See engine/segment.py."""

    start: int = 0
    stop: int | None = None
    denoise: float = 1.0
    add_noise: bool = True
    leftover: bool = False
    penultimate: bool = True


@dataclass(frozen=True)
class Sampled:
    """What a sampler node was given, whatever its class."""

    guider: Guider
    latent: LatentClip
    seed: int
    steps: int
    sampler: str
    schedule: str
    part: StepRange = StepRange()


@dataclass(frozen=True)
class SamplerStep:
    """A sampler that runs. request, plan: with stand-ins for the media that are not written yet. media: by the path of
    the stand-in or file. result: its latents."""

    node: str
    request: Request
    plan: Plan
    latent: LatentClip
    part: StepRange
    media: Mapping[str, MediaUse]
    stand_ins: frozenset[str]
    result: LatentClip
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def canvas(self) -> Canvas:
        return Canvas(self.plan.width, self.plan.height, self.plan.frames)


class MediaFiles(Protocol):
    """Files for the media of requests while planning."""

    def path(self, media: MediaUse, canvas: Canvas, /) -> tuple[Path, bool]:
        """The file of media, and whether it only stands for one that is not written yet."""
        ...


def sampler_step(node: str, given: Sampled, files: MediaFiles) -> SamplerStep:
    """The request of a sampler, planned. RequestError, MediaError or ModelError: what its model refuses."""
    use = given.guider.model
    card = store.find(use.model)
    notes: list[str] = []
    fields = _fields(given, card, notes)
    canvas = Canvas(fields["width"], fields["height"], fields["frames"])
    guides = _guides(given)
    for guide in guides:
        fields |= guide.fields
        notes += guide.notes
    styles: list[dict[str, Any]] = [
        {"kind": "style", "adapter": adapter, "weight": weight} for adapter, weight in use.styles
    ]
    media: dict[str, MediaUse] = {}
    stand_ins: set[str] = set()

    def path_of(each: MediaUse) -> str:
        path, is_stand_in = files.path(each, canvas)
        media[str(path)] = each
        stand_ins.update([str(path)] if is_stand_in else ())
        return str(path)

    conditions = [_of_kind(condition, card) for guide in guides for condition in guide.conditions]
    if use.replaced:
        conditions = _possible(conditions, given.latent, card, notes)
    fields["conditions"] = [*styles, *with_files(conditions, path_of)]
    request = Request.from_dict(fields)
    plan = make_plan(request, stage=True)
    result = replace(
        given.latent, width=plan.width, height=plan.height, frames=plan.frames, node=node, encoded=None, trimmed=0,
        references=max(0, given.latent.references - given.latent.trimmed),
    )  # fmt: skip
    return SamplerStep(
        node, request, plan, given.latent, given.part, media, frozenset(stand_ins), result, tuple(notes)
    )  # fmt: skip


def _of_kind(condition: Mapping[str, Any], card: Card) -> Mapping[str, Any]:
    """A control clip of any kind as one of a kind that the model accepts; pictures for an image encoder only where it
    has one that takes them."""
    if "seen" in condition and SEEN not in card.accepts:
        return {name: value for name, value in condition.items() if name != "seen"}
    if condition.get("control") != ANY:
        return condition
    kinds = [each.partition(":")[2] for each in card.accepts if each.startswith("control:")]
    return {**condition, "control": kinds[0] if kinds else "edge"}


def _possible(
    conditions: Sequence[Mapping[str, Any]], latent: LatentClip, card: Card, notes: list[str]
) -> list[Mapping[str, Any]]:  # fmt: skip
    """The conditions that a model which the user names in place of the graph's can take: without a camera move, if it
    follows none, and without a reference, if it needs a place for it that the graph's latents do not have."""
    has_place = latent.references or "vace_split" not in card.options
    left_out = {"camera": "camera" not in card.accepts, "reference": not has_place}
    kinds = [each["kind"] for each in conditions]
    notes += [f"{card.id}: the {kind} is left out." for kind in kinds if left_out.get(kind)]
    return [each for each in conditions if not left_out.get(each["kind"])]


def with_files(value: Any, path_of: Callable[[MediaUse], str]) -> Any:
    """Plain values with paths in place of media."""
    if isinstance(value, MediaUse):
        return path_of(value)
    if isinstance(value, Mapping):
        return {name: with_files(each, path_of) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_files(each, path_of) for each in value]
    return value


def renamed(request: Request, paths: Mapping[str, str]) -> Request:
    """The request with other paths of media."""
    conditions = [with_paths(each.model_dump(mode="json"), paths) for each in request.conditions]
    return request.changed(conditions=conditions)


def with_paths(value: Any, paths: Mapping[str, str]) -> Any:
    """JSON values with other texts in place of paths."""
    if isinstance(value, str):
        return paths.get(value, value)
    if isinstance(value, Mapping):
        return {name: with_paths(each, paths) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_paths(each, paths) for each in value]
    return value


def _guides(given: Sampled) -> tuple[Joined, ...]:
    """What is joined to the words, and to the latents. Both sides pass through the same nodes."""
    guider = given.guider
    positive, negative = guider.positive.guides, guider.negative.guides if guider.negative else None
    if negative is not None and [each.node for each in positive] != [each.node for each in negative]:
        raise RequestError("The positive and the negative condition come from different nodes.", field="workflow",
                           legal="both outputs of one conditioning node")  # fmt: skip
    if len(positive) > 1:
        nodes = ", ".join(each.node for each in positive)
        raise RequestError(f"Conditions of the nodes {nodes} are joined.", field="workflow", legal="those of one node")
    return positive if given.latent.joined is None else (*positive, given.latent.joined)


def _fields(given: Sampled, card: Card, notes: list[str]) -> dict[str, Any]:
    """The fields of a request except its conditions."""
    samplers, schedules = sampling_names()
    for name, value, legal in (
        ("sampler_name", given.sampler, samplers), ("scheduler", given.schedule, schedules),
    ):  # fmt: skip
        if value not in legal:
            raise RequestError(f"{name} = {value}.", field="workflow", value=value, legal=", ".join(legal))
    if given.latent.batch != 1:
        raise RequestError(f"batch_size = {given.latent.batch}.", field="workflow", legal="1")
    if given.seed >= LARGEST_SEED:
        notes.append(f"The seed {given.seed} is used as {given.seed % LARGEST_SEED}.")
    guider = given.guider
    fields: dict[str, Any] = {
        "seed": given.seed % LARGEST_SEED, "steps": given.steps, "guidance": guider.guidance, "profile": "exact",
        "model": guider.model.model,
    }  # fmt: skip
    weighs = "prompt_weights" in card.options
    for name, side in (("prompt", guider.positive), ("negative_prompt", guider.negative)):
        if side is not None and side.text is not None:
            fields[name] = side.text if weighs else _without_signs(side.text, notes)
    for name in guider.model.options:
        if name not in card.options:
            raise RequestError(f"{card.id} has no option {name}, which a node before the sampler sets.",
                               field="workflow", value=name, legal=", ".join(card.options))  # fmt: skip
    options: dict[str, Any] = {"shift": SHIFT, "noise": "torch", "prompt_weights": "comfyui", **guider.model.options}
    if "first_guidance" in card.options:
        options.setdefault("first_guidance", guider.guidance)
    options |= {"sampler": given.sampler, "schedule": given.schedule}
    for guide in _guides(given):
        options |= guide.options
    fields["options"] = {name: value for name, value in options.items() if name in card.options}
    return fields | _size(given.latent, guider.model, card, notes)


_WEIGHS = re.compile(r"(?<!\\)\(")


def _without_signs(text: str, notes: list[str]) -> str:
    """A text without the signs by which ComfyUI marks parentheses that do not weigh."""
    if _WEIGHS.search(text):
        notes.append("Parentheses weigh words in ComfyUI; here they are part of the text.")
    return text.replace("\\(", "(").replace("\\)", ")")


def _size(latent: LatentClip, use: ModelUse, card: Card, notes: list[str]) -> dict[str, Any]:
    """The size and length of the graph, or, for a model that the user names and that cannot make them, its own."""
    step = card.frames.step
    frames = max(1, ((latent.frames - 1) // step - max(0, latent.trimmed - latent.references)) * step + 1)
    size = (latent.width, latent.height)
    is_legal = card.size.legal(*size) and card.frames.legal(frames)
    if use.replaced and not is_legal and not latent.node:
        notes.append(f"The clip has the size and length of {use.model}.")
        size, frames = card.size.like(*size) if card.size.any_aspect else card.size.trained[0], card.frames.trained
    return {"width": size[0], "height": size[1], "frames": frames}


def latent_frames(latent: LatentClip, step: int) -> int:
    """Latent frames of a clip, with its references. step: frames of a latent frame."""
    return latent.references + (latent.frames - 1) // step + 1 - latent.trimmed


def shown_frames(latent: LatentClip, step: int) -> int:
    """Frames that latents decode to. RequestError if all are trimmed."""
    left = latent_frames(latent, step)
    if left < 1:
        raise RequestError(f"trim_amount = {latent.trimmed} leaves no frame.", field="workflow",
                           legal=f"at most {left + latent.trimmed - 1}")  # fmt: skip
    return (left - 1) * step + 1


def sampled(kind: str, given: Mapping[str, Any]) -> Sampled:
    """What a sampler node is given."""
    if kind in ("KSampler", "KSamplerAdvanced"):
        guider = Guider(given["model"], given["positive"], given["negative"], float(given["cfg"]))
        part = StepRange(denoise=float(given.get("denoise", 1.0)))
        if kind == "KSamplerAdvanced":
            stop = int(given["end_at_step"])
            part = StepRange(
                start=int(given["start_at_step"]), stop=stop if stop < int(given["steps"]) else None,
                add_noise=given["add_noise"] == "enable", leftover=given["return_with_leftover_noise"] == "enable",
            )  # fmt: skip
        return Sampled(
            guider, given["latent_image"], int(given.get("seed", given.get("noise_seed", 0))), int(given["steps"]),
            str(given["sampler_name"]), str(given["scheduler"]), part,
        )  # fmt: skip
    levels: Levels = given["sigmas"]
    if kind == "SamplerCustom":
        guider = Guider(given["model"], given["positive"], given["negative"], float(given["cfg"]))
        seed: int | None = int(given["noise_seed"]) if given["add_noise"] else None
    else:
        guider, seed = given["guider"], given["noise"].seed
    part = StepRange(denoise=levels.denoise, add_noise=seed is not None, penultimate=False)
    return Sampled(
        guider, given["latent_image"], seed or 0, levels.steps, given["sampler"].name, levels.schedule, part
    )  # fmt: skip


SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
