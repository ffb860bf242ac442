"""The Frechet distance and the kernel distance against scipy, closed forms and plain loops; statistics as files."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import scipy.linalg

from kinema.core.errors import MediaError, RequestError
from kinema.evaluation.yardsticks import frechet, kernel_distance, reference_statistics
from kinema.evaluation.yardsticks.frechet import FittedGaussian


def features(num: int, width: int, seed: int) -> np.ndarray:
    """Correlated, with the spread of trained features: some directions hardly vary."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num, width)) @ np.diag(np.geomspace(1, 1e-3, width)) @ generator.normal(
        size=(width, width)
    ) + generator.normal(size=width)


@pytest.mark.parametrize("sample", [True, False])
def test_the_distance_is_that_of_scipys_root(sample):
    a, b = features(200, 24, 0), features(150, 24, 1)
    covariances = [np.cov(x.T, ddof=int(sample)) for x in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet.of_features(a, b, sample) == pytest.approx(expected, rel=1e-6)


def test_the_distance_of_commuting_gaussians_is_the_closed_form():
    """Of N(m, diag(s^2)): the squared distance of the means and of the standard deviations."""
    generator = np.random.default_rng(0)
    means, deviations = generator.normal(size=(2, 30)), generator.uniform(0, 2, (2, 30))
    rotation = np.linalg.qr(generator.normal(size=(30, 30)))[0]
    pair = [
        FittedGaussian.of_moments(rotation @ m, rotation @ np.diag(s**2) @ rotation.T, 9)
        for m, s in zip(means, deviations)
    ]
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet.distance(*pair) == pytest.approx(expected, rel=1e-9)
    assert np.allclose(
        FittedGaussian.of_moments(means[0], pair[0].covariance_DD, 9).covariance_DD, pair[0].covariance_DD
    )


def test_fewer_samples_than_dimensions_are_exact():
    """Against high precision: the root of a deficient product is where scipy's loses its digits."""
    import mpmath

    a, b = features(4, 9, 0), features(5, 9, 1)
    with mpmath.workdps(60):
        gram = mpmath.matrix((a - a.mean(0)).tolist()) * mpmath.matrix((b - b.mean(0)).tolist()).T / mpmath.sqrt(3 * 4)
        shared = mpmath.fsum(mpmath.svd_r(gram, compute_uv=False))
        traces = sum(mpmath.fsum(v * v for v in (x - x.mean(0)).ravel().tolist()) / (len(x) - 1) for x in (a, b))
        means = mpmath.fsum(v * v for v in (a.mean(0) - b.mean(0)).tolist())
        expected = float(means + traces - 2 * shared)
    assert frechet.of_features(a, b, True) == pytest.approx(expected, rel=1e-12)
    assert FittedGaussian.of(a, True).is_deficient and not FittedGaussian.of(features(10, 9, 2), True).is_deficient


@pytest.mark.parametrize("num", [6, 80])
def test_a_set_is_at_distance_zero_from_itself_in_any_order(num):
    a = features(num, 20, 0)
    assert frechet.of_features(a, a, True) == 0.0
    assert frechet.of_features(a, a[::-1], True) == 0.0
    assert frechet.of_features(a, a + 1e-3, True) == pytest.approx(20e-6, rel=1e-6), "small is not zero"


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        FittedGaussian.of(np.array([[1.0, np.nan]]), True)
    with pytest.raises(ValueError, match="3 and 4"):
        frechet.of_features(np.ones((5, 3)), np.ones((5, 4)), True)


def test_the_limit_of_many_samples_is_nearer_to_the_truth_than_the_distance():
    """Two samples of one distribution: the distance is all growth of few samples, the truth is 0."""
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=(2, 400, 16))
    sizes = frechet.smaller_sets(lambda i, j: frechet.of_features(a[i], b[j], True), 400, 400)
    assert list(sizes) == [400, 350, 300, 250, 200]
    assert sorted(sizes.values()) == list(sizes.values()), "it grows as the sets get smaller"
    assert abs(frechet.limit(sizes)) < 0.25 * sizes[400]


def test_the_kernel_distance_is_the_sum_over_all_pairs():
    x, y = features(7, 5, 0), features(6, 5, 1)

    def k(u, v):
        return (sum(p * q for p, q in zip(u, v)) / 5) ** 2

    xx = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    yy = sum(k(y[i], y[j]) for i in range(6) for j in range(6) if i != j) / (6 * 5)
    xy = sum(k(u, v) for u in x for v in y) / 42
    grams = kernel_distance.kernel(x, x), kernel_distance.kernel(y, y), kernel_distance.kernel(x, y)
    assert kernel_distance.unbiased(*grams) == pytest.approx(xx + yy - 2 * xy, rel=1e-12)
    whole = np.mean([[k(u, v) for u in x] for v in x]) + np.mean([[k(u, v) for u in y] for v in y]) - 2 * xy
    assert kernel_distance.biased(*grams) == pytest.approx(whole, rel=1e-12)
    assert kernel_distance.biased(grams[0], grams[0], grams[0]) == 0.0
    twice = np.array([2.0, 0, 1, 1, 1, 1, 1])  # the first clip twice, the second not at all
    picks = [0, 0, 2, 3, 4, 5, 6]
    drawn = [kernel_distance.kernel(x[picks], x[picks]), grams[1], kernel_distance.kernel(x[picks], y)]
    assert kernel_distance._of_counts(*grams, twice, np.ones(6)) == pytest.approx(kernel_distance.unbiased(*drawn))


def test_the_unbiased_kernel_distance_is_zero_on_average():
    generator = np.random.default_rng(5)
    found = []
    for _ in range(200):
        x, y = generator.normal(1, 1, (2, 12, 8))
        found.append([
            of(kernel_distance.kernel(x, x), kernel_distance.kernel(y, y), kernel_distance.kernel(x, y))
            for of in (kernel_distance.unbiased, kernel_distance.biased)
        ])  # fmt: skip
    (mean, biased), error = np.mean(found, 0), np.std(found, 0)[0] / np.sqrt(200)
    assert abs(mean) < 3 * error
    assert biased > 10 * error


PROTOCOL = {"frames": 16, "step": 1, "covariance": "sample", "weights": "abc", "name": "a"}


def test_statistics_are_read_back_exactly(tmp_path):
    row = reference_statistics.as_row(FittedGaussian.of(features(5, 8, 0), True))
    file = tmp_path / "set.npz"
    reference_statistics.save(file, row, PROTOCOL)
    again = reference_statistics.load(file, {**PROTOCOL, "name": "b"})
    assert all((again[name] == row[name]).all() for name in row)
    found = reference_statistics.gaussian_of(again)
    assert found is not None and found.num == 5
    assert reference_statistics.gaussian_of({"features": np.ones(3)}) is None
    with pytest.raises(RequestError, match=r"covariance 'sample'.*'population'") as info:
        reference_statistics.load(file, {**PROTOCOL, "covariance": "population"})
    assert info.value.field == "against"


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_other_files_are_refused_and_no_pickle_is_opened(tmp_path):
    row = reference_statistics.as_row(FittedGaussian.of(features(5, 8, 0), True))
    whole = {"version": 1, "protocol": json.dumps(PROTOCOL), **row}
    bad = {
        "object": {**whole, "mean": np.array([Evil()], dtype=object)},
        "nan": {**whole, "mean": row["mean"] * np.nan},
        "shape": {**whole, "factor": row["factor"][:, :-1]},
        "later": {**whole, "version": 2},
        "text": {**whole, "protocol": "{"},
    }
    for name, arrays in bad.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "nan.npz").read_bytes()[:200])
    for file in tmp_path.glob("*.npz"):
        with pytest.raises(MediaError, match=file.name):
            reference_statistics.load(file, PROTOCOL)
