"""Move an object along a drawn path, streaming frames as they are decoded. Writes path.gif into the current folder."""

import math

import kinema
from kinema.media.write import write

points = [(0.5 + 0.3 * math.cos(turn / 8 * math.pi), 0.5 + 0.3 * math.sin(turn / 8 * math.pi)) for turn in range(17)]
request = kinema.Request(
    prompt="a yellow ball over a green meadow by day",
    seed=1,
    profile="fast",
    conditions=(kinema.Trajectory(points=points, object="yellow ball", color=(250, 218, 44)),),
)
engine = kinema.load("kinema-mini-wan")
plan = engine.plan(request)
print(write(engine.stream(plan), "path.gif", manifest=engine.manifest(plan)))
