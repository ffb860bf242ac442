"""Request: the description of a clip, a frozen value that is plain JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, ValidationError

from .conditions import FILE_FIELDS, Condition, Value, feature
from .errors import RequestError
from .fields import refused, shown
from .numerals import integer
from .outside import exists, parse_json, parse_yaml, read_bytes
from .renamed import request_fields
from .upscale import Upscale, steps_of

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Profile = Literal["exact", "balanced", "fast"]
Fit = Literal["strict", "nearest"]
Canvas = Literal["model", "source", "upscale"]
Fill = Literal["generate", "auto", "propagate", "both"]
MAX_PROMPT_CHARS = 20_000
MAX_STEPS = 8
"""Maximum number of steps of `upscale`."""
MAX_REQUEST_BYTES = 64 * 2**20
"""Enough for some images as data: URIs."""


class Request(Value):
    """The description of a clip. All fields are optional; the plan resolves the rest.

    frames or seconds, not both. None is the model's own default. `fit="strict"` refuses sizes and lengths that the
    model does not support; `fit="nearest"` takes the nearest legal ones, and the plan lists the changes.
    `canvas="model"`: the clip has the model's size and length. `canvas="source"`: it has the size, frame rate, length
    and sound of the clip that is edited or continued, and differs from it only where pixels are generated.
    `canvas="upscale"`: it is its source, upscaled, with its frame rate, length and sound; the option `strength` sets
    how much noise is added before it is denoised, in tiles and windows. For the last two, width and height are those
    at which the model works.
    `fill`: the source of the pixels in the masked area of an in-place edit. `generate`: the model. `propagate`: other
    frames of the clip that show the area, and patches of its surroundings for what no frame shows; no model runs.
    `both`: other frames, and the model for what no frame shows. `auto`: `both` for a model that was trained on such
    images, otherwise `propagate`.
    `upscale`: upscale steps of the finished clip, in order (core/upscale.py); with `canvas="upscale"`, steps by pixel
    methods that the source goes through first. Short forms: 4 (the default method), "nearest:4", "xl" or a model's
    name.
    `options` are the model's own settings (its card lists them), for example `{"shift": 5.0}`.
    Raises RequestError with the field, the value and the legal values.
    """

    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)] = ""
    negative_prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)] | None = None
    model: Annotated[str, Field(min_length=1)] = "kinema-mini-wan"
    width: Annotated[int, Field(ge=1, le=16384)] | None = None
    height: Annotated[int, Field(ge=1, le=16384)] | None = None
    frames: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    seed: Seed | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    profile: Profile = "balanced"
    fit: Fit = "strict"
    canvas: Canvas = "model"
    fill: Fill = "generate"
    upscale: Annotated[tuple[Upscale, ...], Field(max_length=MAX_STEPS), BeforeValidator(steps_of)] = ()
    conditions: tuple[Condition, ...] = ()
    options: dict[str, JsonValue] = Field(default_factory=dict)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**request_fields(data))
        except ValidationError as error:
            raise refused(error.errors(include_url=False), type(self)) from None
        if self.frames is not None and self.seconds is not None:
            raise RequestError(
                f"Use frames or seconds, not both (got frames={self.frames} and seconds={self.seconds}).",
                field="frames",
                value=self.frames,
            )
        if (self.width is None) != (self.height is None):
            raise RequestError(
                f"width and height are required together (got width={self.width}, height={self.height}).",
                field="width",
            )

    def to_json(self) -> str:
        """Return JSON text with the fields that differ from their defaults."""
        import json

        fields = {
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        }
        return json.dumps(self.model_dump(mode="json", include=fields), indent=2)

    def located(self, folder: Path) -> Request:
        """Return the request with absolute paths: relative ones that exist in `folder` are joined to it, so that the
        request means the same wherever it is saved and read."""
        return self.from_dict(
            _resolve_paths(self.model_dump(mode="json", include=self.model_fields_set), folder.absolute())
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Request:
        return cls.from_dict(parse_json(text, "request", error=RequestError, max_bytes=MAX_REQUEST_BYTES))

    @classmethod
    def from_dict(cls, data: Any, folder: Path | None = None, *, base: Request | None = None) -> Request:
        """Return the request of plain values, short forms included.

        folder: what relative media paths are resolved against. base: a request that these values override. Its options
        are merged by name, and its conditions by `feature`: a condition of `data` replaces the one of the same place.
        """
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise RequestError(f"A request is an object of named fields, got {type(data).__name__}.")
        fields = expand_shorthand(data if folder is None else _resolve_paths(data, folder))
        return cls(**fields) if base is None else base._overridden(fields)

    @classmethod
    def from_file(cls, path: str | Path) -> Request:
        """Read a .json, .yaml or .yml file. Relative media paths are resolved against the file's folder."""
        path = Path(path)
        try:
            text = read_bytes(path, error=RequestError, max_bytes=MAX_REQUEST_BYTES)
        except FileNotFoundError:
            raise RequestError(f"{path}: no such request file.", field="request") from None
        if path.suffix.lower() in (".yaml", ".yml"):
            data = parse_yaml(text, str(path), error=RequestError)
        else:
            data = parse_json(text, str(path), error=RequestError, max_bytes=MAX_REQUEST_BYTES)
        return cls.from_dict(data, path.parent)

    def changed(self, **changes: Any) -> Request:
        """Return the request with some fields replaced, validated again. Short forms are read as by `from_dict`; the
        conditions that they stand for are added to those of the request."""
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**fields, **expand_shorthand(changes, self.conditions)})

    def _overridden(self, fields: dict[str, Any]) -> Request:
        """Return the request with the fields of a `from_dict` over it."""
        changes = dict(fields)
        for name, other in (("frames", "seconds"), ("seconds", "frames")):
            if changes.get(name) is not None and other not in changes:
                changes[other] = None
        if isinstance(options := changes.get("options"), dict):
            changes["options"] = {**self.options, **options}
        if "conditions" in changes:
            new = type(self)(conditions=changes["conditions"]).conditions
            replaced = {feature(condition) for condition in new}
            changes["conditions"] = (*(each for each in self.conditions if feature(each) not in replaced), *new)
        return self.changed(**changes) if changes else self

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of a request, with the short forms that `expand_shorthand` reads."""
        found = cls.model_json_schema()
        return found | {"properties": found["properties"] | SHORT_SCHEMA}


SHORT_SCHEMA: dict[str, Any] = {
    "size": {"type": "string", "pattern": "^[0-9]+[xX][0-9]+$", "description": "short for width and height: 832x480"},
    "image": {"type": "string", "description": "short for a condition: the image of the first frame"},
    "last": {"type": "string", "description": "short for a condition: the image of the last frame"},
    "references": {"type": "array", "items": {"type": "string"}, "description": "short for a condition: references"},
}


def expand_shorthand(fields: dict[str, Any], conditions: tuple[Condition, ...] = ()) -> dict[str, Any]:
    """Return the fields of a request with the short ones written out: `size` ("832x480" or a pair) as width and height;
    `image`, `last` (media) and `references` (a list of media) as conditions after those of `fields`, or after
    `conditions` if `fields` has none. Request files, HTTP, Python and the command line all take the short forms.
    Raises RequestError if one has the wrong type, or if a size is given both ways."""
    found = dict(fields)
    short: list[dict[str, Any]] = []
    for name, place in (("image", "first"), ("last", "last")):
        if (picture := found.pop(name, None)) is not None:
            short.append({"kind": "image", "image": _text(picture, name, "the path of an image"), "at": place})
    if (references := found.pop("references", None)) is not None:
        legal = "a list of paths of images"
        if not isinstance(references, list | tuple):
            raise RequestError(f"references = {shown(references)}.", field="references", legal=legal)
        pictures = tuple(_text(each, "references", legal) for each in references)
        short += [{"kind": "reference", "images": pictures}] if pictures else []
    if short:
        given = found.get("conditions", conditions)
        found["conditions"] = (*given, *short) if isinstance(given, list | tuple) else given
    if (size := found.pop("size", None)) is not None:
        if found.get("width") is not None or found.get("height") is not None:
            raise RequestError("size is width and height.", field="size", value=str(size), legal="one of them")
        found["width"], found["height"] = parse_size(size)
    return found


def parse_size(size: Any) -> tuple[int, int]:
    """Return (width, height) from "832x480" or a pair. Raises RequestError for anything else."""
    try:
        width, height = size.lower().split("x") if isinstance(size, str) else size
        return integer(width), integer(height)
    except (TypeError, ValueError):
        raise RequestError(
            f"size = {size!r}.", field="size", value=str(size), legal="WIDTHxHEIGHT, as 832x480"
        ) from None


def _text(value: Any, field: str, legal: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{field} = {shown(value)}.", field=field, value=shown(value), legal=legal)
    return value


def _resolve_paths(data: Any, folder: Path) -> Any:
    """Resolve the media paths of a request file: relative to that file, else unchanged if nothing exists there."""

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if isinstance(value, str) and "://" not in value and not value.startswith("data:"):
            beside = folder / value
            return str(beside) if exists(beside) else value
        return value

    if not isinstance(data, dict):
        return data
    data = {key: resolve(value) if key in ("image", "last", "references") else value for key, value in data.items()}
    if not isinstance(data.get("conditions"), list):
        return data
    conditions = [
        {key: resolve(value) if key in FILE_FIELDS else value for key, value in item.items()}
        if isinstance(item, dict)
        else item
        for item in data["conditions"]
    ]
    return {**data, "conditions": conditions}
