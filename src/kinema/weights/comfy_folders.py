"""ComfyUI's folders of models: a models folder, or extra_model_paths.yaml.

    ComfyUI/models/diffusion_models, unet, checkpoints    networks
    ComfyUI/models/vae, text_encoders, clip, clip_vision  their other parts
    split_files/diffusion_models, vae, ...                the same in repositories of repackaged files
    ComfyUI/extra_model_paths.yaml                        further folders: in each section `base_path`, and by kind
                                                          one or several paths, one a line

Folders that were added are kept in Kinema's data folder (model_folders.json): a transformer's other parts are searched
in them too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from ..core.home import home
from ..core.json_state import JsonState, StateNewer
from ..core.outside import exists, of_kind, parse_yaml, read_bytes

KINDS = {
    "diffusion_models": "diffusion_models", "unet": "diffusion_models", "checkpoints": "checkpoints", "vae": "vae",
    "text_encoders": "text_encoders", "clip": "text_encoders", "clip_vision": "clip_vision", "loras": "loras",
}  # fmt: skip
"""ComfyUI's names of folders, old and new, and the kind of model in them."""
NETWORKS = ("diffusion_models", "checkpoints")
ENDINGS = (".safetensors", ".sft", ".gguf")
MAX_FILES, MAX_YAML_BYTES = 5000, 1_000_000
EXTRA = "extra_model_paths.yaml"


@dataclass(frozen=True)
class ComfyFolders:
    """Existing folders by kind (the values of KINDS)."""

    folders: dict[str, tuple[Path, ...]]

    def files(self) -> list[Path]:
        """The files of networks, with all subfolders."""
        found = (file for kind in NETWORKS for folder in self.folders.get(kind, ()) for file in _below(folder))
        return list(dict.fromkeys(itertools.islice(found, MAX_FILES)))


def comfy_folders(path: Path) -> ComfyFolders | None:
    """The folders of ComfyUI's folder, of its models folder, or of a YAML file of model paths. None for another folder
    or file. ModelError for a damaged YAML file."""
    if not exists(path):
        return None
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        return _merged([_yaml(path)])
    if not path.is_dir() or exists(path / "model_index.json"):
        return None
    models = next((each for each in (path / "models", path / "split_files") if each.is_dir()), path)
    own: dict[str, list[Path]] = {}
    for name, kind in KINDS.items():
        if (models / name).is_dir():
            own.setdefault(kind, []).append(models / name)
    extra = next((place for place in (path / EXTRA, path.parent / EXTRA) if place.is_file()), None)
    if not any(kind in own for kind in NETWORKS) and extra != path / EXTRA:
        return None
    return _merged([own, *([_yaml(extra)] if extra is not None else [])])


def remember(found: ComfyFolders) -> None:
    """Add folders to those in which parts of models are searched."""
    try:
        with _state().change() as value:
            kept = _kept(value)
            for kind, folders in found.folders.items():
                kept[kind] = list(dict.fromkeys([*kept.get(kind, []), *map(str, folders)]))
            value["folders"] = kept
    except StateNewer as error:
        raise ModelError(str(error)) from None
    except OSError as error:
        raise ModelError(f"{_state().path}: cannot be written: {error}.") from None


def remembered(*names: str) -> list[Path]:
    """The added folders of ComfyUI's names ("vae", "clip", ...)."""
    kept = _kept(_state().read().value)
    kinds = dict.fromkeys(KINDS[name] for name in names if name in KINDS)
    return [Path(place) for kind in kinds for place in kept.get(kind, [])]


def _state() -> JsonState:
    return JsonState(home() / "model_folders.json", 1, check=lambda value: of_kind(value["folders"], "folders", dict))


def _kept(value: dict[str, Any]) -> dict[str, list[str]]:
    found = value.get("folders", {})
    return {
        kind: [place for place in places if isinstance(place, str)]
        for kind, places in found.items()
        if isinstance(places, list)
    }


def _merged(all_of: list[dict[str, list[Path]]]) -> ComfyFolders:
    kinds = dict.fromkeys(kind for each in all_of for kind in each)
    return ComfyFolders(
        {kind: tuple(dict.fromkeys(place for each in all_of for place in each.get(kind, []))) for kind in kinds}
    )


def _yaml(file: Path) -> dict[str, list[Path]]:
    what = str(file)
    sections: Any = parse_yaml(read_bytes(file, error=ModelError, max_bytes=MAX_YAML_BYTES), what, error=ModelError)
    if not isinstance(sections, dict):
        raise ModelError(f"{file}: not a file of model paths: sections with base_path and folders by kind.")
    found: dict[str, list[Path]] = {}
    for section in sections.values():
        if not isinstance(section, dict):
            continue
        base = section.get("base_path")
        root = file.parent / Path(base).expanduser() if isinstance(base, str) else file.parent
        for name, lines in section.items():
            if name in KINDS and isinstance(lines, str):
                places = [root / Path(line.strip()).expanduser() for line in lines.splitlines() if line.strip()]
                if here := [place.resolve() for place in places if place.is_dir()]:
                    found.setdefault(KINDS[name], []).extend(here)
    if not found:
        raise ModelError(f"{file}: names no existing folder of {', '.join(KINDS)}.")
    return found


def _below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
