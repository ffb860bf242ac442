from kinema.toyland import describe_fully, render, sample_scene, understand


def test_captions_are_understood() -> None:
    for seed in range(500):
        text, stated = describe_fully(sample_scene(seed), seed)
        assert understand(text) == stated, text


def test_frames() -> None:
    out = render([sample_scene(3), sample_scene(4)], num_frames=5, height=40, width=56, truth=True)
    assert out.frames_BFHWC.shape == (2, 5, 40, 56, 3)
