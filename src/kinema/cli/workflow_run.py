"""`kinema workflow run`: the clips of a ComfyUI workflow, generated and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.apart import keep_apart, named
from ..core.closing import closed_after
from ..core.errors import RequestError
from . import output, show
from .clip_work import ClipWork, result_text
from .names import unused
from .progress import reporter
from .say import answer, note
from .work import expected_parts, generator_of, plan, run

if TYPE_CHECKING:
    from ..core.chunk import Chunk
    from ..workflow.requests import WantedClip


def chosen_models(entries: list[str]) -> dict[str, str]:
    """The models of `--model FILE=MODEL`. RequestError."""
    found = {}
    for entry in entries:
        name, sign, model = entry.partition("=")
        if not (name and sign and model):
            raise RequestError(f"--model {entry}.", field="model", value=entry,
                               legal="FILE=MODEL, as svd.safetensors=kinema-mini-svd")  # fmt: skip
        found[name] = model
    return found


def targets(clips: list[WantedClip], given: str | None) -> list[Path]:
    """Where the clips go: the file or, for several, the folder that was given; else new files in this folder."""
    if given is None:
        return [unused(Path(clip.name)) for clip in clips]
    place = Path(given)
    if place.suffix:
        if len(clips) > 1:
            raise RequestError(f"The workflow writes {len(clips)} clips.", field="output", value=given,
                               legal="a folder, as clips/")  # fmt: skip
        return [place]
    place.mkdir(parents=True, exist_ok=True)
    return [unused(place / clip.name) for clip in clips]


def run_clips(
    clips: list[WantedClip], places: list[Path], source: str, device: str | None, *, anyway: bool, as_json: bool
) -> None:  # fmt: skip
    """Generate clips and write them; all are planned first. Prints the results."""
    plans = [plan(clip.request, device, anyway=anyway) for clip in clips]
    for clip, found, place in zip(clips, plans, places, strict=True):
        output.check_clip(str(place), clip.fps)
        keep_apart({"output": str(place)}, [source, *named(found)])
    results: list[dict[str, Any]] = []
    engine, loaded = None, ""
    for clip, found, place in zip(clips, plans, places, strict=True):
        if not as_json:
            show.remarks(found)
            for line in clip.notes:
                note(line)
        with reporter(as_json) as on_event:
            on_event(expected_parts(found, clip.request.model, device))
            if engine is None or loaded != clip.request.model:
                engine, loaded = generator_of(found, clip.request.model, device, None, on_event), clip.request.model
            made = run(ClipWork(found, str(place)), engine, on_event, partial(_at_rate, fps=clip.fps))
        results.append(made | {"node": clip.node, "fps": clip.fps})
    answer({"clips": results}, as_json, "\n".join(map(result_text, results)))


def _at_rate(chunks: Iterator[Chunk], fps: float) -> Iterator[Chunk]:
    """The same frames at the frame rate of the file."""
    with closed_after(chunks):
        for chunk in chunks:
            yield replace(chunk, fps=fps)
