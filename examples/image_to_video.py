"""Animate one image with three amounts of motion. Writes moved_40.gif, moved_127.gif and moved_215.gif into the current
folder."""

import kinema
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene

# Published weights take any image; the miniature knows only Toyland's.
picture = render([sample_scene(9_000_001, WORLD_MINI)], num_frames=1, height=64, width=64).frames_BFHWC[0, 0].numpy()
engine = kinema.load("kinema-mini-svd")
for motion in (40, 127, 215):
    clip = engine.generate("", image=picture, seed=1, profile="fast", options={"motion": motion})
    print(clip.save(f"moved_{motion}.gif"))
