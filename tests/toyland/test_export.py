"""The exported folder: one clip, one caption and one line of metadata per scene."""

import json

from kinema.toyland import describe, sample_scene, scene_from_dict
from kinema.toyland.export import export


def test_export(tmp_path) -> None:
    written, seen = {}, []
    metadata = export(
        tmp_path / "set", 18, seed=5, size=(16, 24), num_frames=3,
        write_clip=lambda frames, fps, path: written.update({path.name: (frames.shape, fps)}),
        on_progress=lambda done, num: seen.append((done, num)),
    )  # fmt: skip
    lines = [json.loads(line) for line in metadata.read_text().splitlines()]
    assert len(lines) == len(written) == 18 and seen[-1] == (18, 18)
    assert written["00017.mp4"] == ((3, 16, 24, 3), 8.0)
    assert scene_from_dict(lines[2]["scene"]) == sample_scene(7)
    assert (tmp_path / "set" / "00002.txt").read_text().strip() == lines[2]["text"] == describe(sample_scene(7), 7)
