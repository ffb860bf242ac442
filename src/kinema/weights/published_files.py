"""Published single files that Kinema names but does not ship, and that are no models of videos: where each comes from,
and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ModelError, WeightsMissing
from ..core.events import OnEvent
from ..core.home import home
from . import hub
from .fetching import counter


@dataclass(frozen=True)
class PublishedFile:
    """hub_id: a repository of the hub that has a copy. origin: where its authors published it. about: of the user's
    interest before it is fetched."""

    name: str
    file: str
    hub_id: str
    origin: str
    about: str

    @property
    def place(self) -> Path:
        """Where a copy that was fetched by hand is put."""
        return home() / "features" / self.file


FILES = {
    "i3d": PublishedFile(
        "i3d", "i3d_torchscript.pt", "flateon/FVD-I3D-torchscript",
        "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt",
        "I3D of the Frechet video distance. TorchScript: the file holds code, which runs in TorchScript's interpreter",
    ),
}  # fmt: skip


def located(name: str) -> Path:
    """The file on this machine. Raises WeightsMissing with the places that it can come from."""
    from huggingface_hub import try_to_load_from_cache

    named = FILES[name]
    cached = try_to_load_from_cache(named.hub_id, named.file)
    for place in (named.place, Path(cached) if isinstance(cached, str) else None):
        if place is not None and place.is_file():
            return place
    raise WeightsMissing(
        f"{named.file} is not on this machine. `kinema models pull {name}` fetches it from {named.hub_id}, or put the "
        f"authors' copy ({named.origin}) at {named.place}."
    )


def fetch(name: str, on_event: OnEvent) -> Path:
    """Fetch the hub's copy into the cache (resumable). ModelError, which also names the authors' address."""
    from huggingface_hub import hf_hub_download

    named = FILES[name]
    try:
        return Path(hf_hub_download(named.hub_id, named.file, tqdm_class=counter(on_event)))
    except Exception as error:
        raise ModelError(
            f"{name}: {named.hub_id} cannot be fetched: {hub.reason(error)} The authors' copy is at {named.origin}; "
            f"put it at {named.place}."
        ) from None
