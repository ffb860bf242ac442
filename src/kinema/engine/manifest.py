"""The manifest of a clip: its plan, what the weights and inputs hash to, and the versions that made it."""

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


def manifest(plan: Plan, weights: dict[str, str], device: str) -> dict[str, Any]:
    """JSON-ready."""
    return Manifest(
        kinema=own_version(),
        plan=plan,
        weights=weights,
        inputs=input_digests(plan),
        versions={name: version(name) for name in PACKAGES},
        device=device,
        threads=_threads() if device == "cpu" else 0,
    ).model_dump(mode="json")


def input_digests(plan: Plan) -> dict[str, str]:
    """SHA-256 of everything that the plan's conditions name, by short name. MediaError where one cannot be read."""
    return {short(media): _digest(media, adapter) for media, adapter in _files_of(plan)}


def _threads() -> int:
    import sys

    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.get_num_threads())


def verify(found: Manifest, weights: dict[str, str], plan: Plan | None = None) -> None:
    """RequestError where the weights (digests by name) or inputs of today are not those of the manifest. `plan`: the
    manifest's plan with its inputs found elsewhere."""
    verify_weights(found, weights)
    verify_inputs(found, plan or found.plan)


def verify_weights(found: Manifest, weights: dict[str, str], only: bool = False) -> None:
    """RequestError where weights are not those of the manifest, or it does not name them. only: these are a part of
    what it names."""
    for name in sorted({*weights, *(() if only else found.weights)}):
        if name not in found.weights:
            raise RequestError(
                f"The manifest has no digest of {name} of {found.plan.model}, so it cannot be known whether these "
                "weights made the clip; --force (force=True) goes on.",
                field="weights", value=name, legal="weights whose SHA-256 is in the manifest",
            )  # fmt: skip
        if weights.get(name) != found.weights[name]:
            raise RequestError(
                f"The weights of {found.plan.model} have changed since this clip was made ({name}).",
                field="weights",
                value=name,
                legal=f"SHA-256 {found.weights[name]}",
            )


def verify_inputs(found: Manifest, plan: Plan, *, force: bool = False) -> None:
    """RequestError where an input is not the one of the manifest, or it has no digest of it; MediaError where it cannot
    be read, or is no regular file. plan: the manifest's, with its inputs found elsewhere. force: only the latter."""
    for (media, adapter), (there, _) in zip(_files_of(found.plan), _files_of(plan), strict=True):
        known = found.inputs.get(short(media))
        if force:
            place = adapters_place(there) if adapter else there
            if not place.startswith("data:") and not exists(inputs.check_regular(place)):
                raise MediaError(f"{place[:200]}: no such file.")
        elif known is None:
            raise RequestError(
                f"The manifest has no digest of its input {short(media)}, so it cannot be known whether that is the "
                "file that it was made with; --force (force=True) goes on.",
                field="inputs", value=short(media), legal="inputs whose SHA-256 is in the manifest",
            )  # fmt: skip
        elif _digest(there, adapter) != known:
            raise RequestError(
                f"{short(media)} has changed since this clip was made.",
                field="inputs",
                value=short(media),
                legal=f"SHA-256 {known}",
            )


def adapters_place(adapter: str) -> str:
    """The file of an adapter that is given as a file, a folder or a name. ModelError where there is none."""
    from ..weights.adapters import find

    return str(find(adapter))


def _digest(media: str, adapter: bool) -> str:
    return inputs.digest(adapters_place(media) if adapter else media)


def _files_of(plan: Plan) -> Iterator[tuple[str, bool]]:
    """Every file or URI that the plan's conditions name, and whether it is an adapter's."""
    yield from ((media, False) for media in media_of(plan))
    yield from ((condition.adapter, True) for condition in plan.conditions if condition.kind == "style")


def media_of(plan: Plan) -> Iterator[str]:
    """Every picture, clip and sound that the plan's conditions name."""
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
    """The name a manifest uses: a data: URI is known by its hash alone."""
    return f"data:{inputs.digest(media)[:16]}" if media.startswith("data:") else media


def own_version() -> str:
    try:
        return version("kinema")
    except PackageNotFoundError:
        return "0+unknown"
