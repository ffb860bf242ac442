"""Models suggested by an error support the whole request: every command's request with every card."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, RequestError
from kinema.core.request import Request
from kinema.engine.plan import plan
from kinema.media.write import write
from kinema.weights import store


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("media")
    frames_FHWC = np.random.default_rng(0).integers(0, 255, (17, 64, 64, 3), np.uint8)
    write([Chunk(frames_FHWC, 0, 8.0)], folder / "clip.mp4")
    write([Chunk(frames_FHWC[:1], 0, 8.0)], folder / "photo.png")
    return {"clip": str(folder / "clip.mp4"), "photo": str(folder / "photo.png")}


def requests(media: dict[str, str]) -> list[dict[str, Any]]:
    """Requests of the commands, plain and with more options."""
    clip, photo = media["clip"], media["photo"]
    source = {"kind": "source", "video": clip}
    box = {"kind": "mask", "boxes": [(0.1, 0.1, 0.5, 0.5)]}
    first, last = ({"kind": "image", "image": photo, "at": at} for at in ("first", "last"))
    path = {"kind": "trajectory", "points": [(0.1, 0.1), (0.9, 0.9)]}
    found: list[dict[str, Any]] = [
        {}, {"conditions": [first]}, {"conditions": [first, last]}, {"conditions": [source]},
        {"conditions": [source, box]}, {"conditions": [path]}, {"conditions": [first, path]},
        {"conditions": [{"kind": "reference", "images": [photo]}]},
        {"conditions": [{"kind": "continue", "clip": clip, "frames": 4}]},
        {"conditions": [{"kind": "camera", "move": "pan_left"}]},
        {"canvas": "source", "conditions": [source, box]},
        {"canvas": "source", "conditions": [{**source, "grow": (0.2, 0, 0, 0)}]},
        {"canvas": "source", "conditions": [{"kind": "continue", "clip": clip, "frames": 4}]},
        {"canvas": "upscale", "upscale": 2, "conditions": [source]},
        {"options": {"motion": 100}, "conditions": [first]},
    ]  # fmt: skip
    for kind in ("depth", "flow", "gray", "scribble", "edge", "pose", "layout"):
        found.append({"conditions": [{"kind": "control", "control": kind, "video": clip}]})
        found.append({"canvas": "source", "conditions": [source, {"kind": "control", "control": kind}]})
    more = [{}, {"width": 832, "height": 480}, {"width": 64, "height": 64, "frames": 17}, {"frames": 200}]
    return [{"prompt": "a ball", **each, **more[number % len(more)]} for number, each in enumerate(found)]


def test_every_recommended_model_plans_the_request(media) -> None:
    refused = 0
    able: dict[tuple[int, str], bool] = {}
    for number, fields in enumerate(requests(media)):
        for card in store.known_cards()[number % 4 :: 4]:
            try:
                plan(Request(**fields, model=card.id))
            except RequestError as error:
                refused += bool(error.models)
                assert list(error.models[: len(error.here)]) == list(error.here)
                for name in error.models:
                    if (number, name) not in able:
                        able[number, name] = plans(fields, name)
                    assert able[number, name], (fields, card.id, str(error))
            except KinemaError:
                continue
    assert refused > 15, "nothing was put to the test"


def plans(fields: dict[str, Any], model: str) -> bool:
    try:
        return plan(Request(**fields, model=model)) is not None
    except KinemaError:
        return False


def test_a_request_that_no_model_can_make_says_so(media) -> None:
    drawn = {"kind": "control", "control": "edge", "video": media["clip"]}
    with pytest.raises(RequestError, match="No known model supports the whole request") as error:
        plan(Request(prompt="x", conditions=[drawn, {"kind": "trajectory", "points": [(0, 0), (1, 1)]}], frames=200))
    assert error.value.models == ()


def test_those_on_this_machine_come_first_and_are_marked(media) -> None:
    with pytest.raises(RequestError) as error:
        plan(Request(prompt="x", model="svd", conditions=[{"kind": "source", "video": media["clip"]}]))
    assert error.value.here and error.value.to_dict()["here"] == list(error.value.here)
    assert f"{error.value.here[0]} (on this machine)" in str(error.value)
