"""In-place edits preserve the rest of the clip. A substitute for the sampling loop paints the mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import kinema
from kinema.core.chunk import Chunk
from kinema.engine import windows as engine_windows
from kinema.engine.edit import edit
from kinema.engine.plan import plan as make_plan
from kinema.media.read import read_chunks
from kinema.media.write import write

RED = (200, 40, 30)


@pytest.fixture
def clip(tmp_path):
    """A noisy moving gradient, 41 frames of 120x90 at 12 fps, lossless."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:90, :120]
    frames = []
    for index in range(41):
        plain = np.stack([columns * 2, rows * 2, np.full_like(rows, 5 * index)], -1)
        frames.append((plain + rng.integers(0, 9, plain.shape)).clip(0, 255))
    array = np.stack(frames).astype(np.uint8)
    write([Chunk(array, 0, 12.0)], f"{tmp_path}/clip/")
    return str(tmp_path / "clip"), array


class Painter:
    """Paints the masked area of the canvas red and repeats the input elsewhere."""

    def __init__(self):
        self.windows = []

    def __call__(self, plan, family, *, on_event, window, **kept):
        self.windows.append((plan.spans[0], window))
        assert window.frames_FHWC.shape == (plan.frames, plan.height, plan.width, 3)
        assert (plan.frames - 1) % 4 == 0
        frames = np.rint((window.frames_FHWC + 1) * 127.5)
        frames[window.mask_FHW > 0.5] = RED
        yield Chunk(frames.astype(np.uint8), plan.spans[0].start, plan.fps)


@pytest.fixture
def painter(monkeypatch):
    found = Painter()
    monkeypatch.setattr(engine_windows, "generate", found)
    return found


def plan_of(*conditions, **fields):
    return make_plan(kinema.Request(canvas="source", seed=1, conditions=conditions, **fields), device="cpu")


def run(plan):
    chunks = list(edit(plan, lambda: None))
    starts = [chunk.start for chunk in chunks]
    assert starts == [sum(len(chunk.frames) for chunk in chunks[:n]) for n in range(len(chunks))]
    return np.concatenate([chunk.frames for chunk in chunks])


def near_red(pixels):
    return np.abs(pixels.astype(int) - RED).max(-1) < 12


def test_only_what_is_masked_changes_and_every_frame_of_it(clip, painter):
    video, frames = clip
    plan = plan_of(kinema.Source(video=video), kinema.Mask(boxes=((0.4, 0.4, 0.6, 0.7),)))
    assert (plan.frames, plan.fps, plan.size, plan.output) == (41, 12.0, (120, 90), (120, 90))
    assert [(span.start, span.stop) for span in plan.spans] == [(0, 17), (12, 29), (24, 41)]
    made = run(plan)
    assert made.shape == frames.shape
    changed = (made != frames).any(-1)
    inside = np.zeros((90, 120), bool)
    inside[36:63, 48:72] = True
    assert near_red(made[:, 38:61, 50:70]).mean() > 0.99
    away = np.ones((90, 120), bool)
    away[33:66, 45:75] = False
    assert not changed[:, away].any()
    assert len(painter.windows) == 3
    for span, window in painter.windows[1:]:
        assert not window.mask_FHW[:5].any(), "what the window before made is known to this one"
        assert window.mask_FHW[5:].any((1, 2)).all(), span


def test_the_model_is_shown_nothing_of_what_is_masked(clip, painter, mini):
    video, _ = clip
    plan = plan_of(kinema.Source(video=video), kinema.Mask(boxes=((0.4, 0.4, 0.6, 0.7),)))
    run(plan)
    span, window = painter.windows[0]
    small = plan.model_copy(update={"frames": span.num_frames, "spans": (span,)})
    prepared = mini.family.prepare(small, window)
    hidden = prepared.mask_BCFHW > 0.5
    assert hidden.any() and not prepared.source_BCFHW[hidden.expand(-1, 3, -1, -1, -1)].any()
    untouched = prepared.source_BCFHW[0].movedim(0, -1)[~hidden[0, 0]]
    assert np.array_equal(untouched.numpy(), window.frames_FHWC[~hidden[0, 0].numpy()])


def test_nothing_to_do_costs_nothing(clip, painter):
    video, frames = clip
    black = frames[:, :, :, :1] * 0
    white = black.copy()
    white[30:, 20:50, 30:60] = 255
    write([Chunk(np.repeat(white, 3, -1), 0, 12.0)], video + "-mask/")
    made = run(plan_of(kinema.Source(video=video), kinema.Mask(video=video + "-mask")))
    assert np.array_equal(made[:29], frames[:29]) and not np.array_equal(made[30], frames[30])
    assert [span.start for span, _ in painter.windows] == [24]
    made = run(plan_of(kinema.Source(video=video), kinema.Mask(nothing=True)))
    assert np.array_equal(made, frames)


def test_extending_leaves_the_clip_and_adds_frames(clip, painter):
    video, frames = clip
    plan = plan_of(kinema.Continue(clip=video, frames=5), seconds=2.0)
    assert plan.frames == 41 + 24
    made = run(plan)
    assert np.array_equal(made[:41], frames)
    assert near_red(made[41:]).mean() > 0.99
    assert painter.windows[0][0].start == 36 and not painter.windows[0][1].mask_FHW[:5].any()


def test_what_came_before_is_made_backwards_from_the_clip(clip, painter):
    video, frames = clip
    plan = plan_of(kinema.Continue(clip=video, frames=4, place="end"), seconds=2.0)
    made = run(plan)
    assert len(made) == 65 and np.array_equal(made[24:], frames) and near_red(made[:24]).mean() > 0.99
    first_made = painter.windows[0]
    assert first_made[0].stop == 28 and not first_made[1].mask_FHW[-4:].any() and first_made[1].mask_FHW[:-4].all()
    assert not painter.windows[1][1].mask_FHW[-4:].any()


def test_between_two_clips(clip, painter):
    video, frames = clip
    plan = plan_of(kinema.Continue(clip=video, frames=4), kinema.Continue(clip=video, frames=4, place="end"), frames=9)
    made = run(plan)
    assert len(made) == 41 + 9 + 41
    assert np.array_equal(made[:41], frames) and np.array_equal(made[50:], frames)
    ((span, window),) = painter.windows
    assert (span.start, span.stop) == (37, 54)
    assert not window.mask_FHW[:4].any() and window.mask_FHW[4:13].all() and not window.mask_FHW[13:].any()


def test_outpainting_keeps_the_clip_in_a_wider_frame(clip, painter):
    video, frames = clip
    plan = plan_of(kinema.Source(video=video, grow=(0.25, 0.0, 0.25, 0.1)))
    assert plan.size == (180, 99)
    made = run(plan)
    assert made.shape == (41, 99, 180, 3)
    assert np.array_equal(made[:, :84, 36:144], frames[:, :84, 6:114]), "but for the edge, where it fades"
    assert near_red(made[:, :80, :26]).mean() > 0.98


def test_a_clip_of_one_frame_and_odd_sizes(tmp_path, painter):
    picture = np.random.default_rng(1).integers(0, 255, (1, 51, 33, 3), dtype=np.uint8)
    write([Chunk(picture, 0, 24.0)], f"{tmp_path}/one/")
    plan = plan_of(kinema.Source(video=f"{tmp_path}/one"), kinema.Mask(boxes=((0.0, 0.0, 0.3, 0.2),)))
    made = run(plan)
    assert made.shape == picture.shape and np.array_equal(made[:, 20:], picture[:, 20:])


def test_sound_stays(tmp_path, painter):
    frames = np.full((24, 32, 48, 3), 90, np.uint8)
    tone = np.sin(np.arange(48_000 * 2) / 20).astype(np.float32)[:, None] * 0.5
    write([Chunk(frames, 0, 12.0, tone)], tmp_path / "loud.mp4", quality="best")
    plan = plan_of(kinema.Source(video=str(tmp_path / "loud.mp4")), kinema.Mask(boxes=((0.2, 0.2, 0.5, 0.5),)))
    path = write(edit(plan, lambda: None), tmp_path / "out.mp4", quality="best")
    read = list(read_chunks(path))
    heard = np.concatenate([chunk.audio for chunk in read])[:, :1]
    before = np.concatenate([chunk.audio for chunk in read_chunks(tmp_path / "loud.mp4")])[:, :1]
    shared = min(len(heard), len(before))
    assert shared > 95_000 and np.abs(heard[:shared] - before[:shared]).mean() < 0.02


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"frames": 17}, "own frames"),
        ({"fps": 8}, "own fps"),
        ({"upscale": 2}, "own size"),
        ({"conditions": (kinema.Mask(everything=True),)}, "requires one clip"),
        ({"conditions": ({"kind": "trajectory", "points": ((0, 0), (1, 1))},)}, "does not support"),
    ],
)
def test_what_cannot_be_is_refused_before_work(clip, fields, words):
    asked = {"conditions": (kinema.Source(video=clip[0]),), **fields}
    with pytest.raises(kinema.RequestError, match=words):
        make_plan(kinema.Request(canvas="source", **asked), device="cpu")


def test_inputs_are_looked_at_before_work(clip, tmp_path):
    video, frames = clip
    write([Chunk(frames[:3], 0, 12.0)], f"{tmp_path}/short/")
    with pytest.raises(kinema.RequestError, match="mask clip has 3 frames"):
        plan_of(kinema.Source(video=video), kinema.Mask(video=f"{tmp_path}/short"))
    for lost in (kinema.Mask(image="lost.png"), kinema.Reference(images=("lost.png",))):
        with pytest.raises(kinema.MediaError, match=r"lost\.png"):
            plan_of(kinema.Source(video=video), lost)


def test_a_clicked_thing_is_followed(tmp_path, painter):
    """The object is tracked while the clip is edited; pixels outside its mask are unchanged."""
    frames = np.full((21, 80, 96, 3), (90, 120, 60), np.uint8)
    frames += np.random.default_rng(0).integers(0, 6, frames.shape, dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[30:50, 10 + 2 * index : 30 + 2 * index] = (40, 60, 230)
    write([Chunk(frames, 0, 10.0)], f"{tmp_path}/square/")
    click = kinema.Mask(click=(0.2, 0.5), shape="bbox_expand", ratio=0.2)
    made = run(plan_of(kinema.Source(video=f"{tmp_path}/square"), click))
    blue = (made[..., 2] > 150).mean((1, 2))
    assert blue.max() < 0.005, "nowhere is anything left of it"
    assert np.array_equal(made[0, :, 60:], frames[0, :, 60:]) and np.array_equal(made[-1, :, :30], frames[-1, :, :30])


def test_following_needs_an_edit_in_place(clip):
    conditions = (kinema.Source(video=clip[0]), kinema.Mask(click=(0.5, 0.5)))
    with pytest.raises(kinema.RequestError, match="in place"):
        make_plan(kinema.Request(conditions=conditions), device="cpu")


def test_restyling_draws_the_control_from_the_source(clip, tmp_path, painter):
    video, frames = clip
    write([Chunk(frames[:5], 0, 12.0)], f"{tmp_path}/short/")
    plan = plan_of(
        kinema.Source(video=f"{tmp_path}/short"),
        kinema.Control(control="gray"),
        prompt="a drawing",
        model="wan2.1-vace-1.3b",
    )
    assert plan.size == (120, 90) and abs(plan.width / plan.height - 120 / 90) < 0.06 and plan.frames == 5
    made = run(plan)
    assert made.shape == (5, 90, 120, 3) and near_red(made).all()
    _, window = painter.windows[0]
    gray = window.control_FHWC
    assert gray.shape == window.frames_FHWC.shape and np.abs(gray[..., 0] - gray[..., 1]).max() < 1e-6
    assert window.mask_FHW.all()
    with pytest.raises(kinema.RequestError, match="control:gray"):
        plan_of(kinema.Source(video=video), kinema.Control(control="gray"))


def test_a_drawing_hints_only_where_something_is_made(clip, mini):
    """VACE's priority: kept pixels, then inpainted ones, then the control."""
    from kinema.core.family import Window

    video, _ = clip
    control = kinema.Control(control="layout", video=video)
    plan = plan_of(kinema.Source(video=video), kinema.Mask(boxes=((0.0, 0.0, 0.5, 1.0),)), control)
    small = plan.model_copy(update={"frames": 17, "spans": (plan.spans[0],)})
    shape = (17, plan.height, plan.width)
    mask = np.zeros(shape, np.float32)
    mask[..., : plan.width // 2] = 1
    window = Window(np.full((*shape, 3), 0.25, np.float32), mask, np.full((*shape, 3), -0.75, np.float32))
    prepared = mini.family.prepare(small, window)
    half = plan.width // 2
    assert (prepared.source_BCFHW[..., :half] == -0.75).all() and (prepared.source_BCFHW[..., half:] == 0.25).all()


def test_a_quick_edit_takes_the_decoder_that_does_not_show(clip):
    source = kinema.Source(video=clip[0])
    assert plan_of(source, profile="fast").options["decoder"] == "full"
    assert plan_of(source, profile="fast", options={"decoder": "tiny"}).options["decoder"] == "tiny"
    assert make_plan(kinema.Request(profile="fast"), device="cpu").options["decoder"] == "tiny"


@pytest.mark.parametrize("way", ["jpeg", "mp4", "stained"])
def test_noise_in_a_mask_changes_no_byte_outside(clip, tmp_path, painter, way):
    """Lossy masks are rarely exactly black: away from the white part every byte stays."""
    video, frames = clip
    rng = np.random.default_rng(1)
    mask = np.zeros((90, 120), int)
    mask[40:60, 50:80] = 255
    noisy = (mask + rng.integers(-9, 10, mask.shape)).clip(0, 255).astype(np.uint8)
    if way == "stained":
        noisy[5:8, 5:9] = 40
    picture = np.repeat(noisy[..., None], 3, -1)
    if way == "mp4":
        write([Chunk(np.repeat(picture[None], 41, 0), 0, 12.0)], tmp_path / "mask.mp4", quality="draft")
        given = {"video": str(tmp_path / "mask.mp4")}
    else:
        Image.fromarray(picture).save(tmp_path / "mask.jpg", quality=60)
        given = {"image": str(tmp_path / "mask.jpg")}
    made = run(plan_of(kinema.Source(video=video), kinema.Mask(**given)))
    away = np.ones((90, 120), bool)
    away[32:68, 42:88] = False
    assert np.array_equal(made[:, away], frames[:, away])
    assert near_red(made[:, 44:56, 54:76]).mean() > 0.98


def test_a_noisy_photo_of_a_mask(tmp_path, painter):
    """The 320x240 mask of JPEG's coarsest kind: white from (121, 81) to (200, 160), up to 31 around it."""
    rows, columns = np.mgrid[:240, :320]
    mask = np.zeros((240, 320), np.uint8)
    mask[80:160, 120:200] = 255
    rng = np.random.default_rng(0)
    noisy = (mask.astype(int) + rng.integers(0, 8, mask.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "mask.jpg", quality=50)
    frames = np.repeat(np.stack([columns % 256, rows, columns // 2], -1).astype(np.uint8)[None], 5, 0)
    write([Chunk(frames, 0, 12.0)], f"{tmp_path}/clip/")
    made = run(plan_of(kinema.Source(video=f"{tmp_path}/clip"), kinema.Mask(image=f"{tmp_path}/mask.jpg")))
    away = np.ones((240, 320), bool)
    away[66:174, 106:214] = False
    assert np.array_equal(made[:, away], frames[:, away])
    assert near_red(made[:, 86:154, 126:194]).mean() > 0.98
