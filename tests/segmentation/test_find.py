"""Grounding DINO and SAM 2 through their real code, with tiny networks of random weights: everything except quality."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
import torch

from kinema.core.errors import RequestError, WeightsMissing
from kinema.segmentation import find
from kinema.segmentation.track import Start, follow

SIDE = 128


@pytest.fixture(scope="module")
def sam2(tmp_path_factory):
    """A folder as `save_pretrained` makes it, of a SAM 2 with one block a stage."""
    from transformers import (
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoModel,
        Sam2VideoPromptEncoderConfig,
        Sam2VisionConfig,
    )

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 8, 4], global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=128,
        backbone_feature_sizes=[[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2],
    )  # fmt: skip
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=128, image_size=SIDE, mask_input_channels=4),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=128, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=32
        ),
        image_size=SIDE, memory_attention_hidden_size=128, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=[SIDE // 16] * 2,
        memory_encoder_hidden_size=128, memory_encoder_output_channels=64, mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=32, memory_fuser_num_layers=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("sam2")
    network = Sam2VideoModel(config)
    with torch.no_grad():
        network.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(9)  # the object is always in sight
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """A folder with a Grounding DINO of two layers and a vocabulary of a few words."""
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("dino")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "the", "a", "cat"]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, image_size=64,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ),
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=10,
        encoder_attention_heads=2, decoder_attention_heads=2,
    )  # fmt: skip
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    pictures = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    tokens = BertTokenizerFast(str(folder / "vocab.txt"))
    GroundingDinoProcessor(pictures, tokens).save_pretrained(folder)
    return folder


def frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 48, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "start",
    [Start(click=(0.5, 0.5)), Start(box=(0.2, 0.2, 0.6, 0.8)), Start(mask_HW=np.eye(48, 80, dtype=np.float32))],
    ids=["click", "box", "mask"],
)
def test_sam2_gives_a_mask_a_frame(sam2, start, monkeypatch):
    monkeypatch.setattr(find, "SAM2", (str(sam2),))
    masks = list(follow(iter(frames(4)), start, device="cpu"))
    assert len(masks) == 4
    for mask_HW in masks:
        assert mask_HW.shape == (48, 80) and mask_HW.dtype == np.float32
        assert mask_HW.min() >= 0 and mask_HW.max() <= 1
    assert masks[0].any()


def test_sam2_lets_go_of_old_frames_and_sees_the_same(sam2, monkeypatch):
    """24 frames with a short memory and with all frames kept: the same masks; nothing grows."""
    start, clip = Start(box=(0.2, 0.2, 0.6, 0.8)), frames(24)
    kept = []
    whole = find._free

    def watched(session, index):
        whole(session, index)
        stored = [len(each["non_cond_frame_outputs"]) for each in session.output_dict_per_obj.values()]
        kept.append((len(session.processed_frames), *stored))

    monkeypatch.setattr(find, "REMEMBERED", 17)
    monkeypatch.setattr(find, "_free", watched)
    short = list(find.follow(iter(clip), start, sam2, "cpu"))
    monkeypatch.setattr(find, "_free", lambda *_: None)
    long = list(find.follow(iter(clip), start, sam2, "cpu"))
    assert all(np.array_equal(one, other) for one, other in zip(short, long))
    assert all(mask_HW.std() > 0 for mask_HW in short)
    assert max(kept) == (0, 17)


def test_words_become_a_box(dino, monkeypatch):
    monkeypatch.setattr(find, "FINDERS", (str(dino),))
    monkeypatch.setattr(find, "LEAST_SCORE", 0.0)
    monkeypatch.setattr(find, "WORD_SCORE", 0.0)
    left, top, right, bottom = find.box_of(frames(1)[0], "The cat", find.finder(), "cpu")
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    monkeypatch.setattr(find, "LEAST_SCORE", 1.1)
    with pytest.raises(RequestError, match="matches 'The cat'"):
        next(follow(iter(frames(2)), Start(words="The cat"), by="opencv", device="cpu"))


def test_the_best_box_is_taken_and_kept_inside(monkeypatch):
    """Postprocessing, on a known network output."""

    class Prepare:
        def __call__(self, **asked):
            assert asked["text"] == "the cat."
            return types.SimpleNamespace(to=lambda _at: Answer())

        def post_process_grounded_object_detection(self, *_, **options):
            assert options["target_sizes"] == [(48, 80)]
            boxes = torch.tensor([[0.0, 0, 8, 8], [-4, 12, 40, 50]])
            return [{"scores": torch.tensor([0.4, 0.9]), "boxes": boxes}]

    class Answer(dict):
        def __getitem__(self, name):
            return None

    network = torch.nn.Identity()
    network.forward = lambda **_: None
    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", lambda *_, **__: Prepare())
    monkeypatch.setattr(find.local, "load", lambda *_: network)
    assert find.box_of(frames(1)[0], "The cat.", "nowhere", "cpu") == (0.0, 0.25, 0.5, 1.0)


def test_a_folder_without_weights_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({}))
    monkeypatch.setattr(find, "SAM2", (str(tmp_path),))
    assert find.sam2() is None
    with pytest.raises(WeightsMissing):
        find.sam2(needed=True)
