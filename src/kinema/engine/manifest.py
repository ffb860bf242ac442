"""The manifest of a clip: its plan, the hashes of weights and inputs, and the versions used."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..conditions import inputs
from ..core.conditions import FILE_FIELDS, MEDIA_FIELDS
from ..core.errors import MediaError, RequestError
from ..core.outside import exists
from ..core.plan import Manifest, Plan

PACKAGES = ("torch", "diffusers", "transformers", "av", "numpy")
OUTCOME = {"filled", "moving", "lost", "unsure"}
"""The fields of a manifest that are known only when the clip is finished."""


def manifest(plan: Plan, weights: dict[str, str], device: str) -> dict[str, Any]:
    """The manifest of a clip, JSON-ready, without its outcome, which a run reports at its end (core/events.Outcome)."""
    return Manifest(
        kinema=own_version(),
        plan=plan,
        weights=weights,
        inputs=input_digests(plan),
        versions={name: version(name) for name in PACKAGES},
        device=device,
        threads=_threads() if device == "cpu" else 0,
    ).model_dump(mode="json", exclude=OUTCOME)


def has_outcome(plan: Plan) -> bool:
    """Whether the manifest of a plan's clip is complete only when the clip is finished."""
    return plan.fill != "generate" or any(each.kind == "mask" and each.follows for each in plan.conditions)


def input_digests(plan: Plan) -> dict[str, str]:
    """SHA-256 of all inputs of the plan's conditions, by short name. Raises MediaError if one cannot be read."""
    return {short(media): _digest(media, adapter) for media, adapter in _files_of(plan)}


def _threads() -> int:
    import sys

    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.get_num_threads())


def verify(found: Manifest, weights: dict[str, str], plan: Plan | None = None) -> None:
    """Raise RequestError if the present weights (digests by name) or inputs differ from the manifest's. `plan`: the
    manifest's plan with its inputs at their present paths."""
    verify_weights(found, weights)
    verify_inputs(found, plan or found.plan)


def verify_weights(found: Manifest, weights: dict[str, str], only: bool = False) -> None:
    """Raise RequestError if weights differ from those of the manifest, or are not listed in it. only: they may be a
    subset of the listed ones."""
    for name in sorted({*weights, *(() if only else found.weights)}):
        if name not in found.weights:
            raise RequestError(
                f"The manifest has no digest of {name} of {found.plan.model}, so these weights cannot be verified; "
                "--force (force=True) skips the check.",
                field="weights", value=name, legal="weights whose SHA-256 is in the manifest",
            )  # fmt: skip
        if weights.get(name) != found.weights[name]:
            raise RequestError(
                f"The weights of {found.plan.model} have changed since this clip was generated ({name}).",
                field="weights",
                value=name,
                legal=f"SHA-256 {found.weights[name]}",
            )


def verify_inputs(found: Manifest, plan: Plan, *, force: bool = False) -> None:
    """Raise RequestError if an input differs from the manifest's digest or has none; MediaError if it cannot be read or
    is not a regular file. plan: the manifest's, with its inputs at their present paths. force: only the latter."""
    for (media, adapter), (current, _) in zip(_files_of(found.plan), _files_of(plan), strict=True):
        expected = found.inputs.get(short(media))
        if force:
            place = adapters_place(current) if adapter else current
            if not place.startswith("data:") and not exists(inputs.check_regular(place)):
                raise MediaError(f"{place[:200]}: no such file.")
        elif expected is None:
            raise RequestError(
                f"The manifest has no digest of its input {short(media)}, so the file cannot be verified; --force "
                "(force=True) skips the check.",
                field="inputs", value=short(media), legal="inputs whose SHA-256 is in the manifest",
            )  # fmt: skip
        elif _digest(current, adapter) != expected:
            raise RequestError(
                f"{short(media)} has changed since this clip was generated.",
                field="inputs",
                value=short(media),
                legal=f"SHA-256 {expected}",
            )


def adapters_place(adapter: str) -> str:
    """The file of an adapter given as a file, a folder or a name. Raises ModelError if it is not found."""
    from ..weights.adapters import find

    return str(find(adapter))


def _digest(media: str, adapter: bool) -> str:
    return inputs.digest(adapters_place(media) if adapter else media)


def _files_of(plan: Plan) -> Iterator[tuple[str, bool]]:
    """Yield every file or URI of the plan's conditions, and whether it is an adapter."""
    yield from ((media, False) for media in media_of(plan))
    yield from ((condition.adapter, True) for condition in plan.conditions if condition.kind == "style")


def media_of(plan: Plan) -> Iterator[str]:
    """Yield every picture, clip and sound of the plan's conditions."""
    for condition in plan.conditions:
        for name in MEDIA_FIELDS:
            value = getattr(condition, name, None)
            values = value if isinstance(value, tuple) else (value,)
            yield from (each for each in values if isinstance(each, str))


def find_inputs(plan: Plan, folder: Path) -> Plan:
    """The plan, with inputs that are missing at their paths replaced by those at the same path relative to `folder`."""

    def found(media: object) -> object:
        if isinstance(media, tuple):
            return tuple(found(each) for each in media)
        if not isinstance(media, str) or media.startswith(("data:", "file:")) or exists(media):
            return media
        return str(folder / media) if exists(folder / media) else media

    conditions = tuple(
        condition.model_copy(
            update={name: found(getattr(condition, name)) for name in FILE_FIELDS if hasattr(condition, name)}
        )
        for condition in plan.conditions
    )
    return plan.model_copy(update={"conditions": conditions})


def short(media: str) -> str:
    """The name of an input in a manifest; for a data: URI its hash."""
    return f"data:{inputs.digest(media)[:16]}" if media.startswith("data:") else media


def own_version() -> str:
    try:
        return version("kinema")
    except PackageNotFoundError:
        return "0+unknown"


def without_estimate(plan: Plan) -> Plan:
    """The plan without its estimate, which varies with the measurements of the machine."""
    steps = tuple(
        step if step.plan is None else step.model_copy(update={"plan": without_estimate(step.plan)})
        for step in plan.upscale
    )
    return plan.model_copy(update={"estimate": None, "upscale": steps})
