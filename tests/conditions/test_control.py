"""Control clips against exact truth: Toyland's flow and masks, colours known from the paper, pictures drawn by hand."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from kinema.conditions.annotators import flow, skeleton
from kinema.conditions.control import KINDS, annotate, annotate_clip
from kinema.conditions.layout import draw_boxes
from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError, RequestError, WeightsMissing
from kinema.media.displacement import displacement
from kinema.media.read import probe, read_video
from kinema.media.write import write

FREE = ("gray", "edge", "scribble", "flow", "layout", "layout_track")


@pytest.fixture(scope="module")
def toyland():
    """Six clips without weather, as `Rendered`: camera still and moving."""
    from kinema.toyland.render import render
    from kinema.toyland.scene import sample_scene

    scenes = [scene for scene in map(sample_scene, range(40)) if scene.weather == "none" and scene.style == "flat"]
    return render(scenes[:6], num_frames=2, height=144, width=192, fps=16.0, truth=True)


def noise(num: int, height: int, width: int) -> np.ndarray:
    """Frames of soft noise that drifts to the right by 2 px per frame."""
    import cv2

    wide = np.random.default_rng(1).integers(0, 256, (height, width + 2 * num, 3), np.uint8)
    wide = cv2.normalize(cv2.GaussianBlur(wide, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    return np.stack([wide[:, 2 * (num - k) : 2 * (num - k) + width] for k in range(num)])


def extra(kind: str, num: int, height: int, width: int) -> dict:
    masks = np.zeros((num, height, width), bool)
    masks[:, height // 4 : height // 2, width // 4 : width // 2] = True
    return {"masks": masks} if kind.startswith("layout") else {}


@pytest.mark.parametrize("kind", FREE)
@pytest.mark.parametrize(("num", "height", "width"), [(1, 64, 64), (2, 33, 57), (17, 80, 48), (3, 16, 9)])
def test_a_control_frame_for_each_frame(kind, num, height, width):
    frames = noise(num, height, width)
    drawn = list(annotate(iter(frames), kind, **extra(kind, num, height, width)))
    assert len(drawn) == num
    assert {(frame.shape, frame.dtype.name) for frame in drawn} == {((height, width, 3), "uint8")}


@pytest.mark.parametrize("kind", FREE)
def test_frames_are_read_as_they_are_needed_and_let_go(kind):
    closed = []

    def endless():
        try:
            while True:
                yield from noise(4, 48, 64)
        finally:
            closed.append(True)

    def masks():
        while True:
            yield np.ones((48, 64), bool)

    drawn = annotate(endless(), kind, **({"masks": masks()} if kind.startswith("layout") else {}))
    assert len(list(islice(drawn, 5))) == 5
    drawn.close()
    assert closed


def test_no_frames_give_no_frames():
    assert list(annotate(iter(()), "flow")) == []


def test_gray_is_bt601_luma():
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 200, 90]]], np.uint8)
    (drawn,) = annotate([colors], "gray")
    assert drawn[0, :, 0].tolist() == [round(float(c @ [0.299, 0.587, 0.114])) for c in colors[0].astype(float)]
    assert (drawn[..., :1] == drawn).all()


def test_edges_of_a_square_are_its_outline():
    square = np.full((96, 128, 3), 60, np.uint8)
    square[30:70, 40:100] = 180
    (drawn,) = annotate([square], "edge")
    assert set(np.unique(drawn)) == {0, 255}
    rows, columns = np.nonzero(drawn[..., 0])
    off_px = np.maximum.reduce([29.5 - rows, rows - 69.5, 39.5 - columns, columns - 99.5])  # 0 on the outline
    assert np.abs(off_px).max() <= 1.5, "edges elsewhere than at the border"
    assert len(rows) == pytest.approx(2 * (40 + 60), rel=0.06), "the outline, one pixel wide"


def test_edges_adapt_to_the_picture_but_not_to_noise():
    rng = np.random.default_rng(0)
    plain = np.clip(120 + rng.normal(0, 3, (120, 160, 3)), 0, 255).astype(np.uint8)
    (nothing,) = annotate([plain], "edge")
    assert (nothing > 0).mean() < 0.005, "grain is no edge"
    clip = noise(1, 120, 160)
    dim = (clip[0] // 3 + 20).astype(np.uint8)
    (bright,), (dark,) = (list(annotate([frame], "edge")) for frame in (clip[0], dim))
    assert (dark > 0).mean() == pytest.approx((bright > 0).mean(), rel=0.25), "a dim picture has its edges too"


def test_scribbles_are_dark_lines_on_white():
    square = np.full((240, 320, 3), 220, np.uint8)
    square[60:180, 80:240] = 60
    (drawn,) = annotate([square], "scribble")
    assert (drawn == 255).mean() > 0.85
    ink = drawn[..., 0] < 128
    rows, columns = np.nonzero(ink)
    assert ink.any()
    assert (np.abs(np.maximum.reduce([60 - rows, rows - 179, 80 - columns, columns - 239])) <= 4).all()
    for side in (ink[58:64, 90:230].any(0), ink[176:182, 90:230].any(0), ink[70:170, 78:84].any(1)):
        assert side.mean() > 0.95, "a side of the square is missing"
    assert (next(annotate([np.full((64, 64, 3), 128, np.uint8)], "scribble")) == 255).all()


def test_scribbles_are_steady():
    """Grain over a still picture: propagated lines flicker less than lines drawn for each frame."""
    rng = np.random.default_rng(3)
    still = noise(1, 96, 128)[0].astype(np.float64)
    frames = np.clip(still + rng.normal(0, 8, (8, *still.shape)), 0, 255).astype(np.uint8)
    together = np.stack(list(annotate(frames, "scribble"))).astype(float)
    alone = np.stack([next(annotate([frame], "scribble")) for frame in frames]).astype(float)
    flicker = [np.abs(np.diff(clip[3:], axis=0)).mean() for clip in (together, alone)]
    assert flicker[0] < 0.7 * flicker[1], flicker


def test_the_wheel_and_its_directions():
    """Section 4.1 and figure 2 of Baker and others: right red, down yellow, left cyan to blue, up blue to violet."""
    hues = flow.wheel()
    assert len(hues) == 55
    starts = np.cumsum([0, 15, 6, 4, 11, 13])
    named = [[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]]
    assert hues[starts].tolist() == named
    motions = np.array([[[5, 0], [0, 5], [-5, 0], [0, -5], [0, 0], [2.5, 0], [10, 0]]], np.float32)
    right, down, left, up, none, half, over = flow.paint(motions, 5.0)[0].tolist()
    assert right == [255, 0, 0]
    assert down == pytest.approx([255, 229, 0], abs=1)
    assert left == pytest.approx([0, 209, 255], abs=1)
    assert up == pytest.approx([87, 0, 255], abs=2)
    assert none == [255, 255, 255]
    assert half == [255, 127, 127]
    assert over == [191, 0, 0], "longer than the scale: darker"


def test_flow_is_found(toyland):
    """End-point error against Toyland's exact flow. Plain surfaces leave the flow open, so this bounds, not equals."""
    errors = []
    for frames, truth in zip(toyland.frames_BFHWC.numpy(), toyland.flow_BFHW2.numpy()):
        grays = [next(annotate([frame], "gray"))[..., 0].copy() for frame in frames[:2]]
        errors.append(np.linalg.norm(displacement(*grays) - truth[0], axis=-1))
    error = np.stack(errors)
    assert error.mean() < 0.6, error.mean(axis=(1, 2))
    assert np.median(error) < 0.1
    assert (error < 1).mean() > 0.85


def test_flow_of_a_drift_is_exact_and_drawn_from_the_first_frame_on():
    clip = noise(4, 96, 128)
    moved = displacement(clip[0][..., 1].copy(), clip[1][..., 1].copy())
    assert np.abs(moved[8:-8, 8:-8] - [2, 0]).max() < 0.1
    drawn = list(annotate(clip, "flow", scale_px=2.0))
    assert (drawn[0] == drawn[1]).all(), "the first is shown twice"
    assert np.abs(drawn[2][10:-10, 10:-10].astype(int) - [255, 0, 0]).mean() < 8
    still = list(annotate([clip[0], clip[0]], "flow"))
    assert all((frame == 255).all() for frame in still)


def test_layout_is_the_box_of_the_mask(toyland):
    masks_FHW, frames = toyland.masks_BNFHW[:, 0].numpy(), toyland.frames_BFHWC.numpy()
    for several, clip in zip(masks_FHW, frames):
        for drawn, mask in zip(annotate(clip, "layout", masks=several), several):
            rows, columns = np.nonzero(mask)
            if not len(rows):
                assert (drawn == 255).all()
                continue
            box = columns.min() / 192, rows.min() / 144, (columns.max() + 1) / 192, (rows.max() + 1) / 144
            assert (drawn == draw_boxes(np.array([[box]]), 144, 192)[0]).all()


def test_specks_of_a_mask_do_not_stretch_its_box():
    mask = np.zeros((64, 64), np.uint8)
    mask[16:32, 16:48] = 255
    clean = next(annotate([np.zeros((64, 64, 3), np.uint8)], "layout", masks=[mask]))
    mask[60, 60] = 255
    assert (next(annotate([np.zeros((64, 64, 3), np.uint8)], "layout", masks=[mask])) == clean).all()
    small = mask[::2, ::2].repeat(3, axis=-1).reshape(32, 32, 3)
    assert (next(annotate([np.zeros((64, 64, 3), np.uint8)], "layout", masks=[small])) == clean).all(), "scaled"


def test_layout_track_is_the_outline():
    mask = np.zeros((256, 256), bool)
    mask[64:192, 32:128] = True
    (drawn,) = annotate([np.zeros((256, 256, 3), np.uint8)], "layout_track", masks=[mask])
    assert drawn[100, 31:34].max() == 0, "3 px around the border"
    assert drawn[100, [28, 40, 100]].min() == 255, "nothing in it or around it"
    (empty,) = annotate([np.zeros((64, 64, 3), np.uint8)], "layout_track", masks=[mask[:1, :1]])
    assert (empty == 255).all()


def test_refused_at_once():
    with pytest.raises(RequestError, match="edge"):
        annotate([], "canny")
    with pytest.raises(RequestError, match="mask"):
        annotate([], "layout")
    with pytest.raises(RequestError, match="scale_px"):
        annotate([], "flow", scale=3)
    with pytest.raises(RequestError, match="above 0"):
        annotate([], "flow", scale_px=-1.0)
    with pytest.raises(RequestError, match="no option masks"):
        annotate([], "edge", masks=[])
    with pytest.raises(WeightsMissing, match="kinema models pull depth-anything/Depth-Anything-V2-Small-hf"):
        annotate([], "depth")
    with pytest.raises(WeightsMissing, match=r"pull usyd-community/vitpose.* and .*pull PekingU/rtdetr"):
        annotate([], "pose")
    with pytest.raises(MediaError, match="one size"):
        list(annotate([np.zeros((32, 32, 3), np.uint8), np.zeros((32, 34, 3), np.uint8)], "gray"))
    with pytest.raises(MediaError, match="float"):
        list(annotate([np.zeros((32, 32, 3))], "gray"))
    with pytest.raises(RequestError, match="1 masks"):
        list(annotate(noise(2, 32, 32), "layout", masks=[np.ones((32, 32), bool)]))


def test_a_skeleton_is_coloured_as_openpose_does():
    assert skeleton.COLORS[:4] == ((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0))
    joints = np.zeros((1, 17, 3))
    joints[0, [5, 6]] = [[300, 200, 0.9], [200, 200, 0.8]]  # left and right shoulder
    joints[0, 8] = [200, 300, 0.9]  # right elbow
    joints[0, 10] = [200, 400, 0.1]  # right wrist, not seen
    drawn = skeleton.draw(joints, 512, 512)
    assert drawn[200, 250].tolist() == [255, 85, 0], "the neck"
    assert drawn[200, 200].tolist() == [255, 170, 0], "the right shoulder"
    assert drawn[250, 200].tolist() == [int(0.6 * part) for part in skeleton.COLORS[2]], "the upper arm"
    assert drawn[320:].max() == 0, "what is not sure is not drawn"
    assert skeleton.draw(np.zeros((0, 17, 3)), 64, 48).max() == 0


def test_clips(tmp_path):
    source, mask = tmp_path / "source.mp4", tmp_path / "mask.mp4"
    frames = noise(17, 96, 64)
    write([Chunk(frames, 0, 12.5)], source)
    masks = np.zeros_like(frames)
    masks[:, 24:48, 16:32] = 255
    write([Chunk(masks, 0, 12.5)], mask)
    told = []
    for kind in ("edge", "layout"):
        target = tmp_path / f"{kind}.mp4"
        info = annotate_clip(source, kind, target, mask=mask if kind == "layout" else None, on_event=told.append)
        made = probe(target)
        assert (made.width, made.height, made.fps, made.num_frames) == (64, 96, 12.5, 17)
        assert (info.width, info.height, info.fps, info.num_frames) == (64, 96, 12.5, 17)
    assert (told[-1].stage, told[-1].done, told[-1].total) == ("annotate", 17, 17)
    drawn, _ = read_video(tmp_path / "layout.mp4")
    assert np.abs(drawn[5].astype(int) - draw_boxes(np.array([[[0.25, 0.25, 0.5, 0.5]]]), 96, 64)[0]).mean() < 4

    def stop(event):
        if event.done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate_clip(source, "gray", tmp_path / "stopped.mp4", on_event=stop)
    write([Chunk(masks[:5], 0, 12.5)], tmp_path / "short.mp4")
    with pytest.raises(RequestError, match="5 frames"):
        annotate_clip(source, "layout", tmp_path / "no.mp4", mask=tmp_path / "short.mp4")
    with pytest.raises(RequestError, match="does not take a mask"):
        annotate_clip(source, "edge", tmp_path / "no.mp4", mask=mask)
    with pytest.raises(RequestError, match="one frame"):
        annotate_clip(source, "edge", tmp_path / "no.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "edge.mp4", "layout.mp4", "mask.mp4", "short.mp4", "source.mp4",
    ]  # fmt: skip


def test_every_control_of_the_vocabulary_can_be_made():
    from typing import get_args

    from kinema.cli.control import Kind
    from kinema.core.conditions import ControlKind

    assert set(get_args(ControlKind)) <= set(KINDS)
    assert set(get_args(Kind)) == set(KINDS)


def test_real_clips(real_data):
    frames, _ = read_video(real_data / "cat.mp4")
    few = frames[:2, ::2, ::2]
    for kind, least, most in (("edge", 0.02, 0.2), ("scribble", 0.02, 0.3)):
        drawn = np.stack(list(annotate(few, kind)))
        share = (drawn > 128).mean() if kind == "edge" else (drawn < 128).mean()
        assert least < share < most, (kind, share)
    assert (np.stack(list(annotate(few, "flow"))) > 240).mean() > 0.95, "a resting cat before a resting camera"


def test_flow_of_a_real_picture_that_turns_and_grows(real_data):
    import cv2

    frame = read_video(real_data / "road.mp4")[0][0]
    gray = np.ascontiguousarray(next(annotate([frame], "gray"))[..., 0])
    matrix = cv2.getRotationMatrix2D((360, 240), 1.0, 1.02) + [[0, 0, 3.0], [0, 0, -2.0]]
    moved = cv2.warpAffine(gray, matrix, (720, 480), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    here = np.stack([*np.meshgrid(np.arange(720), np.arange(480)), np.ones((480, 720))], -1)
    truth = here @ matrix.T - here[..., :2]
    error = np.linalg.norm(displacement(gray, moved) - truth, axis=-1)[16:-16, 16:-16]
    assert np.linalg.norm(truth, axis=-1).mean() > 4
    assert error.mean() < 0.3, error.mean()
