"""Curate a folder: list its files, split them, measure the clips, look across them, write the table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core import lock
from ..core.errors import KinemaError, RequestError
from ..core.events import Event, Note, OnEvent, Part, Progress, ignore, planned
from .dataset import SETTINGS, STATE, TABLE, CurationFile
from .detectors import make_detectors
from .marks import resolved
from .measure import MeasureWork, stage_keys
from .pools import Here, Pool, PoolWork, Processes
from .recipes import OF_STAGES, find_recipe
from .sources import source_files
from .split import SplitWork
from .stage import AcrossClips, ClipStage, CurationSettings
from .state import CurationState
from .table import BASE, pyarrow, write_table
from .table_of_stages import make_stages

COMMIT_S = 0.5
"""Results are stored at least this often; a kill loses no more."""
COMMIT_MOST = 64


@dataclass(frozen=True)
class CurationResult:
    """The result. clips: rows of the table. kept: those without a reason. reasons: clips by reason. unreadable: (file,
    reason) of files without a clip, at most `LISTED`."""

    table: Path
    files: int
    clips: int
    kept: int
    reasons: Mapping[str, int]
    unreadable: tuple[tuple[str, str], ...]
    num_unreadable: int
    video_s: float
    seconds: float

    LISTED = 100


def curate(
    folder: str | Path,
    out: str | Path,
    *,
    recipe: str = "offline",
    cuts: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    longest_s: float | None = None,
    options: Mapping[str, str] | None = None,
    workers: int = 1,
    ray: str | None = None,
    resume: bool = False,
    device: str = "cpu",
    on_event: OnEvent = ignore,
) -> CurationResult:
    """Curate the videos of a folder into a data set.

    recipe: a name in recipes.py. cuts, stages, longest_s: in place of the recipe's. options: of stages, by
    "stage.option". workers: processes; 0 works in this one. ray: "local" or the address of a cluster, in place of
    processes. resume: continue a data set; its clips are not measured again. The table's bytes depend on neither.

    Raises RequestError before any work, KinemaError if the data set cannot be written. A file that cannot be read is a
    row with the reason.
    """
    begun = time.monotonic()
    source, dataset = Path(folder), Path(out)
    wanted = _asked(source, dataset, recipe, cuts, stages, longest_s, options or {}, workers, resume)
    settings = CurationSettings(device, dict(wanted.options))
    pool = _pool(workers, ray)
    pyarrow()
    opened = _opened(wanted, settings, may_lack=stages is None)
    left_out = tuple((name, why) for name, why in opened.items() if isinstance(why, str))
    wanted = replace(
        wanted, stages=tuple(name for name in wanted.stages if name not in dict(left_out)), left_out=left_out
    )
    keys = stage_keys(wanted.stages, settings)
    for name, why in left_out:
        on_event(Note("note", f"The stage {name} is left out: {why}"))
    make_detectors(wanted.cuts)
    try:
        dataset.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KinemaError(f"{dataset}: cannot be created ({error.strerror or error}).") from error
    with _alone(dataset), contextlib.closing(CurationState(dataset / STATE)) as state:
        wanted.write(dataset)
        on_event(Event("list"))
        state.list_files(source_files(source, dataset))
        _split(state, source, wanted, pool, on_event)
        _measure(state, source, wanted, settings, opened, keys, pool, on_event)
        on_event(Event("mark"))
        return _finish(state, source, dataset, wanted, make_stages(wanted.stages, settings), begun)


def _asked(
    source: Path, dataset: Path, recipe: str, cuts: Sequence[str] | None, stages: Sequence[str] | None,
    longest_s: float | None, options: Mapping[str, str], workers: int, resume: bool,
) -> CurationFile:  # fmt: skip
    """What curation.json will hold. Raises RequestError."""
    found = find_recipe(recipe)
    if not source.is_dir():
        raise RequestError(f"{source}: no such folder.", field="folder", value=str(source), legal="a folder of videos")
    if workers < 0 or workers > 256:
        raise RequestError(f"--workers {workers}.", field="workers", value=workers, legal="1 to 256")
    if longest_s is not None and not longest_s > 0:
        raise RequestError(f"--longest {longest_s:g}.", field="longest", value=longest_s, legal="more than 0 s")
    if dataset.resolve() == source.resolve() or dataset.resolve() in source.resolve().parents:
        raise RequestError(
            f"{dataset}: the data set must not contain the videos.", field="output", value=str(dataset),
            legal="another folder, or one inside",
        )  # fmt: skip
    names = tuple(cuts) if cuts is not None else found.detectors
    chosen = tuple(stages) if stages is not None else found.stages
    make_detectors_named(names)
    make_stages(chosen, CurationSettings())
    for name in options:
        if name.partition(".")[0] not in chosen or "." not in name:
            raise RequestError(
                f"No option {name!r}.",
                field="options",
                value=name,
                legal="STAGE.NAME of the stages " + ", ".join(chosen),
            )
    longest = longest_s if longest_s is not None else found.longest_s
    own = tuple(each for name in chosen for each in OF_STAGES.get(name, ()))
    made = CurationFile(
        str(source.resolve()), recipe, names, chosen, (*found.thresholds, *own), longest, tuple(sorted(options.items()))
    )
    if not (dataset / SETTINGS).exists():
        if dataset.exists() and (not dataset.is_dir() or any(dataset.iterdir())):
            raise RequestError(
                f"{dataset}: exists and is no data set.",
                field="output",
                value=str(dataset),
                legal="a new or empty folder",
            )
        if next(source_files(source, dataset), None) is None:
            raise RequestError(
                f"{source}: contains no files to curate.", field="folder", value=str(source), legal="a folder of videos"
            )
        return made
    before = CurationFile.read(dataset)
    if not resume:
        raise RequestError(
            f"{dataset}: is a data set already.", field="output", value=str(dataset),
            legal="--resume to continue it, or another folder",
        )  # fmt: skip
    for field in ("folder", "cuts", "longest_s"):
        if getattr(before, field) != getattr(made, field):
            raise RequestError(
                f"{dataset}: was begun with another {field}: {getattr(before, field)}.", field=field,
                value=str(getattr(made, field)), legal=str(getattr(before, field)),
            )  # fmt: skip
    kept = before.thresholds if before.recipe == made.recipe else made.thresholds
    thresholds = (*kept, *(each for name in chosen if name not in before.stages for each in OF_STAGES.get(name, ())))
    return CurationFile(made.folder, recipe, names, chosen, thresholds, longest, tuple(sorted(options.items())))


def _opened(wanted: CurationFile, settings: CurationSettings, *, may_lack: bool) -> dict[str, ClipStage | str]:
    """The stages, opened, or why one cannot be opened. may_lack: else that is raised."""
    found: dict[str, ClipStage | str] = {}
    for stage in make_stages(wanted.stages, settings):
        try:
            if (check := getattr(stage, "check", None)) is not None:
                check()
            stage.open()
            found[stage.name] = stage
        except KinemaError as error:
            if not may_lack:
                raise
            found[stage.name] = str(error)
    return found


def make_detectors_named(names: Sequence[str]) -> None:
    """Raises RequestError if there is none, or an unknown one."""
    if not names:
        raise RequestError("No detector of cuts.", field="cuts", value="", legal="one or more names")
    make_detectors(names)


def _pool(workers: int, ray: str | None) -> Pool:
    if ray is not None:
        from .ray_pool import OnRay

        return OnRay(ray, workers)
    return Processes(workers) if workers else Here()


@contextlib.contextmanager
def _alone(dataset: Path) -> Iterator[None]:
    """Hold the data set for this process. Raises RequestError if another one works on it."""
    with (dataset / f"{STATE}.lock").open("ab") as file:
        if not lock.take(file):
            raise RequestError(
                f"{dataset}: another process is curating into it.", field="output", value=str(dataset),
                legal="another folder, or wait",
            )  # fmt: skip
        yield


def _split(state: CurationState, source: Path, wanted: CurationFile, pool: Pool, on_event: OnEvent) -> None:
    _, left, _ = state.counts()
    if left:
        # Splitting decodes every frame, measuring about as many.
        on_event(planned(Part("split", float(left)), Part("measure", float(left))))
        work = SplitWork(source, wanted.cuts, wanted.longest_s)
        _run(pool, work, state.unsplit(), state.add_shots, "split", left, on_event)


def _measure(
    state: CurationState, source: Path, wanted: CurationFile, settings: CurationSettings,
    opened: Mapping[str, ClipStage | str], keys: Mapping[str, str], pool: Pool, on_event: OnEvent,
) -> None:  # fmt: skip
    left = state.num_unmeasured(keys)
    if left:
        on_event(planned(Part("measure", float(left))))
        held = {name: stage for name, stage in opened.items() if not isinstance(stage, str)}
        work = MeasureWork(wanted.stages, settings, held)
        _run(
            pool, work, state.unmeasured(source, keys), lambda found: state.add_figures(found, keys), "measure", left,
            on_event,
        )  # fmt: skip


def _run(
    pool: Pool, work: PoolWork, items: Iterable[Any], store: Callable[[list[Any]], None], stage: str, total: int,
    on_event: OnEvent,
) -> None:  # fmt: skip
    """Run work and store its results in groups, also those that came before an error or Ctrl-C."""
    begun = stored = time.monotonic()
    waiting: list[Any] = []
    on_event(Progress(stage, 0, total))
    results = pool.run(work, items)
    try:
        for done, result in enumerate(results, start=1):
            waiting.append(result)
            now = time.monotonic()
            if now - stored > COMMIT_S or len(waiting) >= COMMIT_MOST:
                store(waiting)
                waiting, stored = [], now
            on_event(Progress(stage, done, total, now - begun))
    finally:
        if (close := getattr(results, "close", None)) is not None:
            close()
        if waiting:
            store(waiting)


def _finish(
    state: CurationState, source: Path, dataset: Path, wanted: CurationFile, stages: Sequence[ClipStage], begun: float
) -> CurationResult:
    known = {column.name: column for column in (*BASE, *(column for stage in stages for column in stage.columns))}
    columns = list(known.values())
    across: dict[str, dict[str, Any]] = {}
    for stage in stages:
        if isinstance(stage, AcrossClips):
            own = ["id", *(column.name for column in stage.columns)]
            held = ({name: row.get(name) for name in own} for row in state.rows(source, wanted.stages) if "fps" in row)
            for key, found in stage.across(held):
                across.setdefault(key, {}).update(found)

    def rows() -> Iterator[dict[str, Any]]:
        for row in state.rows(source, wanted.stages):
            yield {**row, **across.get(row["id"], {})}

    relative = {each.column for each in wanted.thresholds if each.relative}
    figures: dict[str, list[Any]] = {name: [] for name in relative}
    unreadable: list[tuple[str, str]] = []
    num, video_s = 0, 0.0
    for row in rows():
        for name in relative:
            figures[name].append(row.get(name))
        video_s += row.get("seconds") or 0.0
        if "fps" not in row:
            num += 1
            unreadable += [(row["id"], row["error"])] if num <= CurationResult.LISTED else []
    counts = write_table(dataset / TABLE, columns, rows(), resolved(wanted.thresholds, figures))
    clips, kept = counts.pop("clips"), counts.pop("kept")
    files = state.counts()[0]
    return CurationResult(
        dataset / TABLE, files, clips, kept, counts, tuple(unreadable), num, video_s, time.monotonic() - begun
    )
