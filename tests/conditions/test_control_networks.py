"""Depth and pose with tiny networks of random weights: the whole pipeline runs, and each step is correct."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinema.conditions.annotators import pose
from kinema.conditions.control import annotate
from kinema.core.errors import ModelError, WeightsMissing
from kinema.weights import local


def frames(num: int = 2, height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory):
    """Depth Anything's architecture, tiny, as downloaded by `kinema models pull`: safetensors and metadata."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=70, patch_size=14,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=4, patch_size=14,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("depth")
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 70, "width": 70}, keep_aspect_ratio=True, ensure_multiple_of=14, resample=3,
        image_mean=list(pose.MEAN), image_std=list(pose.STD),
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def pose_folders(tmp_path_factory):
    from transformers import (
        RTDetrConfig,
        RTDetrForObjectDetection,
        RTDetrImageProcessorPil,
        RTDetrResNetConfig,
        VitPoseBackboneConfig,
        VitPoseConfig,
        VitPoseForPoseEstimation,
    )

    torch.manual_seed(0)
    people, joints = tmp_path_factory.mktemp("people"), tmp_path_factory.mktemp("joints")
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    detector = RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=[8, 16, 16], encoder_hidden_dim=16, encoder_ffn_dim=16,
        d_model=16, decoder_in_channels=[16, 16, 16], decoder_layers=1, decoder_ffn_dim=16, num_queries=8,
        encoder_attention_heads=2, decoder_attention_heads=2, num_labels=3,
        id2label={0: "dog", 1: "person", 2: "car"}, label2id={"dog": 0, "person": 1, "car": 2},
    )  # fmt: skip
    RTDetrForObjectDetection(detector).save_pretrained(people)
    RTDetrImageProcessorPil(size={"height": 64, "width": 64}, do_normalize=False).save_pretrained(people)
    vit = VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        out_indices=[2], num_experts=1,
    )  # fmt: skip
    VitPoseForPoseEstimation(VitPoseConfig(backbone_config=vit, num_labels=17)).save_pretrained(joints)
    return joints, people


def test_depth_runs_and_uses_the_whole_range(depth_folder):
    drawn = np.stack(list(annotate(frames(), "depth", model=str(depth_folder), device="cpu")))
    assert drawn.shape == (2, 60, 90, 3)
    assert drawn.dtype == np.uint8
    assert (drawn[..., :1] == drawn).all()
    assert (drawn[0].min(), drawn[0].max()) == (0, 255)


def test_depth_is_what_the_network_says(depth_folder):
    """The first frame against transformers' own pipeline of processor, network and resizing."""
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    clip = frames(1)
    (drawn,) = annotate(clip, "depth", model=str(depth_folder), device="cpu")
    process = AutoImageProcessor.from_pretrained(depth_folder)
    network = AutoModelForDepthEstimation.from_pretrained(depth_folder).eval()
    with torch.no_grad():
        answer = network(**process(images=clip[0], return_tensors="pt"))
    depth = process.post_process_depth_estimation(answer, target_sizes=[(60, 90)])[0]["predicted_depth"].numpy()
    # Theirs scales up bicubically with another alignment: the same picture, not the same numbers.
    assert np.corrcoef(depth.ravel(), drawn[..., 0].ravel())[0, 1] > 0.97


def test_pose_runs(pose_folders):
    joints, people = pose_folders
    drawn = list(annotate(frames(), "pose", model=str(joints), detector=str(people), device="cpu", person_score=0.0))
    assert [frame.shape for frame in drawn] == [(60, 90, 3)] * 2
    none = list(annotate(frames(1), "pose", model=str(joints), detector=str(people), device="cpu", person_score=1.0))
    assert none[0].max() == 0, "nobody: a black frame"


def test_people_are_the_detectors_persons(pose_folders):
    """Boxes against transformers' own postprocessing of the detector's output."""
    from transformers import AutoModelForObjectDetection

    _, folder = pose_folders
    prepare, finder = local.processor(folder), local.load(AutoModelForObjectDetection, folder)
    frame = frames(1)[0]
    with torch.inference_mode():
        answer = finder(**prepare(images=frame, return_tensors="pt"))
        ours = pose.people(finder, prepare, frame, torch.device("cpu"), 0.0)
    theirs = prepare.post_process_object_detection(answer, threshold=0.0, target_sizes=[(60, 90)])[0]
    boxes = theirs["boxes"][theirs["labels"] == 1].numpy().clip(0, [90, 60, 90, 60])
    for box in boxes:
        assert np.abs(ours - box).max(axis=1).min() < 1e-3


def test_joints_are_found_between_pixels_and_put_back():
    """A network that returns a Gaussian at a known position of its crop: the joint is at that position in the frame."""
    tall, wide, place_x, place_y = 64, 48, 5.3, 9.8
    bell = np.exp(-((np.arange(12) - place_x) ** 2 + (np.arange(16)[:, None] - place_y) ** 2) / 8)

    class Network:
        config = SimpleNamespace(backbone_config=SimpleNamespace(image_size=[tall, wide]))

        def __call__(self, pixel_values):
            assert pixel_values.shape == (1, 3, tall, wide)
            heat = torch.from_numpy(bell).float()[None, None]
            return SimpleNamespace(heatmaps=heat.repeat(1, 17, 1, 1))

    found = pose.joints(Network(), frames(1, 200, 300)[0], np.array([[100.0, 40.0, 160.0, 160.0]]), "cpu")
    left, top, width, height = pose.around(np.array([100.0, 40.0, 160.0, 160.0]), wide / tall)
    assert (width / height, height) == (pytest.approx(0.75), pytest.approx(150.0))
    assert (left + width / 2, top + height / 2) == (pytest.approx(130), pytest.approx(100))
    assert found[0, 3].tolist() == pytest.approx(
        [left + place_x * width / 11, top + place_y * height / 15, bell.max()], abs=0.02
    )


def test_broken_and_missing_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsMissing, match="kinema models pull"):
        annotate([], "depth", model=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError):
        list(annotate(frames(1), "depth", model=str(tmp_path)))
    with pytest.raises(ModelError, match="no such folder"):
        annotate([], "depth", model="no/such/model/name")
