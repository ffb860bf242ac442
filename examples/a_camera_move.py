"""MotionLoRAs move the camera: the same scene, in and out. Writes zoom-in.gif and zoom-out.gif where it is run."""

import kinema

engine = kinema.load("kinema-mini-animatediff")
for name in ("zoom-in", "zoom-out"):
    move = kinema.Style(adapter=f"mini-{name}")
    clip = engine.generate("a red car stays in place in a meadow by day", seed=2, profile="fast", conditions=(move,))
    print(clip.save(f"{name}.gif"))
