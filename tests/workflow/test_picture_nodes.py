"""Picture, mask and clip nodes against formulas of their own, written here pixel by pixel or in float64."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from picture_streams import Folder, masks, noise, pictures, read, run
from PIL import Image

from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError, RequestError, WeightsMissing
from kinema.media.read import read_video
from kinema.media.write import write
from kinema.segmentation import find, track
from kinema.segmentation.start import Start
from kinema.workflow.nodes.table import DECLARED
from kinema.workflow.run.canny import canny_edges
from kinema.workflow.run.picture_nodes import EVALUATED
from kinema.workflow.run.resize import common_upscale, to_uint8
from kinema.workflow.run.saving_nodes import SAVED
from kinema.workflow.run.streams import pieces
from kinema.workflow.run.values import Pictures


def weights(method: str, size: int, new: int) -> np.ndarray:
    """Each new pixel along one side as a mean of the old ones, (new, size), in float64: the definitions."""
    found = np.zeros((new, size))
    for k in range(new):
        at = (k + 0.5) * size / new
        if method == "nearest-exact":
            found[k, min(size - 1, math.floor(at))] = 1
        elif method == "area":
            low, high = math.floor(k * size / new), math.ceil((k + 1) * size / new)
            found[k, low:high] = 1 / (high - low)
        elif method == "bilinear":
            below = max(0.0, at - 0.5)
            first = min(size - 1, math.floor(below))
            share = below - first
            found[k, first] += 1 - share
            found[k, min(size - 1, first + 1)] += share
        else:  # cubic convolution, a = -0.75
            first = math.floor(at - 0.5)
            for tap in range(first - 1, first + 3):
                x = abs(at - 0.5 - tap)
                inner = (1.25 * x - 2.25) * x * x + 1
                outer = -0.75 * (((x - 5) * x + 8) * x - 4)
                found[k, min(size - 1, max(0, tap))] += inner if x <= 1 else outer
    return found


def by_weights(frames: np.ndarray, method: str, height: int, width: int) -> np.ndarray:
    rows, columns = weights(method, frames.shape[1], height), weights(method, frames.shape[2], width)
    return np.clip(np.einsum("yh,xw,fhwc->fyxc", rows, columns, frames.astype(np.float64), optimize=True), 0, 1)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(11, 29), (40, 40), (5, 7), (1, 1), (64, 3)])
def test_each_method_resizes_by_its_definition(method, height, width):
    frames = noise(10, 20, 14, 3)
    found = read(common_upscale(pictures(frames), width, height, method, "disabled"))
    np.testing.assert_allclose(found, by_weights(frames, method, height, width), atol=3e-6)
    one = frames[..., 1]
    found = read(common_upscale(masks(one), width, height, method, "disabled"))
    np.testing.assert_allclose(found, by_weights(one[..., None], method, height, width)[..., 0], atol=3e-6)


def test_lanczos_is_pillows_on_truncated_bytes():
    frames = np.random.default_rng(1).random((3, 20, 14, 3)).astype(np.float32)
    bytes_FHWC = np.floor(frames.astype(np.float64) * 255).astype(np.uint8)
    wanted = [np.asarray(Image.fromarray(each).resize((9, 31), Image.Resampling.LANCZOS)) for each in bytes_FHWC]
    found = read(common_upscale(pictures(frames), 9, 31, "lanczos", "disabled"))
    assert np.array_equal(found, np.stack(wanted).astype(np.float32) / np.float32(255))
    assert read(common_upscale(masks(frames[..., 0]), 9, 31, "lanczos", "disabled")).shape == (3, 31, 9)


@pytest.mark.parametrize(
    ("size", "new", "rows", "columns"),
    [
        ((100, 201), (50, 50), (0, 100), (50, 151)),  # (201 - 100) / 2 = 50.5 rounds to even
        ((100, 203), (50, 50), (0, 100), (51, 152)),  # 51.5 in real numbers, but 203 * (1 / 2.03) > 100
        ((301, 100), (50, 100), (126, 175), (0, 100)),  # (301 - 50) / 2 = 125.5
        ((64, 64), (8, 8), (0, 64), (0, 64)),
        ((50, 60), (40, 40), (0, 50), (5, 55)),
        ((480, 832), (512, 512), (0, 480), (176, 656)),
    ],
)
def test_the_centre_has_rounded_margins(size, new, rows, columns):
    frames = noise(1, *size, 3)
    found = read(common_upscale(pictures(frames), new[1], new[0], "area", "center"))
    cut = frames[:, rows[0] : rows[1], columns[0] : columns[1]]
    np.testing.assert_allclose(found, by_weights(cut, "area", *new), atol=3e-6)


def test_a_thin_picture_keeps_a_pixel_under_a_far_aspect_ratio():
    assert read(common_upscale(pictures(noise(1, 1, 9, 3)), 4000, 1, "bilinear", "center")).shape == (1, 1, 4000, 3)


@pytest.mark.parametrize(
    ("kind", "given", "size"),
    [
        ("scale dimensions", {"width": 40, "height": 30, "crop": "center"}, (40, 30)),
        ("scale dimensions", {"width": 0, "height": 50, "crop": "disabled"}, (35, 50)),
        ("scale dimensions", {"width": 7, "height": 0, "crop": "disabled"}, (7, 10)),
        ("scale dimensions", {"width": 0, "height": 0, "crop": "disabled"}, (14, 20)),
        ("scale by multiplier", {"multiplier": 1.5}, (21, 30)),
        ("scale longer dimension", {"longer_size": 40}, (28, 40)),
        ("scale shorter dimension", {"shorter_size": 28}, (28, 40)),
        ("scale width", {"width": 21}, (21, 30)),
        ("scale height", {"height": 10}, (7, 10)),
        ("scale total pixels", {"megapixels": 0.01}, (86, 122)),  # sqrt(10485 / 280) = 6.119
        ("scale to multiple", {"multiple": 8}, (8, 16)),
        ("scale to multiple", {"multiple": 64}, (14, 20)),
    ],
)
def test_resize_types(kind, given, size):
    inputs = {f"resize_type.{name}": value for name, value in given.items()}
    image, mask = pictures(noise(9, 20, 14, 3)), masks(noise(9, 20, 14))
    for source in (image, mask):
        (found,) = EVALUATED["ResizeImageMaskNode"](
            {"input": source, "resize_type": kind, "scale_method": "area", **inputs}, None
        )
        assert (found.width, found.height, found.count) == (*size, 9)
        read(found)


def test_a_picture_takes_the_size_of_another_and_multiples_lose_their_edges():
    image, other = noise(1, 20, 14, 3), masks(noise(1, 9, 9))
    (found,) = run("ResizeImageMaskNode", input=pictures(image), resize_type="match size", scale_method="bilinear",
                   resize_type__match=other, resize_type__crop="center")  # fmt: skip
    np.testing.assert_allclose(read(found), by_weights(image[:, 3:17], "bilinear", 9, 9), atol=3e-6)
    (found,) = run("ResizeImageMaskNode", input=pictures(image), resize_type="scale to multiple",
                   scale_method="bilinear", resize_type__multiple=10)  # fmt: skip
    assert np.array_equal(read(found), image[:, :, 2:12])


def test_image_scale():
    image = noise(2, 20, 14, 3)
    (found,) = run("ImageScale", image=pictures(image), upscale_method="bilinear", width=28, height=0, crop="disabled")
    np.testing.assert_allclose(read(found), by_weights(image, "bilinear", 40, 28), atol=3e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs")
    rgba = (noise(6, 4, 4, seed=3) * 255).round().astype(np.uint8)
    Image.fromarray(rgba).save(path / "alpha.png")
    Image.fromarray(rgba[..., :3]).save(path / "plain.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(rgba).save(path / "turned.png", exif=turned)
    frames = [Image.fromarray(np.roll(rgba, step, axis=1)) for step in range(11)]
    frames[0].save(path / "moves.webp", save_all=True, append_images=frames[1:], lossless=True, exact=True)
    palette = Image.fromarray(rgba[..., :3]).quantize(8)
    palette.save(path / "palette.png", transparency=2)
    still = Image.fromarray(rgba[..., :3])
    still.save(path / "pages.tif", save_all=True, append_images=[Image.new("RGB", (9, 9)), still.rotate(180)])
    grays = np.array([[0, 128, 257], [65535, 32896, 256]], np.uint16)
    Image.fromarray(grays).save(path / "deep.png")
    return path


def load(folder, name):
    return run("LoadImage", Folder(folder), image=name)


def test_pictures_keep_the_colours_under_their_alpha(folder):
    stored = np.asarray(Image.open(folder / "alpha.png")).astype(np.float32)[None] / np.float32(255)
    image, mask = load(folder, "alpha.png")
    assert np.array_equal(read(image), stored[..., :3]) and np.array_equal(read(mask), 1 - stored[..., 3])
    image, mask = load(folder, "plain.png")
    assert np.array_equal(read(image), stored[..., :3])
    assert np.array_equal(read(mask), np.zeros((1, 64, 64), np.float32))


def test_pictures_are_turned_upright_with_their_mask(folder):
    stored = np.asarray(Image.open(folder / "alpha.png")).astype(np.float32) / np.float32(255)
    image, mask = load(folder, "turned.png")
    upright = np.rot90(stored, -1)
    assert np.array_equal(read(image)[0], upright[..., :3]) and np.array_equal(read(mask)[0], 1 - upright[..., 3])


def test_an_animation_is_a_batch_and_pages_of_another_size_are_left_out(folder):
    stored = np.asarray(Image.open(folder / "alpha.png")).astype(np.float32) / np.float32(255)
    image, mask = load(folder, "moves.webp")
    assert (image.count, mask.count) == (11, 11)
    for k, (colors, share) in enumerate(zip(read(image), read(mask))):
        assert np.array_equal(colors, np.roll(stored, k, axis=1)[..., :3]), k
        assert np.array_equal(share, 1 - np.roll(stored, k, axis=1)[..., 3]), k
    assert np.array_equal(read(image, 9, 11), read(image)[9:])
    image, _ = load(folder, "pages.tif")
    assert np.array_equal(read(image), np.stack([stored[..., :3], stored[::-1, ::-1, :3]]))


def test_palettes_and_deep_pictures(folder):
    palette = Image.open(folder / "palette.png")
    image, mask = load(folder, "palette.png")
    assert np.array_equal(read(mask)[0], (np.asarray(palette) == 2).astype(np.float32))
    assert np.array_equal(to_uint8(read(image))[0], np.asarray(palette.convert("RGB")))
    image, _ = load(folder, "deep.png")
    assert to_uint8(read(image))[0, ..., 0].tolist() == [[0, 0, 1], [255, 128, 1]]


def test_files_that_are_no_pictures_are_refused(folder, real_data):
    with pytest.raises(MediaError, match=r"none\.png: no such file"):
        load(folder, "none.png")
    with pytest.raises(MediaError, match=r"cat\.mp4: not a picture"):
        load(real_data, "cat.mp4")


def test_a_clip_comes_apart_and_together(real_data, tmp_path):
    files = Folder(real_data)
    (video,) = run("LoadVideo", files, file="realshort.mp4")
    images, sound, fps, bits, space = run("GetVideoComponents", files, video=video)
    frames_FHWC, rate = read_video(real_data / "realshort.mp4")
    assert (images.count, fps, bits, space) == (len(frames_FHWC), rate, "8", "sRGB")
    assert np.array_equal(to_uint8(read(images)), frames_FHWC), "bytes survive the way to floats and back"
    assert np.array_equal(to_uint8(read(images, 21, 30)), frames_FHWC[21:30])
    assert sound is not None and sound.rate_hz == 48000 and sound.read().shape[1] in (1, 2)
    (made,) = run("CreateVideo", images=images, fps=16, audio=sound, bit_depth="10", color_space="sRGB", codec="av1")
    assert (made.pictures, made.fps, made.sound, made.bit_depth, made.codec) == (images, 16.0, sound, "10", "av1")
    (silent,) = run("CreateVideo", images=images)
    assert (silent.fps, silent.sound, silent.codec) == (30.0, None, "none")
    with pytest.raises(RequestError, match=r"edit\.trim"):
        run("LoadVideo", files, file="realshort.mp4", edit__trim=[0, 1])


def test_frames_of_a_batch():
    frames = noise(20, 6, 5, 3)
    image = pictures(frames, size=3)
    for index, length, wanted in ((3, 9, (3, 12)), (18, 9, (18, 20)), (99, 4, (19, 20)), (-5, 2, (0, 2))):
        (found,) = run("ImageFromBatch", image=image, batch_index=index, length=length)
        assert np.array_equal(read(found), frames[slice(*wanted)])
    (found,) = run("RepeatImageBatch", image=image, amount=3)
    assert np.array_equal(read(found), np.tile(frames, (3, 1, 1, 1)))
    assert np.array_equal(read(found, 17, 45), np.tile(frames, (3, 1, 1, 1))[17:45])
    assert run("GetImageSize", image=found) == (5, 6, 60)


def test_batches_are_joined_in_the_order_of_their_numbers():
    first, large, clear = noise(2, 6, 8, 3), noise(3, 12, 32, 3, seed=1), noise(1, 6, 8, 4, seed=2)
    (found,) = run("BatchImagesNode", images__image0=pictures(first), images__image10=pictures(clear),
                   images__image2=pictures(large, size=2))  # fmt: skip
    frames = read(found)
    assert found.channels == 4 and np.array_equal(frames[:2, ..., :3], first)
    np.testing.assert_allclose(frames[2:5, ..., :3], by_weights(large[:, :, 8:24], "bilinear", 6, 8), atol=3e-6)
    assert (frames[:5, ..., 3] == 1).all() and np.array_equal(frames[5:], clear)
    assert np.array_equal(read(found, 1, 4), frames[1:4])
    with pytest.raises(RequestError, match="has no pictures"):
        run("BatchImagesNode")


def test_the_border_of_outpainting_pixel_by_pixel():
    frames = noise(2, 20, 24, 3)
    left, top, right, bottom, feather = 3, 0, 0, 5, 7
    image, mask = run("ImagePadForOutpaint", image=pictures(frames), left=left, top=top, right=right, bottom=bottom,
                      feathering=feather)  # fmt: skip
    wanted, share = np.full((2, 25, 27, 3), 0.5), np.ones((25, 27))
    for y in range(20):
        for x in range(24):
            wanted[:, y + top, x + left] = frames[:, y, x]
            nearest = min(x, 20 - y)  # from the left and the bottom, which alone have a border
            share[y + top, x + left] = ((feather - nearest) / feather) ** 2 if nearest < feather else 0
    np.testing.assert_array_equal(read(image), wanted.astype(np.float32))
    np.testing.assert_allclose(read(mask), share[None], atol=1e-6)
    _, mask = run("ImagePadForOutpaint", image=pictures(frames), left=3, feathering=10)
    assert read(mask).sum() == 3 * 20, "not larger than twice the feathering: none"


def test_masks_grow_and_shrink_step_by_step():
    start = noise(3, 9, 12)
    for expand, tapered in ((1, True), (3, True), (2, False), (-2, True), (-1, False), (0, True), (500, False)):
        best = np.max if expand > 0 else np.min
        wanted = start.copy()
        for _ in range(min(abs(expand), 30)):
            before = wanted.copy()
            for y in range(9):
                for x in range(12):
                    near = [
                        before[:, y + dy, x + dx]
                        for dy in (-1, 0, 1)
                        for dx in (-1, 0, 1)
                        if 0 <= y + dy < 9 and 0 <= x + dx < 12 and (not tapered or dy == 0 or dx == 0)
                    ]
                    wanted[:, y, x] = best(near, axis=0)
        (found,) = run("GrowMask", mask=masks(start), expand=expand, tapered_corners=tapered)
        assert np.array_equal(read(found), wanted), (expand, tapered)


def test_masks_become_pictures_and_back():
    values = noise(10, 5, 6)
    (image,) = run("MaskToImage", mask=masks(values))
    assert np.array_equal(read(image), np.stack([values] * 3, axis=-1))
    (inverse,) = run("InvertMask", mask=masks(values))
    assert np.array_equal(read(inverse), 1 - values)
    colors = noise(10, 5, 6, 4, seed=1)
    for index, channel in enumerate(("red", "green", "blue", "alpha")):
        (mask,) = run("ImageToMask", image=pictures(colors), channel=channel)
        assert np.array_equal(read(mask), colors[..., index])
    with pytest.raises(RequestError, match="alpha, but the picture has 3 channels"):
        run("ImageToMask", image=pictures(colors[..., :3]), channel="alpha")
    (solid,) = run("SolidMask", value=0.3, width=7, height=4)
    assert np.array_equal(read(solid), np.full((1, 4, 7), 0.3, np.float32))


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (5, 3), (-3, -2), (15, 0), (40, 40), (-90, 2)])
def test_compositing_pixel_by_pixel(x, y, with_mask):
    below, above, share = noise(11, 10, 16, 3), noise(4, 6, 7, 3, seed=1), noise(3, 12, 14, seed=2)
    inputs = {"mask": masks(share)} if with_mask else {}
    (found,) = run("ImageCompositeMasked", destination=pictures(below), source=pictures(above, size=3), x=x, y=y,
                   resize_source=False, **inputs)  # fmt: skip
    share = by_weights(share[..., None], "bilinear", 6, 7) if with_mask else np.ones((3, 6, 7, 1))
    wanted = below.astype(np.float64)
    for k in range(11):
        for row in range(6):
            for column in range(7):
                if 0 <= y + row < 10 and 0 <= x + column < 16:
                    part = share[k % 3, row, column, 0]
                    old = below[k, y + row, x + column]
                    wanted[k, y + row, x + column] = part * above[k % 4, row, column] + (1 - part) * old
    np.testing.assert_allclose(read(found), wanted, atol=3e-6)
    assert np.array_equal(read(found, 5, 10), read(found)[5:10])


def test_a_source_is_stretched_and_gets_alpha_when_it_must():
    below, above = noise(2, 8, 8, 4), noise(1, 4, 2, 3, seed=1)
    (found,) = run("ImageCompositeMasked", destination=pictures(below), source=pictures(above), resize_source=True)
    frames = read(found)
    np.testing.assert_allclose(frames[..., :3], by_weights(above, "bilinear", 8, 8).repeat(2, 0), atol=3e-6)
    assert (frames[..., 3] == 1).all()


def test_alpha_is_the_inverse_of_a_mask():
    image, alpha = noise(5, 8, 6, 4), noise(1, 4, 3, seed=1)
    (found,) = run("JoinImageWithAlpha", image=pictures(image), alpha=masks(alpha))
    frames = read(found)
    assert found.count == 5 and np.array_equal(frames[..., :3], image[..., :3])
    np.testing.assert_allclose(frames[..., 3:], np.repeat(1 - by_weights(alpha[..., None], "bilinear", 8, 6), 5, 0),
                               atol=3e-6)  # fmt: skip


def edges_by_hand(frame: np.ndarray, low: float, high: float) -> np.ndarray:
    """Canny's method in float64, pixel by pixel."""
    height, width = frame.shape[:2]
    gray = frame @ [0.299, 0.587, 0.114]
    bell = np.exp(-(np.arange(-2, 3) ** 2) / 2)
    bell /= bell.sum()
    wide = np.pad(gray, 2, mode="reflect")
    smooth = sum(bell[a] * bell[b] * wide[a : a + height, b : b + width] for a in range(5) for b in range(5))
    p = np.pad(smooth, 1, mode="edge")
    right = (p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:]) - (p[:-2, :-2] + 2 * p[1:-1, :-2] + p[2:, :-2])
    down = (p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:]) - (p[:-2, :-2] + 2 * p[:-2, 1:-1] + p[:-2, 2:])
    length = np.sqrt(right**2 + down**2 + 1e-6)
    steps = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
    padded = np.pad(length, 1, constant_values=1e-3)
    found = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            turn = round(math.degrees(math.atan2(down[y, x], right[y, x])) / 45)
            near = [padded[1 + y + dy, 1 + x + dx] for dy, dx in (steps[turn % 8], steps[(turn + 4) % 8])]
            if length[y, x] > max(near) and length[y, x] > low:
                found[y, x] = 2 if length[y, x] > high else 1
    grown = True
    while grown:
        grown = False
        for y, x in np.argwhere(found == 1):
            if (found[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] == 2).any():
                found[y, x], grown = 2, True
    return found == 2


def test_edges_of_a_real_clip(real_data):
    frames = read_video(real_data / "cat.mp4")[0][[0, 12], 200:300, 150:270].astype(np.float32) / np.float32(255)
    for low, high in ((0.4, 0.8), (0.1, 0.3)):
        wanted = np.stack([edges_by_hand(frame.astype(np.float64), low, high) for frame in frames])
        (found,) = run("Canny", image=pictures(frames), low_threshold=low, high_threshold=high)
        edges = read(found)
        assert 0.01 < wanted.mean() < 0.2 and (edges[..., 0] != wanted).sum() <= 2, "ties aside"
        assert np.array_equal(edges[..., 0], edges[..., 2]) and set(np.unique(edges)) == {0, 1}


def test_of_two_equal_gradients_across_a_step_one_stays():
    """Drawn steps have them everywhere. Which of the two stays is decided by the last bit, also in kornia 0.9."""
    heights = np.arange(60, 256, dtype=np.float32) / np.float32(255)
    steps = np.zeros((len(heights), 12, 12, 3), np.float32)
    steps[:, :, 6:] = heights[:, None, None, None]
    for frames in (steps, steps.swapaxes(1, 2)):
        edges = canny_edges(frames, 0.2, 0.4)
        edges = edges if frames is steps else edges.swapaxes(1, 2)
        assert (edges.sum((1, 2)) == 12).all() and (edges[..., 5:7].all(1).sum(1) == 1).all()


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(RequestError, match="low_threshold"):
        run("Canny", image=pictures(noise(1, 8, 8, 3)), low_threshold=0.9, high_threshold=0.2)


def test_large_sizes_and_numbers_are_refused_or_lazy():
    image = pictures(noise(1, 4, 4, 3))
    for kind, inputs in (
        ("SolidMask", {"width": 16384, "height": 16384}),
        ("SolidMask", {"width": 0, "height": 8}),
        ("ImageScale", {"image": image, "width": 16384, "height": 16384}),
        ("ImagePadForOutpaint", {"image": image, "left": 16384, "top": 16384}),
        ("ImagePadForOutpaint", {"image": image, "left": -1}),
    ):
        with pytest.raises(RequestError, match="Legal"):
            run(kind, **inputs)
    many = image
    (many,) = run("RepeatImageBatch", image=many, amount=4096)
    with pytest.raises(RequestError, match="16,777,216 frames"):
        run("RepeatImageBatch", image=many, amount=4096)
    (large,) = run("ImageScale", image=many, upscale_method="bilinear", width=2048, height=2048)
    (grown,) = run("ImageToMask", image=large, channel="red")
    tracemalloc.start()
    first = next(grown.blocks(4000, 4096))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.shape == (1, 2048, 2048) and peak < 200e6


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """500 frames, each of its own brightness."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"

    def chunks():
        for start in range(0, 500, 50):
            gray = (np.arange(start, start + 50) % 200 + 20).astype(np.uint8)
            yield Chunk(np.broadcast_to(gray[:, None, None, None], (50, 48, 64, 3)), start, 25.0)

    return write(chunks(), path, quality="draft")


def chain(path) -> Pictures:
    files = Folder(path.parent)
    (video,) = run("LoadVideo", files, file=path.name)
    images, *_ = run("GetVideoComponents", files, video=video)
    (large,) = run("ResizeImageMaskNode", input=images, resize_type="scale dimensions", resize_type__width=96,
                   resize_type__height=96, resize_type__crop="center", scale_method="bilinear")  # fmt: skip
    (mask,) = run("ImageToMask", image=large, channel="green")
    (mask,) = run("GrowMask", mask=mask, expand=3)
    (mask,) = run("InvertMask", mask=mask)
    (edges,) = run("MaskToImage", mask=mask)
    (image,) = run("ImageCompositeMasked", destination=large, source=edges, mask=mask, x=10)
    return image


def test_memory_is_flat_over_a_long_clip(long_clip):
    image = chain(long_clip)
    peaks = []
    for stop in (40, 500):
        tracemalloc.start()
        count = sum(len(block) for block in image.blocks(0, stop))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == stop
    assert peaks[1] < 1.15 * peaks[0], peaks


def test_blocks_from_the_middle_equal_those_from_the_start(long_clip):
    image = chain(long_clip)
    frames = read(image, 0, 70)
    for start, stop in ((67, 70), (50, 51), (13, 60)):
        assert np.array_equal(read(image, start, stop), frames[start:stop])


def test_a_reader_that_stops_closes_the_files(long_clip):
    closed = []

    def source():
        try:
            while True:
                yield np.zeros((3, 2, 2, 3), np.float32)
        finally:
            closed.append(True)

    found = pieces(source(), 2)
    next(found)
    found.close()
    assert closed == [True]


def test_a_clip_that_ends_early_is_an_error(long_clip, tmp_path):
    """An index may promise frames that cannot be decoded."""
    files = Folder(long_clip.parent)
    (video,) = run("LoadVideo", files, file=long_clip.name)
    with pytest.raises(MediaError, match="frame 500 of 503 cannot be decoded"):
        list(video.pictures.blocks(490, 503))


def test_an_object_is_followed_once_however_often_its_masks_are_read(real_data, monkeypatch):
    frames = read_video(real_data / "cat.mp4")[0][:3, ::8, ::8]
    image = pictures(frames / np.float32(255))
    wanted = np.stack([each > 0.5 for each in track.follow(iter(frames), Start(click=(0.5, 0.5)))])
    assert 0.02 < wanted.mean() < 0.9
    runs = []
    follow = track.follow
    monkeypatch.setattr(track, "follow", lambda *given, **more: runs.append(given) or follow(*given, **more))
    height, width = frames.shape[1:3]
    points = json.dumps([{"x": width / 2, "y": height / 2}])
    mask, _ = run("SAM3_Detect", image=image, model=None, positive_coords=points, threshold=0.5)
    assert np.array_equal(read(mask, 1, 2), wanted[1:2]) and np.array_equal(read(mask), wanted) and len(runs) == 1


def test_words_are_found_on_the_first_frame(monkeypatch):
    monkeypatch.setattr(find, "finder", lambda: Path("here"))
    starts = []
    monkeypatch.setattr(track, "follow", lambda frames, start: starts.append(start) or (f[..., 0] for f in frames))
    mask, _ = run("SAM3_Detect", image=pictures(noise(3, 4, 4, 3)), conditioning=SimpleNamespace(text=" a cat "))
    read(mask)
    assert starts == [Start(words="a cat")]


def test_a_tracker_that_fails_begins_again(monkeypatch):
    attempts = []

    def fails_once(frames, start):
        attempts.append(start)
        for index, frame_HWC in enumerate(frames):
            if index == 2 and len(attempts) == 1:
                raise MediaError("damaged")
            yield (frame_HWC[..., 0] > 127).astype(np.float32)

    monkeypatch.setattr(track, "follow", fails_once)
    frames = noise(5, 4, 4, 3)
    mask, _ = run("SAM3_Detect", image=pictures(frames), positive_coords='[{"x": 1, "y": 1}]')
    with pytest.raises(MediaError, match="damaged"):
        read(mask)
    assert np.array_equal(read(mask), to_uint8(frames)[..., 0] > 127) and len(attempts) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing says which object"),
        ({"conditioning": SimpleNamespace(text="")}, "nothing says which object"),
        ({"positive_coords": "[]"}, "one point in pixels"),
        ({"positive_coords": "{"}, "positive_coords"),
        ({"positive_coords": '[{"x": 1, "y": 99}]'}, "outside the frame"),
        ({"positive_coords": '[{"x": 1, "y": 1}]', "negative_coords": '[{"x": 1, "y": 1}]'}, "negative_coords"),
        ({"conditioning": SimpleNamespace(text="cat"), "individual_masks": True}, "individual_masks"),
        ({"conditioning": SimpleNamespace(text="cat"), "bboxes": [1]}, "bboxes"),
    ],
)
def test_what_the_tracker_cannot_do_is_refused(given, message):
    with pytest.raises(RequestError, match=message):
        run("SAM3_Detect", image=pictures(noise(2, 8, 8, 3)), **given)


def test_words_without_a_detector_name_its_weights(monkeypatch):
    monkeypatch.setattr(find, "_first_here", lambda names: None)
    with pytest.raises(WeightsMissing, match="kinema models pull"):
        run("SAM3_Detect", image=pictures(noise(2, 8, 8, 3)), conditioning=SimpleNamespace(text="cat"))


def test_nodes_that_save_or_show_hand_their_input_on():
    image, mask = pictures(noise(1, 4, 4, 3)), masks(noise(1, 4, 4))
    assert run("PreviewImage", images=image) == run("SaveImage", images=image) == (image,)
    assert run("MaskPreview", mask=mask) == (mask,)
    saved = {kind: EVALUATED[kind] for kind in EVALUATED if kind in SAVED}
    assert all(len(DECLARED[kind].outputs) == 1 for kind in saved) and len(saved) == 4


def test_every_evaluated_node_is_declared_and_runs():
    for kind in (*EVALUATED, *SAVED):
        assert kind in DECLARED and not DECLARED[kind].missing, kind
