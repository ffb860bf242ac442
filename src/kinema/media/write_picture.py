"""One picture to a file, whole or with an error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


def write_picture(image: Image, path: Path, **options: Any) -> None:
    """Save a Pillow image; the format follows the suffix, options are those of `Image.save`. OSError where the file
    cannot be written: encoded in memory first, because Pillow's JPEG encoder, which writes by itself, says nothing of a
    full disk and leaves half a picture."""
    from PIL import Image as pillow

    kind = pillow.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path.suffix or 'no suffix'}: no format of pictures")
    content = io.BytesIO()
    image.save(content, format=kind, **options)
    path.write_bytes(content.getvalue())
