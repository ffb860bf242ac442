"""The statistics of a reference set as a file: computed once, compared with often. A .npz file of plain arrays (mean,
factor of the covariance, number of clips, the protocol as JSON text); pickles are refused.

Legend: D features, K = min(clips, D).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import MediaError, RequestError
from ...core.outside import parse_json
from ...core.whole import whole
from .contract import Row
from .frechet import FittedGaussian

VERSION = 1
MOST_BYTES = 2 * 2**30
ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError)
MATTERS = ("frames", "step", "start", "resize", "covariance", "features", "weights", "size_px", "frames_of_network")
"""Parts of a protocol that must be equal for a distance to mean something."""


def as_row(found: FittedGaussian) -> Row:
    return {"mean": found.mean_D, "factor": found.factor_KD, "num": np.array(found.num)}


def gaussian_of(row: Row) -> FittedGaussian | None:
    """The statistics in a row; None for the row of a clip."""
    return FittedGaussian(row["mean"], row["factor"], int(row["num"])) if "factor" in row else None


def save(path: Path, row: Row, protocol: dict[str, Any]) -> None:
    """Write the statistics of a set. path ends with .npz. OSError if it cannot be written."""
    if path.suffix != ".npz":
        raise RequestError(
            f"{path.name}: not a name of statistics.", field="statistics", value=str(path), legal="*.npz"
        )
    with whole(path) as partial:
        about = {"version": np.array(VERSION), "protocol": np.array(json.dumps(protocol, sort_keys=True))}
        np.savez(partial, **about, **row)  # type: ignore[arg-type]


def load(path: Path, protocol: dict[str, Any]) -> Row:
    """Read statistics, as the only row of the other set. protocol: of the yardstick. Raises MediaError for a file that
    is not one, RequestError if it was made under another protocol."""
    try:
        with zipfile.ZipFile(path) as inside:  # what unpacking would need, before it is unpacked
            if sum(entry.file_size for entry in inside.infolist()) > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES >> 30} GiB")
        with np.load(path, allow_pickle=False) as file:
            version, mean, factor, num = (file[name] for name in ("version", "mean", "factor", "num"))
            text = str(file["protocol"])
    except (OSError, ValueError, KeyError, EOFError, MemoryError, OverflowError, *ZIP) as error:
        raise MediaError(f"{path}: not statistics of clips ({error}).") from None
    if version.shape != () or int(version) != VERSION:
        raise MediaError(f"{path}: statistics of version {version!s:.20}; this Kinema reads {VERSION}.")
    arrays = (mean, factor)
    if (
        any(each.dtype != np.float64 or not np.isfinite(each).all() for each in arrays)
        or mean.ndim != 1 or factor.ndim != 2 or factor.shape[1] != len(mean) or num.shape != () or int(num) < 1
    ):  # fmt: skip
        raise MediaError(f"{path}: its arrays are not those of statistics.")
    made = parse_json(text, f"{path}: protocol", dict, error=MediaError)
    for name in MATTERS:
        if made.get(name) != protocol.get(name):
            raise RequestError(
                f"{path.name} was made with {name} {made.get(name)!r}, this measure has {protocol.get(name)!r}.",
                field="against", value=str(path), legal=f"statistics with {name} {protocol.get(name)!r}",
            )  # fmt: skip
    return {"mean": mean, "factor": factor, "num": num}
