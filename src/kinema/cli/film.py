"""`kinema make-film`: a film plan, as `kinema direct -o` writes it, to a finished film."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.prompt import NO_SPEED
from . import output, show
from .exits import guarded
from .options import OUTPUT, AsJson, RunOptions, Sheet, UpscaleOptions, option, takes
from .progress import reporter
from .request import typed_fields
from .say import note, say

if TYPE_CHECKING:
    from ..core.chunk import Chunk
    from ..workflow.film import Film, Shots
    from ..workflow.film_plan import FilmPlan

FILM = "Film"
MAX_REMARKS = 6


@dataclass
class FilmOptions(UpscaleOptions, RunOptions):
    """The options of all shots."""


@guarded
@takes(FilmOptions)
def make_film(
    options: FilmOptions,
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN", help="A film plan (.json or .yaml), as `kinema direct -o` writes it.", show_default=False
        ),
    ],
    output_: Annotated[
        str | None,
        option(
            "--output", "-o", metavar="FILE", panel=OUTPUT,
            help="A .mp4 or .webm file; .gif, .webp and a folder/ of frames have no sound. Default: PLAN.mp4.",
        ),
    ] = None,
    fps: Annotated[
        float | None, option("--fps", metavar="F", panel=FILM, help="Frame rate of the film; frames are interpolated.")
    ] = None,
    music: Annotated[
        str | None,
        option("--music", metavar="TEXT", panel=FILM, help="Text that describes the music. Default: the plan's."),
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="No music.", rich_help_panel=FILM)] = False,
    title: Annotated[
        str | None, option("--title", metavar="TEXT", panel=FILM, help='The first title card; "" for none.')
    ] = None,
    ending: Annotated[
        str | None, option("--ending", metavar="TEXT", panel=FILM, help='The last title card; "" for none.')
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the single shots in FILE.parts.", rich_help_panel=OUTPUT)
    ] = False,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a film from a plan: shots, joins, titles and music. An interrupted run resumes."""
    from ..workflow.film import check_music, check_target, plan_film
    from ..workflow.film_plan import FilmPlan
    from .work import check_domain

    target = output_ or str(output.unused(plan.with_suffix(".mp4")))
    output.check_clip(target)
    if sheet is not None:
        output.check_sheet(sheet)
    keep_apart({"output": target, "sheet": sheet}, [plan, options.model])
    film = _with(FilmPlan.from_file(plan), title, ending, "" if silent else music)
    shots = plan_film(film, fps=fps, device=options.device, **typed_fields(options))
    check_domain(shots.plans, options.anyway)
    is_silent = not film.music.strip() or not target.lower().endswith((".mp4", ".webm"))
    check_music(shots, not is_silent)
    check_target(shots.requests, target, sheet)
    if not as_json:
        _report_before(shots, is_silent and bool(film.music.strip()))
    _run(shots, target, sheet, keep, options.device, options.dtype, as_json)


def _with(film: FilmPlan, title: str | None, ending: str | None, music: str | None) -> FilmPlan:
    """Return the plan with the typed texts in place of its own; a typed title has no subtitle."""
    from ..workflow.film_plan import FilmPlan

    changes: dict[str, Any] = {
        name: value for name, value in {"title": title, "ending": ending, "music": music}.items() if value is not None
    }
    if title is not None:
        changes["subtitle"] = ""
    return FilmPlan.from_dict({**json.loads(film.to_json()), **changes}, "film plan") if changes else film


def _report_before(shots: Shots, loses_music: bool) -> None:
    """Print the shots, the expected time and the notes on stderr."""
    found, first = shots.cut, shots.plans[0]
    wide, tall = first.size
    models = ", ".join(dict.fromkeys(plan.model for plan in shots.plans))
    lines = [
        f"{len(shots.plans)} shots by {models}, {found.seconds:.1f} s of {wide}x{tall} at {float(found.fps):.4g} fps; "
        f"the shots take about {show.duration(max(1.0, shots.seconds_to_make))}"
    ]
    lines += [*shots.notes, *_remarks(shots)]
    if loses_music:
        lines.append("This format has no sound: the film is silent.")
    for line in lines:
        note(line)


def _all_remarks(shots: Shots) -> list[str]:
    """Return the changes and notes of the plans, each once with its shots."""
    about: dict[str, list[int]] = {}
    for number, plan in enumerate(shots.plans, 1):
        for remark in (*plan.changes, *plan.notes):
            about.setdefault(remark, []).append(number)
    return [
        f"{'All shots' if len(numbers) == len(shots.plans) else f'Shot {_listed(numbers)}'}: {remark}"
        for remark, numbers in about.items()
    ]


def _remarks(shots: Shots) -> list[str]:
    """Return the first of them, without the note that every prompt of `kinema direct` gets."""
    lines = [line for line in _all_remarks(shots) if NO_SPEED not in line]
    more = len(lines) - MAX_REMARKS
    return lines if more <= 0 else [*lines[:MAX_REMARKS], f"... and {more} more notes; --json has all of them."]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _run(
    shots: Shots, target: str, sheet: Path | None, keep: bool, device: str | None, dtype: str | None, as_json: bool
) -> None:
    from ..workflow import film as work
    from .clip_work import record
    from .sheet import SHEET_FRAMES, pick, save_sheet
    from .work import load_engine

    started = time.perf_counter()
    picked: list[Any] = []

    def through(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        return pick(chunks, shots.cut.frames, SHEET_FRAMES, picked) if sheet is not None else chunks

    with _finished_shots_note(target, as_json), reporter(as_json) as on_event:
        made = work.make_film(
            shots, target, open_generator=lambda name: load_engine(name, device, dtype, on_event), keep=keep,
            device=device, dtype=dtype, through=through, on_event=on_event,
        )  # fmt: skip
        if sheet is not None:
            save_sheet(picked, sheet)
        names = ", ".join(dict.fromkeys(plan.model for plan in shots.plans))
        record(
            on_event, made.path, "film", prompt=_prompt(shots), model=names, seed=shots.film.seed, size=made.size,
            frames=made.frames, fps=made.fps,
        )  # fmt: skip
    _report(made, [*shots.notes, *_all_remarks(shots)], sheet, time.perf_counter() - started, as_json)


@contextmanager
def _finished_shots_note(target: str, as_json: bool) -> Iterator[None]:
    """Print how many shots are kept if the film is not finished."""
    from ..workflow.film_parts import kept

    try:
        yield
    except BaseException:
        if (num := kept(Path(target))) and not as_json:
            shots = "1 finished shot is" if num == 1 else f"{num} finished shots are"
            note(f"{shots} kept in {target}.parts; the same command resumes.")
        raise


def _prompt(shots: Shots) -> str:
    """Return the title and the prompts, for the history."""
    return "; ".join(each for each in (shots.film.title, *(plan.prompt for plan in shots.plans)) if each)


def _report(made: Film, notes: list[str], sheet: Path | None, seconds: float, as_json: bool) -> None:
    from .clip_work import readable

    level = made.track.level if made.track is not None else None
    lufs = round(level.lufs, 2) if level is not None and abs(level.lufs) < float("inf") else None
    size = output.size_of(made.path)
    if as_json:
        typer.echo(json.dumps({
            "path": str(made.path), "sheet": str(sheet) if sheet is not None else None, "bytes": size,
            "width": made.size[0], "height": made.size[1], "frames": made.frames, "fps": made.fps,
            "length_s": round(made.frames / made.fps, 6), "shots": made.num_shots, "reused": made.reused,
            "lufs": lufs, "notes": notes, "seconds": round(seconds, 3),
        }))  # fmt: skip
        return
    wide, tall = made.size
    reused = f", {made.reused} of them reused" if made.reused else ""
    sound = f"music at {lufs:g} LUFS" if lufs is not None else "no sound"
    say(
        f"{made.path}  ({made.num_shots} shots{reused}, {wide}x{tall}, {made.frames / made.fps:.2f} s, {sound}, "
        f"{readable(size)}) in {seconds:.1f} s"
    )
    if sheet is not None:
        say(str(sheet))


def film_rows(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the facts of the note `film` in a file, for `kinema inspect`. The file is untrusted."""
    from ..core.outside import for_terminal

    plan = _object(found.get("plan"))
    rows: list[tuple[str, Any]] = [(name, plan[name]) for name in ("title", "subtitle", "ending") if plan.get(name)]
    rows.append(("music", _object(found.get("music")).get("words", "none")))
    shots = found.get("shots")
    for number, shot in enumerate(shots if isinstance(shots, list) else [], 1):
        made = _object(_object(shot).get("plan"))
        rows.append((f"shot {number}", f"{made.get('prompt')} ({made.get('model')}, seed {made.get('seed')})"))
    return [(name, for_terminal(str(value), 300)) for name, value in rows]


def _object(value: Any) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def refuse_rerun(file: Path) -> None:
    """Raise RequestError for a film, which `make-film` generates again."""
    from ..media.manifest import carried

    if "film" in carried(file):
        raise RequestError(
            f"{file}: is a film of several shots; use `kinema make-film PLAN` to make it again.", field="file",
            value=str(file), legal="a single clip",
        )  # fmt: skip
