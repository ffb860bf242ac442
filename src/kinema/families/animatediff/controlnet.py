"""Find the request's ControlNet or SparseCtrl, and check that its conditions match. No torch."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import ModelError, RequestError, WeightsMissing
from ...core.request import Request
from ...weights.configs import Config
from ...weights.store import local_path

DENSE, SPARSE = "ControlNetModel", "SparseControlNetModel"


def check(request: Request) -> None:
    """RequestError if the conditions do not match the option `controlnet`."""
    name = str(request.options.get("controlnet", "") or "")
    controls = [each for each in request.conditions if each.kind == "control"]
    pictures = [each for each in request.conditions if each.kind == "image"]
    if not name:
        if controls or pictures:
            kind = "a control clip" if controls else "an image"
            raise RequestError(
                f"AnimateDiff requires a ControlNet or SparseCtrl for {kind}.", field="options.controlnet", value="",
                legal="the folder or hub id of a ControlNet (control clips) or of SparseCtrl (images)",
            )  # fmt: skip
        return
    kind = kind_of(place_of(name))
    wanted, other, legal = (
        (pictures, controls, "images") if kind == SPARSE else (controls, pictures, "one control clip")
    )
    if other or not wanted or (kind == DENSE and len(wanted) > 1):
        raise RequestError(
            f"{name} is a {kind}, which requires {legal}.", field="conditions",
            value=[each.kind for each in request.conditions], legal=legal,
        )  # fmt: skip


def place_of(name: str) -> Path:
    """The folder of a path or a pulled hub id. WeightsMissing if it is not on this machine."""
    found = local_path(name)
    if found is None:
        raise WeightsMissing(f"{name} is not on this machine; `kinema models pull {name}` fetches it from the hub.")
    return found


def kind_of(folder: Path) -> str:
    """The network's class, DENSE or SPARSE. ModelError for any other."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: is a file. Specify a ControlNet as a folder with config.json and weights.")
    try:
        kind = Config.read(folder / "config.json").text("_class_name")
    except OSError as error:
        raise ModelError(f"{folder}: config.json cannot be read ({error.strerror or error}).") from None
    if kind not in (DENSE, SPARSE):
        raise ModelError(f"{folder}: unsupported class {kind}. Supported: {DENSE}, {SPARSE}.")
    return kind
