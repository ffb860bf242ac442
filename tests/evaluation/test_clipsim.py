"""CLIP encoders and CLIPSIM, against plain loops over a tiny random CLIPModel of transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from kinema.core.errors import MediaError, ModelError, RequestError, WeightsMissing
from kinema.evaluation.yardsticks import picture_features
from kinema.evaluation.yardsticks.clipsim import ClipSim
from kinema.evaluation.yardsticks.contract import ClipFile, SetClip, YardstickSettings
from kinema.features.text_and_pictures import text_and_pictures
from kinema.training.data.tokenizers import build_clip_tokenizer

CAPTIONS = ["a red ball rolls left", "a blue car in the snow"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A published CLIP's files with a tiny random network; pictures are resized to 32 px and cropped to 28."""
    place = tmp_path_factory.mktemp("clip")
    tokenizer = build_clip_tokenizer(CAPTIONS, 24)
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={
            **small, "vocab_size": len(tokenizer), "max_position_embeddings": 24,
            "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**small, "image_size": 28, "patch_size": 7}, projection_dim=16,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}).save_pretrained(place)
    return place


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)


def by_hand(folder: Path, frames_FHWC: np.ndarray, caption: str) -> list[float]:
    """The cosine of every frame and the caption, one by one, by the model's own forward."""
    model = CLIPModel.from_pretrained(folder).eval()
    from transformers import AutoImageProcessor, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)([caption], return_tensors="pt")
    processor = AutoImageProcessor.from_pretrained(folder)
    found = []
    for frame in frames_FHWC:
        pixels = processor(images=[frame], return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            out = model(**tokens, pixel_values=pixels)
        found.append(float(torch.cosine_similarity(out.image_embeds, out.text_embeds)))
    return found


def clip(frames_FHWC: np.ndarray, caption: str | None, name: str = "one") -> SetClip:
    return SetClip(ClipFile(name, Path(f"{name}.mp4"), caption), frames_FHWC, 8.0)


def test_clipsim_is_the_mean_of_cosines_of_the_model_itself(folder, frames):
    clipsim = ClipSim(YardstickSettings(pictures=str(folder)))
    rows = [clipsim.measure(clip(frames, CAPTIONS[0])), clipsim.measure(clip(frames[:1], CAPTIONS[1]))]
    wanted = [by_hand(folder, frames, CAPTIONS[0]), by_hand(folder, frames[:1], CAPTIONS[1])]
    for row, loop in zip(rows, wanted, strict=True):
        assert row["similarity"] == pytest.approx(loop, abs=1e-5)
    score = clipsim.score(rows, [])
    assert score.value == pytest.approx((np.mean(wanted[0]) + wanted[1][0]) / 2, abs=1e-5)  # clips, not frames, weigh
    assert score.low < score.value < score.high and score.per_clip == pytest.approx([np.mean(w) for w in wanted])
    facts = clipsim.protocol()
    assert facts["scale"] == 1 and facts["size_px"] == 28 and len(facts["weights"]) == 64


def test_vectors_have_unit_length_and_do_not_depend_on_the_batch(folder, frames, monkeypatch):
    encoder = text_and_pictures(str(folder))
    whole = encoder.pictures(frames)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(1, abs=1e-6)
    monkeypatch.setattr("kinema.features.text_and_pictures.BATCH", 2)
    assert encoder.pictures(frames) == pytest.approx(whole, abs=1e-6)
    long = encoder.texts([" ".join(CAPTIONS * 9), CAPTIONS[0]])  # beyond 24 tokens it is cut off
    assert long.shape == (2, 16)
    with pytest.raises(ValueError, match="uint8"):
        encoder.pictures(frames.astype(np.float32))


def test_frames_are_encoded_once_for_several_yardsticks(folder, frames, monkeypatch):
    encoder = text_and_pictures(str(folder))
    calls = []
    real = encoder.pictures
    monkeypatch.setattr(encoder, "pictures", lambda frames: calls.append(1) or real(frames))
    picture_features._LAST.clear()
    first = picture_features.vectors_of(encoder, frames)
    assert np.array_equal(picture_features.vectors_of(encoder, frames.copy()), first) and len(calls) == 1
    picture_features.vectors_of(encoder, frames[::-1])
    assert len(calls) == 2


def test_clips_without_captions_and_models_that_are_not_here(folder, frames, tmp_path):
    clipsim = ClipSim(YardstickSettings(pictures=str(folder)))
    with pytest.raises(RequestError, match="No clip has a caption"):
        clipsim.check([clip(frames, None).file], [])
    clipsim.check([clip(frames, None).file, clip(frames, "a ball").file], [])
    with pytest.raises(MediaError, match="no caption"):
        clipsim.measure(clip(frames, None))
    assert clipsim.score([], []).value is None
    with pytest.raises(WeightsMissing, match="kinema models pull nobody/clip"):
        text_and_pictures("nobody/clip")
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError):
        text_and_pictures(str(tmp_path))
