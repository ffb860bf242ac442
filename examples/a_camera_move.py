"""MotionLoRAs move the camera: the same scene, left and right. Writes pan-left.gif and pan-right.gif where it runs."""

import kinema

engine = kinema.load("kinema-mini-animatediff")
for name in ("pan-left", "pan-right"):
    move = kinema.Style(adapter=f"mini-{name}")
    clip = engine.generate("a red car stays in place in a meadow by day", seed=2, profile="fast", conditions=(move,))
    print(clip.save(f"{name}.gif"))
