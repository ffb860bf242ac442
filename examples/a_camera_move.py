"""A MotionLoRA moves the camera, stronger and the other way round. Writes pan.gif, pan_more.gif into the current folder."""

import kinema

engine = kinema.load("kinema-mini-animatediff")
for name, weight in (("pan.gif", 1.0), ("pan_more.gif", 1.5)):
    move = kinema.Style(adapter="mini-pan-left", weight=weight)
    print(engine.generate("a red car in a meadow by day", seed=2, profile="fast", conditions=(move,)).save(name))
