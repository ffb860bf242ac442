"""No command writes over what it reads, nor two outputs into one file; refused before any model is loaded."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_tools import run
from PIL import Image

import kinema
from kinema.core.apart import check_name, keep_apart, named
from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.engine.clip import Clip
from kinema.engine.plan import plan
from kinema.media.write import write


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    frames = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)
    sound = np.zeros((20_000, 1), np.float32)
    for name in ("a.mp4", "b.mp4", "m.mp4"):
        write([Chunk(frames, 0, 12.0, sound)], folder / name, quality="draft")
    write([Chunk(frames, 0, 12.0)], f"{folder}/film/")
    for name in ("p.png", "q.png", "00000.png"):
        Image.fromarray(frames[0]).save(folder / name)
    (folder / "path.txt").write_text("10,10\n200,200\n")
    (folder / "wish.mp4.json").write_text('{"prompt": "a red ball", "frames": 5}')
    (folder / "wish.png").write_text('{"prompt": "a red ball", "frames": 5}')
    (folder / "lora.png").write_bytes(b"no lora")
    (folder / "tune.wav").write_bytes((folder / "a.mp4").read_bytes())
    os.link(folder / "a.mp4", folder / "hard.mp4")
    (folder / "soft.mp4").symlink_to("a.mp4")
    (folder / "here").symlink_to(".")
    return folder


@pytest.fixture
def there(inputs, tmp_path, monkeypatch):
    """The inputs in a folder of the test's own; whoever begins to work fails."""
    shutil.copytree(inputs, tmp_path / "w", symlinks=True)
    (tmp_path / "w" / "hard.mp4").unlink()
    os.link(tmp_path / "w" / "a.mp4", tmp_path / "w" / "hard.mp4")
    monkeypatch.chdir(tmp_path / "w")

    def begun(*_args, **_how):
        raise AssertionError("work was begun")

    monkeypatch.setattr("kinema.cli.work.load_engine", begun)
    monkeypatch.setattr("kinema.music.make", begun)
    monkeypatch.setattr("kinema.music.put_under", begun)
    monkeypatch.setattr("kinema.conditions.control.annotate_clip", begun)
    monkeypatch.setattr("kinema.cli.interpolate._run", begun)
    monkeypatch.setattr("kinema.cli.mask._write", begun)
    return tmp_path / "w"


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


BOX = "--box 4,4,12,12"
COMMANDS = {
    "remove": [f"remove a.mp4 {BOX} -o {{}}", f"remove a.mp4 {BOX} -o new.mp4 --sheet {{}}"],
    "outpaint": ["outpaint a.mp4 --left 0.5 -o {}"],
    "extend": ["extend a.mp4 --seconds 1 -o {}"],
    "upscale": ["upscale a.mp4 --prompt ball -o {}"],
    "resample": ["upscale a.mp4 --by lanczos -o {}"],
    "interpolate": ["interpolate a.mp4 --by blend -o {}"],
    "control": ["control a.mp4 --kind edge -o {}", "control a.mp4 --kind edge -o new.mp4 --preview {}"],
    "mask": [f"mask a.mp4 {BOX} -o {{}}", f"mask a.mp4 {BOX} -o new.mp4 --preview {{}}"],
    "score": ["score a.mp4 -o {}"],
    "generate": [
        "generate ball --anyway --source a.mp4 --mask everything -o {}",
        "generate ball --anyway --continue a.mp4 -o {}",
    ],
}
LINKED = [command for commands in COMMANDS.values() for command in commands if "--sheet" not in command]
NAMES = ["a.mp4", "./here/a.mp4", "hard.mp4", "soft.mp4"]


@pytest.mark.parametrize("command", LINKED)
def test_the_clip_itself_by_any_name(there, command):
    before = state(there)
    for name in NAMES:
        done = run(*command.format(name).split())
        assert done.exit_code == 2, (name, done.output)
        assert "is an input: it would be written over itself" in done.output
        assert state(there) == before


@pytest.mark.parametrize(
    "command",
    [
        "between a.mp4 b.mp4 -o b.mp4",
        "edit a.mp4 ball --mask m.mp4 -o m.mp4",
        f"edit a.mp4 ball {BOX} --reference p.png --reference q.png -o new.mp4 --sheet q.png",
        f"edit film/ ball {BOX} -o film/",
        f"edit film ball {BOX} -o new.mp4 --sheet film/00000.png",
        "remove film/00000.png --mask everything -o film/",
        "animate p.png -o p.png",
        "animate p.png -o new.mp4 --sheet p.png",
        "restyle a.mp4 ball --control edge --reference q.png -o new.mp4 --sheet q.png --model kinema-mini-wan",
        "generate ball --anyway --image p.png -o new.mp4 --sheet p.png",
        "generate ball --anyway --image p.png -o new.mp4 --preview p.png",
        "generate ball --anyway --image p.png -o new.mp4 --keep-state p.png",
        "generate ball --anyway --last q.png -o new.mp4 --sheet q.png",
        "generate ball --anyway --reference p.png --reference q.png -o new.mp4 --preview q.png",
        "generate ball --anyway --source a.mp4 --mask m.mp4 -o m.mp4",
        "generate ball --anyway --continue b.mp4 -o b.mp4",
        "generate ball --anyway --trajectory path.txt -o new.mp4 --keep-state path.txt",
        "generate --request wish.png -o new.mp4 --sheet wish.png",
        "control a.mp4 --kind layout --mask m.mp4 -o m.mp4",
        "music calm --melody tune.wav -o tune.wav",
        "music calm --sound tune.wav -o tune.wav",
        "score b.mp4 --melody a.mp4 -o a.mp4",
        "train lora --data film --out film",
    ],
)
def test_every_other_input(there, command):
    before = state(there)
    done = run(*command.split())
    assert done.exit_code == 2, done.output
    assert "is an input: it would be written over itself" in done.output
    assert state(there) == before


@pytest.mark.parametrize(
    "command",
    [
        "generate ball -o new.png --sheet new.png",
        "generate ball -o new.png --sheet ./here/new.png",
        "generate ball -o new.gif --preview new.gif",
        "generate ball -o new.mp4 --preview look.gif --keep-state look.gif",
        "generate ball -o new.mp4 --keep-state new.mp4",
        "generate ball -o new.mp4 --keep-state new.mp4.json",
        "generate ball -o new/ --sheet new/sheet.png",
        "interpolate a.mp4 --by blend -o new.webp --sheet new.webp",
        "control a.mp4 --kind edge -o new.mp4 --preview new.mp4",
        f"mask a.mp4 {BOX} -o new.mp4 --preview new.mp4",
        f"remove a.mp4 {BOX} -o new.webp --sheet new.webp",
    ],
)
def test_two_outputs_in_one(there, command):
    (there / "new").mkdir()
    before = state(there)
    done = run(*command.split())
    assert done.exit_code == 2, done.output
    assert "itself" in done.output
    assert state(there) == before


def test_other_names_go_on(there):
    """Not refused: work would begin, or does."""
    for command in (
        "generate ball --anyway --image p.png -o new.mp4 --sheet r.png",
        "remove a.mp4 --anyway --fill generate --box 4,4,12,12 -o c.mp4",
    ):
        with pytest.raises(AssertionError, match="work was begun"):
            run(*command.split())


def test_rerun(there):
    shutil.copy("a.mp4", "copy.mp4")
    request = kinema.Request(prompt="a red ball", seed=1, frames=5, conditions=(kinema.Image(image="p.png"),))
    from kinema.engine.manifest import manifest
    from kinema.weights.store import digests, find, locate

    note = manifest(plan(request, device="cpu"), digests(locate(find("kinema-mini-wan"))), "cpu")
    write([Chunk(np.zeros((5, 32, 32, 3), np.uint8), 0, 12.0)], "made.mp4", manifest=note)
    before = state(there)
    for command in ("rerun made.mp4 -o made.mp4", "rerun made.mp4 -o new.mp4 --sheet p.png"):
        done = run(*command.split())
        assert done.exit_code == 2, done.output
        assert "is an input" in done.output
    assert state(there) == before


def test_clips_in_python(there):
    request = kinema.Request(
        prompt="a red ball",
        seed=1,
        frames=5,
        conditions=(kinema.Image(image="p.png"), kinema.Style(adapter="lora.png")),
    )
    found = plan(request.changed(conditions=request.conditions[:1]), device="cpu")
    clip = Clip(found, lambda _told: (_ for _ in ()).throw(AssertionError("work was begun")), dict)
    with pytest.raises(RequestError, match=r"p\.png is an input"):
        clip.save("here/p.png")
    assert {"p.png", "lora.png", "kinema-mini-wan"} <= set(named(request))
    keep_apart({"output": "fine.png"}, named(request))
    with pytest.raises(RequestError, match=r"lora\.png is an input"):
        keep_apart({"output": "lora.png"}, named(request))
    other = request.changed(model="./film", options={"base": "b.mp4"}, upscale={"by": "./m.mp4"})
    assert {"./film", "b.mp4", "./m.mp4"} <= set(named(other))


def test_names_by_where_they_lead(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "x.png").write_bytes(b"x")
    for name in (f"file://{tmp_path}/a%20b/x.png", str(folder / ".." / "a b" / "x.png")):
        with pytest.raises(RequestError):
            keep_apart({"output": folder / "x.png"}, [name])
    keep_apart(
        {"output": folder / "x.png"}, [None, "data:image/png;base64,eA==", "https://x/x.png", "no/x.png", "a\0b"]
    )
    keep_apart({"output": tmp_path / "a bc.png"}, [str(folder)])
    keep_apart({"output": folder / "y.png"}, [str(folder)])


@pytest.mark.parametrize("name", ["a\0.mp4", "b" * 260 + ".mp4", "\N{SNOWMAN}" * 90 + ".mp4", "x" * 300 + "/a.mp4"])
def test_names_that_no_file_has(there, name):
    with pytest.raises(RequestError):
        check_name(name)
    with pytest.raises(RequestError):
        write([Chunk(np.zeros((1, 16, 16, 3), np.uint8), 0, 12.0)], name)
    for command in (
        "generate ball -o",
        "interpolate a.mp4 --by blend -o",
        "score a.mp4 -o",
        "generate ball --anyway --sheet",
    ):
        done = run(*command.split(), name.replace(".mp4", ".png") if command.endswith("sheet") else name)
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
