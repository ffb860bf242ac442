"""Everything that Kinema remembers on a disk, whatever became of its file: missing, empty, cut off, no such file at
all, of an older or a later version, in a folder that cannot be written, changed by two processes at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kinema.core import sqlite_state
from kinema.core.errors import KinemaError
from kinema.core.json_state import JsonState, StateNewer


@dataclass(frozen=True)
class Kept:
    """One kind of file. add: remember an item, by its number. items: those that are remembered. raises: a damaged file
    is not begun anew; what reads it says so. told: of a later version, whoever writes raises. lines: one JSON value a
    line, so that what is cut off loses one line. alone: only one process ever writes it."""

    name: str
    add: Callable[[Path, int], Any]
    items: Callable[[Path], set[int]]
    old: Callable[[int], bytes] | None = None
    raises: bool = False
    told: bool = True
    lines: bool = False
    alone: bool = False

    def __str__(self) -> str:
        return Path(self.name).name


def _home(folder: Path) -> None:
    os.environ["KINEMA_HOME"] = str(folder)


def _add_model(folder: Path, number: int) -> None:
    from kinema.weights import added

    entry = added.Added(f"m{number}", f"/models/{number}")
    added.change(folder / "models.json", lambda entries: [*entries, entry])


def _models(folder: Path) -> set[int]:
    from kinema.weights import added

    return {int(each.id[1:]) for each in added.read(folder / "models.json").entries}


def _add_run(folder: Path, number: int) -> None:
    from kinema.engine import measured

    _home(folder)
    measured.keep(measured.MeasuredRun(f"m{number}", "cpu", "exact", 6, 1.0, {"sample": (1.0, 1.0)}))


def _runs(folder: Path) -> set[int]:
    from kinema.engine import measured

    _home(folder)
    return {int(run.model[1:]) for run in measured.read().runs}


def _add_digest(folder: Path, number: int) -> None:
    from kinema.weights import store

    _home(folder)
    weights = folder.parent / f"w{number}.safetensors"
    weights.write_bytes(b"weights")
    store.digests(weights)


def _digests(folder: Path) -> set[int]:
    from kinema.weights import store

    found = store._cached(store._digest_state(folder / "digests.json"))
    return {int(Path(key.split("|")[0]).stem[1:]) for key in found}


def _add_made(folder: Path, number: int) -> None:
    from kinema.workflow import history

    _home(folder)
    clip = folder.parent / "clip.mp4"
    clip.write_bytes(b"clip")
    history.record(clip, "generated", seed=number)


def _made(folder: Path) -> set[int]:
    from kinema.workflow import history

    _home(folder)
    return {each.seed for each in history.read().entries if each.seed is not None}


def _add_stage(folder: Path, number: int) -> None:
    from kinema.training.core import run_folder

    record = run_folder.read(folder)
    run_folder.write(folder, {**record.done, f"s{number}": {"minutes": 1.0}}, {})


def _stages(folder: Path) -> set[int]:
    from kinema.training.core import run_folder

    return {int(name[1:]) for name in run_folder.read(folder).done}


def _add_training(folder: Path, number: int) -> None:
    from kinema.training.core import run_history
    from kinema.training.core.budget import FixedCost

    _home(folder)
    kind = run_history.RunKind.of(f"r{number}", "cpu", 1, 2.0, {})
    run_history.add(kind, {"learn": FixedCost(1.0, 2.0)})


def _trainings(folder: Path) -> set[int]:
    from kinema.training.core import run_history

    _home(folder)
    return {int(run.kind.recipe[1:]) for run in run_history.read()}


def _add_job(folder: Path, number: int) -> None:
    from kinema.jobs.store import JobStore

    with JobStore.open(f"sqlite:///{folder / 'jobs.sqlite'}") as store:
        store.submit("clip", {"seed": number})


def _jobs(folder: Path) -> set[int]:
    from kinema.jobs.store import JobStore

    with JobStore.open(f"sqlite:///{folder / 'jobs.sqlite'}") as store:
        return {job.body["seed"] for job in store.list(limit=500)}


def _add_status(folder: Path, number: int) -> None:
    from kinema.channel.state_file import read_state, write_state

    path = folder / "state" / "producer.json"
    path.parent.mkdir(exist_ok=True)
    write_state(path, {**(read_state(path) or {}), f"n{number}": 1})


def _status(folder: Path) -> set[int]:
    from kinema.channel.state_file import read_state

    return {int(name[1:]) for name in read_state(folder / "state" / "producer.json") or {}}


def _add_clip(folder: Path, number: int) -> None:
    from kinema.channel.library import Library, LibraryClip

    with Library(folder) as library:
        path = library.clip_path(f"c{number}")
        path.write_bytes(b"clip")
        library.add(LibraryClip(f"c{number}", path, "", frames=24))


def _clips(folder: Path) -> set[int]:
    from kinema.channel.library import Library

    with Library(folder) as library:
        return {int(clip.id[1:]) for clip in library.clips()}


def _add_episode(folder: Path, number: int) -> None:
    from kinema.channel.making.ledger import Ledger

    with Ledger(folder) as ledger:
        ledger.plan("sea", number, "", "", "", [(f"shot {number}", {"seed": number})])


def _episodes(folder: Path) -> set[int]:
    from kinema.channel.making.ledger import Ledger

    with Ledger(folder) as ledger:
        return {shot.shot["seed"] for shot in ledger.in_state("planned")}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


FILES = (
    Kept("models.json", _add_model, _models, lambda n: _json([{"id": f"m{n}", "path": "/models/x", "old": 1}])),
    Kept("measured.json", _add_run, _runs, told=False),
    Kept("trainings.json", _add_training, _trainings, told=False),
    Kept("digests.json", _add_digest, _digests, lambda n: _json({f"/w{n}.safetensors|7|1": "a" * 64}), told=False),
    Kept("history.jsonl", _add_made, _made, told=False, lines=True),
    Kept("stages.json", _add_stage, _stages, lambda n: _json({f"s{n}": {"minutes": 1.0}, "settings": {}}),
         raises=True, alone=True),
    Kept("state/producer.json", _add_status, _status, lambda n: _json({f"n{n}": 1}), told=False, alone=True),
    Kept("jobs.sqlite", _add_job, _jobs),
    Kept("library.db", _add_clip, _clips),
    Kept("state/ledger.db", _add_episode, _episodes),
)  # fmt: skip
DATABASES = (".db", ".sqlite")
every = pytest.mark.parametrize("kept", FILES, ids=str)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "kept"))
    monkeypatch.delenv("KINEMA_HISTORY", raising=False)
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def _aside(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


@every
def test_missing(kept, folder):
    if not kept.name.endswith(DATABASES):
        assert kept.items(folder) == set()
    kept.add(folder, 1)
    kept.add(folder, 2)
    assert kept.items(folder) == {1, 2} and _aside(folder) == []


@every
@pytest.mark.parametrize("harm", ["empty", "truncated", "garbage", "zeroed"])
def test_damaged(kept, folder, harm, caplog):
    """What was remembered is kept beside and the file begun anew, or whoever reads it says what is wrong with which
    file; nothing else ends in an error."""
    kept.add(folder, 1)
    path = folder / kept.name
    data = path.read_bytes()
    path.write_bytes({
        "empty": b"", "truncated": data[: len(data) * 2 // 3], "garbage": b"\xff\x00no state" * 99,
        "zeroed": bytes(len(data)),
    }[harm])  # fmt: skip
    harmed = path.read_bytes()
    if kept.raises:
        with pytest.raises(KinemaError, match=kept.name):
            kept.items(folder)
        assert path.read_bytes() == harmed
        return
    assert kept.items(folder) <= {1}
    kept.add(folder, 2)
    assert 2 in kept.items(folder)
    if (kept.name.endswith(".json") and not kept.alone) or (kept.name.endswith(DATABASES) and harm != "empty"):
        assert [each.read_bytes() for each in _aside(folder)] == [harmed]
    kept.add(folder, 3)
    assert kept.items(folder) >= {2, 3}


@pytest.mark.parametrize("kept", [kept for kept in FILES if kept.old or kept.name.endswith(DATABASES)], ids=str)
def test_an_older_version_is_migrated(kept, folder):
    path = folder / kept.name
    if kept.name.endswith(DATABASES):  # as made before there was a number
        kept.add(folder, 1)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 0")
        db.close()
    else:
        assert kept.old is not None
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kept.old(1))
    assert kept.items(folder) == {1}
    kept.add(folder, 2)
    assert kept.items(folder) == {1, 2} and _aside(folder) == []
    if path.suffix == ".json":
        assert json.loads(path.read_text())["schema"] == 1


@every
def test_a_later_version_is_left_as_it_is(kept, folder):
    kept.add(folder, 1)
    path = folder / kept.name
    if kept.name.endswith(DATABASES):
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 99'))
    before = path.read_bytes()
    if kept.told:
        with pytest.raises(KinemaError, match=r"later version of Kinema \(schema 99; this one supports [12]\)"):
            kept.add(folder, 2)
    elif not kept.alone:
        kept.add(folder, 2)
        assert 1 not in kept.items(folder)
    assert path.read_bytes().startswith(before)


@every
def test_a_folder_that_cannot_be_written(kept, folder, monkeypatch):
    """A memory is given up; everything else is a KinemaError or an OSError, and what was there stays."""
    kept.add(folder, 1)
    if os.geteuid() == 0:  # whom permissions do not stop

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        def refuse_database(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("unable to open database file")

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr("kinema.core.whole._mode", refuse)
        monkeypatch.setattr(sqlite3, "connect", refuse_database)
    else:
        folder.chmod(0o500)
    try:
        kept.add(folder, 2)
    except (KinemaError, OSError):
        pass
    finally:
        monkeypatch.undo()
        folder.chmod(0o700)
    monkeypatch.setenv("KINEMA_HOME", str(folder))
    assert kept.items(folder) == {1}


def _add_many(kept_index: int, folder: Path, first: int) -> None:
    for number in range(first, first + 10):
        FILES[kept_index].add(folder, number)


@pytest.mark.parametrize(
    "index", [index for index, kept in enumerate(FILES) if not kept.alone], ids=lambda i: str(FILES[i])
)
def test_two_processes_at_once_lose_nothing(index, folder):
    fresh = "forkserver" in multiprocessing.get_all_start_methods()  # imports once for all children; not on Windows
    context = multiprocessing.get_context("forkserver" if fresh else "spawn")
    context.set_forkserver_preload(["__main__", __name__])
    workers = [context.Process(target=_add_many, args=(index, folder, first)) for first in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert FILES[index].items(folder) == {*range(10), *range(100, 110)}


def test_rows_of_a_damaged_database_are_saved(folder, caplog):
    """Pages in the middle are lost, what is before and after them is not; who has the old file open goes on."""
    from kinema.channel.library import Aired, Library

    with Library(folder) as library:
        for number in range(5000):
            library.note_aired(Aired(float(number), "c1", "clip", f"Title {number}", "sea", number, 24, 24.0))
    path = folder / "library.db"
    data = bytearray(path.read_bytes())
    open_before = Library(folder, create=False)
    half = len(data) // 2 // 4096 * 4096
    data[half : half + 3 * 4096] = b"\xaa" * 3 * 4096
    path.write_bytes(data)
    with Library(folder) as library:
        saved = library.as_run(10_000)
        assert 3000 < len(saved) < 5000 and saved[0].title == "Title 4999" and saved[-1].title == "Title 0"
    assert len(_aside(folder)) == 1 and "moved to library.db.damaged-" in caplog.text
    assert len(open_before.as_run(10_000)) == len(saved)
    open_before.close()


def test_migrations_follow_each_other(folder):
    path = folder / "x.db"
    steps = ("CREATE TABLE IF NOT EXISTS a (n)", "ALTER TABLE a ADD COLUMN m DEFAULT 5")
    one = sqlite_state.SqliteState(path, steps[:1])
    with one.work() as db:
        db.execute("INSERT INTO a VALUES (1)")
    one.close()
    two = sqlite_state.SqliteState(path, steps)
    with two.look() as db:
        assert db.execute("SELECT n, m FROM a").fetchall() == [(1, 5)]
    two.close()
    with pytest.raises(StateNewer, match=r"schema 2; this one supports 1"):
        sqlite_state.SqliteState(path, steps[:1])

    path = folder / "x.json"
    path.write_text('{"schema": 1, "n": 1}')
    state = JsonState(path, 3, {1: lambda value: {**value, "m": 5}, 2: lambda value: {**value, "m": value["m"] + 1}})
    assert state.read().value == {"n": 1, "m": 6}
    with state.change() as value:
        value["n"] = 2
    assert json.loads(path.read_text()) == {"schema": 3, "n": 2, "m": 6}


def test_a_sampling_state_of_a_later_version_is_refused(folder):
    import torch
    from safetensors.torch import save_file

    from kinema.core.errors import MediaError
    from kinema.engine.resume import SamplingState

    path = folder / "state.safetensors"
    save_file({"latents": torch.zeros(1)}, path, metadata={"kinema": json.dumps({"schema": 99})})
    with pytest.raises(MediaError, match=r"later version of Kinema \(schema 99; this one supports 2\)"):
        SamplingState.read(path)
