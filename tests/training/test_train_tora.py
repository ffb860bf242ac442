"""`kinema train tora`: clips are measured and dropped with reasons, both stages train, and the folder generates."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rehearsal import by_steps
from safetensors import safe_open
from small_tora import SIDE, tiny
from test_train_command import environment
from typer.testing import CliRunner

import kinema
from kinema.cli.main import app
from kinema.core.chunk import Chunk
from kinema.core.conditions import Trajectory
from kinema.features import flow as optical_flow
from kinema.media.write import write
from kinema.training.core.checkpoints import read
from kinema.training.core.settings import Settings
from kinema.training.data import curate, own_clips
from kinema.training.recipes._tora_options import ToraOptions
from kinema.training.tasks.tora import ToraTask
from kinema.weights import store


def clip(path: Path, kind: str, frames: int = 9) -> Path:
    """A patch that crosses a textured ground, or the ground under a moving camera, or nothing that moves."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.uniform(0, 255, (128, 128, 3)).astype(np.float32), (0, 0), 2)
    ground = np.clip((ground - 128) * 4 + 128, 0, 255).astype(np.uint8)
    pixels = np.stack([ground[:64, :64]] * frames)
    for f in range(frames):
        if kind == "pan":
            pixels[f] = ground[10 : 10 + 64, 3 * f : 3 * f + 64]
        elif kind == "patch":
            pixels[f, 24:40, 4 + 3 * f : 20 + 3 * f] = ground[80:96, 80:96]
    path.parent.mkdir(parents=True, exist_ok=True)
    write([Chunk(pixels, 0, 8.0)], path)
    path.with_suffix(".txt").write_text(tiny.PROMPT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("clips")
    for name in ("patch", "pan", "still"):
        clip(place / f"{name}.mp4", name)
    (place / "broken.mp4").write_bytes(b"no clip")
    return place


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of a tiny model in a layout."""
    made: dict[str, Path] = {}

    def find(layout: str) -> Path:
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp("models") / layout
            tiny.pipeline(layout).save_pretrained(made[layout])
        return made[layout]

    return find


def tensors(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def test_the_command_trains_a_folder_that_generates(folder, base, tmp_path):
    """From a person's clips: only the one whose object moves is trained on. Nothing of the base is changed."""
    model, out = base("5b"), tmp_path / "out"
    shown = by_steps("tora", out, "--data", str(folder), "--set", f"model={model}", "--set", "samples=1", steps=2)
    assert "1 clips kept for their motion, 2 dropped" in shown and "dropped: still.mp4: hardly moves" in shown
    assert "dropped: pan.mp4: the camera moves" in shown and "refused: broken.mp4" in shown
    assert "kept: patch.mp4: flow score" in (out / "motion.txt").read_text()
    record = json.loads((out / "stages.json").read_text())
    assert record["motion"]["clips"] == 1 and record["motion"]["dropped"] == 2
    digests = {record[stage][name] for stage in ("dense", "sparse") for name in ("frozen_before", "frozen_after")}
    assert len(digests) == 1 and record["dense"]["step"] == record["sparse"]["step"] == 2
    assert len(list((out / "sheets").glob("*.png"))) == 2

    trained = tensors(next((out / "model" / "transformer").glob("*.safetensors")))
    own = tensors(next((model / "transformer").glob("*.safetensors")))
    added = {name for name in trained if name not in own}
    assert {name.split(".")[0] for name in added} == {"fuser", "traj_extractor"}
    assert "fuser.1.flow_gamma_temporal.weight" in added and "traj_extractor.body.3.block2.weight" in added
    assert all(torch.equal(trained[name], tensor) for name, tensor in own.items())
    assert trained["fuser.0.flow_beta_temporal.weight"].any(), "the parts are trained"
    ends = [read(out / f"{stage}.pt")["traj_extractor.conv_in.weight"] for stage in ("dense", "sparse")]
    assert not torch.equal(*ends), "the sparse stage goes on from the dense one"

    given = {"model": str(out / "model"), "width": SIDE, "height": SIDE, "frames": 9, "steps": 2, "seed": 1}
    paths = [((0.2, 0.5), (0.8, 0.5)), ((0.5, 0.8), (0.5, 0.2))]
    one, again, other = (
        kinema.generate(tiny.PROMPT, conditions=[Trajectory(points=path)], **given).frames()
        for path in (paths[0], *paths)
    )
    assert one.shape == (9, SIDE, SIDE, 3) and np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.parametrize("layout", ["2b", "5b-i2v", "1.5", "1.5-i2v"])
def test_every_layout_from_toyland(base, tmp_path, layout):
    """Also image models, and those with patches in time."""
    out = tmp_path / "out"
    settings = (f"model={base(layout)}", "clips=2", "samples=1", "frames=9", "camera=keep", "least_flow=0")
    by_steps("tora", out, *(part for each in settings for part in ("--set", each)), steps=1)
    assert (out / "model" / "model_index.json").is_file() and len(list((out / "sheets").glob("*.png"))) == 2
    assert "trajectory" in store.recognise(out / "model").accepts


def test_one_stage_another_fuser_and_compression(base, tmp_path):
    """The ablation's parts are written, but no folder, since nothing generates from them."""
    out = tmp_path / "out"
    settings = (
        f"model={base('5b')}", "clips=2", "samples=0", "stages=sparse", "fuser=cross_attention", "compression=pool",
        "optimizer=muon", "checkpointing=on", "camera=keep", "least_flow=0",
    )  # fmt: skip
    shown = by_steps("tora", out, *(part for each in settings for part in ("--set", each)), steps=2)
    assert not (out / "model").exists() and not (out / "dense.pt").exists() and "for the ablation" in shown
    names = tensors(out / "guidance.safetensors")
    assert names["traj_extractor.conv_in.weight"].shape[1] == 12, "three channels in patches of four"
    assert any("to_q" in name for name in names)


def test_a_tora_model_is_trained_on(base, tmp_path):
    """Training starts from the parts of a model that has them, unless start=new."""
    first, settings = tmp_path / "first", ("clips=2", "samples=0", "camera=keep", "least_flow=0", "stages=sparse")
    given = [part for each in settings for part in ("--set", each)]
    by_steps("tora", first, *given, "--set", f"model={base('5b')}", "--set", "lr=0.05", steps=2)
    starts = {}
    for start in ("model", "new"):
        out = tmp_path / start
        more = ("--set", f"model={first / 'model'}", "--set", f"start={start}", "--set", "lr=1e-7")
        by_steps("tora", out, *given, *more, steps=1)
        starts[start] = read(out / "sparse.pt")["fuser.0.flow_beta_temporal.weight"]
    trained = read(first / "sparse.pt")["fuser.0.flow_beta_temporal.weight"]
    assert (starts["model"] - trained).abs().max() < 1e-3 < trained.abs().max()
    assert starts["new"].abs().max() < 1e-3


def test_ctrl_c_keeps_a_checkpoint_and_resume_continues(base, tmp_path, monkeypatch):
    out = tmp_path / "out"
    settings = (f"model={base('5b')}", "clips=2", "samples=0", "steps=4", "camera=keep", "least_flow=0")
    given = ["train", "tora", "--out", str(out), *(part for each in settings for part in ("--set", each))]
    loss = ToraTask.loss

    def interrupted(self, step, progress, generator):
        if (self.stage, step) == ("sparse", 1):
            signal.raise_signal(signal.SIGINT)
        return loss(self, step, progress, generator)

    monkeypatch.setattr(ToraTask, "loss", interrupted)
    done = CliRunner().invoke(app, [*given, "--minutes", "3"])
    assert done.exit_code == 130 and not (out / "model").exists(), done.output
    assert read(out / "sparse" / "checkpoint.pt")["step"] == 2
    monkeypatch.setattr(ToraTask, "loss", loss)
    done = CliRunner().invoke(app, ["train", "tora", "--out", str(out), "--resume"])
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in (out / "sparse" / "events.jsonl").read_text().splitlines()]
    assert events[-1]["step"] == 4 and (out / "model" / "model_index.json").is_file()
    assert json.loads((out / "stages.json").read_text())["sparse"]["step"] == 4


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (("model=kinema-mini-wan",), "belong to CogVideoX models; kinema-mini-wan is of the family wan"),
        (("steps=0",), "steps must be 1 to 1,?000,?000, got 0"),
        (("fuser=concat",), "fuser must be one of adaptive_norm, extra_channels, cross_attention, got 'concat'"),
        (("stages=sparse+dense",), "stages must be one of dense\\+sparse, dense, sparse"),
        (("points=17x",), "points must be a number, got '17x'"),
        (("rank=4",), "No such setting: rank"),
        (("flow=raft",), "requires raft_weights=FILE"),
        (("model=BASE", "frames=10"), "frames = 10: .* nearest is 9"),
    ],
)
def test_illegal_settings_are_refused_before_anything_is_loaded(base, tmp_path, settings, why):
    options = dict(each.replace("BASE", str(base("5b"))).split("=", 1) for each in settings)
    with pytest.raises(ValueError, match=why):
        ToraOptions(Settings(out=tmp_path, options=options))


def test_refusals_do_not_import_torch(tmp_path):
    code = (
        "import sys; sys.argv = ['kinema', 'train', 'tora', '--out', sys.argv[1], '--set', 'model=kinema-mini-wan']\n"
        "from kinema.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as error: print(error.code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    assert done.stdout.split()[-2:] == ["2", "False"] and "of the family wan" in done.stdout + done.stderr


# -- curation ----------------------------------------------------------------------------------------------------------


def test_clips_are_measured_once(folder, tmp_path):
    items = own_clips.find(folder, tmp_path / "unpacked", frames=9, fps=8.0).items
    calls = []

    def estimate(frames_FHWC):
        calls.append(len(frames_FHWC))
        return optical_flow.dis(frames_FHWC)

    given = {"frames": 9, "fps": 8.0, "method": "dis", "least": 0.1}
    first = curate.curate(items, estimate, tmp_path, **given)
    assert len(calls) == 3 and [items[number].path.name for number in first.kept] == ["patch.mp4"]
    assert 0 < first.weight(first.kept[0]) < 1
    again = curate.curate(items, estimate, tmp_path, **given)
    assert len(calls) == 3 and again.motion == first.motion and again.dropped == first.dropped
    kept = curate.curate(items, estimate, tmp_path, **{**given, "least": 0.0}, camera=False)
    assert len(kept.kept) == 3 and len(calls) == 3, "other limits need no new measurement"
    curate.curate(items, estimate, tmp_path, **{**given, "method": "raft"})
    assert len(calls) == 6, "another method does"
    (tmp_path / curate.FILE).write_text("{broken", encoding="utf-8")
    assert curate.curate(items, estimate, tmp_path, **given).motion == first.motion and len(calls) == 9


def test_nothing_left_is_an_error_with_a_remedy(folder, tmp_path):
    items = [
        each for each in own_clips.find(folder, tmp_path / "u", frames=9, fps=8.0).items if "pan" in each.path.name
    ]
    curated = curate.curate(items, optical_flow.dis, tmp_path, frames=9, fps=8.0, method="dis", least=0.1)
    with pytest.raises(ValueError, match=r"the camera moves.*camera=keep keeps moving cameras"):
        curated.report(tmp_path, lambda event: None)
