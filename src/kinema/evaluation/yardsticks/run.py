"""Evaluate a set of clips: read, measure what has no row yet, and compute the figures."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError, MediaError, RequestError
from ...core.events import Event, OnEvent, Progress, ignore
from ...core.leftovers import temporary_folder
from ...core.lock import take
from ...core.outside import exists
from ...core.threads import cores
from .contract import MOST_FRAMES, ClipFile, Row, Score, Yardstick, YardstickSettings
from .measure import MeasuredRows, MeasureTask, measured, reason_of
from .read import ClipSet, beside, find_clips
from .result import GIVEN, OTHER, Evaluation, FailedClip, Figure, partner
from .store import FILE, RowStore, key_of, pack, written
from .table import ALL, YARDSTICKS, chosen, named
from .vbench_semantic import WHY_NOT

CLIPS_PER_WORKER = 16
"""A process takes seconds to start: by default there is one for so many clips."""
Clips = dict[str, tuple[ClipFile, str]]
"""The clips of one side by name, each with the SHA-256 of its content."""


def evaluate(
    path: Path | str,
    against: Path | str | None = None,
    *,
    metrics: str | Sequence[str],
    settings: YardstickSettings | None = None,
    out: Path | None = None,
    workers: int | None = None,
    resume: bool = False,
    uniform: bool = False,
    statistics: Path | None = None,
    on_event: OnEvent = ignore,
) -> Evaluation:
    """Compute figures of the clips of a folder (or of one clip), against those of another if a yardstick needs them.

    out: folder in which the rows are kept; with `resume`, rows of a killed run there are used. workers: processes; by
    default one for CLIPS_PER_WORKER clips, up to the number of cores. The result is the same for any number. uniform:
    leave out clips whose size or rate differs from most. Raises RequestError before any frame is read, ModelError,
    MediaError if no clip could be measured.
    """
    began_s = time.monotonic()
    if workers is not None and workers < 1:
        raise RequestError(f"workers = {workers}.", field="workers", value=workers, legal="1 or more")
    settings = settings or YardstickSettings()
    names = named(metrics)
    yardsticks = chosen(names, settings)
    if not names:
        raise RequestError("No metrics were given.", field="metrics", legal=", ".join((*YARDSTICKS, ALL)))
    sets, rows = {GIVEN: find_clips(Path(path))}, dict[str, Row]()
    saved = against is not None and Path(against).suffix == ".npz"
    if against is not None and not saved:
        sets[OTHER] = find_clips(Path(against), OTHER)
    if against is not None and saved:
        rows = _statistics_of(Path(against), yardsticks or [YARDSTICKS["fvd"](settings)])
    not_computed: dict[str, str] = {}
    if ALL in names:
        more, not_computed = _able([name for name in YARDSTICKS if name not in names], settings, sets, rows)
        yardsticks += more
    check(yardsticks, sets, rows)
    if statistics is not None and not any(hasattr(each, "statistics") for each in yardsticks):
        raise RequestError(
            "None of the metrics has statistics.",
            field="save_statistics",
            value=str(statistics),
            legal="with --metrics fvd",
        )
    with _rows(out, resume) as store:
        on_event(Event("scan"))
        found = _Run(sets, yardsticks, settings, store, uniform)
        found.read(on_event)
        found.measure(workers, on_event)
        found.add_statistics(rows)
        figures = found.figures()
        for figure in figures:
            not_computed = figure.score.facts.get("why_not", {}) | not_computed
        if all(not figure.clips for figure in figures):
            shown = "; ".join(f"{each.clip}: {each.reason}" for each in found.failed[:3])
            raise MediaError(f"{path}: no clip could be measured ({shown}).")
        if statistics is not None:
            found.save_statistics(statistics)
    files, others = ({name: file for name, (file, _) in found.clips.get(side, {}).items()} for side in (GIVEN, OTHER))
    return Evaluation(
        Path(path), None if against is None else Path(against), figures, files, others, found.shapes, found.failed,
        found.differing, round(time.monotonic() - began_s, 3), not_computed,
    )  # fmt: skip


def check(yardsticks: Sequence[Yardstick], sets: dict[str, ClipSet], statistics: Mapping[str, Row]) -> None:
    """Raise RequestError for a yardstick that cannot measure these sets. statistics: rows in place of the other set."""
    others = sets.get(OTHER)
    for each in yardsticks:
        if each.against != "no" and others is None and each.name not in statistics:
            what = "other clips" if each.against == "set" else "clips of the same names"
            raise RequestError(
                f"{each.name} compares with {what}.", field=OTHER, value=None,
                legal="--against FOLDER, or metrics that need no other clips",
            )  # fmt: skip
        if each.against == "pairs" and others is not None:
            names = others.by_name()
            single = len(sets[GIVEN].clips) == len(others.clips) == 1
            if not single and not any(clip.name in names for clip in sets[GIVEN].clips):
                raise RequestError(
                    f"{each.name} compares clips of the same name, and {others.path} has none of the names in "
                    f"{sets[GIVEN].path}.", field=OTHER, value=str(others.path), legal="clips of the same names",
                )  # fmt: skip
        clips = sets[GIVEN].clips
        each.check(clips, clips if each.name in statistics else others.clips if others is not None else ())


def _able(
    names: Sequence[str], settings: YardstickSettings, sets: dict[str, ClipSet], statistics: Mapping[str, Row]
) -> tuple[list[Yardstick], dict[str, str]]:
    """The yardsticks of these names that can measure the sets, and why the others, and VBench's semantic dimensions,
    cannot."""
    found: list[Yardstick] = []
    reasons: dict[str, str] = {}
    for name in names:
        each = YARDSTICKS[name](settings)
        try:
            check([each], sets, statistics)
            each.protocol()
            found.append(each)
        except KinemaError as error:
            reasons[name] = str(error)
    return found, reasons | WHY_NOT


class _Run:
    """The state of one evaluation."""

    def __init__(
        self, sets: dict[str, ClipSet], yardsticks: Sequence[Yardstick], settings: YardstickSettings, store: RowStore,
        uniform: bool,
    ) -> None:  # fmt: skip
        self.sets, self.yardsticks, self.settings, self.store = sets, yardsticks, settings, store
        self.uniform = uniform
        self.protocols = {each.name: each.protocol() for each in yardsticks}
        self.clips: dict[str, Clips] = {side: {} for side in sets}
        self.shapes: dict[str, dict[str, tuple[int, int, int, float]]] = {side: {} for side in sets}
        self.keys: dict[str, dict[str, dict[str, str]]] = {each.name: {} for each in yardsticks}
        """By yardstick, side and clip; "" are the shapes."""
        self.failed = [FailedClip(side, *pair) for side, found in sets.items() for pair in found.refused]
        self.differing: list[tuple[str, str, str]] = []

    def read(self, on_event: OnEvent) -> None:
        """Hash every clip: its content decides which rows it has."""
        from ...conditions.inputs import digest

        total, done, began_s = sum(len(found.clips) for found in self.sets.values()), 0, time.monotonic()
        for side, found in self.sets.items():
            for clip in found.clips:
                try:
                    content = [digest(str(each)) for each in (clip.path, *beside(clip))]
                    self.clips[side][clip.name] = clip, key_of([content, clip.caption, clip.manifest, MOST_FRAMES])
                except MediaError as error:
                    self.failed.append(FailedClip(side, clip.shown, reason_of(error, clip)))
                done += 1
                on_event(Progress("scan", done, total, time.monotonic() - began_s))

    def measure(self, workers: int | None, on_event: OnEvent) -> None:
        """Measure every clip that lacks a row, and keep the rows."""
        wanted = list(self._wanted())
        existing = self.store.has(dict.fromkeys(key for _, task, keys in wanted for key in keys.values()))
        left: list[tuple[str, MeasureTask, dict[str, str]]] = []
        for side, task, keys in wanted:
            names = tuple(name for name in task.names if keys[name] not in existing)
            if names or keys[""] not in existing:
                left.append((side, MeasureTask(task.file, names, task.partner), keys))
        for yardstick in self.yardsticks:
            self.keys[yardstick.name] = {side: {} for side in self.sets}
        done_before, began_s = len(wanted) - len(left), time.monotonic()
        on_event(Progress("measure", done_before, len(wanted)))
        processes = workers or max(1, min(cores(), len(left) // CLIPS_PER_WORKER))
        tasks = [task for _, task, _ in left]
        with contextlib.closing(measured(tasks, self.yardsticks, self.settings, processes)) as results:
            for done, (number, result) in enumerate(results, 1):
                self._keep(*left[number], result)
                on_event(Progress("measure", done_before + done, len(wanted), time.monotonic() - began_s))
        self._collect(wanted)

    def _wanted(self) -> Iterator[tuple[str, MeasureTask, dict[str, str]]]:
        """(side, what to measure of a clip, keys of the rows by yardstick)."""
        sets = any(each.against == "set" for each in self.yardsticks)
        for side, clips in self.clips.items():
            if side == OTHER and not sets:
                continue  # pairs are read with their partners
            for name, (clip, content) in clips.items():
                names, keys = [], {"": key_of(["shape", content])}
                pair = partner(name, self.clips[GIVEN], self.clips.get(OTHER, {}))
                for each in self.yardsticks:
                    if side == OTHER and each.against != "set":
                        continue
                    of: list[Any] = [each.name, self.protocols[each.name], self.settings.device, content]
                    if each.against == "pairs":
                        if pair is None:
                            self.failed.append(
                                FailedClip(side, clip.shown, "no clip of this name to compare with", each.name)
                            )
                            continue
                        of.append(pair[1])
                    names.append(each.name)
                    keys[each.name] = key_of(of)
                pairs = any(each.against == "pairs" and each.name in names for each in self.yardsticks)
                other = pair[0] if side == GIVEN and pairs and pair is not None else None
                yield side, MeasureTask(clip, tuple(names), other), keys

    def _keep(self, side: str, task: MeasureTask, keys: dict[str, str], result: MeasuredRows) -> None:
        import numpy as np

        rows = [(keys[name], row) for name, row in result.rows.items()]
        if result.shape is not None:
            rows.append((keys[""], {"shape": np.asarray(result.shape, np.float64)}))
        self.store.add(rows)
        for name, why in result.reasons.items():
            self.failed.append(FailedClip(side, task.file.shown, why, name))

    def _collect(self, wanted: Sequence[tuple[str, MeasureTask, dict[str, str]]]) -> None:
        """Note which rows exist now, and which clips differ in size or rate from most of their side."""
        existing = self.store.has(dict.fromkeys(key for _, _, keys in wanted for key in keys.values()))
        for side, task, keys in wanted:
            if keys[""] in existing:
                frames, height, width, fps = next(iter(self.store.rows([keys[""]])))["shape"]
                self.shapes[side][task.file.name] = int(frames), int(height), int(width), float(fps)
        odd = {(side, name): how for side in self.sets for name, how in differing(self.shapes[side])}
        for side, task, keys in wanted:
            how = odd.get((side, task.file.name))
            if how is not None and self.uniform:
                self.failed.append(FailedClip(side, task.file.shown, how))
                continue
            if how is not None:
                self.differing.append((side, task.file.shown, how))
            for name in task.names:
                if keys[name] in existing:
                    self.keys[name][side][task.file.name] = keys[name]

    def add_statistics(self, rows: Mapping[str, Row]) -> None:
        """Use saved statistics in place of the rows of another set."""
        for name, row in rows.items():
            key = key_of(["statistics", sha256(pack(row)).hexdigest()])
            self.store.add([(key, row)])
            self.keys[name][OTHER] = {"statistics": key}

    def save_statistics(self, path: Path) -> None:
        from . import reference_statistics

        for each in self.yardsticks:
            if hasattr(each, "statistics"):
                with written(path):
                    row = each.statistics(ordered(self.store, self.keys[each.name][GIVEN]))
                    reference_statistics.save(path, row, self.protocols[each.name])
                return

    def figures(self) -> list[Figure]:
        """The figures, from the rows in the order of the clips' names."""
        found, members = [], {}
        for each in self.yardsticks:
            keys = self.keys[each.name]
            score = scored(each, self.store, keys)
            found.append(Figure(
                each.name, each.title, score.unit, each.better, each.against, self.protocols[each.name], score,
                tuple(sorted(keys[GIVEN])),
            ))  # fmt: skip
            members[each.name] = {"protocol": self.protocols[each.name], "settings": asdict(self.settings)}, keys
        self.store.set_figures(members)
        return found


def scored(yardstick: Yardstick, store: RowStore, keys: dict[str, dict[str, str]]) -> Score:
    """The figure of the rows with these keys, {side: {clip: key}}."""
    own, other = keys.get(GIVEN, {}), keys.get(OTHER, {})
    if not own or (yardstick.against == "set" and not other):
        why = "no clip could be measured" if not own else "no clip of the other set could be measured"
        return Score(None, None, None, yardstick.unit, None, {"why": why})
    return yardstick.score(ordered(store, own), ordered(store, other))


def ordered(store: RowStore, keys: dict[str, str]) -> list[Row]:
    """Rows in the order of the clips' names."""
    return list(store.rows(keys[name] for name in sorted(keys)))


def differing(shapes: dict[str, tuple[int, int, int, float]]) -> list[tuple[str, str]]:
    """(clip, how its size or rate differs from most clips)."""
    sizes, rates = Counter((w, h) for _, h, w, _ in shapes.values()), Counter(fps for *_, fps in shapes.values())
    if not shapes:
        return []
    (width, height), fps = sizes.most_common(1)[0][0], rates.most_common(1)[0][0]
    found = []
    for name, (_, h, w, rate) in sorted(shapes.items()):
        how = [f"{w}x{h}, most have {width}x{height}"] if (w, h) != (width, height) else []
        how += [f"{rate:g} fps, most have {fps:g}"] if rate != fps else []
        if how:
            found.append((name, "; ".join(how)))
    return found


def _statistics_of(path: Path, yardsticks: Sequence[Yardstick]) -> dict[str, Row]:
    """The saved statistics of another set, for each yardstick that takes them."""
    from . import reference_statistics

    if not exists(path):
        raise RequestError(f"{path}: no such file.", field=OTHER, value=str(path))
    able = [each for each in yardsticks if hasattr(each, "statistics")]
    return {each.name: reference_statistics.load(path, each.protocol()) for each in able}


@contextlib.contextmanager
def _rows(out: Path | None, resume: bool) -> Iterator[RowStore]:
    """Open the rows of a folder, emptied unless they are to be resumed; or temporary ones."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("evaluate")) if out is None else out
        with written(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / f"{FILE}.lock").open("ab"))
        if not take(lock):
            raise RequestError(f"{folder}: another run writes its rows there.", field="output", value=str(folder))
        if not resume:
            for ending in ("", "-wal", "-shm"):
                (folder / f"{FILE}{ending}").unlink(missing_ok=True)
        yield stack.enter_context(contextlib.closing(RowStore(folder)))
