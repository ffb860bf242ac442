"""The folder of a run (`--out`): its lock, its record, and the settings that may change on resume.

OUT/stages.json holds the finished stages and the settings of the run. OUT/.lock names the process that trains in the
folder. A run resumes with its own settings: missing ones are taken from the record, and different ones are refused,
except those that a stage lists in `Stage.may_change`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from ...core.errors import KinemaError, RequestError
from ...core.json_state import JsonState
from ...core.outside import MAX_JSON_BYTES, of_kind, parse_json
from . import processes
from .settings import Settings, Stage

RECORD, LOCK = "stages.json", ".lock"
MINUTES = "minutes"


class RunBusy(KinemaError):
    """Another process is training in this folder."""


@dataclass(frozen=True)
class Record:
    """The record of a run. done: results by finished stage. settings: of the run."""

    done: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        found = self.settings.get("options", {})
        return (
            {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
        )

    @property
    def minutes(self) -> float | None:
        found = self.settings.get(MINUTES)
        return found if isinstance(found, int | float) and not isinstance(found, bool) and found > 0 else None


def read(out: Path) -> Record:
    """Read the record of a folder; empty if there is none. Raises KinemaError if it is damaged."""
    found = _state(out).value()
    settings = of_kind(found.pop("settings", {}), f"{out / RECORD}: settings", dict)
    done = {name: of_kind(each, f"{out / RECORD}: {name}", dict) for name, each in found.items()}
    for name, each in done.items():
        of_kind(each.get("minutes"), f"{out / RECORD}: {name}: minutes", (int, float))
    return Record(done, settings)


def write(out: Path, done: dict[str, Any], settings: dict[str, Any]) -> None:
    with _state(out).change() as value:
        value.clear()
        value.update({**done, "settings": settings})


def _state(out: Path) -> JsonState:
    return JsonState(out / RECORD, 1, {0: lambda value: of_kind(value, str(out / RECORD), dict)}, indent=2)


def resumed_settings(settings: Settings, *, only: bool, minutes: float | None) -> Settings:
    """Complete the settings from the run's record: options, with --resume or --stage; minutes, with --resume. minutes:
    the value of the command line, or None."""
    if not (settings.resume or only):
        return settings
    record = read(settings.out)
    budget = record.minutes if minutes is None and settings.resume and not only else None
    return replace(settings, options=record.options | settings.options, minutes=budget or settings.minutes)


def stages_to_run(stages: Sequence[Stage], settings: Settings, only: Collection[str], record: Record) -> list[Stage]:
    """Return the stages to run, in order. Raises RequestError if the folder holds a run and neither `resume` nor
    `replace` is set, or if a resumed run has other settings."""
    if only:
        return [stage for stage in stages if stage.name in only]
    if not settings.resume:
        if not settings.replace and (why := _holds(settings.out, record)):
            raise RequestError(
                f"{settings.out} already holds a run ({why}).", field="out", value=str(settings.out),
                legal="another folder; --resume to continue it; --replace to start again and overwrite it",
            )  # fmt: skip
        return list(stages)
    changed = _changed(settings, record)
    free = sorted({name for stage in stages for name in stage.may_change})
    for name, (old, new) in changed.items():
        if name not in (*free, MINUTES):
            raise RequestError(
                f"{name} changed from {old} to {new}; the run in {settings.out} resumes with its own settings.",
                field=name, value=new, nearest=None if name not in record.options else old,
                legal=f"{', '.join(sorted({*free, MINUTES}))} may change; another folder keeps both runs; --replace "
                "starts again",
            )  # fmt: skip
    moved = [number for number, stage in enumerate(stages) if not changed.keys().isdisjoint(stage.may_change)]
    first = min(moved, default=len(stages))
    return [stage for number, stage in enumerate(stages) if number >= first or stage.name not in record.done]


def _holds(out: Path, record: Record) -> str:
    """Describe the run that would be overwritten; "" if there is none."""
    if record.done:
        return f"done: {', '.join(record.done)}"
    found = sorted(out.glob("*/checkpoint.pt"))
    return f"with {found[0].relative_to(out)}" if found else ""


def _changed(settings: Settings, record: Record) -> dict[str, tuple[str, str]]:
    """(recorded, new) values of each changed setting. More minutes are a change, fewer are not."""
    then, now = record.options, settings.options
    found = {
        name: (then.get(name, "not set"), now.get(name, "not set"))
        for name in (*now, *(name for name in then if name not in now))
        if record.settings and not _same(then.get(name), now.get(name))
    }
    recipe = record.settings.get("recipe")
    if recipe and settings.recipe and recipe != settings.recipe:
        found = {"recipe": (str(recipe), settings.recipe), **found}
    if record.minutes and settings.minutes > record.minutes:
        found[MINUTES] = (f"{record.minutes:g}", f"{settings.minutes:g}")
    return found


def _same(a: str | None, b: str | None) -> bool:
    """Are two values equal as text, as numbers or as paths?"""
    if a is None or b is None or a == b:
        return a == b
    try:
        return float(a) == float(b)
    except ValueError:
        return Path(a).exists() and os.path.realpath(a) == os.path.realpath(b)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Lock the folder until the end of the block or of the process. Raises RunBusy, in every process of the run, if
    another run holds the lock."""
    lock: IO[str] | None = None
    refused: KinemaError | None = None
    if processes.first():
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock = _lock_file(out / LOCK)
        except KinemaError as error:
            refused = error
        except OSError as error:
            refused = KinemaError(f"{out}: the folder cannot be written ({error.strerror or error}).")
    if not processes.agree(0.0 if refused else 1.0):
        raise refused or RunBusy(f"{out}: the first process could not lock the folder.")
    try:
        yield
    finally:
        if lock is not None:
            lock.seek(0)
            lock.truncate()
            lock.close()


def _lock_file(path: Path) -> IO[str]:
    """Open and lock the lock file, and write this process's id and host to it. The system releases the lock when
    a process ends. If the file names another host, RunBusy is raised: whether a process there still runs is unknown."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows: only the file's content locks
        flock = None  # type: ignore[assignment]
    file = path.open("a+", encoding="utf-8")
    try:
        if flock is not None:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                raise RunBusy(_busy(path, _owner(file))) from None
        owner = _owner(file)
        if owner and (flock is None or owner.get("host") != socket.gethostname()):
            raise RunBusy(f"{_busy(path, owner)} If that process has ended, delete {path}.")
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _owner(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    text = file.read(MAX_JSON_BYTES)
    try:
        return parse_json(text, LOCK, dict) if text.strip() else {}
    except KinemaError:
        return {}


def _busy(path: Path, owner: dict[str, Any]) -> str:
    who = f"process {owner.get('pid', 'unknown')} on {owner.get('host', 'an unknown machine')}"
    return f"{path.parent}: {who} is training in this folder. Use another folder, or wait until it has ended."
