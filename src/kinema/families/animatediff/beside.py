"""Which network stands beside the UNet, and whether a request gives it what it takes. No torch."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import ModelError, RequestError, WeightsMissing
from ...core.request import Request
from ...weights.configs import Config
from ...weights.store import local_path

DENSE, SPARSE = "ControlNetModel", "SparseControlNetModel"


def check(request: Request) -> None:
    """RequestError where conditions and the option `controlnet` do not belong together."""
    name = str(request.options.get("controlnet", "") or "")
    controls = [each for each in request.conditions if each.kind == "control"]
    pictures = [each for each in request.conditions if each.kind == "image"]
    if not name:
        if controls or pictures:
            what = "a control clip" if controls else "a picture"
            raise RequestError(
                f"AnimateDiff follows {what} only through a network beside it.", field="options.controlnet", value="",
                legal="the folder or hub id of a ControlNet (control clips) or of SparseCtrl (pictures)",
            )  # fmt: skip
        return
    kind = kind_of(place_of(name))
    wanted, other, words = (
        (pictures, controls, "pictures") if kind == SPARSE else (controls, pictures, "a control clip")
    )
    if other or not wanted or (kind == DENSE and len(wanted) > 1):
        raise RequestError(
            f"{name} is a {kind}: it takes {words}{'' if kind == SPARSE else ', one'}.", field="conditions",
            value=[each.kind for each in request.conditions], legal=words,
        )  # fmt: skip


def place_of(name: str) -> Path:
    """A folder, or the copy of a hub id that was pulled. WeightsMissing where it is not here."""
    found = local_path(name)
    if found is None:
        raise WeightsMissing(f"{name} is not on this machine; `kinema models pull {name}` fetches it from the hub.")
    return found


def kind_of(folder: Path) -> str:
    """DENSE or SPARSE. ModelError for anything else."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: a file. A network beside the UNet is a folder with its config.json and weights.")
    try:
        kind = Config.read(folder / "config.json").text("_class_name")
    except OSError as error:
        raise ModelError(f"{folder}: config.json cannot be read ({error.strerror or error}).") from None
    if kind not in (DENSE, SPARSE):
        raise ModelError(f"{folder} holds a {kind}; legal are {DENSE} and {SPARSE}.")
    return kind
