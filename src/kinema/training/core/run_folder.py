"""The folder of a run (`--out`): one training at a time, its record, and what may change when it goes on.

OUT/stages.json holds the stages that are done and the settings of the run. OUT/.lock names the process that trains
into the folder. A run goes on with its own settings: those that are not given are the record's, and those that differ
from it are refused, except for the ones that a stage names (`Stage.follows`).
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
    """Another process trains into this folder."""


@dataclass(frozen=True)
class Record:
    """done: what each finished stage gave. settings: of the run."""

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
    """The record of a folder, empty where there is none. Raises KinemaError where it is damaged."""
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


def gone_on_with(settings: Settings, *, only: bool, minutes: float | None) -> Settings:
    """What a person asks for, with the run's own values where they say nothing: options, where the run goes on or one
    of its stages is done again; minutes, where it goes on. minutes: as given."""
    if not (settings.resume or only):
        return settings
    record = read(settings.out)
    budget = record.minutes if minutes is None and settings.resume and not only else None
    return replace(settings, options=record.options | settings.options, minutes=budget or settings.minutes)


def to_do(stages: Sequence[Stage], settings: Settings, only: Collection[str], record: Record) -> list[Stage]:
    """The stages that are left, in order. Raises RequestError for what may not be done to this folder: a run over
    another without `resume` or `replace`, or a resumption with other settings."""
    if only:
        return [stage for stage in stages if stage.name in only]
    if not settings.resume:
        if not settings.replace and (why := _holds(settings.out, record)):
            raise RequestError(
                f"{settings.out} holds a run already ({why}).", field="out", value=str(settings.out),
                legal="another folder; --resume, which goes on with it; --replace, which begins anew and overwrites it",
            )  # fmt: skip
        return list(stages)
    changed = _changed(settings, record)
    free = sorted({name for stage in stages for name in stage.follows})
    for name, (old, new) in changed.items():
        if name not in (*free, MINUTES):
            raise RequestError(
                f"{name} is {new} now and was {old} in the run in {settings.out}; a run goes on with its own settings.",
                field=name, value=new, nearest=None if name not in record.options else old,
                legal=f"{', '.join(sorted({*free, MINUTES}))} may change; another folder keeps both runs; --replace "
                "begins anew",
            )  # fmt: skip
    moved = [number for number, stage in enumerate(stages) if not changed.keys().isdisjoint(stage.follows)]
    first = min(moved, default=len(stages))
    return [stage for number, stage in enumerate(stages) if number >= first or stage.name not in record.done]


def _holds(out: Path, record: Record) -> str:
    """What would be lost, in words; "" where nothing would."""
    if record.done:
        return f"done: {', '.join(record.done)}"
    found = sorted(out.glob("*/checkpoint.pt"))
    return f"with {found[0].relative_to(out)}" if found else ""


def _changed(settings: Settings, record: Record) -> dict[str, tuple[str, str]]:
    """(then, now) of every setting that is another one; more minutes count, fewer do not."""
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
    """One text, one number, or one place."""
    if a is None or b is None or a == b:
        return a == b
    try:
        return float(a) == float(b)
    except ValueError:
        return Path(a).exists() and os.path.realpath(a) == os.path.realpath(b)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """The folder is this run's until the block ends, or the process does, however it ends. Raises RunBusy, in every
    process of the run, where another run has it."""
    lock: IO[str] | None = None
    refused: KinemaError | None = None
    if processes.first():
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock = _locked(out / LOCK)
        except KinemaError as error:
            refused = error
        except OSError as error:
            refused = KinemaError(f"{out}: cannot be written to ({error.strerror or error}).")
    if not processes.agree(0.0 if refused else 1.0):
        raise refused or RunBusy(f"{out}: the first process does not get the folder.")
    try:
        yield
    finally:
        if lock is not None:
            lock.seek(0)
            lock.truncate()
            lock.close()


def _locked(path: Path) -> IO[str]:
    """The open lock file, with this process's number and machine in it. The system lets go of the lock of a process
    that has ended. Another machine's name stays where that one was killed: nobody here can know, so it is refused."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows: the note alone holds
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
    return f"{path.parent}: {who} trains into this folder. Legal: another folder, or when that one has ended."
