"""Camera poses from a file in RealEstate10K's layout (Zhou et al. 2018, arXiv 1805.09817), which CameraCtrl,
EasyAnimate and VideoX-Fun read: a first line that is ignored (the address of the clip, or empty), then for each frame a
line of 19 numbers: a time, fx fy cx cy in fractions of the frame, two zeros, and the rows of the 3x4 matrix that maps
the world to the camera."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..core.conditions import MAX_CAMERA_POSES, Camera
from ..core.errors import MediaError
from ..core.numerals import decimal
from ..core.outside import read_bytes
from ..core.text_file import MAX_TEXT_BYTES, decode

NUMBERS = 19
MAX_BYTES = 4 * MAX_TEXT_BYTES


def read_poses(path: str | Path, stride: int = 1) -> Camera:
    """The camera of a pose file. stride: uses every `stride`-th pose, for a clip with fewer frames per second than the
    file. Raises MediaError, which names the file, the line, and what is legal."""
    try:
        data = read_bytes(Path(path), error=MediaError, max_bytes=MAX_BYTES)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file.") from None
    lines = decode(data, str(path), error=MediaError).text.splitlines()
    poses = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            row = [decimal(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != NUMBERS:
            raise MediaError(f"{path}, line {number}: no pose. Legal: {NUMBERS} numbers, as in RealEstate10K's files.")
        poses.append((*row[1:5], *row[7:]))
    if not 0 < len(poses) <= MAX_CAMERA_POSES:
        raise MediaError(f"{path}: {len(poses):,} poses. Legal: 1 to {MAX_CAMERA_POSES:,}, after the first line.")
    try:
        return Camera(poses=tuple(poses[::stride]))
    except ValidationError as error:
        raise MediaError(f"{path}: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
