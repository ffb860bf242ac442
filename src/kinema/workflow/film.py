"""Make a film: `make_film` generates every shot of a plan, then joins them with titles and music in one file.

    from kinema.workflow.film import make_film
    from kinema.workflow.film_plan import FilmPlan

    make_film(FilmPlan.from_file("plan.json"), "film.mp4")

Finished shots are kept in `film.mp4.parts/` until the film is finished. A second call with the same plan generates only
the missing ones: a shot is reused if its plan, inputs and weights are the same.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.apart import keep_apart, named
from ..core.chunk import Chunk
from ..core.conditions import Continue
from ..core.errors import RequestError
from ..core.events import Event, OnEvent, Progress, ignore
from ..core.plan import Plan
from ..core.request import Request
from ..engine.clip_file import ClipGenerator
from .clips_done import ClipsDone
from .film_join import Cut, Piece, cut, with_music
from .film_parts import FilmParts, key_of
from .film_plan import FilmPlan, Join, numbered
from .film_titles import TitleCard

if TYPE_CHECKING:
    from ..music import Track

SOUND_SUFFIXES = (".mp4", ".webm")
CONTINUED_FRAMES = 5
"""Context frames: a continuation begins with this many frames of the shot before."""

WORDS: dict[Join, str] = {"cut": "cut", "crossfade": "crossfade", "continue": "continuation"}

OpenGenerator = Callable[[str], ClipGenerator]


@dataclass(frozen=True)
class Film:
    """A finished film. reused: number of shots that existed already. track: the music, or None."""

    path: Path
    frames: int
    fps: float
    size: tuple[int, int]
    num_shots: int
    reused: int
    track: Track | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shots:
    """A film plan resolved against its models. cut: how the shots are joined."""

    film: FilmPlan
    requests: tuple[Request, ...]
    plans: tuple[Plan, ...]
    joins: tuple[Join, ...]
    cut: Cut
    notes: tuple[str, ...]

    @property
    def seconds_to_make(self) -> float:
        """Estimated seconds to generate all shots, without reuse."""
        return sum(plan.estimate.seconds for plan in self.plans if plan.estimate is not None)


def plan_film(film: FilmPlan, *, fps: float | None = None, device: str | None = None, **changes: Any) -> Shots:
    """Plan all shots, before any weights are loaded. fps: frame rate of the film, by interpolation; None: that of the
    shots. changes: fields of all requests (model, profile, steps, upscale, size, ...). Raises RequestError that names
    the shot, for what a model does not support and for shots of different sizes or frame rates."""
    from ..engine.plan import plan as make_plan

    if fps is not None and not 1 <= fps <= 240:
        raise RequestError(f"fps = {fps:g}.", field="fps", value=fps, legal="1 to 240", nearest=min(max(fps, 1), 240))
    plans: list[Plan] = []
    requests: list[Request] = []
    joins: list[Join] = []
    notes: list[str] = []
    for number, (request, shot) in enumerate(zip(film.requests(**changes), film.shots, strict=True), 1):
        try:
            plan = make_plan(request, None, "cpu" if device is not None and device.startswith("cpu") else None)
        except RequestError as error:
            raise numbered(error, f"Shot {number}") from None
        join: Join = shot.join
        if join != "cut" and (reason := _only_a_cut(join, plan, request, plans[-1])):
            notes.append(f"Shot {number} follows by a cut instead of a {WORDS[join]}: {reason}.")
            join = "cut"
        plans.append(plan)
        requests.append(request)
        joins.append(join)
    _check_together(plans, fps)
    pieces = [
        _piece(film, index, plan, join, Path()) for index, (plan, join) in enumerate(zip(plans, joins, strict=True))
    ]
    found = cut(pieces, film.crossfade_s, film.card_s, _ending(film), fps)
    return Shots(film, tuple(requests), tuple(plans), tuple(joins), found, tuple(notes))


def make_film(
    film: FilmPlan | Shots,
    path: str | os.PathLike[str],
    *,
    open_generator: OpenGenerator | None = None,
    fps: float | None = None,
    music: bool = True,
    keep: bool = False,
    device: str | None = None,
    dtype: str | None = None,
    through: Callable[[Iterator[Chunk]], Iterator[Chunk]] = iter,
    on_event: OnEvent = ignore,
) -> Film:
    """Make the film and write it; the format follows the suffix (.mp4 and .webm have sound). Finished shots of an
    interrupted run are reused, unless their inputs have changed.

    open_generator: returns the engine of a model; None: `kinema.load`. keep: leave the shots in PATH.parts. through:
    passed the final chunks, as for a contact sheet. Raises RequestError before work starts, MediaError if a file cannot
    be written (finished shots stay), FilmBusy.
    """
    target = Path(path)
    shots = film if isinstance(film, Shots) else plan_film(film, fps=fps, device=device)
    sounds = music and bool(shots.film.music.strip()) and target.suffix.lower() in SOUND_SUFFIXES
    check_music(shots, sounds)
    check_target(shots.requests, target)
    parts = FilmParts(target)
    try:
        pieces, manifests, reused = _make_shots(shots, parts, open_generator or _opener(device, dtype), dtype, on_event)
        found = cut(pieces, shots.film.crossfade_s, shots.film.card_s, _ending(shots.film), shots.cut.target)
        track = _score(shots.film, found, on_event) if sounds else None
        _write(shots, found, target, track, manifests, through, on_event)
    except BaseException:
        parts.close()
        raise
    parts.close() if keep else parts.remove()
    size = shots.plans[0].size
    return Film(target, found.frames, float(found.fps), size, len(pieces), reused, track, shots.notes)


def check_music(shots: Shots, wanted: bool) -> None:
    """Raise RequestError if the music cannot be as long as the film."""
    from ..music.composer import check_seconds

    if wanted:
        check_seconds(shots.cut.seconds)


def check_target(requests: Sequence[Request], target: str | Path, sheet: str | Path | None = None) -> None:
    """Raise RequestError if the film or its contact sheet would replace one of its inputs."""
    for number, request in enumerate(requests, 1):
        keep_apart({"output": target, "sheet": sheet}, named(request), f"Shot {number} uses it.")


def _only_a_cut(join: Join, plan: Plan, request: Request, before: Plan) -> str:
    """Return why a shot cannot be joined as planned, or an empty text."""
    from ..weights import store

    if plan.fps != before.fps:
        return f"its frame rate is {plan.fps:g}, that of the shot before {before.fps:g}"
    if join != "continue":
        return ""
    if "continue" not in store.find(request.model).accepts:
        return f"{plan.model} does not continue clips"
    if request.canvas != "model" or any(condition.kind == "continue" for condition in request.conditions):
        return "its source is another clip"
    short = min(plan.frames - 1, before.frames)
    return f"it requires {CONTINUED_FRAMES} context frames, got {short}" if short < CONTINUED_FRAMES else ""


def _check_together(plans: Sequence[Plan], fps: float | None) -> None:
    first = plans[0]
    for number, plan in enumerate(plans[1:], 2):
        if plan.size != first.size:
            sizes = "{}x{} and {}x{}".format(*plan.size, *first.size)
            raise RequestError(
                f"Shot {number} and shot 1 differ in size: {sizes}.", field="size", value="{}x{}".format(*plan.size),
                legal="one size for all shots; --size or --model changes all of them",
                nearest="{}x{}".format(*first.size),
            )  # fmt: skip
        if plan.fps != first.fps and fps is None:
            raise RequestError(
                f"Shot {number} and shot 1 differ in frame rate: {plan.fps:g} and {first.fps:g}.", field="fps",
                value=plan.fps, legal="one frame rate for all shots; --fps converts all of them", nearest=first.fps,
            )  # fmt: skip


def _piece(film: FilmPlan, index: int, plan: Plan, join: Join, path: Path) -> Piece:
    card = TitleCard(film.shots[index].title) if film.shots[index].title.strip() else None
    if index == 0 and film.title.strip():
        card = TitleCard(film.title, film.subtitle)
    lead = CONTINUED_FRAMES if join == "continue" and card is None else 0
    return Piece(path, plan.frames, plan.fps, join, lead, card)


def _ending(film: FilmPlan) -> TitleCard | None:
    return TitleCard(film.ending) if film.ending.strip() else None


def _opener(device: str | None, dtype: str | None) -> OpenGenerator:
    def open_generator(model: str) -> ClipGenerator:
        from ..engine.load import load

        return load(model, device=device, dtype=dtype)

    return open_generator


def _make_shots(
    shots: Shots, parts: FilmParts, open_generator: OpenGenerator, dtype: str | None, on_event: OnEvent
) -> tuple[list[Piece], list[dict[str, Any]], int]:
    """Return the shots as files, their manifests, and the number of reused ones."""
    from ..media.manifest import read_manifest

    generators: dict[str, ClipGenerator] = {}
    pieces: list[Piece] = []
    manifests: list[dict[str, Any]] = []
    done, reused = ClipsDone(on_event, shots.plans, "shot"), 0
    for index, (request, join) in enumerate(zip(shots.requests, shots.joins, strict=True)):
        if request.model not in generators:
            generators.clear()  # one model in memory at a time
            on_event(Event("load"))
            generators[request.model] = open_generator(request.model)
        generator = generators[request.model]
        if join == "continue":
            going_on = Continue(clip=str(pieces[-1].path), frames=CONTINUED_FRAMES)
            plan = generator.plan(request.changed(conditions=(*request.conditions, going_on)))
        else:
            plan = shots.plans[index]
        key = key_of(plan, generator.digests(plan), dtype or "")
        if parts.ready(key, plan):
            reused += 1
            done.skip(index)
        else:
            done.begin(index)
            parts.make(key, plan, generator, done)
        pieces.append(_piece(shots.film, index, plan, join, parts.place(key)))
        manifests.append(read_manifest(parts.place(key)))
    return pieces, manifests, reused


def _score(film: FilmPlan, found: Cut, on_event: OnEvent) -> Track:
    from ..music import make

    return make(film.music, found.seconds, film.seed, on_event=on_event)


def _write(
    shots: Shots,
    found: Cut,
    target: Path,
    track: Track | None,
    manifests: list[dict[str, Any]],
    through: Callable[[Iterator[Chunk]], Iterator[Chunk]],
    on_event: OnEvent,
) -> None:
    from ..engine.manifest import own_version
    from ..media.write import write

    chunks = _reported(found.chunks(), found.frames, on_event)
    if track is not None:
        chunks = with_music(chunks, track.samples, found.fps)
    note = {
        "film": {
            "kinema": own_version(),
            "plan": json.loads(shots.film.to_json()),
            "fps": float(found.fps),
            "frames": found.frames,
            "shots": manifests,
            "music": None if track is None else {**track.details, "procedural": track.procedural},
        }
    }
    write(through(chunks), target, manifest=note, on_frame=on_event)


def _reported(chunks: Iterator[Chunk], total: int, on_event: OnEvent) -> Iterator[Chunk]:
    started = time.perf_counter()
    for chunk in chunks:
        yield chunk
        on_event(Progress("joining", min(chunk.stop, total), total, time.perf_counter() - started))
