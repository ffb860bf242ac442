"""What was typed, as a Request: the fields that a request file holds, over the request that a command begins with."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import KinemaError, MediaError, RequestError
from ..core.numerals import decimal
from ..core.outside import exists, for_terminal, parse_json, parse_yaml
from .options import PromptOptions, RequestOptions, RunOptions, UpscaleOptions

if TYPE_CHECKING:
    from ..core.request import Request

FIELDS = {
    **{name: name for name in ("prompt", "model", "size", "frames", "seconds", "fps", "seed", "steps", "guidance")},
    **{name: name for name in ("profile", "fit", "enlarge")},
    "negative": "negative_prompt",
}
"""Options, and the fields of a request that they set as typed."""
FILE_OPTIONS = {".json": "request", ".yaml": "request", ".yml": "request", ".txt": "prompts"}
"""Options that read a file, by its suffix."""
TEXT_FIELDS = ("prompt", "negative_prompt", "model", "profile", "fit", "size", "image", "last")


def prompt_request(options: PromptOptions) -> Request:
    """Return the request of `generate` and `plan`: the request file, and what was typed over it."""
    from ..core.request import Request

    if options.prompt is None and options.request is None and "prompt" not in settings(options.set_):
        raise RequestError(
            'A prompt is required: kinema generate "a red ball rolls left", or a --request file.', field="prompt"
        )
    if options.prompt is not None:
        _check_prompt(options.prompt)
    return build(options, _read(options.request) if options.request is not None else Request())


def _check_prompt(prompt: str) -> None:
    """Raise RequestError for a prompt that is the name of an existing file, or `-`."""
    if prompt != "-" and not (Path(prompt).suffix and exists(prompt)):
        return
    option = "request" if prompt == "-" else FILE_OPTIONS.get(Path(prompt).suffix.lower())
    raise RequestError(
        f"{prompt}: a file in place of the prompt." if prompt != "-" else "-: standard input in place of the prompt.",
        field="prompt", value=prompt,
        legal=f"--{option} {prompt}" if option else f"a text; files have options: --image {prompt}, --source {prompt}",
    )  # fmt: skip


def build(options: RequestOptions, base: Request) -> Request:
    """Return a request with what was typed over it. Raises RequestError or MediaError."""
    from ..core.request import Request

    set_ = settings(options.set_)
    if "conditions" in set_:  # all of them; those with an option of their own override these
        base = base.changed(conditions=set_.pop("conditions"))
    typed = typed_fields(options)
    if isinstance(options, PromptOptions) and (conditions := typed_conditions(options)):
        typed["conditions"] = conditions
    return Request.from_dict(typed | set_, base=base)


def typed_fields(options: RunOptions) -> dict[str, Any]:
    """Return what was typed, as plain fields of a request with its short forms; conditions and `--set` are left out."""
    found: dict[str, Any] = {
        field: value for name, field in FIELDS.items() if (value := getattr(options, name, None)) is not None
    }
    if isinstance(options, UpscaleOptions) and (options.upscale or options.strength is not None):
        found["upscale"] = _upscale(options.upscale, options.strength)
    return found


def _upscale(typed: list[str], strength: float | None) -> tuple[Any, ...]:
    """Return the upscale steps of a request. Raises RequestError for a strength that no step takes."""
    from ..core.upscale import AUTO, FRAME_METHODS, steps_of

    steps: tuple[Any, ...] = steps_of(typed)
    if strength is None:
        return steps
    if all(step["by"] in (AUTO, *FRAME_METHODS) for step in steps):
        raise RequestError(
            "--upscale-strength requires an upscale by a model.", field="upscale.strength", value=strength,
            legal="with --upscale xl or --upscale MODEL",
        )  # fmt: skip
    return tuple(step if step["by"] in (AUTO, *FRAME_METHODS) else step | {"strength": strength} for step in steps)


def settings(entries: list[str]) -> dict[str, Any]:
    """Return the fields of `--set KEY=VALUE`; a key that is no field of a request is an option of the model."""
    from ..core.renamed import OLD_FIELDS
    from ..core.request import SHORT_SCHEMA, Request

    known = {*Request.model_fields, *SHORT_SCHEMA, *OLD_FIELDS}
    found: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RequestError(f"--set {entry!r} has no value.", field="set", value=entry,
                               legal="KEY=VALUE, as shift=5.0")  # fmt: skip
        value = _value(text)
        if key in known:
            found[key] = text if key in TEXT_FIELDS and not isinstance(value, str | None) else value
        else:
            options[key.removeprefix("options.")] = value
    if options and isinstance(given := found.get("options", {}), dict):
        found["options"] = {**given, **options}
    return found


def _value(text: str) -> Any:
    """Return the value of a JSON text, or the text itself if it is not JSON."""
    try:
        return parse_json(text, "--set")
    except KinemaError:
        return text


def _read(name: str) -> Request:
    """Return the request in a file, or on standard input."""
    from ..core.request import MAX_REQUEST_BYTES, Request

    if name != "-":
        return Request.from_file(name)
    text = sys.stdin.read(MAX_REQUEST_BYTES + 1)
    if text.lstrip().startswith("{"):
        return Request.from_json(text)
    return Request.from_dict(parse_yaml(text, "Standard input", error=RequestError))


def typed_conditions(options: PromptOptions) -> list[dict[str, Any]]:
    """Return the conditions that were typed, as in a request file. Raises MediaError for a file that does not exist or
    has the wrong type."""
    found: list[dict[str, Any]] = []
    if options.image is not None:
        found.append({"kind": "image", "image": _existing(options.image), "at": "first"})
    if options.last is not None:
        found.append({"kind": "image", "image": _existing(options.last), "at": "last"})
    if options.reference:
        found.append({"kind": "reference", "images": [_existing(each) for each in options.reference]})
    if options.source is not None:
        found.append({"kind": "source", "video": _existing(options.source)})
    if options.mask is not None:
        found.append({"kind": "mask", **_mask(options.mask)})
    for file in options.trajectory:
        from ..conditions.path_file import read_paths

        found += [{"kind": "trajectory", **path.model_dump(exclude_defaults=True)} for path in read_paths(file)]
    if options.camera is not None:
        found.append({"kind": "camera", **_camera(options.camera)})
    if options.going_on is not None:
        from ..conditions import inputs
        from ..core.conditions import Continue

        frames = min(Continue.model_fields["frames"].default, inputs.info(_existing(options.going_on)).num_frames)
        found.append({"kind": "continue", "clip": options.going_on, "frames": frames})
    for text in options.style:
        adapter, weight = _style(text)
        found.append({"kind": "style", "adapter": adapter, "weight": weight})
    return found


def _existing(media: str) -> str:
    """Return the name of a media file. Raises MediaError if it does not exist."""
    from ..conditions.inputs import local_path

    if not media.startswith("data:") and not exists(local_path(media)):
        raise MediaError(f"{for_terminal(media, 300)}: no such file.")
    return media


def _mask(text: str) -> dict[str, Any]:
    """Return the fields of a mask: `everything`, `nothing`, a box, or a file, which is an image or a clip."""
    if text in ("everything", "nothing"):
        return {text: True}
    if re.fullmatch(r"[-+.\d_eE\s]+(,[-+.\d_eE\s]+)+", text) and not exists(text):
        from .where import parse_corners

        return {"boxes": [parse_corners(text)]}
    from ..conditions import inputs

    return {"video" if inputs.info(_existing(text)).num_frames > 1 else "image": text}


def _camera(text: str) -> dict[str, Any]:
    """Return the fields of a camera: `move`, `move:amount`, or a pose file."""
    from typing import get_args

    from ..core.conditions import CameraMove

    move, colon, amount = text.partition(":")
    if move not in get_args(CameraMove):
        from ..conditions.pose_file import read_poses

        if not exists(text):
            raise RequestError(
                f"--camera {for_terminal(text, 100)!r} is no move, and no such file.", field="camera", value=text,
                legal=f"{', '.join(get_args(CameraMove))}, or a pose file",
            )  # fmt: skip
        return read_poses(text).model_dump(exclude_defaults=True)
    try:
        return {"move": move, "amount": decimal(amount)} if colon else {"move": move}
    except ValueError:
        raise RequestError(
            f"--camera {for_terminal(text, 100)!r}: the amount is no number.", field="camera", value=text,
            legal=f"{move}:1.5", nearest=move,
        ) from None  # fmt: skip


def _style(text: str) -> tuple[str, float]:
    """Return adapter and weight of `adapter` or `adapter:weight`; a colon without a number is part of the name."""
    adapter, colon, weight = text.rpartition(":")
    try:
        return (adapter, decimal(weight)) if colon and adapter else (text, 1.0)
    except ValueError:
        return text, 1.0
