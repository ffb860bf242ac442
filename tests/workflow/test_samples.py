"""The samples: there, right, and never over somebody's files."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.core.errors import RequestError
from kinema.core.request import Request
from kinema.media.read import probe, read_audio, read_image
from kinema.workflow import samples
from kinema.workflow.film_plan import FilmPlan
from kinema.workflow.samples import CAR_CLICK, NUM_PANS, SAMPLES, write_samples

FEW = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, with fewer clips to train on."""
    folder = tmp_path_factory.mktemp("there") / "samples"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "NUM_PANS", FEW)
        assert all(path.exists() for path in write_samples(folder))
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_each_is_what_it_says(folder: Path) -> None:
    assert read_image(folder / "car.png").shape == (128, 128, 3)
    road = probe(folder / "road.mp4")
    assert (road.width, road.height, road.num_frames, road.has_audio) == (128, 128, 17, True)
    sound = read_audio(folder / "road.mp4")
    assert sound is not None and np.abs(sound).max() > 0.05
    assert len(list((folder / "pans").glob("*.mp4"))) == FEW < NUM_PANS == 24
    assert all("camera" not in text.read_text() for text in (folder / "pans").glob("*.txt"))
    assert Request.from_file(folder / "request.json").conditions[0].image == str(folder / "car.png")  # type: ignore
    assert len(FilmPlan.from_file(folder / "film.json").shots) == 3


def test_the_click_and_the_mask_hit_the_car(folder: Path) -> None:
    mask_HW = samples._drawn(samples._road(), 1)[1][0]
    x, y = (float(part) for part in CAR_CLICK.split(","))
    assert mask_HW[int(y * 128), int(x * 128)]
    given_HW = read_image(folder / "mask.png")[..., 0] > 127
    assert given_HW[mask_HW].all()
    assert given_HW.mean() < 3 * mask_HW.mean()


def test_the_miniatures_know_what_is_on_them() -> None:
    from kinema.toyland.scene import WORLD_MINI

    for scene in (samples._car(), samples._road(), samples._ball(), samples._star()):
        assert scene.background in WORLD_MINI.backgrounds and scene.detail == WORLD_MINI.detail
        assert all(actor.kind in WORLD_MINI.kinds and actor.motion in WORLD_MINI.motions for actor in scene.actors)


def test_every_command_is_one_that_kinema_takes(folder: Path) -> None:
    """Names of commands and options, and that the files it names are there; running them takes minutes."""
    for sample in SAMPLES:
        words = shlex.split(sample.next_command(folder))
        assert words[0] == "kinema"
        command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("-") and len(word) > 1} <= options
        assert all(Path(word).exists() for word in words if word.startswith(str(folder)))


def test_nothing_is_replaced_unless_asked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "NUM_PANS", FEW)
    own = tmp_path / "samples"
    own.mkdir()
    (own / "path.txt").write_text("mine")
    (own / "notes.txt").write_text("mine too")
    with pytest.raises(RequestError, match=r"path\.txt: exists already.*--force"):
        write_samples(own)
    assert sorted(each.name for each in own.iterdir()) == ["notes.txt", "path.txt"]
    write_samples(own, force=True)
    assert (own / "notes.txt").read_text() == "mine too"
    assert contents(own).items() >= contents(folder).items(), "another run wrote other bytes"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["samples"]


def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    def stop(_event: object) -> None:
        if list(tmp_path.glob(".samples*/star.png")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path / "samples", on_event=stop)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, words in ((tmp_path / "file", "is a file"), (tmp_path / "no" / "samples", "does not exist")):
        with pytest.raises(RequestError, match=words):
            write_samples(place)


def test_the_command_says_what_to_type_next(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples, "SAMPLES", tuple(each for each in SAMPLES if each.name in ("car.png", "path.txt")))
    result = CliRunner().invoke(app, ["samples", "my samples"])
    assert result.exit_code == 0, result.output
    assert "--image 'my samples/car.png'" in result.stdout
    again = CliRunner().invoke(app, ["samples", "my samples"])
    assert again.exit_code == 2
    assert "car.png: exists already" in again.stderr
