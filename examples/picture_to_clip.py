"""One model for pictures and clips: a picture, a clip that begins with it, and a longer clip of the same words.
Writes picture/, begun.gif and longer.gif into the current folder."""

import kinema

engine = kinema.load("kinema-mini-easyanimate")
words = "a red ball rolls left over the grass"
picture = engine.generate(words, frames=1, seed=1, profile="fast")
print(picture.save("picture/"))
begun = engine.generate(words, image=picture.frames()[0], seed=1, profile="fast")
print(begun.save("begun.gif"))
longer = engine.generate(
    words, frames=49, seed=1, profile="fast"
)  # at once; options={"context_length": 17}: in windows
print(longer.save("longer.gif"))
