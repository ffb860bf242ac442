"""One file per way of drawing a control clip: frames in, control frames out, one for each, in a stream.

Frames are uint8 RGB (H, W, 3). Every annotator is a generator function over an iterator of frames of one size; it holds
a few frames, never the clip. `conditions/control.py` has the table of them and the way in.
"""
