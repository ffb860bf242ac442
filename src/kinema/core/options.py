"""Options: a family's own settings as one typed model. The fields hold the bounds and the help texts; a card's table of
options is generated from them, and a plan's options are parsed back into them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import Field, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from .card import Option
from .conditions import Value
from .errors import RequestError
from .plan import Plan

KINDS: dict[Any, Literal["float", "int", "bool", "str"]] = {float: "float", int: "int", bool: "bool", str: "str"}


class Options(Value):
    """One field per option. Type and bounds: the legal values (a card may narrow them). Description: the help text.
    Default: used for plans without the option, which are those of models without it and of old clips."""

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Parse the plan's options that are fields here. Raises RequestError for a value of the wrong type or out of
        range, which occurs only in plans from outside."""
        given = {name: plan.options[name] for name in cls.model_fields if name in plan.options}
        try:
            return cls(**given)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise RequestError(
                f"Option {name} = {given[name]!r} is not legal.", field=f"options.{name}", value=given[name],
                legal=_option(cls.model_fields[name], None).words(),
            ) from None  # fmt: skip

    @classmethod
    def table(cls, **defaults: JsonValue) -> dict[str, Option]:
        """The options of a card: those named, each with the card's default. Raises KeyError for an unknown option."""
        return {name: _option(cls.model_fields[name], default) for name, default in defaults.items()}


CHECKPOINT = "checkpoint"
"""The sampler or the schedule that the checkpoint names."""
Sampler = Literal[
    "checkpoint", "euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral",
    "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddpm", "lcm", "ipndm", "res_multistep",
    "gradient_estimation", "ddim", "deis", "er_sde", "uni_pc", "uni_pc_bh2",
    "dpmpp_sde_gpu", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde_gpu",
]  # fmt: skip
"""The checkpoint's own, or those of diffusion/samplers.py."""
TWICE = ("heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_sde_gpu")
"""Samplers that evaluate the network twice in a step."""
Schedule = Literal[
    "checkpoint", "simple", "normal", "sgm_uniform", "karras", "exponential", "beta", "ddim_uniform", "kl_optimal",
    "linear_quadratic",
]  # fmt: skip
"""The checkpoint's own, or those of diffusion/sigma_schedules.py."""


def sampling_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of samplers and of schedules, without the checkpoint's own."""
    return get_args(Sampler)[1:], get_args(Schedule)[1:]


class Sampling(Options):
    """Options of the engine, for all families. A card offers those in its table."""

    sampler: Sampler = Field("checkpoint", description="sampler; checkpoint: the one that the checkpoint names")
    schedule: Schedule = Field(
        "checkpoint", description="noise levels; checkpoint: those of its scheduler. Alone, they are sampled by euler"
    )
    strength: Annotated[float, Field(ge=0.05, le=1.0)] = Field(
        1.0, description="share of the noise schedule that is run on a source clip; 1 starts from pure noise"
    )
    noise: Literal["stream", "torch"] = Field(
        "stream", description="initial noise. stream: different in each window; torch: that of torch.manual_seed(seed)"
    )
    prompt_weights: Literal["off", "comfyui"] = Field(
        "off", description="comfyui: (x) and (x:1.3) weigh words, as in ComfyUI; off: parentheses are text"
    )
    free_init: Annotated[int, Field(ge=1, le=10)] = Field(
        1, description="passes; each starts from the low frequencies of the one before (FreeInit; its paper uses 3)"
    )
    context_length: Annotated[int, Field(ge=0)] = Field(
        0, description="context frames that the model processes at once; longer clips are sampled in windows"
    )
    context_overlap: Annotated[int, Field(ge=1)] = Field(4, description="frames shared by neighbouring windows")
    context_schedule: Literal["standard_static", "batched"] = Field(
        "standard_static", description="windows at regular distances that overlap, or one after the other (batched)"
    )
    context_fuse: Literal["pyramid", "relative", "flat", "overlap-linear"] = Field(
        "pyramid", description="weights of a window's frames where windows overlap"
    )
    decoder: Literal["full", "tiny"] = Field(
        "full",
        description="full: the autoencoder's decoder; tiny: a small approximation, many times faster and slightly "
        "softer",
    )

    def check_windows(self) -> None:
        """RequestError for context windows that overlap entirely."""
        length, overlap = self.context_length, self.context_overlap
        if length and self.context_schedule != "batched" and overlap >= length:
            raise RequestError(
                f"Windows of {length} frames cannot overlap by {overlap}.", field="options.context_overlap",
                value=overlap, legal=f"1 to {length - 1}", nearest=max(1, length // 3),
            )  # fmt: skip


def _option(field: FieldInfo, default: JsonValue) -> Option:
    annotation, marks = field.annotation, list(field.metadata)
    kind: Literal["float", "int", "bool", "str", "floats"]
    choices: tuple[str, ...] = ()
    if get_origin(annotation) is Literal:
        kind, choices = "str", get_args(annotation)
    elif get_origin(annotation) is tuple:
        kind, marks = "floats", [mark for each in get_args(get_args(annotation)[0])[1:] for mark in each.metadata]
    else:
        kind = KINDS[annotation]
    lowest = next((float(str(mark.ge)) for mark in marks if isinstance(mark, Ge)), None)
    highest = next((float(str(mark.le)) for mark in marks if isinstance(mark, Le)), None)
    return Option(
        kind=kind, default=default, minimum=lowest, maximum=highest, choices=choices, help=field.description or ""
    )
