"""Write one picture to a file, completely or with an error."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.whole import whole
from .open import writing

if TYPE_CHECKING:
    import numpy as np
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


def write_png(
    frame_HWC: np.ndarray, path: Path, *, texts: Mapping[str, str] | None = None, compression: int = 4,
    durable: bool = True,
) -> None:  # fmt: skip
    """Write one uint8 picture, gray (H, W), RGB or RGBA (H, W, 3 or 4), atomically, with plain text chunks.
    compression: 0 to 9. MediaError if it cannot be written."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    for name, text in (texts or {}).items():
        notes.add_text(name, text)
    image = Image.fromarray(np.ascontiguousarray(frame_HWC))
    with writing(path), whole(path, durable=durable) as partial:
        write_picture(image, partial, pnginfo=notes, compress_level=compression)
