"""Write one picture to a file, completely or with an error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


def write_picture(image: Image, path: Path, **options: Any) -> None:
    """Save a Pillow image in the format of the suffix, with the options of `Image.save`. OSError if the file cannot be
    written. Encodes in memory first, because Pillow's JPEG encoder leaves half a picture on a full disk without an
    error."""
    from PIL import Image as pillow

    kind = pillow.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path.suffix or 'no suffix'}: not a picture format")
    content = io.BytesIO()
    image.save(content, format=kind, **options)
    path.write_bytes(content.getvalue())
