"""The videos API's words for a request and a job: fields in, a `video` object out.

The API is the one that OpenAI defined for Sora and withdrew in 2026; vLLM-Omni, SGLang and FastVideo keep its shape,
with the fields of EXTENSIONS beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import RequestError
from ..core.numerals import decimal, integer
from ..jobs.job import Job

PREFIX = "video_"
EXTENSIONS = {
    "num_frames": "frames", "fps": "fps", "seed": "seed", "negative_prompt": "negative_prompt",
    "num_inference_steps": "steps", "guidance_scale": "guidance", "profile": "profile",
}  # fmt: skip
"""Fields that servers of open models add, and the fields of a request that they are."""
NUMBERS = {
    "frames": integer,
    "seed": integer,
    "steps": integer,
    "fps": decimal,
    "guidance": decimal,
    "seconds": decimal,
}
FIELDS = ("prompt", "model", "size", "seconds", "input_reference", *EXTENSIONS)
STATUS = {
    "queued": "queued", "running": "in_progress", "canceling": "in_progress", "succeeded": "completed",
    "failed": "failed", "canceled": "failed", "expired": "failed",
}  # fmt: skip


def request_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request, of those of the videos API. Numbers may be text, as in forms. Lengths and sizes that the
    model lacks become the nearest that it has: clients of this API do not know them. RequestError."""
    body: dict[str, Any] = {"fit": "nearest"}
    for name, value in data.items():
        if name not in FIELDS:
            raise RequestError(f"Unknown field {name[:50]!r}.", field=name[:50], legal=", ".join(FIELDS))
        if value is None or (value == "" and name != "prompt"):
            continue
        if name == "input_reference":
            body["image"] = _reference(value)
        else:
            field = EXTENSIONS.get(name, name)
            body[field] = _number(name, value, NUMBERS[field]) if field in NUMBERS else value
    return body


def video_of(job: Job) -> dict[str, Any]:
    """A job as a `video` object. size and seconds: as asked for until the clip is finished, then its own."""
    body, result = job.body, job.result or {}
    asked = f"{body['width']}x{body['height']}" if body.get("width") and body.get("height") else body.get("size")
    size = f"{result['width']}x{result['height']}" if result.get("width") else asked
    seconds = result["frames"] / result["fps"] if result.get("frames") and result.get("fps") else body.get("seconds")
    status = STATUS[job.state]
    return {
        "id": PREFIX + job.id, "object": "video", "model": body.get("model", "kinema-mini-wan"), "status": status,
        "progress": 100 if status == "completed" else _percent(job.progress), "prompt": body.get("prompt", ""),
        "created_at": int(job.created_at), "completed_at": int(job.ended_at or 0) if status == "completed" else None,
        "expires_at": None, "size": size, "seconds": None if seconds is None else f"{seconds:g}",
        "remixed_from_video_id": None,
        "error": {"code": job.state, "message": job.reason or f"The job is {job.state}."}
        if status == "failed" else None,
    }  # fmt: skip


def _percent(progress: Mapping[str, Any] | None) -> int:
    fraction = progress.get("fraction") if progress is not None else None
    return 0 if fraction is None else min(99, int(100 * float(fraction)))


def _reference(value: Any) -> Any:
    """The media of `input_reference`: text, {"image_url": ...} (or {"url": ...} within) or {"file_id": ...}."""
    if isinstance(value, dict) and len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in ("image_url", "file_id"):
            return inner.get("url") if isinstance(inner, dict) else inner
    if not isinstance(value, str):
        raise RequestError("input_reference is not an image.", field="input_reference", value=str(value)[:50],
                           legal="a file of the form, sha256:<hex> of an upload, or a data: URI")  # fmt: skip
    return value


def _number(name: str, value: Any, parse: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse(value)
        except ValueError:
            raise RequestError(f"{name} = {value[:50]!r}.", field=name, value=value[:50], legal="a number") from None
    return value
