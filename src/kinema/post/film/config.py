"""Options of FILM networks: the published ones, and those of the small network of the same design."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class FilmConfig:
    """Options of a network. levels: of the image pyramid. filters: of the feature extractor's first level; they double
    on each of its sub_levels. flow_convs, flow_filters: of the flow predictors, finest level first; the last one is
    shared by all coarser levels. fusion_filters: of the decoder, finest first; it has one level less than is warped.

    Extensions of the published network:
    middle: both flows are predicted together on the middle frame's grid and scaled to any time; otherwise each is
    predicted on an image's own grid and scaled (trained for 0.5 only).
    search: with middle, the range of displacements at which features are compared on each level, per direction and
    image.
    shrink: 2 or more: the network works on images reduced by this factor; the result is a mix of the two images warped
    at full size, with weights and corrections from the decoder. With 1 the decoder predicts the pixels.
    """

    levels: int = 7
    sub_levels: int = 4
    filters: int = 64
    flow_convs: tuple[int, ...] = (3, 3, 3, 3)
    flow_filters: tuple[int, ...] = (32, 64, 128, 256)
    fusion_filters: tuple[int, ...] = (64, 128, 256, 512)
    middle: bool = False
    search: int = 0
    shrink: int = 1

    def __post_init__(self) -> None:
        if len(self.flow_convs) != len(self.flow_filters):
            raise ValueError(f"flow_convs {self.flow_convs} and flow_filters {self.flow_filters} differ in length.")
        if self.levels <= max(len(self.fusion_filters), len(self.flow_filters)):
            raise ValueError(f"{self.levels} levels are too few for this network.")
        if self.shrink < 1 or self.shrink & (self.shrink - 1):
            raise ValueError(f"shrink must be a power of two, got {self.shrink}.")
        if self.search and not self.middle:
            raise ValueError("search requires middle.")

    @property
    def multiple(self) -> int:
        """The multiple in px to which sides are padded."""
        return max(64, self.shrink * 2 ** (self.levels - 1))

    def features(self, level: int) -> int:
        """Number of channels of the feature pyramid on a level."""
        return sum(self.filters << k for k in range(min(level + 1, self.sub_levels)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the inverse of from_dict."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FilmConfig:
        """Parse options. Raises ValueError for an unknown name."""
        names = {one.name for one in fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ValueError(f"a FILM network has no option {unknown[0]}")
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**plain)


PUBLISHED = FilmConfig()
"""google-research/frame-interpolation, film_net: 34.44 million parameters."""
MINI = FilmConfig(
    levels=5, sub_levels=3, filters=16, flow_convs=(2, 2, 3), flow_filters=(32, 64, 96), fusion_filters=(32, 64, 96),
    middle=True, search=2, shrink=2,
)  # fmt: skip
"""For CPUs: everything except the final mix runs at half size or less."""
