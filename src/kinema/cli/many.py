"""`kinema generate --seeds 1-8 --prompts FILE --grid FILE`: many clips by one loaded model."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.apart import keep_apart, named
from ..core.errors import MediaError, RequestError
from . import output, show
from .clip_work import ClipWork, result_text
from .options import GenerateOptions
from .progress import reporter
from .request import prompt_request
from .say import answer, note
from .submission import refuse_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.events import OnEvent
    from ..core.request import Request
    from ..media.grid import Row
    from ..workflow.many import ListedRequest, MadeClip, PlannedClip

CLIP_SUFFIXES = (".mp4", ".webm", ".gif")
MAX_PLAYING, GRID_PX, COLUMNS = 64, 1920, 8
MAX_REMARKS = 6
DEFAULT = "kinema-{prompt}-{seed}.mp4"
SINGLE = ("sheet", "preview", "keep_state", "keep_every", "resume", "request_only")
"""Options of a single clip."""


def generate_many(options: GenerateOptions, seeds: str | None, file: Path | None, grid: str | None) -> None:
    """Plan all clips, then generate those that do not exist yet. Everything is checked before the first one."""
    refuse_local("A command for several clips")
    _check(options, seeds, file, grid)
    requests, notes = _requests(options, seeds, file)
    planned = _planned(options, requests)
    reads = [options.request, *options.trajectory, options.camera, file]
    if grid is not None:
        _check_grid(grid, planned)
    for each in planned:
        keep_apart({"output": each.target, "sheet": grid}, [*named(each.plan), *reads])
    if options.output_ is not None and options.output_.endswith("/"):
        _make_folder(Path(options.output_))
    for each in planned:
        output.check_clip(str(each.target))
    if not options.as_json:
        _report_before(planned, notes)
    _generate(options, requests[0].request.model, planned, grid)


def _check(options: GenerateOptions, seeds: str | None, file: Path | None, grid: str | None) -> None:
    if seeds is None and file is None:
        raise RequestError(
            "--grid requires several clips.", field="grid", value=grid, legal="with --seeds 1-8 or --prompts FILE; "
            "--sheet for one clip",
        )  # fmt: skip
    for name in SINGLE:
        if value := getattr(options, name):
            raise RequestError(
                f"--{name.replace('_', '-')} belongs to a single clip.", field=name, value=str(value),
                legal="--grid FILE for an image of all clips" if name == "sheet" else "without --seeds and --prompts",
            )  # fmt: skip


def _requests(options: GenerateOptions, seeds: str | None, file: Path | None) -> tuple[list[ListedRequest], list[str]]:
    """Return the requests, and notes on the file of prompts."""
    from ..workflow import many

    if seeds is not None and options.seed is not None:
        raise RequestError("Use --seed or --seeds, not both.", field="seeds", value=seeds, legal="--seeds alone")
    if file is not None and options.prompt is not None:
        raise RequestError("Use PROMPT or --prompts, not both.", field="prompts", value=str(file), legal="one of them")
    numbers = many.seeds(seeds) if seeds is not None else None
    if file is None:
        base = prompt_request(options)
        return many.spread(base, [base.prompt], numbers or (0,)), []
    lines, notes = many.prompts(file)
    base = prompt_request(replace(options, prompt=lines[0][1]))
    if numbers is None:
        numbers = (base.seed if base.seed is not None else 0,)
    return many.spread(base, lines, numbers, f"{file}, line"), notes


def _planned(options: GenerateOptions, requests: list[ListedRequest]) -> list[PlannedClip]:
    """Return plans with their files. Without -o, a file of another clip is not replaced."""
    from ..workflow import many
    from . import work

    def make_plan(request: Request) -> Any:
        return work.plan(request, options.device, anyway=options.anyway)

    planned = many.plan_many(requests, options.output_ or DEFAULT, make_plan)
    if options.output_ is None:
        for at, each in enumerate(planned):
            if each.target.exists() and many.same_plan(each) is None:
                planned[at] = replace(each, target=output.unused(each.target))
    return planned


def _make_folder(folder: Path) -> None:
    if folder.is_file():
        raise MediaError(f"{folder}: is a file, not a folder.")
    output.check_parent(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: cannot be created ({error.strerror or error}).") from None


def _report_before(planned: list[PlannedClip], notes: list[str]) -> None:
    """Print the number of clips, the expected time, and each note once, on stderr."""
    seconds = sum(each.plan.estimate.seconds for each in planned if each.plan.estimate is not None)
    wide, tall = planned[0].plan.size
    lines = [
        f"{len(planned)} clips by {planned[0].plan.model}, {wide}x{tall}; about {show.duration(max(1.0, seconds))} "
        "if none exists yet"
    ]
    remarks = dict.fromkeys(remark for each in planned for remark in (*each.plan.changes, *each.plan.notes))
    for line in [*lines, *notes, *list(remarks)[:MAX_REMARKS]]:
        note(line)
    if len(remarks) > MAX_REMARKS:
        note(f"... and {len(remarks) - MAX_REMARKS} more notes; each clip's manifest has its own.")


def _generate(options: GenerateOptions, model: str, planned: list[PlannedClip], grid: str | None) -> None:
    from ..engine.opener import stand_in
    from ..workflow.many import make_many
    from . import work

    started = time.perf_counter()
    finished: list[MadeClip] = []
    try:
        with reporter(options.as_json) as on_event:
            in_use = next((each.plan for each in planned if each.plan.uses_model), planned[0].plan)
            engine: Any = stand_in(in_use) or work.load_engine(model, options.device, options.dtype, on_event)

            def write(clip: PlannedClip, on_event: OnEvent) -> dict[str, Any]:
                return work.run(ClipWork(clip.plan, str(clip.target)), engine, on_event)

            for made in make_many(planned, engine, write, on_event=on_event):
                finished.append(made)  # noqa: PERF402 - each one counts, even if the next one fails
            if grid is not None:
                _save_grid(planned, grid, on_event)
    except BaseException:
        if not options.as_json and finished:
            note(f"{len(finished)} of {len(planned)} clips are finished; the same command resumes.")
        raise
    _report(finished, grid, time.perf_counter() - started, options.as_json)


def _report(finished: list[MadeClip], grid: str | None, seconds: float, as_json: bool) -> None:
    reused = sum(made.reused for made in finished)
    if as_json:
        clips = [_facts(made) for made in finished]
        answer({"clips": clips, "made": len(finished) - reused, "reused": reused, "grid": grid,
                "seconds": round(seconds, 3)}, True, "")  # fmt: skip
        return
    lines = [f"{made.path}  (exists)" if made.reused else _line(made) for made in finished]
    lines += [grid] if grid is not None else []
    skipped = f", {reused} existed" if reused else ""
    answer(None, False, "\n".join([*lines, f"{len(finished) - reused} clips generated{skipped}, in {seconds:.1f} s"]))


def _line(made: MadeClip) -> str:
    return result_text(made.facts)


def _facts(made: MadeClip) -> dict[str, Any]:
    """Return the JSON of one clip, with the same keys for a reused one."""
    plan = made.planned.plan
    if not made.reused:
        return {**made.facts, "reused": False}
    return {
        "path": str(made.path), "sheet": None, "preview": None, "bytes": output.size_of(made.path),
        "width": plan.size[0], "height": plan.size[1], "frames": plan.frames, "fps": plan.fps, "seconds": 0.0,
        "device": None, "plan": plan.model_dump(mode="json"), "reused": True,
    }  # fmt: skip


# -- the grid --------------------------------------------------------------------------------------------------------


def _check_grid(grid: str, planned: list[PlannedClip]) -> None:
    suffix = Path(grid).suffix.lower()
    if suffix in CLIP_SUFFIXES:
        output.check_clip(grid)
        if len(planned) > MAX_PLAYING:
            raise RequestError(
                f"{grid}: {len(planned)} clips.", field="grid", value=grid,
                legal=f"at most {MAX_PLAYING} clips side by side; a .png has room for all", nearest="grid.png",
            )  # fmt: skip
    elif suffix in output.SHEET_SUFFIXES:
        output.check_sheet(Path(grid))
    else:
        raise RequestError(
            f"{grid}: a grid is an image or a clip.", field="grid", value=grid,
            legal=", ".join((*output.SHEET_SUFFIXES, *CLIP_SUFFIXES)), nearest=f"{grid}.png",
        )  # fmt: skip


def _save_grid(planned: list[PlannedClip], grid: str, on_event: OnEvent) -> None:
    """Write the grid, prompts as rows and seeds as columns: the middle frame of each clip, or all clips playing."""
    from ..core.chunk import Chunk
    from ..core.whole import whole
    from ..media import grid as layout
    from ..media.write import write
    from ..media.write_picture import write_picture

    plays = Path(grid).suffix.lower() in CLIP_SUFFIXES
    page = layout.grid(_rows(planned), COLUMNS, _cell_px(planned) if plays else None)
    if not plays:
        try:
            with whole(Path(grid)) as beside:
                write_picture(page.picture(), beside)
        except (OSError, ValueError) as error:
            raise MediaError(f"{grid}: the grid cannot be written: {error}.") from error
        return
    fps = planned[0].plan.fps
    frames = page.frames([_frames(each.target) for each in planned])
    write((Chunk(frame[None], at, fps) for at, frame in enumerate(frames)), grid, on_frame=on_event)


def _rows(planned: list[PlannedClip]) -> list[Row]:
    from ..media.grid import Row

    found: dict[str, list[tuple[str, Any]]] = {}
    for each in planned:
        middle = each.plan.frames // 2
        frame = next(_frames(each.target, middle))
        found.setdefault(each.plan.prompt, []).append((f"seed {each.plan.seed}", frame))
    return [Row(prompt, cells) for prompt, cells in found.items()]


def _frames(path: Path, start: int = 0) -> Iterator[Any]:
    from ..media.read import read_chunks

    for chunk in read_chunks(path, start=start, audio=False):
        yield from chunk.frames


def _cell_px(planned: list[PlannedClip]) -> int:
    """Return the cell width of a playing grid: the clip's own, smaller if the grid would be wider than a screen, an
    integer multiple if it is tiny."""
    columns = min(COLUMNS, max(1, sum(each.plan.prompt == planned[0].plan.prompt for each in planned)))
    width = planned[0].plan.size[0]
    return min(GRID_PX // columns, width if width >= 128 else width * -(-128 // width))
