"""Processing of decoded frames: interpolation, cut detection, compositing."""
