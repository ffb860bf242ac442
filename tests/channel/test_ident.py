"""The ident: it shows the name, loops seamlessly, and is drawn once per name and encoding."""

from __future__ import annotations

import numpy as np
from on_air import SMALL

from kinema.channel.airing.ident import ident, ident_file
from kinema.channel.conform import Encoding
from kinema.channel.packets import read_packets


def frames_of(name, encoding):
    return np.concatenate([chunk.frames for chunk in ident(name, encoding)]).astype(int)


def test_it_ends_as_it_began_and_names_the_channel():
    encoding = Encoding(192, 128)
    frames = frames_of("Sea TV", encoding)
    steps = np.abs(np.diff(np.concatenate([frames, frames[:1]]), axis=0)).mean((1, 2, 3))
    assert len(frames) == 96 and steps.min() > 0 and steps[-1] < 1.3 * np.median(steps)
    other = frames_of("Sea TV 2", encoding)
    white = [(picture.min(-1) > 240).sum() for picture in (frames[0], other[0])]
    assert min(white) > 50 and white[0] != white[1]
    assert frames_of("x" * 60, Encoding(96, 64, 12, 6)).shape == (48, 64, 96, 3)


def test_it_is_drawn_once_and_replaced_with_the_name(tmp_path):
    path = ident_file(tmp_path, "Sea TV", SMALL)
    made = path.stat().st_mtime_ns
    assert ident_file(tmp_path, "Sea TV", SMALL) == path and path.stat().st_mtime_ns == made
    assert read_packets(path).frames == 96
    again = ident_file(tmp_path, "City TV", SMALL)
    assert again != path and not path.exists() and list(tmp_path.rglob("*.mp4")) == [again]
