"""Annotators, one file each: streams of frames to streams of control frames.

Frames are uint8 RGB (H, W, 3). Every annotator is a generator function over an iterator of frames of one size; it holds
a few frames, never the clip. `conditions/control.py` has their table and the public functions.
"""
