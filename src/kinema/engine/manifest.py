"""The manifest of a clip: its plan, what the weights and inputs hash to, and the versions that made it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..conditions import inputs
from ..core.apart import is_there
from ..core.errors import RequestError
from ..core.plan import Manifest, Plan

MEDIA_FIELDS = ("image", "images", "video", "clip", "track")
PACKAGES = ("torch", "diffusers", "transformers", "av", "numpy")


def manifest(plan: Plan, weights: dict[str, str], device: str) -> dict[str, Any]:
    """JSON-ready."""
    return Manifest(
        kinema=own_version(),
        plan=plan,
        weights=weights,
        inputs={short(media): inputs.digest(media) for media in media_of(plan)},
        versions={name: version(name) for name in PACKAGES},
        device=device,
    ).model_dump(mode="json")


def verify(found: Manifest, weights: dict[str, str], plan: Plan | None = None) -> None:
    """RequestError where the weights (digests by name) or inputs of today are not those of the manifest. `plan`: the
    manifest's plan with its inputs found elsewhere."""
    for name, digest in found.weights.items():
        if weights.get(name) != digest:
            raise RequestError(
                f"The weights of {found.plan.model} have changed since this clip was made ({name}).",
                field="weights",
                value=name,
                legal=f"SHA-256 {digest}",
            )
    for media, there in zip(media_of(found.plan), media_of(plan or found.plan), strict=True):
        digest = inputs.digest(there)
        if found.inputs.get(short(media)) not in (None, digest):
            raise RequestError(
                f"{short(media)} has changed since this clip was made.",
                field="inputs",
                value=short(media),
                legal=f"SHA-256 {found.inputs[short(media)]}",
            )


def media_of(plan: Plan) -> Iterator[str]:
    """Every file or URI that the plan's conditions name."""
    for condition in plan.conditions:
        for name in MEDIA_FIELDS:
            value = getattr(condition, name, None)
            values = value if isinstance(value, tuple) else (value,)
            yield from (each for each in values if isinstance(each, str))


def find_inputs(plan: Plan, folder: Path) -> Plan:
    """The plan with inputs that are not where it says, but lie the same way relative to `folder`, found there."""

    def found(media: object) -> object:
        if isinstance(media, tuple):
            return tuple(found(each) for each in media)
        if not isinstance(media, str) or media.startswith(("data:", "file:")) or is_there(Path(media)):
            return media
        return str(folder / media) if is_there(folder / media) else media

    conditions = tuple(
        condition.model_copy(
            update={name: found(getattr(condition, name)) for name in MEDIA_FIELDS if hasattr(condition, name)}
        )
        for condition in plan.conditions
    )
    return plan.model_copy(update={"conditions": conditions})


def short(media: str) -> str:
    """The name a manifest uses: a data: URI is known by its hash alone."""
    return f"data:{inputs.digest(media)[:16]}" if media.startswith("data:") else media


def own_version() -> str:
    try:
        return version("kinema")
    except PackageNotFoundError:
        return "0+unknown"
