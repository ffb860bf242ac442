"""Card: the facts of one model that a plan needs. Requires neither weights nor torch."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from .conditions import Value
from .errors import RequestError


class SizeRule(Value):
    """Legal pixel sizes: sides are multiples of `multiple`, within [min_side, max_side], area within max_area.

    `trained` lists the (width, height) the weights were trained on; the first is the default.
    `any_aspect`: without a requested size, the aspect of the first picture is kept, at the default's area.
    `only_trained`: no other size is legal, for models with a learned table of positions.
    """

    multiple: int
    trained: tuple[tuple[int, int], ...]
    min_side: int
    max_side: int
    max_area: int
    any_aspect: bool = False
    only_trained: bool = False

    def legal(self, width: int, height: int) -> bool:
        if self.only_trained:
            return (width, height) in self.trained
        return (
            width % self.multiple == 0
            and height % self.multiple == 0
            and self.min_side <= min(width, height)
            and max(width, height) <= self.max_side
            and width * height <= self.max_area
        )

    def nearest(self, width: int, height: int) -> tuple[int, int]:
        """The legal size closest to (width, height), with the aspect kept as far as the grid allows."""
        if self.only_trained:
            return self.trained_like(width, height)

        def snap(side: float) -> int:
            low = -(-self.min_side // self.multiple) * self.multiple
            high = self.max_side // self.multiple * self.multiple
            return min(max(round(side / self.multiple) * self.multiple, low), high)

        shrink = min(1.0, self.max_side / max(width, height), (self.max_area / (width * height)) ** 0.5)
        wide, tall = snap(width * shrink), snap(height * shrink)
        while wide * tall > self.max_area and max(wide, tall) > self.multiple:
            if wide >= tall:
                wide -= self.multiple
            else:
                tall -= self.multiple
        return wide, tall

    def like(self, width: int, height: int) -> tuple[int, int]:
        """The legal size with this aspect and about the default's area."""
        wide, tall = self.trained[0]
        scale = (wide * tall / (width * height)) ** 0.5
        return self.nearest(round(width * scale), round(height * scale))

    def trained_like(self, width: int, height: int) -> tuple[int, int]:
        """The trained size with the nearest aspect."""
        return min(self.trained, key=lambda trained: abs(trained[0] / trained[1] - width / height))

    def words(self) -> str:
        if self.only_trained:
            return " or ".join(f"{width}x{height}" for width, height in self.trained)
        return (
            f"sides that are multiples of {self.multiple} from {self.min_side} to {self.max_side}, "
            f"at most {self.max_area} pixels in all"
        )


class FramesRule(Value):
    """Legal frame counts: step * n + 1, within [minimum, maximum]; `trained` is the count used in training."""

    step: int
    trained: int
    minimum: int = 1
    maximum: int

    def legal(self, count: int) -> bool:
        return (count - 1) % self.step == 0 and self.minimum <= count <= self.maximum

    def nearest(self, count: float) -> int:
        snapped = round((count - 1) / self.step) * self.step + 1
        low = -(-(self.minimum - 1) // self.step) * self.step + 1
        high = (self.maximum - 1) // self.step * self.step + 1
        return min(max(snapped, low), high)

    def at_most(self, count: int) -> int:
        """The largest legal count up to `count`, else the smallest legal one."""
        return max(self.nearest(1), min((count - 1) // self.step * self.step + 1, self.nearest(self.maximum)))

    def words(self) -> str:
        kind = "" if self.step == 1 else f"{self.step}n+1 "
        return f"{kind}frames from {self.minimum} to {self.maximum}"


class Defaults(Value):
    """Published defaults of the model. `things`: the negative prompt for inpainting without a prompt; it names objects
    that would otherwise be generated there. Empty: use `negative_prompt`."""

    fps: float
    steps: int
    guidance: float
    negative_prompt: str = ""
    things: str = ""


class Option(Value):
    """A setting of some models: `options={"name": value}` in a request, `--set name=value` on the command line."""

    kind: Literal["float", "int", "bool", "str", "floats"]
    default: JsonValue
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""

    def check(self, name: str, value: Any) -> Any:
        """Return the value in its declared type. Raises RequestError for a wrong type or a value out of range."""
        good = {
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "int": isinstance(value, int) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "str": isinstance(value, str),
            "floats": isinstance(value, list)
            and len(value) > 0
            and all(isinstance(item, int | float) and not isinstance(item, bool) for item in value),
        }[self.kind]
        numbers = value if isinstance(value, list) else [value]
        if good and self.kind in ("float", "int", "floats"):
            good = all(
                abs(item) <= sys.float_info.max
                and (self.minimum is None or item >= self.minimum)
                and (self.maximum is None or item <= self.maximum)
                for item in numbers
            )
        if good and self.choices:
            good = value in self.choices
        if not good:
            raise RequestError(
                f"Option {name} = {value!r} is not legal.",
                field=f"options.{name}",
                value=value,
                legal=self.words(),
                nearest=self._nearest(value),
            )
        return [float(item) for item in value] if self.kind == "floats" else value

    def words(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        low = "" if self.minimum is None else f" from {self.minimum:g}"
        high = "" if self.maximum is None else f" up to {self.maximum:g}"
        return {"floats": "a list of numbers", "bool": "true or false", "str": "text"}.get(
            self.kind, "a whole number" if self.kind == "int" else "a number"
        ) + (low + high)

    def _nearest(self, value: Any) -> Any:
        if self.kind not in ("float", "int") or isinstance(value, bool) or not isinstance(value, int | float):
            return self.default
        if self.minimum is not None and value < self.minimum:
            return self.minimum
        if self.maximum is not None and value > self.maximum:
            return self.maximum
        return self.default


class Student(Value):
    """A distilled student of the model: an adapter, and the sampling schedule that it was trained for.

    `adapter`: its file in the model's folder. `sigmas`: noise levels from 1 downward, one Euler step from each to the
    next, the last one to 0 (which is not listed). `shift` is the timestep shift that these sigmas have.
    """

    adapter: str
    sigmas: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)]
    guidance: float = 1.0
    shift: float

    @property
    def steps(self) -> int:
        return len(self.sigmas)


class ProfileRule(Value):
    """The settings of one profile of a model. `steps=None` keeps the default count.

    `guidance_interval` (low, high): fractions of the steps between which guidance runs; outside, only the prompt's
    branch does. `reuse` >= 2 computes every reuse-th step in the middle of the run and extrapolates the others.
    `student` samples instead of the model, unless a request asks for steps, guidance or a shift other than the
    student's; then the model is used with the other settings of the rule.
    `in_place`: default options of in-place edits.
    """

    steps: int | None = None
    student: Student | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    reuse: int = 1
    low_precision: bool = False
    options: dict[str, JsonValue] = Field(default_factory=dict)
    in_place: dict[str, JsonValue] = Field(default_factory=dict)


class Network(Value):
    """Sizes of the networks, for the estimate. Parameters in units; `width`, `layers` of the denoiser.
    `experts`: denoisers of this size, of which each step uses one. `stored_bytes`: of a denoiser whose weights stay
    as their file stores them. `decode_bytes`: of activations per pixel of the frame while a clip is decoded, if they
    are known.
    `flop_per_cell`: for a UNet, whose levels differ, the cost of a forward per latent cell and frame."""

    parameters: int
    width: int
    layers: int
    hint_layers: int = 0
    text_parameters: int = 0
    text_length: int = 512
    autoencoder_parameters: int = 127_000_000
    latent_channels: int = 16
    time_stride: int = 4
    space_stride: int = 8
    patch: int = 2
    bytes_per_parameter: int = 2
    experts: int = 1
    stored_bytes: int | None = None
    decode_bytes: int = 0
    flop_per_cell: float | None = None


class Card(Value):
    """One model: its names, accepted conditions, legal sizes and published defaults.

    `accepts`: features (see `conditions.feature`) that the model supports; `needs`: those it requires.
    `upscaler`: the model trained to upscale its clips. `upscale_by`: the default method of an upscale by a scale alone.
    `own_size`: `size` also holds on another image model. `domain`: the narrow domain that the model was trained on (a
    key of conditions/domain.py); empty for general models. `stage`: a network for some of the steps, which is never
    suggested: it makes clips only in a workflow, after or before another one. `second_path`: the file of the model's
    second network, if `path` is a file with the first one alone. `doubts`: what only the name of its files could tell
    and does not; every plan states them.
    """

    id: str
    family: str
    title: str
    licence: str
    variant: str
    aliases: tuple[str, ...] = ()
    hub: str | None = None
    builtin: str | None = None
    path: str | None = None
    second_path: str | None = None
    single_files: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    size: SizeRule
    own_size: bool = False
    stage: bool = False
    frames: FramesRule
    defaults: Defaults
    network: Network
    profiles: dict[Literal["exact", "balanced", "fast"], ProfileRule]
    options: dict[str, Option] = Field(default_factory=dict)
    upscaler: str | None = None
    upscale_by: Literal["lanczos", "network"] = "lanczos"
    domain: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def begins_with_clip(self) -> bool:
        """Whether it can add noise to a clip and denoise it again (SDEdit)."""
        return "source" in self.accepts and "strength" in self.options

    @property
    def edits_in_place(self) -> bool:
        return "mask" in self.accepts or "continue" in self.accepts
