"""Pan the camera left and right over one scene with MotionLoRAs. Writes pan-left.gif and pan-right.gif into the current
folder."""

import kinema

engine = kinema.load("kinema-mini-animatediff")
for name in ("pan-left", "pan-right"):
    move = kinema.Style(adapter=f"mini-{name}")
    clip = engine.generate("a red car stays in place in a meadow by day", seed=2, profile="fast", conditions=(move,))
    print(clip.save(f"{name}.gif"))
