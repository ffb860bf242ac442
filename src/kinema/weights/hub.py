"""Checkpoints of the Hugging Face Hub: the copy in the local cache, and fetching one into it."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ModelError
from ..core.events import OnEvent
from ..core.outside import for_terminal
from .complete import missing_files
from .fetching import counter
from .names import is_hub_id

PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt"]
"""Files that a pull fetches: configurations, tokenizers and safetensors. Pickled weights are never fetched."""


def cached(hub_id: str) -> Path | None:
    """The snapshot folder of a hub id in the cache, complete or not, or None. Uses no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if not is_hub_id(hub_id):
        return None
    try:
        return Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=PATTERNS))
    except (LocalEntryNotFoundError, OSError, ValueError):  # ValueError: not a legal name of a repository
        return None


def fetched(hub_id: str) -> Path | None:
    """The snapshot folder of a hub id if all of it is in the cache, else None. Uses no network."""
    folder = cached(hub_id)
    return folder if folder is not None and not incomplete(folder) else None


def incomplete(folder: Path) -> list[str]:
    """As `missing_files`, with a damaged index reported as one of the missing files."""
    try:
        return missing_files(folder)
    except ModelError as error:
        return [str(error).removesuffix(".")]


def summary(problems: list[str]) -> str:
    """The first three problems, and how many more there are."""
    return "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


def fetch(hub_id: str, on_event: OnEvent) -> Path:
    """Download a repository into the cache (resumable) and return its folder. ModelError if that fails, or if the
    repository is incomplete. on_event: receives `Progress("fetch", megabytes, total megabytes)`."""
    from huggingface_hub import snapshot_download

    if not is_hub_id(hub_id):
        raise ModelError(f"{for_terminal(hub_id, 200)}: neither a known model nor a hub id (OWNER/NAME).")
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=PATTERNS, tqdm_class=counter(on_event)))
    except Exception as error:
        raise ModelError(f"{hub_id}: cannot be fetched: {reason(error)}") from None
    if missing := incomplete(folder):
        raise ModelError(f"{hub_id}: fetched, but incomplete: {summary(missing)}. Pickled weights are never fetched.")
    return folder


def reason(error: Exception) -> str:
    """An error of huggingface_hub as one sentence for users."""
    from huggingface_hub import constants, errors

    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, errors.GatedRepoError):
        return "the repository is gated: accept its terms on the hub's page first (then `hf auth login`)."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or it is private."
    unreached = isinstance(error, errors.LocalEntryNotFoundError)
    if isinstance(error, errors.OfflineModeIsEnabled) or (unreached and constants.HF_HUB_OFFLINE):
        return "HF_HUB_OFFLINE=1 is set, so nothing is fetched."
    if unreached or isinstance(error, ConnectionError | TimeoutError):
        reason = "" if unreached else f" ({for_terminal(first, 200)})"
        return f"the hub cannot be reached{reason}. Run the same command again to resume the download."
    return f"{for_terminal(first, 300)} ({type(error).__name__})"
