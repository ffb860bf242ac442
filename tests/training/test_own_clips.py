"""The user's own clips: found with their captions, refused with reasons, encoded once, trained on by the command."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rehearsal import HOW, by_steps, by_the_clock
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.core.chunk import Chunk
from kinema.media.write import write
from kinema.training.core.stages import Settings
from kinema.training.data import buckets, own_clips
from kinema.training.recipes._lora_options import LoraOptions
from kinema.training.recipes._lora_work import Lora
from kinema.weights import adapters
from kinema.weights.adapter_writer import DIALECTS
from kinema.weights.adapter_writer import write as write_adapter


def clip(path: Path, *, frames: int = 12, size: tuple[int, int] = (48, 64), fps: float = 8.0, tone: int = 90) -> Path:
    """Write a clip of a bright square that moves right."""
    pixels = np.full((frames, *size, 3), tone, np.uint8)
    for number in range(frames):
        pixels[number, 10:30, 2 + 2 * number : 20 + 2 * number] = 230
    write([Chunk(pixels, 0, fps)], path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("clips")
    clip(place / "a.mp4")
    (place / "a.txt").write_text("a square goes right\n", encoding="utf-8")
    clip(place / "b.mp4", size=(64, 48))
    clip(place / "c.mp4", frames=40)
    clip(place / "short.mp4", frames=3)
    (place / "broken.mp4").write_bytes(b"not a video")
    (place / "metadata.csv").write_text("file_name,text\nb.mp4,a tall one\ngone.mp4,lost\n", encoding="utf-8")
    (place / "metadata.jsonl").write_text(
        '{"video": "c.mp4", "caption": "a long one"}\n{"text": "no file"}\nnonsense\n'
    )
    inside = clip(tmp_path_factory.mktemp("one") / "d.mp4", fps=16.0, frames=24).read_bytes()
    with tarfile.open(place / "shard-000.tar", "w") as tar:
        for name, content in (("x/d.mp4", inside), ("x/d.json", b'{"caption": "from a shard"}'), ("../e.exe", b"no")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return place


@pytest.fixture(scope="module")
def found(folder, tmp_path_factory):
    return own_clips.find(folder, tmp_path_factory.mktemp("unpacked"), frames=8, fps=8.0)


def test_all_ways_to_say_what_is_in_a_clip(found):
    assert {item.path.name: item.caption for item in found.items} == {
        "a.mp4": "a square goes right", "b.mp4": "a tall one", "c.mp4": "a long one", "x_d.mp4": "from a shard",
    }  # fmt: skip


def test_what_is_not_used_is_named_with_its_reason(found):
    reasons = dict(found.refused)
    assert reasons["shard-000.tar: ../e.exe"] == "unknown ending .exe"
    assert "lasts 0.38 s; 8 frames at 8 fps need 0.88 s" in reasons["short.mp4"]
    assert "broken.mp4" in reasons and reasons["gone.mp4"].endswith("but missing")
    assert reasons["metadata.jsonl, row 2"] == "no file_name" and "metadata.jsonl, row 3" in reasons
    told = "\n".join(found.lines())
    assert "4 clips" in told and "64x48 (3)" in told and "48x64 (1)" in told and told.count("refused:") == 6
    with pytest.raises(ValueError, match="No such folder: nowhere"):
        own_clips.find(Path("nowhere"), Path("x"), frames=8, fps=8.0)


def test_buckets_by_shape_and_windows_by_time(found, tmp_path):
    seen = []

    def encode(frames_FHWC):
        seen.append(frames_FHWC)
        return torch.from_numpy(frames_FHWC[:, ::8, ::8]).permute(0, 3, 1, 2).float() / 255

    settings = {"frames": 8, "fps": 8.0, "area": 64 * 48, "multiple": 16, "encoder_id": "test"}
    made = buckets.fill(found.items, encode, tmp_path, **settings)
    assert [(each.height, each.width) for each in made] == [(48, 64), (64, 48)]
    numbers = [found.items[number].path.name for number in made[0].item.tolist()]
    assert sorted(numbers) == ["a.mp4"] + 5 * ["c.mp4"] + ["x_d.mp4"], "40 frames are five windows of eight"
    fast = next(item for item in found.items if item.path.name == "x_d.mp4")
    assert buckets.windows(fast, 8, 8.0) == [[0, 2, 4, 6, 8, 10, 12, 14]], "every second frame of sixteen a second"

    count = len(seen)
    again = buckets.fill(found.items, encode, tmp_path, **settings)
    assert len(seen) == count and torch.equal(again[0].latents, made[0].latents), "encoded once"
    spoilt = next(tmp_path.glob("*.pt"))
    spoilt.write_bytes(spoilt.read_bytes()[:-9] + b"\0" * 9)
    buckets.fill(found.items, encode, tmp_path, **settings)
    assert len(seen) > count, "a damaged cache file is written again"
    buckets.fill(found.items, encode, tmp_path, **{**settings, "encoder_id": "another"})
    assert len(seen) >= 2 * count + 1, "another encoder has its own cache entries"


def test_a_few_clips_are_cut_several_ways(found, tmp_path):
    """The first crop is the whole clip; the others are regions of it, the same in all frames."""

    def encode(frames_FHWC):
        return torch.from_numpy(frames_FHWC).permute(0, 3, 1, 2).float() / 255

    one = next(item for item in found.items if item.path.name == "a.mp4")
    settings = {"frames": 8, "fps": 8.0, "area": 64 * 48, "multiple": 16, "encoder_id": "test"}
    (whole,) = buckets.fill([one], encode, tmp_path / "one", **settings)
    (several,) = buckets.fill([one], encode, tmp_path / "several", crops=4, **settings)
    (again,) = buckets.fill([one], encode, tmp_path / "again", crops=4, **settings)
    assert len(several) == 4 and several.item.tolist() == [0] * 4
    assert torch.equal(several.latents[0], whole.latents[0]) and torch.equal(several.latents, again.latents)
    for latents in several.latents[1:]:
        assert (latents - whole.latents[0]).abs().max() > 0.2
        still = latents[:, :, -4:].float()  # below the square nothing moves in any cut
        assert (still - still[:1]).abs().max() < 0.1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_comes_back(tmp_path, dialect):
    """A file in each dialect changes a network by its matrices."""
    from diffusers import MotionAdapter

    from kinema.families.animatediff import ADAPTER_NAMES

    torch.manual_seed(0)
    network = MotionAdapter(block_out_channels=(32, 32), motion_layers_per_block=1, motion_num_attention_heads=2,
                            motion_norm_num_groups=8, use_motion_mid_block=False)  # fmt: skip
    name = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_out.0"
    down, up = torch.randn(4, 32), torch.randn(32, 4)
    target = tmp_path / ("folder" if dialect == "peft" else "file.safetensors")
    file = write_adapter(target, {name: (down, up)}, alpha=2, dialect=dialect, base="tiny", trigger="whoosh",
                         names=ADAPTER_NAMES, dtype=torch.float32)  # fmt: skip
    layer, x = network.get_submodule(name), torch.randn(3, 32)
    with torch.no_grad():
        plain = layer(x)
        adapters.use(network, ((str(file), 0.5),), names=ADAPTER_NAMES)
        found = network.get_submodule(name)(x)
        assert (found - plain - 0.5 * (2 / 4) * x @ down.T @ up.T).abs().max() < 1e-4
        adapters.use(network, ())
        assert torch.equal(network.get_submodule(name)(x), plain)
    told = adapters.describe(file)
    assert told["dialect"] == {"comfyui": "original"}.get(dialect, dialect)
    assert (told["rank"], told["alpha"], told["base"], told["trigger"]) == (4, 2.0, "tiny", "whoosh")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("model", "more", "dialects"),
    [
        ("kinema-mini-animatediff", (), ("diffusers", "comfyui")),
        pytest.param("kinema-mini-zeroscope", ("frames=4",), ("kohya",), marks=pytest.mark.slow),
        ("kinema-mini-wan", ("accumulate=2", "frames=9", "checkpointing=on"), ("diffusers", "comfyui", "kohya")),
    ],
)
def test_the_command_trains_an_adapter_that_generate_takes(tmp_path, how, model, more, dialects):
    import kinema

    for number in range(3):
        clip(tmp_path / "mine" / f"{number}.mp4", frames=16, size=(64, 64), tone=60 + 40 * number)
        (tmp_path / "mine" / f"{number}.txt").write_text("a square", encoding="utf-8")
    out = tmp_path / "out"
    asked = (f"model={model}", "steps=2", "rank=4", "lr=0.05", f"dialect={'+'.join(dialects)}", "trigger=slide", *more)
    words = ("--data", str(tmp_path / "mine"), *(part for each in asked for part in ("--set", each)))
    if how == "steps":
        told = by_steps("lora", out, *words, "--set", "samples=1", "--set", "crops=1", steps=2)
    else:
        told = by_the_clock("lora", out, *words, minutes=0.2)
    assert "3 clips" in (out / "data.txt").read_text() and "3 clips" in told
    record = json.loads((out / "stages.json").read_text())
    assert record["train"]["step"] <= 2 and record["train"]["frozen_before"] == record["train"]["frozen_after"]
    found = adapters.describe(out / "lora.safetensors")
    assert (found["rank"], found["trigger"], found["base"]) == (4, "slide", model)
    assert [sheet.name for sheet in (out / "sheets").iterdir()] == [f"samples_{record['train']['step']:06d}.png"]

    engine = kinema.load(model, device="cpu")
    fields = {"frames": 5, "steps": 2, "seed": 1, "profile": "exact"}
    plain = engine.generate("a red ball", **fields).frames()
    made = []
    for number in range(len(dialects)):
        file = out / ("lora.safetensors" if number == 0 else f"lora.{dialects[number]}.safetensors")
        style = {"kind": "style", "adapter": str(file), "weight": 1.0}
        made.append(engine.generate("a red ball", conditions=[style], **fields).frames())
    assert (made[0] != plain).any(), "the adapter changes the clip"
    assert all(np.array_equal(made[0], other) for other in made[1:]), "all dialects give the same clip"


@pytest.mark.parametrize(("width", "rate"), [(64, 0.004), (9000, 1e-4)])
def test_the_rate_follows_the_size_of_the_network_that_is_there(tmp_path, width, rate):
    """A folder with a smaller network has the card of a published model; the network's size decides."""
    work = Lora(LoraOptions(Settings(out=tmp_path / "x", options={"data": str(tmp_path)})))
    work._learner = SimpleNamespace(network=torch.nn.Linear(width, width, device="meta"))
    assert work.lr == rate and work.wanted.still == 0.1 and work.wanted.drop == 0.5
    looks = LoraOptions(Settings(out=tmp_path / "x", options={"data": str(tmp_path), "where": "attentions."}))
    assert looks.still == 1.0 and looks.drop == 0.1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("--set", "rank=4"), "--data FOLDER"),
        (("--data", ".", "--set", "rank=0"), "rank must be 1 to 256"),
        (("--data", ".", "--set", "rank=many"), "rank must be a number"),
        (("--data", ".", "--set", "colour=red"), "No such setting: colour"),
        (("--data", ".", "--set", "dialect=latin"), "diffusers, peft, kohya, comfyui"),
        (
            ("--data", ".", "--set", "model=kinema-mini-wan", "--set", "frames=10"),
            "frames = 10: kinema-mini-wan takes 4n+1",
        ),
        (
            ("--data", ".", "--set", "model=kinema-mini-zeroscope", "--set", "checkpointing=on"),
            "does not support checkpointing",
        ),
        (("--data", ".", "--set", "still=0"), "still must be 0.001 to 1"),
        (("--data", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_refused_before_any_work(tmp_path, settings, words):
    refused = CliRunner().invoke(app, ["train", "lora", *settings, "--out", str(tmp_path / "x")])
    assert refused.exit_code == 2 and words in " ".join(refused.output.split())
    assert not (tmp_path / "x").exists()
