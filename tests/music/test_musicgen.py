"""MusicGen, on small models with random weights in the published classes: durations, continuation, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from musicgen_tools import RATE_HZ, STEPS_A_SECOND, save_tiny

from kinema import music
from kinema.core.errors import Cancelled, ModelError, RequestError, WeightsMissing
from kinema.core.events import Progress
from kinema.music import musicgen
from kinema.music.musicgen import chroma

TUNE = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000, dtype=np.float32)[:, None] * np.float32(0.5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("musicgen")
    return {
        "mono": save_tiny(home / "mono"), "stereo": save_tiny(home / "stereo", channels=2),
        "melody": save_tiny(home / "melody", melody=True),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_longer_than_a_pass_and_seeded(folders, kind):
    told: list[Progress] = []
    musician = musicgen.load(folders[kind], "cpu")
    assert (musician.rate_hz, musician.steps_a_second) == (RATE_HZ, STEPS_A_SECOND)

    def listen(event):
        if isinstance(event, Progress):
            told.append(event)

    def made(seed, on_event=lambda _event: None):
        melody = TUNE if kind == "melody" else None
        return musicgen.generate("calm", 4.2, seed, musician, melody=melody, pass_s=2, overlap_s=0.5, on_event=on_event)

    one = made(3, listen)
    assert one.samples.shape == (round(4.2 * 48000), 2)
    assert not one.procedural and one.details["model"] == folders[kind]
    assert np.isfinite(one.samples).all() and one.samples.std() > 1e-4
    assert np.array_equal(one.samples, made(3).samples)
    assert not np.array_equal(one.samples, made(4).samples)
    assert (one.samples[:, 0] != one.samples[:, 1]).any() == (kind == "stereo")
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done == told[-1].total == round(4.2 * STEPS_A_SECOND)


def test_a_pass_begins_with_what_the_last_one_ended_with(folders, monkeypatch):
    """The decoded tokens start with those of the re-encoded overlap, with left and right alternating."""
    import torch

    musician = musicgen.load(folders["stereo"], "cpu")
    decoded, prompts = [], []
    decode, codes = musician.network.audio_encoder.decode, musicgen._codes
    monkeypatch.setattr(
        musician.network.audio_encoder,
        "decode",
        lambda given, **how: (decoded.append(given.clone()), decode(given, **how))[1],
    )
    monkeypatch.setattr(musicgen, "_codes", lambda *given: (prompts.append(codes(*given)), prompts[-1])[1])
    musicgen.generate("calm", 3, 1, musician, pass_s=2, overlap_s=0.5)
    assert len(prompts) == 1 and prompts[0].shape == (4, 25)
    left, right = decoded[2][0, 0], decoded[3][0, 0]
    assert torch.equal(left[:, :25], prompts[0][::2]) and torch.equal(right[:, :25], prompts[0][1::2])


def test_by_name_through_make(folders):
    track = music.make("calm bells", 1.0, 5, model=folders["mono"], device="cpu")
    assert track.seconds == 1.0 and not track.procedural
    assert track.bar_s is None


def test_a_tune_becomes_pitch_classes():
    notes = np.concatenate([np.sin(2 * np.pi * hz * np.arange(64_000) / 32_000) for hz in (440.0, 523.25)])
    found = chroma(notes.astype(np.float32), 32_000)[0].argmax(-1).tolist()
    assert found[2] == 9 and found[-3] == 0  # A, then C


def test_refusals_come_before_weights(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(musicgen, "load", lambda *_: pytest.fail("weights were loaded"))
    with pytest.raises(RequestError, match="does not support a melody"):
        music.make("calm", 5, 1, model=folders["mono"], melody=TUNE)
    with pytest.raises(RequestError, match="does not support a melody"):
        music.make("calm", 5, 1, melody=TUNE, sound="own")
    with pytest.raises(RequestError, match="theme is empty"):
        music.make(" ", 5, 1, model=folders["mono"])
    with pytest.raises(RequestError, match="seconds"):
        music.make("calm", 0.1, 1, model=folders["mono"])
    with pytest.raises(RequestError, match="out of range"):
        musicgen.generate("calm", 5, 1, folders["mono"], pass_s=5, overlap_s=5)
    with pytest.raises(WeightsMissing, match="kinema models pull"):
        music.make("calm", 5, 1, model="nobody/no-such-model")
    with pytest.raises(ModelError, match="no such folder"):
        music.make("calm", 5, 1, model=str(tmp_path / "nothing"))
    (tmp_path / "other").mkdir()
    with pytest.raises(ModelError, match="not a MusicGen model"):
        music.make("calm", 5, 1, model=str(tmp_path / "other"))
    (tmp_path / "other" / "config.json").write_text('{"model_type": "musicgen"}')
    with pytest.raises(WeightsMissing, match="safetensors"):
        music.make("calm", 5, 1, model=str(tmp_path / "other"))


def test_it_can_be_stopped(folders):
    def stop(event):
        if isinstance(event, Progress) and event.done > 5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        music.make("calm", 5, 1, model=folders["mono"], device="cpu", on_event=stop)


def test_python_in_the_folder_is_not_run(tmp_path, monkeypatch):
    """transformers would ask on standard input whether to run it; Kinema never asks."""
    import builtins
    import contextlib
    import json

    name = save_tiny(tmp_path / "evil")
    (tmp_path / "evil" / "evil.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('MARK').write_text('ran')\nclass Evil: pass\n"
    )
    for file, table in (
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.Evil", None]}),
        ("config.json", {"AutoConfig": "evil.Evil"}),
    ):
        known = json.loads((tmp_path / "evil" / file).read_text())
        known |= {"auto_map": table} | ({"tokenizer_class": "Evil"} if "tokenizer" in file else {})
        (tmp_path / "evil" / file).write_text(json.dumps(known))
    asked = []
    monkeypatch.setattr(builtins, "input", lambda *words: asked.append(words) or "y")
    with contextlib.suppress(ModelError):
        musicgen.load(name, "cpu")
    assert not asked
    assert not list(tmp_path.rglob("MARK"))
