"""Generate a clip from a prompt, in the shortest program. Writes ball.mp4 and ball.png into the current folder."""

import kinema

clip = kinema.generate("a red ball rolls left over a green hill at sunset", seed=3, profile="fast", upscale=4)
print(clip.save("ball.mp4"))
clip.sheet().save("ball.png")
