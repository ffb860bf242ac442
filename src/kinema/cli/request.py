"""Arguments to a Request: the request file first, then what was typed."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from ..core.errors import KinemaError, MediaError, RequestError
from ..core.numerals import decimal
from ..core.outside import exists, for_terminal, parse_json, parse_yaml
from .arguments import GenerateOptions

if TYPE_CHECKING:
    from ..core.request import Request

TEXT_FIELDS = ("prompt", "negative_prompt", "model", "profile", "fit")
PLAIN_FIELDS = (
    "prompt",
    "model",
    "frames",
    "seconds",
    "fps",
    "seed",
    "steps",
    "guidance",
    "profile",
    "fit",
)


def build(wish: GenerateOptions) -> Request:
    """The request that the arguments ask for. Raises RequestError or MediaError."""
    from ..core.conditions import feature
    from ..core.request import Request

    if wish.prompt is None and wish.request is None and not any(entry.startswith("prompt=") for entry in wish.set_):
        raise RequestError(
            'Say what to show: kinema generate "a red ball rolls left", or give a --request file.',
            field="prompt",
        )
    base = _read(wish.request) if wish.request is not None else Request()
    changes: dict[str, Any] = {name: value for name in PLAIN_FIELDS if (value := getattr(wish, name)) is not None}
    if wish.negative is not None:
        changes["negative_prompt"] = wish.negative
    if wish.size is not None:
        from ..core.request import parse_size

        changes["width"], changes["height"] = parse_size(wish.size)
    changes |= _upscale(wish)
    changes.update(settings(wish.set_, base))
    if "frames" in changes and "seconds" not in changes:
        changes["seconds"] = None
    elif "seconds" in changes and "frames" not in changes:
        changes["frames"] = None
    typed = conditions(wish)
    if typed:
        # What is typed takes the place of the same in the file; the rest of the file stays.
        replaced = {feature(condition) for condition in typed}
        given = Request(conditions=changes.get("conditions", base.conditions)).conditions
        changes["conditions"] = (*(old for old in given if feature(old) not in replaced), *typed)
    return base.changed(**changes) if changes else base


def _upscale(wish: GenerateOptions) -> dict[str, Any]:
    """The steps that were typed, as fields of a request. RequestError for a strength that no step takes."""
    from ..core.upscale import PIXEL_METHODS, parse_step

    steps = [parse_step(text) for text in wish.upscale]
    by_model = [step for step in steps if step["by"] not in PIXEL_METHODS]
    if wish.strength is not None and not by_model:
        raise RequestError(
            "--upscale-strength belongs to an upscale by a model.", field="upscale.strength", value=wish.strength,
            legal="with --upscale xl or --upscale MODEL",
        )  # fmt: skip
    for step in by_model:
        step |= {} if wish.strength is None else {"strength": wish.strength}
    found: dict[str, Any] = {"upscale": tuple(steps)} if steps else {}
    return found if wish.enlarge is None else {**found, "enlarge": wish.enlarge}


def conditions(wish: GenerateOptions) -> list[Any]:
    """The conditions among the arguments. MediaError where a file is not there or not what it should be."""
    from ..core import conditions as kinds

    found: list[Any] = []
    if wish.image is not None:
        found.append(kinds.Image(image=_there(wish.image), at="first"))
    if wish.last is not None:
        found.append(kinds.Image(image=_there(wish.last), at="last"))
    if wish.reference:
        found.append(kinds.Reference(images=tuple(_there(each) for each in wish.reference)))
    if wish.source is not None:
        found.append(kinds.Source(video=_there(wish.source)))
    if wish.mask is not None:
        found.append(_mask(wish.mask))
    for file in wish.trajectory:
        from ..conditions.trajectory import read_points

        found.append(kinds.Trajectory(points=read_points(file)))
    if wish.going_on is not None:
        from ..conditions import inputs

        there = inputs.info(_there(wish.going_on)).num_frames
        usual = kinds.Continue.model_fields["frames"].default
        found.append(kinds.Continue(clip=wish.going_on, frames=min(usual, there)))
    for text in wish.style:
        adapter, weight = _style(text)
        found.append(_checked(kinds.Style, "style", adapter=adapter, weight=weight))
    return found


def _read(name: str) -> Request:
    from ..core.request import MAX_REQUEST_BYTES, Request

    if name != "-":
        return Request.from_file(name)
    text = sys.stdin.read(MAX_REQUEST_BYTES + 1)
    if text.lstrip().startswith("{"):
        return Request.from_json(text)
    return Request.from_dict(parse_yaml(text, "Standard input", error=RequestError))


def settings(entries: list[str], base: Request) -> dict[str, Any]:
    """`--set key=value`: fields of a request, and everything else as options of the model."""
    from ..core.renamed import OLD_FIELDS

    changes: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RequestError(f"--set {entry!r}.", field="set", value=entry, legal="KEY=VALUE, as shift=5.0")
        if key == "size":
            from ..core.request import parse_size

            changes["width"], changes["height"] = parse_size(text)
        elif key in type(base).model_fields or key in OLD_FIELDS:
            value = _value(text)
            changes[key] = text if key in TEXT_FIELDS and not isinstance(value, str | None) else value
        else:
            options[key.removeprefix("options.")] = _value(text)
    if options:
        before = changes.get("options", base.options)
        changes["options"] = {**before, **options} if isinstance(before, dict) else before
    return changes


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""

    try:
        return parse_json(text, "--set")
    except KinemaError:
        return text


def _there(media: str) -> str:
    """The media's name, once it is known to lead to something."""
    from ..conditions.inputs import local_path

    if not media.startswith("data:") and not exists(local_path(media)):
        raise MediaError(f"{for_terminal(media, 300)}: no such file.")
    return media


def _mask(text: str) -> Any:
    """A box, `everything`, `nothing`, a picture or a clip; the file itself tells which of the last two."""
    from ..core.conditions import Mask

    if text in ("everything", "nothing"):
        return Mask(everything=text == "everything", nothing=text == "nothing")
    if re.fullmatch(r"[-+.\d_eE\s]+(,[-+.\d_eE\s]+)+", text) and not exists(text):
        try:
            box = tuple(decimal(part.strip()) for part in text.split(","))
        except ValueError:
            box = ()
        return _checked(Mask, "mask", boxes=(box,))
    from ..conditions import inputs

    moving = inputs.info(_there(text)).num_frames > 1
    return Mask(video=text) if moving else Mask(image=text)


def _style(text: str) -> tuple[str, float]:
    """`adapter` or `adapter:weight`; a colon that no number follows belongs to the name."""
    adapter, colon, weight = text.rpartition(":")
    try:
        return (adapter, decimal(weight)) if colon and adapter else (text, 1.0)
    except ValueError:
        return text, 1.0


def _checked(kind: Any, field: str, **values: Any) -> Any:
    """A condition, with pydantic's complaint as a RequestError."""
    from pydantic import ValidationError

    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        legal = "x0,y0,x1,y1, each from 0 to 1, left < right, top < bottom" if field == "mask" else ""
        raise RequestError(f"--{field}: {message}.", field=field, value=str(values), legal=legal) from None
