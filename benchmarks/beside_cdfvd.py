"""The Frechet distance and the protocol cd-fvd beside the package of their authors, on the same features and frames.

    pip download cd-fvd --no-deps --no-binary :all: && tar xzf cd-fvd-*.tar.gz
    python benchmarks/beside_cdfvd.py cd-fvd-0.1.1

Its arithmetic and its resize are run, its networks are not: imports that only those need are replaced by empty modules.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from pathlib import Path

import numpy as np
import scipy.linalg
import torch

from kinema.evaluation.yardsticks import frechet
from kinema.evaluation.yardsticks.fvd_protocols import BY_NAME

UNUSED = (
    "torchvision", "torchvision.datasets", "torchvision.datasets.video_utils", "einops",
    "cdfvd.third_party.VideoMAEv2.utils",
)  # fmt: skip


class Empty(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the unpacked source of cd-fvd")
    sys.path.insert(0, str(parser.parse_args().source))
    sys.modules.update({name: Empty(name) for name in UNUSED})
    root = scipy.linalg.sqrtm
    scipy.linalg.sqrtm = lambda matrix, disp=True: (root(matrix), 0.0)  # scipy drops the argument disp
    from cdfvd.fvd import cdfvd
    from cdfvd.third_party.i3d.utils import preprocess_i3d
    from cdfvd.utils.data_utils import preprocess
    from cdfvd.utils.metric_utils import FeatureStats

    generator = np.random.default_rng(0)
    print("| clips | features | cd-fvd | Kinema | relative difference | CPU s, cd-fvd | CPU s, Kinema |")
    print("|---|---|---|---|---|---|---|")
    for num_a, num_b, width in ((600, 500, 64), (2048, 2048, 400), (120, 100, 400)):
        sets = [
            (generator.normal(size=(num, width)) @ generator.normal(size=(width, width)) + shift).astype(np.float32)
            for num, shift in ((num_a, 0), (num_b, 1))
        ]
        began_s = time.process_time()
        statistics = [FeatureStats(capture_mean_cov=True) for _ in sets]
        for each, features in zip(statistics, sets):
            each.append(features)
        theirs = cdfvd.compute_fvd_from_stats(types.SimpleNamespace(), *statistics)
        middle_s = time.process_time()
        ours = frechet.of_features(*sets, sample=False)
        end_s = time.process_time()
        print(
            f"| {num_a}, {num_b} | {width} | {theirs:.6f} | {ours:.6f} | {abs(ours - theirs) / theirs:.1e} "
            f"| {middle_s - began_s:.2f} | {end_s - middle_s:.2f} |"
        )
    for height, width in ((90, 161), (300, 260), (256, 256)):
        frames_FHWC = generator.integers(0, 256, (16, height, width, 3), dtype=np.uint8)
        square = (preprocess(torch.from_numpy(frames_FHWC), 256)["video"] * 255).byte().permute(1, 2, 3, 0).numpy()
        theirs_FHWC = preprocess_i3d(square[None])[0].permute(1, 2, 3, 0).numpy()
        ours_FHWC = BY_NAME["cd-fvd"].prepare(frames_FHWC, 224) / 127.5 - 1
        print(
            f"frames of {width}x{height}: largest difference of [-1, 1] inputs {np.abs(ours_FHWC - theirs_FHWC).max()}"
        )


if __name__ == "__main__":
    main()
