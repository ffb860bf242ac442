"""The scorecard: hundreds of held-out questions to a model, judged by the probes, with what true clips score beside.

Everything goes through Kinema's own engine with the model's own defaults: what is measured is what people get. Case n
of a task has seed n. See docs/scorecard.md for what each number means.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..core.card import Card
from ..core.errors import ModelError, RequestError
from ..core.events import Event, Note, OnEvent, Progress, ignore
from ..core.request import Request
from ..engine.plan import plan
from ..weights import store
from .cases import HELD_OUT, HELD_OUT_PROBES, cases, world_from
from .check import check
from .degrade import degraded
from .judge import Judge
from .probes import FILES, load_probes
from .results import Results, write_text
from .table import build_table, differences
from .tasks import BY_NAME, TASKS
from .worker import TRUTHS, ScorecardCase, ScorecardWorker, Subject, run, start

PROFILES = ("exact", "balanced", "fast")


@dataclass(frozen=True)
class ScorecardSettings:
    """count: cases of "text". task_count: of every other task. tasks: names from TASKS; empty for all. fields: of every
    request, for trying things out (steps, guidance); a scorecard to publish has none. RequestError on nonsense."""

    count: int = 256
    task_count: int = 48
    profiles: tuple[str, ...] = PROFILES
    tasks: tuple[str, ...] = ()
    workers: int = 1
    check_count: int = 96
    fields: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in ("count", "task_count", "workers", "check_count"):
            if getattr(self, name) < 1:
                raise RequestError(
                    f"{name} = {getattr(self, name)}.", field=name, value=getattr(self, name), legal="1 or more"
                )
        for name, given, known in (("profile", self.profiles, PROFILES), ("task", self.tasks, tuple(BY_NAME))):
            wrong = [each for each in given if each not in known]
            if wrong:
                raise RequestError(f"No {name} {wrong[0]!r}.", field=name, value=wrong[0], legal=", ".join(known))


def scorecard(
    model: str,
    out: Path,
    settings: ScorecardSettings = ScorecardSettings(),
    *,
    device: str | None = None,
    resume: bool = False,
    command: Sequence[str] = (),
    on_event: OnEvent = ignore,
) -> dict[str, Any]:
    """Judge a model (a name, or a checkpoint folder with a card.json) and write scorecard.json, scorecard.md and
    contact sheets into the folder `out`; returns what is in scorecard.json.

    Results are kept in out/results.jsonl as they come; with `resume` those of the same weights, probes and version are
    gone on with. Raises ModelError, RequestError, MediaError; whatever stops it, no half file is left.
    """
    from .report import draw_sheets, markdown

    started = time.perf_counter()
    subject = Subject(model, device)
    world, card = world_from(subject.facts), subject.card
    weights = store.digests(store.locate(card))
    probes = load_probes()
    header = {
        "model": card.id, "weights": weights, "probes": _probes_digest(), "kinema": _versions()["kinema"],
        "shape": asdict(subject.shape), "fields": [list(pair) for pair in settings.fields],
    }  # fmt: skip
    on_event(Event("load"))
    worker = ScorecardWorker(subject, out / "clips", dict(settings.fields))
    offered, refused = _offered(subject, settings)
    results = Results(out / "results.jsonl", header, resume)
    try:
        wanted = list(_jobs(worker, settings, offered))
        left = [job for job in wanted if (job.column, job.task, job.case.index) not in results.found]
        on_event(Note("evaluate", _before(left, settings, card, device)))
        _work(worker, left, settings.workers, results, on_event)
    finally:
        results.close()
    keys = {(job.column, job.task, job.case.index) for job in wanted}
    entries = [entry for key, entry in sorted(results.found.items()) if key in keys]
    yardstick = {
        kind: check(probes, world, subject.shape, settings.check_count, change, on_event)
        for kind, change in (("renders", None), ("degraded renders", degraded))
    }
    table = build_table(entries)
    found = {
        "model": card.id,
        "location": str(model),
        "command": list(command),
        "versions": _versions(),
        "device": _device(worker),
        "weights_sha256": weights,
        "probes_sha256": header["probes"],
        "seconds": round(time.perf_counter() - started, 1),
        "resumed": resume,
        "seconds_a_clip": _pace(entries),
        "settings": asdict(settings) | {"fields": dict(settings.fields)},
        "seeds": {"scenes_from": HELD_OUT, "probe_check_from": HELD_OUT_PROBES, "clip": "the number of the case"},
        "world": subject.facts["world"],
        "opencv": Judge.can_see_camera(),
        "not_offered": refused,
        "probe_accuracy": yardstick,
        "tasks": {task: BY_NAME[task].title for task in offered},
        "table": table,
        "differences": differences(entries, settings.profiles),
    }
    import json

    sheets = draw_sheets(out, out / "clips", entries, settings.profiles)
    write_text(out / "scorecard.json", json.dumps(found, indent=1) + "\n")
    write_text(out / "scorecard.md", markdown(found, sheets))
    on_event(Event("done"))
    return found


def _before(left: Sequence[ScorecardCase], settings: ScorecardSettings, card: Card, device: str | None) -> str:
    """What is to be done and how long it takes about, in a sentence. True clips are drawn, which takes next to
    nothing."""
    made = Counter(job.column for job in left if job.column in settings.profiles)
    seconds = 0.0
    for profile, count in made.items():
        fields = Request.from_dict({"prompt": "a red ball", "model": card.id, "profile": profile})
        found = plan(fields, card, device).estimate
        seconds += count * (found.seconds if found is not None else 0.0)
    about = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} s"
    return f"{len(left):,} cases, {made.total():,} of them clips that the model makes: about {about} in one process."


def _offered(subject: Subject, settings: ScorecardSettings) -> tuple[list[str], dict[str, str]]:
    """(tasks that the model is asked, {task: why it is not})."""
    world = world_from(subject.facts)
    asked, refused = [], {}
    for task in TASKS:
        if settings.tasks and task.name not in settings.tasks:
            continue
        if why := task.why_not(subject.card, world):
            refused[task.name] = why
        else:
            asked.append(task.name)
    if not asked:
        raise ModelError(f"{subject.card.id} can be asked none of the tasks: {'; '.join(refused.values())}.")
    return asked, refused


def _jobs(worker: ScorecardWorker, settings: ScorecardSettings, offered: Sequence[str]) -> Iterator[ScorecardCase]:
    """Every clip to judge, true ones first: they are quick, and what is wrong with the yardstick shows at once."""
    world, shape = worker.judge.world, worker.subject.shape
    for column in (*TRUTHS, *settings.profiles):
        if column == "autoencoder" and not worker.has_autoencoder():
            continue
        for name in offered:
            task = BY_NAME[name]
            if column in TRUTHS and task.truth is None:
                continue
            few = name != "text" or column == "autoencoder"
            count = min(settings.task_count, settings.count) if few else settings.count
            for case in cases(world, count, shape, task.scenes):
                yield ScorecardCase(column, name, case)


def _work(
    worker: ScorecardWorker, jobs: list[ScorecardCase], workers: int, results: Results, on_event: OnEvent
) -> None:
    started = time.perf_counter()

    def keep(entry: dict[str, Any], done: int) -> None:
        results.add(entry)
        on_event(Progress("judge", done, len(jobs), time.perf_counter() - started))

    if workers == 1 or len(jobs) < 2:
        for done, job in enumerate(jobs, 1):
            keep(worker.run(job), done)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")
    begin = partial(start, worker.subject, worker.clips, worker.settings)
    pool = ProcessPoolExecutor(workers, context, begin)
    try:
        futures = [pool.submit(run, job) for job in jobs]
        for done, future in enumerate(as_completed(futures), 1):
            keep(future.result(), done)
    except BrokenProcessPool:
        raise ModelError("A worker was ended from outside (out of memory?); --resume goes on.") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pace(entries: list[dict[str, Any]]) -> dict[str, float]:
    """Mean seconds to make a clip of "text", for each profile."""
    found: dict[str, list[float]] = {}
    for entry in entries:
        if entry["task"] == "text" and entry["column"] not in TRUTHS:
            found.setdefault(entry["column"], []).append(entry["seconds"])
    return {column: round(sum(values) / len(values), 3) for column, values in found.items()}


def _probes_digest() -> str:
    from importlib.resources import files

    content = (Path(str(files("kinema"))) / "evaluation" / FILES[0]).read_bytes()
    return hashlib.sha256(content).hexdigest()


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from ..engine.manifest import PACKAGES, own_version

    found = {"kinema": own_version(), "python": platform.python_version()}
    for name in (*PACKAGES, "opencv-python-headless"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _device(worker: ScorecardWorker) -> str:
    import os

    import torch

    device = worker.engine.device
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
