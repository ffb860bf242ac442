"""`kinema track`, `kinema path preview`, `kinema evaluate CLIP`, and their files as `--trajectory`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_tools import answer, run
from PIL import Image

from kinema.core.chunk import Chunk
from kinema.media.write import write
from kinema.toyland.palette import OBJECT_COLORS

SIDE, FRAMES = 96, 9


def clip_of(path: Path, centres_F2: np.ndarray, hidden: tuple[int, ...] = (), manifest: dict | None = None) -> str:
    """A clip of a textured square that moves on a calm background; centres in pixel indices."""
    patch = np.kron(np.random.default_rng(1).integers(0, 255, (7, 7, 3)), np.ones((5, 5, 1))).astype(np.uint8)
    frames = np.full((len(centres_F2), SIDE, SIDE, 3), (70, 110, 90), np.uint8)
    for index, (x, y) in enumerate(centres_F2.round().astype(int)):
        if index not in hidden:
            frames[index, y - 17 : y + 18, x - 17 : x + 18] = patch
    return str(write([Chunk(frames, 0, 8.0)], f"{path}/", manifest=manifest))


def line(frames: int = FRAMES) -> np.ndarray:
    return np.stack([np.linspace(24, 72, frames).round(), np.linspace(30, 54, frames).round()], 1)


def test_a_tracked_path_is_a_trajectory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = clip_of(tmp_path / "square", line())
    found = answer(run("track", clip, "--point", "24,30", "--preview", "over.png", "--json"))
    assert found["path"] == "square-path.json" and found["tracker"] == "lk" and found["frames"] == FRAMES
    assert found["objects"] == [
        {"start": {"click": [24.5 / SIDE, 30.5 / SIDE]}, "seen_frames": FRAMES, "lost": [], "found_again": True}
    ]
    assert Image.open("over.png").size[0] > SIDE
    planned = answer(run("plan", "a red ball", "--trajectory", "square-path.json", "--json"))
    points = next(each for each in planned["conditions"] if each["kind"] == "trajectory")["points"]
    np.testing.assert_allclose(points, (line() + 0.5) / SIDE, atol=0.5 / SIDE)


def test_hidden_frames_are_left_out_and_a_lost_object_is_an_exit_code(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = clip_of(tmp_path / "hidden", line(17), hidden=(7, 8))
    result = run("track", clip, "--point", "24,30", "-o", "a.json")
    assert result.exit_code == 0 and "Out of sight from frame 7 to 8 (0.9 s), found again on frame 9." in result.stderr
    (path,) = json.loads(Path("a.json").read_text())["paths"]
    assert len(path["points"]) == len(path["times"]) == 15 and path["times"][7] == 9 / 16
    lost = clip_of(tmp_path / "lost", line(17), hidden=tuple(range(9, 17)))
    result = run("track", lost, "--point", "24,30", "-o", "b.json", "--json")
    assert result.exit_code == 3 and answer(result)["objects"][0]["lost"] == [[9, 16]]
    assert run("track", lost, "--point", "24,30", "-o", "b.json", "--anyway").exit_code == 0


def test_what_track_refuses(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = clip_of(tmp_path / "square", line(3))
    one = clip_of(tmp_path / "one", line(3)[:1])
    for words, message in (
        ([clip], "0 objects to track"), ([clip, "--point", "200,10"], "--point 200,10: outside the frame"),
        ([clip, "--point", "0.9,0.9"], "without details"), ([clip, "--point", "24,30", "-o", "a.txt"], "a.json"),
        ([one, "--point", "24,30"], "two or more frames"), (["none.mp4", "--point", "1,1"], "no such file"),
    ):  # fmt: skip
        result = run("track", *words, "--json")
        assert result.exit_code in (1, 2) and message in answer(result)["message"], result.output
        assert not list(tmp_path.glob("*path*.json"))


def test_a_preview_shows_what_is_followed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(json.dumps({"paths": [
        {"points": [[0.1, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.9, 0.5]], "color": [255, 0, 0]},
        [[0.5, 0.2], [1.2, 0.2]],
    ]}))  # fmt: skip
    Path("b.txt").write_text("10,10\n100,100\n")
    result = run("path", "preview", "a.json", "--size", "200x100", "--frames", "9", "-o", "sheet.png", "--json")
    found = answer(result)
    assert [len(each["positions"]) for each in found["paths"]] == [9, 9]
    assert found["paths"][0]["rests"] == [[2, 6]] and found["paths"][0]["positions"][4] == [100, 50]
    assert found["paths"][1]["outside"] == 1 and found["paths"][1]["positions"][-1] == [200, 20]
    picture = np.asarray(Image.open("sheet.png").convert("RGB")).astype(int)
    red = np.abs(picture - (255, 0, 0)).sum(-1) < 60
    assert red.sum() > 100, "the path has the colour of its object"
    from kinema.conditions import path_preview

    captions: list[str] = []
    with monkeypatch.context() as patch:
        original = path_preview.sheet
        patch.setattr(path_preview, "sheet", lambda *a: (captions.append(a[3]), original(*a))[1])
        run("path", "preview", "a.json", "b.txt", "-o", "sheet.png")
    assert captions[0].startswith("a.json, b.txt: 5 points, 2 points, 2 points")
    said = run("path", "preview", "a.json", "-o", "sheet.png")
    assert "rests in frames" in said.stdout and "Path 2 leaves the frame (1 of 2 points" in said.stderr
    for words, message in ((["a.json", "--frames", "0"], "frames = 0"), (["a.json", "-o", "a.mp4"], "a.png"),
                           (["b.json"], "no such file"), (["a.json", "--size", "9"], "WIDTHxHEIGHT")):  # fmt: skip
        assert message in answer(run("path", "preview", *words, "--json"))["message"]


def test_a_clip_is_judged_against_its_path(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    off = line() + np.stack([np.zeros(FRAMES), np.linspace(0, 8, FRAMES)], 1)
    Path("right.json").write_text(json.dumps({"size": [SIDE, SIDE], "points": (line() + 0.5).tolist()}))
    Path("near.json").write_text(json.dumps({"size": [SIDE, SIDE], "points": (off + 0.5).tolist()}))
    clip = clip_of(tmp_path / "square", line())
    found = {}
    for name in ("right", "near"):
        words = ("evaluate", clip, "--metrics", "trajectory_error", "--trajectory", f"{name}.json", "--json")
        found[name] = answer(run(*words))["metrics"]["trajectory_error"]
        assert found[name]["tracker"] == "lk" and found[name]["seen"] == 100
    assert found["right"]["error_px"] < 0.6
    assert found["near"]["error_px"] == pytest.approx(4, abs=0.6)
    assert found["near"]["value"] == pytest.approx(found["near"]["error_px"] / SIDE * 100, abs=0.01)
    # the option first, and the word `clip`
    again = answer(run("evaluate", "--trajectory", "near.json", clip, "--json"))
    assert again["metrics"]["trajectory_error"] == found["near"]
    said = run("evaluate", "clip", clip, "--trajectory", "near.json").stdout
    assert "trajectory_error: 4." in said and "(tracker: lk)" in said


def test_what_evaluating_a_clip_refuses(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = clip_of(tmp_path / "square", line(3))
    Path("a.json").write_text("[[0.25, 0.3], [0.5, 0.4]]")
    for words, message in (
        ([clip], "its manifest requests no path"), ([clip, "--metrics", "fvd"], "fvd compares with other clips"),
        ([clip, "--metrics", "trajectory_eror"], "trajectory_error"), (["none.mp4"], "no such file"),
        ([clip, "--tracker", "eye"], "No tracker 'eye'"),
        ([clip, "--tracker", "probes", "--trajectory", "a.json"], "does not look like Toyland"),
        (["minature"], "No such command 'minature'"),
    ):  # fmt: skip
        result = run("evaluate", *words, "--json")
        assert result.exit_code == 2, result.output
        assert message in result.output


def test_toyland_clips_are_judged_by_the_probes(tmp_path: Path, monkeypatch) -> None:
    """Two objects, told apart by their names: exact renders are near their paths, and far from the swapped ones."""
    from dataclasses import replace

    import kinema
    from kinema.evaluation import path_error
    from kinema.evaluation.cases import ClipShape, cases
    from kinema.evaluation.judged_clip import judged
    from kinema.toyland.scene import WORLD_SMALL

    world = replace(WORLD_SMALL, two_actors=1.0, moving_camera=0.0, styles=("flat",), weathers=("none",))
    apart = lambda scene: len({a.color for a in scene.actors}) == 2  # noqa: E731
    (case,) = cases(world, 1, ClipShape(9, 64, 64, 8.0), apart, first=20_600_000)
    paths = [
        {"kind": "trajectory", "points": case.path_F2(slot).clip(-0.4, 1.4).tolist(),
         "object": f"{actor.color} {actor.kind}", "color": list(OBJECT_COLORS[actor.color])}
        for slot, actor in enumerate(case.scene.actors)
    ]  # fmt: skip
    errors = {}
    for name, order in (
        ("right", paths),
        ("swapped", [p | {"points": q["points"]} for p, q in zip(paths, paths[::-1])]),
    ):
        plan = kinema.plan("x", conditions=order, frames=9, seed=1)
        manifest = {"kinema": "0", "plan": plan.model_dump(mode="json")}
        clip = str(write([Chunk(case.frames_FHWC, 0, 8.0)], f"{tmp_path / name}/", manifest=manifest))
        found = path_error.measure(judged(Path(clip)))
        assert found["tracker"] == "probes" and [o["object"] for o in found["objects"]] == [p["object"] for p in paths]
        errors[name] = found["value"]
    assert errors["right"] < 5 and errors["swapped"] > 3 * errors["right"], errors
