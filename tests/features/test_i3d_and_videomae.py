"""The encoders of published networks, on small ones in their layout."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from kinema.core.errors import ModelError, WeightsMissing
from kinema.features import i3d_torchscript, published_checks
from kinema.features.i3d_torchscript import TorchScriptI3d
from kinema.features.video_encoder import video_encoder
from kinema.weights import published_files


class SmallI3d(nn.Module):
    """With the arguments of the published file; what the arguments did is in the first logits."""

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False):
        low, high = x.float().min(), x.float().max()
        y = x.float()
        if rescale:
            y = y / 127.5 - 1.0
        found = torch.zeros(x.shape[0], 400, dtype=torch.float32)
        found[:, 0] = y.mean([1, 2, 3, 4])
        found[:, 1] = y[:, 0].mean([1, 2, 3])
        found[:, 2], found[:, 3] = low, high
        found[:, 4], found[:, 5] = float(rescale), float(resize)
        found[:, 6] = float(x.dtype == torch.uint8)
        if not return_features:
            found = torch.softmax(found, 1)
        return found


class Other(nn.Module):
    def forward(self, x: torch.Tensor):
        return x


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("i3d") / "i3d_torchscript.pt"
    torch.jit.script(SmallI3d()).save(str(path))
    return path


def frames(side: int, num: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, num, side, side, 3), dtype=np.uint8)


def test_i3d_gets_ready_frames_as_they_are_and_resizes_others_itself(file):
    encoder = video_encoder(f"i3d:{file}")
    given = frames(224)
    found = encoder(given)
    assert found.shape == (2, 400) and found.dtype == np.float64
    expected = given.astype(np.float64) / 127.5 - 1
    assert found[:, 0] == pytest.approx(expected.mean((1, 2, 3, 4)), abs=1e-5)
    assert found[:, 1] == pytest.approx(expected[..., 0].mean((1, 2, 3)), abs=1e-5), "RGB, channels first"
    assert (found[:, 2:7] == [-1, 1, 0, 0, 0]).all()
    assert (encoder(given.astype(np.float32)) == found).all()
    found = encoder(frames(64))
    assert (found[:, 2:7] == [0, 255, 1, 1, 1]).all(), "whole numbers, as StyleGAN-V calls it"
    with pytest.raises(ValueError, match="at least 10 frames"):
        encoder(frames(64, 9))


def test_the_check_is_the_distance_of_black_from_white(file):
    assert TorchScriptI3d("i3d", str(file)).check_value() == pytest.approx(4 + 4 + 4 + 4)
    assert i3d_torchscript.PUBLISHED_CHECK == 151.256


def test_pull_says_whether_the_file_is_the_published_one(file, monkeypatch):
    assert i3d_torchscript.check_words(file) == "black against white clips: 16.000, NOT as published (151.256)"
    monkeypatch.setattr(i3d_torchscript, "PUBLISHED_CHECK", 15.5)
    assert ", as published" in i3d_torchscript.check_words(file)
    assert published_checks.CHECKS.keys() == published_files.FILES.keys()


def test_files_that_are_not_i3d_are_refused(tmp_path, file):
    other = tmp_path / "other.pt"
    torch.jit.script(Other()).save(str(other))
    with pytest.raises(ModelError, match="takes no rescale, resize, return_features"):
        video_encoder(f"i3d:{other}")
    torch.save({"a": torch.ones(1)}, tmp_path / "weights.pt")
    (tmp_path / "cut.pt").write_bytes(file.read_bytes()[:1000])
    for name in ("weights", "cut"):
        with pytest.raises(ModelError, match="not a TorchScript file"):
            video_encoder(f"i3d:{tmp_path / name}.pt")
    with pytest.raises(WeightsMissing, match="none: no such file"):
        video_encoder("i3d:none")


def test_i3d_without_a_file_is_the_pulled_one(tmp_path, file, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(WeightsMissing, match=r"kinema models pull i3d.*flateon/FVD-I3D-torchscript.*dropbox"):
        video_encoder("i3d")
    place = published_files.FILES["i3d"].place
    place.parent.mkdir(parents=True)
    place.write_bytes(file.read_bytes())
    assert video_encoder("i3d").digest == video_encoder(f"i3d:{file}").digest


def test_the_command_says_what_it_fetched(file, monkeypatch):
    from typer.testing import CliRunner

    from kinema.cli.main import app

    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(file))
    found = CliRunner().invoke(app, ["models", "pull", "i3d", "--json"])
    assert found.exit_code == 0, found.output
    facts = json.loads(found.stdout)
    assert facts["path"] == str(file) and "NOT as published" in facts["check"]


def test_pull_fetches_the_file_or_names_both_sources(tmp_path, monkeypatch):
    from kinema.weights import store

    asked = []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *given, **_: asked.append(given) or str(tmp_path))
    assert store.pull("i3d") == tmp_path
    assert asked == [("flateon/FVD-I3D-torchscript", "i3d_torchscript.pt")]

    def fail(*_, **__):
        raise ConnectionError("refused")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(ModelError, match=r"i3d: flateon/FVD-I3D-torchscript cannot be fetched.*authors' copy.*dropbox"):
        store.pull("i3d")


@pytest.fixture(scope="module", params=[False, True], ids=["pretrained", "classifier"])
def videomae(request, tmp_path_factory):
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEModel

    config = VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, tubelet_size=2, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    network = (VideoMAEForVideoClassification if request.param else VideoMAEModel)(config).eval()
    folder = tmp_path_factory.mktemp("videomae")
    network.save_pretrained(folder)
    return folder, network, request.param


def test_videomae_is_the_mean_of_its_last_states(videomae):
    folder, network, classifier = videomae
    given = frames(32, 4)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.from_numpy(((given / 255 - mean) / std).astype(np.float32)).permute(0, 1, 4, 2, 3)
    captured = {}
    if classifier:
        network.classifier.register_forward_pre_hook(lambda _, inputs: captured.update(x=inputs[0]))
    with torch.no_grad():
        found = network(x)
    expected = captured["x"] if classifier else found.last_hidden_state.mean(1)
    encoder = video_encoder(f"videomae:{folder}")
    assert (encoder.size_px, encoder.num_frames, encoder.least_frames) == (32, 4, 4)
    assert encoder(given) == pytest.approx(expected.double().numpy(), abs=1e-5)
    with pytest.raises(ValueError, match="takes 4 frames, got 5"):
        encoder(frames(32, 5))


def test_videomae_reads_its_own_mean_and_spread(videomae, tmp_path):
    folder, *_ = videomae
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    plain = video_encoder(f"videomae:{folder}")(frames(32, 4))
    settings = tmp_path / "preprocessor_config.json"
    settings.write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}))
    assert np.abs(video_encoder(f"videomae:{tmp_path}")(frames(32, 4)) - plain).max() > 1e-3
    settings.write_text(json.dumps({"image_mean": "x"}))
    with pytest.raises(ModelError, match="three channels"):
        video_encoder(f"videomae:{tmp_path}")
