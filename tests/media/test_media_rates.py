"""Frame rates that a format does not support are refused before any frame is generated."""

from __future__ import annotations

import pytest

from kinema.core.errors import RequestError
from kinema.media.formats import check_rate


@pytest.mark.parametrize(("name", "fps"), [("a.gif", 51), ("A.GIF", 60), (".gif", 51), ("a.mp4", 1001), ("", 0.05)])
def test_refused(name, fps):
    with pytest.raises(RequestError) as error:
        check_rate(name, fps)
    check_rate(name, float(error.value.nearest))


@pytest.mark.parametrize(("name", "fps"), [("a.gif", 50), ("a.mp4", 1000), ("gif/", 60), ("a.webp", 60)])
def test_legal(name, fps):
    check_rate(name, fps)
