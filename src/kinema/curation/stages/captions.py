"""Captions of clips: those beside the files are kept, others are written by a model (caption_writers.py).

Source of the merge "svd": Stable Video Diffusion (arXiv 2311.15127) captions the middle frame and the clip, has a
language model summarise both, and draws one of the three with the chances 0.5, 0.25 and 0.25. Here a clip's own draw
depends on its id, so that it is the same in every run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...core.errors import RequestError, WeightsMissing
from ...http.chat import Chat, Endpoint
from ..caption_writers import CaptionWriter, EndpointCaptions, VisionModelCaptions
from ..reading import FrameRequest
from ..stage import WRITTEN, Column, CurationSettings, CutClip

MIDDLE, SPREAD = FrameRequest(most=1, side_px=448), FrameRequest(most=8, side_px=448)
MERGES = ("clip", "svd")
CHANCES = (0.5, 0.25, 0.25)


class ClipCaptions:
    """`caption_written`: for clips without one of their own; it becomes the clip's caption for later stages and in the
    table. `caption_from`: "file", or the model's name with ":frame", ":clip" or ":summary". With merge=svd also the
    three captions.

    Options: `url`, `model`, `key_env`, `timeout_s`, `tries` of an endpoint, or `folder` of a vision model; `merge`:
    "clip" (default) describes the whole clip in one request, "svd" makes three captions. Without an endpoint or folder,
    captions of files are kept and no others written."""

    name, version = "captions", 1
    columns: tuple[Column, ...] = (
        Column(WRITTEN, "text", "caption by a model"),
        Column("caption_from", "text", "caption written by"),
        Column("caption_of_frame", "text", "caption of the middle frame"),
        Column("caption_of_clip", "text", "caption of the clip"),
        Column("caption_of_both", "text", "summary of both"),
    )

    def __init__(self, settings: CurationSettings) -> None:
        given = {key: settings.option(self.name, key) for key in ("url", "model", "key_env", "timeout_s", "tries")}
        self.merge, self.device = settings.option(self.name, "merge", "clip"), settings.device
        self.folder = settings.option(self.name, "folder")
        if self.merge not in MERGES:
            raise RequestError(
                f"captions.merge must be one of {', '.join(MERGES)}, got {self.merge!r}.", field="captions.merge",
                value=self.merge, legal=", ".join(MERGES),
            )  # fmt: skip
        self.endpoint = endpoint_of({key: value for key, value in given.items() if value})
        if self.endpoint is not None and self.folder:
            raise RequestError(
                "Captions are written by an endpoint or by a model in a folder, not both.", field="captions.folder",
                value=self.folder, legal="captions.url or captions.folder",
            )  # fmt: skip
        self.writer: CaptionWriter | None = None

    def check(self) -> None:
        """Raises ModelError for a missing key or library, WeightsMissing for a missing folder."""
        if self.endpoint is not None:
            Chat(self.endpoint).check()
        elif self.folder and not Path(self.folder).is_dir():
            raise WeightsMissing(f"captions.folder: no such folder: {self.folder}.")

    def open(self) -> None:
        """Raises the errors of `check`, and ModelError for a folder of anything else."""
        self.check()
        if self.endpoint is not None:
            self.writer = EndpointCaptions(Chat(self.endpoint))
        elif self.folder:
            self.writer = VisionModelCaptions(Path(self.folder), self.device)

    def measure(self, clip: CutClip) -> dict[str, Any]:
        if (clip.caption or "").strip():
            return {"caption_from": "file"}
        if self.writer is None:
            return {}
        spread_FHWC = clip.frames(most=SPREAD.most, side_px=SPREAD.side_px)
        if self.merge == "clip":
            return {
                WRITTEN: self.writer.of_frames(spread_FHWC), "caption_from": f"{self.writer.name}:clip",
            }  # fmt: skip
        frame = self.writer.of_frames(clip.frames(most=MIDDLE.most, side_px=MIDDLE.side_px))
        moving = self.writer.of_frames(spread_FHWC)
        three = (frame, moving, self.writer.of_both(frame, moving))
        drawn = draw(clip.id)
        return {
            WRITTEN: three[drawn], "caption_from": f"{self.writer.name}:{('frame', 'clip', 'summary')[drawn]}",
            "caption_of_frame": frame, "caption_of_clip": moving, "caption_of_both": three[2],
        }  # fmt: skip


def draw(name: str) -> int:
    """0, 1 or 2 with CHANCES, from a clip's id."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return sum(share >= sum(CHANCES[: count + 1]) for count in range(len(CHANCES) - 1))


def endpoint_of(given: dict[str, Any]) -> Endpoint | None:
    """The endpoint of the options; None without any. Raises RequestError for an illegal one."""
    if not given:
        return None
    if "url" not in given or "model" not in given:
        raise RequestError(
            "An endpoint for captions requires captions.url and captions.model.", field="captions.url",
            value=given.get("url"), legal="captions.url=http://127.0.0.1:8080/v1 captions.model=NAME",
        )  # fmt: skip
    fields = {"base_url": given["url"]} | {key: value for key, value in given.items() if key != "url"}
    for key, kind in (("timeout_s", float), ("tries", int)):
        try:
            fields |= {key: kind(fields[key])} if key in fields else {}
        except ValueError:
            raise RequestError(
                f"captions.{key} must be a number, got {fields[key]!r}.", field=f"captions.{key}", value=fields[key],
                legal="a number",
            ) from None  # fmt: skip
    try:
        return Endpoint(temperature=0.2, max_tokens=1000, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = "captions." + ".".join(str(part) for part in first["loc"] or ("url",)).replace("base_url", "url")
        raise RequestError(
            f"{field}: {first['msg'].removeprefix('Value error, ')}.", field=field, value=given["url"],
            legal="an endpoint",
        ) from None  # fmt: skip
