"""Generate the file of a request: `make_clip` plans it, checks the outputs, loads the model, generates and reports.

`generate` and the verbs that edit or upscale a clip all end here; `rerun`, `generate --seeds` and `make-film` use its
parts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.apart import keep_apart, named
from ..core.errors import MediaError, OutsideDomain, RequestError
from ..core.events import Event, Note, OnEvent, Planned, collecting, planned
from ..core.threads import alone
from . import followed, handover, output, show
from . import submission as submitted
from .clip_work import ClipWork, finished, result_text
from .options import OutputOptions, SingleClipOptions
from .progress import reporter
from .say import answer
from .sheet import SHEET_FRAMES, pick, save_sheet

if TYPE_CHECKING:
    import numpy as np

    from ..core.chunk import Chunk
    from ..core.plan import Plan
    from ..core.request import Request
    from ..engine.fill_state import FillState
    from ..engine.load import Engine
    from ..engine.resume import SamplingState

KEEP_EVERY = 5


def make_clip(
    options: SingleClipOptions,
    request: Request | None,
    name: Callable[[Plan], Path],
    reads: Iterable[str | Path | None] = (),
) -> None:
    """Run a request to its file, or print it with `--request-only`. Everything is checked before the model is loaded.

    request: None continues the request of the state that `--resume` names. name: the default name of the file.
    reads: files that the command reads apart from those of its request. RequestError, MediaError or ModelError."""
    check_outputs(options)
    there: handover.Handover | None = None
    state = None if options.resume is None else _read_state(options.resume)
    surveyed = None if state is None else state.plan
    if request is None:
        assert state is not None
        if options.request_only:
            from ..engine.rerun import request_of

            request = request_of(state.plan)
            typer.echo(request.located(Path.cwd()).to_json())
            return
        found, model = _resumed_plan(state, options), options.model or state.plan.model
    else:
        if state is not None and request.seed is None:
            request = request.changed(seed=state.plan.seed)
        if options.request_only:
            typer.echo(request.located(Path.cwd()).to_json())
            return
        if (submission := submitted.current()) is not None:
            submitted.submit_clip(options, request, submission, lambda plans: check_domain(plans, options.anyway))
            return
        reads = [*reads, *named(request)]
        keep_apart({"output": options.output_, "sheet": options.sheet}, reads)
        there = handover.prepared(options, request)
        if there is not None:
            found = there.plan
            check_domain([found], options.anyway)
        else:
            found = plan(request, options.device, anyway=options.anyway, surveyed=surveyed)
        model = request.model
    job = ClipWork(found, options.output_ or str(name(found)), options.sheet, options.preview, state)
    job.keep_state = options.keep_state
    job.keep_every = (options.keep_every or KEEP_EVERY) if options.keep_state is not None else 0
    _check_job(job, options.resume, [*reads, *named(found)])
    if not options.as_json:
        show.remarks(job.plan)
    if there is None or not _made_there(there, job, options.as_json):
        make(job, model, options.device, options.dtype, options.as_json)
    _discard_windows(options.keep_state, options.resume)


def check_outputs(options: OutputOptions) -> None:
    """Raise RequestError or MediaError for an output that cannot be written."""
    if options.output_ is not None:
        output.check_clip(options.output_)
    if options.sheet is not None:
        output.check_sheet(options.sheet)
    if options.preview is not None:
        from .preview import check

        check(options.preview)
    if options.keep_state is not None:
        output.check_state(options.keep_state)
    if (every := options.keep_every) is not None and (options.keep_state is None or every < 1):
        raise RequestError(f"--keep-every {every}.", field="keep_every", value=every,
                           legal="1 or more, with --keep-state FILE")  # fmt: skip


def _check_job(job: ClipWork, resume: Path | None, reads: list[str | Path | None]) -> None:
    """Raise RequestError for an output that would replace an input or another output, and for a state of another
    plan."""
    from ..engine.keeping import check_keeping

    output.check_clip(job.target, job.plan.fps)
    written = {"output": job.target, "sheet": job.sheet, "preview": job.preview}
    keep_apart({**written, "keep_state": job.keep_state}, reads)
    keep_apart(written, [resume])  # the state itself may be saved to the file that it was read from
    check_keeping(job.plan, job.resume, job.keep_state, job.keep_every)


def _read_state(path: Path) -> SamplingState | FillState:
    """Read a saved state. Raises MediaError for any other file, before torch is imported."""
    from ..engine.opener import read_state

    return read_state(path)


def _resumed_plan(state: SamplingState | FillState, options: SingleClipOptions) -> Plan:
    """Return the plan of a state, checked like that of a clip from elsewhere."""
    from ..engine.rerun import check_plan
    from ..weights import store

    found = state.plan
    others = [store.find(step.model) for step in found.by_model]
    check_plan(found, store.find(options.model or found.model), options.device, force=True, others=others)
    return found


def _discard_windows(*states: Path | None) -> None:
    """Remove the states of a finished clip that hold windows on the disk."""
    for state in states:
        if state is not None:
            from ..engine.finished_windows import discard

            discard(state)


def plan(request: Request, device: str | None, *, anyway: bool = False, surveyed: Plan | None = None) -> Plan:
    """Return the plan of a request, its cost estimated for a device (None: the best of this machine). Raises
    OutsideDomain for a request outside what the model was trained on, except with `anyway`. surveyed: see there."""
    from ..engine.plan import plan as make_plan

    found = make_plan(request, None, device, surveyed=surveyed)
    check_domain([found], anyway)
    return found


def check_domain(plans: Iterable[Plan], anyway: bool) -> None:
    """Raise OutsideDomain if a plan is outside what its model was trained on, except with `anyway`."""
    if not anyway and (sentences := dict.fromkeys(sentence for each in plans for sentence in each.outside)):
        raise OutsideDomain(f"{' '.join(sentences)} Use --anyway to run it.", field="model")


def _made_there(there: handover.Handover, job: ClipWork, as_json: bool) -> bool:
    """Have a server generate the clip, and print the result. False: it is gone, and this process is to generate it."""
    with reporter(as_json) as on_event:
        try:
            found = there.run(job, on_event)
        except followed.ServerLost as error:
            if there.must:
                raise
            on_event(Note("start", f"{error} This command generates the clip itself."))
            return False
    answer(found, as_json, result_text(found))
    return True


def make(job: ClipWork, model: str, device: str | None, dtype: str | None, as_json: bool) -> None:
    """Load the model, write the clip and print the result, with progress meanwhile."""
    with reporter(as_json) as on_event:
        on_event(expected_parts(job.plan, model, device))
        found = run(job, generator_of(job.plan, model, device, dtype, on_event), on_event)
    answer(found, as_json, result_text(found))


def generator_of(
    found: Plan, model: str, device: str | None, dtype: str | None, on_event: OnEvent
) -> Any:  # fmt: skip
    """Return what generates the clip of a plan: a loaded engine, or its stand-in for a plan that uses no model or may
    not need it."""
    from ..engine.opener import stand_in

    def loaded(on_event: OnEvent) -> Engine:
        return load_engine(model, device, dtype, on_event)

    return stand_in(found, loaded, model, device) or loaded(on_event)


def load_engine(model: str, device: str | None, dtype: str | None, on_event: OnEvent) -> Engine:
    """Return a loaded engine."""
    on_event(Event("load"))
    # Importing torch and transformers makes millions of objects that stay: collecting garbage among them costs a
    # tenth of the whole start.
    gc.disable()
    try:
        from ..engine.load import load

        return load(model, device=device, dtype=dtype, progress=False)
    finally:
        gc.freeze()  # nor are they scanned later
        gc.enable()


def run(
    job: ClipWork, engine: Engine, on_event: OnEvent, through: Callable[[Iterator[Chunk]], Iterator[Chunk]] = iter
) -> dict[str, Any]:  # fmt: skip
    """Generate the clip and write it, encoding while decoding. Returns what `--json` prints. through: passed the chunks
    before they are written."""
    from ..engine.clip_file import write_clip

    started = time.perf_counter()
    manifest = engine.manifest(job.plan)
    keeping: dict[str, Any] = {}
    if job.resume is not None:
        keeping["state"] = job.resume
    if job.keep_state is not None:
        place = job.keep_state
        keeping |= {"keep": lambda state: _save(state, place), "keep_every": job.keep_every}
    previews = None
    if job.preview is not None:
        from .preview import Previews

        previews = Previews(job.preview, job.plan.fps, on_event)
    if engine.start_s is not None:  # for a command, all the time before this counts as start
        engine.start_s = max(engine.start_s, alone(process_age_s(), time.process_time()))
    picked: list[np.ndarray] = []
    facts: dict[str, Any] = {}
    path = write_clip(
        engine, job.plan, job.target, manifest=manifest, on_event=collecting(facts, previews or on_event), **keeping,
        through=lambda chunks: through(
            pick(chunks, job.plan.frames, SHEET_FRAMES, picked) if job.sheet is not None else chunks
        ),
    )  # fmt: skip
    if job.sheet is not None:
        save_sheet(picked, job.sheet)
    if previews is not None and not previews.offered:
        on_event(Note("sample", "No preview was written: no step was sampled."))
    return finished(
        job, path, on_event, plan=manifest["plan"], has_weights=bool(engine.digests(job.plan)),
        seconds=time.perf_counter() - started, device=engine.device_name, facts=facts,
        preview=job.preview if previews is not None and previews.written else None,
    )  # fmt: skip


def process_age_s() -> float:
    """Seconds since this process began."""
    import psutil

    return time.time() - psutil.Process().create_time()


def expected_parts(found: Plan, model: str, device: str | None) -> Planned:
    """Return the parts of the work and their expected seconds, the start included."""
    from ..engine.estimate import device_name, parts
    from ..weights import store

    expected = parts(found, store.find(model), device_name(device), start=True)
    passed_s = process_age_s()  # a part of the start is over
    return planned(*(
        replace(part, seconds=max(0.3 * part.seconds, part.seconds - passed_s)) if part.stage == "load" else part
        for part in expected
    ))  # fmt: skip


def _save(state: SamplingState | FillState, place: Path) -> None:
    try:
        state.save(place)
    except OSError as error:
        raise MediaError(f"{place}: the sampling state cannot be saved: {error}.") from error
