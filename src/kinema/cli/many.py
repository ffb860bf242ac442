"""`kinema generate --seeds 1-8 --prompts FILE --grid FILE`: many clips at once, by one loaded model."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.apart import keep_apart, named
from ..core.errors import MediaError, RequestError
from . import output, show
from .arguments import GenerateOptions
from .progress import reporter
from .request import build
from .say import answer, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.events import OnEvent
    from ..core.request import Request
    from ..media.grid import Row
    from ..workflow import many as work_of_many
    from ..workflow.many import MadeClip, Maker, PlannedClip

CLIP_SUFFIXES = (".mp4", ".webm", ".gif")
MAX_PLAYING, GRID_PX, COLUMNS = 64, 1920, 8
DEFAULT = "kinema-{prompt}-{seed}.mp4"


def generate_many(
    wish: GenerateOptions, seeds: str | None, file: Path | None, grid: str | None, target: str | None,
    others: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Plan all of them, then make what is not there yet. Refused as a whole before the first is made."""
    from ..workflow import many

    _check(seeds, file, grid, others)
    wishes, notes = _wishes(wish, seeds, file)
    planned = _planned(wishes, target, wish, many)
    reads = [wish.request, *wish.trajectory, file]
    if grid is not None:
        _check_grid(grid, planned)
    for each in planned:
        keep_apart({"output": each.target, "sheet": grid}, [*named(each.plan), *reads])
    if target is not None and target.endswith("/"):
        _make_folder(Path(target))
    for each in planned:
        output.check_clip(str(each.target))
    if not as_json:
        _tell_before(planned, notes)
    _make(wish, wishes[0].request.model, planned, grid, as_json)


def _check(seeds: str | None, file: Path | None, grid: str | None, others: dict[str, Any]) -> None:
    if seeds is None and file is None:
        raise RequestError(
            "--grid shows many clips.", field="grid", value=grid, legal="with --seeds 1-8 or --prompts FILE; --sheet "
            "shows one clip",
        )  # fmt: skip
    for name, value in others.items():
        if value is not None:
            raise RequestError(
                f"--{name.replace('_', '-')} belongs to a single clip.", field=name, value=str(value),
                legal="--grid FILE for a picture of all clips" if name == "sheet" else "without --seeds and --prompts",
            )  # fmt: skip


def _wishes(
    wish: GenerateOptions, seeds: str | None, file: Path | None
) -> tuple[list[work_of_many.ListedRequest], list[str]]:
    """What is asked for, and notes on the file of prompts."""
    from ..workflow import many

    if seeds is not None and wish.seed is not None:
        raise RequestError("Give --seed or --seeds.", field="seeds", value=seeds, legal="--seeds alone")
    if file is not None and wish.prompt is not None:
        raise RequestError(
            "Give a PROMPT or a file of --prompts.", field="prompts", value=str(file), legal="one of them"
        )
    numbers = many.seeds(seeds) if seeds is not None else None
    if file is None:
        base = build(wish)
        return many.spread(base, [base.prompt], numbers or (0,)), []
    lines, notes = many.prompts(file)
    base = build(replace(wish, prompt=lines[0][1]))
    if numbers is None:
        numbers = (base.seed if base.seed is not None else 0,)
    return many.spread(base, lines, numbers, f"{file}, line"), notes


def _planned(
    wishes: list[work_of_many.ListedRequest], target: str | None, wish: GenerateOptions, many: Any
) -> list[PlannedClip]:
    """Plans with their files. Without -o, a name that another clip has is left to it."""
    from . import work

    def make_plan(request: Request) -> Any:
        return work.plan(request, wish.device, anyway=wish.anyway)

    planned = many.plan_many(wishes, target or DEFAULT, make_plan)
    if target is None:
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
        raise MediaError(f"{folder}: cannot be made ({error.strerror or error}).") from None


def _tell_before(planned: list[PlannedClip], notes: list[str]) -> None:
    """How many, how long that takes, and what should be known, each remark once."""
    seconds = sum(each.plan.estimate.seconds for each in planned if each.plan.estimate is not None)
    wide, tall = planned[0].plan.size
    lines = [
        f"{len(planned)} clips by {planned[0].plan.model}, {wide}x{tall}; about {show.duration(max(1.0, seconds))} "
        "where none is there yet"
    ]
    remarks = dict.fromkeys(remark for each in planned for remark in (*each.plan.changes, *each.plan.notes))
    for line in [*lines, *notes, *list(remarks)[:MAX_REMARKS]]:
        note(line)
    if len(remarks) > MAX_REMARKS:
        note(f"... and {len(remarks) - MAX_REMARKS} more remarks; each clip's manifest has its own.")


MAX_REMARKS = 6


def _make(wish: GenerateOptions, model: str, planned: list[PlannedClip], grid: str | None, as_json: bool) -> None:
    from ..workflow.many import make_many
    from . import work

    started = time.perf_counter()
    finished: list[MadeClip] = []
    try:
        with reporter(as_json) as on_event:
            engine = work.load_engine(model, wish.device, wish.dtype, on_event)
            for made in make_many(planned, engine, _write, on_event=on_event):
                finished.append(made)  # noqa: PERF402 - each one counts, also where the next one fails
            if grid is not None:
                _save_grid(planned, grid, on_event)
    except BaseException:
        if not as_json and finished:
            note(f"{len(finished)} of {len(planned)} clips are finished; the same command goes on from there.")
        raise
    _tell(finished, grid, time.perf_counter() - started, as_json)


def _write(planned: PlannedClip, engine: Maker, on_event: OnEvent) -> dict[str, Any]:
    from . import work

    return work.run(work.ClipWork(planned.plan, str(planned.target)), engine, on_event)  # type: ignore[arg-type]


def _tell(finished: list[MadeClip], grid: str | None, seconds: float, as_json: bool) -> None:
    reused = sum(made.reused for made in finished)
    if as_json:
        clips = [_facts(made) for made in finished]
        answer({"clips": clips, "made": len(finished) - reused, "reused": reused, "grid": grid,
                "seconds": round(seconds, 3)}, True, "")  # fmt: skip
        return
    lines = [f"{made.path}  (there already)" if made.reused else _line(made) for made in finished]
    lines += [grid] if grid is not None else []
    skipped = f", {reused} were there already" if reused else ""
    answer(None, False, "\n".join([*lines, f"{len(finished) - reused} clips made{skipped}, in {seconds:.1f} s"]))


def _line(made: MadeClip) -> str:
    from . import work

    return work.words(made.facts)


def _facts(made: MadeClip) -> dict[str, Any]:
    """What `generate --json` says of one clip, the same for those that were there."""
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
                legal=f"{MAX_PLAYING} clips side by side at most; a .png takes all", nearest="grid.png",
            )  # fmt: skip
    elif suffix in output.SHEET_SUFFIXES:
        output.check_sheet(Path(grid))
    else:
        raise RequestError(
            f"{grid}: a grid is a picture or a clip.", field="grid", value=grid,
            legal=", ".join((*output.SHEET_SUFFIXES, *CLIP_SUFFIXES)), nearest=f"{grid}.png",
        )  # fmt: skip


def _save_grid(planned: list[PlannedClip], grid: str, on_event: OnEvent) -> None:
    """Rows of prompts, columns of seeds: the frame in the middle of each clip, or all clips playing."""
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
    """Width of a cell of a grid that plays: the clip's own, smaller where all would be wider than a screen, larger by
    a whole number where it is tiny."""
    columns = min(COLUMNS, max(1, sum(each.plan.prompt == planned[0].plan.prompt for each in planned)))
    width = planned[0].plan.size[0]
    return min(GRID_PX // columns, width if width >= 128 else width * -(-128 // width))
