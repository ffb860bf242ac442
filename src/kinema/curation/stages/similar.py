"""Clips that show nearly the same as one before: the angle between embeddings, after the copies of duplicates.py.

Legend: N clips, D width of the vectors.

Source: Abbas and others, "SemDeDup", 2023, arXiv 2303.09540, without its clusters: every clip is compared with those
before it that are not marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ...core.errors import RequestError
from ...features.text_and_pictures import DEFAULT, TextAndPictures, folder_of, text_and_pictures
from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

REQUEST = FrameRequest(most=3, side_px=256)
LEAST = 0.95
BLOCK = 4096


class Similar:
    """`embedding`: mean unit vector of three frames. `similar_to`: the id of the clip before this one that is most like
    it, if the cosine of their vectors is at least `least` (0.95); `similarity`: that cosine. Options `model`, as of
    clip_score, and `least`."""

    name, version = "similar", 1
    columns: tuple[Column, ...] = (
        Column("embedding", "list", "embedding"),
        Column("similar_to", "text", "shows the same as"),
        Column("similarity", "float", "cosine to it"),
    )
    fills = ("similar_to", "similarity")
    reads = (REQUEST,)

    def __init__(self, settings: CurationSettings) -> None:
        self.model, self.device = settings.option(self.name, "model", DEFAULT), settings.device
        given = settings.option(self.name, "least", str(LEAST))
        try:
            self.least = float(given)
        except ValueError:
            self.least = float("nan")
        if not 0 < self.least <= 1:
            raise RequestError(
                f"similar.least must be a cosine above 0 and up to 1, got {given!r}.", field="similar.least",
                value=given, legal="above 0, up to 1",
            )  # fmt: skip
        self.encoder: TextAndPictures | None = None

    def check(self) -> None:
        """Raises WeightsMissing."""
        folder_of(self.model)

    def open(self) -> None:
        self.encoder = text_and_pictures(self.model, self.device)

    def measure(self, clip: CutClip) -> dict[str, Any]:
        if self.encoder is None:
            self.open()
        assert self.encoder is not None
        vector_D = self.encoder.pictures(clip.frames(most=REQUEST.most, side_px=REQUEST.side_px)).mean(0)
        return {"embedding": [round(float(value), 5) for value in vector_D / np.linalg.norm(vector_D)]}

    def across(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        names: list[str] = []
        known_ND = np.empty((0, 0), np.float32)
        for row in sorted(rows, key=lambda row: str(row["id"])):
            if not row.get("embedding"):
                continue
            vector_D = np.asarray(row["embedding"], np.float32)
            if not known_ND.size:
                known_ND = np.empty((BLOCK, len(vector_D)), np.float32)
            cosines_N = known_ND[: len(names)] @ vector_D
            best = int(cosines_N.argmax()) if len(names) else -1
            if best >= 0 and cosines_N[best] >= self.least:
                yield str(row["id"]), {"similar_to": names[best], "similarity": float(cosines_N[best])}
                continue
            if len(names) == len(known_ND):
                known_ND = np.concatenate([known_ND, np.empty_like(known_ND)])
            known_ND[len(names)] = vector_D
            names.append(str(row["id"]))
