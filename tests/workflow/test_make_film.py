"""make_film: order, joins to the frame, going on after a stop, sound, titles."""

from __future__ import annotations

import errno
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_tools import FRAMES, PaintedShots, Stopped, film, grays

from kinema.core.errors import MediaError, RequestError
from kinema.core.events import Progress
from kinema.media.manifest import read_manifest
from kinema.media.read import probe, read_audio, read_video
from kinema.music.loudness import integrated
from kinema.workflow.film import check_target, make_film, plan_film
from kinema.workflow.film_parts import FilmBusy, FilmParts, key_of

CONTINUED = 5


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))


def near(found: list[int], wanted: list[int]) -> bool:
    """Equal to what the encoder's rounding leaves."""
    return len(found) == len(wanted) and max(abs(a - b) for a, b in zip(found, wanted)) <= 2


def shot(number: int) -> list[int]:
    return [20 * number + index for index in range(FRAMES)]


def test_shots_come_in_order_and_cuts_lose_no_frame() -> None:
    painted = PaintedShots()
    made = make_film(film("cut", "cut", "cut"), "film.mp4", open_generator=painted)
    assert painted.made == [1, 2, 3]
    assert near(grays(Path("film.mp4")), [*shot(1), *shot(2), *shot(3)])
    assert (made.frames, made.fps, made.num_shots, made.reused) == (27, 8.0, 3, 0)
    assert not Path("film.mp4.parts").exists()
    assert probe("film.mp4").has_audio is False


def test_a_crossfade_overlaps_and_a_continuation_shows_shared_frames_once() -> None:
    make_film(film("cut", "crossfade", "continue", crossfade_s=0.5), "film.mp4", open_generator=PaintedShots())
    one, two, three = shot(1), shot(2), shot(3)
    mixed = [round(one[FRAMES - 4 + k] * (4 - k) / 5 + two[k] * (k + 1) / 5) for k in range(4)]
    assert near(grays(Path("film.mp4")), [*one[: FRAMES - 4], *mixed, *two[4:], *three[CONTINUED:]])


def test_a_higher_rate_keeps_cuts_and_length(monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.post import interpolate as module

    # The network takes seconds to load; which frames are made between which does not depend on it.
    monkeypatch.setattr(module, "interpolate", functools.partial(module.interpolate, by="blend"))
    made = make_film(film("cut", "crossfade", "cut"), "film.mp4", open_generator=PaintedShots(), fps=24)
    assert (made.fps, made.frames) == (24.0, 3 * (FRAMES + FRAMES - 4 + FRAMES))
    found = grays(Path("film.mp4"))
    cut = 3 * (FRAMES + FRAMES - 4)
    assert abs(found[cut - 1] - (40 + FRAMES - 1)) <= 2
    assert abs(found[cut] - 60) <= 2, "frames are mixed across a cut"


@pytest.mark.parametrize("joins", [("cut", "cut", "cut"), ("cut", "crossfade", "continue")])
def test_a_stopped_run_goes_on_and_makes_identical_frames(joins: tuple[str, ...]) -> None:
    wanted = film(*joins, title="Two", ending="End")
    make_film(wanted, "whole.mp4", open_generator=PaintedShots())
    with pytest.raises(Stopped):
        make_film(wanted, "film.mp4", open_generator=PaintedShots(stop_at=2))
    assert not Path("film.mp4").exists()
    assert [each.suffixes for each in Path("film.mp4.parts").glob(".*")] == [], "half a shot was left behind"
    half = Path("film.mp4.parts") / f".shot-{'0' * 20}.partial-1234-0.mp4"
    half.write_bytes(b"what SIGKILL leaves")
    again = PaintedShots()
    made = make_film(wanted, "film.mp4", open_generator=again)
    assert again.made == [2, 3]
    assert made.reused == 1
    assert np.array_equal(read_video("film.mp4")[0], read_video("whole.mp4")[0])
    assert not Path("film.mp4.parts").exists()


def test_only_what_changed_is_made_again() -> None:
    make_film(film("cut", "cut", "continue", "cut"), "film.mp4", open_generator=PaintedShots(), keep=True)

    def made_again(data: dict[str, Any], **how: Any) -> list[int]:
        from kinema.workflow.film_plan import FilmPlan

        painted = PaintedShots(**how)
        make_film(FilmPlan.from_dict(data), "film.mp4", open_generator=painted, keep=True)
        return painted.made

    data = json.loads(film("cut", "cut", "continue", "cut").to_json())
    assert made_again(data) == []
    data["title"] = "A title of its own"
    assert made_again(data) == []
    data["shots"][3]["request"]["seed"] = 77
    assert made_again(data) == [4]
    data["shots"][1]["request"]["seed"] = 78
    assert made_again(data) == [2, 3], "shot 3 begins with the end of shot 2"
    data["shots"] = data["shots"][:1] + data["shots"][3:] + data["shots"][:1]
    assert made_again(data) == [], "another order of the same shots"
    assert made_again(data, weights="two") == [1, 4], "the weights changed"


def test_a_shot_that_was_damaged_is_made_again() -> None:
    make_film(film("cut", "cut"), "film.mp4", open_generator=PaintedShots(), keep=True)
    for part in Path("film.mp4.parts").glob("*.mp4"):
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    painted = PaintedShots()
    make_film(film("cut", "cut"), "film.mp4", open_generator=painted)
    assert painted.made == [1, 2]


def test_music_is_as_long_as_the_pictures_and_at_its_loudness() -> None:
    made = make_film(film("cut", "cut", music="calm", title="Calm"), "film.mp4", open_generator=PaintedShots())
    assert made.frames == 16 + 2 * FRAMES
    sound = read_audio("film.mp4")
    assert sound is not None
    assert abs(len(sound) / 48_000 - made.frames / made.fps) <= 1 / made.fps
    assert abs(integrated(sound) - -16) < 0.5
    first = make_film(film("cut", "cut", music="calm", title="Calm"), "b.mp4", open_generator=PaintedShots())
    assert first.track is not None and made.track is not None
    assert np.array_equal(first.track.samples, made.track.samples), "the same plan has the same music"


def test_titles_stand_out_and_clear() -> None:
    make_film(film("cut", title="A day at sea", ending="The end"), "film.mp4", open_generator=PaintedShots(), fps=None)
    frames, _ = read_video("film.mp4")
    assert len(frames) == 16 + FRAMES + 16
    title, end = frames[8], frames[16 + FRAMES + 8]
    for card in (title, end):
        assert np.percentile(card, 99) - np.median(card) > 100, "letters are not seen"
    assert np.ptp(frames[16].astype(int)) <= 4, "the text lies over the shot"
    assert frames[-1].mean() < 12, "the film does not end in black"


def test_the_film_says_what_it_is_made_of() -> None:
    make_film(film("cut", "cut", title="T"), "film.mp4", open_generator=PaintedShots())
    found = read_manifest("film.mp4")["film"]
    assert [made["plan"]["steps"] for made in found["shots"]] == [1, 2]
    assert found["plan"]["title"] == "T"
    assert found["music"] is None


def test_a_full_disk_loses_no_finished_shot(monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.media import write as module

    real = module.put_clip

    def full(temp: Path, target: Path, text: str | None) -> None:
        if len(list(target.parent.glob("shot-*.mp4"))) >= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(temp, target, text)

    monkeypatch.setattr(module, "put_clip", full)
    with pytest.raises(MediaError, match="No space left"):
        make_film(film("cut", "cut", "cut"), "film.mp4", open_generator=PaintedShots())
    monkeypatch.setattr(module, "put_clip", real)
    painted = PaintedShots()
    make_film(film("cut", "cut", "cut"), "film.mp4", open_generator=painted)
    assert painted.made == [3]


def test_two_processes_do_not_make_one_film() -> None:
    parts = FilmParts(Path("film.mp4"))
    with pytest.raises(FilmBusy, match=r"film\.mp4"):
        make_film(film("cut"), "film.mp4", open_generator=PaintedShots())
    parts.close()
    make_film(film("cut"), "film.mp4", open_generator=PaintedShots())


def test_files_of_others_in_the_folder_stay() -> None:
    folder = Path("film.mp4.parts")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    make_film(film("cut"), "film.mp4", open_generator=PaintedShots())
    assert [each.name for each in folder.iterdir()] == ["notes.txt"]


def test_progress_is_of_all_shots() -> None:
    told: list[Progress] = []
    make_film(
        film("cut", "cut"),
        "film.mp4",
        open_generator=PaintedShots(),
        on_event=lambda event: told.append(event) if isinstance(event, Progress) else None,
    )
    shots = [event for event in told if event.stage.startswith("shot ")]
    assert {event.stage for event in shots} == {"shot 1 of 2", "shot 2 of 2"}
    assert {event.total for event in shots} == {2 * FRAMES}
    assert [event.done for event in shots] == sorted(event.done for event in shots)
    assert told[-1].done == 2 * FRAMES


def test_shots_that_do_not_fit_together_are_refused_before_work() -> None:
    from kinema.workflow.film_plan import FilmPlan

    sizes = [{"request": {"prompt": f"shot {k}", "width": side, "height": side}} for k, side in ((1, 64), (2, 48))]
    with pytest.raises(RequestError, match="Shot 2 and shot 1 differ in size: 48x48 and 64x64"):
        plan_film(FilmPlan.from_dict({"shots": sizes}))
    rates = [{"request": {"prompt": f"shot {k}", "fps": fps}} for k, fps in ((1, 8), (2, 12))]
    with pytest.raises(RequestError, match="Shot 2 and shot 1 differ in frame rate: 12 and 8"):
        plan_film(FilmPlan.from_dict({"shots": rates}))
    plan_film(FilmPlan.from_dict({"shots": rates}), fps=24)
    bad = [{"request": {"prompt": "shot 1"}}, {"request": {"prompt": "shot 2", "width": 65, "height": 64}}]
    with pytest.raises(RequestError, match=r"Shot 2: kinema-mini-wan cannot generate 65x64.*Nearest legal .*: 64x64"):
        plan_film(FilmPlan.from_dict({"shots": bad}))


def test_a_model_that_cannot_go_on_cuts_and_says_so() -> None:
    shots = plan_film(film("cut", "continue"), model="kinema-mini-animatediff", frames=16)
    assert shots.joins == ("cut", "cut")
    assert "instead of a continuation: kinema-mini-animatediff does not continue clips" in shots.notes[0]


def test_shots_of_two_rates_are_cut_and_keep_their_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.post import interpolate as module
    from kinema.workflow.film_plan import FilmPlan

    monkeypatch.setattr(module, "interpolate", functools.partial(module.interpolate, by="blend"))
    data = json.loads(film("cut", "crossfade").to_json())
    data["shots"][1]["request"]["fps"] = 12
    shots = plan_film(FilmPlan.from_dict(data), fps=24)
    assert "Shot 2 follows by a cut instead of a crossfade: its frame rate is 12" in shots.notes[0]
    made = make_film(shots, "film.mp4", open_generator=PaintedShots())
    assert made.frames == 3 * FRAMES + 2 * FRAMES == probe("film.mp4").num_frames


def test_a_film_is_not_written_over_its_own_input() -> None:
    from PIL import Image

    from kinema.workflow.film_plan import FilmPlan

    Image.new("RGB", (64, 64), (9, 9, 9)).save("film.webp")
    shots = [{"request": {"prompt": "shot 1", "conditions": [{"kind": "image", "image": "film.webp"}]}}]
    with pytest.raises(RequestError, match=r"film\.webp is an input.*Shot 1 uses it"):
        make_film(FilmPlan.from_dict({"shots": shots}), "film.webp", open_generator=PaintedShots())
    with pytest.raises(RequestError, match=r"film\.webp is an input.*the contact sheet another name"):
        check_target(plan_film(FilmPlan.from_dict({"shots": shots})).requests, "film.mp4", "film.webp")


@pytest.mark.parametrize("named", ["{}", "file://{}", "sub/../film.webp", "linked.webp"])
def test_an_input_is_known_by_every_name(named: str) -> None:
    from PIL import Image

    from kinema.core.request import Request

    Image.new("RGB", (64, 64), (9, 9, 9)).save("film.webp")
    Path("sub").mkdir()
    Path("linked.webp").hardlink_to("film.webp")
    condition = {"kind": "image", "image": named.format(Path("film.webp").resolve())}
    request = Request.from_dict({"prompt": "shot 1", "conditions": [condition]})
    with pytest.raises(RequestError, match="is an input"):
        check_target([request], "film.webp")


def test_what_lies_outside_a_models_domain_makes_no_other_shot() -> None:
    """It names the picture's path and the models that are known just now; neither changes a frame."""
    plan = plan_film(film("cut")).plans[0]
    told = plan.model_copy(update={"outside": ("a/b.png does not look like Toyland.",)})
    assert key_of(told, {}) == key_of(plan, {})
