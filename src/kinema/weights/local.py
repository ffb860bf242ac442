"""Find and load the weights of annotators from local safetensors. Downloads nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ModelError, WeightsMissing
from .store import local_path

if TYPE_CHECKING:
    import torch


def find(kind: str, *models: str) -> list[Path]:
    """The folders of an annotator's models, each specified as a folder or a hub id. WeightsMissing names all that are
    missing and the commands that fetch them."""
    folders = [_folder(model) for model in models]
    missing = [model for model, folder in zip(models, folders) if folder is None]
    if missing:
        pulls = " and ".join(f"`kinema models pull {model}`" for model in missing)
        raise WeightsMissing(
            f"A {kind} clip needs {' and '.join(missing)}, not on this machine. {pulls} "
            f"{'fetches it' if len(missing) == 1 else 'fetch them'} from the hub; you can also specify a local folder."
        )
    return [folder for folder in folders if folder is not None]


def load(auto: Any, folder: Path) -> Any:
    """Load a transformers network from its folder in float32, for inference. ModelError if it is damaged."""
    from safetensors import SafetensorError

    from .folder import load_part

    try:
        network = load_part(auto, folder, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from None
    return network.float().eval().requires_grad_(False)


def processor(folder: Path) -> Any:
    """Load the image processor of a checkpoint."""
    from transformers import AutoImageProcessor

    from .folder import load_part

    try:
        return load_part(AutoImageProcessor, folder)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{folder}: its preprocessor_config.json: {str(error).splitlines()[0]}") from None


def place(device: str | None) -> torch.device:
    """The device of that name. Defaults to CUDA if available, else the CPU."""
    import torch

    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _folder(model: str) -> Path | None:
    folder = local_path(model)
    if folder is None:
        return None
    return folder if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) else None
