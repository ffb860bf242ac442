"""Paths from text files, JSON and SVG: one path gives the same positions in every format, and nothing is guessed."""

import json
import math

import numpy as np
import pytest

import kinema
from kinema.conditions import svg_path, trajectory
from kinema.conditions.path_file import MAX_PATHS, read_paths
from kinema.conditions.trajectory import positions
from kinema.core.errors import MediaError, RequestError

SIZES = ((64, 64), (832, 480), (480, 832))
ZIGZAG = ((16, 152), (23, 138), (39.5, 122), (39.5, 122), (39.5, 122), (54, 115), (75, 118), (200, 7))
"""On Tora's canvas, with a pause."""


def one(path, text):
    path.write_text(text)
    (found,) = read_paths(path)
    return found


def drawing(shapes, canvas='viewBox="0 0 256 256"'):
    return f'<svg xmlns="http://www.w3.org/2000/svg" {canvas}>{shapes}</svg>'


def test_one_path_in_every_format_gives_the_same_positions(tmp_path, real_data):
    for number, points in enumerate([ZIGZAG, *tora_files(real_data)]):
        pairs = " ".join(f"{x},{y}" for x, y in points)
        folder = tmp_path / str(number)
        folder.mkdir()
        formats = {
            "a.txt": "\n".join(f"{x},{y}" for x, y in points),
            "pixels.json": json.dumps({"size": [256, 256], "points": points}),
            "fractions.json": json.dumps([[x / 256, y / 256] for x, y in points]),
            "timed.json": json.dumps([{"x": x / 256, "y": y / 256, "t": i / (len(points) - 1)}
                                      for i, (x, y) in enumerate(points)]),
            "seconds.json": json.dumps({"size": "256x256", "duration": 3.0, "paths": [
                {"points": points, "times": [3 * i / (len(points) - 1) for i in range(len(points))]}]}),
            "polyline.svg": drawing(f'<polyline points="{pairs}"/>'),
            "path.svg": drawing(f'<path d="M{pairs}"/>'),
            "large.svg": drawing(f'<g transform="translate(-100 7)"><polyline transform="matrix(2 0 0 2 100 -7)" '
                                 f'points="{pairs}"/></g>', 'viewBox="0 0 512 512" width="256" height="256"'),
        }  # fmt: skip
        text = one(folder / "first.txt", formats["a.txt"])
        for name, content in formats.items():
            path = one(folder / name, content)
            for size in SIZES:
                for frames in (1, 2, 17, 81):
                    got, want = positions(path, frames, size), positions(text, frames, size)
                    assert got.shape == (frames, 2)
                    exact = name not in ("timed.json", "seconds.json")
                    np.testing.assert_allclose(got, want, atol=0 if exact else 1e-9, err_msg=f"{name} {frames} {size}")


def tora_files(real_data):
    for path in sorted((real_data / "trajectories").glob("*.txt")):
        yield [tuple(float(part) for part in line.split(",")) for line in path.read_text().splitlines() if line.strip()]


def test_positions_are_those_of_before(real_data):
    """What Wan drew from a text file before paths had times: linear interpolation between the lines of the file."""
    for points in tora_files(real_data):
        condition = kinema.Trajectory(points=[(x / 256, y / 256) for x, y in points])
        for frames in (2, 17, 81):
            when, ticks = np.linspace(0, len(points) - 1, frames), np.arange(len(points))
            want = np.stack([np.interp(when, ticks, [p[axis] / 256 for p in points]) for axis in (0, 1)], 1)
            assert (trajectory.fractions(condition, frames) == want).all()
            assert (positions(condition, frames, (832, 480)) == want * (832, 480)).all()
    old = {"kind": "trajectory", "points": [[0.0, 0.5], [1.0, 0.0]], "object": "", "color": None}
    assert kinema.Request(conditions=[old]).conditions[0].model_dump(mode="json") == old, "an old request stays itself"


def test_pauses_stay_pauses():
    path = kinema.Trajectory(points=[(0.2, 0.5), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5), (0.8, 0.5)])
    x_F = positions(path, 9, (100, 100))[:, 0]
    assert x_F.tolist() == pytest.approx([20, 35, 50, 50, 50, 50, 50, 65, 80])
    times = trajectory.length_times(np.array([(0, 0), (1, 0), (1, 0), (4, 0)]))
    assert times == pytest.approx((0, 1 / 6, 1 / 2, 1)), "a pause has its third; the rest is shared by length"
    assert trajectory.length_times(np.array([(2, 2)] * 4)) == pytest.approx((0, 1 / 3, 2 / 3, 1))


def test_times_of_the_points_decide():
    path = kinema.Trajectory(points=[(0.1, 0.1), (0.5, 0.1), (0.9, 0.9)], times=(0.25, 0.5, 0.75))
    found = positions(path, 9, (100, 100))
    assert found[:3, 0].tolist() == pytest.approx([10, 10, 10]), "rests before the first time"
    assert found[4].tolist() == pytest.approx([50, 10])
    assert found[5].tolist() == pytest.approx([70, 50])
    assert found[6:].tolist() == [pytest.approx([90, 90])] * 3, "rests after the last time"


def test_constant_speed(tmp_path):
    uneven = [[0.1, 0.5], [0.15, 0.5], [0.2, 0.5], [0.9, 0.5]]
    by_length = one(tmp_path / "a.json", json.dumps({"points": uneven, "spacing": "length"}))
    steps = np.diff(positions(by_length, 33, (100, 100))[:, 0])
    np.testing.assert_allclose(steps, 80 / 32, rtol=1e-9)
    curve = one(tmp_path / "a.svg", drawing('<path d="M20 200 C 20 20, 240 20, 240 200"/>'))
    steps = np.hypot(*np.diff(positions(curve, 33, (256, 256)), axis=0).T)
    assert steps.std() / steps.mean() < 0.01
    straight = drawing('<polyline data-spacing="length" points="26,128 38,128 52,128 230,128"/>')
    steps = np.diff(positions(one(tmp_path / "b.svg", straight), 33, (100, 100))[:, 0])
    assert steps.std() < 1e-9


@pytest.mark.parametrize(
    ("shape", "at"),
    [
        ('<circle cx="128" cy="128" r="64"/>', {0: (192, 128), 0.25: (128, 192), 0.5: (64, 128), 1: (192, 128)}),
        ('<ellipse cx="50%" cy="50%" rx="64" ry="32"/>', {0: (192, 128), 0.25: (128, 160), 0.5: (64, 128)}),
        ('<line x1="0" y1="64" x2="256" y2="64"/>', {0: (0, 64), 0.5: (128, 64), 1: (256, 64)}),
        ('<rect x="64" y="64" width="128" height="128"/>', {0: (64, 64), 0.25: (192, 64), 0.75: (64, 192)}),
        ('<polygon points="64,64 192,64 192,192 64,192"/>', {0: (64, 64), 0.5: (192, 192), 1: (64, 64)}),
        ('<path d="M64 128a64 64 0 0164-64 64 64 0 0164 64"/>', {0: (64, 128), 0.5: (128, 64), 1: (192, 128)}),
        ('<path d="m 64,64 h 128 v 128 H 64 z"/>', {0: (64, 64), 0.25: (192, 64), 0.5: (192, 192), 1: (64, 64)}),
        ('<path d="M0 128Q64 0 128 128T256 128"/>', {0: (0, 128), 0.25: (64, 64), 0.5: (128, 128), 0.75: (192, 192)}),
        ('<g transform="rotate(90 128 128)"><line x1="28" y1="128" x2="228" y2="128"/></g>', {0: (128, 28)}),
        ('<line transform="scale(2) translate(10,20)" x1="0" y1="0" x2="50" y2="0"/>', {0: (20, 40), 1: (120, 40)}),
    ],
)  # fmt: skip
def test_shapes_of_a_drawing(tmp_path, shape, at):
    found = positions(one(tmp_path / "a.svg", drawing(shape)), 101, (256, 256))
    for when, place in at.items():
        assert found[round(100 * when)].tolist() == pytest.approx(place, abs=0.5), when


def test_the_canvas_of_a_drawing_covers_the_frame(tmp_path):
    line = '<line x1="10" y1="20" x2="110" y2="70"/>'
    for canvas, want in (
        ('viewBox="10 20 100 50"', [(0, 0), (1, 1)]),
        ('width="200" height="100"', [(0.05, 0.2), (0.55, 0.7)]),
        ('width="100%" height="100%" viewBox="0 0 200 100"', [(0.05, 0.2), (0.55, 0.7)]),
        ('width="40mm" height="20mm" viewBox="0 0 200 100"', [(0.05, 0.2), (0.55, 0.7)]),
        # an outer canvas of another aspect: letterboxed, or stretched
        ('width="200" height="200" viewBox="0 0 200 100"', [(0.05, 0.35), (0.55, 0.6)]),
        ('width="200" height="200" viewBox="0 0 200 100" preserveAspectRatio="xMidYMin"', [(0.05, 0.1), (0.55, 0.35)]),
        ('width="200" height="200" viewBox="0 0 200 100" preserveAspectRatio="none"', [(0.05, 0.2), (0.55, 0.7)]),
    ):
        found = one(tmp_path / "a.svg", drawing(line, canvas)).points
        np.testing.assert_allclose(found, want, atol=1e-12, err_msg=canvas)


def test_several_objects_in_one_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"size": [200, 100], "paths": [
        {"points": [[0, 50], [200, 50]], "object": "red ball", "color": [255, 0, 0]},
        [[100, 0], [100, 100]],
    ]}))  # fmt: skip
    ball, other = read_paths(tmp_path / "a.json")
    assert (ball.object, ball.color, ball.points) == ("red ball", (255, 0, 0), ((0, 0.5), (1, 0.5)))
    assert other.points == ((0.5, 0), (0.5, 1))
    (tmp_path / "b.json").write_text("[[[0, 0.5], [1, 0.5]], [[0.5, 0], [0.5, 1]]]")
    assert [each.points for each in read_paths(tmp_path / "b.json")] == [ball.points, other.points]
    shapes = (
        '<rect width="100%" height="100%" fill="white"/><defs><path d="M0 0 L9 9"/></defs>'
        '<g style="display:none"><path d="M0 0 L9 9"/></g>'
        '<path d="M0 128H256" data-object="red ball" data-color="255 0 0"/><path d="M128 0V256 M0 0 L256 256"/>'
    )
    (tmp_path / "c.svg").write_text(drawing(shapes))
    found = read_paths(tmp_path / "c.svg")
    assert [each.points for each in found] == [ball.points, other.points, ((0, 0), (1, 1))]
    assert (found[0].object, found[0].color) == ("red ball", (255, 0, 0))
    (tmp_path / "no_suffix").write_text(drawing(shapes))
    assert read_paths(tmp_path / "no_suffix") == found


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "two or more points, got 0"),
        ("a.txt", "1,2\n", "two or more points, got 1"),
        ("a.txt", "1,2\nnan,4\n", "line 2.*nan"),
        ("a.txt", "1,2\ninf,4\n", "line 2.*inf"),
        ("a.txt", "1,2\n1e300,4\n", "line 2.*256x256.*-128 to 384"),
        ("a.txt", "100,100\n700,200\n", 'line 2: 700,200.*256x256.*-128 to 384.*"size"'),
        ("a.txt", "0.1,0.5\n0.9,0.5\n", "may be fractions.*JSON"),
        ("a.txt", b"\xff\xfe\x00\xd8", "not a text file"),
        ("a.json", "[[0.1, 0.5], [600, 0.5]]", r'600 is not a fraction.*-0\.5 to 1\.5.*"size"'),
        ("a.json", '{"size": [832, 480], "points": [[0.1, 0.5], [0.9, 0.5]]}', "no number is above 1.*832x480"),
        ("a.json", '{"size": [832, 480], "points": [[10, 50], [5000, 50]]}', r"points\[1\] = \[5000, 50\].*832x480"),
        ("a.json", '{"size": [832], "points": [[10, 50], [50, 50]]}', r"size = \[832\].*832, 480"),
        ("a.json", "[[0.1, 0.5]]", "two or more points, got 1"),
        ("a.json", "[]", "no points"),
        ("a.json", '{"points": []}', "two or more points, got 0"),
        ("a.json", '{"paths": []}', "no points"),
        ("a.json", "[[0.1, NaN], [0.2, 0.3]]", "NaN"),
        ("a.json", "[[0.1, 1e999], [0.2, 0.3]]", r"points\[0\].*not a finite number"),
        ("a.json", '[[0.1, "0.2"], [0.2, 0.3]]', r"points\[0\].*'0\.2' is not a finite number"),
        ("a.json", "[[0.1, 0.2, 0], [0.2, 0.3]]", r"points\[1\].*all points have a time, or none"),
        ("a.json", "[[0.1, 0.2, 0.5], [0.2, 0.3, 0.5]]", r"time 1 = 0\.5 follows 0\.5.*increase"),
        ("a.json", "[[0.1, 0.2, 0], [0.2, 0.3, 4]]", 'time 1 = 4. Legal: 0 to 1.*"duration"'),
        ("a.json", '{"duration": 3, "points": [[0.1, 0.2, 0], [0.2, 0.3, 4]]}', r"time 1 = 4. Legal: 0 to 3\."),
        ("a.json", '{"points": [[0.1, 0.2], [0.2, 0.3]], "times": [0, 0.5, 1]}', "3 times, 2 points"),
        ("a.json", '{"points": [[0.1, 0.2], [0.2, 0.3]], "colour": [1, 2, 3]}', "'colour'.*Nearest legal name: color"),
        ("a.json", '{"points": [[0.1, 0.2], [0.2, 0.3]], "color": [1, 2, 300]}', "color is three numbers"),
        ("a.json", '{"points": [[0.1, 0.2], [0.2, 0.3]], "spacing": "even"}', "'even'. Legal: time, length"),
        ("a.json", "{", "not valid JSON"),
        ("a.svg", "<svg", "not valid SVG"),
        ("a.svg", "<html/>", "not SVG.*'html'"),
        ("a.svg", '<svg><path d="M0 0 L9 9"/></svg>', "no canvas.*viewBox"),
        ("a.svg", drawing("<text>x</text>"), "no path. Legal shapes: path, polyline"),
        ("a.svg", drawing('<path d="M0 0 X9 9"/>'), r"shape 1 \(path\).*character 6"),
        ("a.svg", drawing('<path id="wave" d="M0 0 L9"/>'), "path wave.*expected a number, got the end"),
        ("a.svg", drawing('<path d="L0 0"/>'), "expected M first"),
        ("a.svg", drawing('<path d="M0 0 A 5 5 0 2 1 9 9"/>'), "arc flag, 0 or 1"),
        ("a.svg", drawing('<path d="M0 0 L1e999 5"/>'), "expected a number"),
        ("a.svg", drawing('<path d="M0 0 L900 5"/>'), r"points\[1\] = \[3\.5.*the drawing's canvas"),
        ("a.svg", drawing('<polyline points="1 2 3"/>'), "3 numbers"),
        ("a.svg", drawing('<line transform="turn(3)" x2="9"/>'), r"transform = 'turn\(3\)'"),
        ("a.svg", drawing('<line x1="3parsec" x2="9"/>'), "x1 = '3parsec'"),
        ("a.svg", '<!DOCTYPE svg [<!ENTITY a "b">]>' + drawing("&a;"), "entities"),
        ("a.svg", drawing('<path d="M0 0 L9 9"/>' * (MAX_PATHS + 1)), f"65 paths. Legal: up to {MAX_PATHS}"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MediaError, match=rf"(?s){name}.*{words}"):
        read_paths(path)


def test_hostile_drawings_are_refused_quickly(tmp_path):
    deep = "<g>" * 5000 + '<path d="M0 0L9 9"/>' + "</g>" * 5000
    for text in (drawing(deep), drawing('<path d="M0 0' + "L1 1" * 250_000 + '"/>')):
        (tmp_path / "a.svg").write_text(text)
        with pytest.raises(MediaError, match=r"nested more than|more than 200,000"):
            read_paths(tmp_path / "a.svg")


def test_a_path_that_leaves_the_frame_is_clipped_and_the_plan_says_so(tmp_path):
    path = one(tmp_path / "a.txt", "128,128\n384,128\n")
    found = positions(path, 5, (100, 100))
    assert found[:, 0].tolist() == pytest.approx([50, 75, 100, 100, 100]), "clipped in each frame, not point by point"
    plan = kinema.plan("a red ball", conditions=[path], seed=1)
    assert plan.conditions[0].points == path.points
    assert any("Path 1 leaves the frame (1 of 2 points lie outside)" in note for note in plan.notes)
    inside = kinema.plan("a red ball", conditions=[one(tmp_path / "b.txt", "0,0\n256,128\n")], seed=1)
    assert not any("leaves the frame" in note for note in inside.notes)


def test_a_path_of_very_many_points_is_resampled_to_the_same_positions(tmp_path):
    angle = np.linspace(0, 9 * math.pi, 100_000)
    text = "\n".join(f"{128 + 90 * math.cos(a):.5f},{128 + 90 * math.sin(a):.5f}" for a in angle)
    path = one(tmp_path / "a.txt", text)
    assert len(path.points) == 100_000
    plan = kinema.plan("a red ball", conditions=[path], seed=1)
    (kept,) = plan.conditions
    assert len(kept.points) == plan.frames and not kept.times
    assert any(f"100,000 points, resampled to one per frame ({plan.frames})" in note for note in plan.notes)
    np.testing.assert_allclose(
        positions(kept, plan.frames, (256, 256)), positions(path, plan.frames, (256, 256)), atol=1e-9
    )
    with pytest.raises(RequestError, match="200,000"):
        kinema.Request(conditions=[{"kind": "trajectory", "points": [[0.5, 0.5]] * 200_001}])


def test_requests_refuse_what_files_refuse():
    legal = {"kind": "trajectory", "points": [[0.1, 0.5], [0.9, 0.5]]}
    for wrong, words in (
        ({"points": []}, "at least 2"), ({"points": [[0.5, 0.5]]}, "at least 2"),
        ({"points": [[0.5, 0.5], [1.6, 0.5]]}, r"points\.1\.0 = 1\.6.*less than or equal to 1\.5"),
        ({"points": [[0.5, math.nan], [0.6, 0.5]]}, "finite"), ({"points": [[0.5, math.inf], [0.6, 0.5]]}, "finite"),
        ({"times": [0.5]}, "1 times, 2 points"), ({"times": [0.5, 0.5]}, r"times\[1\] = 0\.5 follows 0\.5"),
        ({"times": [0.5, 1.5]}, "less than or equal to 1"),
    ):  # fmt: skip
        with pytest.raises(RequestError, match=words) as caught:
            kinema.Request(conditions=[legal | wrong])
        assert caught.value.field.startswith("conditions.0.trajectory")


def test_arcs_lie_on_their_ellipse():
    for large, sweep in ((0, 0), (0, 1), (1, 0), (1, 1)):
        (line,) = svg_path.parse(f"M10 0A20 10 30 {large} {sweep} 30 20", "x")
        assert line.curved and line.points[-1] == (30, 20)
        turned = np.array(line.points) @ [[math.cos(-math.pi / 6), math.sin(-math.pi / 6)],
                                          [-math.sin(-math.pi / 6), math.cos(-math.pi / 6)]]  # fmt: skip
        flat = turned / (20, 10)
        # the centre of a circle through three points; all points have its radius of 1
        a, b, c = flat[0], flat[len(flat) // 2], flat[-1]
        centre = np.linalg.solve(2 * np.array([b - a, c - a]), [b @ b - a @ a, c @ c - a @ a])
        np.testing.assert_allclose(np.hypot(*(flat - centre).T), 1, atol=1e-9)
        angle = np.unwrap(np.arctan2(*(flat - centre).T[::-1]))
        assert (abs(angle[-1] - angle[0]) > math.pi) == bool(large)
        assert (angle[-1] > angle[0]) == bool(sweep)
