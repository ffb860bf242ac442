"""One clip of a command: what is to be written, and what is reported about it when it is finished."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.events import Note, OnEvent
from . import output
from .names import is_piped
from .say import frames_text

if TYPE_CHECKING:
    from ..core.plan import Plan
    from ..engine.fill_state import FillState
    from ..engine.resume import SamplingState


@dataclass
class ClipWork:
    """One clip to write: its plan, where it goes, and how its sampling is saved and resumed."""

    plan: Plan
    target: str
    sheet: Path | None = None
    preview: str | None = None
    resume: SamplingState | FillState | None = None
    keep_state: Path | None = None
    keep_every: int = 0


def finished(
    job: ClipWork, path: Path, on_event: OnEvent, *, plan: dict[str, Any], has_weights: bool, seconds: float,
    device: str, preview: str | None, facts: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Add a written clip to the history and return what `--json` prints. plan: as in its manifest. has_weights: as for
    `Plan.ran_model`. facts: what the run found out."""
    by_model = job.plan.ran_model(has_weights)
    record(
        on_event, path, "generated", prompt=job.plan.prompt, model=job.plan.model if by_model else "",
        seed=job.plan.seed if by_model else None, size=job.plan.size, frames=job.plan.frames, fps=job.plan.fps,
    )  # fmt: skip
    return {
        "path": str(path),
        "sheet": str(job.sheet) if job.sheet is not None else None,
        "preview": preview,
        "bytes": output.size_of(path),
        **job.plan.result(plan, seconds=seconds, device=device, found=facts),
    }


def record(on_event: OnEvent, path: str | Path, made: str, **facts: Any) -> None:
    """Add the clip to the history of this machine (`kinema history`), or report a note if that fails. What goes to
    standard output has no name and is left out."""
    if is_piped(path):
        return
    from ..workflow import history

    if trouble := history.record(path, made, **facts):
        on_event(Note("write", trouble))


def result_text(found: dict[str, Any]) -> str:
    """Return the result as text."""
    length_s = found["frames"] / found["fps"]
    clip = f"{found['width']}x{found['height']}, {frames_text(found['frames'])}, {length_s:.2f} s"
    lines = [f"{found['path']}  ({clip}, {readable(found['bytes'])}) in {found['seconds']:.1f} s"]
    if found["sheet"]:
        lines.append(found["sheet"])
    return "\n".join(lines)


def readable(num_bytes: int) -> str:
    """Return a number of bytes with its unit."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.1f} GB"
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"
