"""A plan through an engine into a file: what `generate` and `rerun` have in common."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MediaError, OutsideDomain
from ..core.events import Event, Note, OnEvent, Planned, planned
from ..core.threads import alone
from ..core.whole import whole
from . import show
from .names import is_piped
from .output import size_of
from .progress import reporter
from .say import answer

if TYPE_CHECKING:
    import numpy as np

    from ..core.chunk import Chunk
    from ..core.plan import Plan
    from ..core.request import Request
    from ..engine.load import Engine
    from ..engine.resume import SamplingState

SHEET_FRAMES = 12


@dataclass
class ClipWork:
    """One clip to make: what, where to, and how its sampling is kept or taken up again."""

    plan: Plan
    target: str
    sheet: Path | None = None
    preview: str | None = None
    resume: SamplingState | None = None
    keep_state: Path | None = None
    keep_every: int = 0


def load_engine(model: str, device: str | None, dtype: str | None, on_event: OnEvent) -> Engine:
    """A warm engine."""
    on_event(Event("load"))
    # Importing torch and transformers makes millions of objects that stay: looking for garbage among them costs a
    # tenth of the whole start.
    gc.disable()
    try:
        from ..engine.load import load

        return load(model, device=device, dtype=dtype, progress=False)
    finally:
        gc.freeze()  # they are not looked at later either
        gc.enable()


def run(job: ClipWork, engine: Engine, on_event: OnEvent) -> dict[str, Any]:
    """Make the clip and write it, encoding while decoding. Returns what `--json` prints."""
    from ..media.write import write

    started = time.perf_counter()
    manifest = engine.manifest(job.plan)
    keep: Callable[[SamplingState], None] | None = None
    if job.keep_state is not None:
        place = job.keep_state
        keep = lambda state: _save(state, place)  # noqa: E731
    listener = on_event
    if job.preview is not None:
        from .preview import Previews

        listener = Previews(job.preview, job.plan.fps, on_event)
    if engine.start_s is not None:  # of a command everything before the work is its start
        engine.start_s = max(engine.start_s, alone(process_age_s(), time.process_time()))
    chunks = engine.stream(job.plan, on_event=listener, state=job.resume, keep=keep, keep_every=job.keep_every)
    picked: list[np.ndarray] = []
    if job.sheet is not None:
        chunks = pick(chunks, job.plan.frames, SHEET_FRAMES, picked)
    path = write(chunks, job.target, manifest=manifest, quality=job.plan.quality, on_frame=on_event)
    if job.sheet is not None:
        save_sheet(picked, job.sheet)
    remember(
        on_event, path, "generated", prompt=job.plan.prompt, model=job.plan.model, seed=job.plan.seed,
        size=job.plan.size, frames=job.plan.frames, fps=job.plan.fps,
    )  # fmt: skip
    return {
        "path": str(path),
        "sheet": str(job.sheet) if job.sheet is not None else None,
        "preview": job.preview,
        "bytes": size_of(path),
        "width": job.plan.size[0],
        "height": job.plan.size[1],
        "frames": job.plan.frames,
        "fps": job.plan.fps,
        "seconds": round(time.perf_counter() - started, 3),
        "device": engine.device_name,
        "plan": manifest["plan"] | {"estimate": estimate.model_dump() if (estimate := job.plan.estimate) else None},
    }


def process_age_s() -> float:
    """Seconds since this process began."""
    import psutil

    return time.time() - psutil.Process().create_time()


def remember(on_event: OnEvent, path: str | Path, made: str, **facts: Any) -> None:
    """The clip into the history of this machine (`kinema history`); a note where that cannot be. What goes to standard
    output has no name, and is not in it."""
    if is_piped(path):
        return
    from ..workflow.history import record

    if trouble := record(path, made, **facts):
        on_event(Note("write", trouble))


def plan(request: Request, device: str | None, *, anyway: bool = False) -> Plan:
    """The plan, with the cost on the wanted device; None: this machine's best. OutsideDomain where the model has not
    learnt what is asked for, unless `anyway`."""
    from ..engine.plan import plan as make_plan

    found = make_plan(request, None, device)
    check_domain([found], anyway)
    return found


def check_domain(plans: Iterable[Plan], anyway: bool) -> None:
    """OutsideDomain where a plan asks a model for what it has not learnt, unless `anyway`."""
    if not anyway and (sentences := dict.fromkeys(sentence for each in plans for sentence in each.outside)):
        raise OutsideDomain(f"{' '.join(sentences)} --anyway goes on.", field="model")


def make(job: ClipWork, model: str, device: str | None, dtype: str | None, as_json: bool) -> None:
    """Load the model, make the clip, and say so: remarks before, progress meanwhile, the result at the end."""
    if not as_json:
        show.remarks(job.plan)
    with reporter(as_json) as on_event:
        on_event(to_come(job.plan, model, device))
        found = run(job, load_engine(model, device, dtype, on_event), on_event)
    answer(found, as_json, words(found))


def to_come(found: Plan, model: str, device: str | None) -> Planned:
    """The whole of the work, the start included."""
    from ..engine.estimate import device_name, parts
    from ..weights import store

    expected = parts(found, store.find(model), device_name(device), start=True)
    passed_s = process_age_s()  # a part of the start is over
    return planned(*(
        replace(part, seconds=max(0.3 * part.seconds, part.seconds - passed_s)) if part.stage == "load" else part
        for part in expected
    ))  # fmt: skip


def words(found: dict[str, Any]) -> str:
    """The result for a person."""
    length_s = found["frames"] / found["fps"]
    clip = f"{found['width']}x{found['height']}, {found['frames']} frames, {length_s:.2f} s"
    lines = [f"{found['path']}  ({clip}, {readable(found['bytes'])}) in {found['seconds']:.1f} s"]
    if found["sheet"]:
        lines.append(found["sheet"])
    return "\n".join(lines)


def readable(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"


def pick(chunks: Iterator[Chunk], num_frames: int, count: int, kept: list[np.ndarray]) -> Iterator[Chunk]:
    """Pass the chunks on; copies of `count` frames, first, last and evenly between, are left in `kept`."""
    count = min(count, num_frames)
    wanted = {round(index * (num_frames - 1) / max(1, count - 1)) for index in range(count)}
    try:
        for chunk in chunks:
            kept += [chunk.frames[at - chunk.start].copy() for at in sorted(wanted) if chunk.start <= at < chunk.stop]
            yield chunk
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def save_sheet(frames: list[np.ndarray], target: Path) -> None:
    """Write a contact sheet beside and rename it into place."""
    import numpy as np

    from ..media.sheet import sheet
    from ..media.write_picture import write_picture

    try:
        with whole(target) as beside:
            write_picture(sheet(np.stack(frames), rows=2, columns=SHEET_FRAMES // 2), beside)
    except (OSError, ValueError) as error:
        raise MediaError(f"{target}: the contact sheet cannot be written: {error}.") from error


def _save(state: SamplingState, place: Path) -> None:
    try:
        state.save(place)
    except OSError as error:
        raise MediaError(f"{place}: the sampling state cannot be saved: {error}.") from error
