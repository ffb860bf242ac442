"""The Frechet video distance of a set of clips from another set, or from the saved statistics of one.

Source: Unterthiner and others, "Towards accurate generative models of video", 2018, arXiv 1812.01717. The mathematics
is in frechet.py, the published protocols in fvd_protocols.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from . import bootstrap, frechet
from .clip_features import ClipFeatures, stacked
from .contract import ClipFile, Row, Score, SetClip, YardstickSettings
from .reference_statistics import as_row, gaussian_of


class FrechetVideoDistance:
    """Frechet distance of the features of clips."""

    name = "fvd"
    title = "Frechet video distance"
    unit = ""
    better: Literal["lower", "higher", "neither"] = "lower"
    against: Literal["no", "set", "pairs"] = "set"

    def __init__(self, settings: YardstickSettings) -> None:
        self.features = ClipFeatures(settings)
        self.sample = self.features.chosen.covariance == "sample"

    def protocol(self) -> dict[str, Any]:
        return self.features.protocol()

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        self.features.check(clips, against)

    def measure(self, clip: SetClip) -> Row:
        return self.features.measure(clip)

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        """The distance, its interval over clips of both sets, and its growth for fewer clips. against: the rows of a
        set, or one row of saved statistics (reference_statistics.py), which is not resampled."""
        if len(rows) < 2 or not against or (len(against) < 2 and gaussian_of(against[0]) is None):
            return Score(None, None, None, self.unit, None, {"why": "fewer than two clips that can be measured"})
        measure, num_against = self._distance(rows, against)
        value = measure(np.arange(len(rows)), np.arange(num_against))
        generator = np.random.default_rng(1)

        def drawn(picks: np.ndarray) -> float:
            # `picks` draws the clips of the set; those of the other set are drawn beside them
            return measure(picks, generator.integers(0, num_against, num_against) if num_against else picks[:0])

        found = bootstrap.interval(value, drawn, len(rows))
        low, high = (None, None) if found is None else (max(found[0], 0.0), found[1])
        facts = self.features.facts(rows, against)
        width = len(rows[0]["features"])
        fixed = gaussian_of(against[0])
        least = min(len(rows), fixed.num if fixed is not None else num_against)
        facts["dimensions"] = width
        if least <= width:
            facts["rank_deficient"] = f"{least} clips span fewer than {width} dimensions: compare equal numbers only"
        if least >= frechet.LEAST_FOR_LIMIT:
            sizes = frechet.smaller_sets(measure, len(rows), num_against)
            facts["by_number_of_clips"] = {str(size): round(part, 6) for size, part in sizes.items()}
            if frechet.is_a_line(min(sizes), width):
                facts["limit_of_many_clips"] = round(frechet.limit(sizes), 6)
        return Score(value, low, high, self.unit, None, facts)

    def difference(
        self, a: Sequence[Row], b: Sequence[Row], against: Sequence[Row], paired: bool
    ) -> bootstrap.Difference | None:
        """Whether sets A and B are at different distances from a third. paired: clip i of A and of B are a pair."""
        if min(len(a), len(b)) < 2:
            return None
        measure, num_against = self._distance([*a, *b], against)
        every = np.arange(num_against)
        return bootstrap.difference(lambda picks: measure(picks, every), len(a), len(b), paired)

    def statistics(self, rows: Sequence[Row]) -> Row:
        """The row that stands for a whole set, to be saved (reference_statistics.py)."""
        return as_row(frechet.FittedGaussian.of(stacked(rows), self.sample))

    def _distance(self, rows: Sequence[Row], against: Sequence[Row]) -> tuple[Any, int]:
        """(the distance of clips with these indices, the number of clips of the other set; 0 for statistics)."""
        features_ND = stacked(rows)
        fixed = gaussian_of(against[0])
        if fixed is not None:
            whole = fixed
            return lambda picks, _: frechet.distance(self._fit(features_ND[picks]), whole), 0
        other_ND = stacked(against)
        return lambda picks, others: frechet.distance(self._fit(features_ND[picks]), self._fit(other_ND[others])), len(
            against
        )

    def _fit(self, features_ND: np.ndarray) -> frechet.FittedGaussian:
        return frechet.FittedGaussian.of(features_ND, self.sample)
