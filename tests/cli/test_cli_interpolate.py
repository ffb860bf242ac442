"""`kinema interpolate`, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_tools import answer, run

from kinema.core.chunk import Chunk
from kinema.media.manifest import read_manifest
from kinema.media.read import probe, read_audio, read_video
from kinema.media.write import write


def clip(name: str = "clip.mp4", sound: bool = True, manifest: dict | None = None) -> str:
    y, x = np.mgrid[:48, :64]
    frames = [(128 + 100 * np.sin((x + 3 * k) / 6) * np.cos(y / 9))[..., None].repeat(3, -1) for k in range(9)]
    tone = np.sin(np.arange(9 * 6000) / 20).astype(np.float32)[:, None] * 0.3
    write([Chunk(np.stack(frames).astype(np.uint8), 0, 8.0, tone if sound else None)], name, manifest=manifest)
    return name


def test_a_clip_becomes_smoother():
    found = answer(run("interpolate", clip(manifest={"prompt": "waves"}), "--fps", "24", "--json"))
    assert found["path"] == "clip-24fps.mp4" and found["frames"] == 27 and found["length_s"] == 1.125
    assert found["by"] == "film" and list(found["weights"]) == ["model.safetensors"] and found["sound"] == "kept"
    info = probe("clip-24fps.mp4")
    assert (info.num_frames, info.fps, info.width, info.height, info.has_audio) == (27, 24, 64, 48, True)
    before, after = read_audio("clip.mp4"), read_audio("clip-24fps.mp4")
    assert len(after) == pytest.approx(len(before), abs=2048) and np.abs(after).max() == pytest.approx(0.3, abs=0.05)
    note = read_manifest("clip-24fps.mp4")
    assert note["prompt"] == "waves" and note["interpolated"]["from_fps"] == 8
    assert note["interpolated"]["weights"] == found["weights"]


def test_slow_motion_other_ways_and_words():
    result = run("interpolate", clip(), "--slow", "2", "--by", "blend")
    assert result.exit_code == 0 and "clip-slow2.mp4" in result.stdout and "sound is left out" in result.stdout
    info = probe("clip-slow2.mp4")
    assert (info.num_frames, info.fps, info.has_audio) == (18, 8, False)
    assert run("interpolate", "clip.mp4", "--by", "mci", "-o", "frames/", "--sheet", "sheet.png").exit_code == 0
    assert read_video("frames")[0].shape == (18, 48, 64, 3) and Path("sheet.png").stat().st_size > 1000


def test_what_an_interpolated_clip_tells():
    run("interpolate", clip(sound=False), "--by", "blend", "-o", "smooth.mp4")
    found = answer(run("inspect", "smooth.mp4", "--json"))
    assert found["manifest"] is None and found["interpolated"]["clip"] == "clip.mp4"
    assert "Interpolated" in run("inspect", "smooth.mp4").stdout
    assert not set("{}[]'_") & set(run("inspect", "smooth.mp4").stdout)
    assert "No manifest" in run("inspect", "clip.mp4").stdout
    assert run("rerun", "smooth.mp4").exit_code == 2


def test_a_generated_clip_keeps_its_manifest_and_is_not_run_again():
    import kinema
    from kinema.core.plan import Manifest

    plan = kinema.plan("a red ball rolls left", model="kinema-mini-wan", seed=1, frames=5)
    clip("ball.mp4", manifest=Manifest(kinema="0.1.0", plan=plan).model_dump(mode="json"))
    run("interpolate", "ball.mp4", "--by", "blend", "-o", "smooth.mp4")
    found = answer(run("inspect", "smooth.mp4", "--json"))
    assert found["manifest"]["plan"]["prompt"] == "a red ball rolls left" and found["interpolated"]["by"] == "blend"
    result = run("rerun", "smooth.mp4")
    assert result.exit_code == 2 and "interpolated from ball.mp4" in result.stderr


@pytest.mark.parametrize(
    ("more", "word"),
    [(("--fps", "0"), "fps"), (("--by", "magic"), "by"), (("--fps", "9", "--times", "2"), "times"),
     (("-o", "clip.xyz"), "output"), (("-o", "clip.mp4"), "output"), (("--slow", "0.5"), "slow")],
)  # fmt: skip
def test_refuses(more, word):
    before = Path(clip()).read_bytes()
    result = run("interpolate", "clip.mp4", "--json", *more)
    assert result.exit_code == 2 and json.loads(result.stdout)["field"] == word
    assert Path("clip.mp4").read_bytes() == before


def test_missing_things():
    assert run("interpolate", "nothing.mp4").exit_code == 2
    result = run("interpolate", clip(), "--model", "nothing.pt")
    assert result.exit_code == 2 and "no such file" in result.stderr
    assert sorted(path.name for path in Path().glob("*nothing*")) == []
